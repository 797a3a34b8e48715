"""The implementations side by side: their answers compared first, then timed in turns."""

import time

import numpy as np
import oracle
from hand_written import HandWritten
from workload import BETA1, BETA2, EPSILON, LEARNING_RATE, Array, Workload

import fastbp as fb

CHECKED_STEPS = 30


class Fastbp:
    """The workload on one of fastbp's backends, float32, one thread, batches in order."""

    def __init__(self, workload: Workload, backend: str) -> None:
        self.workload = workload
        self.X, self.y = workload.data()
        hidden = [fb.Dense(n, workload.activation) for n in workload.sizes[1:-1]]
        self.network = fb.Network(
            [fb.Input(workload.sizes[0]), *hidden, fb.Dense(workload.sizes[-1])],
            loss=workload.loss,
            optimizer=fb.Adam(LEARNING_RATE, beta1=BETA1, beta2=BETA2, epsilon=EPSILON),
            seed=0,
            backend=backend,
        )
        self.network.set_weights(workload.weights())

    def train_steps(self, steps: int) -> float:
        return self.network.train_steps(
            self.X, self.y, steps=steps, batch_size=self.workload.batch_size, shuffle=False,
            n_threads=1,
        )  # fmt: skip

    def flat_parameters(self) -> Array:
        return np.concatenate([part.ravel() for part in self.network.get_weights()])


IMPLEMENTATIONS = {
    "NumPy": lambda workload: HandWritten(workload, tuned=False),
    "NumPy, tuned": lambda workload: HandWritten(workload, tuned=True),
    "fastbp, NumPy": lambda workload: Fastbp(workload, "numpy"),
    "fastbp": lambda workload: Fastbp(workload, "cython"),
}


def refuse_fallback() -> None:
    """Raises RuntimeError where fastbp would be timed without its compiled kernels."""
    if fb.backend() != "cython":
        raise RuntimeError("fastbp runs on its NumPy backend: there is nothing to measure")


def check_answers(workload: Workload) -> dict[str, tuple[float, float]]:
    """Relative error of the loss and of the way the parameters went, for each implementation.

    Both against the float64 oracle after `CHECKED_STEPS` steps from the same start.  The bound on
    the parameters is of a norm: where a gradient is zero but for rounding, Adam's step has no
    meaningful sign.  Raises AssertionError where an implementation computes something else.
    """
    loss, parameters = oracle.train(workload, CHECKED_STEPS)
    start = np.concatenate([part.ravel() for part in workload.weights()]).astype(np.float64)
    found = {}
    for name, make in IMPLEMENTATIONS.items():
        implementation = make(workload)
        loss_error = abs(implementation.train_steps(CHECKED_STEPS) / loss - 1)
        away = np.linalg.norm(implementation.flat_parameters() - parameters)
        error = float(away / np.linalg.norm(parameters - start))
        assert loss_error < 1e-5, f"{workload.name}, {name}: loss is off by {loss_error:.1e}"
        assert error < 1e-3, f"{workload.name}, {name}: parameters are off by {error:.1e}"
        found[name] = loss_error, error
    return found


def step_times(workload: Workload, *, repeats: int) -> dict[str, float]:
    """Seconds per training step by implementation: minima over `repeats` calls, taken in turns."""
    running = {name: make(workload) for name, make in IMPLEMENTATIONS.items()}
    best = dict.fromkeys(running, float("inf"))
    for turn in range(repeats + 1):
        for name, implementation in running.items():
            start = time.perf_counter()
            implementation.train_steps(workload.steps)
            if turn:  # the first builds the plan and warms the caches
                best[name] = min(best[name], time.perf_counter() - start)
    return {name: seconds / workload.steps for name, seconds in best.items()}

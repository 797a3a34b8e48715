"""L-BFGS: its minima beside those of SciPy and PyTorch, its line search and direction by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from support.network_state import classification
from support.refusal import refuses
from support.tolerance import ESTIMATOR_LBFGS

import fastbp as fb
from fastbp.runtime.full_batch import Objective
from fastbp.runtime.lbfgs import _direction
from fastbp.runtime.line_search import Trial, strong_wolfe
from fastbp.runtime.rows import checked_rows

X, Y = classification(200, 6, 3)
EXACT = {"tolerance_grad": 1e-9, "tolerance_change": 0.0}


def logistic(backend: str | None = None, **options: Any) -> fb.Network:
    """Convex, with one minimum by its penalties."""
    layers = [fb.Input(6), fb.Dense(3, l2=1e-2, regularize_bias=True)]
    return fb.Network(
        layers, loss="cross_entropy", optimizer=fb.LBFGS(**EXACT | options), dtype="float64",
        seed=0, backend=backend,
    )  # fmt: skip


def mlp(backend: str | None = None, loss: str = "mse") -> fb.Network:
    """Small, with strong penalties: from close by there is one minimum."""
    layers = [
        fb.Input(6), fb.Dense(5, "tanh", l2=2e-2, regularize_bias=True),
        fb.Dense(1, l2=2e-2, regularize_bias=True),
    ]  # fmt: skip
    return fb.Network(
        layers, loss=loss, optimizer=fb.LBFGS(**EXACT), dtype="float64", seed=3, backend=backend
    )


CASES = {"logistic": (logistic, Y), "mlp": (mlp, np.sin(X[:, 0]) + X[:, 1] ** 2)}


def objective_of(network: fb.Network, y: Any) -> Objective:
    state = network._state
    return Objective(state, checked_rows(state, X, y), n_threads=1)


@pytest.mark.parametrize("name", CASES)
def test_the_minimum_of_scipy(name: str, backend: str) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    make, y = CASES[name]
    network, other = make(backend), make(backend)
    objective = objective_of(other, y)

    def value(x: Any) -> Any:
        point = objective(x)
        return point.value, point.gradient

    start = other._state.parameters.copy()
    options = {"gtol": 1e-9, "ftol": 0.0, "maxiter": 2000, "maxfun": 4000}
    found = optimize.minimize(value, start, jac=True, method="L-BFGS-B", options=options)
    network.fit(X, y, epochs=1000)
    assert network.history.stopped == "converged"
    point = objective(network._state.parameters.copy())
    assert abs(point.value - found.fun) <= ESTIMATOR_LBFGS * found.fun
    scale = np.abs(found.x).max()
    assert np.abs(network._state.parameters - found.x).max() <= ESTIMATOR_LBFGS * scale


@pytest.mark.parametrize("name", CASES)
def test_the_minimum_of_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    make, y = CASES[name]
    network = make()
    tensors = [torch.tensor(w, requires_grad=True) for w in network.get_weights()]
    rows = torch.tensor(np.asarray(X, np.float64))
    optimizer = torch.optim.LBFGS(
        tensors, max_iter=1000, max_eval=4000, tolerance_grad=1e-9, tolerance_change=0.0,
        history_size=10, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Any:
        optimizer.zero_grad()
        out, penalty = rows, 0.0
        for i in range(0, len(tensors), 2):
            out = out @ tensors[i] + tensors[i + 1]
            out = torch.tanh(out) if i + 2 < len(tensors) else out
        weight = 1e-2 if name == "logistic" else 2e-2
        penalty = sum((w * w).sum() for w in tensors) * weight / 2
        if name == "logistic":
            loss = torch.nn.functional.cross_entropy(out, torch.tensor(y, dtype=torch.long))
        else:
            loss = ((out[:, 0] - torch.tensor(y)) ** 2).mean()
        loss = loss + penalty
        loss.backward()
        return loss

    optimizer.step(closure)
    network.fit(X, y, epochs=1000)
    point = objective_of(network, y)(network._state.parameters.copy())
    assert abs(point.value - float(closure().detach())) <= ESTIMATOR_LBFGS * point.value
    for own, other in zip(network.get_weights(), tensors, strict=True):
        assert np.abs(own - other.detach().numpy()).max() <= ESTIMATOR_LBFGS * 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fewer_passes_than_adam(dtype: str, backend: str) -> None:
    """To the same loss, from the same start."""
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    networks = [
        fb.Network([6, 16, 2], activation="tanh", loss="cross_entropy", optimizer=optimizer,
                   dtype=dtype, seed=1, backend=backend)
        for optimizer in (fb.LBFGS(), fb.Adam(0.02))
    ]  # fmt: skip
    passes = _passes_of(networks[0], y, epochs=40)
    reached = networks[0].evaluate(X, y)["loss"]
    networks[1].fit(X, y, epochs=10 * passes, batch_size=len(X))
    assert networks[1].evaluate(X, y)["loss"] > reached


def _passes_of(network: fb.Network, y: Any, *, epochs: int) -> int:
    counted, own = [0], Objective.__call__

    def call(self: Objective, at: Any) -> Any:
        counted[0] += 1
        return own(self, at)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Objective, "__call__", call)
        network.fit(X, y, epochs=epochs)
    return counted[0]


def test_a_quadratic_by_hand(backend: str) -> None:
    """One weight: the first pair is the curvature itself, so that the second step is Newton's."""
    network = fb.Network(
        [fb.Input(1), fb.Dense(1, use_bias=False, weights=[[0.0]])],
        optimizer=fb.LBFGS(tolerance_grad=1e-12), dtype="float64", backend=backend,
    )  # fmt: skip
    x = np.array([[1.0], [2.0]])
    history = network.fit(x, 3 * x, epochs=10)
    # mean (w x - 3 x)^2 = 2.5 (w - 3)^2: slope -15 at 0, first step 1/15 of it, then 3 at once
    assert history["loss"] == [22.5, 10.0]
    assert network.get_weights()[0].tolist() == [[3.0]]
    assert history.stopped == "converged"
    assert history.reason == (
        "the largest component of the gradient is 0, tolerance_grad=1e-12, after epoch 2 of 10"
    )


def test_the_direction_is_that_of_the_matrix() -> None:
    """The two loops against H made of the same pairs by the formula of BFGS."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((5, 5))
    A = A @ A.T + np.eye(5)
    pairs = [(s, A @ s) for s in rng.standard_normal((3, 5))]
    s, y = pairs[0]
    H = np.eye(5) * (s @ y) / (y @ y)
    for s, y in reversed(pairs):
        r = 1 / (s @ y)
        V = np.eye(5) - r * np.outer(y, s)
        H = V.T @ H @ V + r * np.outer(s, s)
    g = rng.standard_normal(5)
    assert np.abs(_direction(g, pairs) + H @ g).max() <= 1e-13 * np.abs(H @ g).max()
    s, y = pairs[0]
    assert np.abs(H @ y - s).max() <= 1e-13 * np.abs(s).max()  # the newest pair holds exactly


CURVES: dict[str, tuple[Any, Any]] = {
    "parabola": (lambda x: (x - 3) ** 2, lambda x: 2 * (x - 3)),
    "far": (lambda x: (x / 1e4 - 3) ** 2, lambda x: 2e-4 * (x / 1e4 - 3)),
    "near": (lambda x: (1e4 * x - 3) ** 2, lambda x: 2e4 * (1e4 * x - 3)),
    "wavy": (lambda x: x - math.sin(3 * x), lambda x: 1 - 3 * math.cos(3 * x)),
    "wall": (
        lambda x: -x if x < 0.1 else math.inf,
        lambda x: -1.0 if x < 0.1 else math.nan,
    ),
}


@pytest.mark.parametrize("name", CURVES)
def test_the_search(name: str) -> None:
    value, slope = CURVES[name]

    def at(x: float) -> Trial[None]:
        return Trial(x, value(x), slope(x), None)

    found = strong_wolfe(at, at(0.0), 1.0, most=30, epsilon=1e-16)
    assert found is not None and found.length > 0
    assert found.value <= value(0.0) + 1e-4 * found.length * slope(0.0)
    if name != "wall":
        assert abs(found.slope) <= 0.9 * abs(slope(0.0))


def test_a_search_that_finds_nothing() -> None:
    def rising(x: float) -> Trial[None]:
        return Trial(x, x, -1.0, None)  # its slope is a lie

    assert strong_wolfe(rising, rising(0.0), 1.0, most=10, epsilon=1e-16) is None


UNKNOWN = [
    ({"m": 5}, TypeError, "LBFGS got m; known: learning_rate, history_size, tolerance_grad, "
     "tolerance_change, max_line_search, clipvalue, clipnorm, global_clipnorm, ema"),
    ({"maxcor": 5, "gtol": 1e-8}, TypeError,
     "LBFGS got maxcor, gtol; write history_size=5, tolerance_grad=1e-08"),
    ({"history_size": 0}, ValueError, "history_size must be an integer >= 1, got 0"),
    ({"tolerance_grad": -1}, ValueError, "tolerance_grad must be finite and >= 0, got -1"),
    ({"max_line_search": 1.5}, TypeError, "max_line_search must be an integer >= 1, got 1.5"),
    ({"clipnorm": 1.0}, ValueError, "LBFGS takes no clipnorm, got 1"),
    ({"ema": 0.9}, ValueError, "LBFGS takes no ema, got 0.9"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "error", "text"), UNKNOWN, ids=str)
def test_refuses(given: Any, error: Any, text: str) -> None:
    with refuses(error, text):
        fb.LBFGS(**given)

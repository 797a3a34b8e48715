"""fastbp: `fit` without shuffling, a fit for every call.

The variant of a trainer is the backend, or "in order" or "shuffled" on the best one; FASTBP_ISA,
set before the process starts, chooses the instruction set.
"""

from typing import Any

import fastbp as fb
from fastbp.benchmark.peer import Call, Run
from fastbp.benchmark.workload import (
    BETA1,
    BETA2,
    EPSILON,
    LEARNING_RATE,
    WEIGHT_DECAY,
    Array,
    Workload,
)

NAME = "fastbp"


def network(workload: Workload, backend: str | None = None) -> fb.Network:
    optimizer: Any = fb.SGD(LEARNING_RATE)
    betas: Any = {"beta1": BETA1, "beta2": BETA2, "epsilon": EPSILON}
    if workload.optimizer == "adam":
        optimizer = fb.Adam(LEARNING_RATE, **betas)
    elif workload.optimizer == "adamw":
        optimizer = fb.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY, **betas)
    net = fb.Network(
        workload.sizes,
        activation=workload.activation,
        loss=workload.loss,
        optimizer=optimizer,
        dtype=workload.dtype,
        seed=0,
        backend=backend,
    )
    net.set_weights(workload.weights())
    return net


def trainer(workload: Workload, variant: str, threads: int) -> Run:
    shuffle = variant == "shuffled"
    net = network(workload, variant if variant in ("cython", "numpy") else None)
    X, y = workload.data()

    def run(steps: int) -> tuple[float, list[Array]]:
        history = net.fit(
            X, y, epochs=steps // workload.n_batches, batch_size=workload.batch_size,
            shuffle=shuffle, n_threads=1 if threads == 1 else "auto", verbose=False,
        )  # fmt: skip
        return history.history["loss"][-1], list(net.parameters.values())

    return run


def call(workload: Workload, variant: str, threads: int) -> Call:
    net, (X, y) = network(workload), workload.data()
    X, y = X[: workload.batch_size], y[: workload.batch_size]
    if variant == "train_on_batch":
        return lambda: net.train_on_batch(X, y)
    if variant == "net(x)":
        return lambda: net(X)
    if variant == "predictor":
        predict = net.predictor(batch_size=workload.batch_size)
        return lambda: predict(X)
    return lambda: net.predict(X)

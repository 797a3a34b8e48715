"""fastbp: `fit` without shuffling, a fit for every call.

The variant of a trainer is the backend, or "in order" or "shuffled" on the best one; FASTBP_ISA,
set before the process starts, chooses the instruction set.
"""

from typing import Any

import fastbp as fb
from fastbp.benchmark.peer import Call, Run
from fastbp.benchmark.workload import (
    BATCH_NORM,
    BATCH_NORM_MOMENTUM,
    BETA1,
    BETA2,
    CATEGORIES,
    DROPOUT,
    DROPOUT_RATE,
    EMBEDDED_UNITS,
    EMBEDDING,
    EPSILON,
    LAYER_NORM,
    LEARNING_RATE,
    NORM_EPSILON,
    WEIGHT_DECAY,
    Array,
    Workload,
)

NAME = "fastbp"


def optimizer(name: str) -> Any:
    betas: Any = {"beta1": BETA1, "beta2": BETA2, "epsilon": EPSILON}
    if name == "adamw":
        return fb.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY, **betas)
    if name in ("adam", "amsgrad"):
        return fb.Adam(LEARNING_RATE, amsgrad=name == "amsgrad", **betas)
    known: Any = {"sgd": fb.SGD, "rmsprop": fb.RMSprop, "adagrad": fb.Adagrad, "lion": fb.Lion}
    known |= {"adadelta": fb.Adadelta, "adamax": fb.Adamax, "nadam": fb.NAdam, "radam": fb.RAdam}
    return known[name](LEARNING_RATE)


def network(workload: Workload, backend: str | None = None) -> fb.Network:
    about: Any = {"loss": workload.loss, "optimizer": optimizer(workload.optimizer), "seed": 0}
    about |= {"dtype": workload.dtype, "backend": backend}
    if workload.part:
        net = fb.Network(layers(workload), **about)
        tables = workload.tables() if workload.part == EMBEDDING else []
        net.set_weights([*tables, *net.get_weights()[len(tables) :]])
        return net
    net = fb.Network(workload.sizes, activation=workload.activation, **about)
    net.set_weights(workload.weights())
    return net


def layers(workload: Workload) -> list[Any]:
    """Those of a workload with a part."""
    found: list[Any] = [fb.Input(workload.sizes[0])]
    if workload.part == EMBEDDING:
        numbers = workload.sizes[0] - EMBEDDED_UNITS * len(CATEGORIES)
        columns = {numbers + i: n for i, n in enumerate(CATEGORIES)}
        n = numbers + len(CATEGORIES)
        found = [fb.Input(n, categorical=columns, embedding_units=EMBEDDED_UNITS)]
    weights = workload.weights()
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        found.append(fb.Dense(kernel.shape[1], weights=kernel, bias=bias))
        if workload.part == LAYER_NORM:
            found.append(fb.LayerNorm(epsilon=NORM_EPSILON))
        if workload.part == BATCH_NORM:
            found.append(fb.BatchNorm(momentum=BATCH_NORM_MOMENTUM, epsilon=NORM_EPSILON))
        found.append(fb.Activation(workload.activation))
        if workload.part == DROPOUT:
            found.append(fb.Dropout(DROPOUT_RATE))
    last = next(i for i in reversed(range(len(found))) if isinstance(found[i], fb.Dense))
    return found[: last + 1]


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

"""Weighted rows for the tests: every loss and optimizer, and data of small whole weights."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp as fb

# Those whose engines take weights.
BACKENDS = ["cython", "numpy"]
each_backend = pytest.mark.parametrize("backend", BACKENDS)

# A loss, and the form of its targets.
TARGETS = {
    "mse": "mse", "half_sse": "half_sse", "mae": "mae", "huber": "huber",
    "binary_cross_entropy": "binary_cross_entropy", "cross_entropy": "cross_entropy",
    "cross_entropy of rows": "cross_entropy",
}  # fmt: skip
OPTIMIZERS = {
    "sgd": fb.SGD(0.05),
    "momentum": fb.SGD(0.05, momentum=0.9),
    "nesterov": fb.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": fb.Adam(0.01),
    "adamw": fb.AdamW(0.01, weight_decay=0.1),
}


def data(target: str, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """X (n, 4), y for three outputs."""
    rng = np.random.default_rng([n, seed])
    X = rng.standard_normal((n, 4))
    if target == "cross_entropy":
        return X, rng.integers(0, 3, n)
    if target == "cross_entropy of rows":
        y = rng.random((n, 3))
        return X, y / y.sum(axis=1, keepdims=True)
    return X, rng.random((n, 3))


def network(
    target: str, optimizer: str = "adam", *, backend: str, dtype: str = "float64", **options
) -> fb.Network:
    """It has penalties, which no weight touches."""
    layers = [fb.Input(4), fb.Dense(5, "tanh", l2=0.01, l1=0.001), fb.Dense(3)]
    return fb.Network(
        layers, loss=TARGETS[target], optimizer=OPTIMIZERS[optimizer], dtype=dtype, seed=3,
        backend=backend, **options,
    )  # fmt: skip

"""Networks of several outputs in each regime of training, with data."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from support.network_state import digest

import fastbp as fb

Y = dict[str, Any]

SIZES = {"one block": (20, 24), "blocks": (64, 300), "kernels": (200, 30)}  # width, batch size


def sized(name: str, dtype: str) -> tuple[fb.Network, np.ndarray, dict[str, Any], int]:
    """Network, X, y and the rows of a batch; the last one is short."""
    width, batch_size = SIZES[name]
    heads = fb.Heads({
        "c": ([fb.Dense(33, "tanh"), fb.Dropout(0.1), fb.Dense(5)], "cross_entropy"),
        "g": ([fb.Dense(4)], "gaussian_nll", 0.3), "q": ([fb.Dense(1)], fb.Loss("huber")),
    })  # fmt: skip
    rng = np.random.default_rng(5)
    n = 2 * batch_size + 7
    y = {"c": rng.integers(0, 5, n), "g": rng.normal(size=(n, 2)), "q": rng.normal(size=n)}
    layers = [fb.Input(12), fb.Dense(width, "tanh"), fb.Dense(width, "relu"), heads]
    net = fb.Network(layers, dtype=dtype, seed=3, metrics={"c": ["accuracy"], "q": ["r2"]})
    return net, rng.normal(size=(n, 12)), y, batch_size


def trained(name: str, dtype: str, *, n_threads: int = 1) -> str:
    """Of all numbers after two epochs, the history, and what the verbs say then."""
    net, X, y, batch_size = sized(name, dtype)
    past = net.fit(
        X, y, epochs=2, batch_size=batch_size, n_threads=n_threads, validation_data=(X, y)
    )
    sha = hashlib.sha256(repr([digest(net), past.history]).encode())
    sha.update(repr(net.evaluate(X, y, n_threads=n_threads)).encode())
    found = [net.predict(X, n_threads=n_threads), net.forward(X, training=False)]
    found += [net.trace(X, y)["output"], {"dX": net.backward(net.forward(X))}]
    for shown in found:
        for part in shown.values():
            sha.update(np.ascontiguousarray(part).tobytes())
    return sha.hexdigest()


def digests() -> dict[str, str]:
    """Of each case and dtype."""
    return {
        f"{name}, {dtype}": trained(name, dtype)
        for name in SIZES for dtype in ("float32", "float64")
    }  # fmt: skip


def network(dtype: str = "float32", backend: str | None = None, **options: Any) -> fb.Network:
    """That of the documentation."""
    heads = fb.Heads({
        "class": ([fb.Dense(32, "relu"), fb.Dense(3)], "cross_entropy", 1.0),
        "value": ([fb.Dense(1)], "mse", 0.5),
    })  # fmt: skip
    layers = [fb.Input(20), fb.Dense(64, "relu"), heads]
    return fb.Network(layers, seed=1, dtype=dtype, backend=backend, **options)


def data(n: int = 100, seed: int = 0) -> tuple[np.ndarray, Y]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 20))
    return X, {"class": rng.integers(0, 3, n), "value": rng.normal(size=n)}


def taken(y: Y, rows: Any) -> Y:
    return {name: part[rows] for name, part in y.items()}

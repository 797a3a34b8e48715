"""One hash of everything that random networks compute, for every build that runs here.

    python bench/bits.py

A change that is said to alter no bit leaves every line as it was: run this before and after it.
Only the public interface is used, so that one file serves both sides.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import Any

import numpy as np

import fastbp as fb
from fastbp.backend import compiled_modules

BUILDS = ("v4", "v3", "v2", "neon", "portable")
NETWORKS = 300
ACTIVATIONS = [
    "linear", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "tanh", "sigmoid",
    fb.Activation("leaky_relu", alpha=0.2), fb.Activation("elu", alpha=0.7),
]  # fmt: skip
LOSSES = [
    "mse", "half_sse", "mae", "huber", fb.Loss("huber", delta=0.3), "binary_cross_entropy",
    "cross_entropy", "cross_entropy rows",
]  # fmt: skip
OPTIMIZERS = [
    fb.SGD(0.05), fb.SGD(0.05, momentum=0.8), fb.SGD(0.02, momentum=0.9, nesterov=True),
    fb.Adam(0.01), fb.Adam(0.01, beta1=0.8, epsilon=1e-6), fb.AdamW(0.01, weight_decay=0.1),
    fb.AdamW(0.01, weight_decay=0.1, decay_bias=True),
]  # fmt: skip
WIDTHS = [1, 2, 3, 4, 5, 8, 13, 16, 17, 32, 33, 64, 65, 130, 300]


def pick(rng: np.random.Generator, values: list[Any]) -> Any:
    return values[int(rng.integers(len(values)))]


def dense(rng: np.random.Generator, units: int) -> fb.Dense:
    penalty = {"l1": 1e-3, "l2": 1e-2} if rng.random() < 0.2 else {}
    return fb.Dense(
        units, pick(rng, ACTIVATIONS), use_bias=rng.random() < 0.9,
        regularize_bias=rng.random() < 0.3, **penalty,
    )  # fmt: skip


def layer(rng: np.random.Generator) -> fb.Layer:
    kind, units = rng.random(), pick(rng, WIDTHS)
    if kind < 0.12:
        inner = [dense(rng, pick(rng, WIDTHS[:10])), dense(rng, units)]
        return fb.Residual(inner, projection="auto", activation=pick(rng, ACTIVATIONS))
    if kind < 0.24:
        ways = [[dense(rng, units)], [], [dense(rng, 3), dense(rng, units)]]
        return fb.Branch(ways, merge="concat")
    if kind < 0.3:
        return fb.Branch([[dense(rng, units)], [dense(rng, units)]], merge="add")
    return dense(rng, units)


def network(rng: np.random.Generator, dtype: str, seed: int) -> tuple[fb.Network, str]:
    loss = pick(rng, LOSSES)
    name = loss.name if isinstance(loss, fb.Loss) else loss.split()[0]
    last: Any = {"binary_cross_entropy": "sigmoid", "cross_entropy": "softmax"}.get(name)
    if last is None:
        last = pick(rng, [*ACTIVATIONS, "softmax"])
    outputs = pick(rng, [1, 2, 3, 4, 5, 10, 16, 17, 64, 140])
    outputs += outputs == 1 and name == "cross_entropy"
    layers: list[fb.Layer] = [fb.Input(pick(rng, WIDTHS))]
    layers += [layer(rng) for _ in range(int(rng.integers(0, 4)))]
    layers.append(fb.Dense(outputs, last))
    made = fb.Network(
        layers, loss=loss if isinstance(loss, fb.Loss) else name, optimizer=pick(rng, OPTIMIZERS),
        dtype=dtype, seed=seed, backend="cython",
    )  # fmt: skip
    return made, "rows" if loss == "cross_entropy rows" else name


def targets(rng: np.random.Generator, kind: str, n: int, outputs: int) -> np.ndarray:
    if kind == "cross_entropy":
        return rng.integers(0, outputs, n)
    if kind == "binary_cross_entropy":
        return rng.random((n, outputs)).round()
    if kind == "rows":
        y = rng.random((n, outputs)) * (rng.random((n, outputs)) < 0.7) + 1e-3
        return y / y.sum(axis=1, keepdims=True)
    return rng.standard_normal((n, outputs))


def digest(dtype: str) -> str:
    total = hashlib.sha256()
    rng = np.random.default_rng(7)
    for seed in range(NETWORKS):
        net, kind = network(rng, dtype, seed)
        n = pick(rng, [1, 2, 7, 8, 9, 31, 64, 200])
        X = rng.standard_normal((n, net.n_features)).astype(dtype)
        X = np.asfortranarray(X) if rng.random() < 0.2 else X
        y = targets(rng, kind, n, net.n_outputs)
        found: list[Any] = [net.predict(X), net(X), *net.trace(X, y).values()]
        found += [net.evaluate(X, y)["loss"], net.train_on_batch(X, y)]
        batch = pick(rng, [1, 3, 8, 32, 256])
        try:
            history = net.fit(X, y, epochs=2, batch_size=batch, verbose=False, n_threads=1)
            found += history.history["loss"]
            net.fit(X, y, epochs=1, batch_size=batch, verbose=False, n_threads=2, shuffle=False)
        except fb.DivergenceError as error:
            found.append(np.frombuffer(str(error).encode(), np.uint8))
        out = net.forward(X)
        found += [out, net.backward(np.ones_like(out) / n)]
        net.step()
        found += [*net.get_weights(), *net.optimizer_state.values()]
        for value in found:
            total.update(np.ascontiguousarray(value).tobytes())
    return total.hexdigest()[:16]


def main() -> None:
    if len(sys.argv) > 1:
        print(*(digest(dtype) for dtype in ("float32", "float64")))
        return
    for build in BUILDS:
        if (build, "float32") not in compiled_modules():
            continue
        environment = os.environ | {"FASTBP_ISA": build, "FASTBP_BACKEND": "cython"}
        command = [sys.executable, "-W", "ignore", __file__, build]
        found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        print(f"{build:8}", found.stdout.strip(), flush=True)


if __name__ == "__main__":
    main()

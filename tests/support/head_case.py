"""Networks of several outputs in each regime of training, with data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from support.network_state import digest
from support.random_network import EACH_LOSS
from support.tolerance import SAME_TRAINING, assert_rounded, assert_same_training

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
    gaps = {head: np.array(own, float) for head, own in y.items()}
    for i, own in enumerate(gaps.values()):
        own[i :: 3 + i] = np.nan
    past = net.fit(X, gaps, batch_size=batch_size, n_threads=n_threads, ignore_nan=True)
    measured = net.evaluate(X, gaps, n_threads=n_threads, ignore_nan=True)
    sha.update(repr([digest(net), past.history, measured]).encode())
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


def outputs_of(loss: fb.Loss) -> int:
    return 3 if loss.link == "softmax" else 2 * loss.outputs_per_target


def targets(loss: fb.Loss, n: int, rng: np.random.Generator) -> np.ndarray:
    """What the loss takes, (n, targets) or class indices (n,)."""
    shape = n, loss.n_targets(outputs_of(loss))
    if loss.domain == "class":
        return rng.integers(0, 3, n)
    drawn = {
        "interval": rng.uniform(size=shape), "sign": rng.choice([-1.0, 1.0], shape),
        "count": rng.poisson(2.0, shape).astype(float), "positive": rng.uniform(0.5, 3, shape),
    }  # fmt: skip
    return drawn.get(loss.domain, rng.normal(size=shape))


def random_heads(seed: int) -> tuple[list[fb.Layer], Any, np.ndarray, Y]:
    """A trunk, and heads of any loss, with data."""
    rng = np.random.default_rng([seed, 9])
    n, width = int(rng.integers(1, 60)), int(rng.integers(1, 40))
    chosen = [EACH_LOSS[i] for i in rng.choice(len(EACH_LOSS), rng.integers(1, 5))]
    chosen[0] = EACH_LOSS[seed % len(EACH_LOSS)]
    heads, y = {}, {}
    for i, loss in enumerate(chosen):
        before = [fb.Dense(int(rng.integers(1, 20)), "tanh")] if rng.random() < 0.5 else []
        if rng.random() < 0.3:
            before.append(fb.Residual([fb.Dense(5, "tanh")], projection="auto"))
        last = fb.Dense(outputs_of(loss), use_bias=bool(rng.random() < 0.8))
        heads[f"h{i}"] = [*before, last], loss, float(rng.choice([1.0, 0.25, 3.0]))
        y[f"h{i}"] = targets(loss, n, rng)
    trunk: list[fb.Layer] = [fb.Input(int(rng.integers(1, 9)))]
    if rng.random() < 0.9:
        trunk.append(fb.Dense(width, "tanh"))
    if rng.random() < 0.4:
        trunk.append(fb.Branch([[fb.Dense(7, "sigmoid")], []]))
    return trunk, heads, rng.normal(size=(n, trunk[0].units)), y  # type: ignore[attr-defined]


def lone_networks(
    trunk: list[fb.Layer], heads: Any, names: list[str]
) -> Iterator[tuple[str, list[fb.Layer], fb.Loss, float, list[str]]]:
    """Each head as a network of that output alone: its name, layers, loss, weight, and which of the
    parameters `names` it has.
    """
    n_trunk = len(fb.Network([*trunk, fb.Dense(1, use_bias=False)]).get_weights()) - 1
    begin = n_trunk
    for name, (layers, loss, weight) in heads.items():
        own = [*trunk, *layers]
        end = begin + len(fb.Network(own, loss=loss).get_weights()) - n_trunk
        yield name, own, loss, weight, names[:n_trunk] + names[begin:end]
        begin = end


def assert_as_lone(
    loss: fb.Loss, X: np.ndarray, y: np.ndarray, *, dtype: str, backend: str, batch_size: int,
    **given: Any,
) -> tuple[fb.Network, fb.Network]:  # fmt: skip
    """A head beside another of weight 0 is measured and trains as a network of that output alone;
    returns both.
    """
    layers = [fb.Dense(outputs_of(loss))]
    heads = {"own": (layers, loss), "idle": ([fb.Dense(3)], "cross_entropy", 0)}
    both = {"own": y, "idle": np.zeros(len(X), int)}
    options: Any = {"optimizer": fb.SGD(0.05), "seed": 0, "dtype": dtype, "backend": backend}
    trunk = [fb.Input(X.shape[1]), fb.Dense(9, "tanh")]
    net = fb.Network([*trunk, fb.Heads(heads)], **options)
    lone = fb.Network([*trunk, *layers], loss=loss, **options)
    lone.set_weights(net.get_weights()[:4])
    weight = np.arange(len(X)) % 3 * 0.5
    for weighted in ({}, {"sample_weight": weight}):
        own: Any = given | weighted
        found, expected = net.evaluate(X, both, **own), lone.evaluate(X, y, **own)["loss"]
        assert_rounded(
            [found["own_loss"], found["loss"]], [expected] * 2, dtype=dtype,
            roundings=SAME_TRAINING, magnitude=abs(expected) + 1,
        )  # fmt: skip
        for other, target in ((net, both), (lone, y)):
            other.fit(X, target, epochs=2, batch_size=batch_size, **own)
        for a, b in zip(net.get_weights()[:4], lone.get_weights(), strict=True):
            assert_same_training(a, b, dtype=dtype)
    return net, lone

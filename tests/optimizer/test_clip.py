"""Clipped gradients: against hand values and the oracle, in every regime, on any threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support import oracle
from support.refusal import refuses
from support.tolerance import assert_near, assert_same_training

import fastbp as fb

Array = NDArray[Any]

BOUNDS: list[dict[str, float]] = [
    {"clipvalue": 0.02}, {"clipnorm": 0.05}, {"global_clipnorm": 0.1}, {"global_clipnorm": 1e6},
]  # fmt: skip
every_bound = pytest.mark.parametrize("bound", BOUNDS, ids=str)


def data(n: int, n_features: int, n_outputs: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(7)
    return rng.normal(size=(n, n_features)), rng.normal(size=(n, n_outputs))


def layers(width: int) -> list[Any]:
    return [
        fb.Input(6),
        fb.Dense(width, "tanh", l2=0.05),
        fb.Residual([fb.Dense(width, "tanh", use_bias=False, l1=0.01)]),
        fb.Dense(2),
    ]


@every_bound
@pytest.mark.parametrize("optimizer", [fb.SGD, fb.Adam])
@pytest.mark.parametrize("width", [9, 40])
def test_training_is_that_of_the_oracle(
    bound: dict[str, float], optimizer: Any, width: int, backend: str, dtype: str
) -> None:
    own = optimizer(0.05, **bound)
    network = fb.Network(layers(width), optimizer=own, dtype=dtype, backend=backend, seed=1)
    X, y = data(60, 6, 2)
    batches = [list(range(i, i + 20)) for i in (0, 20, 40)]
    want, _ = oracle.train(
        network.layers, network.loss, own, network.get_weights(), X, y, batches
    )  # fmt: skip
    network.fit(X, y, batches=batches, verbose=False)
    for got, expected in zip(network.get_weights(), want, strict=True):
        assert_same_training(got, expected, dtype=dtype)


@every_bound
def test_clipping_changes_the_step(bound: dict[str, float], backend: str) -> None:
    """But for the bound that nothing reaches, whose steps are those without it."""
    X, y = data(20, 6, 2)
    weights = []
    for own in (fb.SGD(0.05, **bound), fb.SGD(0.05)):
        network = fb.Network(layers(9), optimizer=own, backend=backend, seed=1)
        network.train_on_batch(X, y)
        weights.append(network.get_weights())
    if bound == BOUNDS[-1]:
        for got, expected in zip(*weights, strict=True):
            assert_same_training(got, expected, dtype="float32")
    else:
        assert abs(weights[0][0] - weights[1][0]).max() > 1e-3


def test_hand_values(backend: str) -> None:
    """y = w x + b from w = 2, b = 0 at x = 2, target 1: e = 3, dL/dw = 12, dL/db = 6."""
    cases = {
        "clipvalue": (5.0, [2 - 5, -5]),  # both beyond
        "clipnorm": (6.0, [2 - 6, -6]),  # 12 halved, 6 just kept
        "global_clipnorm": (5.0, [2 - 12 * 5 / 180**0.5, -6 * 5 / 180**0.5]),
    }
    for name, (bound, want) in cases.items():
        network = fb.Network(
            [fb.Input(1), fb.Dense(1, weights=[[2]], bias=[0])], loss="mse", dtype="float64",
            optimizer=fb.SGD(1.0, **{name: bound}), backend=backend, seed=0,
        )  # fmt: skip
        network.train_on_batch([[2.0]], [1.0])
        got = [float(w.ravel()[0]) for w in network.get_weights()]
        roundings = 1e7 if name == "global_clipnorm" else 1  # epsilon of 1e-6 beside 180**.5
        assert_near(got, want, dtype="float64", length=roundings * 1e2, name=name)


@every_bound
def test_step_clips_what_backward_left(bound: dict[str, float], backend: str, dtype: str) -> None:
    """The same as a step of `train_on_batch`, and `.gradients` stay as they are."""
    X, y = data(12, 6, 2)
    one, parts = (
        fb.Network(layers(9), optimizer=fb.SGD(0.1, **bound), dtype=dtype, backend=backend, seed=1)
        for _ in range(2)
    )
    one.train_on_batch(X, y)
    out = parts.forward(X)
    parts.backward(2 * (out - y.astype(dtype)) / out.size)
    before = {name: view.copy() for name, view in parts.gradients.items()}
    parts.step()
    for name, view in parts.gradients.items():
        assert np.array_equal(view, before[name])
    for got, expected in zip(parts.get_weights(), one.get_weights(), strict=True):
        assert_same_training(got, expected, dtype=dtype)


@every_bound
@pytest.mark.parametrize(("width", "rows"), [(20, 64), (130, 300)])
def test_threads_and_calls_change_no_bit(bound: dict[str, float], width: int, rows: int) -> None:
    X, y = data(rows, 6, 2)

    def trained(*calls: int, n_threads: int = 1) -> bytes:
        own = fb.Adam(0.01, **bound)
        network = fb.Network(layers(width), optimizer=own, backend="cython", seed=1)
        for epochs in calls:
            network.fit(X, y, epochs=epochs, batch_size=rows // 2, n_threads=n_threads, verbose=0)
        return b"".join(w.tobytes() for w in network.get_weights())

    whole = trained(4)
    assert trained(1, 3) == whole
    assert all(trained(4, n_threads=n) == whole for n in (2, 3, 4))


def test_frozen_layers_have_no_part_in_the_norm(backend: str) -> None:
    X, y = data(20, 6, 2)

    def first_step(trainable: bool) -> Array:
        own = [fb.Input(6), fb.Dense(8, "tanh", trainable=trainable), fb.Dense(2)]
        network = fb.Network(
            own, optimizer=fb.SGD(1.0, global_clipnorm=0.01), backend=backend, seed=1
        )
        before = network.get_weights()[2]
        network.train_on_batch(X, y)
        return np.asarray(before - network.get_weights()[2])

    assert np.linalg.norm(first_step(False)) > np.linalg.norm(first_step(True))


def test_wrong_bounds() -> None:
    with refuses(ValueError, "clipnorm must be finite and > 0, got 0"):
        fb.Adam(clipnorm=0)
    with refuses(ValueError, "at most one of clipvalue, clipnorm and global_clipnorm, got "
                 "clipvalue=1, global_clipnorm=2"):  # fmt: skip
        fb.SGD(clipvalue=1, global_clipnorm=2)
    with refuses(TypeError, "clipvalue must be a number, finite and > 0, got 'a'"):
        fb.SGD(clipvalue="a")  # type: ignore[arg-type]


def test_description() -> None:
    own = fb.AdamW(0.1, global_clipnorm=1.0, ema=0.99)
    network = fb.Network([2, 3, 1], optimizer=own, seed=0)
    assert fb.Network.from_config(network.get_config()).optimizer == own
    assert "global_clipnorm=1.0, ema=0.99" in repr(own)
    assert "clip" not in repr(fb.AdamW(0.1)) and "ema" not in str(fb.Adam().to_config())

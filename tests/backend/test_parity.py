"""Both backends train alike: the same order of rows, losses and parameters within rounding.

On top of the oracle, never instead of it: two backends can share a mistake.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.kernels import needs_kernels
from support.mark import slow_but
from support.random_network import Case, random_case
from support.tolerance import assert_different, assert_near

import fastbp as fb
from fastbp.random import permutation

pytestmark = needs_kernels

STEPS = 12
# layers, loss, rows, batch size: narrow and wide kernels, one block of rows and four,
# kernels whose gradient is summed where it is used
NETWORKS: list[tuple[list[Any], str, int, int]] = [
    ([fb.Input(4), fb.Dense(32, "tanh"), fb.Dense(16, "tanh"), fb.Dense(1)], "mse", 600, 200),
    ([fb.Input(4), fb.Dense(32, "gelu"), fb.Dense(16, "silu"), fb.Dense(1)], "huber", 900, 300),
    ([fb.Input(784), fb.Dense(280, "relu"), fb.Dense(10)], "cross_entropy", 64, 32),
    ([fb.Input(33), fb.Dense(300, "elu"), fb.Dense(48, "selu"), fb.Dense(3, "softmax")],
     "cross_entropy", 50, 13),
    ([fb.Input(20), fb.Dense(64, "relu"), fb.Residual([fb.Dense(64, "relu"), fb.Dense(64)]),
      fb.Branch([[fb.Dense(32, "tanh")], [fb.Dense(32, "softplus"), fb.Dense(32)], []]),
      fb.Dense(3)],
     "cross_entropy", 100, 32),
    ([fb.Input(7),
      fb.Residual([fb.Dense(17, "sigmoid", l2=0.01)], projection="auto", activation="leaky_relu"),
      fb.Branch([[fb.Dense(5)], [fb.Dense(5, "tanh", use_bias=False)]], merge="add"),
      fb.Dense(2, l1=0.001)],
     "binary_cross_entropy", 31, 8),
    ([fb.Input(1), fb.Dense(1)], "half_sse", 5, 1),
    # rows of 4096 bytes, which get a block more
    ([fb.Input(1024), fb.Dense(512, "sigmoid"), fb.Dense(1024, "softplus"), fb.Dense(2)],
     "mse", 12, 6),
    ([fb.Input(3), fb.Dense(512, "tanh"), fb.Dense(1024, "softmax")], "cross_entropy", 20, 10),
]  # fmt: skip


def data(layers: list[Any], loss: str, rows: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(rows)
    n_out = layers[-1].units
    X = rng.normal(size=(rows, layers[0].units))
    if fb.Loss(loss).domain == "class":
        return X, rng.integers(n_out, size=rows)
    if fb.Loss(loss).domain == "interval":
        return X, rng.integers(2, size=(rows, n_out)).astype(float)
    return X, rng.normal(size=(rows, n_out))


def pair(layers: list[Any], dtype: str, **options: Any) -> list[fb.Network]:
    """The same network on both backends; the initial values are equal to the bit."""
    nets = [
        fb.Network(layers, dtype=dtype, backend=name, seed=7, **options)
        for name in ("cython", "numpy")
    ]
    assert [net.backend for net in nets] == ["cython", "numpy"]
    for a, b in zip(nets[0].get_weights(), nets[1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    return nets


@pytest.mark.parametrize(
    "optimizer", [fb.SGD(0.02, momentum=0.9), fb.Adam(2e-3, epsilon=1e-3)], ids=repr
)
@pytest.mark.parametrize("index", slow_but([0, 1, 3, 4, 5, 6], range(len(NETWORKS))))
def test_fit(index: int, optimizer: Any, dtype: str) -> None:
    """Shuffled epochs with a last short batch and validation data: histories and parameters."""
    layers, loss, rows, batch_size = NETWORKS[index]
    X, y = data(layers, loss, rows)
    nets = pair(
        layers, dtype, loss=loss, optimizer=optimizer, metrics=["mae"] if loss == "mse" else []
    )
    start = nets[0].get_weights()
    epochs = 4
    for net in nets:
        net.fit(X, y, epochs=epochs, batch_size=batch_size, validation_data=(X, y), verbose=False)
    length = sum(w.shape[0] for w in start) + epochs * rows
    assert nets[0].history.epoch == nets[1].history.epoch == list(range(epochs))
    assert nets[0].history.history.keys() == nets[1].history.history.keys()
    for name, values in nets[0].history.history.items():
        other = nets[1].history.history[name]
        assert_near(
            values, other, dtype=dtype, length=length, magnitude=np.abs(other) + 1, name=name
        )
    for got, want, before in zip(nets[0].get_weights(), nets[1].get_weights(), start, strict=True):
        size = np.abs(want).max() + 0.1
        assert_near(got, want, dtype=dtype, length=length, magnitude=size)
        assert_different(want, before, dtype="float64", length=length, magnitude=size)
    assert nets[0].steps == nets[1].steps


@pytest.mark.parametrize("seed", slow_but(range(10), range(40)))
def test_fit_of_random_networks(seed: int) -> None:
    case: Case = random_case(1000 + seed)
    nets = pair(case.layers, "float64", loss=case.loss, optimizer=fb.SGD(0.01))
    for net in nets:
        net.set_weights(case.weights)
        net.fit(case.X, case.y, epochs=3, batch_size=16, verbose=False)
    losses = [net.history.history["loss"] for net in nets]
    length = 3 * (len(case.X) + sum(len(w) for w in case.weights))
    assert_near(
        losses[0], losses[1], dtype="float64", length=length, magnitude=np.abs(losses[1]) + 1
    )
    for got, want in zip(nets[0].get_weights(), nets[1].get_weights(), strict=True):
        assert_near(got, want, dtype="float64", length=length, magnitude=np.abs(want).max() + 1)


def test_rows_are_visited_in_the_order_of_the_seed(backend: str, dtype: str) -> None:
    """One row a batch: only the permutation of (seed, epoch) gives these parameters."""
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(9, 2)), rng.normal(size=9)
    layers = [fb.Input(2), fb.Dense(1)]
    options: dict[str, Any] = {
        "dtype": dtype,
        "backend": backend,
        "seed": 123,
        "optimizer": fb.SGD(0.2),
    }
    shuffled, explicit = fb.Network(layers, **options), fb.Network(layers, **options)
    shuffled.fit(X, y, epochs=3, batch_size=1, verbose=False)
    shuffled.fit(X, y, epochs=1, batch_size=4, verbose=False)
    for epoch in range(3):
        order = permutation(9, seed=123, epoch=epoch)
        explicit.fit(X, y, batches=[[i] for i in order.tolist()], verbose=False)
    order = permutation(9, seed=123, epoch=3).tolist()
    explicit.fit(X, y, batches=[order[:4], order[4:8], order[8:]], verbose=False)
    for got, want in zip(shuffled.get_weights(), explicit.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)
    other = fb.Network(layers, **options)
    other.fit(X, y, epochs=4, batch_size=1, shuffle=False, verbose=False)
    assert not np.array_equal(other.get_weights()[0], shuffled.get_weights()[0])


@given(
    rows=st.integers(1, 40),
    batch=st.integers(1, 50),
    width=st.integers(1, 40),
    seed=st.integers(0, 2**64 - 1),
)
def test_any_shape(rows: int, batch: int, width: int, seed: int) -> None:
    layers = [fb.Input(3), fb.Dense(width, "tanh"), fb.Dense(2)]
    rng = np.random.default_rng(rows)
    X, y = rng.normal(size=(rows, 3)), rng.normal(size=(rows, 2))
    found = []
    for name in ("cython", "numpy"):
        net = fb.Network(layers, dtype="float64", backend=name, seed=seed, optimizer=fb.SGD(0.05))
        mean = net.train_steps(X, y, steps=STEPS, batch_size=batch)
        assert net.steps == STEPS
        found.append((mean, *net.get_weights(), net.predict(X)))
    for got, want in zip(*found, strict=True):
        assert_near(
            got,
            want,
            dtype="float64",
            length=STEPS * (rows + width),
            magnitude=np.abs(want).max() + 0.1,
        )

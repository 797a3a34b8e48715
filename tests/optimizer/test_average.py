"""The exponential moving average of the parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.refusal import refuses
from support.tolerance import assert_near

import fastbp as fb

Array = NDArray[Any]


def trained(own: Any, *, backend: str, dtype: str, steps: int, rows: int = 20) -> fb.Network:
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(rows, 5)), rng.normal(size=(rows, 1))
    network = fb.Network(
        [5, 12, 1], activation="tanh", optimizer=own, dtype=dtype, backend=backend, seed=2
    )
    for _ in range(steps):
        network.train_on_batch(X, y)
    return network


@pytest.mark.parametrize("own", [fb.SGD, fb.Adam, fb.AdamW])
@pytest.mark.parametrize("rows", [2, 40])
def test_average_of_what_the_parameters_have_been(
    own: Any, rows: int, backend: str, dtype: str
) -> None:
    """By its definition: weights ema^(t - s), divided by their sum, of the parameters after s."""
    ema, steps = 0.7, 6
    past = [
        trained(own(0.05, ema=ema), backend=backend, dtype=dtype, steps=s, rows=rows).get_weights()
        for s in range(1, steps + 1)
    ]
    share = np.array([ema ** (steps - s) for s in range(1, steps + 1)])
    network = trained(own(0.05, ema=ema), backend=backend, dtype=dtype, steps=steps, rows=rows)
    for i, name in enumerate(network.parameters):
        values = np.array([weights[i] for weights in past], np.float64)
        want = np.tensordot(share / share.sum(), values, 1)
        size = np.abs(values).max(axis=0)
        got = network.optimizer_state[f"ema/{name}"]
        assert_near(got, want, dtype=dtype, length=8 * steps, magnitude=size, name=name)


def test_first_average_is_the_parameters(backend: str) -> None:
    network = trained(fb.SGD(0.1, ema=0.999), backend=backend, dtype="float64", steps=1)
    for name, view in network.parameters.items():
        assert_near(network.optimizer_state[f"ema/{name}"], view, dtype="float64", length=2)


def test_it_leaves_training_as_it_is(backend: str, dtype: str) -> None:
    plain, averaged = (
        trained(own, backend=backend, dtype=dtype, steps=3)
        for own in (fb.Adam(0.1), fb.Adam(0.1, ema=0.9))
    )
    for a, b in zip(plain.get_weights(), averaged.get_weights(), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("rows", [3, 64])
def test_threads_and_calls_change_no_bit(rows: int) -> None:
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(128, 5)), rng.normal(size=(128, 1))

    def state(*calls: int, n_threads: int = 1) -> bytes:
        network = fb.Network(
            [5, 40, 1],
            activation="relu",
            optimizer=fb.Adam(0.01, ema=0.9),
            backend="cython",
            seed=2,
        )
        for epochs in calls:
            network.fit(X, y, epochs=epochs, batch_size=rows, n_threads=n_threads, verbose=0)
        return b"".join(view.tobytes() for view in network.optimizer_state.values())

    whole = state(4)
    assert state(2, 2) == whole == state(4, n_threads=2) == state(4, n_threads=4)


def test_responses_of_the_average(backend: str, dtype: str) -> None:
    """`predict` and `evaluate` with it are those of a network with such parameters."""
    network = trained(fb.Adam(0.1, ema=0.8), backend=backend, dtype=dtype, steps=5)
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(30, 5)).astype(dtype), rng.normal(size=(30, 1)).astype(dtype)
    twin = network.copy()
    twin.set_weights(network.get_weights(ema=True))
    assert np.array_equal(network.predict(X, ema=True), twin.predict(X))
    assert network.evaluate(X, y, ema=True) == twin.evaluate(X, y)
    assert not np.array_equal(network.predict(X, ema=True), network.predict(X))
    network.train_on_batch(X, y)  # the average moves, and what answers from it with it
    assert not np.array_equal(network.predict(X, ema=True), twin.predict(X))


def test_file_and_pickle(backend: str, tmp_path: Path) -> None:
    network = trained(fb.SGD(0.1, momentum=0.9, ema=0.8), backend=backend, dtype="float32", steps=3)
    network.save(tmp_path / "model.npz")
    X = np.ones((2, 5), np.float32)
    twins = fb.Network.load(tmp_path / "model.npz", backend=backend), network.copy()
    for twin in twins:
        assert np.array_equal(twin.predict(X, ema=True), network.predict(X, ema=True))
    network.train_on_batch(X, [1.0, 2.0])
    for twin in twins:
        twin.train_on_batch(X, [1.0, 2.0])
        for name, view in network.optimizer_state.items():
            assert np.array_equal(twin.optimizer_state[name], view)


def test_refusals(backend: str) -> None:
    with refuses(ValueError, "ema must be in (0, 1), got 1"):
        fb.Adam(ema=1)
    network = fb.Network([2, 1], seed=0, backend=backend)
    text = "no average of parameters: the optimizer has no ema, as in fb.Adam(ema=0.999)"
    for call in (
        lambda: network.predict([[0, 0]], ema=True), lambda: network.get_weights(ema=True),
        lambda: network.evaluate([[0, 0]], [0], ema=True),
    ):  # fmt: skip
        with refuses(ValueError, text):
            call()
    waiting = fb.Network([2, 1], optimizer=fb.Adam(ema=0.9), seed=0, backend=backend)
    with refuses(RuntimeError, "no average of parameters before the first step"):
        waiting.predict([[0, 0]], ema=True)

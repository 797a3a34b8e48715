"""Layers that stay as they are, or learn at a rate of their own; weight decay of SGD."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.tolerance import assert_same_training

import fastbp as fb


def trained(layers: list[Any], own: Any, rows: int, backend: str, dtype: str) -> fb.Network:
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(3 * rows, 6)), rng.normal(size=(3 * rows, 2))
    network = fb.Network(layers, optimizer=own, dtype=dtype, backend=backend, seed=3)
    network.fit(X, y, epochs=2, batch_size=rows, verbose=False)
    return network


def stack(width: int, **first: Any) -> list[Any]:
    return [fb.Input(6), fb.Dense(width, "tanh", **first), fb.Dense(width, "tanh"), fb.Dense(2)]


# the latency path, rows in the lanes, data-parallel, weight-parallel
every_size = pytest.mark.parametrize(("width", "rows"), [(4, 3), (9, 20), (40, 20), (130, 20)])
every_optimizer = pytest.mark.parametrize(
    "own", [fb.SGD(0.1), fb.SGD(0.1, momentum=0.9), fb.Adam(0.01), fb.AdamW(0.01, weight_decay=0.1)]
)


@every_size
@every_optimizer
def test_a_frozen_layer_stays(own: Any, width: int, rows: int, backend: str, dtype: str) -> None:
    network = trained(stack(width, trainable=False), own, rows, backend, dtype)
    start = fb.Network(stack(width), dtype=dtype, backend=backend, seed=3)
    weights = zip(network.get_weights(), start.get_weights(), strict=True)
    same = [np.array_equal(a, b) for a, b in weights]
    assert same == [True, True, False, False, False, False]
    for name, view in network.optimizer_state.items():
        assert bool(np.any(view)) == ("dense_1" not in name)


@every_size
def test_a_multiplier_is_another_learning_rate(
    width: int, rows: int, backend: str, dtype: str
) -> None:
    """SGD: a tenth of the rate is a tenth of the step, and the rest of a first step is the same."""
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(rows, 6)), rng.normal(size=(rows, 2))
    steps = []
    for multiplier in (1.0, 0.1):
        network = fb.Network(
            stack(width, learning_rate_multiplier=multiplier), optimizer=fb.SGD(0.5), dtype=dtype,
            backend=backend, seed=3,
        )  # fmt: skip
        before = network.get_weights()
        network.train_on_batch(X, y)
        steps.append([a - b for a, b in zip(network.get_weights(), before, strict=True)])
    for i, (whole, tenth) in enumerate(zip(*steps, strict=True)):
        part = 0.1 if i < 2 else 1.0
        assert_same_training(tenth + 1, part * whole + 1, dtype=dtype)


@every_size
def test_adam_at_a_multiple_of_the_rate(width: int, rows: int, backend: str, dtype: str) -> None:
    """All layers at twice a rate are a network at that rate, to the last bits."""
    twice = [
        layer if isinstance(layer, fb.Input) else fb.Dense(
            layer.units, layer.activation, learning_rate_multiplier=2.0)
        for layer in stack(width)
    ]  # fmt: skip
    one = trained(twice, fb.AdamW(0.01, weight_decay=0.1), rows, backend, dtype)
    other = trained(stack(width), fb.AdamW(0.02, weight_decay=0.1), rows, backend, dtype)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(a, b)


@every_size
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_decay_of_sgd_is_l2_of_every_kernel(
    momentum: float, width: int, rows: int, backend: str, dtype: str
) -> None:
    own = fb.SGD(0.1, momentum=momentum, weight_decay=0.05)
    one = trained(stack(width), own, rows, backend, dtype)
    penalised = [
        layer if isinstance(layer, fb.Input) else fb.Dense(layer.units, layer.activation, l2=0.05)
        for layer in stack(width)
    ]
    other = trained(penalised, fb.SGD(0.1, momentum=momentum), rows, backend, dtype)
    plain = trained(stack(width), fb.SGD(0.1, momentum=momentum), rows, backend, dtype)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(one.get_weights()[0], plain.get_weights()[0])
    biases = trained(
        stack(width), fb.SGD(0.1, weight_decay=0.05, decay_bias=True), rows, backend, dtype
    )
    assert not np.array_equal(biases.get_weights()[1], one.get_weights()[1])


def test_description() -> None:
    layer = fb.Dense(3, trainable=False, learning_rate_multiplier=0.5)
    network = fb.Network([fb.Input(2), layer, fb.Dense(1)], seed=0)
    first, second = fb.Network.from_config(network.get_config()).layers[1:]
    assert isinstance(first, fb.Dense) and isinstance(second, fb.Dense)
    assert (first.trainable, first.learning_rate_multiplier) == (False, 0.5)
    assert second.trainable and second.learning_rate_multiplier == 1.0
    assert "trainable" not in str(fb.Dense(3).to_config())  # which older versions write too
    assert repr(layer) == "Dense(3, trainable=False, learning_rate_multiplier=0.5)"

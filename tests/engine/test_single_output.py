"""A single output's rows lie side by side in a step: the bits of a trace, where they do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.kernels import needs_kernels
from support.tolerance import assert_near

import fastbp as fb
from fastbp.runtime import engine_cache

LOSSES = ("mse", "mae", "huber", "binary_cross_entropy")
ROWS = (2, 12, 13, 16, 31, 33, 64, 200, 431)
# 37 inputs are wider than the latency path and rows in the lanes; the last has a skip connection
LAYERS: dict[str, list[Any]] = {
    "tanh": [fb.Input(37), fb.Dense(48, "tanh"), fb.Dense(16, "tanh"), fb.Dense(1)],
    "relu": [fb.Input(37), fb.Dense(33, "relu"), fb.Dense(1)],
    "residual": [fb.Input(37), fb.Residual([fb.Dense(9, "silu"), fb.Dense(37)]), fb.Dense(1)],
}


def data(rows: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(rows)
    X, y = rng.normal(size=(rows, 37)), rng.uniform(size=(rows, 1))
    return X.astype(dtype), y.astype(dtype)


@needs_kernels
@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_has_the_bits_of_a_trace(layers: list[Any], loss: str, dtype: str) -> None:
    """SGD at a rate of 1 subtracts the gradient itself.  Of more row blocks it is another sum."""
    compared = 0
    for rows in ROWS:
        X, y = data(rows, dtype)
        network = fb.Network(layers, loss=loss, optimizer=fb.SGD(1), dtype=dtype, seed=3)
        plan = engine_cache.training_plan(network._state, rows, 1)[0]
        if plan.block_rows < rows:
            continue
        before = {name: value.copy() for name, value in network.parameters.items()}
        traced = network.trace(X, y)
        assert_near(network.train_on_batch(X, y), traced["loss"], dtype="float64", length=1)
        for name, parameter in network.parameters.items():
            assert np.array_equal(parameter, before[name] - traced[name]), (rows, name)
        compared += 1
    assert compared >= 4


@needs_kernels
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("layout", ["rows", "spread", "shuffled"])
def test_targets_of_any_layout(loss: str, layout: str, dtype: str) -> None:
    X, y = data(200, dtype)
    given, options = y, {"shuffle": layout == "shuffled"}
    if layout == "spread":
        given = np.repeat(y, 3, axis=0)[::3]
    networks = [fb.Network([37, 40, 1], loss=loss, dtype=dtype, seed=3) for _ in range(2)]
    for network, target in zip(networks, (y, given), strict=True):
        network.fit(X, target, epochs=2, batch_size=48, verbose=False, **options)
    for own, other in zip(*(network.get_weights() for network in networks), strict=True):
        assert np.array_equal(own, other)
    weighted = fb.Network([37, 40, 1], loss=loss, dtype=dtype, seed=3)
    weighted.fit(
        X, y, epochs=2, batch_size=48, verbose=False, sample_weight=np.ones(200), **options
    )
    for own, other in zip(networks[0].get_weights(), weighted.get_weights(), strict=True):
        assert np.array_equal(own, other)

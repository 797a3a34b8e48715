"""Initial values drawn together have the bits of those drawn one by one."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from support.refusal import refuses

import fastbp as fb
from fastbp import random
from fastbp.initializer import NAMES
from fastbp.plan import start
from fastbp.plan.parameter import ParameterLayout
from fastbp.plan.start import Start


def _one_by_one(layout: ParameterLayout, seed: int) -> np.ndarray:
    flat = np.zeros(layout.size, layout.dtype)
    for index, tensor in enumerate(layout.tensors):
        tensor.view(flat)[...] = tensor.initial.value(tensor.shape, seed=seed, index=index)
    return flat


INITIALIZERS = [None, *NAMES, 0.5, fb.VarianceScaling(1e-3, mode="fan_avg", distribution="uniform")]


@pytest.mark.parametrize("initializer", INITIALIZERS, ids=repr)
@pytest.mark.parametrize("few", [0, 60, 2**12])
def test_bits(initializer, few, dtype, monkeypatch):
    monkeypatch.setattr(start, "_FEW", few)
    layers = [
        fb.Input(7),
        fb.Dense(9, "relu", weights=np.arange(63).reshape(7, 9)),
        fb.Residual([fb.Dense(8, "tanh"), fb.Dense(9)]),
        fb.Dense(3, bias=[1, 2, 3]),
    ]
    net = fb.Network(layers, kernel_initializer=initializer, dtype=dtype, seed=2**64 - 1)
    layout = net._state.layout
    for seed in (0, 2**64 - 1):
        flat = np.zeros(layout.size, dtype)
        Start(layout).fill(flat, seed=seed)
        assert flat.tobytes() == _one_by_one(layout, seed).tobytes()
    assert flat.tobytes() == net._state.parameters.tobytes()


def test_streams_that_take_turns():
    """A source is used again, by other threads too, and each stream begins where it should."""
    keys = [(seed, purpose, epoch) for seed in (1, 2**63) for purpose in (1, 2) for epoch in (0, 9)]
    alone = {key: np.random.Philox(key=key[0] + (key[1] * 2**32 + key[2]) * 2**64) for key in keys}
    expected = {key: source.random_raw(50).tolist() for key, source in alone.items()}
    wrong = []

    def draw():
        for _ in range(50):
            for key in keys:
                n = 1 + (key[2] * 7) % 50
                if random.raw(*key, n).tolist() != expected[key][:n]:
                    wrong.append(key)

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_does_not_fit_the_dtype():
    for scale, distribution in ((1e80, "uniform"), (1e80, "normal")):
        initializer = fb.VarianceScaling(scale, distribution=distribution)
        with pytest.raises(ValueError, match="^initial dense_1/kernel.* does not fit float32$"):
            fb.Network([4, 3], kernel_initializer=initializer, seed=0)
        fb.Network([4, 3], kernel_initializer=initializer, dtype="float64", seed=0)
    with refuses(ValueError, "initial dense_1/kernel[0, 0] = 1e+300 does not fit float32"):
        fb.Network([4, 3], kernel_initializer=1e300)

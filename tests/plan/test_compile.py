"""What a plan takes from the network, the optimizer and the purpose."""

from dataclasses import dataclass

import numpy as np
import pytest
from support.tolerance import assert_near, assert_same_training

import fastbp as fb
from fastbp.activation import ACTIVATIONS
from fastbp.runtime import engine_cache


@dataclass(frozen=True, repr=False)
class WholeAdam(fb.Adam):
    """Adam, as if its step depended on the gradients of all parameters."""

    wants_whole_gradient = True


@dataclass(frozen=True, repr=False)
class WholeSGD(fb.SGD):
    wants_whole_gradient = True


def _trained(sizes, optimizer, rows, dtype, backend):
    network = fb.Network(
        sizes, activation="tanh", optimizer=optimizer, dtype=dtype, seed=0, backend=backend
    )
    random = np.random.default_rng(0)
    X, y = random.standard_normal((3 * rows, sizes[0])), random.standard_normal((3 * rows, 1))
    network.fit(X, y, epochs=2, batch_size=rows, verbose=False)
    plan = engine_cache.training_plan(network._state, rows, 1)[0]
    return network, plan


@pytest.mark.parametrize("rows", [1, 20, 64])
@pytest.mark.parametrize(
    "usual, whole", [(fb.Adam(), WholeAdam()), (fb.SGD(momentum=0.5), WholeSGD(momentum=0.5))]
)
def test_whole_gradient(usual, whole, rows, dtype, backend):
    """No regime in which an update begins before every gradient is known; the same results."""
    sizes = [70, 130, 1]
    first, shared = _trained(sizes, usual, rows, dtype, backend)
    second, held = _trained(sizes, whole, rows, dtype, backend)
    assert shared.weight_parallel and not held.weight_parallel
    assert held.arena.transposes - held.arena.gradient >= first._state.layout.size
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        assert_same_training(a, b, dtype=dtype)
    assert second.plan(rows).regime == "data-parallel"
    assert "whole gradient" in str(second.plan(rows)) and first.plan(rows).regime != "data-parallel"


def test_whole_gradient_of_few_rows(dtype, backend):
    """Nor the latency path, which updates a layer before it knows the gradient of the one below."""
    first, shared = _trained([3, 5, 1], fb.Adam(), 4, dtype, backend)
    second, held = _trained([3, 5, 1], WholeAdam(), 4, dtype, backend)
    assert shared.latency_rows == 8 and held.latency_rows == 0
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_named_buffers():
    """Those of a trace have memory of their own, but for what is the same number."""
    layers = [fb.Input(3), fb.Dense(4, "tanh"), fb.Residual([fb.Dense(4)]), fb.Dense(2, name="end")]
    state = fb.Network(layers, loss="cross_entropy", seed=0)._state
    for purpose in ("train", "predict", "manual"):
        assert engine_cache.engine(state, purpose, 5)[1].buffers == {}
    plan = engine_cache.engine(state, "trace", 5)[1]
    parts = [f"{name}/{part}" for name in ("dense_1", "dense_2") for part in ("z", "a", "da", "dz")]
    # the loss fuses the softmax: its gradient is that by the logits
    assert list(plan.buffers) == [*parts, "end/z", "end/a", "end/dz", "output"]
    assert plan.buffers["end/a"] is plan.buffers["output"]
    offsets = [plan.buffers[f"dense_1/{part}"].offset for part in ("z", "a", "da", "dz")]
    assert len(set(offsets)) == 4


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_where_a_slope_is_kept(name, backend):
    """In the place of the pre-activation, unless that is shown; nowhere without a way back."""
    layers = [fb.Input(3), fb.Residual([fb.Dense(3, name)], activation=name), fb.Dense(2)]
    network = fb.Network(layers, loss="mse", seed=0, backend=backend)
    keeps = fb.Activation(name).keeps_slope
    for purpose in ("train", "manual", "trace", "predict"):
        plan = engine_cache.engine(network._state, purpose, 4)[1]
        own = [op for op in plan.forward.operations if op.activation.name == name != "linear"]
        assert len(own) == 2 or name == "linear"
        for op in own:
            assert (op.slope >= 0) == (keeps and purpose != "predict")
            assert (op.z >= 0) == (keeps or purpose == "trace")
            assert op.slope < 0 or (op.slope == op.z) == (purpose != "trace")
    X = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    found, (kernel, bias) = network.trace(X, np.zeros((4, 2))), network.get_weights()[:2]
    shown = next(key for key in found if key.endswith("/z"))
    assert_near(found[shown], X @ kernel + bias, dtype="float32", length=4, magnitude=4)


def test_flops_of_layers():
    """A projection reads what its block reads, here the network's input."""
    layers = [fb.Input(3), fb.Residual([fb.Dense(4), fb.Dense(5)], projection="auto"), fb.Dense(2)]
    plan = engine_cache.training_plan(fb.Network(layers, seed=0)._state, 1, 1)[0]
    assert plan.flops == {"dense_1": 48, "dense_2": 120, "dense_3": 60, "dense_4": 60}


def test_order_and_decay_of_tensors():
    """In the order of the layers, a block's projection behind what it leads around."""
    layers = [
        fb.Input(3),
        fb.Residual([fb.Dense(4, name="inner"), fb.Dense(5, use_bias=False)], projection="auto"),
        fb.Dense(2),
    ]
    tensors = fb.Network(layers, seed=0)._state.layout.tensors
    assert [(tensor.name, tensor.decays) for tensor in tensors] == [
        ("inner/kernel", True), ("inner/bias", False), ("dense_2/kernel", True),
        ("dense_3/kernel", True), ("dense_4/kernel", True), ("dense_4/bias", False),
    ]  # fmt: skip

"""Networks of one description share what their layers are lowered to, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import fastbp as fb
from fastbp.layer import architecture
from fastbp.plan.threshold import FEW_OUTPUTS


def _lowered(layers, **options) -> architecture.Architecture:
    return fb.Network(layers, seed=0, **options)._state.architecture


def _chain(**options) -> list[fb.Layer]:
    return [fb.Input(4), fb.Dense(6, "relu", **options), fb.Dense(2)]


def test_the_same_description_is_lowered_once():
    first = _lowered(_chain())
    assert first is _lowered(_chain()) is _lowered([4, 6, 2]) is _lowered((4, np.int64(6), 2))
    assert first is _lowered([4, 6, 2], optimizer="sgd", backend="numpy")
    assert first is fb.Network(_chain(), seed=5)._state.architecture


@pytest.mark.parametrize(
    "options",
    [
        {"name": "first"},
        {"l2": 0.1},
        {"l1": 0.1},
        {"use_bias": False},
        {"regularize_bias": True},
        {"kernel_initializer": "zeros"},
        {"bias_initializer": 1.0},
        {"weights": np.ones((4, 6))},
        {"bias": np.ones(6)},
        {"activation": fb.Activation("relu")},
    ],
    ids=str,
)
def test_what_differs_is_lowered_apart(options):
    plain = _lowered(_chain())
    if "activation" in options:  # the same in other words
        layers = [fb.Input(4), fb.Dense(6, options["activation"]), fb.Dense(2)]
        assert _lowered(layers) is plain
        return
    found = _lowered(_chain(**options))
    assert found is not plain
    again = _lowered(_chain(**options))
    assert (again is found) == (not {"weights", "bias"} & options.keys())
    for key in ({"dtype": "float64"}, {"loss": "mae"}, {"loss": fb.Loss("huber", delta=2)}):
        assert _lowered(_chain(), **key) is not plain


def test_other_layers_are_lowered_for_each_network():
    layers = [fb.Input(4), fb.Residual([fb.Dense(4)]), fb.Dense(2)]
    assert _lowered(layers) is not _lowered(layers)

    @dataclass(frozen=True, init=False, eq=False, repr=False)
    class Other(fb.Dense):
        def lower(self, graph, value):
            return super().lower(graph, value)

    layers = [fb.Input(4), Other(2)]
    assert _lowered(layers) is not _lowered(layers)


def test_initial_values_differ_by_the_seed_alone():
    drawn = {seed: fb.Network([4, 6, 2], seed=seed).get_weights()[0].tobytes() for seed in (0, 1)}
    assert drawn[0] != drawn[1]
    assert fb.Network(_chain(), seed=1).get_weights()[0].tobytes() == drawn[1]


def test_networks_that_share_train_apart(backend):
    X, y = np.random.default_rng(0).standard_normal((2, 12, 3))
    nets = [fb.Network([3, 5, 3], seed=0, backend=backend) for _ in range(3)]
    nets[0].fit(X, y, verbose=False)
    nets[1].fit(X, y, epochs=2, verbose=False)
    weights = [net.get_weights()[0].tobytes() for net in nets]
    assert len(set(weights)) == 3


def test_a_zero_has_no_sign():
    """-0.0 == 0.0, but they are different bits."""
    for first, then in ((-0.0, 0.0), (0.0, -0.0)):
        for value in (first, then):
            net = fb.Network([3, 2], kernel_initializer=value, bias_initializer=value, seed=0)
            assert not np.signbit(net._state.parameters).any()


def test_a_threshold_that_moves(monkeypatch):
    plain = _lowered([4, 6, 2])
    monkeypatch.setattr(FEW_OUTPUTS, "value", FEW_OUTPUTS.value + 100)
    moved = _lowered([4, 6, 2])
    assert moved is not plain and moved.layout.tensors[0].by_columns


def test_no_more_are_kept_than_some(monkeypatch):
    monkeypatch.setattr(architecture, "_known", {})
    monkeypatch.setattr(architecture, "_MOST_KNOWN", 3)
    for width in range(1, 9):
        _lowered([width, 2])
        assert len(architecture._known) <= 3


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_declared(loss):
    net = fb.Network([fb.Input(3), fb.Dense(2, "softmax" if loss != "mse" else "tanh")], loss=loss)
    state = net._state
    assert (state.declared is state.graph) == (not state.graph.fused)
    assert not state.declared.fused
    assert state.declared.nodes[-1].activation.name == state.graph.declared

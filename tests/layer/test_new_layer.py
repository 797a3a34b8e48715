"""A class of layers is one place: what fastbp knows of layers it asks the layer."""

from dataclasses import dataclass

import numpy as np
import pytest
from support.tolerance import assert_near, depth, eps

import fastbp as fb
from fastbp.layer.base import KINDS, Layer, layer_from_config, set_fields
from fastbp.plan.node import AddNode


@pytest.fixture
def twice():
    """A layer of existing operations: activation(2 x)."""
    before = dict(KINDS)

    @dataclass(frozen=True)
    class Twice(Layer):
        kind = "twice"

        activation: fb.Activation

        def __post_init__(self):
            set_fields(self, activation=fb.activation.resolve_activation(self.activation))

        def lower(self, graph, value):
            out = graph.value(graph.width[value])
            return graph.add(AddNode((value, value), out, self.activation))

    yield Twice
    KINDS.clear()
    KINDS.update(before)


def _network(twice, backend, dtype="float64"):
    body = [fb.Dense(4, "tanh"), twice("sigmoid"), fb.Dense(5)]
    layers = [fb.Input(5), fb.Residual(body), fb.Branch([[twice("tanh")], []]), fb.Dense(2)]
    return fb.Network(layers, dtype=dtype, seed=0, backend=backend)


def test_what_it_computes(twice, backend):
    network = _network(twice, backend)
    x = np.random.default_rng(0).standard_normal((7, 5))
    p = network.parameters
    hidden = np.tanh(x @ p["dense_1/kernel"] + p["dense_1/bias"])
    hidden = 1 / (1 + np.exp(-2 * hidden))
    x = x + hidden @ p["dense_2/kernel"] + p["dense_2/bias"]
    x = np.concatenate([np.tanh(2 * x), x], axis=1) @ p["dense_3/kernel"] + p["dense_3/bias"]
    found = network.predict(np.random.default_rng(0).standard_normal((7, 5)))
    assert_near(found, x, dtype="float64", length=depth([5, 4, 5], 1), magnitude=np.abs(x) + 1)


def test_gradients_and_training(twice, backend):
    network = _network(twice, backend)
    random = np.random.default_rng(1)
    X, y = random.standard_normal((40, 5)), random.standard_normal((40, 2))
    assert network.check_gradients(X, y) < eps("float64") ** (1 / 3)
    losses = network.fit(X, y, epochs=30, batch_size=8, verbose=False).history["loss"]
    assert losses[-1] < losses[0]


def test_description(twice, backend, tmp_path, capsys):
    network = _network(twice, backend, "float32")
    assert layer_from_config(twice("elu").to_config()) == twice("elu")
    assert fb.Network.from_config(network.get_config()).layers == network.layers
    network.save(tmp_path / "network.fbp")
    assert fb.Network.load(tmp_path / "network.fbp").layers == network.layers
    network.summary()
    assert [line for line in capsys.readouterr().out.splitlines() if "twice" in line] == [
        "  twice", "  twice"
    ]  # fmt: skip
    assert "5-(4-twice-5)+-(twice|)-2" in repr(network)
    assert network.plan(8).n_blocks == 1
    with pytest.raises(TypeError, match="must be a Dense, .*, Branch.* or Twice, got 3"):
        fb.Residual([3])


def test_kinds_are_told_apart(twice):
    with pytest.raises(TypeError, match="two classes of layers are of kind 'twice'"):
        type("Other", (Layer,), {"kind": "twice"})

"""reset, update_from, copy, set_weights: all numbers at once."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from support.network_state import digest
from support.refusal import bad_input, refused, refuses
from support.training_case import CASES, each_case

import fastbp as fb
from fastbp.plan.start import Start

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.standard_normal((2, 30, 4))


def _net(seed=0, **options) -> fb.Network:
    return fb.Network([4, 6, 4], seed=seed, **options)


@pytest.fixture
def net(backend, dtype):
    return _net(dtype=dtype, backend=backend)


# reset


def test_reset_is_a_new_network(net, backend, dtype):
    fresh, other = digest(net), digest(_net(7, dtype=dtype, backend=backend))
    assert fresh != other
    for seed, expected in ((None, fresh), (7, other), (None, other), (0, fresh)):
        net.fit(X, Y, batch_size=7, verbose=False)
        net.forward(X)
        net.backward(Y)
        engines = dict(net._state.engines)
        net.reset(seed=seed)
        assert digest(net) == expected and net.steps == 0
        assert net.history.history == {}
        assert net._state.engines == engines
        for call in (lambda: net.gradients, net.step, lambda: net.backward(Y)):
            with pytest.raises(RuntimeError, match="before"):
                call()
    assert net.seed == net.get_config()["seed"] == 0


def test_after_reset_it_trains_alike(net, backend, dtype):
    net.fit(X, Y, epochs=2, batch_size=7, verbose=False)
    net.reset(seed=3)
    new = _net(3, dtype=dtype, backend=backend)
    for one in (net, new):
        one.fit(X, Y, epochs=2, batch_size=7, verbose=False)
        one.train_on_batch(X, Y)
    assert digest(net) == digest(new)


@each_case
def test_reset_of_every_kind(name, backend):
    net = CASES[name].network("float32", backend=backend)
    fresh = digest(net)
    for parameter in net.parameters.values():
        parameter[...] += 1
    assert digest(net) != fresh
    net.reset()
    assert digest(net) == fresh


def test_given_values_come_back(backend):
    layers = [fb.Input(2), fb.Dense(1, weights=[[1], [2]], bias=[3])]
    net = fb.Network(layers, seed=0, backend=backend)
    copied = net.copy()
    for one in (net, copied):
        one.set_weights([[[0], [0]], [0]])
        one.reset(seed=5)
        assert [w.ravel().tolist() for w in one.get_weights()] == [[1, 2], [3]]


def test_reset_draws_a_seed_from_a_generator(net):
    net.reset(seed=np.random.default_rng(3))
    assert net.seed == int(np.random.default_rng(3).integers(0, 2**64, dtype=np.uint64))
    before = digest(net), net.seed
    with pytest.raises(ValueError, match="^seed must be"):
        net.reset(seed=-1)
    assert before == (digest(net), net.seed)


# update_from


def test_update_from(net, dtype):
    other = _net(1, dtype=dtype, backend="numpy")
    old, new = net.get_weights(), other.get_weights()
    optimizer = digest(net)
    net.update_from(other, tau=0)
    assert digest(net) == optimizer
    net.update_from(other, tau=0.25)
    for own, a, b in zip(net.get_weights(), new, old, strict=True):
        assert own.dtype == dtype
        assert (own == a * np.dtype(dtype).type(0.25) + b * np.dtype(dtype).type(0.75)).all()
    net.update_from(other)
    assert digest(net) == digest(other)
    net.update_from(other, tau=np.float32(1))
    net.update_from(net)
    net.update_from(net, tau=0.3)
    assert digest(net) == digest(other)
    assert all((a == b).all() for a, b in zip(other.get_weights(), new, strict=True))


def test_only_the_parameters_follow(net, dtype):
    other = _net(1, dtype=dtype)
    other.fit(X, Y, verbose=False)
    net.train_on_batch(X, Y)
    held = {name: view.copy() for name, view in net.optimizer_state.items()}
    net.update_from(other)
    assert net.steps == 1
    assert all((net.optimizer_state[name] == held[name]).all() for name in held)


def test_networks_described_in_another_way(net, dtype):
    """What must be alike is where the parameters lie, neither names nor losses."""
    layers = [fb.Input(4), fb.Dense(6, "tanh", name="a"), fb.Dense(4, weights=np.eye(6, 4))]
    other = fb.Network(layers, loss="cross_entropy", optimizer="sgd", dtype=dtype, seed=2)
    net.update_from(other)
    for own, given in zip(net.get_weights(), other.get_weights(), strict=True):
        assert (own == given).all()


@bad_input("network to follow")
def test_bad_updates(net, dtype):
    other = {"float32": "float64", "float64": "float32"}[dtype]
    refused(net, lambda: net.update_from(_net(dtype=other)), ValueError, f"^other is {other}, th")
    wide = fb.Network([4, 5, 4], dtype=dtype, seed=0)
    text = r"^dense_1/kernel of other is \(4, 5\), dense_1/kernel of this network \(4, 6\)$"
    refused(net, lambda: net.update_from(wide), ValueError, text)
    deep = fb.Network([4, 6, 6, 4], dtype=dtype, seed=0)
    text = "^other has 6 kernels and biases, this network 4$"
    refused(net, lambda: net.update_from(deep), ValueError, text)
    text = "^other must be a Network, got "
    refused(net, lambda: net.update_from(net.get_weights()), TypeError, text)
    for tau, error in ((1.5, ValueError), (-0.1, ValueError), (np.nan, ValueError),
                       ("1", TypeError), (True, TypeError)):  # fmt: skip
        refused(net, lambda tau=tau: net.update_from(_net(dtype=dtype), tau=tau), error, "^tau m")


@bad_input("busy")
def test_both_networks_are_guarded(net, dtype):
    other = _net(1, dtype=dtype)
    for busy in (net, other):
        busy._state.guard.writers.add("a call")
        refuse = pytest.raises(fb.ModelBusyError, match="in use by")
        before = net._state.parameters.tobytes()
        with refuse:
            net.update_from(other)
        busy._state.guard.writers.clear()
        assert net._state.parameters.tobytes() == before
        assert not net._state.guard.writers and not other._state.guard.readers
    other._state.guard.readers.add("a call")
    net.update_from(other)  # others may read it


# set_weights


def test_set_weights_of_either_type(net, dtype):
    weights = [value.astype("float64") + 1e-9 for value in net.get_weights()]
    net.set_weights(weights)
    for own, given in zip(net.get_weights(), weights, strict=True):
        assert own.tobytes() == given.astype(dtype).tobytes()
    net.set_weights(tuple(value.astype("float32") for value in weights))
    net.set_weights([value.tolist() for value in weights])
    for own, given in zip(net.get_weights(), weights, strict=True):
        assert own.tobytes() == given.astype(dtype).tobytes()


def test_set_weights_to_the_networks_own_views(net):
    kept = net.get_weights()
    views = list(net.parameters.values())
    net.set_weights(views)
    assert all((a == b).all() for a, b in zip(net.get_weights(), kept, strict=True))


@bad_input("weights")
@pytest.mark.parametrize("given_type", ["float32", "float64"])
def test_bad_weights(net, given_type):
    weights = [value.astype(given_type) for value in net.get_weights()]
    for bad in (np.nan, np.inf):
        weights[1][2] = bad
        refused(net, lambda: net.set_weights(weights), ValueError, "^Input dense_1/bias contains ")
    weights[1][2] = 0
    if given_type == "float64" and net.dtype == np.float32:
        weights[2][1, 1] = 1e300
        text = r"^dense_2/kernel\[1, 1\] = 1e\+300 does not fit float32$"
        refused(net, lambda: net.set_weights(weights), ValueError, text)
    with refuses(ValueError, "dense_1/kernel is (4, 6), got (6, 4): transposed? pass its .T"):
        net.set_weights([weights[0].T, *weights[1:]])


# copies


def test_copies_draw_nothing(net, monkeypatch, tmp_path):
    net.fit(X, Y, verbose=False)
    net.save(tmp_path / "net")
    held = pickle.dumps(net)

    def draw(*args, **options):
        raise AssertionError("initial values were drawn")

    monkeypatch.setattr(Start, "fill", draw)
    for twin in (net.copy(), copy.deepcopy(net), pickle.loads(held)):
        assert digest(twin) == digest(net) and twin.backend == net.backend
        assert twin.parameters["dense_1/kernel"].base is not net.parameters["dense_1/kernel"].base
    loaded = fb.Network.load(tmp_path / "net", backend=net.backend)
    assert digest(loaded) == digest(net)


def test_subclasses_are_kept(backend, tmp_path):
    class Plain(fb.Network):
        pass

    class Own(fb.Network):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            self.made = True

    for kind in (Plain, Own):
        net = kind([4, 2], seed=0, backend=backend)
        net.save(tmp_path / "net")
        for twin in (net.copy(), kind.load(tmp_path / "net"), copy.deepcopy(net),
                     kind.from_config(net.get_config())):  # fmt: skip
            assert type(twin) is kind and digest(twin) == digest(net)
            assert kind is Plain or twin.made

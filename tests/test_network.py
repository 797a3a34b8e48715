"""What the verbs of Network promise, on both backends."""

import copy
import json
import pickle

import numpy as np
import pytest
from support.network_state import classification, digest
from support.tolerance import assert_near, assert_rounded, assert_same_training, eps
from support.training_case import CASES, each_case

import fastbp as fb

X, Y = classification(50, 5, 3)


def _softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


# use


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("declared", [True, False])
def test_response_and_output(loss, declared, backend):
    """predict gives probabilities either way; net(X) and forward what the layers say."""
    activation = {"cross_entropy": "softmax", "binary_cross_entropy": "sigmoid"}[loss]
    layers = [fb.Input(5), fb.Dense(3, activation if declared else "linear")]
    network = fb.Network(layers, loss=loss, dtype="float64", seed=0, backend=backend)
    kernel, bias = network.get_weights()
    z = X @ kernel + bias
    probability = _softmax(z) if loss == "cross_entropy" else 1 / (1 + np.exp(-z))
    said = probability if declared else z
    for got, want in (
        (network.predict(X), probability),
        (network(X), said),
        (network.forward(X), said),
    ):
        assert_near(got, want, dtype="float64", length=4 * 5)


def test_declared_and_implied_output_train_alike(backend):
    networks = [
        fb.Network([fb.Input(5), fb.Dense(3, name)], loss="cross_entropy", seed=0, backend=backend)
        for name in ("softmax", "linear")
    ]
    for network in networks:
        network.fit(X, Y, epochs=3)
    assert digest(networks[0]) == digest(networks[1])


def test_predict_classes(backend):
    network = fb.Network([5, 3], loss="cross_entropy", seed=0, backend=backend)
    assert (network.predict_classes(X) == network.predict(X).argmax(axis=1)).all()
    binary = fb.Network([5, 1], loss="binary_cross_entropy", seed=0, backend=backend)
    assert (binary.predict_classes(X) == (binary.predict(X)[:, 0] >= 0.5)).all()
    assert binary.predict_classes(X).dtype == np.int64 and binary.predict_classes(X).shape == (50,)


def test_evaluate(backend):
    network = fb.Network([5, 3], metrics=["mae", "mse"], dtype="float64", seed=0, backend=backend)
    y = np.random.default_rng(1).standard_normal((50, 3))
    found = network.evaluate(X, y)
    error = network.predict(X) - y
    assert list(found) == ["loss", "mae", "mse"]
    for key, value in (
        ("mae", np.abs(error).mean()),
        ("mse", (error**2).mean()),
        ("loss", (error**2).mean()),
    ):
        assert_near(found[key], value, dtype="float64", length=error.size)
    labels = fb.Network([5, 3], loss="cross_entropy", metrics=["acc"], seed=0, backend=backend)
    found = labels.evaluate(X, Y)
    assert found["accuracy"] == (labels.predict_classes(X) == Y).mean()


def test_penalties_are_not_in_the_loss(backend):
    def make(l2):
        layers = [fb.Input(5), fb.Dense(3, l2=l2, weights=np.ones((5, 3)))]
        return fb.Network(layers, dtype="float64", optimizer=fb.SGD(0.1), seed=0, backend=backend)

    plain, decayed = make(0.0), make(0.5)
    y = np.zeros((50, 3))
    assert plain.evaluate(X, y) == decayed.evaluate(X, y)
    assert plain.train_on_batch(X, y) == decayed.train_on_batch(X, y)
    apart = plain.get_weights()[0] - decayed.get_weights()[0]
    expected = np.full((5, 3), 0.1 * 0.5)
    assert_rounded(apart, expected, dtype="float64", roundings=4, magnitude=np.ones((5, 3)))
    assert (plain.get_weights()[1] == decayed.get_weights()[1]).all()


def test_out(network):
    out = np.full((50, 3), np.nan, np.float32)
    assert network.predict(X, out=out) is out
    assert out.tobytes() == network.predict(X).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_check_gradients(dtype, backend):
    layers = [
        fb.Input(3),
        fb.Dense(4, "gelu", l2=0.1),
        fb.Residual([fb.Dense(4, "tanh")]),
        fb.Dense(2),
    ]
    network = fb.Network(layers, dtype=dtype, seed=0, backend=backend)
    before = digest(network)
    assert network.check_gradients(X[:7, :3], np.ones((7, 2))) < eps("float64") ** (1 / 3)
    assert digest(network) == before


# parameters


def test_views_are_the_parameters(network):
    assert list(network.parameters) == [
        "dense_1/kernel",
        "dense_1/bias",
        "dense_2/kernel",
        "dense_2/bias",
    ]
    assert [w.shape for w in network.get_weights()] == [(5, 8), (8,), (8, 3), (3,)]
    network.parameters["dense_1/kernel"][...] = 0
    network.parameters["dense_2/kernel"][...] = 0  # stored by columns
    network.parameters["dense_2/bias"][...] = [1, 2, 3]
    assert (network(X) == [1, 2, 3]).all()
    assert network.n_parameters == 5 * 8 + 8 + 8 * 3 + 3


def test_written_views_train(network, backend):
    """Every way a kernel is read sees what was written: forward, backward, another batch size."""
    other = fb.Network([5, 8, 3], activation="tanh", loss="cross_entropy", seed=99, backend=backend)
    network.fit(X, Y)
    other.fit(X, Y)
    network.set_weights(other.get_weights())
    for name, view in network.optimizer_state.items():
        view[...] = other.optimizer_state[name]
    losses = [net.fit(X, Y, epochs=2, shuffle=False).history["loss"] for net in (network, other)]
    assert losses[0] == losses[1]
    assert all(
        (a == b).all() for a, b in zip(network.get_weights(), other.get_weights(), strict=True)
    )


def test_get_weights_are_copies(network):
    before = digest(network)
    for weight in network.get_weights():
        weight[...] = 7
    assert digest(network) == before
    weights = [w + 1 for w in network.get_weights()]
    network.set_weights(weights)
    for a, b in zip(network.get_weights(), weights, strict=True):
        assert (a == b).all()


@pytest.mark.parametrize(
    ("optimizer", "names"),
    [
        ("sgd", []),
        (fb.SGD(momentum=0.9), ["momentum"]),
        ("adam", ["m", "v"]),
        ("adamw", ["m", "v"]),
    ],
    ids=str,
)
def test_optimizer_state(optimizer, names, backend):
    network = fb.Network([5, 3], optimizer=optimizer, seed=0, backend=backend)
    assert list(network.optimizer_state) == [
        f"{n}/dense_1/{p}" for n in names for p in ("kernel", "bias")
    ]
    network.train_on_batch(X, np.ones((50, 3)))
    assert all((state != 0).any() for state in network.optimizer_state.values())


def test_names_and_given_values(backend):
    kernel = np.arange(6.0).reshape(2, 3)
    layers = [fb.Input(2), fb.Dense(3, name="first", weights=kernel, bias=[1, 2, 3]), fb.Dense(1)]
    network = fb.Network(layers, seed=0, backend=backend)
    assert list(network.parameters) == [
        "first/kernel",
        "first/bias",
        "dense_2/kernel",
        "dense_2/bias",
    ]
    assert (network.parameters["first/kernel"] == kernel).all()
    assert (network.parameters["first/bias"] == [1, 2, 3]).all()


def test_padding_stays_zero(backend):
    network = fb.Network(
        [5, 7, 3], optimizer=fb.AdamW(0.1, decay_bias=True), seed=0, backend=backend
    )
    network.fit(X, np.zeros((50, 3)), epochs=3)
    layout = network._state.layout
    mask = np.ones(layout.size, bool)
    for view in layout.views(mask).values():
        view[...] = False
    assert mask.any() and (network._state.parameters[mask] == 0).all()


# copies, descriptions, files


def test_copy_is_independent_and_goes_on_alike(network):
    network.fit(X, Y, epochs=3, batch_size=16)
    twin = network.copy()
    assert digest(twin) == digest(network) and twin.steps == network.steps
    network.fit(X, Y, epochs=2, batch_size=16)
    assert digest(twin) != digest(network)
    twin.fit(X, Y, epochs=2, batch_size=16)
    assert digest(twin) == digest(network)
    assert twin.backend == network.backend


@each_case
def test_config(name, backend):
    network = CASES[name].network("float64", backend)
    config = network.get_config()
    assert json.loads(json.dumps(config)) == config
    twin = fb.Network.from_config(json.loads(json.dumps(config)), backend=backend)
    assert twin.get_config() == config and digest(twin) == digest(network)
    assert twin.layers == network.layers and twin.loss == network.loss


@each_case
def test_a_saved_network_goes_on_to_the_bit(name, backend, tmp_path):
    """The order of the rows and the powers of Adam's betas included."""
    case = CASES[name]
    A, y = case.data(5 * case.batch_size // 2 + 1)
    network = case.network("float32", backend)
    network.fit(A, y, epochs=2, batch_size=case.batch_size)
    network.save(tmp_path / "model.npz")
    loaded = fb.Network.load(tmp_path / "model.npz", backend=backend)
    assert digest(loaded) == digest(network)
    for net in (network, loaded):
        net.fit(A, y, epochs=2, batch_size=case.batch_size)
    assert digest(loaded) == digest(network)
    assert (loaded.steps, loaded.seed, loaded.backend) == (network.steps, network.seed, backend)


def test_summary_and_repr(network, capsys, backend):
    network.summary()
    printed = capsys.readouterr().out
    for word in (
        "input",
        "dense_1",
        "tanh",
        "48",
        "dense_2",
        "27",
        "75 parameters",
        "float32",
        "Adam",
        "seed 4",
    ):
        assert word in printed
    assert repr(network).startswith("<Network 5-8-3, ") and backend in repr(network)
    CASES["graph"].network("float32", backend).summary()
    printed = capsys.readouterr().out
    for word in ("residual", "branch (concat)", "(projection)", "softplus"):
        assert word in printed
    total = CASES["graph"].network("float32", backend).n_parameters
    rows = [line.split()[-1] for line in printed.splitlines() if line.strip().startswith("dense_")]
    assert sum(int(count) for count in rows) == total


def test_properties(network, backend):
    assert (network.n_features, network.n_outputs, network.steps, network.seed) == (5, 3, 0, 4)
    assert network.dtype == np.float32 and network.backend == backend
    if backend == "numpy":
        assert network.instruction_set == "numpy"
    assert fb.Network([5, 3], seed=None).seed != fb.Network([5, 3], seed=None).seed


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_duplicates_go_on_alike(duplicate, network):
    """Parameters, optimizer state, shuffling and history, in memory of their own."""
    network.fit(X, Y, epochs=2)
    twin = duplicate(network)
    assert type(twin) is fb.Network and twin.backend == network.backend
    assert digest(twin) == digest(network) and twin.steps == network.steps
    assert twin.history.history == network.history.history
    assert twin.history is not network.history
    before = digest(network)
    twin.fit(X, Y)
    assert digest(network) == before
    network.fit(X, Y)
    assert digest(twin) == digest(network)
    assert twin.predict(X).tobytes() == network.predict(X).tobytes()


@pytest.mark.parametrize("name", ["layers", "loss", "optimizer"])
def test_description_cannot_be_changed(network, name):
    """The engines are made from it: a change would show and have no effect."""
    with pytest.raises(AttributeError, match=f"'{name}' .*has no setter"):
        setattr(network, name, getattr(fb.Network([1, 1]), name))


def test_no_duplicate_of_a_network_in_training(network):
    network._state.guard.begin_writing("a call")
    for duplicate in (copy.deepcopy, fb.Network.copy):
        with pytest.raises(fb.ModelBusyError):
            duplicate(network)


@pytest.mark.slow
def test_backends_agree(backend):
    """The same plan by other sums: after a few steps still close."""
    if backend == "numpy":
        pytest.skip("compared once")
    for name, case in CASES.items():
        A, y = case.data(41)
        networks = [case.network("float64", kind) for kind in ("cython", "numpy")]
        for net in networks:
            net.fit(A, y, epochs=2, batch_size=16)
        for a, b in zip(*(net.get_weights() for net in networks), strict=True):
            assert_same_training(a, b, dtype="float64", name=name)


def test_summary_of_a_projection_that_the_widths_do_not_need(capsys):
    layers = [fb.Input(4), fb.Residual([fb.Dense(4)], projection="auto"), fb.Dense(2)]
    fb.Network(layers).summary()
    assert "projection" not in capsys.readouterr().out


def test_seed_and_history_can_be_assigned(backend):
    """Later epochs are shuffled by the new seed, which copies and files keep."""
    X, y = np.random.default_rng(0).standard_normal((2, 40, 3))
    trained = []
    for first, then in ((1, 1), (1, 2), (1, 2)):
        net = fb.Network([3, 4, 3], seed=first, backend=backend)
        net.seed = then
        net.fit(X, y, batch_size=4, verbose=False)
        assert net.copy().seed == net.get_config()["seed"] == then
        trained.append(net.get_weights()[0].tobytes())
    assert trained[0] != trained[1] == trained[2]
    with pytest.raises(ValueError, match="seed must be"):
        net.seed = -1
    net.history = fb.History()
    assert net.history.history == {}

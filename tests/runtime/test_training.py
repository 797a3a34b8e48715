"""How Network trains: batches, epochs, history, gradients of one's own; on both backends."""

import numpy as np
from support.network_state import classification, digest
from support.refusal import bad_input
from support.tolerance import assert_rounded, assert_same_training, difference_bound
from support.training_case import CASES, each_named_loss

import fastbp as fb

X, Y = classification(50, 5, 3)
_DERIVATIVE = {  # dL/doutput of the declared layers, for a loss of one's own
    "mse": lambda out, y: 2 * (out - y) / out.size,
    "cross_entropy": lambda out, y: (_softmax(out) - np.eye(out.shape[1])[y]) / len(out),
    "binary_cross_entropy": lambda out, y: (1 / (1 + np.exp(-out)) - y) / out.size,
    "huber": lambda out, y: np.clip(out - y, -1, 1) / out.size,
    "mae": lambda out, y: np.sign(out - y) / out.size,
}


def _softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@each_named_loss
def test_forward_backward_step_is_train_on_batch(name, backend):
    case = CASES[name]
    A, y = case.data(23)
    manual, whole = case.network("float64", backend), case.network("float64", backend)
    for _ in range(3):
        out = manual.forward(A)
        manual.backward(_DERIVATIVE[case.loss](out, y))
        manual.step()
        whole.train_on_batch(A, y)
    assert manual.steps == whole.steps == 3
    for a, b in zip(manual.get_weights(), whole.get_weights(), strict=True):
        assert_same_training(a, b, dtype="float64")


def test_input_gradient_is_the_derivative(backend):
    network = CASES["graph"].network("float64", backend)
    A, _ = CASES["graph"].data(4)
    weight = np.random.default_rng(0).standard_normal((4, 2))
    network.forward(A)
    gradient = network.backward(weight)
    difference, h = np.empty_like(A), 1e-6
    for place in np.ndindex(A.shape):
        step = np.zeros_like(A)
        step[place] = h
        difference[place] = ((network(A + step) - network(A - step)) * weight).sum() / (2 * h)
    value = (network(A) * weight).sum()
    assert (np.abs(gradient - difference) <= difference_bound(h, order=2, value=value)).all()


def test_gradients_may_be_changed_before_the_step(backend):
    networks = [
        fb.Network([5, 3], optimizer=fb.SGD(0.1), seed=0, backend=backend) for _ in range(2)
    ]
    before = networks[0].get_weights()
    for network in networks:
        network.forward(X)
        network.backward(np.ones((50, 3)))
    networks[0].gradients["dense_1/kernel"][...] = 1.0
    networks[1].gradients["dense_1/kernel"][...] *= 0.0
    for network in networks:
        network.step()
    moved = networks[0].get_weights()[0] - before[0]
    size = np.abs(before[0]) + 0.1
    assert_rounded(moved, np.full((5, 3), -0.1), dtype="float32", roundings=2, magnitude=size)
    assert (networks[1].get_weights()[0] == before[0]).all()
    assert (networks[0].get_weights()[1] == networks[1].get_weights()[1]).all()


def test_step_again_and_after_trace(backend):
    network = fb.Network([5, 3], optimizer=fb.SGD(0.1), seed=0, backend=backend)
    y = np.zeros((50, 3))
    found = network.trace(X, y)
    before = network.get_weights()
    network.step()
    moved = before[0] - 0.1 * found["dense_1/kernel"]
    assert_rounded(network.get_weights()[0], moved, dtype="float32", roundings=8)
    assert set(network.gradients) == set(network.parameters)
    assert (network.gradients["dense_1/kernel"] == found["dense_1/kernel"]).all()


def test_trace_leaves_the_network_alone_and_agrees_with_it(network):
    network.fit(X, Y, epochs=2)
    before = digest(network)
    found = network.trace(X, Y)
    assert digest(network) == before
    assert_rounded(found["loss"], network.evaluate(X, Y)["loss"], dtype="float32", roundings=8)
    assert (found["output"] == network(X)).all()
    assert {
        f"dense_{i}/{part}" for i in (1, 2) for part in ("z", "a", "dz", "kernel", "bias")
    } <= set(found)
    a, dz = found["dense_1/a"], found["dense_2/dz"]
    for got, want in (
        (a, np.tanh(found["dense_1/z"])),
        (found["dense_2/kernel"], a.T @ dz),
        (found["dense_1/bias"], found["dense_1/dz"].sum(axis=0)),
    ):
        assert_rounded(got, want, dtype="float32", roundings=8, magnitude=np.ones(want.shape))
    fused = fb.Network(
        [fb.Input(5), fb.Dense(3, "softmax")], loss="cross_entropy", seed=0, backend=network.backend
    )
    total = fused.trace(X, Y)["output"].sum(axis=1)
    assert_rounded(total, np.ones(50), dtype="float32", roundings=8)


def test_explicit_batches_are_the_order(backend):
    A, y = np.arange(6.0)[:, None], np.ones((6, 1))
    networks = [
        fb.Network([1, 1], optimizer=fb.SGD(0.01), seed=0, backend=backend) for _ in range(2)
    ]
    networks[0].fit(A, y, batches=[[4, 0, 0], [2], np.array([5, 1])])
    for rows in ([4, 0, 0], [2], [5, 1]):
        networks[1].train_on_batch(A[rows], y[rows])
    for a, b in zip(*(network.get_weights() for network in networks), strict=True):
        assert_rounded(a, b, dtype="float32", roundings=8)
    assert networks[0].steps == 3


def test_no_shuffle_is_the_order_of_the_rows(backend):
    networks = [
        fb.Network([5, 4, 3], loss="cross_entropy", seed=0, backend=backend) for _ in range(2)
    ]
    networks[0].fit(X, Y, epochs=2, batch_size=20, shuffle=False)
    networks[1].fit(X, Y, epochs=2, batches=[range(20), range(20, 40), range(40, 50)])
    assert digest(networks[0]) == digest(networks[1])


def test_last_short_batch(backend):
    """Its mean is over its own rows; the epoch's loss is weighted by rows."""
    A, y = np.ones((5, 1)), np.array([0.0, 0, 0, 0, 10])[:, None]
    network = fb.Network(
        [fb.Input(1), fb.Dense(1, weights=[[0.0]], use_bias=False)],
        optimizer=fb.SGD(0),
        seed=0,
        backend=backend,
    )
    loss = network.fit(A, y, batch_size=4, shuffle=False).history["loss"][0]
    assert_rounded(loss, (4 * 0.0 + 1 * 100.0) / 5, dtype="float32", roundings=8)
    assert network.steps == 2


def test_shuffle_draws_a_new_order_each_epoch(backend):
    """With one row a batch and one weight a row, the order of the steps shows in the momentum."""
    network = fb.Network([5, 3], loss="cross_entropy", seed=0, backend=backend)
    whole, repeated = network, network.copy()
    whole.fit(X, Y, epochs=2, batch_size=1)
    for _ in range(2):
        repeated._state.epochs = 0
        repeated.fit(X, Y, batch_size=1)
    assert digest(whole) != digest(repeated)


def test_no_epochs(network):
    before = digest(network)
    history = network.fit(X, Y, epochs=0)
    assert len(history) == 0 and history.epoch == [] and history.history == {}
    assert digest(network) == before


def test_batch_larger_than_the_data_is_one_step(network):
    network.fit(X, Y, batch_size=1000)
    assert network.steps == 1


def test_history(network):
    history = network.fit(X, Y, epochs=3, validation_data=(X[:9], Y[:9]))
    assert history is network.history
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert all(len(values) == 3 for values in history.history.values())
    assert history.epoch == [0, 1, 2]
    assert history.history["val_loss"][-1] == network.evaluate(X[:9], Y[:9])["loss"]
    assert history.history["accuracy"][-1] == network.evaluate(X, Y)["accuracy"]
    assert "epochs=3" in repr(history)
    plain = fb.Network([5, 3], loss="cross_entropy", seed=0, backend=network.backend).fit(
        X, Y, epochs=2
    )
    assert list(plain.history) == ["loss"]


def test_validation_and_metrics_do_not_change_training(backend):
    def make(metrics):
        return fb.Network([5, 8, 3], loss="cross_entropy", metrics=metrics, seed=4, backend=backend)

    plain, watched = make([]), make(["accuracy", "mae"])
    losses = plain.fit(X, Y, epochs=4, batch_size=16).history["loss"]
    history = watched.fit(X, Y, epochs=4, batch_size=16, validation_data=(X, Y)).history
    assert history["loss"] == losses
    assert digest(plain) == digest(watched)


def test_training_learns(backend):
    labels = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
    network = fb.Network(
        [5, 16, 3], loss="cross_entropy", optimizer=fb.Adam(0.01), seed=0, backend=backend
    )
    history = network.fit(X, labels, epochs=200, batch_size=10).history["loss"]
    assert history[-1] < 0.1 < history[0]
    assert (network.predict_classes(X) == labels).mean() > 0.95


@bad_input("short last batch")
def test_train_steps_loss_is_weighted_by_rows(backend):
    networks = [fb.Network([5, 3], loss="cross_entropy", seed=0, backend=backend) for _ in range(2)]
    mean = networks[0].train_steps(X, Y, steps=5, batch_size=20, shuffle=False)  # 20 20 10 | 20 20
    rows = [slice(0, 20), slice(20, 40), slice(40, 50), slice(0, 20), slice(20, 40)]
    losses = [networks[1].train_on_batch(X[part], Y[part]) for part in rows]
    expected = np.average(losses, weights=[20, 20, 10, 20, 20])
    assert_rounded(mean, expected, dtype="float32", roundings=8)
    assert networks[0].steps == 5


def test_verbose(network, capsys):
    network.fit(X, Y, epochs=2, verbose=False)
    network.fit(X, Y, epochs=2)  # no terminal here
    assert capsys.readouterr().out == ""
    network.fit(X, Y, epochs=3, verbose=True, validation_data=(X, Y))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("epoch 1/3  loss ") and "val_accuracy" in lines[0]
    assert lines[2].startswith("epoch 3/3  loss ")

"""Several outputs: what the verbs make of dicts, parts of rows, weights, files and copies."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pytest
from support.head_case import data, network, taken
from support.kernels import needs_kernels
from support.network_state import digest
from support.tolerance import assert_near, assert_rounded, assert_same_training

import fastbp as fb


def test_rows_of_probabilities(backend: str, dtype: str) -> None:
    X, y = data(40)
    one_hot = y | {"class": np.eye(3)[y["class"]]}
    net = network(dtype, backend)
    assert_rounded(
        list(net.evaluate(X, one_hot).values()), list(net.evaluate(X, y).values()),
        dtype=dtype, roundings=64,
    )  # fmt: skip


def test_history(backend: str, dtype: str) -> None:
    """The losses of an epoch are means over its rows, before each step."""
    X, y = data(70)
    net, other = network(dtype, backend), network(dtype, backend)
    held = X[:9], taken(y, slice(9))
    past = net.fit(X, y, epochs=2, batch_size=32, shuffle=False, validation_data=held)
    assert list(past.history) == [
        "loss", "class_loss", "value_loss", "val_loss", "val_class_loss", "val_value_loss",
    ]  # fmt: skip
    for epoch in range(2):
        sums = np.zeros(3)
        for begin in (0, 32, 64):
            rows = slice(begin, begin + 32)
            before = other.evaluate(X[rows], taken(y, rows))
            sums += len(X[rows]) * np.array([*before.values()])
            loss = other.train_on_batch(X[rows], taken(y, rows))
            assert_rounded(loss, before["loss"], dtype=dtype, roundings=64)
        found = [past[name][epoch] for name in ("loss", "class_loss", "value_loss")]
        assert_rounded(found, sums / 70, dtype=dtype, roundings=64)
        assert_rounded(found[0], found[1] + 0.5 * found[2], dtype="float64", roundings=64)
    measured = net.evaluate(*held)
    found = [past[f"val_{name}"][-1] for name in measured]
    assert_rounded(found, [*measured.values()], dtype=dtype, roundings=64)


@needs_kernels
def test_a_row_alone_and_in_a_batch(dtype: str) -> None:
    X, y = data(70)
    net = network(dtype)
    net.fit(X, y)
    whole = net.predict(X)
    respond = net.predictor()
    for i in (0, 33, 69):
        for found in (net.predict(X[i : i + 1]), respond(X[i : i + 1])):
            for name, own in found.items():
                assert own.tobytes() == whole[name][i : i + 1].tobytes()
        for found in (net.predict(X[i]), respond(X[i])):
            for name, own in found.items():
                assert own.shape == whole[name][i].shape
                assert own.tobytes() == whole[name][i].tobytes()


def test_sample_weight(backend: str) -> None:
    """A row of weight 2 counts as two, one of weight 0 is left out, for all heads alike."""
    X, y = data(12)
    weight = np.array([0.0, 1, 2] * 4)
    rows = np.repeat(np.arange(12), weight.astype(int))
    net, other = network("float64", backend), network("float64", backend)
    found, expected = (
        net.evaluate(X, y, sample_weight=weight), net.evaluate(X[rows], taken(y, rows)),
    )  # fmt: skip
    assert_rounded([*found.values()], [*expected.values()], dtype="float64", roundings=64)
    loss = net.train_on_batch(X, y, sample_weight=weight)
    assert_rounded(
        loss, other.train_on_batch(X[rows], taken(y, rows)), dtype="float64", roundings=64
    )
    for a, b in zip(net.get_weights(), other.get_weights(), strict=True):
        assert_same_training(a, b, dtype="float64")
    signed = net.train_on_batch(X, y, sample_weight=weight - 1, normalize=False)
    assert np.isfinite(signed)


def test_chunks_are_the_rows_in_order(backend: str) -> None:
    X, y = data(70)
    cut = [slice(0, 11), slice(11, 50), slice(50, 70)]
    net, other = network(backend=backend), network(backend=backend)
    a = net.fit([(X[rows], taken(y, rows)) for rows in cut], shuffle=False, epochs=2)
    b = other.fit(X, y, shuffle=False, epochs=2)
    assert digest(net) == digest(other)
    for name in a.history:
        assert_rounded(a[name], b[name], dtype="float64", roundings=64)
    mixed = [(X[:5], taken(y, slice(5))), (X[:5], {"class": np.eye(3)[[0] * 5], "value": X[:5, 0]})]
    with pytest.raises(ValueError, match="^chunk 1: y is of class indices or of probabilities"):
        net.fit(mixed, shuffle=False)


def test_parts_that_are_converted(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = data(70)
    y["value"] = y["value"].astype(np.float16)
    net, other = network(backend=backend), network(backend=backend)
    past = net.fit(X.astype(np.float16), y, epochs=2, validation_data=(X, y))
    monkeypatch.setattr("fastbp.runtime.rows.MOST_BYTES", 0)
    monkeypatch.setattr("fastbp.runtime.feed.PART_BYTES", 1000)
    again = other.fit(X.astype(np.float16), y, epochs=2, validation_data=(X, y))
    assert digest(net) == digest(other)
    for name in past.history:
        assert_rounded(past[name], again[name], dtype="float32", roundings=64)


def test_early_stopping(backend: str) -> None:
    X, y = data(100)
    net = network(backend=backend, optimizer=fb.Adam(0.05))
    stop = fb.EarlyStopping("val_class_loss", patience=3, restore_best_weights=True)
    past = net.fit(X, y, epochs=100, validation_split=0.3, callbacks=stop)
    assert past.stopped == "early stopping" and len(past) < 100
    best = int(np.argmin(past["val_class_loss"]))
    assert stop.best_epoch == best
    with pytest.raises(ValueError, match="val_clas_loss"):
        net.fit(X, y, validation_data=(X, y), callbacks=fb.EarlyStopping("val_clas_loss"))


def test_validation_split_holds_out_the_same_rows(backend: str) -> None:
    X, y = data(50)
    net = network(backend=backend)
    past = net.fit(X, y, validation_split=0.2)
    assert "val_value_loss" in past
    for wrong in ({"class": y["class"]}, y | {"value": y["value"][:-1]}, y["class"]):
        with pytest.raises((TypeError, ValueError), match="y"):
            net.fit(X, wrong, validation_split=0.2)


def test_forward_backward_step(backend: str, dtype: str) -> None:
    X, y = data(24)
    net, other = (network(dtype, backend, optimizer=fb.SGD(0.1)) for _ in range(2))
    out = net.forward(X)
    shown = net(X)
    for name in out:
        np.testing.assert_array_equal(out[name], shown[name])
    e = np.exp(out["class"] - out["class"].max(axis=1, keepdims=True))
    slope = {
        "value": 0.5 * 2 * (out["value"] - y["value"][:, None]) / 24,
        "class": (e / e.sum(axis=1, keepdims=True) - np.eye(3)[y["class"]]) / 24,
    }
    dX = net.backward(slope)
    assert dX.shape == X.shape
    net.step()
    other.train_on_batch(X, y)
    for a, b in zip(net.get_weights(), other.get_weights(), strict=True):
        assert_same_training(a, b, dtype=dtype)


def test_declared_activations(backend: str, dtype: str) -> None:
    """net(X), forward and trace show what the layers say; predict what the loss implies."""
    heads = {"a": ([fb.Dense(2, "softmax")], "cross_entropy"),
             "b": ([fb.Dense(2)], "binary_cross_entropy"), "c": ([fb.Dense(1, "tanh")], "mse"),
             "d": ([fb.Dense(1, "exponential")], "poisson")}  # fmt: skip
    net = fb.Network([fb.Input(3), fb.Heads(heads)], seed=0, dtype=dtype, backend=backend)
    X = np.random.default_rng(0).normal(size=(5, 3))
    y = {"a": [0, 1, 0, 1, 1], "b": np.ones((5, 2)), "c": np.zeros(5), "d": np.ones(5)}
    shown, response, traced = net(X), net.predict(X), net.trace(X, y)
    logits = X @ net.parameters["dense_2/kernel"] + net.parameters["dense_2/bias"]
    near: Any = {"dtype": dtype, "length": 64, "magnitude": 2.0}
    assert_near(shown["b"], logits, **near)
    assert_near(response["b"], 1 / (1 + np.exp(-logits)), **near)
    for name in "acd":
        np.testing.assert_array_equal(shown[name], response[name])
    assert_near(shown["a"].sum(axis=1), np.ones(5), **near)
    for i, name in enumerate("abcd", 1):
        np.testing.assert_array_equal(traced["output"][name], shown[name])
        if name != "b":
            np.testing.assert_array_equal(traced[f"dense_{i}/a"], shown[name])
        assert (f"dense_{i}/da" in traced) == (name == "c")
        assert_near(net.forward(X)[name], shown[name], **near)


def test_files_copies_and_pickles(backend: str) -> None:
    X, y = data(40)
    net = network(backend=backend, optimizer=fb.AdamW(0.01))
    net.fit(X, y, epochs=2)
    file = io.BytesIO()
    net.save(file)
    file.seek(0)
    others = [fb.Network.load(file, backend=backend), net.copy(), pickle.loads(pickle.dumps(net))]
    again = fb.Network.from_config(net.get_config(), backend=backend)
    assert again.get_config() == net.get_config()
    net.fit(X, y, epochs=2)
    for other in others:
        assert other.get_config() == net.get_config() and other.loss == net.loss
        other.fit(X, y, epochs=2)
        assert digest(other) == digest(net)


def test_names_and_pictures() -> None:
    net = network()
    assert "20-64-{class 32-3, value 1}" in repr(net)
    assert net.loss == {"class": fb.Loss("cross_entropy"), "value": fb.Loss("mse")}
    assert net.n_outputs == 4 and net.metrics == ()
    assert net.plan(32).regime == "data-parallel"
    assert ">class<" in net.plot().svg() and "cross_entropy" in net._repr_html_()


def test_predict_classes(backend: str) -> None:
    heads = {"a": ([fb.Dense(3)], "cross_entropy"), "b": ([fb.Dense(1)], "bce"),
             "c": ([fb.Dense(2)], "mse")}  # fmt: skip
    net = fb.Network([fb.Input(3), fb.Heads(heads)], seed=0, backend=backend)
    X = np.random.default_rng(0).normal(size=(50, 3))
    found, response = net.predict_classes(X), net.predict(X)
    assert list(found) == ["a", "b"]
    np.testing.assert_array_equal(found["a"], response["a"].argmax(axis=1))
    np.testing.assert_array_equal(found["b"], response["b"][:, 0] >= 0.5)
    assert net.predict_classes(X[0]) == {"a": found["a"][0], "b": found["b"][0]}
    lone = fb.Network([fb.Input(3), fb.Heads({"c": ([fb.Dense(2)], "mse")})], backend=backend)
    with pytest.raises(ValueError, match=r"^no head tells classes apart; .*'c': 'mse'$"):
        lone.predict_classes(X)

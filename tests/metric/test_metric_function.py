"""Functions of the user's as metrics: what they get, their names, copies, files and pickles."""

from __future__ import annotations

import copy
import functools
import pickle
import warnings

import numpy as np
import pytest
from support.refusal import bad_input, refuses
from support.tolerance import assert_metric, assert_near

import fastbp as fb
from fastbp import metric

X = np.random.default_rng(3).normal(size=(20, 4))
Y = np.arange(20) % 3


def share(y, prediction):
    return np.mean(prediction.argmax(axis=1) == y)


def weighted_share(y, prediction, sample_weight=None):
    return np.average(prediction.argmax(axis=1) == y, weights=sample_weight)


class Lift:
    def __init__(self, part):
        self.part = part

    def __call__(self, y, prediction):
        return self.part


def classifier(*metrics, **options):
    return fb.Network([4, 5, 3], loss="cross_entropy", metrics=list(metrics), seed=1, **options)


def test_function_beside_names(backend):
    network = classifier("accuracy", share, weighted_share, "f1_macro", backend=backend)
    found = network.evaluate(X, Y)
    assert list(found) == ["loss", "accuracy", "share", "weighted_share", "f1_macro"]
    assert found["share"] == found["weighted_share"] == found["accuracy"]
    history = network.fit(X, Y, epochs=2, validation_data=(X, Y)).history
    assert history["share"] == history["val_share"] == history["accuracy"]
    assert all(type(value) is float for value in history["share"])


@pytest.mark.parametrize(
    ("loss", "y", "shape"),
    [
        ("cross_entropy", Y, (20,)),
        ("cross_entropy", np.eye(3)[Y], (20, 3)),
        ("mse", np.ones((20, 3)), (20, 3)),
    ],
)
def test_what_it_gets(loss, y, shape):
    """What `predict` returns, and y as class indices or shaped like it, both read-only."""
    seen = []

    def look(y, prediction):
        seen.append((y, prediction))
        return 0

    network = fb.Network([4, 3], loss=loss, metrics=[look], seed=0)
    network.evaluate(X, y)
    (got, prediction), *_ = seen
    assert got.shape == shape and got.dtype == ("int32" if shape == (20,) else "float32")
    assert (got == y).all() and (prediction == network.predict(X)).all()
    assert not got.flags.writeable and not prediction.flags.writeable


def test_one_output_is_a_column():
    """y - prediction never becomes a square."""
    network = fb.Network([4, 1], metrics=[lambda y, f: np.abs(y - f).mean(), "mae"], seed=0)
    mine = np.zeros(20, np.float32)
    found = network.evaluate(X, mine)
    assert_near(found["lambda"], found["mae"], dtype="float32", length=20)
    assert mine.flags.writeable


def test_weights():
    """By `sample_weight`, where it takes one; otherwise the rows that weigh."""
    network = classifier("accuracy", share, weighted_share)
    weight = np.arange(20) % 4 / 2
    found = network.evaluate(X, Y, sample_weight=weight)
    assert_metric(found["weighted_share"], found["accuracy"], name="accuracy")
    keep = weight > 0
    assert found["share"] == share(Y[keep], network.predict(X[keep]))
    assert np.isnan(metric.metric(share)(np.eye(3), np.arange(3), np.zeros(3)))

    def anything(y, prediction, **options):
        return options["sample_weight"].sum()

    assert metric.metric(anything)(np.eye(3), np.arange(3), np.ones(3)) == 3.0


def test_names():
    names = metric.metric_names(
        ["accuracy", lambda y, p: 0, lambda y, p: 0, functools.partial(share), Lift(1), Lift(2)]
    )
    assert names == ["accuracy", "lambda", "lambda_2", "share", "Lift", "Lift_2"]

    def accuracy(y, prediction):
        return 0.25

    assert list(classifier(accuracy, "accuracy").evaluate(X, Y)) == [
        "loss", "accuracy_2", "accuracy",
    ]  # fmt: skip
    assert classifier(accuracy).evaluate(X, Y)["accuracy"] == 0.25
    network = classifier(share, share)
    assert network.metrics == (share,)


def test_peers_functions():
    peer = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    functions = [peer.roc_auc_score, peer.average_precision_score, peer.brier_score_loss]
    names = ["roc_auc", "average_precision", "brier"]
    network = fb.Network(
        [4, 1], loss="binary_cross_entropy", metrics=names + functions, dtype="float64", seed=0
    )
    for weight in (None, np.arange(20.0)):
        found = network.evaluate(X, Y % 2, sample_weight=weight)
        for name, function in zip(names, functions, strict=True):
            assert_metric(found[name], found[function.__name__], name=name)


def test_can_be_set():
    network = classifier()
    network.metrics = [share, "acc"]
    assert network.metrics == (share, "accuracy")
    with refuses(ValueError, "metric 'r2' needs targets that are numbers, loss is 'cross_entropy'"):
        network.metrics = ["r2"]
    assert network.metrics == (share, "accuracy")
    network.metrics = ()
    assert list(network.evaluate(X, Y)) == ["loss"]


def test_copies_keep_it():
    other = lambda y, prediction: 1.0  # noqa: E731
    network = classifier(share, "accuracy", other)
    for twin in (network.copy(), copy.deepcopy(network)):
        assert twin.metrics == (share, "accuracy", other)
        assert twin.evaluate(X, Y) == network.evaluate(X, Y)


@bad_input("metric in a file")
def test_file_is_written_without_it(tmp_path):
    network = classifier("accuracy", share, lambda y, prediction: 1.0)
    network.fit(X, Y, epochs=1)
    path = tmp_path / "model.npz"
    with pytest.warns(UserWarning, match="^metric function 'share', 'lambda' is not in the file"):
        network.save(path)
    with warnings.catch_warnings():  # the file is whole though the warning is an error
        warnings.simplefilter("error")
        with pytest.raises(UserWarning):
            network.save(path)
    loaded = fb.Network.load(path)
    assert loaded.metrics == ("accuracy",)
    assert (loaded.predict(X) == network.predict(X)).all()
    loaded.metrics = [share]
    assert loaded.evaluate(X, Y)["share"] == network.evaluate(X, Y)["share"]


@bad_input("metric in a file")
def test_pickle_keeps_what_it_can():
    network = classifier("accuracy", share, Lift(2))
    twin = pickle.loads(pickle.dumps(network))
    assert twin.metrics[:2] == ("accuracy", share) and twin.metrics[2].part == 2
    assert twin.evaluate(X, Y) == network.evaluate(X, Y)
    network.metrics = ["accuracy", lambda y, prediction: 1.0, share]
    with pytest.warns(UserWarning, match=r"^metric function 'lambda' is not in the pickle \("):
        held = pickle.dumps(network)
    assert pickle.loads(held).metrics == ("accuracy", share)
    assert "metrics" not in classifier("accuracy").__getstate__()  # as pickles were before


def needs_more(y, prediction, z):
    return 0.0


def loss(y, prediction):
    return 0.0


def val_share(y, prediction):
    return 0.0


@bad_input("metric function")
@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (
            needs_more,
            TypeError,
            "metric function 'needs_more' must take (y, prediction): missing a required argument: "
            "'z'",
        ),
        (
            lambda: 0.0,
            TypeError,
            "metric function 'lambda' must take (y, prediction): too many positional arguments",
        ),
        (
            Lift,
            TypeError,
            "metric must be a name, a Metric or a function (y, prediction), got the class Lift",
        ),
        (
            fb.Metric,
            TypeError,
            "metric must be a name, a Metric or a function (y, prediction), got the class Metric",
        ),
        (
            loss,
            ValueError,
            "metric function 'loss' has the name of another figure; give it another __name__",
        ),
        (
            val_share,
            ValueError,
            "metric function 'val_share' has the name of another figure; give it another __name__",
        ),
    ],
)
def test_bad_function(function, error, message):
    with refuses(error, message):
        classifier(function)


@bad_input("metric function")
@pytest.mark.parametrize(
    ("value", "text"), [(None, "None"), ("x", "'x'"), (np.ones(2), "array([1., 1.])")]
)
def test_no_number(value, text, backend):
    def share(y, prediction):
        return value

    network = classifier(share, backend=backend)
    with refuses(TypeError, f"metric function 'share' must return a number, got {text}"):
        network.evaluate(X, Y)
    network.metrics = []
    network.fit(X, Y)  # it is free


def test_its_own_errors_are_shown():
    def share(y, prediction):
        raise KeyError("profit")

    network = classifier(share)
    with pytest.raises(KeyError, match="profit"):
        network.fit(X, Y)
    network.metrics = []
    network.fit(X, Y)
    assert len(network.history.history["loss"]) == 1

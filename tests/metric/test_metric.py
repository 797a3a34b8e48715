"""Metrics: values by hand, names, and what is refused."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
from support.refusal import bad_input, refuses
from support.tolerance import assert_metric, eps

import fastbp as fb
from fastbp import metric

TWO, ONE, NUMBER = "cross_entropy", "binary_cross_entropy", "mse"


def test_accuracy():
    response = np.array([[0.7, 0.3], [0.2, 0.8], [0.6, 0.4], [0.9, 0.1]], np.float32)
    labels = np.array([0, 1, 1, 0], np.int32)
    one_hot = np.eye(2, dtype=np.float32)[labels]
    for y in (labels, one_hot):
        assert metric.metric("acc", loss="cross_entropy")(response, y) == 0.75
        assert metric.metric("accuracy")(response, y) == 0.75
    side = np.array([[1, 0], [1, 1], [1, 1], [1, 0]], np.float32)
    assert metric.metric("accuracy", loss="binary_cross_entropy")(response, side) == 0.75
    column = np.array([[0.5], [0.49]])
    assert metric.metric("accuracy")(column, np.array([[1.0], [0.0]])) == 1.0
    assert metric.metric("accuracy")(column, np.array([1, 1])) == 0.5


def test_errors_of_regression():
    response, y = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[0.0, 2.0], [6.0, 5.0]])
    assert metric.metric("mae")(response, y) == 1.0 and metric.metric("mse")(response, y) == 2.5
    assert metric.metric("mse")(response[:, :1], np.array([1.0, 1.0])) == 2.0
    labels = np.array([1, 0], np.int32)
    assert metric.metric("mae")(np.array([[0.25, 0.75], [1, 0]]), labels) == 0.125


P3 = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.5, 0.25], [0.125, 0.125, 0.75]])
Y3 = np.array([0, 1, 2, 2], np.int32)  # predicted are 0, 1, 1, 2
P1, Y1 = np.array([[0.75], [0.5], [0.25], [0.5]]), np.array([[1.0], [1.0], [1.0], [0.0]])
F, T = np.array([[1.0], [2.0], [4.0], [0.0]]), np.array([[0.0], [2.0], [1.0], [1.0]])  # e 1 0 3 -1


@pytest.mark.parametrize(
    ("name", "loss", "response", "y", "expected"),
    [
        ("accuracy", TWO, P3, Y3, 0.75),
        ("balanced_accuracy", TWO, P3, Y3, (1 + 1 + 0.5) / 3),
        ("balanced_accuracy", ONE, P1, Y1, (2 / 3 + 0) / 2),
        ("balanced_accuracy", ONE, np.hstack([P1, 1 - P1]), np.hstack([Y1, 1 - Y1]), 1 / 2),
        ("top_1_accuracy", TWO, P3, Y3, 0.75),
        # of the equal 0.25 the later class counts as the larger one
        ("top_2_accuracy", TWO, P3, Y3, 1.0),
        ("top_2_accuracy", TWO, P3, np.array([1, 0, 0, 0], np.int32), 0.0),
        ("precision", TWO, P3, Y3, (1 + 0.5 + 1) / 3),
        ("recall", TWO, P3, Y3, (1 + 1 + 0.5) / 3),
        ("f1", TWO, P3, Y3, (1 + 2 / 3 + 2 / 3) / 3),
        ("f1_weighted", TWO, P3, Y3, (1 + 2 / 3 + 2 * 2 / 3) / 4),
        ("f1_micro", TWO, P3, Y3, 0.75),
        ("precision", ONE, P1, Y1, 2 / 3),
        ("recall", ONE, P1, Y1, 2 / 3),
        ("f1_macro", ONE, P1, Y1, (2 / 3 + 0) / 2),
        # one class alone is in y and predicted: the other does not count
        ("recall_macro", ONE, P1[:2], Y1[:2], 1.0),
        ("precision", ONE, P1[2:3], Y1[2:3], 0.0),
        ("roc_auc", ONE, P1, Y1, 0.5),  # above, equal, below
        ("roc_auc", TWO, P3, Y3, (1 + 5 / 6 + 3 / 4) / 3),
        ("average_precision", ONE, P1, Y1, 1 / 3 + 1 / 3 * 2 / 3 + 1 / 3 * 3 / 4),
        ("log_loss", TWO, P3, Y3, (math.log(2) * 2 + math.log(4) + math.log(4 / 3)) / 4),
        ("log_loss", ONE, P1[:1], Y1[:1], math.log(4 / 3)),
        ("brier", ONE, P1, Y1, (1 / 16 + 1 / 4 + 9 / 16 + 1 / 4) / 4),
        ("brier", TWO, P3[:1], Y3[:1], 1 / 4 + 2 / 16),
        ("brier", TWO, np.hstack([1 - P1, P1]), Y1[:, 0].astype(int), 9 / 32),
        ("mse", NUMBER, F, T, 11 / 4),
        ("rmse", NUMBER, F, T, math.sqrt(11 / 4)),
        ("rmse", NUMBER, np.hstack([F, F]), np.hstack([T, F]), math.sqrt(11 / 4) / 2),
        ("mae", NUMBER, F, T, 5 / 4),
        ("median_absolute_error", NUMBER, F, T, 1.0),
        ("r2", NUMBER, F, T, 1 - 11 / 2),
        ("pinball", NUMBER, F, T, 5 / 8),
        ("pinball_0.9", NUMBER, F, T, (0.1 * 4 + 0.9) / 4),
    ],
)
def test_value_by_hand(name, loss, response, y, expected):
    for dtype in ("float64", "float32"):
        own = y if y.ndim == 1 else y.astype(dtype)
        found = metric.metric(name, loss=loss)(response.astype(dtype), own)
        assert_metric(found, expected, name=name)


def test_log_loss_of_impossible_outcome_is_finite():
    """Within eps of the type of 0, as in scikit-learn."""
    for dtype in ("float64", "float32"):
        response = np.array([[1, 0]], dtype)
        found = metric.metric("log_loss", loss=TWO)(response, np.array([1], np.int32))
        assert found == -math.log(eps(dtype))


@pytest.mark.parametrize(
    ("name", "loss", "response", "y"),
    [
        ("roc_auc", ONE, P1[:3], Y1[:3]),
        ("roc_auc", ONE, P1[3:], Y1[3:]),
        ("roc_auc", TWO, P3[:2], Y3[:2]),
        ("roc_auc_ovo", TWO, P3[:1], Y3[:1]),
        ("average_precision", ONE, P1[3:], Y1[3:]),
        ("r2", NUMBER, F[:1], T[:1]),
        ("roc_auc", ONE, np.array([[np.nan], [0.5], [0.5], [0.5]]), Y1),
    ],
)
def test_undefined_is_nan_without_a_warning(name, loss, response, y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(metric.metric(name, loss=loss)(response, y))


@pytest.mark.parametrize("name", metric.NAMES)
def test_nothing_that_weighs_is_nan(name):
    loss = {"top_k_accuracy": TWO, "r2": NUMBER}.get(name, ONE)
    y = Y3 if loss == TWO else P3
    assert np.isnan(metric.metric(name, loss=loss)(P3, y, np.zeros(len(P3))))


def test_constant_targets_of_r2():
    """Also where their mean is rounded."""
    y = np.full((3, 1), 0.1)
    r2 = metric.metric("r2", loss=NUMBER)
    assert r2(y, y) == 1.0 and r2(y + [[0.0], [0.1], [0.0]], y) == 0.0
    assert r2(y, y, np.array([0.3, 0.7, 0.1])) == 1.0


def test_soft_targets_are_their_nearest_class():
    soft = np.array([[0.75, 0.125, 0.125], [0.25, 0.5, 0.25], [0, 0.25, 0.75], [0, 0, 1.0]])
    for name in ("accuracy", "balanced_accuracy", "top_2_accuracy", "f1", "roc_auc"):
        measure = metric.metric(name, loss=TWO)
        assert measure(P3, soft) == measure(P3, Y3)
    half = np.array([[0.5], [1.0], [0.75], [0.25]])  # 0.5 is 1
    for name in ("accuracy", "balanced_accuracy", "recall", "f1", "roc_auc"):
        measure = metric.metric(name, loss=ONE)
        assert measure(P1, half) == measure(P1, Y1)
        assert measure(np.hstack([P1, P1]), np.hstack([half, Y1])) == measure(P1, Y1)
    expected = -(soft * np.log(P3)).sum() / 4
    assert_metric(metric.metric("log_loss", loss=TWO)(P3, soft), expected, name="log_loss")


def test_weights_of_outputs():
    """(n, k): what is left out of an output does not count there."""
    rng = np.random.default_rng(1)
    response, y = rng.random((9, 3)), (rng.random((9, 3)) < 0.5).astype(np.float64)
    weight = rng.integers(0, 3, (9, 3)).astype(np.float64)
    weight[:, 2] = 0
    names = {name for name in metric.NAMES if metric.METRICS[name].needs != "one class"}
    pooled = {"accuracy", "log_loss", "brier", "mse", "mae", "pinball"}
    for name in sorted(names - {"precision", "recall", "f1"}):
        measure = metric.metric(name, loss=ONE)
        parts = [measure(response[:, [j]], y[:, [j]], weight[:, j]) for j in (0, 1)]
        share = weight[:, :2].sum(axis=0) if name in pooled else None
        found = measure(response, y, weight)
        assert_metric(found, float(np.average(parts, weights=share)), name=name)
    f1 = metric.metric("f1_micro", loss=ONE)
    flat = [array[:, :2].reshape(-1, 1) for array in (response, y)]
    expected = metric.metric("f1_binary", loss=ONE)(*flat, weight[:, :2].ravel())
    assert_metric(f1(response, y, weight), expected, name="f1_micro")


def test_weights_of_rows_as_columns():
    """Of classes a row has one weight, also where it is laid out (n, k)."""
    weight = np.array([1.0, 0.0, 2.0, 3.0])
    for name in ("accuracy", "top_2_accuracy", "f1", "roc_auc_ovo", "log_loss", "brier", "mse"):
        measure = metric.metric(name, loss=TWO)
        wide = np.broadcast_to(weight[:, np.newaxis], (4, 3))
        assert_metric(measure(P3, Y3, wide), measure(P3, Y3, weight), name=name)


def test_names():
    """A key is the whole metric, and what others call it is understood."""
    for key in [
        *metric.NAMES, "top_3_accuracy", "precision_binary", "recall_micro", "f1_macro",
        "f1_weighted", "roc_auc_ovr", "roc_auc_ovo", "pinball_0.9", "pinball_1e-05", "pinball_0.0",
    ]:  # fmt: skip
        assert metric.resolve_metric(key) == fb.Metric(key).key == metric.metric_name(key) == key
        assert eval(repr(fb.Metric(key)), {"Metric": fb.Metric}) == fb.Metric(key)
    for name, key in {
        "ACC": "accuracy", "sparse_categorical_accuracy": "accuracy", "AUC": "roc_auc",
        "sparse_top_k_categorical_accuracy": "top_k_accuracy", "f1_score": "f1",
        "top_2_categorical_accuracy": "top_2_accuracy", "roc_auc_score": "roc_auc",
        "root_mean_squared_error": "rmse", "R2Score": "r2", "brier_score_loss": "brier",
        "f1_score_macro": "f1_macro", "neg log loss".removeprefix("neg "): "log_loss",
        "mean_pinball_loss": "pinball",
    }.items():  # fmt: skip
        assert metric.resolve_metric(name) == key
    assert fb.Metric("f1", average="Macro") == fb.Metric("f1_macro")
    assert metric.resolve_metric(fb.Metric("pinball", alpha=np.float32(0.5))) == "pinball_0.5"


def test_which_is_better():
    smaller = {"log_loss", "brier", "mse", "rmse", "mae", "median_absolute_error", "pinball"}
    for name in metric.NAMES:
        assert metric.is_larger_better(name) is (name not in smaller)
        assert metric.is_larger_better(f"val_{name}") is (name not in smaller)
    assert metric.is_larger_better("val_top_3_accuracy") is True
    assert metric.is_larger_better("loss") is metric.is_larger_better("val_loss") is False
    assert metric.is_larger_better("my_score") is True
    assert metric.is_larger_better("cost_error") is False
    assert metric.is_larger_better("learning_rate") is metric.is_larger_better("profit") is None


def test_bad_metric():
    known = ", ".join(metric.NAMES)
    with refuses(ValueError, f"unknown metric 'kappa'; known: {known}"):
        metric.metric("kappa")
    with refuses(ValueError, f"unknown metric 'accuracy_macro'; known: {known}"):
        metric.metric("accuracy_macro")
    with refuses(ValueError, f"unknown metric 'pinball_x'; known: {known}"):
        metric.metric("pinball_x")
    with refuses(TypeError, f"metric must be a name, got 3; known: {known}"):
        metric.metric(3)


@bad_input("metric for another loss")
@pytest.mark.parametrize(
    ("name", "loss", "needed"),
    [
        *[
            (name, NUMBER, "cross_entropy or binary_cross_entropy")
            for name in metric.NAMES[:10]
            if name != "top_k_accuracy"
        ],
        ("top_k_accuracy", NUMBER, "cross_entropy"),
        ("top_k_accuracy", ONE, "cross_entropy"),
        ("r2", TWO, "targets that are numbers"),
        ("pinball", TWO, "targets that are numbers"),
        ("median_absolute_error", TWO, "targets that are numbers"),
    ],
)
def test_metric_for_another_loss(name, loss, needed):
    message = f"metric '{name}' needs {needed}, loss is '{loss}'"
    with refuses(ValueError, message):
        metric.metric(name, loss=loss)
    with refuses(ValueError, message):
        fb.Network([3, 6], loss=loss, metrics=[name])


@bad_input("metric parameter")
@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fb.Metric("mse", k=3), ValueError, "metric 'mse' takes no k, got 3"),
        (
            lambda: fb.Metric("f1_macro", average="micro"),
            ValueError,
            "average is in the metric's name already, got 'micro'",
        ),
        (
            lambda: fb.Metric("f1", average="samples"),
            ValueError,
            "unknown average 'samples'; known: binary, macro, micro, weighted",
        ),
        (
            lambda: fb.Metric("top_0_accuracy"),
            ValueError,
            "k must be an integer >= 1, got 0",
        ),
        (
            lambda: fb.Metric("top_k_accuracy", k=2.0),
            TypeError,
            "k must be an integer >= 1, got 2.0",
        ),
        (
            lambda: fb.Metric("pinball", alpha=90),
            ValueError,
            "alpha must be in [0, 1], got 90",
        ),
        (
            lambda: fb.Network([3, 4], loss=TWO, metrics=["top_k_accuracy"]),
            ValueError,
            "metric 'top_k_accuracy' with k=5 is always 1, network has 4 outputs",
        ),
        (
            lambda: fb.Network([3, 4], loss=TWO, metrics=[fb.Metric("f1", average="binary")]),
            ValueError,
            "metric 'f1_binary' needs one output or two classes, network has 4 outputs; other "
            "averages: macro, micro, weighted",
        ),
    ],
)
def test_bad_parameter(make, error, message):
    with refuses(error, message):
        make()


def test_binary_average_without_a_network():
    with pytest.raises(ValueError, match="^average='binary' needs one output or two classes, got"):
        metric.metric("f1_binary", loss=TWO)(P3, Y3)


def test_config_holds_names_with_their_parameters():
    network = fb.Network(
        [3, 6], loss=TWO, metrics=["acc", fb.Metric("top_k_accuracy", k=2), "accuracy"], seed=0
    )
    assert network.metrics == ("accuracy", "top_2_accuracy")
    config = json.loads(json.dumps(network.get_config()))
    assert config["metrics"] == ["accuracy", "top_2_accuracy"]
    assert fb.Network.from_config(config).metrics == network.metrics

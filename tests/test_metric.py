"""Metrics: values by hand, and what is refused."""

from __future__ import annotations

import numpy as np
from support.refusal import refuses

from fastbp import metric


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


def test_errors_of_regression():
    response, y = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[0.0, 2.0], [6.0, 5.0]])
    assert metric.metric("mae")(response, y) == 1.0 and metric.metric("mse")(response, y) == 2.5
    assert metric.metric("mse")(response[:, :1], np.array([1.0, 1.0])) == 2.0
    labels = np.array([1, 0], np.int32)
    assert metric.metric("mae")(np.array([[0.25, 0.75], [1, 0]]), labels) == 0.125


def test_bad_metric():
    with refuses(ValueError, "unknown metric 'f1'; known: accuracy, mae, mse"):
        metric.metric("f1")
    with refuses(
        ValueError,
        "metric 'accuracy' needs cross_entropy or binary_cross_entropy, loss is 'mse'",
    ):
        metric.metric("accuracy", loss="mse")

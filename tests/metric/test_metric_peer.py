"""Metrics against scikit-learn's, over shapes, ties, missing classes and weights.

Rows of weight 0 are not shown to scikit-learn: it counts classes that only they have.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.mark import slow_but
from support.tolerance import assert_metric

from fastbp.metric import metric

peer = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
pytest.importorskip("sklearn", minversion="1.7")  # brier_score_loss of several classes

AVERAGES = ("macro", "micro", "weighted")
RATIOS = {
    "precision": peer.precision_score,
    "recall": peer.recall_score,
    "f1": peer.f1_score,
}


@st.composite
def case(draw: st.DrawFn, least: int, most: int) -> tuple[np.random.Generator, int, int, Any]:
    """A generator, rows, columns, and whether and how rows weigh."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, k = draw(st.integers(1, 40)), draw(st.integers(least, most))
    weight = {
        "none": None,
        "whole": rng.integers(1, 4, n).astype(np.float64),
        "some 0": rng.integers(0, 3, n) * rng.random(n),
        "any": rng.random(n) + 0.01,
    }[draw(st.sampled_from(["none", "whole", "some 0", "any"]))]
    return rng, n, k, weight


def check(name: str, loss: str, response: Any, y: Any, weight: Any, reference: Any) -> None:
    """`reference` gets the rows that weigh."""
    found = metric(name, loss=loss)(response, y, weight)
    if weight is not None:
        keep = weight > 0
        response, y, weight = response[keep], y[keep], weight[keep]
        if not len(y):
            assert np.isnan(found)
            return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of undefined cases
        expected = reference(y, response, weight)
    assert_metric(found, expected, name=name)


def levels(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Numbers in [0, 1], few or all different."""
    if rng.random() < 0.7:
        return rng.integers(0, 9, shape) / 8
    return rng.random(shape)


def one_class_of_several(drawn: Any) -> None:
    rng, n, k, weight = drawn
    response = levels(rng, (n, k)) + 0.125
    response /= response.sum(axis=1, keepdims=True)
    present = rng.permutation(k)[: rng.integers(1, k + 1)]
    y = rng.choice(present, n).astype(np.int32)
    labels, loss = np.arange(k), "cross_entropy"

    def one_hot(y: Any) -> Any:
        return (y[:, None] == labels).astype(int)

    def predicted(function: Any, **options: Any) -> Any:
        return lambda y, p, w: function(y, p.argmax(axis=1), sample_weight=w, **options)

    check("accuracy", loss, response, y, weight, predicted(peer.accuracy_score))
    check("balanced_accuracy", loss, response, y, weight, predicted(peer.balanced_accuracy_score))
    for name, function in RATIOS.items():
        for average in AVERAGES:
            reference = predicted(function, average=average, zero_division=0)
            check(f"{name}_{average}", loss, response, y, weight, reference)
        average = "binary" if k == 2 else "macro"
        reference = predicted(function, average=average, zero_division=0)
        check(name, loss, response, y, weight, reference)

    def of_labels(function: Any, **options: Any) -> Any:
        return lambda y, p, w: function(y, p, labels=labels, sample_weight=w, **options)

    check("log_loss", loss, response, y, weight, of_labels(peer.log_loss))
    check("brier", loss, response, y, weight, of_labels(peer.brier_score_loss))
    if k == 2:

        def of_second(function: Any) -> Any:
            return lambda y, p, w: function(y, p[:, 1], sample_weight=w)

        check("roc_auc", loss, response, y, weight, of_second(peer.roc_auc_score))
        check("average_precision", loss, response, y, weight, average_precision(1))
        return
    for top in (1, 2, k - 1):
        reference = of_labels(peer.top_k_accuracy_score, k=top)
        check(f"top_{top}_accuracy", loss, response, y, weight, reference)
    reference = of_labels(peer.roc_auc_score, multi_class="ovr")
    check("roc_auc", loss, response, y, weight, reference)

    def pairs(y: Any, p: Any, w: Any) -> float:
        if len(np.unique(y)) == 1:
            return np.nan
        return peer.roc_auc_score(y, p, labels=labels, multi_class="ovo")

    check("roc_auc_ovo", loss, response, y, None, pairs)

    def precision(y: Any, p: Any, w: Any) -> float:
        hot = one_hot(y)
        if not hot.any(axis=0).all():
            return np.nan
        return peer.average_precision_score(hot, p, sample_weight=w)

    check("average_precision", loss, response, y, weight, precision)


def average_precision(column: int) -> Any:
    """Undefined without a positive row, where scikit-learn says 0."""

    def reference(y: Any, p: Any, w: Any) -> float:
        y, p = y.reshape(len(y), -1)[:, -1], p[:, column]
        return peer.average_precision_score(y, p, sample_weight=w) if y.any() else np.nan

    return reference


def one_output(drawn: Any) -> None:
    rng, n, _, weight = drawn
    response = levels(rng, (n, 1))
    y = (rng.random((n, 1)) < rng.choice([0, 0.2, 0.5, 1])).astype(np.float64)
    loss = "binary_cross_entropy"

    def predicted(function: Any, **options: Any) -> Any:
        return lambda y, p, w: function(y[:, 0], p[:, 0] >= 0.5, sample_weight=w, **options)

    def probable(function: Any, **options: Any) -> Any:
        return lambda y, p, w: function(y[:, 0], p[:, 0], sample_weight=w, **options)

    check("accuracy", loss, response, y, weight, predicted(peer.accuracy_score))
    check("balanced_accuracy", loss, response, y, weight, predicted(peer.balanced_accuracy_score))
    for name, function in RATIOS.items():
        check(name, loss, response, y, weight, predicted(function, zero_division=0))
        for average in AVERAGES:
            reference = predicted(function, average=average, zero_division=0)
            check(f"{name}_{average}", loss, response, y, weight, reference)
    check("roc_auc", loss, response, y, weight, probable(peer.roc_auc_score))
    check("average_precision", loss, response, y, weight, average_precision(0))
    check("log_loss", loss, response, y, weight, probable(peer.log_loss, labels=[0, 1]))
    check("brier", loss, response, y, weight, probable(peer.brier_score_loss, pos_label=1))


def several_outputs(drawn: Any) -> None:
    rng, n, k, weight = drawn
    response = levels(rng, (n, k))
    y = (rng.random((n, k)) < rng.choice([0.1, 0.5, 0.9])).astype(np.float64)
    loss = "binary_cross_entropy"

    def ratio(function: Any, average: str) -> Any:
        options = {"average": average, "zero_division": 0}
        return lambda y, p, w: function(y.astype(int), p >= 0.5, sample_weight=w, **options)

    for name, function in RATIOS.items():
        check(name, loss, response, y, weight, ratio(function, "macro"))
        for average in AVERAGES:
            check(f"{name}_{average}", loss, response, y, weight, ratio(function, average))

    def each(function: Any) -> Any:
        """The mean over the columns."""
        return lambda y, p, w: np.mean(
            [function(y[:, j], p[:, j], sample_weight=w) for j in range(k)]
        )

    def log_loss(y: Any, p: Any, sample_weight: Any) -> float:
        return peer.log_loss(y, p, sample_weight=sample_weight, labels=[0, 1])

    def brier(y: Any, p: Any, sample_weight: Any) -> float:
        return peer.brier_score_loss(y, p, sample_weight=sample_weight, pos_label=1)

    def side(function: Any) -> Any:
        return lambda y, p, sample_weight: function(y, p >= 0.5, sample_weight=sample_weight)

    def precision(y: Any, p: Any, sample_weight: Any) -> float:
        return average_precision(0)(y[:, None], p[:, None], sample_weight)

    check("accuracy", loss, response, y, weight, each(side(peer.accuracy_score)))
    balanced = each(side(peer.balanced_accuracy_score))
    check("balanced_accuracy", loss, response, y, weight, balanced)
    check("roc_auc", loss, response, y, weight, each(peer.roc_auc_score))
    check("average_precision", loss, response, y, weight, each(precision))
    check("log_loss", loss, response, y, weight, each(log_loss))
    check("brier", loss, response, y, weight, each(brier))


def numbers(drawn: Any) -> None:
    rng, n, k, weight = drawn
    alpha = float(rng.choice([0, 0.1, 0.5, rng.random(), 1]))
    whole = rng.random() < 0.5  # ties, and constants whose mean is not rounded
    y, response = (rng.normal(size=(n, k)) * 10 for _ in range(2))
    if whole:
        y, response = np.round(y / 8), np.round(response / 8)
    for name, function in {
        "mse": peer.mean_squared_error,
        "rmse": peer.root_mean_squared_error,
        "mae": peer.mean_absolute_error,
        "median_absolute_error": peer.median_absolute_error,
        "r2": peer.r2_score,
    }.items():
        if name == "r2" and weight is not None and np.count_nonzero(weight) < 2:
            continue  # one row of weight 2 is two rows
        check(
            name, "mse", response, y, weight,
            lambda y, p, w, function=function: function(y, p, sample_weight=w),
        )  # fmt: skip
    check(
        f"pinball_{alpha!r}", "mse", response, y, weight,
        lambda y, p, w: peer.mean_pinball_loss(y, p, alpha=alpha, sample_weight=w),
    )  # fmt: skip


@pytest.mark.parametrize("examples", slow_but([8], [8, 100]))
@pytest.mark.parametrize(
    ("compare", "columns"),
    [
        (one_class_of_several, (2, 6)),
        (one_output, (1, 1)),
        (several_outputs, (2, 5)),
        (numbers, (1, 4)),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_equal_to_scikit_learn(compare, columns, examples):
    settings(max_examples=examples)(given(drawn=case(*columns))(compare))()

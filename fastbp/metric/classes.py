"""Metrics of predicted classes: how many are right, and of which class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.metric.rows import (
    Array,
    Weight,
    column_sums,
    is_positive,
    mean,
    predicted_class,
    true_class,
)

_Sums = NDArray[np.float64]


def accuracy(response: Array, y: Array, weight: Weight, is_class: bool) -> float:
    """The share of rows whose class is predicted; of outputs on the right side of 0.5."""
    if is_class:
        return mean(predicted_class(response) == true_class(y), weight)
    return mean((response >= 0.5) == is_positive(y, response), weight)


def top_k_accuracy(
    response: Array, y: Array, weight: Weight, is_class: bool, *, k: int | None
) -> float:
    """The share of rows with fewer than k responses before that of the right class; of equal
    responses the later class is before the earlier one, as in scikit-learn.
    """
    label = true_class(y)[:, np.newaxis]
    own = np.take_along_axis(response, label, axis=1)
    before = np.count_nonzero(~(response <= own), axis=1)  # NaN is before everything
    ties = (response == own) & (np.arange(response.shape[1]) > label)
    if ties.any():
        before += np.count_nonzero(ties, axis=1)
    return mean(before < (5 if k is None else k), weight)


def balanced_accuracy(response: Array, y: Array, weight: Weight, is_class: bool) -> float:
    """The mean of the recalls of the classes that occur in y; of several outputs, the mean of
    theirs.
    """
    n_outputs = response.shape[1]
    if is_class or n_outputs == 1:
        found = _counts(response, y, weight, is_class)
        return _mean_recall(found.hit[:, np.newaxis], found.true[:, np.newaxis])
    true, guess = is_positive(y, response), response >= 0.5
    hit = [column_sums(~(true | guess), weight), column_sums(true & guess, weight)]
    return _mean_recall(
        np.stack(hit), np.stack([column_sums(~true, weight), column_sums(true, weight)])
    )


def precision(
    response: Array, y: Array, weight: Weight, is_class: bool, *, average: str | None
) -> float:
    """TP / (TP + FP)."""
    found = _counts(response, y, weight, is_class)
    return _averaged(found, found.hit, found.predicted, _average(average, response, is_class))


def recall(
    response: Array, y: Array, weight: Weight, is_class: bool, *, average: str | None
) -> float:
    """TP / (TP + FN)."""
    found = _counts(response, y, weight, is_class)
    return _averaged(found, found.hit, found.true, _average(average, response, is_class))


def f1(response: Array, y: Array, weight: Weight, is_class: bool, *, average: str | None) -> float:
    """2 TP / (2 TP + FP + FN)."""
    found = _counts(response, y, weight, is_class)
    both = found.predicted + found.true
    return _averaged(found, 2.0 * found.hit, both, _average(average, response, is_class))


class _Counts(NamedTuple):
    """Weights of each label: predicted rightly, in y, predicted.  One of `is_class` belongs to a
    row of a single label: two classes for one output.
    """

    hit: _Sums
    true: _Sums
    predicted: _Sums
    is_class: bool


def _counts(response: Array, y: Array, weight: Weight, is_class: bool) -> _Counts:
    n_outputs = response.shape[1]
    if is_class or n_outputs == 1:
        if is_class:
            true, guess = true_class(y), predicted_class(response)
        else:
            true = is_positive(y, response)[:, 0].view(np.int8)
            guess = np.asarray(response[:, 0] >= 0.5).view(np.int8)
            n_outputs = 2
        weight = weight[:, 0] if weight is not None and weight.ndim == 2 else weight
        hit = guess == true
        own = None if weight is None else weight[hit]
        return _Counts(
            _sums(true[hit], own, n_outputs),
            _sums(true, weight, n_outputs),
            _sums(guess, weight, n_outputs),
            is_class=True,
        )
    yes, said = is_positive(y, response), response >= 0.5
    hits = column_sums(yes & said, weight)
    return _Counts(hits, column_sums(yes, weight), column_sums(said, weight), is_class=False)


def _sums(label: Array, weight: Weight, n_labels: int) -> _Sums:
    """The weight of each label's rows."""
    return np.bincount(label, weight, n_labels).astype(np.float64)


def _average(average: str | None, response: Array, is_class: bool) -> str:
    """The one asked for; else "binary" where there are two classes."""
    is_binary = response.shape[1] == (2 if is_class else 1)
    if average == "binary" and not is_binary:
        raise ValueError(
            f"average='binary' needs one output or two classes, got {response.shape[1]}; "
            "others: macro, micro, weighted"
        )
    return average or ("binary" if is_binary else "macro")


def _averaged(found: _Counts, part: _Sums, whole: _Sums, average: str) -> float:
    """Of part / whole, 0 where nothing was to be divided by."""
    if average == "micro":
        part, whole = part.sum(keepdims=True), whole.sum(keepdims=True)
    score = np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
    if average == "binary":
        return float(score[1])
    if average == "weighted":
        total = found.true.sum()
        return float((found.true * score).sum() / total) if total else 0.0
    if average == "macro" and found.is_class:  # a class that never occurs does not count
        score = score[(found.true + found.predicted) > 0]
    return float(score.mean()) if len(score) else np.nan


def _mean_recall(hit: _Sums, true: _Sums) -> float:
    """(labels, outputs): the mean over labels that occur, then over outputs."""
    occurs = true > 0
    share = np.divide(hit, true, out=np.zeros_like(true), where=occurs)
    count = np.count_nonzero(occurs, axis=0)
    means = share.sum(axis=0)[count > 0] / count[count > 0]
    return float(means.mean()) if len(means) else np.nan

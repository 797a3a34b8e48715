"""Metrics of the order of the responses: areas under the curves of all thresholds.

Rows of equal response share a threshold.  One sort a column, the rest in running sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from fastbp.metric.rows import (
    Array,
    Weight,
    column_weight,
    is_positive,
    mean_of_columns,
    true_class,
)

_Curve = NDArray[np.float64]


def roc_auc(
    response: Array, y: Array, weight: Weight, is_class: bool, *, multi_class: str | None
) -> float:
    """The probability that a positive row's response is above a negative one's, ties counting
    half; NaN where one of the two is missing.
    """
    if multi_class == "ovo" and is_class and response.shape[1] > 2:
        return _one_vs_one(response, true_class(y), weight)
    return _macro(_area, response, y, weight, is_class)


def average_precision(response: Array, y: Array, weight: Weight, is_class: bool) -> float:
    """sum (R_i - R_(i-1)) P_i over the thresholds from the highest; NaN without a positive row."""
    return _macro(_average_precision, response, y, weight, is_class)


def _macro(
    measure: Callable[[Array, Array, Weight], float],
    response: Array,
    y: Array,
    weight: Weight,
    is_class: bool,
) -> float:
    """The mean over the columns; of two classes the second one alone."""
    found = [
        measure(score, positive, column_weight(weight, j))
        for j, score, positive in _columns(response, y, is_class)
    ]
    return mean_of_columns(np.array(found), None if is_class else weight)


def _columns(response: Array, y: Array, is_class: bool) -> Iterator[tuple[int, Array, Array]]:
    """Of each column: its number, the responses, which rows are positive."""
    if is_class:
        label = true_class(y)
        for j in (1,) if response.shape[1] == 2 else range(response.shape[1]):
            yield j, response[:, j], label == j
        return
    positive = is_positive(y, response)
    for j in range(response.shape[1]):
        yield j, response[:, j], positive[:, j]


def _area(score: Array, positive: Array, weight: Weight) -> float:
    hits, misses = _curve(score, positive, weight)
    total = hits[-1] * misses[-1]
    if not total:  # sums of weights are not negative, NaN goes on
        return np.nan
    steps = np.diff(misses, prepend=0.0)
    return float((steps * (hits - 0.5 * np.diff(hits, prepend=0.0))).sum() / total)


def _average_precision(score: Array, positive: Array, weight: Weight) -> float:
    hits, misses = _curve(score, positive, weight)
    if not hits[-1]:
        return np.nan
    # the weight above a threshold may be 0 where outputs have weights of their own
    above = hits + misses
    precision = np.divide(hits, above, out=np.zeros_like(hits), where=above > 0)
    return float((np.diff(hits, prepend=0.0) * precision).sum() / hits[-1])


def _curve(score: Array, positive: Array, weight: Weight) -> tuple[_Curve, _Curve]:
    """The weight of the positive and of the negative rows at or above each threshold, from the
    highest; NaN where a response is NaN.
    """
    order, last = _sorted(score)
    if np.isnan(score[order[0]]):
        return np.full(1, np.nan), np.full(1, np.nan)
    positive = positive[order]
    if weight is None:
        hits = np.cumsum(positive)[last].astype(np.float64)
        return hits, last + 1.0 - hits
    weight = weight[order]
    hits = np.cumsum(weight * positive)[last]
    return hits, np.cumsum(weight * ~positive)[last]


def _sorted(score: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The order from the highest response, NaN before all, and the place of the last of each run
    of equal ones.
    """
    order = np.argsort(score)[::-1]
    ordered = score[order]
    last = np.flatnonzero(ordered[1:] != ordered[:-1])
    return order, np.append(last, len(score) - 1)


def _one_vs_one(response: Array, label: Array, weight: Weight) -> float:
    """The mean over all pairs of classes a, b in y of the area that column a has of their rows
    alone (Hand and Till, 2001); NaN of a single class.
    """
    n_classes = response.shape[1]
    own = np.ones(len(label)) if weight is None else weight
    total = np.bincount(label, own, n_classes)
    present = np.flatnonzero(total)
    if len(present) < 2 or np.isnan(response).any():
        return np.nan
    areas = 0.0
    for a in present:
        order, last = _sorted(response[:, a])
        hits = np.cumsum(own[order] * (label[order] == a))[last]
        above = np.repeat(hits - 0.5 * np.diff(hits, prepend=0.0), np.diff(last, prepend=-1))
        pairs = np.bincount(label[order], own[order] * above, n_classes)
        areas += (pairs[present] / (total[present] * total[a]))[present != a].sum()
    return float(areas / (len(present) * (len(present) - 1)))

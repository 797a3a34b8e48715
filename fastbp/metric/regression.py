"""Metrics of numbers: means and medians of errors, explained variance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastbp.metric.rows import (
    Array,
    Weight,
    column_means,
    column_sums,
    column_weight,
    error,
    mean,
    mean_of_columns,
)


def mse(response: Array, y: Array, weight: Weight, is_class: bool) -> float:
    """Mean of e^2."""
    return mean(np.square(error(response, y, is_class)), weight)


def rmse(response: Array, y: Array, weight: Weight, is_class: bool) -> float:
    """sqrt(mean of e^2) of each output, and their mean, as in scikit-learn."""
    square = column_means(np.square(error(response, y, is_class)), weight)
    return mean_of_columns(np.sqrt(square), weight)


def mae(response: Array, y: Array, weight: Weight, is_class: bool) -> float:
    """Mean of |e|."""
    return mean(np.abs(error(response, y, is_class)), weight)


def median_absolute_error(response: Array, y: Array, weight: Weight, is_class: bool) -> float:
    """Median of |e| of each output, and their mean."""
    size = np.abs(error(response, y, is_class))
    if weight is None:
        return float(np.median(size, axis=0).mean())
    columns = range(size.shape[1])
    found = [_weighted_median(size[:, j], column_weight(weight, j)) for j in columns]
    return mean_of_columns(np.array(found), weight)


def r2(response: Array, y: Array, weight: Weight, is_class: bool) -> float:
    """1 - sum e^2 / sum (y - mean y)^2 of each output, and their mean; 1 or 0 of a constant y,
    predicted or not; NaN of a single row.
    """
    if (len(y) if weight is None else weight.sum()) < 2 and len(y) < 2:
        return np.nan  # one row of weight 2 is two rows
    y = y.reshape(response.shape).astype(np.float64)
    rest = np.square(error(response, y, is_class))
    spread = np.square(y - column_means(y, weight))
    unexplained, total = column_sums(rest, weight), column_sums(spread, weight)
    total[_is_constant(y, weight)] = 0.0  # the mean is rounded
    ratio = (unexplained != 0).astype(np.float64)
    np.divide(unexplained, total, out=ratio, where=total > 0)
    return mean_of_columns(1.0 - ratio, weight)


def pinball(
    response: Array, y: Array, weight: Weight, is_class: bool, *, alpha: float | None
) -> float:
    """Mean of alpha (y - f) where y >= f, (1 - alpha) (f - y) elsewhere."""
    part = 0.5 if alpha is None else alpha
    e = error(response, y, is_class)
    return mean(np.where(e <= 0, -part * e, (1.0 - part) * e), weight)


def _is_constant(y: Array, weight: Weight) -> Array:
    """Of each output: whether all its targets that weigh are equal."""
    columns = np.ascontiguousarray(y.T)
    if weight is None or weight.ndim == 1:
        return np.asarray(columns.max(axis=1) == columns.min(axis=1))
    present = weight.T > 0
    low = np.min(columns, axis=1, where=present, initial=np.inf)
    return np.asarray(np.max(columns, axis=1, where=present, initial=-np.inf) <= low)


def _weighted_median(values: NDArray[np.float64], weight: Weight) -> float:
    """The mean of the values at which the weight passed, in their order, reaches and exceeds half
    of it all.
    """
    assert weight is not None
    order = np.argsort(values)
    passed = np.cumsum(weight[order])
    half, slack = 0.5 * passed[-1], passed[-1] * len(passed) * np.finfo(np.float64).eps
    if not half:
        return np.nan
    low = np.searchsorted(passed, half - slack)
    high = min(int(np.searchsorted(passed, half + slack, side="right")), len(passed) - 1)
    return float(0.5 * (values[order[low]] + values[order[high]]))

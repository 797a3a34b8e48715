"""What the formulas of metrics share: classes, errors, weighted means.

Everywhere `response` is (n, k), `y` class indices (n,) or targets (n, k), and a weight is None,
(n,), or (n, k) where every output of a row has its own; the rows of weight 0 are gone already.
Sums are in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Weight = NDArray[np.float64] | None


def mean(values: Array, weight: Weight) -> float:
    """Of the numbers of all rows, (n,) or (n, k): sum w v / sum w."""
    if weight is None:
        if values.dtype == bool:
            return np.count_nonzero(values) / values.size
        return float(values.mean(dtype=np.float64))
    if values.ndim == 2 and weight.ndim == 1:
        return _ratio(float((weight[:, np.newaxis] * values).sum()), weight.sum() * values.shape[1])
    return _ratio(float((weight * values).sum()), weight.sum())


def column_sums(values: Array, weight: Weight) -> NDArray[np.float64]:
    """sum w v of each column of (n, k)."""
    columns = np.ascontiguousarray(values.T)  # sums of rows are quick, and pairwise
    if weight is not None:
        columns = weight.T * columns
    elif columns.dtype == bool:
        return np.count_nonzero(columns, axis=1).astype(np.float64)
    return np.asarray(columns.sum(axis=1, dtype=np.float64))


def column_means(values: Array, weight: Weight) -> NDArray[np.float64]:
    """sum w v / sum w of each column of (n, k); NaN where no row weighs."""
    sums = column_sums(values, weight)
    if weight is None:
        return sums / len(values)
    total = np.broadcast_to(weight.sum(axis=0), sums.shape)
    return np.divide(sums, total, out=np.full(sums.shape, np.nan), where=total > 0)


def mean_of_columns(values: Array, weight: Weight) -> float:
    """The plain mean of one number a column; one that no row weighs in does not count."""
    if weight is not None and weight.ndim == 2:
        values = values[weight.any(axis=0)]
    return float(values.mean()) if len(values) else np.nan


def column_weight(weight: Weight, j: int) -> Weight:
    """That of the rows, or of output j of the rows."""
    return weight if weight is None or weight.ndim == 1 else weight[:, j]


def true_class(y: Array) -> Array:
    """(n,): the index, or that of the most probable class."""
    return y if y.ndim == 1 else y.argmax(axis=1)


def predicted_class(response: Array) -> Array:
    """(n,): the class of the largest response, the first of several."""
    if response.shape[1] == 2:  # argmax is slow for short rows
        return np.asarray(response[:, 1] > response[:, 0]).view(np.int8)
    return response.argmax(axis=1)


def is_positive(y: Array, response: Array) -> Array:
    """(n, k), bool: the targets of outputs that are probabilities, 0.5 counting as 1."""
    return np.asarray(y.reshape(response.shape) >= 0.5)


def error(response: Array, y: Array, is_class: bool) -> NDArray[np.float64]:
    """(n, k), response - y; a class index stands for its one-hot row."""
    found = response.astype(np.float64)
    if is_class and y.ndim == 1:
        found[np.arange(len(y)), y] -= 1.0
    else:
        found -= y.reshape(found.shape)
    return found


def _ratio(value: float, total: float) -> float:
    return value / float(total) if total else np.nan

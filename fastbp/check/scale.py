"""The sizes of the columns of an input: where they lie far apart, training creeps."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.check.frame import column_named

_RATIO = 100.0  # of the sizes of two columns
_ROWS, _CELLS = 2**12, 2**16  # to look at, evenly spaced: some 0.1 ms


def unevenness(X: NDArray[Any], given: object, categorical: Collection[int] = ()) -> str:
    """What a warning says of columns more than a hundred times as large as others, or ''.

    The size of a column is the root mean square of its entries other than 0, so that a rare dummy
    is as large as a frequent one; constant columns are left out, and those
    that are `categorical`. `given` is X as the user passed
    it, who may name the columns.
    """
    step = -(-len(X) // min(_ROWS, max(_CELLS // X.shape[1], 16)))
    part = X[::step]
    with np.errstate(all="ignore"):  # squares of float64 overflow; fit takes NaN unchecked
        total = np.einsum("ij,ij->j", part, part, dtype=np.float64)
        count = np.count_nonzero(part, axis=0)
        # Of a handful of entries among many zeros the mean tells nothing.
        enough = count >= min(max(len(part) // 8, 1), 8)
        columns = np.flatnonzero(enough & (part != part[0]).any(axis=0))
        if categorical:
            columns = np.setdiff1d(columns, list(categorical))
        if len(columns) < 2:
            return ""
        size = np.sqrt(total[columns] / count[columns])
        large, small = int(columns[size.argmax()]), int(columns[size.argmin()])
        # what a sample of the rows suggests, all of them must confirm
        ratio = _size(X[:, large]) / _size(X[:, small]) if size.max() > _RATIO * size.min() else 0.0
    if not ratio > _RATIO or not np.isfinite(part[:, columns]).all():
        return ""
    return (
        f"{column_named(large, given)} of X is {float(f'{ratio:.2g}'):.6g} times as large as "
        f"{column_named(small, given)}: standardise, X = (X - X.mean(axis=0)) / "
        "np.maximum(X.std(axis=0), 1e-9), and use the same mean and std to predict"
    )


def _size(column: NDArray[Any]) -> np.float64:
    """The root mean square of the entries other than 0."""
    total = np.einsum("i,i", column, column, dtype=np.float64)
    return np.float64(np.sqrt(total / np.count_nonzero(column)))

"""Checks of what calls are given beside y: all of them run before anything is changed.

A message names the argument, what came, what was expected and the first offending index.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastbp.check.array import Array, FiniteScan, as_numeric, as_real, is_direct, nonfinite
from fastbp.check.frame import missing_values
from fastbp.check.message import counted, shown
from fastbp.check.scalar import as_index

if TYPE_CHECKING:
    from fastbp.check.category import Categories

_FLOAT64 = np.dtype(np.float64)


def check_X(
    X: object,
    *,
    n_features: int,
    dtype: DTypeLike,
    name: str = "X",
    check_finite: bool = True,
    minimum_rows: int = 1,
    isfinite: FiniteScan | None = None,
    most_bytes: float = math.inf,
    advice: str = "",
    categories: Categories | None = None,
) -> Array:
    """`X` as a (rows, n_features) array of `dtype`, aligned, native, in any order of strides.

    It is the caller's own memory where the kernels can read that, else a copy in C order.
    `isfinite(array)` returns the flat index of the first NaN or infinity, or -1; it never gets an
    empty array. `most_bytes` as for `as_real`.  `advice` ends the complaint about too few
    dimensions.  `categories` are those of categorical columns.

    Raises:
        TypeError: sparse.
        ValueError: complex, not numbers, masked, wrong shape, NaN, infinite, too big for `dtype`,
            no category.
    """
    dtype = np.dtype(dtype)
    array = as_numeric(X, name=name, dtype=dtype)
    shape = array.shape
    if array.ndim < 2:
        got = f"{array.ndim}D array" if array.ndim else "scalar array"
        what = f"has shape {shape}" if array.ndim else f"is {shown(X)}"
        raise ValueError(
            f"Expected 2D array, got {got} instead: {name} {what}. Reshape your data either using "
            "array.reshape(-1, 1) if your data has a single feature or array.reshape(1, -1) if it "
            f"contains a single sample.{advice}"
        )
    if array.ndim > 2:
        raise ValueError(f"{name} must be 2-D (rows, features), got shape {shape}")
    if shape[0] < minimum_rows:
        raise ValueError(
            f"Found array with {shape[0]} sample(s) (shape={shape}) while a minimum of "
            f"{minimum_rows} is required."
        )
    if shape[1] == 0:
        raise ValueError(
            f"Found array with 0 feature(s) (shape={shape}) while a minimum of 1 is required."
        )
    if shape[1] != n_features:
        raise ValueError(
            f"{name} has {counted(shape[1], 'feature')}, but Network is expecting "
            f"{counted(n_features, 'feature')} as input."
        )
    on_nan = (lambda part: missing_values(part, X)) if name == "X" else None
    takes_nan = categories is not None and not categories.refuses_unknown
    found = as_real(
        array, name=name, dtype=dtype, check_finite=check_finite and not takes_nan,
        isfinite=isfinite, most_bytes=most_bytes, nan_advice=on_nan,
    )  # fmt: skip
    if categories is not None:
        categories.check(found, X, name=name, check_finite=check_finite)
    return found


def check_batches(batches: object, *, n_rows: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """An explicit order of mini-batches, e.g. [[0, 1], [2]], as (order, offsets), both private.

    Batch i is order[offsets[i]:offsets[i + 1]]; a row may occur more than once.

    Raises:
        TypeError: not a sequence of sequences.
        ValueError: no batch, an empty batch, something that is not a row number in 0..n_rows-1.
    """
    if isinstance(batches, str | bytes | Mapping) or not isinstance(batches, Iterable):
        raise TypeError(
            f"batches must be a sequence of sequences of row numbers, got {shown(batches)}"
        )
    parts = [_row_numbers(part, name=f"batches[{i}]", n_rows=n_rows)
             for i, part in enumerate(batches)]  # fmt: skip
    if not parts:
        raise ValueError("batches must hold at least one batch, got 0")
    offsets = np.zeros(len(parts) + 1, dtype=np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return np.concatenate(parts), offsets


def _row_numbers(batch: object, *, name: str, n_rows: int) -> NDArray[np.uint32]:
    """One batch as a private 1-D array."""
    if isinstance(batch, str | bytes | Mapping) or not isinstance(batch, Iterable):
        raise TypeError(f"{name} must be a 1-D sequence of row numbers, got {shown(batch)}")
    cells = batch if isinstance(batch, np.ndarray) else list(batch)
    try:
        part = np.array(cells)
    except ValueError:  # rows of different lengths
        part = np.empty((0, 0))
    if part.ndim != 1:
        raise TypeError(f"{name} must be a 1-D sequence of row numbers, got {shown(batch)}")
    if part.size == 0:
        raise ValueError(f"{name} is empty")
    if part.dtype.kind in "iu" and part.min() >= 0 and part.max() < n_rows:
        return part.astype(np.uint32)
    for i, cell in enumerate(cells):
        number = as_index(cell)
        if number is None:
            raise ValueError(f"{name}[{i}] = {shown(cell)} is not a row number")
        if not 0 <= number < n_rows:
            raise ValueError(f"{name}[{i}] = {number} is outside 0..{n_rows - 1}")
    return np.array([as_index(cell) for cell in cells], dtype=np.uint32)


def check_weights(
    weights: object,
    *,
    shapes: Sequence[tuple[str, tuple[int, ...]]],
    dtype: DTypeLike = np.float64,
    name: str = "weights",
) -> list[NDArray[np.float64]]:
    """What `set_weights` takes, as private float64 arrays of the given shapes; `name` is that of
    the argument.

    Raises:
        TypeError: not a sequence of arrays.
        ValueError: wrong number or shape, not numbers, NaN, infinite, too big for `dtype`.
    """
    if not isinstance(weights, Iterable) or isinstance(weights, str | bytes | Mapping):
        raise TypeError(f"{name} must be a list of arrays, got {shown(weights)}")
    given = list(weights)
    if len(given) != len(shapes):
        names = ", ".join(tensor for tensor, _ in shapes)
        raise ValueError(f"{name} must be {len(shapes)} arrays ({names}), got {len(given)}")
    result = []
    for (tensor, shape), value in zip(shapes, given, strict=True):
        place = tensor if name == "weights" else f"{name} of {tensor}"
        array = as_numeric(value, name=place, dtype=_FLOAT64)
        if array.shape != tuple(shape):
            turned = array.shape == tuple(shape)[::-1]
            advice = ": transposed? pass its .T" if turned else ""
            raise ValueError(f"{place} is {tuple(shape)}, got {array.shape}{advice}")
        own = np.array(array, order="C")  # it may be a view of the very parameter being set
        if dtype != _FLOAT64:
            as_real(own, name=place, dtype=np.dtype(dtype))
        result.append(as_real(own, name=place, dtype=_FLOAT64))
    return result


def check_parameters(parameters: Mapping[str, Array], isfinite: FiniteScan | None = None) -> None:
    """Refuse NaN or infinity that a user wrote into the exposed views.

    Raises:
        ValueError: `parameter dense_1/kernel contains NaN at [0, 3]`.
    """
    for name, array in parameters.items():
        problem = nonfinite(array, isfinite)
        if problem:
            raise ValueError(f"parameter {name} {problem}")


def check_variance(name: str, values: Array) -> None:
    """Refuse a running variance below 0, whose root a prediction takes.

    Raises:
        ValueError: `batch_norm_1/moving_variance must be >= 0, got -1 at [3]`.
    """
    below = np.flatnonzero(values < 0)
    if len(below):
        raise ValueError(f"{name} must be >= 0, got {values[below[0]]:g} at [{below[0]}]")


def check_out(
    out: object, *, shape: tuple[int, ...], dtype: DTypeLike, others: Iterable[Array] = ()
) -> Array:
    """The array to compute into: a new one for None, `out`, or a new one where `out` overlaps
    one of `others` (the input, the parameters); then the caller copies the result to `out`.

    Raises:
        TypeError: not an ndarray.
        ValueError: wrong shape or dtype, read-only, not C-contiguous.
    """
    dtype = np.dtype(dtype)
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a numpy.ndarray, got {type(out).__name__}")
    if out.shape != tuple(shape):
        raise ValueError(f"out must have shape {tuple(shape)}, got {out.shape}")
    if out.dtype != dtype or not out.dtype.isnative:
        raise ValueError(f"out must have dtype {dtype}, got {out.dtype.str}")
    if not out.flags.writeable:
        raise ValueError("out must be writable, got a read-only array")
    if not out.flags.c_contiguous or not is_direct(out):
        raise ValueError(f"out must be C-contiguous and aligned, got strides {out.strides}")
    if any(np.may_share_memory(out, other) for other in others):
        return np.empty(shape, dtype)
    return out

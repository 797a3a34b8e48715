"""Rows, their targets and their weights, checked for the verbs that train or measure."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.check.array import Array, is_readable
from fastbp.check.frame import check_feature_names
from fastbp.check.input import check_X
from fastbp.check.scalar import check_bool
from fastbp.check.target import check_y, check_y_with_gaps
from fastbp.check.weight import (
    NAN_ADVICE,
    UNWEIGHTED,
    Weights,
    check_sample_weight,
    class_weights,
    combined,
    fitting,
)
from fastbp.runtime.state import State

# An array of another type than the network's is converted whole, once, where the copy has no more
# bytes than these or than the array itself has in memory; else part by part, as rows are needed.
MOST_BYTES = 2**26
PART_NUMBERS = 2**20  # so many of X are converted at a time


class Picked:
    """Some rows of an array that is too large for a copy of them."""

    def __init__(self, array: Array, rows: NDArray[np.int64]) -> None:
        self.array, self.rows = array, rows
        self.shape = (len(rows), *array.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)


class Rows(NamedTuple):
    """What the engine takes.

    Attributes:
        X: an array, or `Picked` rows of one.
        y: an array, or the `Targets` of several heads.
        is_direct: the kernels can read X and y in place; else at least one is as it came, to be
            converted in parts.
    """

    X: Any
    y: Any
    weights: Weights = UNWEIGHTED
    is_direct: bool = True

    def take(self, rows: slice | Array, state: State) -> Rows:
        """Some of the rows, where the kernels can read them."""
        X = converted(self.X, rows, state)
        return Rows(X, _targets(self.y, rows, state), self.weights.take(rows))

    def cut(self, begin: int, end: int) -> Rows:
        """Views of the rows begin..end, which can be read in place."""
        piece = slice(begin, end)
        return Rows(self.X[piece], self.y[piece], self.weights.take(piece))

    def total(self, rows: slice | Array | None = None) -> float:
        """What these rows count together."""
        held = self.weights.row_weight
        if held is not None:
            return float(held.sum() if rows is None else held[rows].sum())
        if isinstance(rows, slice):
            return float(len(range(*rows.indices(len(self.X)))))
        return float(len(self.X) if rows is None else len(rows))


def _targets(y: Any, rows: slice | Array, state: State) -> Any:
    """Those of some rows, where the kernels can read them."""
    if state.heads is not None:
        return type(y)(tuple(
            part[rows] if part.ndim == 1 else converted(part, rows, state) for part in y
        ))  # fmt: skip
    return y[rows] if _stays(y, state) else converted(y, rows, state)


def _stays(y: Array, state: State) -> bool:
    if state.loss.is_own:  # which takes what it is given
        return True
    return y.ndim == 1 and y.dtype == np.int32 and state.loss.domain == "class"


_GATHER = 2**17  # numbers at a time: what is gathered is converted while it lies in a cache


def converted(array: Array | Picked, rows: slice | Array, state: State) -> Array:
    """Rows of an array as the kernels can read them: a view where it can be one."""
    if isinstance(array, Picked):
        return converted(array.array, array.rows[rows], state)
    if isinstance(rows, slice):
        array = array[rows]
        if is_readable(array, state.dtype):
            return array
    n_rows = len(array) if isinstance(rows, slice) else len(rows)
    out = np.empty((n_rows, *array.shape[1:]), state.dtype)
    step = max(1, _GATHER // max(1, math.prod(array.shape[1:])))
    # `take` is three times as fast, but copies an array whole that lies otherwise
    takes = array.dtype.isnative and array.flags.c_contiguous and array.flags.aligned
    held = np.empty((step, *array.shape[1:]), array.dtype)
    for start in range(0, n_rows, step):
        to = out[start : start + step]
        if isinstance(rows, slice):
            _convert(array[start : start + step], to)
            continue
        some = rows[start : start + step].astype(np.intp)
        if takes:
            array.take(some, axis=0, out=held[: len(some)], mode="clip")
        _convert(held[: len(some)] if takes else array[some], to)
    return out


def _convert(part: Array, out: Array) -> None:
    """out = part, in another type."""
    if part.dtype == np.float16:  # three times as fast as by NumPy
        _half_numbers(out.dtype).take(part.view(np.uint16).astype(np.intp), out=out, mode="clip")
        return
    with np.errstate(all="ignore"):
        out[...] = part


@lru_cache
def _half_numbers(dtype: np.dtype[Any]) -> Array:
    """All float16 numbers by their bits."""
    return np.arange(2**16, dtype=np.uint16).view(np.float16).astype(dtype)


def row_order(state: State, n_rows: int, epoch: int) -> NDArray[np.uint32]:
    """The order in which an epoch visits the rows, as the engine draws it for itself."""
    order = np.empty(n_rows, np.uint32)
    state.module.shuffled(n_rows, state.seed, epoch, order)
    return order


def checked_rows(
    state: State,
    X: Any,
    y: Any,
    *,
    sample_weight: object = None,
    class_weight: object = None,
    ignore_nan: bool = False,
    check_finite: bool = True,
    normalize: bool = True,
    all_zero: bool = False,
    any_names: bool = False,
    most_bytes: float | None = None,
) -> Rows:
    """X, y and what weighs them.

    Args:
        normalize: means are over the weights; else over the rows, and weights may be negative.
        all_zero: weights that are all 0, or targets that are all NaN, are accepted.
        most_bytes: of a copy of X, as for `check_X`; None for `MOST_BYTES`.
        any_names: the columns of a frame need not be those of the last `fit`.

    Raises TypeError, ValueError as `check_X`, `check_y`, `check_sample_weight`, `class_weights`.
    """
    if ignore_nan is not False:
        ignore_nan = check_bool(ignore_nan, name="ignore_nan")
    if state.heads is not None:
        state.heads.refuse(class_weight=class_weight)
    rows: Any = state.quick_input(X, state.n_features, check_finite)
    is_direct = True
    if rows is None:
        check_feature_names(X, state.declared_names if any_names else state.feature_names)
        picked = X if isinstance(X, Picked) else None
        rows = check_X(
            X if picked is None else picked.array, n_features=state.n_features, dtype=state.dtype,
            check_finite=check_finite, isfinite=state.scan,
            most_bytes=MOST_BYTES if most_bytes is None else most_bytes,
            categories=state.categories,
        )  # fmt: skip
        is_direct = picked is None and is_readable(rows, state.dtype)
        rows = rows if picked is None else picked
    target = None if ignore_nan else state.quick_target(y, state.n_targets, check_finite)
    present: Any = None
    if target is None or len(target) != len(rows):
        target, present = _checked_target(state, y, len(rows), ignore_nan, check_finite)
        if state.heads is not None:
            is_direct = is_direct and target.is_direct(state.dtype)
        else:
            is_direct = is_direct and (_stays(target, state) or is_readable(target, state.dtype))
    if state.loss.is_own:
        from fastbp.runtime.own_loss import check_own  # which few need

        check_own(state, target, sample_weight=sample_weight, ignore_nan=ignore_nan)
    if sample_weight is None and class_weight is None and present is None:
        return Rows(rows, target, UNWEIGHTED, is_direct)
    weight = None
    if sample_weight is not None:
        weight = check_sample_weight(
            sample_weight, n_rows=len(rows), dtype=state.dtype, signed=not normalize,
            all_zero=all_zero,
        )  # fmt: skip
    if state.heads is not None and present is not None:
        own = state.heads.weights(
            weight, present, n_rows=len(rows), dtype=state.dtype, normalize=normalize,
            all_zero=all_zero,
        )  # fmt: skip
        return Rows(rows, target, own, is_direct)
    if class_weight is not None:
        there: Any = None if present is None else present.reshape(len(rows), -1).any(axis=1)
        factor = class_weights(
            class_weight, target, n_out=state.n_targets, domain=state.loss.domain, present=there
        )
        weight = fitting(factor if weight is None else factor * weight, state.dtype)
    weights = combined(
        weight, present, n_rows=len(rows), n_out=state.n_targets,
        divisor=state.loss.divisor(state.n_outputs), dtype=state.dtype, normalize=normalize,
    )  # fmt: skip
    if not all_zero and weights.row_weight is not None and not weights.row_weight.any():
        if present is not None and not present.any():
            raise ValueError("y is NaN in every row: no target is left")
        raise ValueError("the weights of the rows that have a target are all 0")
    return Rows(rows, target, weights, is_direct)


def _checked_target(
    state: State, y: Any, n_rows: int, ignore_nan: bool, check_finite: bool
) -> tuple[Any, Any]:
    """The targets, and which are present, None for all; of heads a list of that."""
    options: dict[str, Any] = {
        "n_rows": n_rows, "dtype": state.dtype, "check_finite": check_finite,
        "isfinite": state.scan, "most_bytes": MOST_BYTES,
    }  # fmt: skip
    if state.heads is not None:
        if ignore_nan:
            return state.heads.check_targets_with_gaps(y, **options)
        return state.heads.check_targets(y, nan_advice=NAN_ADVICE, **options), None
    options |= {"n_out": state.n_targets, "domain": state.loss.domain, "noun": state.noun}
    if ignore_nan:
        return check_y_with_gaps(y, **options)
    return check_y(y, **options, nan_advice=NAN_ADVICE), None

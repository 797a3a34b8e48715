"""The check of y: targets that the loss takes, and what to write instead of those it does not.

The advice that ends a message is sought when the message is due, not before.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastbp.check.array import Array, FiniteScan, as_numeric, as_real, first_where
from fastbp.check.message import counted, place, shown

_NUMBERED = (
    "classes, y = np.unique(y, return_inverse=True), then np.searchsorted(classes, y) for other y"
)
_OF_CLASSES = f"; class labels as numbers: {_NUMBERED}"
_OF_ONE = "; labels start at 0: pass y - 1"
_OTHER_LOSS = '; for class labels use loss="cross_entropy"'


def check_y(
    y: object,
    *,
    n_rows: int,
    n_out: int,
    domain: str,
    dtype: DTypeLike,
    check_finite: bool = True,
    isfinite: FiniteScan | None = None,
    most_bytes: float = math.inf,
    nan_advice: str = "",
    noun: str = "output",
    name: str = "y",
    owner: str = "network",
) -> Array:
    """The targets of `n_rows` rows for a network with `n_out` outputs.

    Args:
        domain: what the loss takes: see `loss.table.Kind`; "own" is that of `loss.own.OwnLoss`.
        most_bytes: as for `as_real`: y may come back as it is.
        nan_advice: ends the complaint about NaN.
        noun: what the columns of y stand for.
        name, owner: what y is called, and what has the outputs.

    Returns:
        For class indices (n,) or (n, 1) in the domain "class": a private int32 copy of shape (n,),
        so that no other thread can change an index after its check. Otherwise `dtype` (n, n_out);
        y of shape (n,) is taken as (n, 1) when n_out is 1.

    Raises:
        TypeError: sparse.
        ValueError: as for X, a wrong number of rows or columns, an index outside 0..n_out-1, a row
            that is no distribution ("class"), a target outside of the domain.
    """
    dtype = np.dtype(dtype)
    array = as_numeric(y, name=name, dtype=dtype, text_advice=_text_advice(domain))
    if array.ndim not in (1, 2):
        got = f"shape {array.shape}" if array.ndim else shown(y)
        raise ValueError(f"{name} must be 1-D (rows) or 2-D (rows, outputs), got {got}")
    if array.shape[0] != n_rows:
        raise ValueError(f"X has {counted(n_rows, 'row')}, {name} has {array.shape[0]}")
    if domain == "own":
        return _own(array, n_out, dtype, check_finite, nan_advice)
    columns = 1 if array.ndim == 1 else array.shape[1]
    is_labels = domain == "class" and (array.ndim == 1 or (columns == 1 and n_out != 1))
    if is_labels:
        return _class_index(array, n_out, check_finite, nan_advice, name)
    if columns != n_out:
        advice = _column_advice(array, n_out) if columns == 1 else ""
        got, expected = counted(columns, "column"), counted(n_out, noun)
        raise ValueError(f"{name} has {got}, {owner} has {expected}{advice}")
    result = as_real(
        array, name=name, dtype=dtype, check_finite=check_finite, isfinite=isfinite,
        most_bytes=most_bytes, nan_advice=lambda _: nan_advice,
    )  # fmt: skip
    if result.size and domain == "interval":
        _check_probability(result, name)
    if result.size and domain == "class":
        _check_distribution(result, name)
    if domain in _OUTSIDE:
        _check_domain(result, domain, name)
    return result.reshape(n_rows, n_out)


def _own(
    array: Array, n_out: int, dtype: np.dtype[Any], check_finite: bool, nan_advice: str
) -> Array:
    """Targets of any shape and meaning, for a loss of the user's own: a private copy, whole numbers
    as int64.
    """
    if array.ndim == 1 and n_out == 1:
        array = array[:, np.newaxis]
    if array.dtype.kind != "f":
        return array.astype(np.int64)
    result = as_real(
        array, name="y", dtype=dtype, check_finite=check_finite, nan_advice=lambda _: nan_advice
    )
    return np.array(result, order="C")


def check_y_with_gaps(
    y: object, *, n_rows: int, n_out: int, domain: str, dtype: DTypeLike, name: str = "y",
    **options: Any,
) -> tuple[Array, Array | None]:  # fmt: skip
    """The targets, 0 where they were NaN, and which are present: (n, n_out) booleans, (n,) where a
    row is there as a whole or not at all; None where none is missing.

    Of rows of probabilities, and of targets that are directions, one with a NaN is missing as a
    whole.

    Raises as `check_y`.
    """
    array = as_numeric(y, name=name, dtype=np.dtype(dtype), text_advice=_text_advice(domain))
    missing: Array | None = None
    if array.dtype.kind == "f" and array.ndim in (1, 2):
        missing = np.asarray(np.isnan(array))
    own: dict[str, Any] = {
        "n_rows": n_rows, "n_out": n_out, "domain": domain, "dtype": dtype, "name": name,
    }  # fmt: skip
    if missing is None or not missing.any():
        return check_y(array, **own, **options), None
    filled = np.where(missing, array.dtype.type(0), array)
    is_distribution = domain == "class" and array.ndim == 2 and array.shape[1] == n_out
    by_row = is_distribution or domain == "direction"
    if missing.ndim == 2 and (missing.shape[1] == 1 or by_row):
        missing = np.asarray(missing.any(axis=1))
    if domain in ("positive", "sign"):
        filled[np.isnan(array)] = 1
    if is_distribution:
        filled[missing] = np.eye(1, n_out)  # any distribution, to pass
    target = check_y(filled, **own, **options)
    if is_distribution:
        target[missing] = 0
    return target, ~missing


def _class_index(
    array: Array, n_out: int, check_finite: bool, nan_advice: str, name: str
) -> NDArray[np.int32]:
    own = np.array(array, order="C")  # first the copy, then the check
    if own.dtype.kind == "f":
        if check_finite:
            as_real(own, name=name, dtype=own.dtype, nan_advice=lambda _: nan_advice)
        with np.errstate(invalid="ignore"):
            flat = first_where(lambda block: ~(block == np.floor(block)) | np.isinf(block), own)
        if flat >= 0:
            where, value = place(own.shape, flat), shown(own.flat[flat])
            raise ValueError(f"{name}{where} = {value} is not a class index")
    else:
        own = own.astype(np.int64, copy=False)
    flat = first_where(lambda block: (block < 0) | (block >= n_out), own)
    if flat >= 0:
        value, advice = shown(array.flat[flat]), _index_advice(array, n_out)
        where = f"{name}{place(own.shape, flat)}"
        raise ValueError(f"{where} = {value} is outside 0..{n_out - 1}{advice}")
    return own.astype(np.int32).reshape(-1)


def _check_probability(array: Array, name: str) -> None:
    if array.min() >= 0 and array.max() <= 1:
        return
    flat = first_where(lambda block: (block < 0) | (block > 1), array)
    if flat >= 0:
        value, advice = shown(array.flat[flat]), _probability_advice(array)
        raise ValueError(f"{name}{place(array.shape, flat)} = {value} is outside [0, 1]{advice}")


_OUTSIDE = {  # what is wrong in a block, and what was expected
    "count": (lambda block: block < 0, "negative: this loss is about counts or amounts >= 0"),
    "positive": (lambda block: block <= 0, "not positive, as this loss needs"),
    "sign": (
        lambda block: (block != 1) & (block != 0) & (block != -1),
        "no label of two classes: -1 or 0, and 1",
    ),
}


def _check_domain(array: Array, domain: str, name: str) -> None:
    is_outside, text = _OUTSIDE[domain]
    flat = first_where(is_outside, array)
    if flat >= 0:
        raise ValueError(f"{name}{place(array.shape, flat)} = {shown(array.flat[flat])} is {text}")


def _check_distribution(array: Array, name: str) -> None:
    total = array.reshape(len(array), -1).sum(axis=1, dtype=np.float64)
    wrong = np.abs(total - 1.0) > 1e-3
    row = int(wrong.argmax()) if wrong.any() else len(array)
    flat = -1 if array.min() >= 0 else first_where(lambda block: block < 0, array)
    if 0 <= flat and flat // array.shape[1] <= row:
        row, where = flat // array.shape[1], place(array.shape, flat)
        value = shown(array.flat[flat])
        raise ValueError(f"{name}[{row}] is not a distribution ({name}{where} = {value} < 0)")
    if row < len(array):
        text = f"sum {shown(float(total[row]))}"
        raise ValueError(f"{name}[{row}] is not a distribution ({text})")


def _text_advice(domain: str) -> str:
    """For names of classes."""
    return (
        f"{_OTHER_LOSS} and numbers: {_NUMBERED}"
        if domain not in ("class", "interval")
        else _OF_CLASSES
    )


def _column_advice(y: Array, n_out: int) -> str:
    """For one column where `n_out` are expected: it may hold the numbers of classes."""
    is_label = y.dtype.kind != "f" or (_whole(y) and bool(((y >= 0) & (y <= n_out)).all()))
    return _OTHER_LOSS if is_label else ""


def _index_advice(y: Array, n_out: int) -> str:
    """For whole numbers, not all of them in 0..n_out-1."""
    values = np.unique(y)
    if values[0] >= 1 and values[-1] <= n_out:
        return _OF_ONE
    if n_out == 2 and _within(values, -1, 1):
        return "; labels -1 and 1: pass (y + 1) // 2"
    return _OF_CLASSES if len(values) == n_out else ""  # numbered with gaps


def _probability_advice(y: Array) -> str:
    """For numbers, not all of them in [0, 1]."""
    if _within(y, -1, 1):
        return "; labels -1 and 1: pass (y + 1) / 2"
    if _within(y, 1, 2):
        return _OF_ONE
    if y.size > len(y) or not _whole(y):
        return ""
    return _OF_CLASSES if len(np.unique(y)) == 2 else _OTHER_LOSS


def _within(values: Array, low: int, high: int) -> bool:
    """Whether there is nothing but these two."""
    return bool(((values == low) | (values == high)).all())


def _whole(values: Array) -> bool:
    return bool((values == np.floor(values)).all())

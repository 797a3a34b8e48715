"""What users pass as an array becomes a real array the kernels can read, or an exact complaint.

Nothing here writes to the caller's memory, and a scan of a large array works in blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.check.message import counted, nonfinite_kind, place, shown

Array = NDArray[Any]
FloatArray = NDArray[np.floating[Any]]  # of a network's dtype, which is known when it runs
# Flat index (in C order) of the first value that is NaN or infinite, or -1.
FiniteScan = Callable[[Array], int]

_BLOCK = 2**18  # values per step of a scan: a few temporaries of one byte each stay below 1 MB


def is_direct(array: Array) -> bool:
    """Whether a native array can be read in steps of whole, aligned elements (any sign)."""
    if not array.flags.aligned:
        return False
    size = array.itemsize
    return all(stride % size == 0 for stride in array.strides)


def is_readable(array: Array, dtype: np.dtype[Any]) -> bool:
    """Whether the kernels for `dtype` can read it in place."""
    return bool(array.dtype == dtype and array.dtype.isnative and is_direct(array))


def blocks(shape: tuple[int, ...]) -> Iterator[tuple[int, tuple[slice, ...]]]:
    """(flat start, slices) of consecutive pieces, in C order, of a 1-D or 2-D shape."""
    n_rows, width = shape[0], (shape[1] if len(shape) > 1 else 1)
    if width > _BLOCK:
        for row in range(n_rows):
            for start in range(0, width, _BLOCK):
                yield row * width + start, (slice(row, row + 1), slice(start, start + _BLOCK))
        return
    step = max(1, _BLOCK // max(1, width))
    for row in range(0, n_rows, step):
        yield row * width, (slice(row, row + step),)


def first_where(bad: Callable[..., Array], *arrays: Array) -> int:
    """Flat index of the first element for which `bad(*blocks)` holds, or -1; works in blocks."""
    for start, piece in blocks(arrays[0].shape):
        flags = bad(*(array[piece] for array in arrays))
        if flags.any():
            return start + int(flags.argmax())
    return -1


def first_nonfinite(array: Array, isfinite: FiniteScan | None = None) -> int:
    """Flat index of the first NaN or infinity, or -1; `isfinite` is a compiled scan."""
    if array.size == 0:
        return -1
    if isfinite is not None:
        return isfinite(array)
    return first_where(lambda block: ~np.isfinite(block), array)


def nonfinite(array: Array, isfinite: FiniteScan | None = None) -> str:
    """'contains NaN at [0, 3]' of the first element that is not finite; '' where all are."""
    flat = first_nonfinite(array, isfinite)
    if flat < 0:
        return ""
    return f"contains {nonfinite_kind(array.flat[flat])} at {place(array.shape, flat)}"


def as_numeric(values: object, *, name: str, dtype: np.dtype[Any], text_advice: str = "") -> Array:
    """`values` as an array of booleans, integers or floats that may share the caller's memory.

    `text_advice` ends the complaint about text that is no number.

    Raises:
        TypeError: sparse.
        ValueError: complex, text that is no number, masked values, rows of different lengths.
    """
    if type(values) is np.ndarray and values.dtype.kind in "biuf":
        return values
    if not isinstance(values, np.ndarray) and hasattr(values, "toarray"):
        raise TypeError(f"sparse {name} is not supported; use {name}.toarray()")
    _refuse_masked(values, name)
    try:
        array = np.asarray(values)
    except ValueError as error:
        reason = _ragged(values) or str(error)
        raise ValueError(f"could not convert {name} to {dtype}: {reason}") from None
    kind = array.dtype.kind
    if kind in "biuf":
        return array
    if kind == "O" and hasattr(values, "columns"):
        array = _with_gaps(array)
    if kind == "c":
        raise ValueError(f"Complex data not supported: {name} is {array.dtype}")
    if array.ndim == 0:  # None, a dict, a generator: the caller's complaint about shape says more
        return array
    return _parsed(array, name=name, dtype=dtype, text_advice=text_advice)


def as_real(
    array: Array,
    *,
    name: str,
    dtype: np.dtype[Any],
    check_finite: bool = True,
    isfinite: FiniteScan | None = None,
    most_bytes: float = math.inf,
    nan_advice: Callable[[Array], str] | None = None,
) -> Array:
    """A 1-D or 2-D numeric array in `dtype`; copied only if the kernels cannot read it in place,
    and left as it is where the copy would have more than `most_bytes` and need more memory than the
    array does.

    `nan_advice` of the result ends the complaint about NaN.

    Raises:
        ValueError: a finite value that `dtype` cannot hold; NaN or infinity if `check_finite`.
    """
    if is_readable(array, dtype):
        result = array
    elif is_costly(array, dtype, most_bytes):
        _check_in_blocks(array, name, dtype, check_finite, nan_advice)
        return array
    else:
        with np.errstate(all="ignore"):  # what overflows is reported below
            result = array.astype(dtype, order="C")
    may_overflow = array.dtype.kind == "f" and array.dtype.itemsize > dtype.itemsize
    if array.dtype.kind != "f" or not (check_finite or may_overflow):
        return result
    flat = first_nonfinite(result, isfinite)
    if flat >= 0:
        if may_overflow:
            _refuse_overflow(array, result, name=name)
        if check_finite:
            _refuse_nonfinite(result, flat, name, nan_advice)
    return result


def is_costly(array: Array, dtype: np.dtype[Any], most_bytes: float) -> bool:
    """Whether a copy in `dtype` would have more than `most_bytes` and need more memory than the
    array does, which is none where it lies in a file.
    """
    held = 0 if _is_mapped(array) else array.nbytes
    return array.size * dtype.itemsize > max(most_bytes, held)


def _is_mapped(array: object) -> bool:
    """Whether the numbers lie in a file."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def _check_in_blocks(
    array: Array,
    name: str,
    dtype: np.dtype[Any],
    check_finite: bool,
    nan_advice: Callable[[Array], str] | None,
) -> None:
    """What `as_real` refuses, of an array that is not copied whole."""
    if array.dtype.kind != "f":
        return
    if array.dtype.itemsize > dtype.itemsize:
        flat = first_where(lambda part: np.isfinite(part) & ~_fits(part, dtype), array)
        if flat >= 0:
            where, value = place(array.shape, flat), shown(array.flat[flat])
            raise ValueError(f"{name}{where} = {value} does not fit {dtype}")
    if check_finite:
        flat = first_nonfinite(array)
        if flat >= 0:
            _refuse_nonfinite(array, flat, name, nan_advice)


def _fits(part: Array, dtype: np.dtype[Any]) -> Array:
    with np.errstate(all="ignore"):
        return np.isfinite(part.astype(dtype))


def _refuse_nonfinite(
    array: Array, flat: int, name: str, nan_advice: Callable[[Array], str] | None
) -> None:
    kind, where = nonfinite_kind(array.flat[flat]), place(array.shape, flat)
    advice = nan_advice(array) if nan_advice is not None and kind == "NaN" else ""
    raise ValueError(f"Input {name} contains {kind} (first at {where}){advice}")


def _refuse_overflow(array: Array, result: Array, *, name: str) -> None:
    flat = first_where(lambda a, b: np.isfinite(a) & ~np.isfinite(b), array, result)
    if flat >= 0:
        where, value = place(array.shape, flat), shown(array.flat[flat])
        raise ValueError(f"{name}{where} = {value} does not fit {result.dtype}")


def _with_gaps(array: Array) -> Array:
    """Cells of a frame, with NaN for those that it says are missing."""
    missing = [cell is None or type(cell).__name__ in ("NAType", "NaTType") for cell in array.flat]
    if not any(missing):
        return array
    own = array.copy()
    own[np.reshape(missing, own.shape)] = np.nan
    return own


def _refuse_masked(values: object, name: str) -> None:
    """Masked entries are missing values; NumPy would hand over what lies under the mask."""
    rows = values if isinstance(values, list | tuple) else (values,)
    masks = [np.ma.getmask(row) for row in rows if isinstance(row, np.ma.MaskedArray)]
    count = sum(int(np.count_nonzero(mask)) for mask in masks)
    if not count:
        return
    text = f"{name} has {counted(count, 'masked value')}"
    if rows is not values:
        text += f" (first at {place(masks[0].shape, int(masks[0].argmax()))})"
    raise ValueError(text)


def _ragged(values: object) -> str:
    """How the rows of a sequence differ in length, or ''."""
    if not isinstance(values, list | tuple):
        return ""
    sizes = [len(row) if isinstance(row, Sized) else -1 for row in values]
    for i, size in enumerate(sizes):
        if size != sizes[0]:
            if size < 0 or sizes[0] < 0:
                return f"it mixes numbers and rows (first at [{i}])"
            return f"row {i} has length {size}, row 0 has {sizes[0]}"
    return ""


def _parsed(array: Array, *, name: str, dtype: np.dtype[Any], text_advice: str) -> Array:
    """Objects and text as float64, or the first cell that is no real number."""
    is_text = array.dtype.kind in "SUT"
    is_plain = is_text or (
        array.dtype.kind == "O"
        and not any(isinstance(cell, complex | np.complexfloating) for cell in array.flat)
    )
    if is_plain:
        try:
            return array.astype(np.float64)
        except (ValueError, TypeError, OverflowError):
            pass
    for flat, cell in enumerate(array.flat):
        where = place(array.shape, flat)
        if isinstance(cell, complex | np.complexfloating):
            raise ValueError(f"Complex data not supported: {name}{where} = {shown(cell)}")
        try:
            # Dates and records have no place here even where NumPy would make a number of them.
            if is_text or array.dtype.kind == "O":
                float(cell)
                continue
        except OverflowError:
            raise ValueError(f"{name}{where} = {shown(cell)} does not fit {dtype}") from None
        except (ValueError, TypeError):
            pass
        advice = text_advice if isinstance(cell, str | bytes) else ""
        raise ValueError(f"could not convert {name} to {dtype}: {shown(cell)} at {where}{advice}")
    if array.size == 0:
        return np.zeros(array.shape)
    raise ValueError(f"could not convert {name} to {dtype}: its dtype is {array.dtype}")

"""Data frames, by what pandas, polars and Arrow have in common: names of columns, and gaps.

None of them is imported: `columns` is that of pandas and polars, `column_names` of Arrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.check.message import counted, shown

_SHOWN = 5  # names in a message
_COUNTED = 2**12  # columns at most whose gaps are counted


def column_names(X: object) -> tuple[str, ...] | None:
    """The names of a frame's columns; None for an array, and where they are not all text."""
    if type(X) is np.ndarray:
        return None
    for attribute in ("column_names", "columns"):
        try:
            names = tuple(getattr(X, attribute))
        except (AttributeError, TypeError):
            continue
        if names and all(isinstance(name, str) for name in names):
            return tuple(str(name) for name in names)
    return None


def _row_names(x: object) -> tuple[str, ...] | None:
    """Those of a row of a pandas frame, which is a series."""
    index = getattr(x, "index", None)
    if index is None or callable(index) or not hasattr(x, "iloc"):
        return None
    names = tuple(index)
    return names if names and all(isinstance(name, str) for name in names) else None


def check_feature_names(X: object, expected: Sequence[str] | None) -> None:
    """Refuse a frame whose columns are not those of the `fit`; arrays pass.

    Raises:
        ValueError: as scikit-learn's: unseen names, missing ones, another order.
    """
    given = (column_names(X) or _row_names(X)) if expected is not None else None
    if given is None or expected is None or given == tuple(expected):
        return
    text = "The feature names should match those that were passed during fit.\n"
    unseen = sorted(set(given) - set(expected))
    missing = sorted(set(expected) - set(given))
    if unseen:
        text += "Feature names unseen at fit time:\n" + _listed(unseen)
    if missing:
        text += "Feature names seen at fit time, yet now missing:\n" + _listed(missing)
    if not unseen and not missing:
        text += "Feature names must be in the same order as they were in fit.\n"
    raise ValueError(text)


def _listed(names: list[str]) -> str:
    lines = [f"- {name}\n" for name in names[:_SHOWN]]
    return "".join(lines) + ("- ...\n" if len(names) > _SHOWN else "")


def missing_values(array: NDArray[Any], given: object) -> str:
    """What ends the complaint about NaN in X: in how many rows, in which columns, what to do."""
    advice = "impute or drop them, e.g. sklearn.impute.SimpleImputer or df.dropna()"
    if array.ndim != 2 or array.shape[1] > _COUNTED:
        return f": {advice}"
    count, rows = np.zeros(array.shape[1], np.int64), 0
    step = 2**18 // array.shape[1]
    for start in range(0, len(array), step):
        gaps = np.isnan(array[start : start + step])
        count += gaps.sum(axis=0)
        rows += int(gaps.any(axis=1).sum())
    columns = np.flatnonzero(count)
    named = [f"{column_named(int(i), given)}: {count[i]}" for i in columns[:_SHOWN]]
    where = ", ".join(named) + (", ..." if len(columns) > _SHOWN else "")
    return f"; values are missing in {rows} of {counted(len(array), 'row')} ({where}): {advice}"


def column_named(index: int, given: object) -> str:
    """The column by its index, and by its name where `given` is a data frame."""
    try:
        names = list(getattr(given, "column_names", None) or given.columns)  # type: ignore[attr-defined]
        name = names[index]
    except (AttributeError, TypeError, IndexError):
        return f"column {index}"
    return f"column {index}" if name == index else f"column {index} ({shown(name)})"

"""Tables of any kind as pandas frames, and what is found in their cells."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastbp.check.extra import missing_extra
from fastbp.check.message import shown

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]

Frame: TypeAlias = "pandas.DataFrame"
Cells: TypeAlias = "pandas.Series"
Mask: TypeAlias = NDArray[np.bool_]


def import_pandas() -> Any:
    """The module; ImportError says what to install."""
    try:
        import pandas
    except ImportError as error:
        raise missing_extra("a table", "pandas", "csv") from error
    return pandas


def as_frame(table: Any) -> Frame:
    """A pandas frame of a frame of pandas, polars or Arrow, or of a dict of columns; of a dict of
    single cells the one row that they are.  Its index numbers the rows, from 0.

    Raises:
        TypeError: none of these.
        ValueError: columns of different lengths, or two of one name.
    """
    pd = import_pandas()
    if isinstance(table, Mapping):
        columns = {str(name): cells for name, cells in table.items()}
        if columns and all(np.ndim(cells) == 0 for cells in columns.values()):
            columns = {name: [cell] for name, cell in columns.items()}
        for name, cells in columns.items():
            if np.ndim(cells) != 1:
                raise ValueError(f"column {name!r} has shape {np.shape(cells)}, expected (n,)")
        lengths = {name: len(cells) for name, cells in columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of different lengths: {shown(lengths)}")
        table = pd.DataFrame({name: _series(cells) for name, cells in columns.items()})
    if not isinstance(table, pd.DataFrame):
        if not hasattr(table, "to_pandas"):
            raise TypeError(f"a table must be a frame or a dict of columns, got {shown(table)}")
        table = table.to_pandas()
    names = [str(name) for name in table.columns]
    if list(table.columns) != names:
        table = table.set_axis(names, axis=1)
    check_unique(names)
    return table.reset_index(drop=True)


def check_unique(names: Sequence[str]) -> None:
    """Raises ValueError where two columns have one name."""
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise ValueError(f"two columns are called {twice!r}")


def check_columns(needed: Iterable[str], present: Sequence[str], *, where: str) -> None:
    """Raises ValueError that lists what is missing, and names alike that are there."""
    missing = [name for name in needed if name not in present]
    if not missing:
        return
    folded = {name.casefold(): name for name in present}
    texts = []
    for name in missing:
        close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.7)
        texts.append(f"{name!r}" + (f" (did you mean {folded[close[0]]!r}?)" if close else ""))
    raise ValueError(f"{where} has no column {', '.join(texts)}; it has {listed(present)}")


def listed(names: Iterable[object], most: int = 8) -> str:
    """The names in quotes, the first eight of them."""
    names = list(names)
    return ", ".join(map(repr, names[:most])) + (", ..." if len(names) > most else "")


def row_number(cells: Cells | Frame, place: int) -> int:
    """The number of a row in its table, from 1."""
    return int(cells.index[place]) + 1


def rows_shown(mask: Mask, cells: Cells | Frame, most: int = 3) -> str:
    """Such as "data row 4" or "data rows 4, 7, 9, ..."; counted from 1."""
    places = np.flatnonzero(mask)
    text = ", ".join(str(row_number(cells, place)) for place in places[:most])
    more = ", ..." if len(places) > most else ""
    return f"data row{'' if len(places) == 1 else 's'} {text}{more}"


def first_cell(mask: Mask, cells: Cells) -> str:
    """Where the first such cell is and what it holds: "data row 4 has '?'"."""
    place = int(np.argmax(mask))
    return f"data row {row_number(cells, place)} has {str(cells.iloc[place])!r}"


def _series(cells: Any) -> Any:
    """A column without an index of its own."""
    pd = import_pandas()
    if isinstance(cells, pd.Series):
        return cells.reset_index(drop=True)
    return pd.Series(list(cells) if isinstance(cells, list | tuple) else cells)


def is_text(cells: Cells) -> bool:
    """Whether the cells are text, or objects of any kind."""
    return not (
        _kind(cells).startswith(("number", "boolean", "date")) or cells.dtype.name == "category"
    )


def is_number_type(cells: Cells) -> bool:
    return _kind(cells) == "number"


def is_boolean_type(cells: Cells) -> bool:
    return _kind(cells) == "boolean"


def is_date_type(cells: Cells) -> bool:
    return _kind(cells) == "date"


def _kind(cells: Cells) -> str:
    types = import_pandas().api.types
    if types.is_bool_dtype(cells.dtype):
        return "boolean"
    if types.is_numeric_dtype(cells.dtype):
        return "number"
    return "date" if types.is_datetime64_any_dtype(cells.dtype) else "other"


def missing_cells(cells: Cells) -> Mask:
    """Where there is no value: None, NaN, or text of blanks."""
    mask = cells.isna().to_numpy(dtype=bool, copy=True)
    if is_text(cells) or cells.dtype.name == "category":
        codes, distinct = factorize(cells)
        blank = np.array([not text_of(cell).strip() for cell in distinct], bool)
        if blank.any():
            mask |= np.append(blank, False)[codes]
    return mask


def factorize(cells: Cells) -> tuple[NDArray[np.int64], list[Any]]:
    """For each cell its place among the distinct ones, -1 where it is missing, and those."""
    try:
        codes, distinct = import_pandas().factorize(cells)
    except TypeError:  # cells that are lists, and such
        codes, distinct = import_pandas().factorize(cells.map(str))
    return np.asarray(codes, np.int64), list(distinct)


def text_of(cell: object) -> str:
    """A cell as text: a whole number without its point, so that gaps in a column of integers, which
    make it one of floats, change no name.
    """
    if isinstance(cell, float | np.floating) and math.isfinite(cell) and cell == int(cell):
        return str(int(cell))
    return str(cell).strip()


def to_numbers(cells: Cells, decimal: str = ".") -> tuple[NDArray[np.float64], Mask]:
    """The numbers of a column, NaN where there is none, and where a cell is no finite number."""
    if is_number_type(cells):
        values = cells.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
        return values, np.isinf(values)
    missing = missing_cells(cells)
    if is_boolean_type(cells) or is_date_type(cells):
        return np.full(len(cells), np.nan), ~missing
    objects = cells.to_numpy(dtype=object)
    values = np.full(len(cells), np.nan)
    values[~missing] = [number_of(cell, decimal) for cell in objects[~missing]]
    return values, ~missing & ~np.isfinite(values)


def number_of(cell: object, decimal: str = ".") -> float:
    """NaN where the cell is no number; True and False are none."""
    if isinstance(cell, bool | np.bool_):
        return math.nan
    if isinstance(cell, str):
        cell = cell.strip()
        if decimal != ".":
            cell = cell.replace(".", "_").replace(decimal, ".")
        if "_" in cell:  # which Python takes for a number
            return math.nan
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan

"""Tables of text cells, and the way from them to the rows of numbers a network takes.

A table is a dict from column name to an array of cells, all of one length; a missing cell is None.
Cells stay text until a column is known to be numeric, so that "007" remains a category if it is
one. Nothing is imputed: a missing value is an error which says where it is.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Cells: TypeAlias = NDArray[np.object_]
Table: TypeAlias = dict[str, Cells]

# One input per category: a column with more of them is a name or a key, and nothing to learn from.
MAX_CATEGORIES = 1000


def read_csv(path: str | os.PathLike[str], *, separator: str = ",") -> Table:
    """Read a CSV file with a header line. Needs pandas.

    Raises:
        ValueError: the file is empty, holds only a header, repeats or omits a column name, has a
            row with too many fields, or is not UTF-8.
        OSError: the file cannot be read.
        ImportError: pandas is not installed.
    """
    try:
        import pandas as pd  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImportError('reading CSV needs pandas: pip install "fastbp[csv]"') from error
    # An open file, because pandas would take a path such as http://... for something to download;
    # header=None, because pandas would otherwise rename repeated columns and take a surplus first
    # column for an index, both in silence.
    with open(path, "rb") as stream:
        try:
            text = {"dtype": str, "encoding": "utf-8-sig", "skipinitialspace": True}
            frame = pd.read_csv(stream, sep=separator, header=None, **text)
        except pd.errors.EmptyDataError:
            raise ValueError(f"{path} is empty") from None
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8 text (byte {error.start})") from None
        except pd.errors.ParserError as error:
            reason = str(error).strip().removeprefix("Error tokenizing data. C error: ")
            raise ValueError(f"{path}: {reason}") from None
    cells = frame.to_numpy(dtype=object, copy=True)
    cells[frame.isna().to_numpy()] = None
    header = ["" if name is None else name.strip() for name in cells[0]]
    for position, name in enumerate(header):
        if not name:
            raise ValueError(f"{path}: column {position + 1} has no name")
        if header.index(name) != position:
            raise ValueError(f"{path}: two columns are called {name!r}")
    if len(cells) == 1:
        raise ValueError(f"{path} has a header and no rows")
    return {name: cells[1:, position] for position, name in enumerate(header)}


@dataclass(frozen=True)
class NumericColumn:
    """A column of numbers; the network gets (x - mean) / scale."""

    name: str
    mean: float
    scale: float

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Inverse of `asdict`. Raises KeyError, TypeError, ValueError where the dict is none."""
        name, mean, scale = _text(config["name"]), float(config["mean"]), float(config["scale"])
        if not np.isfinite(mean) or not 0.0 < scale < np.inf:
            raise ValueError(f"column {name!r}: mean {mean} and scale {scale} are not usable")
        return cls(name, mean, scale)

    def numbers(self, cells: ArrayLike) -> NDArray[np.float64]:
        """The values in the column's own unit, shape (n,)."""
        return to_numbers(self.name, as_cells(self.name, cells))

    def encode(self, cells: ArrayLike) -> NDArray[np.float64]:
        """Standardised values, shape (n,)."""
        return (self.numbers(cells) - self.mean) / self.scale


@dataclass(frozen=True)
class CategoryColumn:
    """A column of names; the network gets one input per category, 1 where the cell is that one."""

    name: str
    categories: tuple[str, ...]

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Inverse of `asdict`. Raises KeyError, TypeError, ValueError where the dict is none."""
        name, categories = _text(config["name"]), tuple(map(_text, config["categories"]))
        if len(set(categories)) != len(categories) or not categories:
            raise ValueError(f"column {name!r}: categories are repeated or absent")
        return cls(name, categories)

    def encode(self, cells: ArrayLike) -> NDArray[np.float64]:
        """Shape (n,) -> (n, number of categories)."""
        return np.eye(len(self.categories))[encode_categories(self.name, cells, self.categories)]


@dataclass(frozen=True)
class Preprocessing:
    """How the columns of a table become the inputs of a network.

    Numeric columns are standardised (mean 0, standard deviation 1 over the rows of the fit), the
    others one-hot encoded. Columns which hold one value only are listed in `dropped` and not used.

    >>> table = {"age": ["20", "40"], "town": ["Rome", "Oslo"], "unit": ["m", "m"]}
    >>> preprocessing = Preprocessing.fit(table)
    >>> preprocessing.feature_names, preprocessing.dropped
    (('age', 'town=Oslo', 'town=Rome'), ('unit',))
    >>> preprocessing.transform(table).tolist()
    [[-1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """

    columns: tuple[NumericColumn | CategoryColumn, ...]
    dropped: tuple[str, ...] = ()

    @classmethod
    def fit(cls, table: Mapping[str, ArrayLike], *, rows: ArrayLike | None = None) -> Self:
        """Learn means, scales and categories from a table.

        Args:
            table: column names and cells.
            rows: the rows which means and scales come from (the training rows); None takes all.
                Categories are collected from every row: a name is no information about the target.

        Raises:
            ValueError: a cell is missing or not finite, a column has too many categories, or every
                column is constant.
        """
        if not table:
            raise ValueError("no column to learn from")
        found = {name: _fit_column(name, as_cells(name, table[name]), rows) for name in table}
        dropped = tuple(name for name, column in found.items() if column is None)
        if len(dropped) == len(table):
            raise ValueError(f"every column is constant: {_join(dropped)}")
        return cls(tuple(column for column in found.values() if column is not None), dropped)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One name per input of the network; "column=category" where one-hot encoded."""
        names: list[str] = []
        for column in self.columns:
            if isinstance(column, NumericColumn):
                names.append(column.name)
            else:
                names.extend(f"{column.name}={category}" for category in column.categories)
        return tuple(names)

    def transform(
        self, table: Mapping[str, ArrayLike], *, dtype: Any = np.float32
    ) -> NDArray[np.floating[Any]]:
        """The rows of `table` as inputs, shape (n, len(feature_names)); other columns are ignored.

        Raises:
            ValueError: a column or a cell is missing, a category was not in the fit, a number is
                not one.
        """
        missing = [column.name for column in self.columns if column.name not in table]
        if missing:
            raise ValueError(f"the table has no column {_join(missing)}; it has {_join(table)}")
        encoded = np.column_stack([column.encode(table[column.name]) for column in self.columns])
        with np.errstate(over="ignore"):
            inputs = encoded.astype(dtype)
        if not np.isfinite(inputs).all():
            row, position = np.argwhere(~np.isfinite(inputs))[0]
            raise ValueError(
                f"column {self.feature_names[position]!r}, data row {row + 1}: "
                f"the value does not fit {np.dtype(dtype).name}"
            )
        return inputs

    def to_config(self) -> dict[str, Any]:
        """A dict for JSON, from which `from_config` makes an equal object."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Inverse of `to_config`. Raises ValueError where the dict is not one of its."""
        try:
            columns = tuple(
                (CategoryColumn if "categories" in column else NumericColumn).from_config(column)
                for column in config["columns"]
            )
            dropped = tuple(map(_text, config["dropped"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a description of a preprocessing: {error}") from error
        if not columns:
            raise ValueError("not a description of a preprocessing: no columns")
        return cls(columns, dropped)


def as_cells(name: str, values: ArrayLike) -> Cells:
    """`values` as a column without gaps; ValueError names the first missing cell."""
    cells = np.asarray(values, dtype=object)
    if cells.ndim != 1:
        raise ValueError(f"column {name!r} has shape {cells.shape}, expected one dimension")
    for row, cell in enumerate(cells):
        # `cell != cell` is true of NaN alone.
        if cell is None or cell != cell or (isinstance(cell, str) and not cell.strip()):
            raise ValueError(
                f"column {name!r}: data row {row + 1} has no value (fastbp does not fill gaps)"
            )
    return cells


def to_numbers(name: str, cells: Cells) -> NDArray[np.float64]:
    """The numbers in a column; ValueError names the first cell that is none or not finite."""
    try:
        numbers = cells.astype(np.float64)
    except (ValueError, TypeError):
        row = next(row for row, cell in enumerate(cells) if not _is_number(cell))
        raise ValueError(f"column {name!r} is numeric, but {_at(row, cells)}") from None
    if not np.isfinite(numbers).all():
        row = int(np.argmin(np.isfinite(numbers)))
        raise ValueError(f"column {name!r}: {_at(row, cells)}, expected a finite number")
    return numbers


def encode_categories(name: str, values: ArrayLike, categories: Sequence[str]) -> NDArray[np.int64]:
    """The place of each cell among `categories`; ValueError names the first that is unknown."""
    cells = as_cells(name, values)
    place = {category: code for code, category in enumerate(categories)}
    codes = np.array([place.get(str(cell), -1) for cell in cells], dtype=np.int64)
    if codes.size and codes.min() < 0:
        row = int(np.argmax(codes < 0))
        raise ValueError(
            f"column {name!r}: {_at(row, cells)}, which training did not see; "
            f"known: {_join(categories)}"
        )
    return codes


def is_numeric(cells: Cells) -> bool:
    """Whether every cell is a number (True and False are names)."""
    return all(map(_is_number, cells))


def sorted_names(cells: Cells) -> tuple[str, ...]:
    """The distinct cells as text, in order of value where all are numbers, else alphabetically."""
    names = sorted({str(cell) for cell in cells})
    return tuple(sorted(names, key=float) if all(map(_is_number, names)) else names)


def standardisation(name: str, cells: Cells, rows: ArrayLike | None) -> tuple[float, float] | None:
    """Mean and standard deviation of the numbers in `rows`, or None where they are all equal."""
    values = to_numbers(name, cells)
    if rows is not None:
        values = values[np.asarray(rows)]
    if values.min() == values.max():
        return None
    # Scaled by a power of two first, which is exact: the square of a large number would overflow.
    exponent = int(np.frexp(np.abs(values).max())[1])
    scaled = np.ldexp(values, -exponent)
    return (float(np.ldexp(scaled.mean(), exponent)), float(np.ldexp(scaled.std(), exponent)))


def _fit_column(
    name: str, cells: Cells, rows: ArrayLike | None
) -> NumericColumn | CategoryColumn | None:
    """Describe one column; None where it is constant."""
    if is_numeric(cells):
        moments = standardisation(name, cells, rows)
        return None if moments is None else NumericColumn(name, *moments)
    categories = sorted_names(cells)
    numeric = sum(map(_is_number, categories))
    if 2 * numeric > len(categories):
        # A stray "?" would otherwise turn a measured quantity into hundreds of names.
        row = next(row for row, cell in enumerate(cells) if not _is_number(cell))
        raise ValueError(
            f"column {name!r} holds mostly numbers, but {_at(row, cells)}: "
            "correct the cell or leave the column out"
        )
    if len(categories) > MAX_CATEGORIES:
        raise ValueError(
            f"column {name!r} has {len(categories)} different values, "
            f"at most {MAX_CATEGORIES} can be encoded: leave the column out"
        )
    return CategoryColumn(name, categories) if len(categories) > 1 else None


def _is_number(cell: object) -> bool:
    if isinstance(cell, bool | np.bool_):
        return False
    try:
        float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True


def _at(row: int, cells: Cells) -> str:
    """Where a cell is and what it holds, for a message."""
    return f"data row {row + 1} has {str(cells[row])!r}"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, got {value!r}")
    return value


def _join(names: Mapping[str, object] | Sequence[str]) -> str:
    """The names in quotes, the first eight of them."""
    return ", ".join(map(repr, list(names)[:8])) + (", ..." if len(names) > 8 else "")

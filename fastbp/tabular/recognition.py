"""What kind of column each is, found in its cells: or why it is left out, or what to do first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.check.message import shown
from fastbp.tabular import date, frame
from fastbp.tabular.column import (
    BOOLEANS,
    BooleanColumn,
    CategoryColumn,
    Column,
    DateColumn,
    NumberColumn,
    moments,
)
from fastbp.tabular.frame import Cells, Frame

# One input per category: of more than so many the most frequent have one.
MAX_CATEGORIES = 100
# Up to so many rows may all have another value in a column of names.
_FEW = 10
# So many different cells that are no numbers, among numbers, stand for missing ones or are slips.
_STRAYS = 5
_DECIMAL_COMMA = re.compile(r"\s*[-+]?(\d+|\d{1,3}(\.\d{3})+),\d+([eE][-+]?\d+)?\s*")
_GROUPED = {  # 1,234,567.8 or 1.234.567,8
    ".": re.compile(r"\s*[-+]?\d{1,3}(,\d{3})+(\.\d+)?\s*"),
    ",": re.compile(r"\s*[-+]?\d{1,3}(\.\d{3})+(,\d+)?\s*"),
}
_WITH_UNIT = re.compile(r"\s*[^\w\s]{0,3}\s*[-+]?\d[\d.,' ]*\s*[^\d\s]{0,4}\s*")

MISSING = ("indicator", "impute", "error")


@dataclass(frozen=True)
class Reading:
    """How cells are to be read.

    Attributes:
        missing: what becomes of missing cells: "indicator" puts the mean, or no category, and marks
            them by a further input of columns that had gaps in training; "impute" does not mark
            them; "error" refuses them.
        categorical: columns whose cells are names, whatever they look like.
        decimal: the decimal point of numbers in text.
        date_format: of `datetime.strptime`, for dates in text; None finds it.
        na_values: cells of text that mean a missing value.
        keep: columns that are used although they seem to number the rows.
    """

    missing: str = "indicator"
    categorical: Sequence[str] = ()
    decimal: str = "."
    date_format: str | None = None
    na_values: Sequence[str] = ()
    keep: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.missing not in MISSING:
            known = ", ".join(MISSING)
            raise ValueError(f"unknown missing {shown(self.missing)}; known: {known}")
        if self.decimal not in (".", ","):
            raise ValueError(f"decimal must be '.' or ',', got {shown(self.decimal)}")
        for name in ("categorical", "na_values", "keep"):
            given = getattr(self, name)
            if isinstance(given, str) or not all(isinstance(one, str) for one in given):
                raise TypeError(f"{name} must be a list of text, got {shown(given)}")
            object.__setattr__(self, name, tuple(given))

    def cleaned(self, table: Frame) -> Frame:
        """The table without the cells of `na_values`."""
        if self.na_values:
            for name in table.columns:
                if frame.is_text(table[name]) and (hit := table[name].isin(self.na_values)).any():
                    table = table.assign(**{str(name): table[name].mask(hit)})
        return table


@dataclass(frozen=True)
class Ignored:
    """Why a column is left out."""

    reason: str


def recognise(
    cells: Cells, reading: Reading, *, rows: NDArray[np.int64], notes: list[str]
) -> Column | Ignored:
    """Describe the column `cells` is, from its training `rows`; `notes` gets what is worth saying.

    Raises:
        ValueError: what looks like numbers and is none, a number that is infinite, a missing cell
            where that is an error.
    """
    name = str(cells.name)
    missing = frame.missing_cells(cells)
    if missing.all():
        return Ignored("no value in any row")
    if missing.any() and reading.missing == "error":
        raise ValueError(
            f"column {name!r}: {frame.rows_shown(missing, cells)} {_has(missing)} no value"
        )
    indicator = reading.missing == "indicator" and bool(missing[rows].any())
    common: dict[str, Any] = {"name": name, "indicator": indicator}
    if name in reading.categorical or cells.dtype.name == "category":
        return _category(cells, common, notes, is_named=True)
    if frame.is_boolean_type(cells):
        return _boolean(cells, common)
    if frame.is_date_type(cells):
        return _date(cells, date.ISO, common, rows)
    values, unfit = frame.to_numbers(cells, reading.decimal)
    infinite = np.isinf(values)
    if frame.is_number_type(cells) or (unfit == infinite).all():
        if infinite.any():
            raise ValueError(
                f"column {name!r}: {frame.first_cell(unfit, cells)}, expected a finite number"
            )
        if name not in reading.keep and _numbers_rows(values):
            return Ignored(f"it numbers the rows; --keep {name!r} uses it nevertheless")
        return _number(values, common, rows)
    distinct = [cell for cell in frame.factorize(cells)[1] if str(cell).strip()]
    if all(frame.text_of(cell).casefold() in BOOLEANS for cell in distinct):
        return _boolean(cells, common)
    format = reading.date_format or date.find_format(distinct)
    if format is not None and not _has_no_dates(cells, format):
        if reading.date_format is None and (other := date.other_reading(format, distinct)):
            notes.append(
                f"{name!r}: dates such as {distinct[0]!r} are read as {format}, and could be "
                f"{other}: say which by --date-format"
            )
        return _date(cells, format, common, rows)
    check_numbers(cells, reading.decimal)
    return _category(cells, common, notes)


def check_numbers(cells: Cells, decimal: str) -> None:
    """Raises ValueError for text that looks like numbers and cannot be read as such."""
    name = str(cells.name)
    distinct = [str(cell) for cell in frame.factorize(cells)[1] if str(cell).strip()]
    others = [cell for cell in distinct if np.isnan(frame.number_of(cell, decimal))]
    n_numbers = len(distinct) - len(others)
    if not others:
        return
    grouped = [cell for cell in others if _GROUPED[decimal].fullmatch(cell)]
    if len(grouped) > 0.9 * len(others) and not any(
        _DECIMAL_COMMA.fullmatch(cell) for cell in set(others).difference(grouped)
    ):
        comma = "--decimal , if the comma is the decimal point, " if decimal == "." else ""
        raise ValueError(
            f"column {name!r} has numbers with separators of thousands, such as {grouped[0]!r}: "
            f"write them without, or pass {comma}--categorical {name!r} if they are names, "
            f"or --drop {name!r}"
        )
    if decimal == "." and _share(_DECIMAL_COMMA, others) > 0.9 and len(others) > n_numbers / 10:
        example = next(cell for cell in others if _DECIMAL_COMMA.fullmatch(cell))
        raise ValueError(
            f"column {name!r} has numbers with a decimal comma, such as {example!r}: "
            "pass --decimal , (in Python decimal=',')"
        )
    if n_numbers > len(others) and len(others) <= _STRAYS:
        found = frame.first_cell((cells.astype(str) == others[0]).to_numpy(bool), cells)
        raise ValueError(
            f"column {name!r} holds mostly numbers, but {found}: "
            f"pass --na-value {others[0]!r} if that means that it is missing, "
            f"--categorical {name!r} if the cells are names, or --drop {name!r}"
        )
    if len(distinct) > 50 and _share(_WITH_UNIT, distinct) > 0.9:
        raise ValueError(
            f"column {name!r} has {len(distinct)} different values that look like numbers, such as "
            f"{others[0]!r}: write them as plain numbers, or pass --categorical {name!r} "
            f"if they are names, or --drop {name!r}"
        )


def _share(pattern: re.Pattern[str], cells: Sequence[str]) -> float:
    return sum(pattern.fullmatch(cell) is not None for cell in cells) / len(cells)


def _has(missing: NDArray[np.bool_]) -> str:
    return "has" if missing.sum() == 1 else "have"


def _has_no_dates(cells: Cells, format: str) -> bool:
    return bool(np.isnan(date.to_seconds(cells, format)).all())


def _numbers_rows(values: NDArray[np.float64]) -> bool:
    """Whether these are whole numbers from 0 or 1 on that grow from row to row, with few gaps: the
    order of a file often tells of the target what new rows do not.
    """
    if len(values) <= _FEW or np.isnan(values).any() or (values != np.round(values)).any():
        return False
    grows = (np.diff(values) > 0).all() and values[-1] - values[0] < 3 * len(values)
    return bool(grows and 0 <= values[0] < _FEW)  # the first ones may be those of other parts


def _number(
    values: NDArray[np.float64], common: dict[str, Any], rows: NDArray[np.int64]
) -> Column | Ignored:
    found = moments(values[rows])
    if found is None:
        return Ignored("constant")
    return NumberColumn(**common, mean=found[0], scale=found[1])


def _boolean(cells: Cells, common: dict[str, Any]) -> Column | Ignored:
    distinct = {frame.text_of(cell).casefold() for cell in cells.dropna()} - {""}
    truths = {BOOLEANS.get(text) for text in distinct}
    return BooleanColumn(**common) if len(truths) > 1 else Ignored("constant")


def _date(
    cells: Cells, format: str, common: dict[str, Any], rows: NDArray[np.int64]
) -> Column | Ignored:
    seconds = date.to_seconds(cells, format)
    wrong = np.isnan(seconds) & ~frame.missing_cells(cells)
    if wrong.any():
        raise ValueError(
            f"column {common['name']!r}: {frame.first_cell(wrong, cells)}, "
            f"which is no date of the format {format}"
        )
    found = moments(seconds[rows] / date.DAY)
    if found is None:
        return Ignored("constant")
    cycles = date.cycles_of(seconds[rows])
    return DateColumn(**common, format=format, mean=found[0], scale=found[1], cycles=cycles)


def _category(
    cells: Cells, common: dict[str, Any], notes: list[str], *, is_named: bool = False
) -> Column | Ignored:
    codes, distinct = frame.factorize(cells)
    counts: dict[str, int] = {}
    for cell, count in zip(distinct, np.bincount(codes + 1, minlength=1)[1:], strict=True):
        text = frame.text_of(cell)
        if text and count:
            counts[text] = counts.get(text, 0) + int(count)
    n_rows = sum(counts.values())
    if len(counts) < 2:
        return Ignored("constant")
    if not is_named and len(counts) > max(_FEW, n_rows / 2):
        example = next(iter(counts))
        if len(example) > 24:
            example = example[:21] + "..."
        return Ignored(f"text: {len(counts)} different values in {n_rows} rows, as {example!r}")
    names = list(counts)
    if len(names) > MAX_CATEGORIES:
        names = sorted(names, key=lambda text: -counts[text])[:MAX_CATEGORIES]
        covered = sum(counts[text] for text in names) / n_rows
        notes.append(
            f"{common['name']!r} has {len(counts)} categories: the {MAX_CATEGORIES} most frequent, "
            f"{100 * covered:.0f} % of the rows, have an input each, the others none"
        )
    return CategoryColumn(**common, categories=sorted_names(names))


def sorted_names(names: Sequence[str]) -> tuple[str, ...]:
    """In order of value where all are numbers, else alphabetically."""
    if not any(np.isnan(frame.number_of(name)) for name in names):
        return tuple(sorted(names, key=lambda name: (frame.number_of(name), name)))
    return tuple(sorted(names))

"""Kinds of columns, and the inputs of a network that each becomes.

A column describes itself as a dict for JSON, is made of it again, and turns cells into inputs.  A
missing cell becomes what is in the middle: 0 everywhere; where the column has `indicator`, a
further input is 1 there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from fastbp.tabular import date, frame
from fastbp.tabular.frame import Cells, Mask

Inputs = NDArray[np.float64]

_YES, _NO = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")
BOOLEANS = {yes: True for yes in _YES} | {no: False for no in _NO}


class Encoded(NamedTuple):
    """Cells as inputs (n, k), without the indicator; where they are missing, are not of the
    column's kind, or are a category that is not known.
    """

    inputs: Inputs
    missing: Mask
    unfit: Mask
    unknown: Mask | None = None


@dataclass(frozen=True, kw_only=True)
class Column:
    """What all columns have."""

    kind: ClassVar[str]
    name: str
    indicator: bool = False

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One name for each input."""
        return (*self._names(), f"{self.name} is missing")[: None if self.indicator else -1]

    def _names(self) -> tuple[str, ...]:
        return (self.name,)

    def __str__(self) -> str:
        return self.kind

    def encode(self, cells: Cells, *, decimal: str = ".") -> Encoded:
        raise NotImplementedError

    def to_config(self) -> dict[str, Any]:
        """A dict for JSON."""
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Inverse of `to_config`.  Raises KeyError, TypeError, ValueError where it is none."""
        values = {name: value for name, value in config.items() if name != "kind"}
        if not isinstance(values["name"], str) or type(values.get("indicator", False)) is not bool:
            raise TypeError("name and indicator of a column")
        found = cls(**values)
        found._check()
        return found

    def _check(self) -> None:
        """Raises ValueError, TypeError where what came from a file makes no sense."""


@dataclass(frozen=True, kw_only=True)
class NumberColumn(Column):
    """A column of numbers; the input is (x - mean) / scale."""

    kind: ClassVar[str] = "number"
    mean: float
    scale: float

    def encode(self, cells: Cells, *, decimal: str = ".") -> Encoded:
        values, unfit = frame.to_numbers(cells, decimal)
        missing = np.isnan(values) & ~unfit
        values[unfit | missing] = self.mean
        inputs = (values - self.mean) / self.scale
        # what float32 cannot hold
        return Encoded(inputs[:, None], missing, unfit | ~(np.abs(inputs) < 1e38))

    def __str__(self) -> str:
        return f"number, {self.mean:.4g} +- {self.scale:.4g}"

    def _check(self) -> None:
        check_moments(self.name, self.mean, self.scale)


@dataclass(frozen=True, kw_only=True)
class BooleanColumn(Column):
    """A column of true and false, yes and no, ...; the input is 1 or -1."""

    kind: ClassVar[str] = "boolean"

    def encode(self, cells: Cells, *, decimal: str = ".") -> Encoded:
        codes, distinct = frame.factorize(cells)
        values = [boolean_of(cell) for cell in distinct]
        table = np.array([math.nan if value is None else 2.0 * value - 1 for value in values])
        inputs = np.append(table, math.nan)[codes]
        missing = frame.missing_cells(cells)
        unfit = np.isnan(inputs) & ~missing
        return Encoded(np.nan_to_num(inputs)[:, None], missing, unfit)


@dataclass(frozen=True, kw_only=True)
class CategoryColumn(Column):
    """A column of names; one input per category, 1 where the cell is that one.

    A category that is not among them is encoded as none.
    """

    kind: ClassVar[str] = "category"
    categories: tuple[str, ...]

    def encode(self, cells: Cells, *, decimal: str = ".") -> Encoded:
        codes, distinct = frame.factorize(cells)
        place = {name: i for i, name in enumerate(self.categories)}
        places = np.array([place.get(frame.text_of(cell), -1) for cell in distinct], np.int64)
        known = np.append(places, -1)[codes]
        missing = frame.missing_cells(cells)
        inputs = np.eye(len(self.categories) + 1)[known, :-1]
        return Encoded(inputs, missing, np.zeros(len(cells), bool), (known < 0) & ~missing)

    def _names(self) -> tuple[str, ...]:
        return tuple(f"{self.name}={category}" for category in self.categories)

    def __str__(self) -> str:
        return f"{len(self.categories)} categories"

    def _check(self) -> None:
        names = self.categories
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise TypeError(f"column {self.name!r}: categories must be text")
        object.__setattr__(self, "categories", tuple(names))
        if len(set(names)) != len(names) or not names:
            raise ValueError(f"column {self.name!r}: categories are repeated or absent")


@dataclass(frozen=True, kw_only=True)
class DateColumn(Column):
    """A column of dates; inputs are the days since a fixed date, standardised, and sine and cosine
    of the day of the year, the day of the week and the time of day, of those that vary.

    `format` is that of `datetime.strptime`, or "ISO8601".
    """

    kind: ClassVar[str] = "date"
    format: str
    mean: float
    scale: float
    cycles: tuple[str, ...]

    def encode(self, cells: Cells, *, decimal: str = ".") -> Encoded:
        seconds = date.to_seconds(cells, self.format)
        missing = frame.missing_cells(cells)
        unfit = np.isnan(seconds) & ~missing
        days = np.nan_to_num((seconds / date.DAY - self.mean) / self.scale)
        parts = [days, *(part for name in self.cycles for part in date.cycle(name, seconds))]
        return Encoded(np.nan_to_num(np.column_stack(parts)), missing, unfit)

    def _names(self) -> tuple[str, ...]:
        waves = [f"{self.name} {wave} {name}" for name in self.cycles for wave in ("sin", "cos")]
        return (f"{self.name} days", *waves)

    def __str__(self) -> str:
        return "date, as " + ", ".join(["days", *(date.IN_WORDS[name] for name in self.cycles)])

    def _check(self) -> None:
        check_moments(self.name, self.mean, self.scale)
        object.__setattr__(self, "cycles", tuple(self.cycles))
        if not isinstance(self.format, str) or not set(self.cycles) <= set(date.CYCLES):
            raise ValueError(f"column {self.name!r}: format or cycles of a date")


KINDS: dict[str, type[Column]] = {
    kind.kind: kind for kind in (NumberColumn, BooleanColumn, CategoryColumn, DateColumn)
}


def boolean_of(cell: object) -> bool | None:
    """What a cell says, None where it is neither true nor false."""
    return BOOLEANS.get(frame.text_of(cell).casefold())


def check_moments(name: str, mean: object, scale: object) -> None:
    """Raises ValueError, TypeError where numbers cannot be standardised by these."""
    if not isinstance(mean, float | int) or not isinstance(scale, float | int):
        raise TypeError(f"column {name!r}: mean and scale must be numbers")
    if not math.isfinite(mean) or not 0.0 < scale < math.inf:
        raise ValueError(f"column {name!r}: mean {mean} and scale {scale} are not usable")


def moments(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """Mean and standard deviation of the numbers that are no NaN; None where all are equal."""
    values = values[~np.isnan(values)]
    if not len(values) or values.min() == values.max():
        return None
    # Scaled by a power of two first, which is exact: the square of a large number would overflow.
    exponent = int(np.frexp(np.abs(values).max())[1])
    scaled = np.ldexp(values, -exponent)
    mean, scale = np.ldexp(scaled.mean(), exponent), np.ldexp(scaled.std(), exponent)
    return float(mean), float(scale)

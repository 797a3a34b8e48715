"""All columns of a table together, as the inputs of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastbp.check.message import counted
from fastbp.tabular import frame
from fastbp.tabular.column import KINDS, Column, NumberColumn
from fastbp.tabular.frame import Frame, Mask
from fastbp.tabular.recognition import Ignored, Reading, check_numbers, recognise

_KEPT_ROWS, _KEPT_CATEGORIES = 1000, 100  # of what was odd in a long table
_UNEVEN = 100.0  # ratio of two columns' scales from which it is worth a word


@dataclass
class Oddities:
    """What was odd in rows that were encoded, by columns.

    Attributes:
        unfit: number of a row, from 0, that has no inputs -> why; of many parts together no more
            than a thousand of the `n_unfit`.
        missing: column -> how many cells were imputed.
        unknown: column -> category that training did not see -> how many cells; of many parts the
            first categories by name, then "others".
    """

    unfit: dict[int, str] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, dict[str, int]] = field(default_factory=dict)
    n_unfit: int = 0

    def refuse(self, row: int, why: str) -> None:
        """Add a row that has no inputs."""
        if row not in self.unfit:
            self.unfit[row] = why
            self.n_unfit += 1

    def add(self, other: Oddities) -> None:
        """Those of further rows, in memory that does not grow with them."""
        self.n_unfit += other.n_unfit
        for row, why in list(other.unfit.items())[: max(_KEPT_ROWS - len(self.unfit), 0)]:
            self.unfit[row] = why
        for name, count in other.missing.items():
            self.missing[name] = self.missing.get(name, 0) + count
        for name, counts in other.unknown.items():
            own = self.unknown.setdefault(name, {})
            for category, count in counts.items():
                if category not in own and len(own) >= _KEPT_CATEGORIES:
                    category = "others"
                own[category] = own.get(category, 0) + count

    def notes(self) -> list[str]:
        """One sentence of each kind and column."""
        found = []
        if self.unfit:
            told = [f"data row {row + 1} ({why})" for row, why in list(self.unfit.items())[:3]]
            more = ", ..." if self.n_unfit > 3 else ""
            found.append(
                f"no prediction for {counted(self.n_unfit, 'row')}: {', '.join(told)}{more}"
            )
        for name, counts in self.unknown.items():
            found.append(
                f"column {name!r}: {counted(sum(counts.values()), 'cell')} with categories that "
                f"training did not see, encoded as none: {frame.listed(counts, 3)}"
            )
        if self.missing:
            told = [f"{name!r} {count}" for name, count in self.missing.items()]
            found.append(f"missing cells imputed: {', '.join(told)}")
        return found


@dataclass(frozen=True)
class Preprocessing:
    """How the columns of a table become the inputs of a network.

    Numbers are standardised (mean 0, standard deviation 1 over the rows of the fit), booleans are
    1 and -1, other names one-hot, dates numbers: see `fastbp.tabular.column`.

    Attributes:
        columns: those that are used.
        ignored: those that are not, and why.
        reading: how cells are read.
        notes: what was found on the way and is worth saying; not kept in files.

    >>> table = {"age": [20, 40], "town": ["Rome", "Oslo"], "unit": ["m", "m"]}
    >>> preprocessing = Preprocessing.fit(frame.as_frame(table))
    >>> preprocessing.feature_names, preprocessing.ignored
    (('age', 'town=Oslo', 'town=Rome'), {'unit': 'constant'})
    >>> preprocessing.transform(frame.as_frame(table))[0].tolist()
    [[-1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """

    columns: tuple[Column, ...]
    ignored: Mapping[str, str] = field(default_factory=dict)
    reading: Reading = Reading()
    notes: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def fit(
        cls,
        table: Frame,
        *,
        rows: NDArray[np.int64] | None = None,
        reading: Reading | None = None,
    ) -> Self:
        """Learn means, scales and categories.

        Args:
            rows: the training rows, which means and scales come from; None takes all.  Categories
                are collected from every row: a name is no information about the target.

        Raises:
            ValueError: see `recognise`; or no column is left.
        """
        reading = reading or Reading()
        if not len(table.columns):
            raise ValueError("no column to learn from")
        if rows is None:
            rows = np.arange(len(table))
        table = reading.cleaned(table)
        if len(table.columns) == 1:  # what else is there to learn from
            reading = replace(reading, keep=list(map(str, table.columns)))
        notes: list[str] = []
        columns, ignored = [], {}
        for name in table.columns:
            found = recognise(table[name], reading, rows=rows, notes=notes)
            if isinstance(found, Ignored):
                ignored[str(name)] = found.reason
            else:
                columns.append(found)
        if not columns:
            reasons = ", ".join(f"{name!r}: {reason}" for name, reason in ignored.items())
            raise ValueError(f"no column to learn from ({reasons})")
        notes += _gaps(table, columns, reading) + _unevenness(columns)
        return cls(tuple(columns), ignored, replace(reading, keep=()), tuple(notes))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns that are used."""
        return tuple(column.name for column in self.columns)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One name per input of the network; "column=category" where one-hot encoded."""
        return tuple(name for column in self.columns for name in column.feature_names)

    def transform(
        self, table: Frame, *, dtype: Any = np.float32, where: str = "the table"
    ) -> tuple[NDArray[np.floating[Any]], Oddities]:
        """The rows as inputs, (n, len(feature_names)), and what was odd in them; rows that do not
        fit are 0, other columns than `names` not looked at.

        Raises ValueError: a column is missing, or has no cell that fits.
        """
        frame.check_columns(self.names, list(map(str, table.columns)), where=where)
        table = self.reading.cleaned(table)
        odd, parts = Oddities(), []
        reasons: list[tuple[Mask, str, str]] = []
        for column in self.columns:
            cells = table[column.name]
            inputs, missing, unfit, unknown = column.encode(cells, decimal=self.reading.decimal)
            if unfit.any():
                self._check_any_fits(column, cells, unfit, missing)
                reasons.append((unfit, column.name, f"is no {column.kind}"))
            if missing.any():
                if self.reading.missing == "error":
                    reasons.append((missing, column.name, "missing"))
                else:
                    odd.missing[column.name] = int(missing.sum())
            if unknown is not None and unknown.any():
                counts = cells[unknown].map(frame.text_of).value_counts()
                odd.unknown[column.name] = {str(k): int(n) for k, n in counts.items()}
            parts.append(inputs)
            if column.indicator:
                parts.append(missing[:, None].astype(np.float64))
        encoded = np.column_stack(parts)
        for mask, name, reason in reasons:
            for row in np.flatnonzero(mask):
                cell = str(table[name].iloc[row])
                why = f"no {name!r}" if reason == "missing" else f"{name!r} {cell!r} {reason}"
                odd.refuse(int(table.index[row]), why)
            encoded[mask] = 0.0
        odd.unfit = dict(sorted(odd.unfit.items()))
        return encoded.astype(dtype), odd

    def _check_any_fits(
        self, column: Column, cells: frame.Cells, unfit: Mask, missing: Mask
    ) -> None:
        """Where not a cell of many fits, it is the column that is wrong."""
        if (unfit | missing).all() and unfit.sum() > 1:
            if isinstance(column, NumberColumn) and self.reading.decimal == ".":
                check_numbers(cells, ".")
            raise ValueError(
                f"column {column.name!r} was of the kind {column.kind} in training, and no cell is "
                f"one: {frame.first_cell(unfit, cells)}"
            )

    def to_config(self) -> dict[str, Any]:
        """A dict for JSON, from which `from_config` makes an equal object."""
        return {
            "columns": [column.to_config() for column in self.columns],
            "ignored": dict(self.ignored),
            "missing": self.reading.missing,
            "decimal": self.reading.decimal,
            "na_values": list(self.reading.na_values),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Inverse of `to_config`, and of what version 0.1.0 wrote, which refused missing cells.

        Raises ValueError where the dict is not one of its.
        """
        try:
            columns = tuple(_column(column) for column in config["columns"])
            if "dropped" in config:
                ignored = {str(name): "constant" for name in config["dropped"]}
                reading = Reading(missing="error")
            else:
                ignored = {str(name): str(why) for name, why in config["ignored"].items()}
                options = {name: config[name] for name in ("missing", "decimal", "na_values")}
                reading = Reading(**options)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"not a description of a preprocessing: {error!r}") from error
        if not columns or len({column.name for column in columns}) < len(columns):
            raise ValueError("not a description of a preprocessing: columns")
        return cls(columns, ignored, reading)


def _column(config: Mapping[str, Any]) -> Column:
    kind = config.get("kind", "category" if "categories" in config else "number")
    return KINDS[kind].from_config(config)


def _gaps(table: Frame, columns: list[Column], reading: Reading) -> list[str]:
    """How many cells are missing, where, and what becomes of them."""
    told = []
    for column in columns:
        missing = frame.missing_cells(table[column.name])
        if missing.any():
            rows = frame.rows_shown(missing, table[column.name])
            told.append(f"{column.name!r} {missing.sum()} of {len(missing)} ({rows})")
    if not told:
        return []
    marked = ", marked by an input of their own" if reading.missing == "indicator" else ""
    return [f"missing: {', '.join(told)}; numbers become the mean, names none{marked}"]


def _unevenness(columns: list[Column]) -> list[str]:
    numbers = [column for column in columns if isinstance(column, NumberColumn)]
    if len(numbers) < 2:
        return []
    small, *_, large = sorted(numbers, key=lambda column: column.scale)
    if large.scale < _UNEVEN * small.scale:
        return []
    return [
        f"scales differ: {large.name!r} varies by {large.scale:.3g}, {small.name!r} by "
        f"{small.scale:.3g}; all numbers are standardised"
    ]

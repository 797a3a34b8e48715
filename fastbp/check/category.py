"""Columns of X that hold categories: the integers 0..n-1, as real numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastbp.check.array import Array, blocks
from fastbp.check.frame import column_named
from fastbp.check.message import nonfinite_kind, shown


@dataclass(frozen=True)
class Categories:
    """The categorical columns of an input.

    Attributes:
        columns: each with the number of its categories, ascending.
        refuses_unknown: whether what is no category is an error.
    """

    columns: tuple[tuple[int, int], ...]
    refuses_unknown: bool

    def check(self, X: Array, given: object, *, name: str, check_finite: bool) -> None:
        """Refuse a number that is no category; or, where those have a slot, with `check_finite`
        numbers in other columns that are not finite.

        `given` is X as the user passed it, who may name the columns.

        Raises ValueError: value, row and column of the first.
        """
        if self.refuses_unknown:
            self._refuse_unknown(X, given, name)
        elif check_finite:
            self._refuse_nonfinite(X, given, name)

    def _refuse_unknown(self, X: Array, given: object, name: str) -> None:
        index, counts = (np.array(side, np.int64) for side in zip(*self.columns, strict=True))
        for _, piece in blocks(X.shape):
            part = X[piece[0]][:, index]
            bad = ~((part >= 0) & (part < counts))
            if part.dtype.kind == "f":
                bad |= part != np.floor(part)
            if not bad.any():
                continue
            row, at = np.unravel_index(int(bad.argmax()), bad.shape)
            value, column, n = part[row, at], int(index[at]), int(counts[at])
            raise ValueError(
                f"{name}[{int(row) + piece[0].start}, {column}] = {_number(value)} is no category "
                f"of {column_named(column, given)}, which are the integers 0..{n - 1}; with "
                "handle_unknown='slot' of the Input others have a row of their own"
            )

    def _refuse_nonfinite(self, X: Array, given: object, name: str) -> None:
        if X.dtype.kind != "f":
            return
        index = np.setdiff1d(np.arange(X.shape[1]), [column for column, _ in self.columns])
        for _, piece in blocks(X.shape):
            bad = ~np.isfinite(X[piece[0]][:, index])
            if not bad.any():
                continue
            row, at = np.unravel_index(int(bad.argmax()), bad.shape)
            place, column = int(row) + piece[0].start, int(index[at])
            kind = nonfinite_kind(X[place, column])
            raise ValueError(
                f"Input {name} contains {kind} (first at [{place}, {column}]), in "
                f"{column_named(column, given)}"
            )


def _number(value: NDArray[np.generic] | np.generic) -> str:
    """A number that may be NaN."""
    return "NaN" if value != value else shown(value)

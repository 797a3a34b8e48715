"""One kernel call of a plan, and the tables that the compiled engine reads them from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.activation import Activation

LINEAR = Activation("linear")
_COLUMN = {"int": np.int64, "float": np.float64}  # of a field of that type


@dataclass(frozen=True)
class Operation:
    """One kernel call; offsets in numbers, -1 for none.

    `kind` names a kernel, one of OPERATIONS in src/engine/operation.pxi.  The numbers are the
    struct there, in its order, with the activation's alpha for the last.  `constant` are the
    rows of numbers that a layer was given.

    a, c, y, z, slope and statistics lie among the activations (a = -1: the network's input), w, b
    and moving among the parameters (w of "dense_input" among the transposes unless `by_columns`), c
    and b of a gradient in the flat gradient.
    """

    kind: str
    a: int = -1
    lda: int = 0
    n_a: int = 0
    column_a: int = 0
    c: int = -1
    ldc: int = 0
    n_c: int = 0
    column_c: int = 0
    y: int = -1
    ldy: int = 0
    n_y: int = 0
    w: int = -1
    ldw: int = 0
    by_columns: int = 0
    b: int = -1
    z: int = -1
    slope: int = -1
    accumulate: int = 0
    kernel: int = -1
    bias: int = -1
    stream: int = -1
    statistics: int = -1
    moving: int = -1
    level: float = 0.0
    activation: Activation = LINEAR
    constant: NDArray[Any] | None = None

    @property
    def alpha(self) -> float:
        return self.activation.alpha


@dataclass(frozen=True)
class Program:
    """A list of operations, and their numbers as a structured array, one field a column."""

    operations: list[Operation]
    table: NDArray[Any]


def program(operations: list[Operation]) -> Program:
    return Program(operations, table(operations, Operation, "alpha"))


@dataclass(frozen=True)
class Segment:
    """A run of the flat parameter vector that the optimizer treats alike; struct Segment of
    src/engine/operation.pxi.

    `transpose` is where the kernel's transpose lies among the transposes, or -1.  `rate` multiplies
    the learning rate; 0 where nothing is trained.
    """

    offset: int
    rows: int
    ld: int
    columns: int
    transpose: int
    ld_transpose: int
    decays: int
    l1: float
    l2: float
    rate: float


def table(rows: Sequence[Any], kind: type, *also: str) -> NDArray[Any]:
    """The numbers among the fields of a dataclass, and `also` some properties that are floats."""
    kinds = {field.name: _COLUMN.get(str(field.type)) for field in fields(kind)}
    kinds |= dict.fromkeys(also, np.float64)
    dtype = np.dtype([(name, own) for name, own in kinds.items() if own is not None])
    names = dtype.names or ()
    return np.array([tuple(getattr(row, name) for name in names) for row in rows], dtype)

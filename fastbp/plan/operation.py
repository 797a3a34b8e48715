"""One kernel call of a plan, and the tables that the compiled engine reads them from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Kind(IntEnum):
    """What an operation does; the numbers are those of src/engine/operation.pxi."""

    DENSE = 0
    ACTIVATION = 1
    ADD = 2
    COPY = 3
    ACTIVATION_BACKWARD = 4
    DENSE_INPUT = 5
    ACCUMULATE = 6
    DENSE_PARAMETERS = 7


@dataclass(frozen=True)
class Operation:
    """One kernel call; offsets in numbers, -1 for none.

    The integer fields are the struct of src/engine/operation.pxi.

    a, c, y and z lie among the activations (a = -1: the network's input), w and b among the
    parameters (w of DENSE_INPUT among the transposed copies unless `by_columns`), c and b of
    DENSE_PARAMETERS in the gradient.
    """

    kind: Kind
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
    activation: int = 0
    z: int = -1
    accumulate: int = 0
    kernel: int = -1
    bias: int = -1
    alpha: float = 0.0


_COLUMNS = tuple(field.name for field in fields(Operation) if field.name != "alpha")


@dataclass(frozen=True)
class Program:
    """A list of operations, and the same as arrays: table (n, 21) int64, alpha (n,) float64."""

    operations: tuple[Operation, ...]
    table: NDArray[np.int64]
    alpha: NDArray[np.float64]


def program(operations: Sequence[Operation]) -> Program:
    rows: list[list[Any]] = [[getattr(op, name) for name in _COLUMNS] for op in operations]
    table = np.array(rows, dtype=np.int64).reshape(len(rows), len(_COLUMNS))
    return Program(tuple(operations), table, np.array([op.alpha for op in operations], np.float64))


@dataclass(frozen=True)
class Segment:
    """A run of the flat parameter vector that the optimizer treats alike; struct Segment of
    src/engine/operation.pxi.

    `copy` is where the kernel's transpose lies among the copies, or -1.
    """

    offset: int
    rows: int
    ld: int
    columns: int
    copy: int
    ld_copy: int
    decays: int
    l1: float
    l2: float


_SEGMENT_COLUMNS = tuple(field.name for field in fields(Segment) if field.name not in ("l1", "l2"))


@dataclass(frozen=True)
class SegmentTable:
    """Segments, and the same as arrays: table (n, 7) int64, l1 and l2 (n,) float64."""

    segments: tuple[Segment, ...]
    table: NDArray[np.int64]
    l1: NDArray[np.float64]
    l2: NDArray[np.float64]


def segment_table(segments: Sequence[Segment]) -> SegmentTable:
    rows = [[getattr(segment, name) for name in _SEGMENT_COLUMNS] for segment in segments]
    return SegmentTable(
        tuple(segments),
        np.array(rows, dtype=np.int64).reshape(len(rows), len(_SEGMENT_COLUMNS)),
        np.array([segment.l1 for segment in segments], np.float64),
        np.array([segment.l2 for segment in segments], np.float64),
    )

"""Operations on the columns of a whole batch: the twin of src/engine/batch.pxi.

All rows of a step are one tile here, so that what a stage leaves is complete at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from fastbp.check.array import Array
from fastbp.plan.operation import Operation


class Memory(Protocol):
    """What is asked of `Operations`."""

    w: Array
    activations: Array

    def _rows(self, offset: int, ld: int, n: int, rows: int, first: int) -> Array: ...

    def _activate(self, op: Operation, z: Array, c: Array, first: int) -> None: ...


# The rows of numbers that are kept of the columns: the mean, in two parts, 1 / sqrt(variance +
# epsilon), the variance; of the gradient by what was normalized its mean, and that of its product
# with it.
_ROWS = MEAN, REST, INVERSE, VARIANCE, D_MEAN, D_ALONG = range(6)


def _kept(own: Memory, op: Operation, n: int) -> Array:
    ld = op.ldw
    return own.activations[op.statistics :][: len(_ROWS) * ld].reshape(-1, ld)[:, :n]


def _part(own: Memory, op: Operation, a: Array) -> tuple[Array, Array]:
    """a - mean, and 1 / sqrt(variance + epsilon)."""
    n = a.shape[1]
    if op.statistics >= 0:
        kept = _kept(own, op, n)
        return (a - kept[MEAN]) - kept[REST], kept[INVERSE]
    mean, variance = (own.w[op.moving + i * op.ldw :][:n] for i in range(2))
    return a - mean, 1 / np.sqrt(variance + a.dtype.type(op.level))


def _factor(own: Memory, op: Operation, inverse: Array) -> Array:
    return inverse if op.w < 0 else own.w[op.w :][: len(inverse)] * inverse


def statistics(own: Memory, op: Operation, a: Array) -> None:
    """Of the rows of a, in float64."""
    kept, exact = _kept(own, op, a.shape[1]), a.astype(np.float64)
    mean, variance = exact.mean(axis=0), exact.var(axis=0)
    kept[MEAN] = mean
    kept[REST] = mean - kept[MEAN]
    kept[VARIANCE] = variance
    kept[INVERSE] = 1 / np.sqrt(variance + op.level)


def scale(own: Memory, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
    """c = f((a - mean) factor / sqrt(variance + epsilon) + offset)"""
    part, inverse = _part(own, op, a)
    z = part * _factor(own, op, inverse)
    if op.b >= 0:
        z += own.w[op.b :][: op.n_c]
    own._activate(op, z, c, first)


def gradient(own: Memory, op: Operation, a: Array, first: int, whole: Array, start: bool) -> None:
    """Of factor and offset: sums, which are kept as means too."""
    part, inverse = _part(own, op, a)
    dz = own._rows(op.y, op.ldy, op.n_y, len(a), first)
    sums = dz.sum(axis=0), (dz * part).sum(axis=0) * inverse
    if start:
        whole[op.moving : op.moving + 2 * op.ldw] = 0
    for at, total in zip((op.b, op.c), sums, strict=True):
        if at >= 0 and start:
            whole[at : at + op.ldw] = 0
        if at >= 0:
            whole[at : at + op.n_y] += total
    if op.statistics >= 0:
        kept = _kept(own, op, op.n_y)
        kept[D_MEAN], kept[D_ALONG] = (total / len(a) for total in sums)


def input_gradient(own: Memory, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
    """c = or += factor (a - mean(a) - y mean(a y)) / sqrt(variance + epsilon), y normalized"""
    source = x if op.y < 0 else own._rows(op.y, op.ldy, op.n_c, len(a), first)
    part, inverse = _part(own, op, source)
    d = a
    if op.statistics >= 0:
        kept = _kept(own, op, op.n_c)
        d = (a - kept[D_MEAN]) - part * (inverse * kept[D_ALONG])
    d = d * _factor(own, op, inverse)
    c[...] = c + d if op.accumulate else d


def move(own: Memory, op: Operation, a: Array) -> None:
    """The running mean and variance follow those that are kept."""
    kept = _kept(own, op, op.n_c).astype(np.float64)
    for i, batch in enumerate((kept[MEAN] + kept[REST], kept[VARIANCE])):
        moving = own.w[op.moving + i * op.ldw :][: op.n_c]
        moving[...] = op.level * moving + (1 - op.level) * batch


def overflow(own: Memory, ops: Sequence[Operation]) -> float:
    """0, or nan where a variance that `ops` would follow is not finite."""
    variances = [_kept(own, op, op.n_c)[VARIANCE] for op in ops]
    return float(sum((one - one).sum() for one in variances))


# of all columns, without a result in rows
COLUMN_OPERATIONS: dict[str, Callable[..., None]] = {"batch_statistics": statistics, "move": move}

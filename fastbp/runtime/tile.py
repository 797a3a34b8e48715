"""Rows forward and backward in compiled code, each with derivatives of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from fastbp.backend.numpy.operation import table_rows
from fastbp.check.array import Array
from fastbp.plan.operation import Operation
from fastbp.runtime import engine_cache
from fastbp.runtime.parts import Parts
from fastbp.runtime.rows import converted
from fastbp.runtime.state import State

TILE_ROWS = 256


class Tile(Parts):
    """Some rows that have gone forward: `rows`, `n` of them.

    Attributes:
        ends: of each output its columns where all lie side by side, where its gradient goes, and
            what lies between those rows.
    """

    __slots__ = ("activations", "ends", "n", "plan", "rows", "single", "w")

    def __init__(self, state: State, n_rows: int) -> None:
        prepared = engine_cache.engine(state, "derivative", n_rows)
        super().__init__(prepared, n_rows, 0)
        _, self.plan, scratch = prepared
        self.activations: Array = scratch[self.plan.arena.activations :]
        self.w = state.parameters
        self.single = np.zeros(n_rows)
        self.single[0] = 1.0
        self.n, self.rows = 0, self.input_gradient[:0]
        if self.plan.heads:
            columns = (slice(own.column, own.column + own.n) for own in self.plan.heads)
            pairs = zip(columns, self.heads, strict=True)
            self.ends = [(own, *views[1:]) for own, views in pairs]
        else:
            self.ends = [(slice(0, self.plan.n_outputs), self.output_gradient, self.padding)]

    def forward(self, rows: Array) -> None:
        """Keep every activation."""
        self.n, self.rows = len(rows), rows
        self.engine.forward(rows)

    def back(self, seed: Array) -> Array:
        """From the gradient by the outputs, side by side, to that by the input, which the next call
        overwrites.
        """
        for columns, to, padding in self.ends:
            to[: self.n] = seed[:, columns]
            padding.fill(0)
        self.engine.backward()
        return self.input_gradient[: self.n]

    def back_from_loss(self, y: Array) -> Array:
        """The same from each row's own loss: a mean over rows whose weights add up to 1."""
        self.engine.loss_gradient(y, None, self.single[: self.n])
        self.engine.backward()
        return self.input_gradient[: self.n]

    def row_gradients(self, to: dict[int, Array]) -> None:
        """After either: the gradient of each row by each tensor, (n, *shape), by its offset; of
        layers that have none in `to`, none.
        """
        plan = self.plan
        for op in plan.row_gradient.operations:
            if op.c in to or op.b in to:
                a = self._stored(*((plan.input, plan.ld_input) if op.a < 0 else (op.a, op.lda)))
                ROW_GRADIENTS[op.kind](op, self.w, a, self._stored(op.y, op.ldy), to)

    def _stored(self, offset: int, ld: int) -> Array:
        """The rows of a buffer, padding included."""
        return self.activations[offset : offset + self.n * ld].reshape(self.n, ld)


def tiles(state: State, rows: Array) -> Iterator[tuple[slice, Tile]]:
    """Runs of rows, each of them forward in turn."""
    step = min(TILE_ROWS, len(rows))
    tile = Tile(state, step) if step else None
    for begin in range(0, len(rows), TILE_ROWS):
        assert tile is not None
        part = slice(begin, min(begin + step, len(rows)))
        tile.forward(converted(rows, part, state))
        yield part, tile


def unit(state: State, n_rows: int, output: int | Array) -> Array:
    """The gradient of one output by all of them, for each row."""
    found = np.zeros((n_rows, state.n_outputs), state.dtype)
    found[np.arange(n_rows), output] = 1
    return found


def _dense(op: Operation, w: Array, a: Array, d: Array, to: dict[int, Array]) -> None:
    dz = d[:, : op.n_y]
    np.multiply(a[:, : op.n_a, np.newaxis], dz[:, np.newaxis, :], out=to[op.c])
    if op.b >= 0:
        to[op.b][...] = dz


def _scale(op: Operation, w: Array, a: Array, d: Array, to: dict[int, Array]) -> None:
    dz = d[:, : op.n_y]
    np.multiply(a[:, : op.n_a], dz, out=to[op.c])
    to[op.b][...] = dz


def _prelu(op: Operation, w: Array, a: Array, d: Array, to: dict[int, Array]) -> None:
    np.multiply(np.minimum(a[:, : op.n_a], 0), d[:, : op.n_y], out=to[op.c])


def _embed(op: Operation, w: Array, a: Array, d: Array, to: dict[int, Array]) -> None:
    to[op.c][...] = 0
    to[op.c][np.arange(len(a)), table_rows(op, a)] = d[:, op.column_c :][:, : op.n_y]


def _batch_norm(op: Operation, w: Array, a: Array, d: Array, to: dict[int, Array]) -> None:
    """By the running statistics."""
    mean, variance = (w[op.moving + i * op.ldw :][: op.n_y] for i in range(2))
    dz, part = d[:, : op.n_y], a[:, : op.n_y] - mean
    if op.c in to:
        np.multiply(part / np.sqrt(variance + w.dtype.type(op.level)), dz, out=to[op.c])
    if op.b in to:
        to[op.b][...] = dz


# What one row adds to the sums that these operations make, of the rows of their buffers.
ROW_GRADIENTS: dict[str, Callable[[Operation, Array, Array, Array, dict[int, Array]], None]] = {
    "dense_gradient": _dense,
    "scale_gradient": _scale,
    "prelu_gradient": _prelu,
    "embed_gradient": _embed,
    "batch_gradient": _batch_norm,
}

"""Derivatives of single rows: of outputs and losses by the input, of losses by the parameters.

Every tile of rows goes forward once in compiled code, and backward once for each output or loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from fastbp.check.array import Array
from fastbp.check.message import counted, shown
from fastbp.check.scalar import check_bool
from fastbp.plan.operation import Operation
from fastbp.plan.parameter import row_length
from fastbp.runtime import engine_cache
from fastbp.runtime.guard import writing
from fastbp.runtime.parts import Parts
from fastbp.runtime.predict import predict, rows_or_row
from fastbp.runtime.rows import converted
from fastbp.runtime.state import State

TILE_ROWS = 256


@writing
def jacobian(state: State, X: ArrayLike, *, response: bool) -> Array:
    """See `Network.jacobian`."""
    response = check_bool(response, name="response")
    shown_as = state.response_activation if response else state.declared_activation
    rows, is_row = rows_or_row(state, X, True)
    found = np.empty((len(rows), state.n_outputs, state.n_features), state.dtype)
    for part, tile in _tiles(state, rows):
        pull = _pull(state, rows[part], shown_as)
        for output in range(state.n_outputs):
            found[part, output] = tile.back(pull(_unit(state, len(rows[part]), output)))
    return found[0] if is_row else found


@writing
def input_gradient(
    state: State, X: ArrayLike, y: ArrayLike | None, *, output: ArrayLike | None
) -> Array:
    """See `Network.input_gradient`."""
    if y is not None:
        if output is not None:
            raise ValueError("input_gradient takes y or output, got both")
        rows, target = state.checked_pair(X, y, nan_advice="")
        found = np.empty((len(rows), state.n_features), state.dtype)
        for part, tile in _tiles(state, rows):
            found[part] = tile.back_from_loss(target[part])
        return found
    rows, is_row = rows_or_row(state, X, True)
    chosen = _chosen(state, output, len(rows))
    found = np.empty((len(rows), state.n_features), state.dtype)
    for part, tile in _tiles(state, rows):
        pull = _pull(state, rows[part], state.declared_activation)
        found[part] = tile.back(pull(_unit(state, len(rows[part]), chosen[part])))
    return found[0] if is_row else found


@writing
def per_example_gradients(state: State, X: ArrayLike, y: ArrayLike) -> list[Array]:
    """See `Network.per_example_gradients`."""
    rows, target = state.checked_pair(X, y, nan_advice="")
    tensors = state.layout.tensors
    found = [np.empty((len(rows), *tensor.shape), state.dtype) for tensor in tensors]
    at = {tensor.offset: own for tensor, own in zip(tensors, found, strict=True)}
    for part, tile in _tiles(state, rows):
        tile.back_from_loss(target[part])
        tile.row_gradients({offset: own[part] for offset, own in at.items()})
    return found


class Tile(Parts):
    """Some rows that have gone forward."""

    __slots__ = ("activations", "n", "plan", "single")

    def __init__(self, state: State, n_rows: int) -> None:
        prepared = engine_cache.engine(state, "derivative", n_rows)
        super().__init__(prepared, n_rows, 0)
        _, self.plan, scratch = prepared
        self.activations: Array = scratch[self.plan.arena.activations :]
        self.single = np.zeros(n_rows)
        self.single[0] = 1.0
        self.n = 0

    def forward(self, rows: Array) -> None:
        """Keep every activation."""
        self.n = len(rows)
        self.engine.forward(rows)

    def back(self, seed: Array) -> Array:
        """From the gradient by the outputs to that by the input, which the next call overwrites."""
        self.output_gradient[: self.n] = seed
        self.padding.fill(0)
        self.engine.backward()
        return self.input_gradient[: self.n]

    def back_from_loss(self, y: Array) -> Array:
        """The same from each row's own loss: a mean over rows whose weights add up to 1."""
        self.engine.loss_gradient(y, None, self.single[: self.n])
        self.engine.backward()
        return self.input_gradient[: self.n]

    def row_gradients(self, to: dict[int, Array]) -> None:
        """After either: the gradient of each row by each tensor, (n, *shape), by its offset."""
        for op in self.plan.weight_gradient.operations:
            a = self._buffer(self.plan.input if op.a < 0 else op.a, op.n_a)
            ROW_GRADIENTS[op.kind](op, a, self._buffer(op.y, op.n_y), to)

    def _buffer(self, offset: int, width: int) -> Array:
        ld = row_length(width, self.plan.dtype)
        return self.activations[offset : offset + self.n * ld].reshape(self.n, ld)[:, :width]


def _tiles(state: State, rows: Array) -> Iterator[tuple[slice, Tile]]:
    """Runs of rows, each of them forward in turn."""
    step = min(TILE_ROWS, len(rows))
    tile = Tile(state, step) if step else None
    for begin in range(0, len(rows), TILE_ROWS):
        assert tile is not None
        part = slice(begin, min(begin + step, len(rows)))
        tile.forward(converted(rows, part, state))
        yield part, tile


def _unit(state: State, n_rows: int, output: int | Array) -> Array:
    """The gradient of one output by all of them, for each row."""
    found = np.zeros((n_rows, state.n_outputs), state.dtype)
    found[np.arange(n_rows), output] = 1
    return found


def _pull(state: State, rows: Array, shown_as: str) -> Callable[[Array], Array]:
    """From a gradient by outputs as they are shown to that by what the last node gives."""
    if shown_as == "linear":
        return lambda gradient: gradient
    from fastbp.backend.numpy.kernel import find_activation

    out = np.empty((len(rows), state.n_outputs), state.dtype)
    predict(state, rows, out, shown_as, "auto")
    backward = find_activation(shown_as, 0.0, state.dtype)[2]
    return lambda gradient: backward(gradient, out, out)


def _chosen(state: State, output: ArrayLike | None, n_rows: int) -> Array:
    """The output of each row, (n_rows,); raises TypeError, ValueError."""
    n = state.n_outputs
    if output is None:
        if n > 1:
            text = f"network has {n} outputs: name one, output=0, or pass y for the loss"
            raise ValueError(f"input_gradient needs y or output: {text}")
        output = 0
    chosen = np.asarray(output)
    if chosen.dtype.kind not in "iu":
        raise TypeError(f"output must be an int, or one for each row, got {shown(output)}")
    if chosen.ndim > 1 or chosen.ndim == 1 and len(chosen) != n_rows:
        got = f"shape {chosen.shape}"
        raise ValueError(f"output must be an int, or {counted(n_rows, 'int')}, got {got}")
    bad = np.flatnonzero((chosen < 0) | (chosen >= n))
    if len(bad):
        place = f"[{bad[0]}]" if chosen.ndim else ""
        value = shown(chosen.reshape(-1)[bad[0]])
        raise ValueError(f"output{place} = {value} is outside 0..{n - 1}")
    return np.broadcast_to(chosen, n_rows)


def _dense(op: Operation, a: Array, dz: Array, to: dict[int, Array]) -> None:
    np.multiply(a[:, :, np.newaxis], dz[:, np.newaxis, :], out=to[op.c])
    if op.b >= 0:
        to[op.b][...] = dz


def _scale(op: Operation, a: Array, dz: Array, to: dict[int, Array]) -> None:
    np.multiply(a, dz, out=to[op.c])
    to[op.b][...] = dz


# What one row adds to the sums that these operations make.
ROW_GRADIENTS: dict[str, Callable[[Operation, Array, Array, dict[int, Array]], None]] = {
    "dense_gradient": _dense,
    "scale_gradient": _scale,
}

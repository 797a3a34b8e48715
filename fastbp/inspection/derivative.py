"""Derivatives of single rows: of outputs and losses by the input, of losses by the parameters.

Every tile of rows goes forward once in compiled code, and backward once for each output or loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.check.array import Array
from fastbp.check.message import counted, shown
from fastbp.check.scalar import check_bool
from fastbp.runtime.guard import writing
from fastbp.runtime.predict import predict, rows_or_row
from fastbp.runtime.state import State
from fastbp.runtime.tile import tiles, unit


@writing
def jacobian(state: State, X: ArrayLike, *, response: bool) -> Any:
    """See `Network.jacobian`."""
    response = check_bool(response, name="response")
    shown_as = state.response_activation if response else state.declared_activation
    rows, is_row = rows_or_row(state, X, True)
    found = np.empty((len(rows), state.n_outputs, state.n_features), state.dtype)
    for part, tile in tiles(state, rows):
        pull = _pull(state, tile.rows, shown_as)
        for output in range(state.n_outputs):
            found[part, output] = tile.back(pull(unit(state, tile.n, output)))
    if is_row:
        found = found[0]
    if state.heads is not None:
        return {head.name: found[..., head.columns, :] for head in state.heads.heads}
    return found


@writing
def input_gradient(state: State, X: ArrayLike, y: Any, *, output: object) -> Array:
    """See `Network.input_gradient`."""
    if y is not None:
        if output is not None:
            raise ValueError("input_gradient takes y or output, got both")
        check_loss(state, "input_gradient(X, y)")
        rows, target = state.checked_pair(X, y, nan_advice="")
        found = np.empty((len(rows), state.n_features), state.dtype)
        for part, tile in tiles(state, rows):
            found[part] = tile.back_from_loss(target[part])
        return found
    rows, is_row = rows_or_row(state, X, True)
    chosen = _chosen(state, output, len(rows))
    found = np.empty((len(rows), state.n_features), state.dtype)
    for part, tile in tiles(state, rows):
        pull = _pull(state, tile.rows, state.declared_activation)
        found[part] = tile.back(pull(unit(state, tile.n, chosen[part])))
    return found[0] if is_row else found


@writing
def per_example_gradients(state: State, X: ArrayLike, y: Any) -> list[Array]:
    """See `Network.per_example_gradients`."""
    check_loss(state, "per_example_gradients")
    rows, target = state.checked_pair(X, y, nan_advice="")
    tensors = [tensor for tensor in state.layout.tensors if not tensor.is_running]
    found = [np.zeros((len(rows), *tensor.shape), state.dtype) for tensor in tensors]
    at = {tensor.offset: own for tensor, own in zip(tensors, found, strict=True)}
    for part, tile in tiles(state, rows):
        tile.back_from_loss(target[part])
        tile.row_gradients({offset: own[part] for offset, own in at.items()})
    return found


def check_loss(state: State, verb: str) -> None:
    """Raises ValueError where the loss is a function of the user's: it knows batches alone."""
    if state.loss.is_own:
        raise ValueError(
            f"{verb} needs a loss by name, got function {state.loss.name!r}: give its gradient by "
            "the outputs to net.backward after net.forward, for a row or a batch"
        )


def _pull(state: State, rows: Array, shown_as: str) -> Callable[[Array], Array]:
    """From a gradient by outputs as they are shown to that by what the last node gives."""
    names = shown_as.split(" ")  # of each head
    if not {*names} - {"linear"}:
        return lambda gradient: gradient
    from fastbp.backend.numpy.kernel import find_activation

    out = np.empty((len(rows), state.n_outputs), state.dtype)
    predict(state, rows, out, shown_as, "auto")
    columns = [slice(0, state.n_outputs)]
    if state.heads is not None:
        columns = [head.columns for head in state.heads.heads]
    ways = [find_activation(name, 0.0, state.dtype)[2] for name in names]

    def pull(gradient: Array) -> Array:
        found = np.empty_like(gradient)
        for backward, own in zip(ways, columns, strict=True):
            found[:, own] = backward(gradient[:, own], out[:, own], out[:, own])
        return found

    return pull


def _chosen(state: State, output: object, n_rows: int) -> Array:
    """The output of each row among those of all heads, (n_rows,); raises TypeError, ValueError."""
    n, heads = state.n_outputs, state.heads
    if output is None:
        if n > 1:
            name = "output=0" if heads is None else f"output={{{heads.names[0]!r}: 0}}"
            text = f"network has {n} outputs: name one, {name}, or pass y for the loss"
            raise ValueError(f"input_gradient needs y or output: {text}")
        return np.zeros(n_rows, np.intp)
    if heads is None:
        return _index(output, n, n_rows, "output")
    example = f"as {{{heads.names[0]!r}: 0}}"
    if not isinstance(output, Mapping):
        got = shown(output)
        raise TypeError(f"output must be a dict with an index for one head, {example}, got {got}")
    heads.loss.check_names(output, what="output", all_of_them=False)
    if len(output) != 1:
        got = counted(len(output), "head")
        raise ValueError(f"output must be a dict with an index for one head, {example}, got {got}")
    ((name, index),) = output.items()
    head = heads.heads[heads.names.index(name)]
    return head.columns.start + _index(index, head.n_outputs, n_rows, f"output[{name!r}]")


def _index(output: Any, n: int, n_rows: int, name: str) -> Array:
    """One of n outputs for each row."""
    chosen = np.asarray(output)
    if chosen.dtype.kind not in "iu":
        raise TypeError(f"{name} must be an int, or one for each row, got {shown(output)}")
    if chosen.ndim > 1 or chosen.ndim == 1 and len(chosen) != n_rows:
        got = f"shape {chosen.shape}"
        raise ValueError(f"{name} must be an int, or {counted(n_rows, 'int')}, got {got}")
    bad = np.flatnonzero((chosen < 0) | (chosen >= n))
    if len(bad):
        place = f"[{bad[0]}]" if chosen.ndim else ""
        value = shown(chosen.reshape(-1)[bad[0]])
        raise ValueError(f"{name}{place} = {value} is outside 0..{n - 1}")
    return np.broadcast_to(chosen.astype(np.intp), n_rows)

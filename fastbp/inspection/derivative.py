"""Derivatives of single rows: of outputs and losses by the input, of losses by the parameters.

Every tile of rows goes forward once in compiled code, and backward once for each output or loss.
"""

from __future__ import annotations

from collections.abc import Callable

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
def jacobian(state: State, X: ArrayLike, *, response: bool) -> Array:
    """See `Network.jacobian`."""
    check_alone(state, "jacobian")
    response = check_bool(response, name="response")
    shown_as = state.response_activation if response else state.declared_activation
    rows, is_row = rows_or_row(state, X, True)
    found = np.empty((len(rows), state.n_outputs, state.n_features), state.dtype)
    for part, tile in tiles(state, rows):
        pull = _pull(state, tile.rows, shown_as)
        for output in range(state.n_outputs):
            found[part, output] = tile.back(pull(unit(state, tile.n, output)))
    return found[0] if is_row else found


@writing
def input_gradient(
    state: State, X: ArrayLike, y: ArrayLike | None, *, output: ArrayLike | None
) -> Array:
    """See `Network.input_gradient`."""
    check_alone(state, "input_gradient")
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
def per_example_gradients(state: State, X: ArrayLike, y: ArrayLike) -> list[Array]:
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


def check_alone(state: State, verb: str) -> None:
    """Raises ValueError for a network of several outputs."""
    if state.heads is not None:
        raise ValueError(
            f"{verb} is of a network with one output, got Heads: for gradients by the input give "
            "net.backward a dict after net.forward"
        )


def check_loss(state: State, verb: str) -> None:
    """Raises ValueError where there are several, or the loss is a function of the user's: it knows
    batches alone.
    """
    check_alone(state, verb)
    if state.loss.is_own:
        raise ValueError(
            f"{verb} needs a loss by name, got function {state.loss.name!r}: give its gradient by "
            "the outputs to net.backward after net.forward, for a row or a batch"
        )


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

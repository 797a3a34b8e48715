"""A training step in its parts, for losses and loops of the user's own."""

from __future__ import annotations

from numpy.typing import ArrayLike

from fastbp.check.array import Array, as_numeric
from fastbp.check.input import check_X
from fastbp.check.message import counted
from fastbp.plan import Plan
from fastbp.plan.parameter import row_length
from fastbp.runtime import engine_cache
from fastbp.runtime.rate import set_rate
from fastbp.runtime.state import State


def forward(state: State, X: ArrayLike) -> Array:
    """See `Network.forward`."""
    guard, token = state.guard, object()
    try:
        guard.begin_writing(token)
        rows = state.checked(X)
        n_rows = len(rows)
        state.forward_pass = None  # before the next is made: both may be large
        found = engine, plan, scratch = engine_cache.engine(state, "manual", n_rows)
        engine.forward(rows)
        state.forward_pass = found, n_rows
        out = _block(plan, scratch, plan.output, n_rows, plan.n_outputs)
        return out[:, : plan.n_outputs].copy()
    finally:
        guard.writers.discard(token)


def backward(state: State, dL_dout: ArrayLike) -> Array:
    """See `Network.backward`."""
    guard, token = state.guard, object()
    try:
        guard.begin_writing(token)
        if state.forward_pass is None:
            raise RuntimeError("backward needs a forward before it")
        (engine, plan, scratch), n_rows = state.forward_pass
        given = _check_output_gradient(state, dL_dout, n_rows)
        d = _block(plan, scratch, plan.output_gradient, n_rows, plan.n_outputs)
        d[:, : plan.n_outputs] = given
        d[:, plan.n_outputs :] = 0
        engine.backward()
        block = _block(plan, scratch, plan.input_gradient, n_rows, plan.n_features)
        dX = block[:, : plan.n_features].copy()
        state.gradient = _gradient(state, plan, scratch).copy()
        return dX
    finally:
        guard.writers.discard(token)


def step(state: State) -> None:
    """See `Network.step`."""
    guard, token = state.guard, object()
    try:
        guard.begin_writing(token)
        if state.gradient is None:
            raise RuntimeError("step needs a backward before it")
        if state.forward_pass is None:  # the gradient is that of a trace
            engine, plan, scratch = engine_cache.engine(state, "manual", 1)
        else:
            engine, plan, scratch = state.forward_pass[0]
        if state.rates_ahead is not None:
            set_rate(state)
        _gradient(state, plan, scratch)[:] = state.gradient
        engine.step()
        state.steps += 1
    finally:
        guard.writers.discard(token)


def _check_output_gradient(state: State, dL_dout: ArrayLike, n_rows: int) -> Array:
    given = as_numeric(dL_dout, name="dL_dout", dtype=state.dtype)
    if given.ndim == 2 and given.shape[1] != state.n_outputs:
        columns, outputs = counted(given.shape[1], "column"), counted(state.n_outputs, "output")
        raise ValueError(f"dL_dout has {columns}, network has {outputs}")
    given = check_X(
        given, n_features=state.n_outputs, dtype=state.dtype, name="dL_dout", isfinite=state.scan
    )
    if len(given) != n_rows:
        rows = counted(len(given), "row")
        raise ValueError(f"dL_dout has {rows}, the last forward had {n_rows}")
    return given


def _gradient(state: State, plan: Plan, scratch: Array) -> Array:
    return scratch[plan.arena.gradient :][: state.layout.size]


def _block(plan: Plan, scratch: Array, offset: int, rows: int, width: int) -> Array:
    """The rows of one buffer of a whole-batch plan, padding included."""
    ld = row_length(width, plan.dtype)
    start = plan.arena.activations + offset
    return scratch[start : start + rows * ld].reshape(rows, ld)

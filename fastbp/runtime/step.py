"""A training step in its parts, for losses and loops of the user's own."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from fastbp.check.array import Array, as_numeric
from fastbp.check.input import check_X
from fastbp.check.message import counted, shown
from fastbp.check.scalar import check_bool
from fastbp.runtime import engine_cache
from fastbp.runtime.rate import set_rate
from fastbp.runtime.state import State


def forward(state: State, X: ArrayLike, training: bool = True) -> Any:
    """See `Network.forward`."""
    guard, token = state.guard, object()
    try:
        guard.begin_writing(token)
        rows = state.quick_input(X, state.n_features, True)
        if rows is None:
            rows = state.checked(X)
        if training is not True:
            training = check_bool(training, name="training")
        state.forward_pass = None  # before the next is made: both may be large
        parts = engine_cache.manual_parts(state, len(rows), trains=training is True)
        if state.draws:
            parts.engine.draw_from(state.seed, state.steps, state.rows_back, training)
        parts.engine.forward(rows)
        state.forward_pass = parts
        if state.heads is not None:
            outs = (out.copy() for out, _, _ in parts.heads)
            return dict(zip(state.heads.names, outs, strict=True))
        return parts.out.copy()
    finally:
        guard.writers.discard(token)


def backward(state: State, dL_dout: Any, *, accumulate: bool = False) -> Array:
    """See `Network.backward`."""
    guard, token = state.guard, object()
    try:
        guard.begin_writing(token)
        parts = state.forward_pass
        if parts is None:
            raise RuntimeError("backward needs a forward before it")
        given: Any
        if state.heads is not None:
            given = _head_gradients(state, dL_dout, parts.n_rows)
        else:
            given = state.module.accept(dL_dout, state.n_outputs, True)
            if given is None or len(given) != parts.n_rows:
                given = _check_output_gradient(state, dL_dout, parts.n_rows, state.n_outputs)
        before = None
        if accumulate is not False and check_bool(accumulate, name="accumulate"):
            before = state.gradient
        if before is not None:
            before = before.copy()
            state.gradient = None  # should an exception come before the sum
        if state.heads is not None:
            for (_, to, padding), own in zip(parts.heads, given, strict=True):
                to[...] = own
                padding.fill(0)
        else:
            parts.output_gradient[...] = given
            parts.padding.fill(0)
        parts.engine.backward()
        if state.draws:
            state.rows_back += parts.n_rows
        if before is not None:
            parts.gradient += before
        state.gradient = parts.gradient if parts.lends else parts.gradient.copy()
        return parts.input_gradient.copy()
    finally:
        guard.writers.discard(token)


def step(state: State) -> None:
    """See `Network.step`."""
    guard, token = state.guard, object()
    try:
        guard.begin_writing(token)
        gradient = state.gradient
        if state.optimizer.is_full_batch:
            raise TypeError(engine_cache.by_fit_alone(state.optimizer))
        if gradient is None:
            raise RuntimeError("step needs a backward before it")
        # without a forward pass the gradient is that of a trace
        parts = state.forward_pass or engine_cache.manual_parts(state, 1)
        if gradient is not parts.gradient:
            parts.gradient[:] = gradient
        if state.rates_ahead is not None:
            set_rate(state)
        # clipping works on the very numbers, which are the user's to keep
        kept = parts.gradient.copy() if state.optimizer.clips and parts.lends else None
        take_step = parts.engine.step
        state.rows_back = 0
        state.steps += 1  # a signal handler may raise as soon as the call returns
        take_step()
        if kept is not None:
            parts.gradient[:] = kept
    finally:
        guard.writers.discard(token)


def _head_gradients(state: State, dL_dout: Any, n_rows: int) -> tuple[Array, ...]:
    """Those of all heads, as the kernels can read them."""
    assert state.heads is not None
    held = state.heads.check_names(dL_dout, what="dL_dout")
    return tuple(
        _check_output_gradient(
            state, held[head.name], n_rows, head.n_outputs, f"dL_dout[{head.name!r}]",
            f"head {head.name!r}",
        )
        for head in state.heads.heads
    )  # fmt: skip


def _check_output_gradient(
    state: State,
    dL_dout: ArrayLike,
    n_rows: int,
    n_outputs: int,
    name: str = "dL_dout",
    owner: str = "network",
) -> Array:
    given = as_numeric(dL_dout, name=name, dtype=state.dtype)
    expected = n_rows, n_outputs
    if given.ndim == 1 and expected == (len(given), 1):
        given = given[:, None]
    if given.ndim < 2:
        got = f"shape {given.shape}" if given.ndim else shown(dL_dout)
        raise ValueError(f"{name} must have the shape of the output, {expected}, got {got}")
    if given.ndim == 2 and given.shape[1] != n_outputs:
        columns, outputs = counted(given.shape[1], "column"), counted(n_outputs, "output")
        raise ValueError(f"{name} has {columns}, {owner} has {outputs}")
    given = check_X(given, n_features=n_outputs, dtype=state.dtype, name=name, isfinite=state.scan)
    if len(given) != n_rows:
        rows = counted(len(given), "row")
        raise ValueError(f"{name} has {rows}, the last forward had {n_rows}")
    return given

"""A training step in its parts, for losses and loops of the user's own."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from fastbp.check.array import as_numeric, counted
from fastbp.check.input import check_X
from fastbp.plan import Plan
from fastbp.plan.parameter import row_length
from fastbp.runtime.state import Runtime

Array = NDArray[Any]


class Manual:
    """What `forward`, `backward` and `step` of a network share: the last forward's activations."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._held: tuple[Any, Plan, Array] | None = None
        self._rows = 0

    def forward(self, X: Array) -> Array:
        """The outputs for checked rows."""
        self._held = None  # before the next is made: both may be large
        self._held = engine, plan, scratch = self._runtime.engine("manual", len(X))
        engine.forward(X)
        self._rows = len(X)
        out = _block(scratch, plan, plan.output, len(X), plan.n_outputs)
        return out[:, : plan.n_outputs].copy()

    def backward(self, dL_dout: ArrayLike) -> tuple[Array, Array]:
        """(dL/dX, the flat gradient of the parameters), both the caller's own."""
        if self._held is None:
            raise RuntimeError("backward needs a forward before it")
        engine, plan, scratch = self._held
        given = as_numeric(dL_dout, name="dL_dout", dtype=plan.dtype)
        if given.ndim == 2 and given.shape[1] != plan.n_outputs:
            columns, outputs = counted(given.shape[1], "column"), counted(plan.n_outputs, "output")
            raise ValueError(f"dL_dout has {columns}, network has {outputs}")
        given = check_X(
            given,
            n_features=plan.n_outputs,
            dtype=plan.dtype,
            name="dL_dout",
            isfinite=self._runtime.scan,
        )
        if len(given) != self._rows:
            rows = counted(len(given), "row")
            raise ValueError(f"dL_dout has {rows}, the last forward had {self._rows}")
        d = _block(scratch, plan, plan.output_gradient, self._rows, plan.n_outputs)
        d[:, : plan.n_outputs] = given
        d[:, plan.n_outputs :] = 0
        engine.backward()
        dX = _block(scratch, plan, plan.input_gradient, self._rows, plan.n_features)
        return dX[:, : plan.n_features].copy(), self._gradient(plan, scratch).copy()

    def step(self, gradient: Array) -> None:
        """One optimizer step from a flat gradient."""
        runtime = self._runtime
        engine, plan, scratch = self._held or runtime.engine("manual", 1)
        self._gradient(plan, scratch)[:] = gradient
        engine.step()
        runtime.steps += 1

    def _gradient(self, plan: Plan, scratch: Array) -> Array:
        return scratch[plan.arena.gradient :][: self._runtime.layout.size]


def _block(scratch: Array, plan: Plan, offset: int, rows: int, width: int) -> Array:
    """The rows of one buffer of a whole-batch plan, padding included."""
    ld = row_length(width, plan.dtype)
    start = plan.arena.activations + offset
    return scratch[start : start + rows * ld].reshape(rows, ld)

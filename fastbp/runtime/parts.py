"""An engine with its memory, and what a training step in parts reads and writes there."""

from __future__ import annotations

from typing import Any

from fastbp.check.array import Array
from fastbp.plan import Plan
from fastbp.plan.parameter import row_length

# An engine for batches of one size, its plan, and the scratch memory it works in.
Prepared = tuple[Any, Plan, Array]

# A gradient is used where the engine left it, unless that would keep more memory than this from
# being given back.
_KEPT_BYTES = 2**22


class Parts:
    """An engine for batches of one size, and views of its memory.

    Attributes:
        out: the output of the rows, (n_rows, n_outputs).
        output_gradient, padding: where its gradient goes, and what lies between those rows.
        heads: these three of each of several outputs, which have none of the above.
        input_gradient: (n_rows, n_features).
        gradient: of all parameters, flat.
        lends: whether `state.gradient` may be that very view.
    """

    __slots__ = (
        "engine", "gradient", "heads", "input_gradient", "lends", "n_rows", "out",
        "output_gradient", "padding",
    )  # fmt: skip

    def __init__(self, prepared: Prepared, n_rows: int, n_parameters: int) -> None:
        engine, plan, scratch = prepared
        self.engine: Any = engine
        self.n_rows = n_rows
        self.heads = tuple(
            _output(plan, scratch, n_rows, own.n, own.output, own.gradient) for own in plan.heads
        )
        if not plan.heads:
            self.out, self.output_gradient, self.padding = _output(
                plan, scratch, n_rows, plan.n_outputs, plan.output, plan.output_gradient
            )
        block = _block(plan, scratch, plan.input_gradient, n_rows, plan.n_features)
        self.input_gradient = block[:, : plan.n_features]
        self.gradient = scratch[plan.arena.gradient :][:n_parameters]
        self.lends = scratch.nbytes <= _KEPT_BYTES


def _output(
    plan: Plan, scratch: Array, rows: int, n: int, at: int, gradient_at: int
) -> tuple[Array, Array, Array]:
    """An output of n columns, where its gradient goes, and the padding of that."""
    gradient = _block(plan, scratch, gradient_at, rows, n)
    return _block(plan, scratch, at, rows, n)[:, :n], gradient[:, :n], gradient[:, n:]


def _block(plan: Plan, scratch: Array, offset: int, rows: int, width: int) -> Array:
    """The rows of one buffer of a whole-batch plan, padding included."""
    ld = row_length(width, plan.dtype)
    start = plan.arena.activations + offset
    return scratch[start : start + rows * ld].reshape(rows, ld)

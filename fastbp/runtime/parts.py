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
        outs: the output of the rows, (n_rows, n_outputs); of several heads one each.
        output_gradients, paddings: where their gradients go, and what lies between those rows.
        input_gradient: (n_rows, n_features).
        gradient: of all parameters, flat.
        lends: whether `state.gradient` may be that very view.
    """

    __slots__ = (
        "engine", "gradient", "input_gradient", "lends", "n_rows", "output_gradients", "outs",
        "paddings",
    )  # fmt: skip

    def __init__(self, prepared: Prepared, n_rows: int, n_parameters: int) -> None:
        engine, plan, scratch = prepared
        self.engine: Any = engine
        self.n_rows = n_rows
        places = [(plan.output, plan.output_gradient, plan.n_outputs)]
        if plan.heads:
            places = [(head.output, head.gradient, head.n) for head in plan.heads]
        outs = [_block(plan, scratch, at, n_rows, n)[:, :n] for at, _, n in places]
        gradients = [_block(plan, scratch, at, n_rows, n) for _, at, n in places]
        self.outs = tuple(outs)
        self.output_gradients = tuple(
            own[:, :n] for own, (_, _, n) in zip(gradients, places, strict=True)
        )
        self.paddings = tuple(own[:, n:] for own, (_, _, n) in zip(gradients, places, strict=True))
        block = _block(plan, scratch, plan.input_gradient, n_rows, plan.n_features)
        self.input_gradient = block[:, : plan.n_features]
        self.gradient = scratch[plan.arena.gradient :][:n_parameters]
        self.lends = scratch.nbytes <= _KEPT_BYTES


def _block(plan: Plan, scratch: Array, offset: int, rows: int, width: int) -> Array:
    """The rows of one buffer of a whole-batch plan, padding included."""
    ld = row_length(width, plan.dtype)
    start = plan.arena.activations + offset
    return scratch[start : start + rows * ld].reshape(rows, ld)

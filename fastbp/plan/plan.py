"""What an engine needs to know of one batch size, and what people ask about it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.loss import Loss
from fastbp.optimizer import Optimizer
from fastbp.plan.arena import Arena, Buffer
from fastbp.plan.graph import Purpose
from fastbp.plan.operation import Program
from fastbp.plan.segment import Segments
from fastbp.plan.threshold import PREDICT_THREAD_WORK
from fastbp.plan.tiling import Regime

if TYPE_CHECKING:
    from fastbp.loss.joint import JointLoss

# What an engine of such a plan can be asked. Any other call would find memory too small for it, or
# laid out for something else ("manual" is compiled without the loss).
_CALLS: dict[Purpose, tuple[str, ...]] = {
    "train": ("train", "train_batch"),
    "predict": ("predict", "bind", "respond", "evaluate"),
    "manual": ("forward", "backward", "step"),
    "trace": ("forward", "loss_gradient", "backward", "step"),
    "inference": ("forward", "backward", "step"),
    "derivative": ("forward", "loss_gradient", "backward"),
}

_WORK_PER_SECOND = 5e10  # a low estimate, for how often to look for Ctrl-C


class HeadPlan(NamedTuple):
    """One of several outputs.

    Attributes:
        loss, weight: its loss, and the weight of that in the sum.
        column: its first where the outputs of all heads lie side by side; `n` of them.
        output, gradient: where its rows lie among the activations, `ld` apart.
    """

    loss: Loss
    weight: float
    column: int
    n: int
    output: int
    gradient: int
    ld: int


@dataclass(frozen=True, kw_only=True)
class Plan(Regime):
    """The plan of one batch size, as the engines read it; offsets and row lengths are in numbers.

    Attributes:
        max_rows: the most rows of a batch.
        flops: floating-point operations of the products of a step by layer, for each row.
        tile_rows, block_rows, chunk_rows: rows that are taken together: of a tile, of a block whose
            gradient is one sum, and of a kernel whose gradient is summed at a time.
        turned_rows: the same of a kernel that passes its gradient on.
        staging: where rows stand on their way into the lanes, or -1.
        panel_depth, packed_block, packed_from: see `fastbp.plan.tiling.Packing`.
        keeps_batch: whether the activations of all rows stay in memory, not those of one tile for
            each thread.
        fetches: whether parameters and optimizer state come from memory, and are asked for ahead.
        gathers: whether rows of x are copied to `input`.
        heads: of a network with several outputs, which has no `output` and no `output_gradient` of
            its own; `ld_output` is then the longest row of one of them.
        buffers: every intermediate value of a trace by name, as "dense_1/z".
        forward, backward, weight_gradient: the operations in their order; the last sums the
            gradients of tensors where threads share kernels, elsewhere `backward` does it on its
            way.
        row_gradient: what would sum them where nothing does ("derivative"): of what those of single
            rows are made.
        moving: what follows the batch of a step that is sure to be taken, without being trained.
        segments: what the operations and the optimizer go by.
        categories: pairs of a column of the input and how many categories it has, where others are
            refused; or None.
    """

    # what was asked for
    dtype: np.dtype[Any]
    purpose: Purpose
    max_rows: int
    n_workers: int
    n_features: int
    n_outputs: int
    n_states: int
    loss: Loss | JointLoss
    optimizer: Optimizer
    loss_divisor: float
    work_per_row: float
    flops: dict[str, int]
    # memory
    tile_rows: int
    block_rows: int
    chunk_rows: int
    turned_rows: int
    staging: int
    panel_depth: int
    packed_block: int
    packed_from: int
    arena: Arena
    keeps_batch: bool
    gathers: bool
    fetches: bool
    input: int
    ld_input: int
    output: int
    ld_output: int
    output_gradient: int
    input_gradient: int
    heads: tuple[HeadPlan, ...] = ()
    buffers: dict[str, Buffer]
    # what runs
    forward: Program
    backward: Program
    weight_gradient: Program
    moving: Program
    row_gradient: Program
    segments: Segments
    categories: NDArray[np.int64] | None

    @property
    def head_table(self) -> NDArray[np.float64]:
        """The numbers of the heads, a row each: struct Head of src/engine/head.pxi."""
        return np.array([
            (own.n, own.loss.n_targets(own.n), own.column, own.output, own.gradient, own.ld,
             own.weight, own.loss.divisor(own.n))
            for own in self.heads
        ], np.float64)  # fmt: skip

    @property
    def seconds_per_row(self) -> float:
        return self.work_per_row / _WORK_PER_SECOND

    @property
    def prompt_rows(self) -> int:
        """From how many rows on a forward pass starts threads, though none were there just now."""
        return math.ceil(PREDICT_THREAD_WORK.value / self.work_per_row)

    @property
    def n_tiles(self) -> int:
        """Tiles of a full batch."""
        return -(-self.max_rows // self.tile_rows)

    @property
    def calls(self) -> tuple[str, ...]:
        """The calls of an engine for which this plan is made."""
        return _CALLS[self.purpose]

    def check(self, call: str, rows: int = 0) -> None:
        """Refuse a call of an engine, on so many rows at a time, for which the plan is not made.

        Raises:
            RuntimeError: it is made for another purpose.
            ValueError: it is made for fewer rows.
        """
        made = f"a plan made for {self.purpose!r}"
        if call not in self.calls:
            raise RuntimeError(f"no {call} with {made}: only {', '.join(self.calls)}")
        if rows > self.max_rows:
            raise ValueError(f"{call} of {rows} rows with {made} with up to {self.max_rows}")

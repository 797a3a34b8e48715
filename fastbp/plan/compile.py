"""The plan of one batch size: which kernels run in which order over which memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fastbp.loss import Loss
from fastbp.optimizer import Optimizer
from fastbp.plan.arena import Arena, place
from fastbp.plan.builder import Builder
from fastbp.plan.graph import DenseNode, Graph
from fastbp.plan.operation import Program, SegmentTable, program
from fastbp.plan.parameter import block
from fastbp.plan.segment import parameter_segments
from fastbp.plan.work import work_per_row

# "train": mini-batches.  "predict": forward alone, and the loss.  "manual": forward, backward and
# step as separate calls, with the gradient of the input.  "trace": the same with every intermediate
# number in memory of its own.
Purpose = Literal["train", "predict", "manual", "trace"]

# What an engine of such a plan can be asked. Any other call would find memory too small for it, or
# laid out for something else ("manual" is compiled without the loss).
_CALLS: dict[Purpose, tuple[str, ...]] = {
    "train": ("train", "train_batch"),
    "predict": ("predict", "bind", "respond", "evaluate"),
    "manual": ("forward", "backward", "step"),
    "trace": ("forward", "loss_gradient", "backward", "step"),
}

# Activations of one tile of rows stay within half of a second-level cache of 1 MB, with room for
# the weights.
_TILE_BYTES = 256 * 1024
_TILE_ROWS = (32, 256)
# Where threads share kernels, a tile is what they deal out, an even number of tiles of up to so
# many rows; a thread takes its tiles together (TOGETHER_ROWS in src/engine/step.pxi).
_DEALT_ROWS = 64
_DEALT_FROM = 32
# One kernel's gradient goes to the optimizer in chunks that stay in the second-level cache; the
# gradient by the layer's output is read once a chunk (784-512-128-512-784, batch 256: 6.8 ms with
# chunks of 128 KB, 6.3 ms with 256 KB, 6.6 ms with 512 KB).
_CHUNK_BYTES = 256 * 1024
# Batches of one row read nothing again, and their chunks fit the first level (784-500-10, SGD:
# 70 us with chunks of 256 KB, 61 with 32 KB).
_CHUNK_BYTES_ONE_ROW = 32 * 1024
# Up to so many rows layers of one block take the latency path: 2-8-1 with tanh and Adam takes
# 0.075 us a step instead of 0.141 for one row, 0.165 instead of 0.230 for eight; 16 are a draw.
_NARROW_ROWS = 8
# A step of less work (plan/work.py) than this, about 3 us on one core, is not worth a second
# thread, so not worth a second row block.
_BLOCK_WORK = 500_000
# From this size on a kernel's gradient can be summed where it is used, unless there are more
# activations than this for each parameter. Measured with float32, milliseconds by parameters and by
# rows: 1024-1024-1024-1024, batch 2048 (4 for each) 175 and 248; 512-512-512-512, batch 1024 (4)
# 20.1 and 21.3, batch 2048 (8) 48.4 and 43.0; 64-256-256-10, batch 1024 (13) 2.33 and 2.36, batch
# 2048 (25) 5.0 and 4.7; 23-256-256-1, batch 256 (4) 0.51 and 0.54.
_FUSED_PARAMETERS = 8192
_ACTIVATIONS_FOR_EACH = 6
_WORK_PER_SECOND = 5e10  # a low estimate, for how often to look for Ctrl-C


@dataclass(frozen=True)
class Plan:
    """What an engine needs to know; sizes in numbers.

    With `keeps_batch` the activations of all rows stay in memory, otherwise those of one tile for
    each thread.  `by_parameters` is the regime of training in which threads share kernels, whose
    gradients go straight into the optimizer; it needs the activations of all rows.
    """

    dtype: np.dtype[Any]
    purpose: Purpose
    graph: Graph
    forward: Program
    backward: Program
    parameter: Program
    segments: SegmentTable
    arena: Arena
    builder: Builder
    n_features: int
    n_outputs: int
    n_states: int
    input: int
    ld_input: int
    output: int
    ld_output: int
    output_gradient: int
    input_gradient: int
    tile_rows: int
    block_rows: int
    chunk_rows: int
    capacity: int
    n_workers: int
    keeps_batch: bool
    by_parameters: bool
    gathers: bool
    narrow_rows: int
    loss: Loss
    optimizer: Optimizer
    loss_divisor: float
    work_per_row: float

    @property
    def seconds_per_row(self) -> float:
        return self.work_per_row / _WORK_PER_SECOND

    @property
    def n_tiles(self) -> int:
        """Tiles of a full batch."""
        return -(-self.capacity // self.tile_rows)

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
        if rows > self.capacity:
            raise ValueError(f"{call} of {rows} rows with {made} with up to {self.capacity}")


def compile_plan(
    graph: Graph,
    loss: Loss,
    optimizer: Optimizer,
    *,
    rows: int,
    purpose: Purpose = "train",
    n_workers: int = 1,
) -> Plan:
    """The plan for batches of up to `rows` rows (for "predict": of any number, a tile of up to
    `rows` at a time).

    Everything that decides bits follows from sizes; `n_workers` only sizes memory.
    """
    parameters = graph.parameters
    dtype = parameters.dtype
    manual = purpose in ("manual", "trace")
    training = purpose != "predict"
    builder = Builder(graph, gradients=training, separate=purpose == "trace", input_gradient=manual)
    by_parameters = (
        purpose == "train" and not optimizer.wants_whole_gradient and _sums_in_place(graph, rows)
    )
    keeps_batch = by_parameters or manual
    work = work_per_row(parameters)
    if by_parameters:
        tile_rows, block_rows = _dealt_tiles(rows)
    else:
        tile_rows, block_rows = _tiles(builder.numbers_per_row, dtype, rows, work, manual)
    kept_rows = -(-rows // tile_rows) * tile_rows if keeps_batch else tile_rows
    builder.place(kept_rows)
    segments = parameter_segments(
        graph,
        decay_bias=optimizer.decay_bias,
        merge=not by_parameters,
        input_gradient=manual,
        copies=training,
    )
    backward = builder.backward(segments, with_parameters=not by_parameters) if training else []
    parameter = builder.parameters(segments) if by_parameters else []
    n_states = len(optimizer.state_names)
    n_gradients = -(-rows // block_rows) if training and not by_parameters else 0
    chunk_rows, chunk = _chunk(graph, rows) if by_parameters else (0, 0)
    is_narrow = purpose == "train" and not by_parameters and _is_narrow(graph)
    narrow_rows = _NARROW_ROWS if is_narrow else 0
    gathers = (builder.gathers and training) or manual or narrow_rows > 0
    arena = place(
        dtype,
        gradient=parameters.size * n_gradients,
        copies=segments.copies_size,
        activations=builder.numbers_per_row * kept_rows,
        activation_parts=1 if keeps_batch else n_workers,
        chunk=chunk,
        good=parameters.size * (1 + n_states) if purpose == "train" else 0,
        n_workers=n_workers,
    )
    return Plan(
        dtype=dtype,
        purpose=purpose,
        graph=graph,
        forward=program(builder.forward()),
        backward=program(backward),
        parameter=program(parameter),
        segments=segments.table,
        arena=arena,
        builder=builder,
        n_features=graph.n_features,
        n_outputs=graph.n_outputs,
        n_states=n_states,
        input=builder.input.offset,
        # padding is zeroed row by row: where nobody reads it, there is none
        ld_input=builder.input.ld if gathers else min(builder.input.ld, graph.n_features),
        output=builder.a[graph.output].offset,
        ld_output=builder.a[graph.output].ld,
        output_gradient=builder.da[graph.output].offset,
        input_gradient=builder.da[0].offset if manual else -1,
        tile_rows=tile_rows,
        block_rows=block_rows,
        chunk_rows=chunk_rows,
        capacity=rows,
        n_workers=n_workers,
        keeps_batch=keeps_batch,
        by_parameters=by_parameters,
        gathers=gathers,
        narrow_rows=narrow_rows,
        loss=loss,
        optimizer=optimizer,
        loss_divisor=1.0 if loss.name in ("half_sse", "cross_entropy") else float(graph.n_outputs),
        work_per_row=work if training else work / 3,
    )


def _is_narrow(graph: Graph) -> bool:
    """Whether the network is a chain of dense layers that are each no wider than 64 bytes."""
    return max(graph.width) <= block(graph.parameters.dtype) and all(
        isinstance(node, DenseNode)
        and node.source == node.out - 1
        and node.activation.name != "softmax"
        for node in graph.nodes
    )


def _sums_in_place(graph: Graph, rows: int) -> bool:
    """Whether kernels are large enough beside the activations that threads had better share kernels
    than rows.
    """
    size, activations = regime_sizes(graph, rows)
    return size >= _FUSED_PARAMETERS and _ACTIVATIONS_FOR_EACH * size > activations


def regime_sizes(graph: Graph, rows: int) -> tuple[int, int]:
    """Parameters (padding included) and activations of a batch with their gradients, in numbers."""
    return graph.parameters.size, sum(graph.width[1:]) * 2 * rows


def _tiles(
    numbers_per_row: int, dtype: np.dtype[Any], rows: int, work_per_row: float, manual: bool
) -> tuple[int, int]:
    """Rows of a tile and of a block, multiples of 8 where there are as many.

    A block is a whole number of tiles.  `manual` has one block.
    """
    fitting = _TILE_BYTES // (numbers_per_row * dtype.itemsize) // 8 * 8
    most = min(max(fitting, _TILE_ROWS[0]), _TILE_ROWS[1])
    if manual:
        tile = _eighths(-(-rows // -(-rows // _TILE_ROWS[1])), rows)
        return tile, -(-rows // tile) * tile
    n_blocks = 1
    if rows * work_per_row >= _BLOCK_WORK:
        n_blocks = 4 if rows >= 256 else 2 if rows >= 32 else 1
    block = _eighths(-(-rows // n_blocks), rows)
    tiles_in_block = -(-block // most)
    tile = _eighths(-(-block // tiles_in_block), rows)
    return tile, tile * tiles_in_block


def _dealt_tiles(rows: int) -> tuple[int, int]:
    """The same where threads share kernels, whose gradients are sums over one block."""
    n_tiles = 2 * -(-rows // (2 * _DEALT_ROWS)) if rows >= _DEALT_FROM else 1
    tile = -(-rows // n_tiles)
    return tile, -(-rows // tile) * tile


def _eighths(n: int, rows: int) -> int:
    return min(-(-n // 8) * 8, max(1, rows))


def _chunk(graph: Graph, rows: int) -> tuple[int, int]:
    """Rows of a kernel whose gradient over `rows` rows is summed at a time, and the numbers that
    takes.
    """
    n_bytes = _CHUNK_BYTES if rows > 1 else _CHUNK_BYTES_ONE_ROW
    ld = max(tensor.ld for tensor in graph.parameters.tensors)
    fitting = n_bytes // (ld * graph.parameters.dtype.itemsize) // 8 * 8
    chunk_rows = min(max(8, fitting), 256)
    return chunk_rows, chunk_rows * ld

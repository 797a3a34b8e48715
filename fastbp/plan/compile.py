"""The plan of one batch size: which kernels run in which order over which memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastbp.loss import Loss
from fastbp.optimizer import Optimizer
from fastbp.plan import tiling
from fastbp.plan.arena import place
from fastbp.plan.builder import Builder
from fastbp.plan.graph import BY_PARTS, Graph, Purpose
from fastbp.plan.operation import program
from fastbp.plan.plan import HeadPlan, Plan
from fastbp.plan.segment import parameter_segments
from fastbp.plan.tiling import Regime

if TYPE_CHECKING:
    from fastbp.loss.joint import JointLoss


def compile_plan(
    graph: Graph,
    loss: Loss | JointLoss,
    optimizer: Optimizer,
    rows: int,
    purpose: Purpose,
    n_workers: int,
) -> Plan:
    """The plan for batches of up to `rows` rows (for "predict": of any number, a tile of up to
    `rows` at a time).

    Everything that decides bits follows from sizes; `n_workers` only sizes memory.
    """
    forward_alone, n_states = purpose == "predict", len(optimizer.vectors)
    regime = Regime(optimizer.wants_whole_gradient)
    if purpose == "train":
        regime = tiling.choose_regime(graph, rows, optimizer.wants_whole_gradient)
    merge = not regime.weight_parallel and optimizer.clipnorm is None
    segments = parameter_segments(
        graph, purpose, optimizer, merge=merge,
        transposes=not (regime.layered or regime.rows_in_lanes),
    )  # fmt: skip
    builder = Builder(graph, segments, purpose, stages=regime.rows_in_lanes)
    memory = _memory(builder, regime, purpose, rows, n_workers, n_states)
    by_rows = purpose == "derivative"
    sums = not (regime.weight_parallel or by_rows)
    backward = [] if forward_alone else builder.backward(with_tensors=sums)
    work = graph.parameters.work_per_row
    trained_work = work + graph.parameters.work_per_step / rows
    return Plan(
        **vars(regime), **memory, dtype=graph.parameters.dtype, purpose=purpose,
        loss=loss, optimizer=optimizer, max_rows=rows, n_workers=n_workers,
        n_features=graph.n_features, n_outputs=graph.n_outputs, n_states=n_states,
        loss_divisor=float(loss.divisor(graph.n_outputs)),
        work_per_row=work / 3 if forward_alone else trained_work, flops=graph.flops,
        categories=graph.refused,
        forward=program(builder.forward()), backward=program(backward),
        weight_gradient=program(builder.gradients() if regime.weight_parallel else []),
        row_gradient=program(builder.gradients() if by_rows else []),
        moving=program(builder.moves() if purpose in ("train", "manual") else []),
        segments=segments, heads=() if isinstance(loss, Loss) else _heads(builder, loss),
    )  # fmt: skip


def _heads(builder: Builder, loss: JointLoss) -> tuple[HeadPlan, ...]:
    """The outputs of a graph that has several."""
    found, column = [], 0
    for value, own, weight in zip(builder.graph.ends, loss.losses, loss.weights, strict=True):
        out = builder.a[value]
        to = builder.da[value].offset
        found.append(HeadPlan(own, weight, column, out.n, out.offset, to, out.ld))
        column += out.n
    return tuple(found)


def _memory(
    builder: Builder, regime: Regime, purpose: Purpose, rows: int, n_workers: int, n_states: int
) -> dict[str, Any]:
    """Which rows are taken together, and where everything lies; places the builder's buffers."""
    graph, by_parts = builder.graph, purpose in BY_PARTS
    size, chunk_rows, turned_rows, n_chunk = graph.parameters.size, 0, 0, 0
    if regime.weight_parallel:
        tile_rows, block_rows = tiling.dealt_tiles(rows)
        chunk_rows, turned_rows, n_chunk = tiling.chunk(graph, rows)
    elif by_parts:
        tile_rows, block_rows = tiling.tiles_of_one_block(rows)
    else:
        multiple = 16 if regime.rows_in_lanes else 8
        tile_rows, block_rows = tiling.tiles(
            graph, rows, builder.numbers_per_row, multiple=multiple
        )
    keeps_batch = regime.weight_parallel or regime.staged or by_parts
    kept_rows = -(-rows // tile_rows) * tile_rows if keeps_batch else tile_rows
    if regime.rows_in_lanes:
        kept_rows = tiling.lane_length(tile_rows, graph.parameters.dtype)
    n_activations = builder.place(kept_rows, -(-rows // tile_rows))
    staging = builder.staging.offset if regime.rows_in_lanes else -1
    packing = tiling.packing(graph, kept_rows)
    sums_blocks = purpose not in ("predict", "derivative") and not regime.weight_parallel
    arena = place(
        graph.parameters.dtype,
        gradient=size * -(-rows // block_rows) if sums_blocks else 0,
        transposes=builder.segments.transposes_size,
        activations=(n_activations, 1 if keeps_batch else n_workers),
        chunk=(n_chunk, n_workers),
        packing=(packing.size(graph.parameters.dtype), n_workers),
        last_good=size * (1 + n_states) if purpose == "train" else 0,
    )
    gathers = (
        by_parts
        or regime.staged
        or regime.rows_in_lanes
        or regime.latency_rows > 0
        or (purpose == "train" and builder.gathers)
    )
    source, outputs = builder.a[0], [builder.a[value] for value in graph.outputs]
    # padding is zeroed row by row: where nobody reads it, there is none
    ld_input = source.ld if gathers else min(source.ld, graph.n_features)
    return dict(
        **vars(packing),
        tile_rows=tile_rows, block_rows=block_rows, chunk_rows=chunk_rows, turned_rows=turned_rows,
        arena=arena, staging=staging, keeps_batch=keeps_batch, gathers=gathers,
        fetches=tiling.come_from_memory(graph, 1 + n_states),
        input=source.offset, ld_input=ld_input,
        output=-1 if graph.ends else outputs[0].offset,
        ld_output=max(output.ld for output in outputs),
        output_gradient=-1 if graph.ends else builder.da[graph.output].offset,
        input_gradient=builder.da[0].offset if by_parts else -1,
        buffers=builder.named_buffers() if purpose == "trace" else {},
    )  # fmt: skip

"""The plan of one batch size: which kernels run in which order over which memory."""

from __future__ import annotations

from fastbp.loss import Loss
from fastbp.optimizer import Optimizer
from fastbp.plan import tiling
from fastbp.plan.arena import place
from fastbp.plan.builder import Builder
from fastbp.plan.graph import Graph
from fastbp.plan.operation import program
from fastbp.plan.plan import Memory, Plan, Problem, Programs, Purpose, Tiling
from fastbp.plan.segment import parameter_segments
from fastbp.plan.tiling import Regime
from fastbp.plan.work import work_per_row


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
    problem = _problem(graph, loss, optimizer, rows, purpose, n_workers)
    regime = Regime(False, 0, optimizer.wants_whole_gradient, ())
    if purpose == "train":
        regime = tiling.choose_regime(
            graph, rows, problem.work_per_row, wants_whole_gradient=optimizer.wants_whole_gradient
        )
    segments = parameter_segments(
        graph,
        decay_bias=optimizer.decay_bias,
        merge=not regime.weight_parallel,
        input_gradient=_by_parts(purpose),
        transposes=purpose != "predict",
    )
    builder = Builder(
        graph,
        segments,
        gradients=purpose != "predict",
        separate=purpose == "trace",
        input_gradient=_by_parts(purpose),
    )
    rows_together, n_chunk = _tiling(builder, problem, regime)
    memory = _memory(builder, problem, regime, rows_together, n_chunk)
    programs = _programs(builder, regime, purpose)
    parts = (problem, regime, rows_together, memory, programs)
    return Plan(**{name: value for part in parts for name, value in vars(part).items()})


def _by_parts(purpose: Purpose) -> bool:
    """Whether forward, backward and step are calls of their own."""
    return purpose in ("manual", "trace")


def _problem(
    graph: Graph, loss: Loss, optimizer: Optimizer, rows: int, purpose: Purpose, n_workers: int
) -> Problem:
    work = work_per_row(graph.parameters)
    return Problem(
        dtype=graph.parameters.dtype,
        purpose=purpose,
        max_rows=rows,
        n_workers=n_workers,
        n_features=graph.n_features,
        n_outputs=graph.n_outputs,
        n_states=len(optimizer.state_names),
        loss=loss,
        optimizer=optimizer,
        loss_divisor=float(loss.divisor(graph.n_outputs)),
        work_per_row=work if purpose != "predict" else work / 3,
        flops=graph.flops,
    )


def _tiling(builder: Builder, problem: Problem, regime: Regime) -> tuple[Tiling, int]:
    """The rows that are taken together, and the numbers of a chunk of a kernel's gradient."""
    graph, rows = builder.graph, problem.max_rows
    if regime.weight_parallel:
        chunk_rows, n_chunk = tiling.chunk(graph, rows)
        return Tiling(*tiling.dealt_tiles(rows), chunk_rows), n_chunk
    if _by_parts(problem.purpose):
        return Tiling(*tiling.tiles_of_one_block(rows), 0), 0
    work = work_per_row(graph.parameters)
    return Tiling(*tiling.tiles(builder.numbers_per_row, problem.dtype, rows, work), 0), 0


def _memory(
    builder: Builder, problem: Problem, regime: Regime, rows_together: Tiling, n_chunk: int
) -> Memory:
    """Places the builder's buffers too."""
    graph, rows, by_parts = builder.graph, problem.max_rows, _by_parts(problem.purpose)
    training, tile_rows = problem.purpose != "predict", rows_together.tile_rows
    keeps_batch = regime.weight_parallel or by_parts
    kept_rows = -(-rows // tile_rows) * tile_rows if keeps_batch else tile_rows
    builder.place(kept_rows)
    sums_blocks = training and not regime.weight_parallel
    size = graph.parameters.size
    arena = place(
        problem.dtype,
        gradient=size * -(-rows // rows_together.block_rows) if sums_blocks else 0,
        transposes=builder.segments.transposes_size,
        activations=builder.numbers_per_row * kept_rows,
        activation_parts=1 if keeps_batch else problem.n_workers,
        chunk=n_chunk,
        last_good=size * (1 + problem.n_states) if problem.purpose == "train" else 0,
        n_workers=problem.n_workers,
    )
    gathers = by_parts or regime.latency_rows > 0 or (training and builder.gathers)
    output = builder.a[graph.output]
    return Memory(
        arena=arena,
        keeps_batch=keeps_batch,
        gathers=gathers,
        input=builder.input.offset,
        # padding is zeroed row by row: where nobody reads it, there is none
        ld_input=builder.input.ld if gathers else min(builder.input.ld, graph.n_features),
        output=output.offset,
        ld_output=output.ld,
        output_gradient=builder.da[graph.output].offset,
        input_gradient=builder.da[0].offset if by_parts else -1,
        buffers=builder.named_buffers() if problem.purpose == "trace" else {},
    )


def _programs(builder: Builder, regime: Regime, purpose: Purpose) -> Programs:
    """After the buffers are placed."""
    backward = []
    if purpose != "predict":
        backward = builder.backward(with_tensors=not regime.weight_parallel)
    return Programs(
        forward=program(builder.forward()),
        backward=program(backward),
        weight_gradient=program(builder.gradients() if regime.weight_parallel else []),
        segments=builder.segments.table,
    )

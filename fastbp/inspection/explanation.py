"""Why a network trains as it does at one batch size: read from the compiled plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from fastbp.check.message import counted
from fastbp.check.scalar import check_integer
from fastbp.plan import Plan, Tensor
from fastbp.plan import compile as compile_module
from fastbp.plan.work import layer_flops
from fastbp.runtime import engine_cache
from fastbp.runtime.state import State

# What set the thresholds, measured on one core of an AMD EPYC with AVX-512; more at the constants.
_LATENCY = "2-8-1, Adam: 0.165 us a step on the latency path for 8 rows, 0.230 without; 16: a draw"
_IN_PLACE = "ms so and by rows: 23-256-256-1, batch 256, 0.51, 0.54; 64-256-256-10, 2048, 5.0, 4.7"
_BLOCKS = "such a step takes about 3 us, dealing it out 0.7 us"
_THREADS = "4-32-16-1, batch 200, two threads for one: 0.9 in calls of 0.3 ms, 1.4 of 1, 1.5 of 5"

# What these sizes are counted in, by plan/work.py; not the FLOPs of a step.
_WORK = "6 x parameters x rows"


@dataclass(frozen=True)
class Comparison:
    """A size beside the threshold that it was compared with; `source` says what set that."""

    question: str
    value: float
    threshold: float
    source: str

    @property
    def reached(self) -> bool:
        return self.value >= self.threshold


@dataclass(frozen=True)
class LayerPlan:
    """One Dense layer: how its kernel (n_in, n_out) is stored, and its arithmetic in a step."""

    name: str
    shape: tuple[int, int]
    storage: str
    n_bytes: int
    has_transpose: bool
    flops: int


@dataclass(frozen=True, repr=False)
class PlanExplanation:
    """What training in batches of `batch_size` rows does, and why; its `repr` is a table.

    Attributes:
        regime: "by rows", threads share rows and each block of rows sums its gradient beside;
            "by parameters", they share kernels, whose gradients go straight into the optimizer; or
            "latency", one thread takes a few rows through layers no wider than 64 bytes.
        comparisons: the sizes that decided, each with its threshold.
        tile_rows, n_tiles: rows that a thread takes at least, and how many such shares a batch has.
        block_rows, n_blocks: rows whose gradient is one sum.
        layers: a `LayerPlan` each.
        arena: bytes of the memory made for this batch size, by part.
        memory: bytes of parameters and optimizer state, padding included.
        flops: floating-point operations of the products in one step.
        n_rows: rows of the epoch for which `n_threads` is what "auto" chooses.
    """

    batch_size: int
    dtype: str
    backend: str
    instruction_set: str
    regime: str
    comparisons: tuple[Comparison, ...]
    tile_rows: int
    n_tiles: int
    block_rows: int
    n_blocks: int
    layers: tuple[LayerPlan, ...]
    arena: dict[str, int]
    memory: dict[str, int]
    flops: int
    n_rows: int
    n_threads: int

    def __repr__(self) -> str:
        tile, block = counted(self.tile_rows, "row"), counted(self.block_rows, "row")
        lines = [
            f"batches of {counted(self.batch_size, 'row')}, {self.dtype}, "
            f"backend {self.backend} ({self.instruction_set})",
            f"regime {self.regime}: {self.n_tiles} x {tile} a tile, "
            f"{self.n_blocks} x {block} a block, {self.flops:,} FLOP a step",
            f"n_threads='auto' for an epoch of {counted(self.n_rows, 'row')}: {self.n_threads}",
            "",
        ]
        rows: list[tuple[str, ...]] = [("layer", "kernel", "stored", "bytes", "copy", "FLOP")]
        for own in self.layers:
            copy = "transpose" if own.has_transpose else "-"
            shape = f"{own.shape[0]} x {own.shape[1]}"
            rows.append((own.name, shape, own.storage, f"{own.n_bytes:,}", copy, f"{own.flops:,}"))
        lines += [*_aligned(rows), ""]
        parts = {**self.memory, **self.arena}
        lines += [*_aligned([("memory", "bytes"), *((k, f"{v:,}") for k, v in parts.items())]), ""]
        rows = [("compared", "value", "", "threshold", "set by")]
        for one in self.comparisons:
            sign = ">=" if one.reached else "<"
            rows.append(
                (one.question, f"{one.value:,.0f}", sign, f"{one.threshold:,.0f}", one.source)
            )
        return "\n".join(lines + _aligned(rows))


def explain(state: State, batch_size: object, n_rows: object) -> PlanExplanation:
    """See `Network.plan`."""
    rows = check_integer(batch_size, name="batch_size", minimum=1)
    total = rows if n_rows is None else check_integer(n_rows, name="n_rows", minimum=1)
    rows = min(rows, total)  # as `fit` does
    n_steps = -(-total // rows)
    plan, n_threads = engine_cache.training_plan(state, rows, n_steps)
    flops = layer_flops(plan.graph)
    return PlanExplanation(
        batch_size=rows,
        dtype=state.dtype.name,
        backend=state.backend,
        instruction_set=state.instruction_set,
        regime=_regime(plan, state.backend),
        comparisons=_comparisons(plan, n_steps),
        tile_rows=plan.tile_rows,
        n_tiles=plan.n_tiles,
        block_rows=plan.block_rows,
        n_blocks=-(-rows // plan.block_rows),
        layers=tuple(
            _layer(own.name, own.kernel, plan, rows * flops[own.name])
            for own in state.layout.layers
        ),
        arena=_parts(plan),
        memory={
            "parameters": state.parameters.nbytes,
            "optimizer state": state.optimizer_state.nbytes,
        },
        flops=rows * sum(flops.values()),
        n_rows=total,
        n_threads=n_threads,
    )


def _regime(plan: Plan, backend: str) -> str:
    if plan.capacity <= plan.narrow_rows and backend == "cython":
        return "latency"
    return "by parameters" if plan.by_parameters else "by rows"


def _comparisons(plan: Plan, n_steps: int) -> tuple[Comparison, ...]:
    """In the order in which they are made."""
    parameters, activations = compile_module.regime_sizes(plan.graph, plan.capacity)
    work = plan.capacity * plan.work_per_row
    each = compile_module._ACTIVATIONS_FOR_EACH
    found = [
        Comparison("parameters, padded", parameters, compile_module._FUSED_PARAMETERS, _IN_PLACE),
        Comparison(
            f"{each} times as many, for the activations of a batch",
            each * parameters,
            activations + 1,
            _IN_PLACE,
        ),
    ]
    if plan.narrow_rows:
        found.append(
            Comparison("rows, for the general path", plan.capacity, plan.narrow_rows + 1, _LATENCY)
        )
    if not plan.by_parameters:
        found.append(
            Comparison(
                f"{_WORK}, for more than one block", work, compile_module._BLOCK_WORK, _BLOCKS
            )
        )
    return (
        *found,
        Comparison(
            f"{_WORK}, for a thread more", work, engine_cache.THREAD_STEP_WORK, _THREADS
        ),
        Comparison(
            f"{_WORK} x steps, for a thread more", work * n_steps,
            engine_cache.THREAD_CALL_WORK, _THREADS,
        ),
    )  # fmt: skip


def _layer(name: str, kernel: Tensor, plan: Plan, flops: int) -> LayerPlan:
    has_transpose = any(
        segment.copy >= 0 and segment.offset == kernel.offset for segment in plan.segments.segments
    )
    return LayerPlan(
        name=name,
        shape=(kernel.shape[0], kernel.shape[1]),
        storage="by columns" if kernel.by_columns else "by rows",
        n_bytes=kernel.size * plan.dtype.itemsize,
        has_transpose=has_transpose,
        flops=flops,
    )


def _parts(plan: Plan) -> dict[str, int]:
    """Bytes of each part of the arena: from where it starts to where the next one does."""
    names = [field.name for field in fields(plan.arena) if not field.name.endswith("stride")]
    starts = [getattr(plan.arena, name) * plan.dtype.itemsize for name in names]
    ends = [*starts[1:], 0]  # the last name is that of the whole, and its start the size
    return {
        name: end - start if name != "size" else start
        for name, start, end in zip(names, starts, ends, strict=True)
    }


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]

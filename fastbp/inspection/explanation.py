"""Why a network trains as it does at one batch size: read from the compiled plan."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from textwrap import wrap

from fastbp.check.message import counted
from fastbp.check.scalar import check_integer
from fastbp.layer.outline import aligned
from fastbp.picture import html
from fastbp.plan import Plan, Tensor
from fastbp.plan.threshold import THREAD_CALL_WORK, THREAD_STEP_WORK, Comparison
from fastbp.runtime import engine_cache
from fastbp.runtime.state import State

_REGIMES = {
    "data-parallel": "threads share the rows of a batch; each block of rows sums a gradient of "
    "its own, and these are added in the order of the blocks, whatever the number of threads",
    "staged": "data-parallel, threads share the rows of a batch, but in several stages, for layers "
    "need statistics of all its rows; the activations of the whole batch stay in memory",
    "weight-parallel": "threads share the kernels (the weights of a layer), and a kernel's "
    "gradient goes straight into the optimizer; the activations of the whole batch stay in memory",
    "latency": "one thread takes a batch of a few rows through narrow layers, which fit into "
    "registers; a layer is updated as soon as its gradient is known",
}
_WHOLE_GRADIENT = "The optimizer asks for the whole gradient, which no other regime holds."

# What people read for the parts of the arena, in its order; the last is the whole.
_PARTS = {
    "gradient": "gradients of the blocks",
    "transposes": "transposed kernels",
    "activations": "activations and their gradients",
    "chunk": "chunks of kernels' gradients",
    "packing": "copied panels of factors",
    "last_good": "state of the last good epoch",
    "size": "all made for this batch size",
}


@dataclass(frozen=True)
class LayerPlan:
    """One layer: how its kernel (n_in, n_out) is stored, and its arithmetic in a step."""

    name: str
    shape: tuple[int, ...]
    storage: str
    n_bytes: int
    has_transpose: bool
    flops: int


@dataclass(frozen=True, repr=False)
class PlanExplanation:
    """What training in batches of `batch_size` rows does, and why; its `repr` says it in words.

    Attributes:
        regime: "data-parallel", threads share rows and each block of rows sums its gradient beside;
            "staged", the same in several stages, with a `BatchNorm`;
            "weight-parallel", they share kernels, whose gradients go straight into the optimizer;
            or "latency", one thread takes a few rows through layers no wider than 64 bytes.
        wants_whole_gradient: whether the optimizer rules out all but the first.
        rows_in_lanes: whether the rows of a tile lie in the lanes of vectors, not a layer's units.
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
    wants_whole_gradient: bool
    rows_in_lanes: bool
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
        head = (
            f"Training in batches of {counted(self.batch_size, 'row')}: {self.dtype}, "
            f"backend {self.backend} ({self.instruction_set})"
        )
        about = [line for name, words in self._about() for line in _item(name, words)]
        parts = ([head, "", *about], aligned(self._layers()), aligned(self._memory()))
        return "\n\n".join("\n".join(lines) for lines in (*parts, self._reasons()))

    def _repr_html_(self) -> str:
        about = [("runs on", f"{self.dtype}, backend {self.backend} ({self.instruction_set})")]
        reasons = "\n".join(self._reasons()[1:])
        return html.box(
            html.heading("Plan", f"of training in batches of {counted(self.batch_size, 'row')}"),
            html.definitions([*about, *self._about()]),
            html.table(self._layers()), html.table(self._memory()),
            html.folded("why", html.preformatted(reasons)),
        )  # fmt: skip

    def _about(self) -> list[tuple[str, str]]:
        tiles, tile = counted(self.n_tiles, "tile"), counted(self.tile_rows, "row")
        blocks, block = counted(self.n_blocks, "block"), counted(self.block_rows, "row")
        epoch = counted(self.n_rows, "row")
        rows = (
            f"{tiles} of {tile}, which one thread takes through all layers at a time; "
            f"{blocks} of {block}, whose gradient is one sum"
            + "; rows lie in the lanes of vectors"
            * self.rows_in_lanes
        )
        return [
            ("regime", f"{self.regime}: {_REGIMES[self.regime]}"),
            ("rows", rows),
            ("products", f"{self.flops:,} floating-point operations (FLOP) a step"),
            ("threads", f"{self.n_threads} with n_threads='auto' in an epoch of {epoch}"),
        ]

    def _layers(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [
            ("layer", "kernel", "stored", "bytes", "transposed copy", "FLOP")
        ]
        for own in self.layers:
            copy = "yes" if own.has_transpose else "no"
            shape = " x ".join(map(str, own.shape))
            rows.append((own.name, shape, own.storage, f"{own.n_bytes:,}", copy, f"{own.flops:,}"))
        return rows

    def _memory(self) -> list[tuple[str, str]]:
        parts = self.memory | {_PARTS[name]: n_bytes for name, n_bytes in self.arena.items()}
        rows = [(name, f"{n_bytes:,}") for name, n_bytes in parts.items() if n_bytes]
        return [("memory", "bytes"), *rows]

    def _reasons(self) -> list[str]:
        """What was compared and what followed; what set the threshold, once where it set two."""
        lines = ["why"]
        if self.wants_whole_gradient:
            lines.append(f"- {_WHOLE_GRADIENT}")
        for one, next_one in zip(self.comparisons, [*self.comparisons[1:], None], strict=True):
            lines += wrap(one.sentence, 98, initial_indent="- ", subsequent_indent="  ")
            if next_one is None or next_one.source != one.source:
                source = f"{one.source[0].upper()}{one.source[1:]}."
                lines += wrap(source, 98, initial_indent="    ", subsequent_indent="    ")
        return [*lines, "The times are those of an AMD EPYC with AVX-512 where no other is named."]


def explain(state: State, batch_size: object, n_rows: object) -> PlanExplanation:
    """See `Network.plan`."""
    rows = check_integer(batch_size, name="batch_size", minimum=1)
    total = rows if n_rows is None else check_integer(n_rows, name="n_rows", minimum=1)
    rows = min(rows, total)  # as `fit` does
    n_steps = -(-total // rows)
    plan, n_threads = engine_cache.training_plan(state, rows, n_steps)
    work = rows * plan.work_per_row
    threads = (THREAD_STEP_WORK.compare(work), THREAD_CALL_WORK.compare(work * n_steps))
    numbers, vectors = state.parameters, state.optimizer_state
    memory = {"parameters": numbers.nbytes, "optimizer state": vectors.nbytes}
    return PlanExplanation(
        batch_size=rows, dtype=state.dtype.name,
        backend=state.backend, instruction_set=state.instruction_set,
        regime=_regime(plan, state.backend), wants_whole_gradient=plan.wants_whole_gradient,
        rows_in_lanes=plan.rows_in_lanes and state.backend == "cython",
        comparisons=(*plan.comparisons, *threads), tile_rows=plan.tile_rows, n_tiles=plan.n_tiles,
        block_rows=plan.block_rows, n_blocks=-(-rows // plan.block_rows),
        layers=tuple(_layer(name, own[0], plan) for name, own in state.layout.layers.items()),
        arena=_parts(plan), memory=memory, flops=rows * sum(plan.flops.values()),
        n_rows=total, n_threads=n_threads,
    )  # fmt: skip


def _regime(plan: Plan, backend: str) -> str:
    if plan.max_rows <= plan.latency_rows and backend == "cython":
        return "latency"
    if plan.staged:
        return "staged"
    return "weight-parallel" if plan.weight_parallel else "data-parallel"


def _layer(name: str, kernel: Tensor, plan: Plan) -> LayerPlan:
    storage = "by columns" if kernel.by_columns else "by rows"
    n_bytes, flops = kernel.size * plan.dtype.itemsize, plan.max_rows * plan.flops.get(name, 0)
    has_transpose = kernel.name in plan.segments.transpose
    return LayerPlan(name, kernel.shape, storage, n_bytes, has_transpose, flops)


def _parts(plan: Plan) -> dict[str, int]:
    """Bytes of each part of the arena: from where it starts to where the next one does."""
    starts = [getattr(plan.arena, name) * plan.dtype.itemsize for name in _PARTS]
    sizes = [end - start for start, end in pairwise(starts)]
    return dict(zip(_PARTS, [*sizes, starts[-1]], strict=True))


def _item(name: str, text: str) -> list[str]:
    """A name, and beside it the lines of a text."""
    return wrap(text, 98, initial_indent=f"{name:<10}", subsequent_indent=" " * 10)

"""How the rows of a batch are cut up, and which regime they are trained in: from sizes alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastbp.plan.cache import machine
from fastbp.plan.graph import Graph
from fastbp.plan.parameter import block, padded
from fastbp.plan.threshold import (
    ACTIVATIONS_FOR_EACH,
    BLOCK_WORK,
    CHUNK_BYTES,
    CHUNK_BYTES_ONE_ROW,
    FETCHED_PART,
    LANE_ROWS,
    LANE_WASTE,
    LANE_WIDTH,
    LARGE_CHUNK_PART,
    LATENCY_ROWS,
    PACKING_CACHE,
    TILE_BYTES,
    TURNED_CHAINS,
    WEIGHT_PARALLEL_PARAMETERS,
    Comparison,
)

# Every tile reads and writes the gradients of all kernels: on an Intel server core
# 732-78-147-323-486 with batches of 3491 took 47.7, 46.4 and 42.3 ms with tiles of 32, 40 and 88
# rows, 23-256-256-1 with 3000 8.5, 8.8 and 8.5 with 56, 112 and 192.
_TILE_ROWS = (64, 256)
# Where threads share kernels, a tile is what they deal out, an even number of tiles of up to so
# many rows; a thread takes its tiles together (TOGETHER_ROWS in src/engine/step.pxi).
_DEALT_ROWS = 64
_DEALT_FROM = 32
_MOST_CHUNK_ROWS = 256
_PANEL_DEPTH = 256  # rows of the widest panel, of 192 bytes each, fill a first-level cache
_PANEL_BLOCKS = 3


@dataclass(frozen=True)
class Regime:
    """How threads share a step of training.

    Attributes:
        wants_whole_gradient: whether the optimizer rules out what follows.
        weight_parallel: they share kernels, whose gradients go straight into the optimizer, so that
            nothing ever holds a whole gradient; it needs the activations of all rows.
        rows_in_lanes: activations are turned, with the rows of a tile side by side, because layers
            are so narrow that their units would leave a vector half empty.
        layered: the layers are a chain, and each kernel passes its gradient on and is updated in
            one pass, without a transposed copy.
        latency_rows: up to so many rows one thread takes the latency path, whose gradients do too.
        staged: they share rows, in several stages of which each begins when all rows have gone
            through the one before: some nodes go by statistics of the batch, whose activations stay
            in memory.
        comparisons: the sizes that decided, in the order in which they were compared.
    """

    wants_whole_gradient: bool
    weight_parallel: bool = False
    rows_in_lanes: bool = False
    latency_rows: int = 0
    layered: bool = False
    staged: bool = False
    comparisons: tuple[Comparison, ...] = ()


def choose_regime(graph: Graph, rows: int, wants_whole_gradient: bool) -> Regime:
    """The regime of training in batches of up to `rows` rows."""
    if graph.n_batched:
        work = BLOCK_WORK.compare(rows * graph.parameters.work_per_row)
        return Regime(wants_whole_gradient, staged=True, comparisons=(work,))
    latency_rows, rows_in_lanes, found = 0, False, []
    if not wants_whole_gradient:
        size = graph.parameters.size
        activations = sum(graph.width[1:]) * 2 * rows
        large = WEIGHT_PARALLEL_PARAMETERS.compare(size)
        many = ACTIVATIONS_FOR_EACH.compare(activations, times=size)
        found = [large, many] if large.reached else [large]
        if large.reached and not many.reached:
            return Regime(
                False, weight_parallel=True, layered=_is_chain(graph), comparisons=tuple(found)
            )
    if not graph.ends and all(node.has_lanes for node in graph.nodes):
        wide, enough = LANE_WIDTH.compare(max(graph.width)), LANE_ROWS.compare(rows)
        wasteful = LANE_WASTE.compare(_padded_products(graph))
        found += [wide] if wide.reached else [wide, wasteful] + [enough] * wasteful.reached
        rows_in_lanes = wasteful.reached and enough.reached and not wide.reached
    if not (rows_in_lanes or wants_whole_gradient):
        narrow = max(graph.width) <= block(graph.parameters.dtype)
        if narrow and _is_chain(graph):
            latency_rows = LATENCY_ROWS.value - 1
            found.append(LATENCY_ROWS.compare(rows))
    found.append(BLOCK_WORK.compare(rows * graph.parameters.work_per_row))
    return Regime(
        wants_whole_gradient, rows_in_lanes=rows_in_lanes, latency_rows=latency_rows,
        comparisons=tuple(found),
    )  # fmt: skip


def _is_chain(graph: Graph) -> bool:
    return not graph.ends and all(node.has_latency_path for node in graph.nodes)


def _padded_products(graph: Graph) -> int:
    """The work of a step's products with the units of a layer side by side, in whole vectors, in
    hundredths of what it would be without padding.
    """
    dtype, with_padding, without = graph.parameters.dtype, 0, 0
    for node in graph.nodes:
        if node.tensors and len(node.tensors[0].shape) == 2:
            kernel = node.tensors[0]
            n_in, n_out = kernel.shape
            own = kernel.rows * padded(kernel.columns, dtype)
            passed_on = n_out * padded(n_in, dtype) if any(node.sources) else 0
            with_padding += 2 * own + passed_on
            without += n_in * n_out * (3 if passed_on else 2)
    return 100 * with_padding // without if without else 100


def lane_length(rows: int, dtype: np.dtype[Any]) -> int:
    """Numbers from one unit to the next with rows in the lanes, as src/kernel/lane.pxi has it."""
    n_blocks = -(-rows // block(dtype))
    return (n_blocks | 1 if n_blocks >= 8 else n_blocks) * block(dtype)


def tiles(graph: Graph, rows: int, numbers_per_row: int, *, multiple: int = 8) -> tuple[int, int]:
    """Rows of a tile and of a block, multiples of 8 (with rows in the lanes, 16) where there are as
    many.

    A block, of which the gradient is one sum, is a whole number of tiles.
    """
    row_bytes = numbers_per_row * graph.parameters.dtype.itemsize
    fitting = TILE_BYTES.value // row_bytes // multiple * multiple
    most = min(max(fitting, _TILE_ROWS[0]), _TILE_ROWS[1])
    n_blocks = 1
    if rows * graph.parameters.work_per_row >= BLOCK_WORK.value:
        n_blocks = 4 if rows >= 256 else 2 if rows >= 32 else 1
    block_rows = _whole(-(-rows // n_blocks), rows, multiple)
    tiles_in_block = -(-block_rows // most)
    tile = _whole(-(-block_rows // tiles_in_block), rows, multiple)
    return tile, tile * tiles_in_block


def tiles_of_one_block(rows: int) -> tuple[int, int]:
    """The same where forward, backward and step are calls of their own."""
    tile = _whole(-(-rows // -(-rows // _TILE_ROWS[1])), rows, 8)
    return tile, -(-rows // tile) * tile


def dealt_tiles(rows: int) -> tuple[int, int]:
    """The same where threads share kernels, whose gradients are sums over one block."""
    n_tiles = 2 * -(-rows // (2 * _DEALT_ROWS)) if rows >= _DEALT_FROM else 1
    tile = -(-rows // n_tiles)
    return tile, -(-rows // tile) * tile


def _whole(n: int, rows: int, multiple: int) -> int:
    return min(-(-n // multiple) * multiple, max(1, rows))


def chunk(graph: Graph, rows: int) -> tuple[int, int, int]:
    """Rows of a kernel whose gradient over `rows` rows is summed at a time, the same where the
    kernel passes its gradient on, and the numbers that takes.
    """
    most = CHUNK_BYTES if rows > 1 else CHUNK_BYTES_ONE_ROW
    n_bytes = min(most.value, machine.level_2 // 2)
    ld = max(tensor.ld for tensor in graph.parameters.tensors)
    factors = 2 * rows * ld * graph.parameters.dtype.itemsize
    if 100 * factors >= LARGE_CHUNK_PART.value * machine.level_3:
        n_bytes = machine.level_2
    vector = block(graph.parameters.dtype)  # of any build: what turns a chunk has no tail
    fitting = n_bytes // (ld * graph.parameters.dtype.itemsize) // vector * vector
    chunk_rows = min(max(vector, fitting), _MOST_CHUNK_ROWS)
    turned_rows = max(chunk_rows, TURNED_CHAINS.value * vector)
    return chunk_rows, turned_rows, turned_rows * ld


def come_from_memory(graph: Graph, n_vectors: int) -> bool:
    """Whether no cache keeps so many vectors as long as the parameters from step to step."""
    n_bytes = n_vectors * graph.parameters.size * graph.parameters.dtype.itemsize
    return 100 * n_bytes >= FETCHED_PART.value * machine.level_3


@dataclass(frozen=True)
class Packing:
    """What products may copy of their factors (src/kernel/packing.pxi); `Packing()` is nothing.

    Attributes:
        panel_depth: rows of a panel that are copied at a time.
        packed_block: numbers of the rows that are taken with it, copied where they are columns.
        packed_from: numbers of a right factor from which on its panels are copied.
    """

    panel_depth: int = 0
    packed_block: int = 0
    packed_from: int = 0

    def size(self, dtype: np.dtype[Any]) -> int:
        """The numbers of one thread's copies."""
        return self.panel_depth * _PANEL_BLOCKS * block(dtype) + self.packed_block


def packing(graph: Graph, rows: int) -> Packing:
    """What pays where `rows` rows are taken together."""
    if machine.level_2 < PACKING_CACHE.value:
        return Packing()
    dtype = graph.parameters.dtype
    numbers = machine.level_2 // 2 // dtype.itemsize
    widest = max(tensor.ld for tensor in graph.parameters.tensors)
    if max(rows * widest, *(tensor.size for tensor in graph.parameters.tensors)) < numbers:
        return Packing()
    smallest = _PANEL_DEPTH + block(dtype)  # one row
    return Packing(_PANEL_DEPTH, max(numbers, smallest), numbers)

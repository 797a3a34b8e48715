"""The flat parameter vector cut into runs that the optimizer treats alike, and the transposes of
kernels.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from fastbp.optimizer import Optimizer
from fastbp.plan.graph import BY_PARTS, Graph, Purpose
from fastbp.plan.operation import Segment, table
from fastbp.plan.parameter import block, row_length
from fastbp.plan.threshold import FEW_INPUTS


@dataclass(frozen=True)
class Segments:
    """Segments, and the same as a structured array.

    `index` and `transpose` are by tensor name: its row in the table, and where its transpose lies
    (offset, ld).  `dots` are the kernels of so few inputs that they need none.
    """

    segments: list[Segment]
    table: NDArray[Any]
    index: dict[str, int]
    transpose: dict[str, tuple[int, int]]
    transposes_size: int
    dots: frozenset[str]


def parameter_segments(
    graph: Graph, purpose: Purpose, optimizer: Optimizer, *, merge: bool, transposes: bool
) -> Segments:
    """One segment a tensor; with `merge`, alike neighbours without a transpose become one, and
    without `transposes` there are none.
    """
    dots = _kernels_of_few_inputs(graph) if transposes and purpose == "train" else frozenset()
    transpose, transposes_size = _place_transposes(graph, purpose, dots) if transposes else ({}, 0)
    segments: list[Segment] = []
    index: dict[str, int] = {}
    has_decay = optimizer.coupled_decay != 0 or optimizer.decoupled_decay != 0
    for tensor in graph.parameters.tensors:
        offset, ld = transpose.get(tensor.name, (-1, 0))
        is_meant = optimizer.decay_bias or tensor.decays
        decays = int(has_decay and is_meant and not tensor.is_running)
        l2 = tensor.l2 + (optimizer.coupled_decay if decays else 0.0)
        own = Segment(
            tensor.offset, tensor.rows, tensor.ld, tensor.columns, offset, ld, decays,
            tensor.l1, l2, tensor.rate,
        )  # fmt: skip
        if merge and segments and _alike(segments[-1], own):
            last = segments[-1]
            size = last.rows * last.ld + own.rows * own.ld
            segments[-1] = Segment(
                last.offset, 1, size, size, -1, 0, decays, own.l1, own.l2, own.rate
            )
        else:
            segments.append(own)
        index[tensor.name] = len(segments) - 1
    return Segments(segments, table(segments, Segment), index, transpose, transposes_size, dots)


def _alike(a: Segment, b: Segment) -> bool:
    alike = (a.l1, a.l2, a.decays, a.rate) == (b.l1, b.l2, b.decays, b.rate)
    return alike and a.transpose == b.transpose == -1


def _kernels_of_few_inputs(graph: Graph) -> frozenset[str]:
    """The kernels that pass on all of a gradient, by products with a few of their rows."""
    terms = Counter(source for node in graph.nodes for source in node.sources)
    terms.update(graph.outputs)  # the loss passes on the first
    return frozenset(
        tensor.name
        for node in graph.nodes
        for tensor in node.transposed
        if tensor.rows < FEW_INPUTS.value
        and tensor.columns > block(graph.parameters.dtype)
        and terms[node.sources[0]] == 1
    )


def _place_transposes(
    graph: Graph, purpose: Purpose, dots: frozenset[str]
) -> tuple[dict[str, tuple[int, int]], int]:
    """Where the transposes lie that are read where a gradient is passed on, and their size."""
    found: dict[str, tuple[int, int]] = {}
    size = 0
    for node in graph.nodes:
        if purpose in BY_PARTS or (purpose == "train" and any(node.sources)):
            for tensor in (one for one in node.transposed if one.name not in dots):
                ld = row_length(tensor.rows, graph.parameters.dtype)
                found[tensor.name] = (size, ld)
                size += tensor.columns * ld
    return found, size

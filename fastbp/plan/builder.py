"""The operations of a graph: forward in its order, backward in reverse."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from fastbp.plan.arena import Buffer
from fastbp.plan.graph import BY_PARTS, Graph, Purpose
from fastbp.plan.node import Node, take_derivative
from fastbp.plan.operation import LINEAR, Operation
from fastbp.plan.parameter import padded, row_length
from fastbp.plan.segment import Segments


class Builder:
    """Buffers of one plan, and what its nodes have to know of each other.

    For a trace every pre-activation, output, gradient by output and gradient by pre-activation
    keeps a buffer of its own; otherwise a derivative is taken in place, in the operation that
    completes the gradient where one does.

    Attributes:
        a: the buffers of outputs, by value.
        z: those of the pre-activations that have one of their own.
        slope: those of the slopes that a forward pass keeps for the way back, in the place of the
            pre-activations but for a trace.
        da, dz: those of the gradients by either; a value without one needs none.
        kept: what nodes keep for their own way back, by their value.
        columns: what they keep of the columns of a whole batch, likewise.
        segment, transpose, dots: by name of a tensor, as in `Segments`.
    """

    def __init__(
        self, graph: Graph, segments: Segments, purpose: Purpose, *, stages: bool = False
    ) -> None:
        self.graph, self.segments, self.separate = graph, segments, purpose == "trace"
        self.segment, self.transpose, self.dots = segments.index, segments.transpose, segments.dots
        self.a = {0: self._buffer(0)}
        self.z: dict[int, Buffer] = {}
        self.slope: dict[int, Buffer] = {}
        self.da: dict[int, Buffer] = {}
        self.dz: dict[int, Buffer] = {}
        self.kept: dict[int, Buffer] = {}
        self.columns: dict[int, Buffer] = {}
        if purpose in BY_PARTS:
            self.da[0] = self.dz[0] = self._buffer(0)
        ends = graph.outputs
        for node in graph.nodes:
            out, keeps = node.out, self.separate and node.activation != LINEAR
            self.a[out] = self._buffer(out)
            if n_kept := node.kept_width(graph.width[out]):
                self.kept[out] = Buffer(n_kept, row_length(n_kept, graph.parameters.dtype))
            if keeps or node.activation.keeps_slope:
                self.z[out] = self._buffer(out)
            if node.activation.keeps_slope and purpose != "predict":
                self.slope[out] = self._buffer(out) if keeps else self.z[out]
            # evaluating a loss writes its gradient too
            if purpose != "predict" or out in ends:
                self.da[out] = self.dz[out] = self._buffer(out)
                if keeps:
                    self.dz[out] = self._buffer(out)
        # outputs and their gradients, and what a gradient reads behind its rows (lane_dots in
        # src/kernel/lane.pxi)
        most = max(buffer.ld for buffer in self._buffers())
        self.staging = Buffer(0, 3 * most if stages else 0)
        self._maker = {node.out: node for node in graph.nodes}
        self._readers = Counter(source for node in graph.nodes for source in node.sources)
        self._begun: set[int] = set()  # values whose gradient has a first term
        self._derived: set[int] = set()  # values whose activation's derivative has been taken

    def _buffer(self, value: int) -> Buffer:
        n = self.graph.width[value]
        return Buffer(n, row_length(n, self.graph.parameters.dtype))

    def _buffers(self) -> list[Buffer]:
        kinds = (self.a, self.z, self.slope, self.da, self.dz, self.kept)
        return list({id(buffer): buffer for kind in kinds for buffer in kind.values()}.values())

    def _placed(self) -> list[Buffer]:
        return [*self._buffers(), self.staging]

    @property
    def numbers_per_row(self) -> int:
        return sum(buffer.ld for buffer in self._placed())

    @property
    def gathers(self) -> bool:
        """Whether rows of x are copied: where the gradient of a tensor reads their padding, or
        where as they lie they would share cache sets.
        """
        source = self.a[0]
        whole = padded(source.n, self.graph.parameters.dtype)
        reads = any(node.reads_padding and 0 in node.sources for node in self.graph.nodes)
        return source.ld > whole or (source.n < whole and reads)

    def place(self, rows: int, n_tiles: int) -> int:
        """Give every buffer room for `rows` rows, in so many tiles; the numbers of all of them."""
        offset = 0
        for buffer in self._placed():
            buffer.offset = offset
            offset += rows * buffer.ld
        for node in self.graph.nodes:
            if n := node.column_rows(n_tiles):
                self.columns[node.out] = replace(self.a[node.out], offset=offset)
                offset += n * self.a[node.out].ld
        return offset

    def named_buffers(self) -> dict[str, Buffer]:
        """The buffers of the nodes that a trace shows, as "dense_1/z", and of the output, or of
        several by their numbers, as "output/0".

        Where the loss fuses the output's activation there is no gradient by the activation.
        """
        found: dict[str, Buffer] = {}
        fused = {head.value for head in self.graph.heads if head.fused}
        if self.graph.fused:
            fused.add(self.graph.output)
        for node in self.graph.nodes:
            if node.name:
                out = node.out
                found[f"{node.name}/z"] = self.z.get(out, self.a[out])
                found[f"{node.name}/a"] = self.a[out]
                if out not in fused:
                    found[f"{node.name}/da"] = self.da[out]
                found[f"{node.name}/dz"] = self.dz[out]
        if self.graph.ends:
            return found | {f"output/{i}": self.a[v] for i, v in enumerate(self.graph.ends)}
        return found | {"output": self.a[self.graph.output]}

    # the operations

    def forward(self) -> list[Operation]:
        return [op for node in self.graph.nodes for op in node.forward(self)]

    def backward(self, *, with_tensors: bool) -> list[Operation]:
        """From the gradient of the output to that of every value (and tensor), in reverse
        topological order.
        """
        found: list[Operation] = []
        self._begun, self._derived = set(self.graph.outputs), set()
        for node in reversed(self.graph.nodes):
            if node.out not in self._derived:
                found += take_derivative(node, self)
            if with_tensors:
                found += node.gradients(self)
            found += node.backward(self)
        return found

    def gradients(self) -> list[Operation]:
        """The gradients of all tensors, for a regime that sums them after all rows went
        backward.
        """
        return [op for node in reversed(self.graph.nodes) for op in node.gradients(self)]

    def moves(self) -> list[Operation]:
        """What follows the batches of a step that is sure to be taken."""
        return [op for node in self.graph.nodes for op in node.moves(self)]

    # what nodes ask

    def at(self, value: int) -> tuple[int, int]:
        """Offset and row length of a value; the input is read through the engine's own pointer."""
        return (-1, 0) if value == 0 else (self.a[value].offset, self.a[value].ld)

    def asked_for(self, value: int) -> tuple[int, int]:
        """The first column of the gradient of a value that is computed, and how many there are,
        padding included: all, or whole blocks of those that a tensor's gradient goes by.
        """
        own, dtype = self.da[value], self.graph.parameters.dtype
        first = 0 if 0 in self.da else self._maker[value].n_untrained
        n = padded(own.n - first, dtype)
        first = min(first, padded(own.n, dtype) - n)
        return (first, n) if first else (0, own.ld)

    def has_begun(self, value: int) -> bool:
        """Whether the gradient of a value has a first term; from now on it has."""
        begun = value in self._begun
        self._begun.add(value)
        return begun

    def take_derivative(self, value: int) -> Node | None:
        """The node that made `value`, if its activation's derivative can be taken where its only
        reader passes the gradient back; from now on it is taken.
        """
        if self.separate or value == 0 or self._readers[value] > 1:
            return None
        maker = self._maker[value]
        if maker.activation == LINEAR:
            return None
        self._derived.add(value)
        return maker

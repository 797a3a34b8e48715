"""The operations of a graph: forward in its order, backward in reverse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastbp.activation import Activation
from fastbp.plan.graph import LINEAR, AddNode, ConcatNode, DenseNode, Graph, Node
from fastbp.plan.operation import Operation
from fastbp.plan.parameter import padded, row_length
from fastbp.plan.segment import Segments


@dataclass
class Buffer:
    """One activation or gradient for every row of a tile or batch; the offset is set by
    `Builder.place`.
    """

    n: int
    ld: int
    offset: int = -1


class Builder:
    """Buffers and operations of one plan.

    With `separate` (for a trace) every pre-activation, output, gradient by output and gradient by
    pre-activation keeps a buffer of its own; otherwise a derivative is taken in place, in the
    operation that completes the gradient where one does.
    """

    def __init__(
        self, graph: Graph, *, gradients: bool, separate: bool, input_gradient: bool
    ) -> None:
        self.graph = graph
        self.separate = separate
        self.input = self._buffer(0)
        self.a: dict[int, Buffer] = {}
        self.z: dict[int, Buffer] = {}
        self.da: dict[int, Buffer] = {}
        self.dz: dict[int, Buffer] = {}
        if input_gradient:
            self.da[0] = self.dz[0] = self._buffer(0)
        for node in graph.nodes:
            out, activation = node.out, _activation(node)
            self.a[out] = self._buffer(out)
            if activation.needs_z or (separate and activation != LINEAR):
                self.z[out] = self._buffer(out)
            if gradients or out == graph.output:  # evaluating a loss writes its gradient too
                self.da[out] = self.dz[out] = self._buffer(out)
                if separate and activation != LINEAR:
                    self.dz[out] = self._buffer(out)
        # Rows of x are copied where the kernel's gradient reads their padding, or where as they lie
        # they would share cache sets.
        whole = padded(self.input.n, graph.parameters.dtype)
        self.gathers = self.input.ld > whole or any(
            isinstance(node, DenseNode) and node.source == 0 and node.parameters.kernel.by_columns
            for node in graph.nodes
            if self.input.n < whole
        )

    def _buffer(self, value: int) -> Buffer:
        n = self.graph.width[value]
        return Buffer(n, row_length(n, self.graph.parameters.dtype))

    def _buffers(self) -> list[Buffer]:
        every = [
            self.input,
            *self.a.values(),
            *self.z.values(),
            *self.da.values(),
            *self.dz.values(),
        ]
        return list({id(buffer): buffer for buffer in every}.values())

    @property
    def numbers_per_row(self) -> int:
        return sum(buffer.ld for buffer in self._buffers())

    def place(self, rows: int) -> None:
        """Give every buffer room for `rows` rows."""
        offset = 0
        for buffer in self._buffers():
            buffer.offset = offset
            offset += rows * buffer.ld

    def _at(self, value: int) -> tuple[int, int]:
        """Offset and row length of a value; the input is read through the engine's own pointer."""
        return (-1, 0) if value == 0 else (self.a[value].offset, self.a[value].ld)

    # forward

    def forward(self) -> list[Operation]:
        found: list[Operation] = []
        for node in self.graph.nodes:
            if isinstance(node, DenseNode):
                found.append(self._dense(node))
            elif isinstance(node, AddNode):
                found.append(self._add(node))
            else:
                found += self._concat(node)
        return found

    def _dense(self, node: DenseNode) -> Operation:
        out, kernel, bias = self.a[node.out], node.parameters.kernel, node.parameters.bias
        a, lda = self._at(node.source)
        return Operation(
            "dense",
            a=a, lda=lda, n_a=node.parameters.n_in,
            c=out.offset, ldc=out.ld, n_c=out.n,
            w=kernel.offset, ldw=kernel.ld, by_columns=int(kernel.by_columns),
            b=bias.offset if bias else -1,
            activation=node.activation,
            z=self.z[node.out].offset if node.out in self.z else -1,
        )  # fmt: skip

    def _add(self, node: AddNode) -> Operation:
        out = self.a[node.out]
        (a, lda), (y, ldy) = self._at(node.first), self._at(node.second)
        return Operation(
            "add",
            a=a, lda=lda, n_a=out.n, y=y, ldy=ldy, c=out.offset, ldc=out.ld, n_c=out.n,
            activation=node.activation,
            z=self.z[node.out].offset if node.out in self.z else -1,
        )  # fmt: skip

    def _concat(self, node: ConcatNode) -> list[Operation]:
        out, column, found = self.a[node.out], 0, []
        for part in node.parts:
            a, lda = self._at(part)
            n = self.graph.width[part]
            found.append(
                Operation(
                    "copy",
                    a=a,
                    lda=lda,
                    n_a=n,
                    c=out.offset,
                    ldc=out.ld,
                    n_c=out.n,
                    column_c=column,
                )
            )
            column += n
        return found

    # backward

    def backward(self, segments: Segments, *, with_parameters: bool) -> list[Operation]:
        """From the gradient of the output to that of every value (and parameter), in reverse
        topological order.
        """
        found: list[Operation] = []
        begun = {self.graph.output}  # values whose gradient has a first term
        done: set[int] = set()  # values whose activation's derivative was taken along the way
        for node in reversed(self.graph.nodes):
            if node.out not in done:
                found += self._derivative(node)
            if isinstance(node, DenseNode):
                if with_parameters:
                    found.append(self._parameters(node, segments))
                if node.source in self.da:
                    fused = self._fused(node.source)
                    found.append(self._input(node, segments, node.source in begun, fused))
                    begun.add(node.source)
                    if fused is not None:
                        done.add(node.source)
            else:
                found += self._pass_on(node, begun)
        return found

    def parameters(self, segments: Segments) -> list[Operation]:
        """The gradients of all parameters, for a regime that sums them after all rows went
        backward.
        """
        return [
            self._parameters(node, segments)
            for node in reversed(self.graph.nodes)
            if isinstance(node, DenseNode)
        ]

    def _fused(self, value: int) -> Node | None:
        """The node that made `value`, if its derivative can be taken where the only consumer passes
        the gradient back.
        """
        if (
            self.separate
            or value == 0
            or sum(_sources(node).count(value) for node in self.graph.nodes) > 1
        ):
            return None
        maker = next(node for node in self.graph.nodes if node.out == value)
        return maker if _activation(maker) != LINEAR else None

    def _derivative_fields(self, node: Node) -> dict[str, Any]:
        activation = _activation(node)
        return {
            "activation": activation,
            "y": self.a[node.out].offset,
            "z": self.z[node.out].offset if node.out in self.z else -1,
        }

    def _derivative(self, node: Node) -> list[Operation]:
        if _activation(node) == LINEAR:
            return []
        da, dz = self.da[node.out], self.dz[node.out]
        return [
            Operation(
                "activation_backward",
                a=da.offset, c=dz.offset, ldc=dz.ld, n_c=dz.n,
                **self._derivative_fields(node),
            )
        ]  # fmt: skip

    def _parameters(self, node: DenseNode, segments: Segments) -> Operation:
        kernel, bias, dz = node.parameters.kernel, node.parameters.bias, self.dz[node.out]
        a, lda = self._at(node.source)
        return Operation(
            "dense_parameters",
            a=a, lda=lda, n_a=node.parameters.n_in,
            y=dz.offset, ldy=dz.ld, n_y=dz.n,
            c=kernel.offset, n_c=kernel.rows, ldw=kernel.ld, by_columns=int(kernel.by_columns),
            b=bias.offset if bias else -1,
            kernel=segments.index[kernel.name], bias=segments.index[bias.name] if bias else -1,
        )  # fmt: skip

    def _input(
        self, node: DenseNode, segments: Segments, accumulate: bool, fused: Node | None
    ) -> Operation:
        kernel, dz, dx = node.parameters.kernel, self.dz[node.out], self.da[node.source]
        w, ldw = (kernel.offset, kernel.ld) if kernel.by_columns else segments.copy[kernel.name]
        return Operation(
            "dense_input",
            a=dz.offset, lda=dz.ld, n_a=dz.n, c=dx.offset, ldc=dx.ld, n_c=dx.n,
            w=w, ldw=ldw, by_columns=int(kernel.by_columns), accumulate=int(accumulate),
            **(self._derivative_fields(fused) if fused else {}),
        )  # fmt: skip

    def _pass_on(self, node: AddNode | ConcatNode, begun: set[int]) -> list[Operation]:
        found, column, dz = [], 0, self.dz[node.out]
        for source in _sources(node):
            if source in self.da:
                dx = self.da[source]
                kind = "accumulate" if source in begun else "copy"
                found.append(
                    Operation(
                        kind,
                        a=dz.offset,
                        lda=dz.ld,
                        n_a=dx.n,
                        column_a=column,
                        c=dx.offset,
                        ldc=dx.ld,
                        n_c=dx.n,
                    )
                )
                begun.add(source)
            if isinstance(node, ConcatNode):
                column += self.graph.width[source]
        return found


def _activation(node: Node) -> Activation:
    return LINEAR if isinstance(node, ConcatNode) else node.activation


def _sources(node: Node) -> tuple[int, ...]:
    if isinstance(node, DenseNode):
        return (node.source,)
    return (node.first, node.second) if isinstance(node, AddNode) else node.parts

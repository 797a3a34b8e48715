"""The nodes of a graph: what computes one value from others, and everything a plan asks about it.

A layer lowers itself to these, or to a class of its own.  A node turns itself into operations;
where their numbers lie, and which gradients have begun, is the builder's to know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from fastbp.activation import Activation
from fastbp.plan.arena import Buffer
from fastbp.plan.operation import LINEAR, Operation
from fastbp.plan.parameter import Tensor


def dense_flops(n_in: int, n_out: int, *, reads_input: bool) -> int:
    """Floating-point operations that a dense layer's products take for each row of a step.

    A multiplication and an addition for each weight: forward, in the kernel's gradient, and in the
    gradient passed on, which a layer that reads the network's input does without.
    """
    return (4 if reads_input else 6) * n_in * n_out


class Builder(Protocol):
    """What a node may ask of the plan that is being built; `fastbp.plan.builder` answers."""

    segment: dict[str, int]
    transpose: dict[str, tuple[int, int]]
    dots: frozenset[str]
    a: dict[int, Buffer]
    z: dict[int, Buffer]
    slope: dict[int, Buffer]
    da: dict[int, Buffer]
    dz: dict[int, Buffer]
    kept: dict[int, Buffer]
    columns: dict[int, Buffer]

    def at(self, value: int) -> tuple[int, int]: ...

    def asked_for(self, value: int) -> tuple[int, int]: ...

    def has_begun(self, value: int) -> bool: ...

    def take_derivative(self, value: int) -> Node | None: ...


@dataclass(frozen=True)
class Node:
    """out = activation(f(sources)): the base of all nodes.

    Attributes:
        sources: the values that it reads.
        out: the value that it gives.
        activation: the builder takes its derivative before it asks for `backward`.
        tensors: what the node trains.
        name: of the layer as which a trace shows the node, "" where it shows none.
    """

    sources: tuple[int, ...]
    out: int
    activation: Activation = LINEAR
    tensors: tuple[Tensor, ...] = ()
    name: str = ""

    @property
    def transposed(self) -> tuple[Tensor, ...]:
        """The tensors whose transpose `backward` reads."""
        return ()

    @property
    def reads_padding(self) -> bool:
        """Whether `gradients` reads the rows of its sources in whole blocks."""
        return False

    @property
    def has_latency_path(self) -> bool:
        """Whether the compiled latency path, a chain of such nodes, knows it."""
        return False

    @property
    def has_lanes(self) -> bool:
        """Whether its operations are known with the rows in the lanes (src/engine/lane.pxi)."""
        return False

    @property
    def is_random(self) -> bool:
        """Whether it draws random numbers."""
        return False

    @property
    def is_batched(self) -> bool:
        """Whether it goes by the statistics of a batch, or by running ones in their place: a step
        of a plan with such nodes has stages.
        """
        return False

    def column_rows(self, n_tiles: int) -> int:
        """The rows of numbers, one for each column of its output, that it keeps of a batch of so
        many tiles.
        """
        return 0

    def kept_width(self, width: int) -> int:
        """The numbers that it keeps of each row for the way back, its output being so wide."""
        return 0

    @property
    def takes_activation(self) -> bool:
        """Whether its operation can end in an activation."""
        return False

    @property
    def n_untrained(self) -> int:
        """The first columns of its output, of which nothing trained depends on the gradient."""
        return 0

    def flops(self, *, reads_input: bool) -> int:
        """Floating-point operations of its products for each row of a step."""
        return 0

    def forward(self, builder: Builder) -> list[Operation]:
        """From the sources to `out`, the activation included."""
        raise NotImplementedError

    def gradients(self, builder: Builder) -> list[Operation]:
        """The sums over rows that are the gradients of its tensors."""
        return []

    def backward(self, builder: Builder) -> list[Operation]:
        """From the gradient by what the activation takes to those of the sources that need one."""
        raise NotImplementedError

    def moves(self, builder: Builder) -> list[Operation]:
        """What follows a batch without being trained: running statistics."""
        return []


class DenseNode(Node):
    """out = activation(source @ kernel + bias), the tensors being the kernel and maybe a bias."""

    @property
    def kernel(self) -> Tensor:
        return self.tensors[0]

    @property
    def bias(self) -> Tensor | None:
        return self.tensors[1] if len(self.tensors) > 1 else None

    @property
    def transposed(self) -> tuple[Tensor, ...]:
        """dX = dZ W^T: a kernel stored by columns is its own transpose."""
        return () if self.kernel.by_columns else (self.kernel,)

    @property
    def reads_padding(self) -> bool:
        """The gradient's rows are then as long as those of x."""
        return self.kernel.by_columns

    @property
    def has_latency_path(self) -> bool:
        return self.sources == (self.out - 1,) and not self.activation.is_of_rows

    @property
    def has_lanes(self) -> bool:
        return not self.activation.is_of_rows

    @property
    def takes_activation(self) -> bool:
        return True

    def flops(self, *, reads_input: bool) -> int:
        return dense_flops(*self.kernel.shape, reads_input=reads_input)

    def forward(self, builder: Builder) -> list[Operation]:
        kernel, bias, out = self.kernel, self.bias, builder.a[self.out]
        a, lda = builder.at(self.sources[0])
        return [Operation(
            "dense", a=a, lda=lda, n_a=kernel.shape[0], c=out.offset, ldc=out.ld, n_c=out.n,
            w=kernel.offset, ldw=kernel.ld, by_columns=int(kernel.by_columns),
            b=bias.offset if bias else -1, **activated(self, builder),
        )]  # fmt: skip

    def gradients(self, builder: Builder) -> list[Operation]:
        kernel, bias, dz = self.kernel, self.bias, builder.dz[self.out]
        a, lda = builder.at(self.sources[0])
        return [Operation(
            "dense_gradient", a=a, lda=lda, n_a=kernel.shape[0], y=dz.offset, ldy=dz.ld, n_y=dz.n,
            c=kernel.offset, n_c=kernel.rows, ldw=kernel.ld, by_columns=int(kernel.by_columns),
            b=bias.offset if bias else -1, kernel=builder.segment[kernel.name],
            bias=builder.segment[bias.name] if bias else -1,
        )]  # fmt: skip

    def backward(self, builder: Builder) -> list[Operation]:
        source, kernel, dz = self.sources[0], self.kernel, builder.dz[self.out]
        if source not in builder.da:
            return []
        dx = builder.da[source]
        kind = "dense_input"
        w, ldw = builder.transpose.get(kernel.name, (kernel.offset, kernel.ld))
        if kernel.name in builder.dots:
            kind = "dense_dots"
        elif not kernel.by_columns and kernel.name not in builder.transpose:
            kind = "dense_turned"  # the kernel itself is turned, in its update
        maker = builder.take_derivative(source)
        column, n = builder.asked_for(source)
        return [Operation(
            kind, a=dz.offset, lda=dz.ld, n_a=dz.n, c=dx.offset, ldc=dx.ld, n_c=dx.n,
            column_c=column, n_y=n, w=w, ldw=ldw, by_columns=int(kernel.by_columns),
            accumulate=int(builder.has_begun(source)),
            **(derived(maker, builder) if maker else {}),
        )]  # fmt: skip


class AddNode(Node):
    """out = activation(first + second)"""

    @property
    def has_lanes(self) -> bool:
        return not self.activation.is_of_rows

    @property
    def takes_activation(self) -> bool:
        return True

    def forward(self, builder: Builder) -> list[Operation]:
        out = builder.a[self.out]
        (a, lda), (y, ldy) = map(builder.at, self.sources)
        return [Operation(
            "add", a=a, lda=lda, n_a=out.n, y=y, ldy=ldy, c=out.offset, ldc=out.ld, n_c=out.n,
            **activated(self, builder),
        )]  # fmt: skip

    def backward(self, builder: Builder) -> list[Operation]:
        return [op for source in self.sources for op in pass_on(self, builder, source, 0)]


class ConcatNode(Node):
    """out = the columns of the sources, side by side; without an activation"""

    @property
    def has_lanes(self) -> bool:
        return True

    def _columns(self, builder: Builder) -> list[tuple[int, int]]:
        """Each source and its first column in `out`."""
        widths = [builder.a[source].n for source in self.sources]
        return [(source, sum(widths[:i])) for i, source in enumerate(self.sources)]

    def forward(self, builder: Builder) -> list[Operation]:
        out, found = builder.a[self.out], []
        for source, column in self._columns(builder):
            a, lda = builder.at(source)
            found.append(Operation(
                "copy", a=a, lda=lda, n_a=builder.a[source].n,
                c=out.offset, ldc=out.ld, n_c=out.n, column_c=column,
            ))  # fmt: skip
        return found

    def backward(self, builder: Builder) -> list[Operation]:
        return [
            op for source, column in self._columns(builder)
            for op in pass_on(self, builder, source, column)
        ]  # fmt: skip


def pass_on(node: Node, builder: Builder, source: int, column: int) -> list[Operation]:
    """Columns of the gradient of a node, from `column` on, added to that of a source."""
    if source not in builder.da:
        return []
    dz, dx = builder.dz[node.out], builder.da[source]
    return [Operation(
        "accumulate" if builder.has_begun(source) else "copy",
        a=dz.offset, lda=dz.ld, n_a=dx.n, column_a=column, c=dx.offset, ldc=dx.ld, n_c=dx.n,
    )]  # fmt: skip


def take_derivative(node: Node, builder: Builder) -> list[Operation]:
    """From the gradient by a node's output to that by what its activation takes."""
    if node.activation == LINEAR:
        return []
    da, dz = builder.da[node.out], builder.dz[node.out]
    return [Operation(
        "activation_backward", a=da.offset, c=dz.offset, ldc=dz.ld, n_c=dz.n,
        **derived(node, builder),
    )]  # fmt: skip


def activated(node: Node, builder: Builder) -> dict[str, Any]:
    """The fields of an operation that ends in a node's activation."""
    return {"activation": node.activation, **_offsets(node, z=builder.z, slope=builder.slope)}


def derived(node: Node, builder: Builder) -> dict[str, Any]:
    """The fields of an operation that ends in the derivative of a node's activation."""
    kept = _offsets(node, y=builder.a, slope=builder.slope)
    return {"activation": node.activation, **kept}


def _offsets(node: Node, **buffers: dict[int, Buffer]) -> dict[str, int]:
    """Where those buffers of a node's value lie that there are."""
    return {name: own[node.out].offset for name, own in buffers.items() if node.out in own}

"""Nodes that work element by element: an activation alone, scales, products, random numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.plan.arena import Buffer
from fastbp.plan.node import Builder, Node, activated, pass_on
from fastbp.plan.operation import Operation


class ActivationNode(Node):
    """out = activation(source), where no other node can take the activation along"""

    @property
    def has_lanes(self) -> bool:
        return not self.activation.is_of_rows

    def forward(self, builder: Builder) -> list[Operation]:
        return [Operation("activate", **from_source(self, builder), **activated(self, builder))]

    def backward(self, builder: Builder) -> list[Operation]:
        return pass_on(self, builder, self.sources[0], 0)


@dataclass(frozen=True, eq=False)
class ScaleNode(Node):
    """out = activation((source - centre) factor + offset), a number a column.

    Attributes:
        constants: (3, columns): centre, factor and offset, in the dtype of the network; None where
            the tensors are a trained factor and offset, and there is no centre.
    """

    constants: NDArray[Any] | None = None

    @property
    def takes_activation(self) -> bool:
        return True

    @property
    def has_lanes(self) -> bool:
        return not self.activation.is_of_rows

    def _factors(self, builder: Builder) -> dict[str, Any]:
        """The fields of an operation that say where the factors are."""
        if self.constants is None:
            factor, offset = self.tensors
            return {"w": factor.offset, "ldw": factor.ld, "b": offset.offset}
        rows = np.zeros((3, builder.a[self.out].ld), self.constants.dtype)
        rows[:, : self.constants.shape[1]] = self.constants
        return {"constant": rows}

    def forward(self, builder: Builder) -> list[Operation]:
        own = self._factors(builder) | activated(self, builder)
        return [Operation("scale", **from_source(self, builder), **own)]

    def gradients(self, builder: Builder) -> list[Operation]:
        if not self.tensors:
            return []
        (factor, offset), dz = self.tensors, builder.dz[self.out]
        a, lda = builder.at(self.sources[0])
        return [Operation(
            "scale_gradient", a=a, lda=lda, n_a=dz.n, y=dz.offset, ldy=dz.ld, n_y=dz.n,
            c=factor.offset, n_c=1, ldw=factor.ld, b=offset.offset,
            kernel=builder.segment[factor.name], bias=builder.segment[offset.name],
        )]  # fmt: skip

    def backward(self, builder: Builder) -> list[Operation]:
        own = self._factors(builder)
        return [Operation("scale_input", **to, **own) for to in back_to(self, builder)]


@dataclass(frozen=True)
class NormalizeNode(Node):
    """out = (source - mean) / sqrt(variance + epsilon) of each row; without an activation"""

    epsilon: float = 0.0

    @property
    def has_lanes(self) -> bool:
        return True

    def kept_width(self, width: int) -> int:
        return 1

    def _kept(self, builder: Builder) -> dict[str, Any]:
        return {"z": builder.kept[self.out].offset, "level": self.epsilon}

    def forward(self, builder: Builder) -> list[Operation]:
        return [Operation("normalize", **from_source(self, builder), **self._kept(builder))]

    def backward(self, builder: Builder) -> list[Operation]:
        y, own = builder.a[self.out], self._kept(builder)
        return [
            Operation("normalize_input", y=y.offset, ldy=y.ld, n_y=y.n, **own, **to)
            for to in back_to(self, builder)
        ]  # fmt: skip


class PReLUNode(Node):
    """out = source where it is > 0, else alpha source, a number a column; without an activation"""

    @property
    def has_lanes(self) -> bool:
        return True

    @property
    def _alpha(self) -> dict[str, Any]:
        return {"w": self.tensors[0].offset, "ldw": self.tensors[0].ld}

    def forward(self, builder: Builder) -> list[Operation]:
        return [Operation("prelu", **from_source(self, builder), **self._alpha)]

    def gradients(self, builder: Builder) -> list[Operation]:
        (alpha,), dz = self.tensors, builder.dz[self.out]
        a, lda = builder.at(self.sources[0])
        return [Operation(
            "prelu_gradient", a=a, lda=lda, n_a=dz.n, y=dz.offset, ldy=dz.ld, n_y=dz.n,
            c=alpha.offset, n_c=1, ldw=alpha.ld, kernel=builder.segment[alpha.name],
        )]  # fmt: skip

    def backward(self, builder: Builder) -> list[Operation]:
        y = builder.a[self.sources[0]]
        own = self._alpha | {"y": y.offset, "ldy": y.ld, "n_y": y.n}
        return [Operation("prelu_input", **to, **own) for to in back_to(self, builder)]


class ProductNode(Node):
    """out = first * second; without an activation"""

    @property
    def has_lanes(self) -> bool:
        return True

    def forward(self, builder: Builder) -> list[Operation]:
        y, ldy = builder.at(self.sources[1])
        return [Operation("multiply", y=y, ldy=ldy, **from_source(self, builder))]

    def backward(self, builder: Builder) -> list[Operation]:
        found = []
        for i, other in enumerate(reversed(self.sources)):
            y, ldy = builder.at(other)
            for to in back_to(self, builder, i):
                found.append(Operation("multiply", y=y, ldy=ldy, **to))
        return found


@dataclass(frozen=True)
class DropoutNode(Node):
    """out = source * factor, the factors 0 with a chance of `rate`, else 1 / (1 - rate)

    Attributes:
        stream: the number of the node among those of its network that draw.
    """

    rate: float = 0.0
    stream: int = 0

    @property
    def has_lanes(self) -> bool:
        return True

    @property
    def is_random(self) -> bool:
        return True

    def kept_width(self, width: int) -> int:
        return width

    def forward(self, builder: Builder) -> list[Operation]:
        kept = builder.kept[self.out]
        return [
            _drawn("dropout", kept, self.stream, self.rate),
            Operation("multiply", y=kept.offset, ldy=kept.ld, **from_source(self, builder)),
        ]

    def backward(self, builder: Builder) -> list[Operation]:
        kept = builder.kept[self.out]
        return [
            Operation("multiply", y=kept.offset, ldy=kept.ld, **to) for to in back_to(self, builder)
        ]


@dataclass(frozen=True)
class NoiseNode(Node):
    """out = source + deviation * normal numbers"""

    deviation: float = 0.0
    stream: int = 0

    @property
    def has_lanes(self) -> bool:
        return True

    @property
    def is_random(self) -> bool:
        return True

    def kept_width(self, width: int) -> int:
        return width

    def forward(self, builder: Builder) -> list[Operation]:
        kept = builder.kept[self.out]
        return [
            _drawn("noise", kept, self.stream, self.deviation),
            Operation("add", y=kept.offset, ldy=kept.ld, **from_source(self, builder)),
        ]

    def backward(self, builder: Builder) -> list[Operation]:
        return pass_on(self, builder, self.sources[0], 0)


def _drawn(kind: str, to: Buffer, stream: int, level: float) -> Operation:
    """Random numbers into a buffer."""
    return Operation(kind, c=to.offset, ldc=to.ld, n_c=to.n, stream=stream, level=level)


def from_source(node: Node, builder: Builder) -> dict[str, Any]:
    """The fields of an operation from a node's first source to its output, as wide."""
    out, (a, lda) = builder.a[node.out], builder.at(node.sources[0])
    return {"a": a, "lda": lda, "n_a": out.n, "c": out.offset, "ldc": out.ld, "n_c": out.n}


def back_to(node: Node, builder: Builder, i: int = 0) -> list[dict[str, Any]]:
    """Those of the operation from the gradient by a node's output to that by a source, if that
    needs one.
    """
    source = node.sources[i]
    if source not in builder.da:
        return []
    dz, dx = builder.dz[node.out], builder.da[source]
    return [{
        "a": dz.offset, "lda": dz.ld, "n_a": dz.n, "c": dx.offset, "ldc": dx.ld, "n_c": dx.n,
        "accumulate": int(builder.has_begun(source)),
    }]  # fmt: skip

"""The node that goes by the mean and variance of each column of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastbp.plan.node import Builder, Node, activated
from fastbp.plan.operation import Operation
from fastbp.plan.parameter import Tensor
from fastbp.plan.pointwise import back_to, from_source

# What is kept of a batch, and behind it of each tile, as src/engine/batch.pxi has it.
_ROWS, _ROWS_OF_A_TILE = 6, 3


@dataclass(frozen=True)
class BatchNormNode(Node):
    """out = activation(factor (source - mean) / sqrt(variance + epsilon) + offset) of each column.

    The last two tensors are the running mean and variance.

    Attributes:
        factor, offset: of the tensors, where they are trained; else 1 and 0.
        by_batch: mean and variance are those of the batch; else the running ones.
    """

    factor: Tensor | None = None
    offset: Tensor | None = None
    epsilon: float = 0.0
    momentum: float = 0.0
    by_batch: bool = True

    @property
    def takes_activation(self) -> bool:
        return True

    @property
    def is_batched(self) -> bool:
        return True

    def column_rows(self, n_tiles: int) -> int:
        return _ROWS + _ROWS_OF_A_TILE * n_tiles if self.by_batch else 0

    def _statistics(self, builder: Builder) -> dict[str, Any]:
        """The fields of an operation that say where mean and variance are."""
        own = builder.columns.get(self.out)
        moving = self.tensors[-2]
        return {
            "statistics": own.offset if own else -1, "moving": moving.offset, "ldw": moving.ld,
            "level": self.epsilon,
        }  # fmt: skip

    def _factors(self, builder: Builder) -> dict[str, Any]:
        w, b = (own.offset if own else -1 for own in (self.factor, self.offset))
        return self._statistics(builder) | {"w": w, "b": b}

    def forward(self, builder: Builder) -> list[Operation]:
        own = from_source(self, builder) | self._factors(builder) | activated(self, builder)
        found = [Operation("batch_scale", **own)]
        if self.by_batch:
            to = from_source(self, builder) | {"c": -1} | self._statistics(builder)
            found.insert(0, Operation("batch_statistics", **to))
        return found

    def gradients(self, builder: Builder) -> list[Operation]:
        """Of factor and offset, and the sums that `backward` needs."""
        dz, (a, lda) = builder.dz[self.out], builder.at(self.sources[0])
        c, b = (own.offset if own else -1 for own in (self.factor, self.offset))
        return [Operation(
            "batch_gradient", a=a, lda=lda, n_a=dz.n, y=dz.offset, ldy=dz.ld, n_y=dz.n, c=c, b=b,
            **self._statistics(builder),
        )]  # fmt: skip

    def backward(self, builder: Builder) -> list[Operation]:
        y, ldy = builder.at(self.sources[0])
        own = self._factors(builder) | {"y": y, "ldy": ldy}
        return [Operation("batch_input", **to, **own) for to in back_to(self, builder)]

    def moves(self, builder: Builder) -> list[Operation]:
        own = self._statistics(builder) | {"level": self.momentum}
        out = builder.a[self.out]
        return [Operation("move", ldc=out.ld, n_c=out.n, **own)] if self.by_batch else []

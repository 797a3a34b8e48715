"""Nodes that read the network's input: rows of a table by a column's numbers, and some columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastbp.plan.node import Builder, Node
from fastbp.plan.operation import Operation


@dataclass(frozen=True)
class EmbeddingNode(Node):
    """out = the row of the table, its only tensor, that column `column` of the input names.

    Attributes:
        column: of the network's input, value 0.
    """

    column: int = 0

    def _table(self, builder: Builder) -> dict[str, Any]:
        """Where the numbers of the rows are."""
        a, lda = builder.at(self.sources[0])
        return {"a": a, "lda": lda, "n_a": self.tensors[0].rows, "column_a": self.column}

    def forward(self, builder: Builder) -> list[Operation]:
        table, out = self.tensors[0], builder.a[self.out]
        return [Operation(
            "embed", **self._table(builder), c=out.offset, ldc=out.ld, n_c=out.n,
            w=table.offset, ldw=table.ld,
        )]  # fmt: skip

    def gradients(self, builder: Builder) -> list[Operation]:
        table, dz = self.tensors[0], builder.dz[self.out]
        return [Operation(
            "embed_gradient", **self._table(builder), y=dz.offset, ldy=dz.ld, n_y=dz.n,
            c=table.offset, n_c=table.rows, ldw=table.ld, kernel=builder.segment[table.name],
        )]  # fmt: skip

    def backward(self, builder: Builder) -> list[Operation]:
        return _zeros(builder)


@dataclass(frozen=True)
class SelectNode(Node):
    """out = some columns of the input, in their order.

    Attributes:
        runs: (begin, end) of those that lie side by side, ascending.
    """

    runs: tuple[tuple[int, int], ...] = ()

    def _columns(self) -> list[tuple[int, int, int]]:
        """First column in the input, first in `out`, and how many."""
        found, at = [], 0
        for begin, end in self.runs:
            found.append((begin, at, end - begin))
            at += end - begin
        return found

    def forward(self, builder: Builder) -> list[Operation]:
        out, (a, lda) = builder.a[self.out], builder.at(self.sources[0])
        return [
            Operation("copy", a=a, lda=lda, n_a=n, column_a=column, c=out.offset, ldc=out.ld,
                      n_c=out.n, column_c=at)
            for column, at, n in self._columns()
        ]  # fmt: skip

    def backward(self, builder: Builder) -> list[Operation]:
        if 0 not in builder.da:
            return []
        dz, dx = builder.dz[self.out], builder.da[0]
        return _zeros(builder) + [
            Operation("accumulate", a=dz.offset, lda=dz.ld, n_a=n, column_a=at, c=dx.offset,
                      ldc=dx.ld, n_c=dx.n, column_c=column)
            for column, at, n in self._columns()
        ]  # fmt: skip


def _zeros(builder: Builder) -> list[Operation]:
    """The gradient of the input before its first term, if it is asked for: a copy of no columns."""
    if 0 not in builder.da or builder.has_begun(0):
        return []
    dx = builder.da[0]
    return [Operation("copy", a=dx.offset, lda=dx.ld, c=dx.offset, ldc=dx.ld, n_c=dx.n)]

"""The node that reads an input with categorical columns: rows of tables, and the other columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastbp.plan.node import Builder, Node
from fastbp.plan.operation import Operation
from fastbp.plan.parameter import Tensor


@dataclass(frozen=True)
class EmbeddingNode(Node):
    """out = the numeric columns of the input, and behind them a row of each table, its tensors.

    Attributes:
        runs: (begin, end) of the numeric columns, those side by side together, ascending.
        columns: of the input, each names the rows of a table.
    """

    runs: tuple[tuple[int, int], ...] = ()
    columns: tuple[int, ...] = ()

    @property
    def n_untrained(self) -> int:
        return sum(end - begin for begin, end in self.runs)

    def _numeric(self) -> list[dict[str, int]]:
        """Of each run its columns in the input, and where they begin there and in `out`."""
        widths = [end - begin for begin, end in self.runs]
        return [
            {"n": width, "source": begin, "out": sum(widths[:i])}
            for i, ((begin, _), width) in enumerate(zip(self.runs, widths, strict=True))
        ]

    def _tables(self, builder: Builder) -> list[tuple[Tensor, dict[str, Any]]]:
        """Each table; its rows, the column of the input that names them, where `out` has them."""
        a, lda = builder.at(self.sources[0])
        at, found = self.n_untrained, []
        for column, table in zip(self.columns, self.tensors, strict=True):
            own = {"a": a, "lda": lda, "n_a": table.shape[0], "column_a": column, "column_c": at}
            found.append((table, own))
            at += table.shape[1]
        return found

    def forward(self, builder: Builder) -> list[Operation]:
        out, (a, lda) = builder.a[self.out], builder.at(self.sources[0])
        to: dict[str, Any] = {"c": out.offset, "ldc": out.ld, "n_c": out.n}
        copies = [
            Operation("copy", a=a, lda=lda, n_a=own["n"], column_a=own["source"],
                      column_c=own["out"], **to)
            for own in self._numeric()
        ]  # fmt: skip
        return copies + [
            Operation("embed", w=table.offset, ldw=table.shape[1], **own, **to)
            for table, own in self._tables(builder)
        ]

    def gradients(self, builder: Builder) -> list[Operation]:
        dz = builder.dz[self.out]
        return [
            Operation(
                "embed_gradient", y=dz.offset, ldy=dz.ld, n_y=table.shape[1], c=table.offset,
                n_c=table.rows, ldw=table.ld, kernel=builder.segment[table.name], **own,
            )
            for table, own in self._tables(builder)
        ]  # fmt: skip

    def backward(self, builder: Builder) -> list[Operation]:
        """0 for categorical columns: a copy of no columns, and to that the others are added."""
        if 0 not in builder.da:
            return []
        dz, dx = builder.dz[self.out], builder.da[0]
        to: dict[str, Any] = {"lda": dz.ld, "c": dx.offset, "ldc": dx.ld, "n_c": dx.n}
        return [Operation("copy", a=dz.offset, **to)] + [
            Operation("accumulate", a=dz.offset, n_a=own["n"], column_a=own["out"],
                      column_c=own["source"], **to)
            for own in self._numeric()
        ]  # fmt: skip

"""What the layers of a network say of themselves in its summary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from fastbp.plan.parameter import Tensor


class Summarized(Protocol):
    """A layer, as far as a summary goes."""

    def summarize(self, outline: Outline, width: int) -> int: ...


class Outline:
    """The rows of a summary, which the layers add one after another.

    `tensors` are those of each layer by its name, as the layers lower themselves in turn.
    """

    def __init__(self, tensors: Mapping[str, Sequence[Tensor]]) -> None:
        self.rows = [("layer", "output", "activation", "parameters")]
        self._own = iter(tensors.items())
        self._indent = ""

    def add(
        self, name: str, units: int | str = "", activation: str = "", count: int | str = ""
    ) -> None:
        """A row for a layer, or for what holds the layers of the rows that follow."""
        self.rows.append((self._indent + name, str(units), activation, str(count)))

    def add_own(self, units: int, activation: str, *, note: str = "") -> None:
        """A row for the next of the layers with parameters, in the order in which they lower
        themselves.
        """
        name, tensors = next(self._own)
        count = sum(tensor.n_parameters for tensor in tensors)
        self.add(name + note, units, activation, count)

    def end(self) -> None:
        """Raise RuntimeError where a layer with parameters has added no row of its own."""
        left = ", ".join(name for name, _ in self._own)
        if left:
            raise RuntimeError(f"no row for {left}: the layer's summarize must call add_own")

    def chain(self, layers: Iterable[Summarized], width: int) -> int:
        """The rows of layers one after another; see `Layer.summarize`."""
        for layer in layers:
            width = layer.summarize(self, width)
        return width

    @contextmanager
    def indented(self) -> Iterator[None]:
        """Rows of layers inside another."""
        before = self._indent
        self._indent += "  "
        yield
        self._indent = before


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of cells, each column as wide as its widest."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]

"""The table of a network's layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastbp.layer import Layer
    from fastbp.model import Model
    from fastbp.plan import ParameterLayout


class Outline:
    """The rows of a summary, which the layers add one after another."""

    def __init__(self, layout: ParameterLayout) -> None:
        self.rows = [("layer", "output", "activation", "parameters")]
        self._own = iter(layout.layers.items())
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

    def chain(self, layers: Sequence[Layer], width: int) -> int:
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


def summary(network: Model) -> str:
    """The table that `Network.summary` prints."""
    outline = Outline(network._runtime.layout)
    outline.chain(network.layers, 0)
    lines = aligned(outline.rows)
    lines.insert(1, "-" * max(len(line) for line in lines))
    lines.append(lines[1])
    lines.append(
        f"{network.n_parameters} parameters, {network.dtype}, loss {network.loss.name}, "
        f"{type(network.optimizer).__name__}, seed {network.seed}, backend {network.backend} "
        f"({network.instruction_set})"
    )
    return "\n".join(lines)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of cells, each column as wide as its widest."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]

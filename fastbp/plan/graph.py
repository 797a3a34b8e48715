"""Layers lowered to a flat list of nodes over numbered values, in topological order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastbp.loss import Loss
from fastbp.plan.node import Node
from fastbp.plan.operation import LINEAR
from fastbp.plan.parameter import ParameterLayout

if TYPE_CHECKING:
    from fastbp.loss.joint import JointLoss

# "train": mini-batches.  "predict": forward alone, and the loss.  "manual": forward, backward and
# step as separate calls, with the gradient of the input.  "trace": the same with every intermediate
# number in memory of its own.  "inference": "manual" by running statistics, not those of the batch.
# "derivative": forward and backward by these, without gradients of parameters.
Purpose = Literal["train", "predict", "manual", "trace", "inference", "derivative"]
BY_PARTS = ("manual", "trace", "inference", "derivative")


class Head(NamedTuple):
    """One of several outputs; what `Graph` says of a single one."""

    value: int
    declared: str
    response: str
    fused: bool


class Lowered(Protocol):
    """A layer, as far as a graph goes."""

    def lower(self, graph: Graph, value: int) -> int: ...


@dataclass
class Graph:
    """Nodes in the order in which they run; value 0 is the network's input, `width` its columns by
    value.

    `declared` is the output's activation as the layers state it, `response` as `predict` applies
    it.  Where the loss fuses it (`fused`) the last node is linear and its output the logits.
    Several outputs are the values `ends`; `heads` says of each what the graph says of a single one.
    `unread` is what the layer being lowered is handed, where no other layer will read that.
    Without `trains` the layers that act in training alone are left out; `n_random` counts those
    that draw random numbers.  `by_batch` says whether nodes take the statistics of their batch, not
    running ones; `n_batched` counts those that can.  `categories` are the columns of the input that
    hold categories, and how many each has; what else they hold is refused where `refuses_unknown`.
    """

    parameters: ParameterLayout
    width: list[int] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    declared: str = "linear"
    response: str = "linear"
    fused: bool = False
    unread: int = -1
    trains: bool = True
    n_random: int = 0
    ends: list[int] = field(default_factory=list)
    heads: tuple[Head, ...] = ()
    categories: tuple[tuple[int, int], ...] = ()
    refuses_unknown: bool = True
    by_batch: bool = True
    n_batched: int = 0

    @property
    def output(self) -> int:
        return self.nodes[-1].out

    @property
    def outputs(self) -> list[int]:
        """All of them."""
        return self.ends or [self.output]

    @property
    def n_features(self) -> int:
        return self.width[0]

    @property
    def n_outputs(self) -> int:
        return sum(self.width[value] for value in self.outputs)

    @property
    def flops(self) -> dict[str, int]:
        """Floating-point operations of a step's products for each row, by layer."""
        return {
            node.name: node.flops(reads_input=not any(node.sources))
            for node in self.nodes
            if node.name
        }

    @property
    def refused(self) -> NDArray[np.int64] | None:
        """The categories, where others are refused, as the engines check them; else None."""
        if not (self.categories and self.refuses_unknown):
            return None
        return np.array(self.categories, np.int64)

    def value(self, width: int) -> int:
        """A new value of so many columns."""
        self.width.append(width)
        return len(self.width) - 1

    def add(self, node: Node) -> int:
        """Append a node; the value that it gives."""
        self.nodes.append(node)
        self.n_random += node.is_random
        self.n_batched += node.is_batched
        return node.out

    def chain(self, layers: Iterable[Lowered], value: int) -> int:
        """Lower layers one after another; the value that the last one gives."""
        begun = len(self.width)
        for layer in layers:
            self.unread = value if value >= begun else -1
            value = layer.lower(self, value)
        return value


def fuse_output(graph: Graph, loss: Loss | JointLoss) -> None:
    """Leave the output's activation to a loss that takes its derivative together with its own; of
    several outputs each to its own loss, or all to one.

    Raises ValueError where the two do not go together.
    """
    if not graph.ends:
        assert isinstance(loss, Loss)
        _, graph.declared, graph.response, graph.fused = _fused(graph, graph.output, loss)
        return
    losses = len(graph.ends) * (loss,) if isinstance(loss, Loss) else loss.losses
    names = () if isinstance(loss, Loss) else loss.names
    found = []
    for i, (value, own) in enumerate(zip(graph.ends, losses, strict=True)):
        try:
            found.append(_fused(graph, value, own))
        except ValueError as error:
            where = f"Heads[{names[i]!r}]: " if names else ""
            raise ValueError(f"{where}{error}") from None
    graph.heads = tuple(found)


def _fused(graph: Graph, value: int, loss: Loss) -> Head:
    """The same for one output."""
    place = next(i for i in reversed(range(len(graph.nodes))) if graph.nodes[i].out == value)
    last, n_outputs = graph.nodes[place], graph.width[value]
    name, fused = last.activation.name, loss.response
    if fused is None:
        loss.check_outputs(n_outputs)
        return Head(value, name, name, False)
    if name not in ("linear", fused):
        raise ValueError(
            f"loss '{loss.name}' needs an output activation of '{fused}' or 'linear' (logits), "
            f"got '{name}'"
        )
    loss.check_outputs(n_outputs)
    graph.nodes[place] = replace(last, activation=LINEAR)
    return Head(value, name, fused, True)

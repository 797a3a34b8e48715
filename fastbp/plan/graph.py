"""Layers lowered to a flat list of nodes over numbered values, in topological order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from fastbp.loss import Loss
from fastbp.plan.node import Node
from fastbp.plan.operation import LINEAR
from fastbp.plan.parameter import ParameterLayout

# "train": mini-batches.  "predict": forward alone, and the loss.  "manual": forward, backward and
# step as separate calls, with the gradient of the input.  "trace": the same with every intermediate
# number in memory of its own.  "inference": "manual" by running statistics, not those of the batch.
Purpose = Literal["train", "predict", "manual", "trace", "inference"]
BY_PARTS = ("manual", "trace", "inference")


class Lowered(Protocol):
    """A layer, as far as a graph goes."""

    def lower(self, graph: Graph, value: int) -> int: ...


@dataclass
class Graph:
    """Nodes in the order in which they run; value 0 is the network's input, `width` its columns by
    value.

    `declared` is the output's activation as the layers state it, `response` as `predict` applies
    it.  Where the loss fuses it (`fused`) the last node is linear and its output the logits.
    `unread` is what the layer being lowered is handed, where no other layer will read that.
    Without `trains` the layers that act in training alone are left out; `n_random` counts those
    that draw random numbers.  `by_batch` says whether nodes take the statistics of their batch, not
    running ones; `n_batched` counts those that can.
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
    by_batch: bool = True
    n_batched: int = 0

    @property
    def output(self) -> int:
        return self.nodes[-1].out

    @property
    def n_features(self) -> int:
        return self.width[0]

    @property
    def n_outputs(self) -> int:
        return self.width[self.output]

    @property
    def flops(self) -> dict[str, int]:
        """Floating-point operations of a step's products for each row, by layer."""
        return {
            node.name: node.flops(reads_input=not any(node.sources))
            for node in self.nodes
            if node.tensors
        }

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


def fuse_output(graph: Graph, loss: Loss) -> None:
    """Leave the output's activation to a loss that takes its derivative together with its own.

    Raises ValueError where the two do not go together.
    """
    last = graph.nodes[-1]
    activation = last.activation
    graph.declared = graph.response = activation.name
    fused = loss.response
    if fused is None:
        loss.check_outputs(graph.n_outputs)
        return
    if activation.name not in ("linear", fused):
        raise ValueError(
            f"loss '{loss.name}' needs an output activation of '{fused}' or 'linear' (logits), "
            f"got '{activation.name}'"
        )
    loss.check_outputs(graph.n_outputs)
    graph.response, graph.fused = fused, True
    graph.nodes[-1] = replace(last, activation=LINEAR)

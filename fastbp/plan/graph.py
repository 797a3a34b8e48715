"""Layers lowered to a flat list of nodes over numbered values, in topological order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fastbp.activation import Activation, resolve_activation
from fastbp.layer import Branch, Dense, Input, Layer, Residual
from fastbp.loss import Loss
from fastbp.plan.parameter import DenseParameters, ParameterLayout

LINEAR = resolve_activation("linear")

# The activation whose derivative a loss takes in one expression with its own.
FUSED = {"cross_entropy": "softmax", "binary_cross_entropy": "sigmoid"}


@dataclass(frozen=True)
class DenseNode:
    """out = activation(source @ kernel + bias)"""

    source: int
    out: int
    parameters: DenseParameters
    activation: Activation


@dataclass(frozen=True)
class AddNode:
    """out = activation(first + second)"""

    first: int
    second: int
    out: int
    activation: Activation


@dataclass(frozen=True)
class ConcatNode:
    """out = the columns of the parts, side by side"""

    parts: tuple[int, ...]
    out: int


Node = DenseNode | AddNode | ConcatNode


@dataclass
class Graph:
    """Nodes in the order in which they run; value 0 is the network's input, `width` its columns by
    value.

    `declared` is the output's activation as the layers state it, `response` as `predict` applies
    it.  Where the loss fuses it (`fused`) the last node is linear and its output the logits.
    """

    parameters: ParameterLayout
    width: list[int] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    declared: str = "linear"
    response: str = "linear"
    fused: bool = False

    @property
    def output(self) -> int:
        return self.nodes[-1].out

    @property
    def n_features(self) -> int:
        return self.width[0]

    @property
    def n_outputs(self) -> int:
        return self.width[self.output]

    def value(self, width: int) -> int:
        self.width.append(width)
        return len(self.width) - 1


def lower(layers: Sequence[Layer], loss: Loss, parameters: ParameterLayout) -> Graph:
    """The graph of a network whose first layer is an `Input`.

    Raises ValueError where widths do not fit, no `Dense` is there, or the loss does not go with the
    output's activation.
    """
    first, *rest = layers
    if not isinstance(first, Input):
        raise ValueError(f"the first layer must be an Input, got {first!r}")
    graph = Graph(parameters)
    out = _chain(graph, rest, graph.value(first.units))
    if not graph.nodes or out != graph.output or not parameters.layers:
        raise ValueError("a network needs at least one Dense layer")
    _fuse_output(graph, loss)
    return graph


def _chain(graph: Graph, layers: Sequence[Layer], value: int) -> int:
    for layer in layers:
        if isinstance(layer, Dense):
            value = _dense(graph, layer, value)
        elif isinstance(layer, Residual):
            value = _residual(graph, layer, value)
        elif isinstance(layer, Branch):
            value = _branch(graph, layer, value)
        else:
            raise TypeError(
                f"a layer after the first must be Dense, Residual or Branch, got {layer!r}"
            )
    return value


def _dense(graph: Graph, layer: Dense, value: int) -> int:
    own = graph.parameters.add(layer, graph.width[value])
    out = graph.value(layer.units)
    graph.nodes.append(DenseNode(value, out, own, layer.activation))
    return out


def _add(graph: Graph, first: int, second: int, activation: Activation = LINEAR) -> int:
    out = graph.value(graph.width[first])
    graph.nodes.append(AddNode(first, second, out, activation))
    return out


def _residual(graph: Graph, layer: Residual, value: int) -> int:
    body = _chain(graph, layer.layers, value)
    n_in, n_out = graph.width[value], graph.width[body]
    if n_in != n_out:
        if layer.projection is None:
            raise ValueError(
                f"Residual changes the width from {n_in} to {n_out}; "
                "give projection='auto' or keep it"
            )
        own = layer.projection_initializer
        value = _dense(graph, Dense(n_out, use_bias=False, kernel_initializer=own), value)
    return _add(graph, body, value, layer.activation)


def _branch(graph: Graph, layer: Branch, value: int) -> int:
    ends = [_chain(graph, part, value) for part in layer.branches]
    if len(ends) == 1:
        return ends[0]
    widths = [graph.width[end] for end in ends]
    if layer.merge == "concat":
        out = graph.value(sum(widths))
        graph.nodes.append(ConcatNode(tuple(ends), out))
        return out
    if len(set(widths)) > 1:
        raise ValueError(
            f"Branch adds outputs of different widths {widths}; merge='concat' joins them"
        )
    total = ends[0]
    for end in ends[1:]:
        total = _add(graph, total, end)
    return total


def _fuse_output(graph: Graph, loss: Loss) -> None:
    last = graph.nodes[-1]
    activation = LINEAR if isinstance(last, ConcatNode) else last.activation
    graph.declared = graph.response = activation.name
    fused = FUSED.get(loss.name)
    if fused is None:
        return
    if activation.name not in ("linear", fused):
        raise ValueError(
            f"loss '{loss.name}' needs an output activation of '{fused}' or 'linear' (logits), "
            f"got '{activation.name}'"
        )
    if fused == "softmax" and graph.n_outputs < 2:
        raise ValueError(
            "loss 'cross_entropy' needs at least 2 outputs, got 1; for two classes on one output "
            "use 'binary_cross_entropy'"
        )
    graph.response, graph.fused = fused, True
    if not isinstance(last, ConcatNode):
        graph.nodes[-1] = replace(last, activation=LINEAR)

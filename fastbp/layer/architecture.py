"""The `layers` argument of a network: checked, given initializers, lowered, in one line."""

from __future__ import annotations

from collections.abc import Sequence

from fastbp.activation import Activation, resolve_activation
from fastbp.check.message import shown
from fastbp.check.scalar import check_size
from fastbp.initializer import Initializer
from fastbp.layer.base import Choice, Input, Layer, check_inner
from fastbp.layer.dense import Dense
from fastbp.loss import Loss
from fastbp.plan.graph import Graph, fuse_output
from fastbp.plan.parameter import ParameterLayout

OptionalInitializer = str | Initializer | None


def resolve_layers(
    layers: Sequence[int] | Sequence[Layer], activation: str | Activation | None
) -> tuple[Layer, ...]:
    """Layers as given, or those that a list of sizes stands for."""
    if not isinstance(layers, list | tuple) or not layers:
        raise TypeError(
            f"layers must be a non-empty list of layers or of sizes, got {shown(layers)}"
        )
    if isinstance(layers[0], Input):
        if activation is not None:
            raise ValueError("activation goes with a list of sizes; give each Dense its own")
        for i, layer in enumerate(layers[1:], 1):
            check_inner(layer, name=f"layers[{i}]")
        return tuple(layers)
    if isinstance(layers[0], Layer):
        raise ValueError("the first layer must be an Input: fb.Input(n_features)")
    sizes = [check_size(size, name=f"layer {i} size") for i, size in enumerate(layers)]
    if len(sizes) < 2:
        raise ValueError(
            f"a list of sizes needs at least n_features and n_outputs, got {shown(layers)}"
        )
    hidden = resolve_activation("relu" if activation is None else activation)
    inner = [Dense(size, hidden) for size in sizes[1:-1]]
    return (Input(sizes[0]), *inner, Dense(sizes[-1]))


def initialized(
    layers: Sequence[Layer], *, kernel: OptionalInitializer, bias: OptionalInitializer
) -> tuple[Layer, ...]:
    """The layers, an `Input` first, each with its initializers.

    What a layer leaves open is `kernel` and `bias`; where these are None, zeros for the bias beside
    given weights, and otherwise the default.
    """
    first, *rest = layers
    assert isinstance(first, Input)
    alone = len(rest) == 1 and isinstance(rest[0], Dense)
    return (first, *Choice(kernel, bias, first.units, alone).chain(rest))


def lower(layers: Sequence[Layer], loss: Loss, parameters: ParameterLayout) -> Graph:
    """The graph of a network whose first layer is an `Input`.

    Raises ValueError where widths do not fit, no `Dense` is there, or the loss does not go with the
    output's activation.
    """
    first, *rest = layers
    if not first.is_first:
        raise ValueError(f"the first layer must be an Input, got {first!r}")
    graph = Graph(parameters)
    out = graph.chain(rest, first.lower(graph, 0))
    if not graph.nodes or out != graph.output or not parameters.layers:
        raise ValueError("a network needs at least one Dense layer")
    fuse_output(graph, loss)
    return graph

"""The `layers` argument of a network: checked, given initializers, lowered, in one line."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbp.activation import Activation, resolve_activation
from fastbp.check.message import shown
from fastbp.check.scalar import check_size
from fastbp.initializer import Initializer
from fastbp.layer.base import Choice, Layer, check_inner, check_inside
from fastbp.layer.dense import Dense
from fastbp.layer.input import Input
from fastbp.loss import Loss
from fastbp.plan.graph import Graph, Purpose, fuse_output
from fastbp.plan.parameter import ParameterLayout
from fastbp.plan.start import Start
from fastbp.plan.threshold import FEW_OUTPUTS

if TYPE_CHECKING:
    from fastbp.loss.joint import JointLoss

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
        inner = enumerate(layers[1:], 1)
        found = [check_inner(layer, name=f"layers[{i}]") for i, layer in inner]
        check_inside(found[:-1], name="layers", first=1)
        return (layers[0], *found)
    if isinstance(layers[0], Layer | Activation):
        raise ValueError("the first layer must be an Input: fb.Input(n_features)")
    sizes = tuple(check_size(size, name=f"layer {i} size") for i, size in enumerate(layers))
    if len(sizes) < 2:
        raise ValueError(
            f"a list of sizes needs at least n_features and n_outputs, got {shown(layers)}"
        )
    return _of_sizes(sizes, resolve_activation("relu" if activation is None else activation))


@lru_cache(maxsize=256)
def _of_sizes(sizes: tuple[int, ...], hidden: Activation) -> tuple[Layer, ...]:
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
    opaque = [layer for layer in rest if not layer.is_transparent] if len(rest) > 1 else rest
    alone = len(opaque) == 1 and isinstance(opaque[0], Dense)
    return (first, *Choice(kernel, bias, first.width, alone).chain(rest))


class Architecture:
    """Layers lowered for one loss and dtype: what networks of the same description share.

    Attributes:
        layout: where the parameters lie.
        graph: the output's activation fused with the loss, as a network trains.
        plans: those compiled of the graphs so far, for `engine_cache` alone.
    """

    def __init__(
        self, layers: Sequence[Layer], loss: Loss | JointLoss, dtype: np.dtype[Any]
    ) -> None:
        self._layers, self._loss = layers, loss
        self.layout = ParameterLayout(dtype)
        self.graph = lower(layers, loss, self.layout)
        self._graphs = {(False, True, True): self.graph}
        self.plans: dict[Hashable, Any] = {}

    def of(self, purpose: Purpose) -> Graph:
        """The graph as the plans of a purpose need it: with every activation where the layers say
        for steps in parts, without the layers that act in training alone, or without statistics of
        the batch.
        """
        graph = self.graph
        fused = graph.fused or any(head.fused for head in graph.heads)
        declared = fused and purpose in ("manual", "inference")
        trains = not graph.n_random or purpose in ("train", "manual")
        by_batch = not graph.n_batched or purpose not in ("predict", "inference", "derivative")
        key = declared, trains, by_batch
        if key not in self._graphs:
            loss = Loss("mse") if declared else self._loss
            layout = ParameterLayout(self.layout.dtype)
            self._graphs[key] = lower(self._layers, loss, layout, trains=trains, by_batch=by_batch)
        return self._graphs[key]

    @cached_property
    def start(self) -> Start:
        """The initial values."""
        return Start(self.layout)


_known: dict[Hashable, Architecture] = {}
_MOST_KNOWN, _MOST_LAYERS = 64, 64  # a plan of so many layers takes 100 kB


def architecture(
    layers: Sequence[Layer], loss: Loss | JointLoss, dtype: np.dtype[Any]
) -> Architecture:
    """The layers lowered, once for all networks of the same; errors as in `lower`."""
    structure = tuple(layer.structure for layer in layers)
    if None in structure or len(structure) > _MOST_LAYERS:
        return Architecture(layers, loss, dtype)
    key = structure, loss, dtype, FEW_OUTPUTS.value
    found = _known.get(key)
    if found is None:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        found = _known[key] = Architecture(layers, loss, dtype)
    return found


def lower(
    layers: Sequence[Layer], loss: Loss | JointLoss, parameters: ParameterLayout, *,
    trains: bool = True, by_batch: bool = True,
) -> Graph:  # fmt: skip
    """The graph of a network whose first layer is an `Input`.

    Raises ValueError where widths do not fit, no `Dense` is there, the loss does not go with the
    output's activation, or the outputs would be random.
    """
    first, *rest = layers
    if not first.is_first:
        raise ValueError(f"the first layer must be an Input, got {first!r}")
    graph = Graph(parameters, trains=trains, by_batch=by_batch)
    source = first.lower(graph, 0)
    out = graph.chain(rest, source)
    if out == source or out != graph.output or not parameters.layers:
        raise ValueError("a network needs at least one Dense layer")
    ends = graph.outputs
    if any(node.is_random and node.out in ends for node in graph.nodes):
        raise ValueError("Dropout and GaussianNoise need a layer after them: they change no output")
    fuse_output(graph, loss)
    return graph

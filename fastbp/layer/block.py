"""Layers made of layers: a way around some, and several ways for the same input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from fastbp.activation import Activation, resolve_activation
from fastbp.check.message import shown
from fastbp.initializer import Initializer, default_initializers, resolve_kernel_initializer
from fastbp.layer.base import Choice, Layer, check_chain, set_fields, with_fields
from fastbp.layer.dense import Dense
from fastbp.layer.outline import Outline
from fastbp.layer.pointwise import Scale
from fastbp.plan.graph import Graph
from fastbp.plan.node import AddNode, ConcatNode

# The initializer of a projection in descriptions that do not name it, as those before version 0.2.
_PROJECTION_DEFAULT = {None: None, "auto": "glorot_uniform"}

_MERGES = {"add": "adds", "concat": "joins", "multiply": "multiplies", "average": "averages"}


@dataclass(frozen=True, init=False)
class Residual(Layer):
    """A block with a way around it: activation(f(x) + x), f being the layers one after another.

    Args:
        layers: at least one layer.
        projection: None if f keeps the width; "auto" puts x @ kernel, a `Dense` without bias, on
            the way around where it does not.
        projection_initializer: of that kernel, as for a `Dense`.
        activation: of the sum.

    Raises:
        TypeError, ValueError: no layer, something that is none, unknown projection.

    >>> Residual([Dense(8, "relu"), Dense(8)]).projection is None
    True
    """

    kind = "residual"

    layers: tuple[Layer, ...]
    projection: str | None
    activation: Activation
    projection_initializer: str | Initializer | None

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        projection: str | None = None,
        activation: str | Activation | None = "linear",
        projection_initializer: str | float | Initializer | None = None,
    ) -> None:
        if projection not in (None, "auto"):
            raise ValueError(f"projection must be None or 'auto', got {shown(projection)}")
        if projection is None and projection_initializer is not None:
            raise ValueError("Residual got a projection_initializer, but projection is None")
        own = check_chain(layers, name="Residual layers")
        if not own:
            raise ValueError("Residual layers must hold at least one layer, got 0")
        initializer = resolve_kernel_initializer(
            projection_initializer, name="projection_initializer"
        )
        set_fields(
            self, layers=own, projection=projection, activation=resolve_activation(activation),
            projection_initializer=initializer,
        )  # fmt: skip

    def to_config(self) -> dict[str, Any]:
        """See `Layer`; as before version 0.2 where the projection starts as it did then."""
        config = super().to_config()
        if self.projection_initializer == _PROJECTION_DEFAULT[self.projection]:
            del config["projection_initializer"]
        return config

    @classmethod
    def complete_config(cls, values: dict[str, Any]) -> dict[str, Any]:
        """See `Layer`."""
        projection = values.get("projection")
        if projection not in (None, "auto"):
            return values
        return {"projection_initializer": _PROJECTION_DEFAULT[projection]} | values

    def initialized(self, choice: Choice) -> Self:
        """See `Layer`; a projection is a linear layer that reads what the block reads."""
        own = self.projection_initializer
        if self.projection is not None:
            default, _ = default_initializers("linear", n_features=choice.n_features)
            own = choice.first(own, choice.kernel, default)
        return with_fields(self, layers=choice.chain(self.layers), projection_initializer=own)

    def short_form(self) -> str:
        """As "(64-64)+"."""
        return f"({'-'.join(layer.short_form() for layer in self.layers)})+"

    def summarize(self, outline: Outline, width: int) -> int:
        """See `Layer`; a projection comes after the layers around which it leads."""
        outline.add("residual", activation=self.activation.name)
        with outline.indented():
            inner = outline.chain(self.layers, width)
            if inner != width:
                outline.add_own(inner, "linear", note=" (projection)")
        return inner

    def lower(self, graph: Graph, value: int) -> int:
        """The nodes of f, a dense one for the projection, and one that adds."""
        body = graph.chain(self.layers, value)
        n_in, n_out = graph.width[value], graph.width[body]
        if n_in != n_out:
            if self.projection is None:
                raise ValueError(
                    f"Residual changes the width from {n_in} to {n_out}; "
                    "give projection='auto' or keep it"
                )
            own = self.projection_initializer
            value = Dense(n_out, use_bias=False, kernel_initializer=own).lower(graph, value)
        return graph.add(AddNode((body, value), graph.value(n_out), self.activation))


@dataclass(frozen=True, init=False)
class Branch(Layer):
    """Several ways for the same x; their outputs are put side by side, added or multiplied.

    Args:
        branches: at least one list of layers; [] passes x on.
        merge: "concat", or for branches of equal width "add", "multiply" or "average", element by
            element.

    Raises:
        TypeError, ValueError: no branch, something that is no list of layers, unknown merge.

    >>> len(Branch([[Dense(4)], []]).branches)
    2
    """

    kind = "branch"

    branches: tuple[tuple[Layer, ...], ...]
    merge: str

    def __init__(self, branches: Sequence[Sequence[Layer]], *, merge: str = "concat") -> None:
        if merge not in _MERGES:
            raise ValueError(f"unknown merge {shown(merge)}; known: {', '.join(_MERGES)}")
        if not isinstance(branches, list | tuple):
            raise TypeError(f"branches must be a list of lists of layers, got {shown(branches)}")
        if not branches:
            raise ValueError("branches must hold at least one branch, got 0")
        own = tuple(check_chain(part, name=f"branches[{i}]") for i, part in enumerate(branches))
        set_fields(self, branches=own, merge=merge)

    def initialized(self, choice: Choice) -> Self:
        """See `Layer`."""
        return with_fields(self, branches=tuple(choice.chain(part) for part in self.branches))

    def short_form(self) -> str:
        """As "(32|32)"."""
        parts = ("-".join(layer.short_form() for layer in part) for part in self.branches)
        return f"({'|'.join(parts)})"

    def summarize(self, outline: Outline, width: int) -> int:
        """See `Layer`."""
        outline.add(f"branch ({self.merge})")
        with outline.indented():
            widths = [outline.chain(part, width) for part in self.branches]
        return sum(widths) if self.merge == "concat" else widths[0]

    def lower(self, graph: Graph, value: int) -> int:
        """The nodes of all branches, and those that join their ends."""
        ends = [graph.chain(part, value) for part in self.branches]
        if len(ends) == 1:
            return ends[0]
        widths = [graph.width[end] for end in ends]
        if self.merge == "concat":
            return graph.add(ConcatNode(tuple(ends), graph.value(sum(widths))))
        if len(set(widths)) > 1:
            verb = _MERGES[self.merge]
            raise ValueError(
                f"Branch {verb} outputs of different widths {widths}; merge='concat' joins them"
            )
        from fastbp.plan.pointwise import ProductNode  # which few need

        kind = ProductNode if self.merge == "multiply" else AddNode
        total = ends[0]
        for end in ends[1:]:
            total = graph.add(kind((total, end), graph.value(widths[0])))
        return Scale(1 / len(ends)).lower(graph, total) if self.merge == "average" else total

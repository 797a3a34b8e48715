"""The last layer of a network that foretells quantiles: its outputs ascend from level to level."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Self

from fastbp.check.scalar import check_size
from fastbp.initializer import (
    Initializer,
    default_initializers,
    resolve_bias_initializer,
    resolve_kernel_initializer,
)
from fastbp.layer.base import Choice, Layer, set_fields, with_fields
from fastbp.layer.dense import Dense
from fastbp.layer.outline import Outline
from fastbp.plan.graph import Graph
from fastbp.plan.node import AddNode, ConcatNode


@dataclass(frozen=True, init=False)
class NonCrossing(Layer):
    """The outputs z_0, z_0 + softplus(z_1), z_0 + softplus(z_1) + softplus(z_2), ..., each z_i a
    `Dense` layer of its own: no level can fall below the one before it, for any row.

    As the last layer for `Loss("quantile", q=[...])`: n_levels * n_targets outputs, the first
    n_targets of them for the first level.

    Args:
        n_levels: of the loss, >= 1.
        n_targets: columns of y.
        kernel_initializer, bias_initializer: as for a `Dense`.

    Raises:
        TypeError, ValueError: an argument of another type, or < 1.

    >>> import numpy as np, fastbp as fb
    >>> levels = [0.1, 0.5, 0.9]
    >>> net = fb.Network([fb.Input(2), fb.Dense(8, "tanh"), fb.NonCrossing(3)],
    ...                  loss=fb.Loss("quantile", q=levels), seed=0)
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> _ = net.fit(X, X[:, 0] ** 2, epochs=5)
    >>> bool((np.diff(net.predict(X)) >= 0).all())
    True
    """

    kind = "non_crossing"

    n_levels: int
    n_targets: int
    kernel_initializer: str | Initializer | None
    bias_initializer: str | Initializer | None

    def __init__(
        self,
        n_levels: int,
        n_targets: int = 1,
        *,
        kernel_initializer: str | float | Initializer | None = None,
        bias_initializer: str | float | Initializer | None = None,
    ) -> None:
        set_fields(
            self,
            n_levels=check_size(n_levels, name="NonCrossing n_levels"),
            n_targets=check_size(n_targets, name="NonCrossing n_targets"),
            kernel_initializer=resolve_kernel_initializer(kernel_initializer),
            bias_initializer=resolve_bias_initializer(bias_initializer),
        )

    @property
    def structure(self) -> Hashable:
        """See `Layer`."""
        return NonCrossing, *vars(self).values()

    def initialized(self, choice: Choice) -> Self:
        """See `Layer`; as a linear layer."""
        kernel, bias = default_initializers("linear", n_features=choice.n_features)
        return with_fields(
            self,
            kernel_initializer=choice.first(self.kernel_initializer, choice.kernel, kernel),
            bias_initializer=choice.first(self.bias_initializer, choice.bias, bias),
        )

    @property
    def _layers(self) -> list[Dense]:
        own = {
            "kernel_initializer": self.kernel_initializer,
            "bias_initializer": self.bias_initializer,
        }
        names = ["linear", *["softplus"] * (self.n_levels - 1)]
        return [Dense(self.n_targets, name, **own) for name in names]  # type: ignore[arg-type]

    def short_form(self) -> str:
        """The width, and that it ascends."""
        return f"{self.n_levels * self.n_targets}<"

    def summarize(self, outline: Outline, width: int) -> int:
        """See `Layer`."""
        outline.add("non-crossing", self.n_levels * self.n_targets)
        with outline.indented():
            for layer in self._layers:
                layer.summarize(outline, width)
        return self.n_levels * self.n_targets

    def lower(self, graph: Graph, value: int) -> int:
        """The nodes of the dense layers, their sums, and one that puts these side by side."""
        first, *steps = (layer.lower(graph, value) for layer in self._layers)
        levels = [first]
        for step in steps:
            levels.append(graph.add(AddNode((levels[-1], step), graph.value(self.n_targets))))
        if len(levels) == 1:
            return first
        return graph.add(ConcatNode(tuple(levels), graph.value(self.n_levels * self.n_targets)))

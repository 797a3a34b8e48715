"""The rectifier whose slope is trained."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from fastbp.activation import Activation
from fastbp.check.scalar import check_bool, check_real
from fastbp.layer.base import Layer, set_fields
from fastbp.layer.dense import checked_name
from fastbp.layer.outline import Outline
from fastbp.plan.graph import Graph
from fastbp.plan.parameter import Initial


@dataclass(frozen=True, init=False)
class PReLU(Layer):
    """x where x > 0, else alpha x, alpha being trained, a number for each column.

    He et al., Delving deep into rectifiers, 2015.  The slope at 0 is alpha.  No weight decay
    applies to alpha.  (torch.nn.PReLU has one number for all columns unless it is told how many
    there are; Keras starts at 0.)

    Args:
        alpha: where all of them start.
        trainable: False keeps them as they are; gradients pass through.
        name: of the parameter, instead of prelu_1, prelu_2, ...; without "/".

    Raises:
        TypeError, ValueError: an argument of another type, or not finite.

    >>> import fastbp as fb
    >>> net = fb.Network([fb.Input(4), fb.Dense(8), PReLU(), fb.Dense(1)], seed=0)
    >>> net.parameters["prelu_1/alpha"].tolist()
    [0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25]
    """

    kind = "prelu"
    is_transparent = True  # so that the kernel before it starts as before a leaky ReLU

    alpha: float
    trainable: bool
    name: str | None

    def __init__(
        self, alpha: float = 0.25, *, trainable: bool = True, name: str | None = None
    ) -> None:
        set_fields(
            self, alpha=check_real(alpha, name="PReLU alpha"),
            trainable=check_bool(trainable, name="trainable"),
            name=checked_name(name, of="PReLU"),
        )  # fmt: skip

    @property
    def activation(self) -> Activation:
        """The one that it is at first, for initializers."""
        return Activation("leaky_relu")

    @property
    def structure(self) -> Hashable:
        """See `Layer`."""
        return PReLU, self.alpha, self.trainable, self.name

    def summarize(self, outline: Outline, width: int) -> int:
        """See `Layer`."""
        outline.add_own(width, "")
        return width

    def lower(self, graph: Graph, value: int) -> int:
        """One node, of what lies in a buffer of its own."""
        from fastbp.plan.pointwise import ActivationNode, PReLUNode  # which few need

        width, layout = graph.width[value], graph.parameters
        name = layout.begin(self.kind, self.name)
        initial = Initial(None, np.full(width, self.alpha), width, width)
        rate = 1.0 if self.trainable else 0.0
        alpha = layout.add(name, "alpha", (width,), initial, decays=False, rate=rate)
        if value == 0:
            value = graph.add(ActivationNode((value,), graph.value(width)))
        return graph.add(PReLUNode((value,), graph.value(width), tensors=(alpha,), name=name))

"""The layer that normalizes rows."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from fastbp.check.scalar import check_bool, check_real
from fastbp.layer.base import Layer, set_fields
from fastbp.layer.dense import checked_name
from fastbp.layer.outline import Outline
from fastbp.plan.graph import Graph
from fastbp.plan.parameter import Initial, Tensor


@dataclass(frozen=True, init=False)
class LayerNorm(Layer):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, mean and variance of each row.

    gamma, 1 at first, and beta, 0 at first, are trained, a number each for every column; no weight
    decay applies to them.  The variance is the mean square of x - mean.  (Keras calls the layer
    LayerNormalization, PyTorch torch.nn.LayerNorm, with an epsilon of 1e-5.)

    Args:
        epsilon: > 0.
        trainable: False keeps gamma and beta as they are; gradients pass through.
        name: of the parameters, instead of layer_norm_1, layer_norm_2, ...; without "/".

    Raises:
        TypeError, ValueError: an argument of another type or out of range; when the network is
            made, of a single column, which would always be 0.

    >>> import fastbp as fb
    >>> net = fb.Network([fb.Input(4), fb.Dense(8, "relu"), LayerNorm(), fb.Dense(1)])
    >>> net.parameters["layer_norm_1/gamma"].shape
    (8,)
    """

    kind = "layer_norm"

    epsilon: float
    trainable: bool
    name: str | None

    def __init__(
        self, epsilon: float = 1e-3, *, trainable: bool = True, name: str | None = None
    ) -> None:
        set_fields(
            self, epsilon=check_real(
                epsilon, name="LayerNorm epsilon", minimum=0, exclude_minimum=True
            ),
            trainable=check_bool(trainable, name="trainable"),
            name=checked_name(name, of="LayerNorm"),
        )  # fmt: skip

    @property
    def structure(self) -> Hashable:
        """See `Layer`."""
        return LayerNorm, self.epsilon, self.trainable, self.name

    def short_form(self) -> str:
        """The kind alone."""
        return "norm"

    def summarize(self, outline: Outline, width: int) -> int:
        """See `Layer`."""
        outline.add_own(width, "")
        return width

    def lower(self, graph: Graph, value: int) -> int:
        """A node that normalizes, and one with gamma and beta."""
        from fastbp.plan.pointwise import NormalizeNode, ScaleNode  # which few need

        width, layout = graph.width[value], graph.parameters
        if width < 2:
            raise ValueError(
                "LayerNorm needs at least 2 columns: a single one is always 0 after it"
            )
        name = layout.begin(self.kind, self.name)

        def tensor(own: str, start: str) -> Tensor:
            initial = Initial(start, None, width, width)
            rate = 1.0 if self.trainable else 0.0
            return layout.add(name, own, (width,), initial, decays=False, rate=rate)

        tensors = tensor("gamma", "ones"), tensor("beta", "zeros")
        made = NormalizeNode((value,), graph.value(width), epsilon=self.epsilon)
        normal = graph.add(made)
        return graph.add(ScaleNode((normal,), graph.value(width), tensors=tensors, name=name))

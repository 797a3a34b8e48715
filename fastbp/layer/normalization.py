"""The layers that normalize: each row, or each column over a batch."""

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


@dataclass(frozen=True, init=False)
class BatchNorm(Layer):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, mean and variance of each column.

    In training they are those of the whole batch: of all rows of a step, whatever their weights and
    the number of threads.  After it running ones follow them,

        moving = momentum * moving + (1 - momentum) * batch,

    from a mean of 0 and a variance of 1.  `predict`, `evaluate`, validation and `net(X)` go by
    these.  A batch of one row has a variance of 0: its output is beta, and no gradient passes.

    The moving mean and variance are listed with the parameters, in Keras's order gamma, beta,
    moving_mean, moving_variance; files, copies and `get_weights` have them.  No optimizer, decay or
    bound of the gradient touches them, and `gradients` lacks them; an average of the parameters
    (`ema`) averages them too, and `update_from` takes them along.

    `trace` and `check_gradients` take the batch's statistics without moving the running ones,
    `forward` moves them; `forward(X, training=False)` and what goes backward from it takes the
    running ones as constants.

    Keras's BatchNormalization.  PyTorch's BatchNorm1d has an epsilon of 1e-5 and counts its
    momentum the other way, 0.1 for 0.9 here; its running variance is n / (n - 1) times the batch's.

    Ioffe and Szegedy, "Batch normalization", 2015.

    Args:
        momentum: of the running statistics, in [0, 1).
        epsilon: > 0.
        center: whether there is a beta, 0 at first.
        scale: whether there is a gamma, 1 at first.
        trainable: False keeps all four as they are and trains, too, by the running statistics.
        name: of the parameters, instead of batch_norm_1, batch_norm_2, ...; without "/".

    Raises:
        TypeError, ValueError: an argument of another type or out of range.

    >>> import fastbp as fb
    >>> layers = [fb.Input(4), fb.Dense(8, use_bias=False), BatchNorm(), fb.Activation("relu")]
    >>> net = fb.Network([*layers, fb.Dense(1)])
    >>> net.parameters["batch_norm_1/moving_variance"].tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """

    kind = "batch_norm"
    scales_columns = True

    momentum: float
    epsilon: float
    center: bool
    scale: bool
    trainable: bool
    name: str | None

    def __init__(
        self, momentum: float = 0.99, *, epsilon: float = 1e-3, center: bool = True,
        scale: bool = True, trainable: bool = True, name: str | None = None,
    ) -> None:  # fmt: skip
        set_fields(
            self, momentum=check_real(
                momentum, name="BatchNorm momentum", minimum=0, maximum=1, exclude_maximum=True
            ),
            epsilon=check_real(
                epsilon, name="BatchNorm epsilon", minimum=0, exclude_minimum=True
            ),
            center=check_bool(center, name="center"), scale=check_bool(scale, name="scale"),
            trainable=check_bool(trainable, name="trainable"),
            name=checked_name(name, of="BatchNorm"),
        )  # fmt: skip

    @property
    def structure(self) -> Hashable:
        """See `Layer`."""
        return BatchNorm, *vars(self).values()

    def short_form(self) -> str:
        """As the layer is called for short."""
        return "bn"

    def summarize(self, outline: Outline, width: int) -> int:
        """See `Layer`."""
        outline.add_own(width, "")
        return width

    def lower(self, graph: Graph, value: int) -> int:
        """One node."""
        from fastbp.plan.batch import BatchNormNode  # which few need

        width, layout = graph.width[value], graph.parameters
        name = layout.begin(self.kind, self.name)

        def tensor(own: str, start: str, *, is_running: bool = False) -> Tensor:
            rate = 1.0 if self.trainable and not is_running else 0.0
            return layout.add(
                name, own, (width,), Initial(start, None, width, width), decays=False, rate=rate,
                is_running=is_running,
            )  # fmt: skip

        factor = tensor("gamma", "ones") if self.scale else None
        offset = tensor("beta", "zeros") if self.center else None
        running = tuple(
            tensor(f"moving_{own}", start, is_running=True)
            for own, start in (("mean", "zeros"), ("variance", "ones"))
        )
        return graph.add(BatchNormNode(
            (value,), graph.value(width), name=name, factor=factor, offset=offset,
            tensors=(*filter(None, (factor, offset)), *running), epsilon=self.epsilon,
            momentum=self.momentum, by_batch=graph.by_batch and self.trainable,
        ))  # fmt: skip

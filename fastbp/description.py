"""What a network is, as data: its description, and its numbers at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from fastbp.activation import Activation
from fastbp.check.array import Array
from fastbp.check.message import shown
from fastbp.check.scalar import check_seed
from fastbp.history import History
from fastbp.initializer import Initializer, resolve_bias_initializer, resolve_kernel_initializer
from fastbp.layer import Heads, Layer, layer_from_config
from fastbp.layer.architecture import initialized, resolve_layers
from fastbp.loss import Loss, resolve_loss
from fastbp.metric import Function, Measure, Metric, metric, metric_names, resolve_metrics
from fastbp.optimizer import Optimizer, optimizer_from_config, resolve_optimizer

if TYPE_CHECKING:
    from fastbp.loss.joint import JointLoss


@dataclass(frozen=True, eq=False)
class Description:
    """All that a network's initial values and training follow from; `describe` makes it.

    The layers are an Input and others, each with its initializers.
    """

    layers: tuple[Layer, ...]
    loss: Loss | JointLoss
    optimizer: Optimizer
    metrics: tuple[str | Function, ...]
    dtype: np.dtype[Any]
    seed: int

    @cached_property
    def measures(self) -> dict[str, Measure]:
        """Of each metric by name: (response, y, weight=None) -> float."""
        if not isinstance(self.loss, Loss):
            from fastbp.metric.head import head_measures  # which few need

            names = [one for one in self.metrics if isinstance(one, str)]
            return head_measures(names, self.loss) if names else {}
        found = (metric(one, loss=self.loss) for one in self.metrics)
        return dict(zip(metric_names(self.metrics), found, strict=True))

    def to_config(self) -> dict[str, Any]:
        """The same as JSON can hold it, for `arguments`; without metrics that are functions."""
        return {
            "layers": [layer.to_config() for layer in self.layers],
            "loss": self.loss.to_config(),
            "optimizer": self.optimizer.to_config(),
            "metrics": [one for one in self.metrics if isinstance(one, str)],
            "dtype": self.dtype.name,
            "seed": self.seed,
        }


@dataclass(eq=False)
class Snapshot:
    """A network's description and numbers; what a file holds.

    Attributes:
        config: what `Description.to_config` wrote.
        parameters: by name, as "dense_1/kernel".
        state: the optimizer's vectors by name, as "m/dense_1/kernel"; "power", beta1^t and beta2^t;
            and "epochs", trained so far, which the order of rows follows from.
        steps: optimizer steps taken so far.
        extra: anything JSON can hold that somebody stored beside, such as the preprocessing of the
            inputs.
        metadata: the user's own, as JSON can hold it.
        feature_names: of the columns of X, or None.
        history: of the last `fit`.
        callbacks: class and state of each callback of the last `fit` that has one.
        kept, kept_rate: parameters by name and the learning rate that training goes on with, where
            the last hooks of callbacks have set others; else empty and None.
        unfinished: the epoch that it left between two batches, or None.
        order: in a backup, as that of `Unfinished`; else None.
    """

    config: dict[str, Any]
    parameters: dict[str, Array]
    state: dict[str, Array]
    steps: int
    extra: Any = None
    metadata: dict[str, Any] = field(default_factory=dict)
    feature_names: tuple[str, ...] | None = None
    history: History = field(default_factory=History)
    callbacks: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    kept: dict[str, Array] = field(default_factory=dict)
    kept_rate: float | None = None
    unfinished: Unfinished | None = None
    order: dict[str, Any] | None = None


@dataclass(eq=False)
class Unfinished:
    """An epoch that a `fit` left between two batches, and what the next one needs to go on there.

    Attributes:
        number: of the epoch, in the counting of that fit.
        batches: done.
        first_step: the network's steps before the epoch.
        order: what the rows of its batches follow from, by name.
        sums: of the losses times their weights, of these, and of each metric; float64.
        outputs: of the rows so far, (n_rows, n_outputs), where metrics need them.
        figures: loss and metrics by name, where all batches are done and what follows them is not:
            instead of the sums.
    """

    number: int
    batches: int
    first_step: int
    order: dict[str, Any]
    sums: Array
    outputs: Array | None = None
    figures: dict[str, float] | None = None


def describe(
    layers: Sequence[int] | Sequence[Layer],
    *,
    loss: str | Loss | Function | None,
    optimizer: str | Optimizer,
    metrics: Sequence[str | Metric | Function] | Mapping[str, Any],
    dtype: DTypeLike,
    seed: object,
    activation: str | Activation | None = None,
    kernel_initializer: str | float | Initializer | None = None,
    bias_initializer: str | float | Initializer | None = None,
) -> Description:
    """The description of a network; arguments and errors are those of `Network`."""
    resolved = initialized(
        resolve_layers(layers, activation),
        kernel=resolve_kernel_initializer(kernel_initializer),
        bias=resolve_bias_initializer(bias_initializer),
    )
    optimizer, own = resolve_optimizer(optimizer), _loss(resolved[-1], loss)
    resolved_metrics = metrics_of(own, metrics)
    seed = check_seed(seed)
    return Description(resolved, own, optimizer, resolved_metrics, _dtype(dtype), seed)


def metrics_of(
    loss: Loss | JointLoss, metrics: Any, n_outputs: int | Sequence[int] | None = None
) -> tuple[str | Function, ...]:
    """Each resolved; of several heads, with the outputs of each, the names that figures have.

    Raises as `resolve_metrics`, and `resolve_head_metrics`.
    """
    if isinstance(loss, Loss):
        assert n_outputs is None or isinstance(n_outputs, int)
        return resolve_metrics(metrics, loss=loss, n_outputs=n_outputs)
    if isinstance(metrics, tuple) and not metrics:
        return ()
    from fastbp.metric.head import resolve_head_metrics  # which few need

    assert not isinstance(n_outputs, int)
    return resolve_head_metrics(metrics, loss, n_outputs)


def _loss(last: Layer, loss: str | Loss | Function | None) -> Loss | JointLoss:
    """That of the network, or those of its heads."""
    if not last.is_last:
        return _resolved("mse" if loss is None else loss)
    if loss is not None:
        raise ValueError(
            f"loss={shown(loss)}: a network that ends in Heads takes none, each head has its own"
        )
    assert isinstance(last, Heads)
    return last.joint_loss


def arguments(config: object) -> dict[str, Any]:
    """The arguments of `Network` and `describe` from what `Description.to_config` wrote.

    Raises TypeError for anything but a dict, ValueError where one of its entries is missing.
    """
    if not isinstance(config, dict):
        raise TypeError(f"config must be what get_config returned, got {shown(config)}")
    for name in ("layers", "loss", "optimizer", "metrics", "dtype", "seed"):
        if name not in config:
            raise ValueError(f"config lacks {name!r}")
    return {name: config[name] for name in ("metrics", "dtype", "seed")} | {
        "layers": [layer_from_config(layer) for layer in config["layers"]],
        "loss": None if config["loss"] is None else _loss_of(config["loss"]),
        "optimizer": optimizer_from_config(config["optimizer"]),
    }


def _resolved(loss: str | Loss | Function) -> Loss:
    if isinstance(loss, str | Loss | type) or not callable(loss):
        return resolve_loss(loss)  # type: ignore[arg-type]
    from fastbp.loss.own import own_loss  # which few need

    return own_loss(loss)


def _loss_of(config: Any) -> Loss:
    if isinstance(config, dict) and "is_function" in config:
        from fastbp.loss.own import absent_loss

        return absent_loss(**config)
    return Loss(**config)


# The very objects that arrays carry, by what is mostly passed.
_DTYPES = {name: np.dtype(name) for name in ("float32", "float64")}


def _dtype(dtype: DTypeLike) -> np.dtype[Any]:
    if isinstance(dtype, str) and dtype in _DTYPES:
        return _DTYPES[dtype]
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.name not in _DTYPES:
        raise ValueError(f"unknown dtype {shown(dtype)}; known: float32, float64")
    return _DTYPES[found.name]

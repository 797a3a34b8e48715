"""Several outputs: the last layer of a network that is trained for more than one thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from fastbp.check.message import placed, shown
from fastbp.check.scalar import check_real
from fastbp.layer.base import Choice, Layer, check_chain, set_fields, with_fields
from fastbp.layer.dense import checked_name
from fastbp.layer.outline import Outline
from fastbp.loss import Loss, resolve_loss
from fastbp.plan.graph import Graph

if TYPE_CHECKING:
    from fastbp.loss.joint import JointLoss

_Given = Sequence[Any]  # (layers, loss) or (layers, loss, weight)


class Head(NamedTuple):
    """One output: its layers, its loss, and the weight of that in the sum."""

    name: str
    layers: tuple[Layer, ...]
    loss: Loss
    weight: float


@dataclass(frozen=True, init=False, repr=False)
class Heads(Layer):
    """Several outputs, each with layers and a loss of its own; the last layer of a network.

    The loss of the network is the sum of weight * loss over the heads, each loss the mean that a
    network with this output alone reports.  Targets, outputs and predictions are dicts with the
    names of the heads; `fit` and `evaluate` report "loss" and, unweighted, "class_loss",
    "value_loss" and so on.

    Args:
        heads: a dict, by name (layers, loss, weight) or (layers, loss): at least one layer, a name
            of a loss or a `Loss`, and a weight >= 0, 1 where it is left out.

    Raises:
        TypeError, ValueError: no head, no layer, something that is none, an unknown loss, a weight
            out of range, a name that is empty or has a "/", a loss `with_penalties`, which are of
            the whole network.

    >>> import numpy as np, fastbp as fb
    >>> net = fb.Network([fb.Input(4), fb.Dense(16, "relu"),
    ...                   fb.Heads({"class": ([fb.Dense(3)], "cross_entropy"),
    ...                             "value": ([fb.Dense(1)], "mse", 0.5)})], seed=0)
    >>> X = np.eye(4)
    >>> history = net.fit(X, {"class": [0, 1, 2, 0], "value": [0.1, 0.2, 0.3, 0.4]}, epochs=2)
    >>> list(history.history)
    ['loss', 'class_loss', 'value_loss']
    >>> {name: own.shape for name, own in net.predict(X).items()}
    {'class': (4, 3), 'value': (4, 1)}
    >>> Heads({"value": ([fb.Dense(1)], "mse", 0.5)})
    Heads({'value': ([Dense(1)], Loss('mse'), 0.5)})
    """

    kind = "heads"
    is_last = True

    heads: tuple[Head, ...]

    def __init__(self, heads: Mapping[str, _Given]) -> None:
        if not isinstance(heads, Mapping):
            expected = "Heads must be a dict {name: (layers, loss, weight)}"
            raise TypeError(f"{expected}, got {shown(heads)}")
        if not heads:
            raise ValueError("Heads must hold at least one head, got 0")
        set_fields(self, heads=tuple(_head(name, given) for name, given in heads.items()))

    def __repr__(self) -> str:
        own = {head.name: ([*head.layers], head.loss, head.weight) for head in self.heads}
        return f"Heads({own})"

    @property
    def joint_loss(self) -> JointLoss:
        """The loss of the network."""
        from fastbp.loss.joint import JointLoss  # which few need

        names, losses, weights = zip(
            *((head.name, head.loss, head.weight) for head in self.heads), strict=True
        )
        return JointLoss(names, losses, weights)

    def to_config(self) -> dict[str, Any]:
        """See `Layer`."""
        own = [
            {"name": head.name, "layers": [layer.to_config() for layer in head.layers],
             "loss": head.loss.to_config(), "weight": head.weight}
            for head in self.heads
        ]  # fmt: skip
        return {"kind": self.kind, "heads": own}

    def initialized(self, choice: Choice) -> Self:
        """See `Layer`."""
        own = (
            Head(head.name, choice.chain(head.layers), head.loss, head.weight)
            for head in self.heads
        )
        return with_fields(self, heads=tuple(own))

    def short_form(self) -> str:
        """As "{class 32-3, value 1}"."""
        own = (
            f"{head.name} {'-'.join(layer.short_form() for layer in head.layers)}"
            for head in self.heads
        )
        return f"{{{', '.join(own)}}}"

    def summarize(self, outline: Outline, width: int) -> int:
        """See `Layer`."""
        total = 0
        outline.add("heads")
        with outline.indented():
            for head in self.heads:
                times = "" if head.weight == 1 else f"{head.weight:g} "
                outline.add(f"{head.name} ({times}{head.loss.name})")
                with outline.indented():
                    total += outline.chain(head.layers, width)
        return total

    def lower(self, graph: Graph, value: int) -> int:
        """The nodes of all heads, whose last values are the outputs of the graph."""
        for head in self.heads:
            end = graph.chain(head.layers, value)
            if end == value:
                raise ValueError(f"Heads[{head.name!r}] computes nothing: give it a Dense layer")
            graph.ends.append(end)
        return end


def _head(name: str, given: object) -> Head:
    """One head of the dict that a user passes."""
    if checked_name(name, of="a head") is None:
        raise TypeError("name of a head must be a str, got None")
    if name == "val" or str(name).startswith("val_"):
        raise ValueError(
            f"name of a head must not begin with 'val', got {shown(name)}: a history "
            "names figures of validation so"
        )
    where = f"Heads[{name!r}]"
    if not isinstance(given, list | tuple) or len(given) not in (2, 3):
        raise TypeError(
            f"{where} must be (layers, loss) or (layers, loss, weight), got {shown(given)}"
        )
    layers, loss, weight = (*given, 1.0)[:3]
    own = check_chain(layers, name=f"{where} layers")
    if not own:
        raise ValueError(f"{where} must hold at least one layer, got 0")
    try:
        found = resolve_loss(loss)
    except (TypeError, ValueError) as error:
        raise placed(error, where) from None
    if found.with_penalties:
        raise ValueError(f"{where}: penalties are of the whole network, no head takes them along")
    return Head(name, own, found, check_real(weight, name=f"weight of {where}", minimum=0))

"""Metrics of several outputs: of which head each is, and what it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastbp.check.message import shown
from fastbp.loss.joint import JointLoss
from fastbp.metric import metric, resolve_metric

Measure = Callable[..., float]  # of a dict of responses, targets by head and weights


def resolve_head_metrics(
    metrics: object, loss: JointLoss, widths: Sequence[int] | None = None
) -> tuple[str, ...]:
    """The names under which they are reported, as "class_accuracy".

    Args:
        metrics: {name of the head: list of metrics}, or such names.
        widths: the outputs of each head, to refuse what does not go with so many.

    Raises:
        TypeError: neither of these, a function.
        ValueError: a metric that is unknown or does not go with the loss of the head; no such head;
            a name that another figure has.
    """
    found: list[str] = []
    for head, one in _pairs(metrics, loss):
        place = loss.names.index(head)
        resolved = resolve_metric(one)
        if not isinstance(resolved, str):
            raise TypeError(f"metrics[{head!r}] of Heads must be names, got {shown(one)}")
        width = None if widths is None else widths[place]
        try:
            metric(resolved, loss=loss.losses[place], n_outputs=width)
        except ValueError as error:
            raise ValueError(f"metrics[{head!r}]: {error}") from None
        name = f"{head}_{resolved}"
        if name in loss.figures or split_name(name, loss)[0] != head:
            raise ValueError(f"metrics[{head!r}]: {name!r} would be the name of another figure too")
        if name not in found:
            found.append(name)
    return tuple(found)


def _pairs(metrics: object, loss: JointLoss) -> list[tuple[str, Any]]:
    """Heads and their metrics."""
    if isinstance(metrics, Mapping):
        loss.check_names(metrics, what="metrics", all_of_them=False)
        for head, own in metrics.items():
            if not isinstance(own, list | tuple):
                raise TypeError(f"metrics[{head!r}] must be a list of names, got {shown(own)}")
        return [(head, one) for head, own in metrics.items() for one in own]
    if not isinstance(metrics, list | tuple):
        raise TypeError(f"metrics of Heads must be a dict of lists by name, got {shown(metrics)}")
    for one in metrics:
        if not isinstance(one, str) or not split_name(one, loss)[0]:
            example = f"{{{loss.names[0]!r}: [...]}}"
            raise ValueError(f"metric {shown(one)} is of no head: pass a dict, as {example}")
    return [split_name(one, loss) for one in metrics]


def split_name(name: str, loss: JointLoss) -> tuple[str, str]:
    """The head of a figure and its metric; two empty texts where there is no such head."""
    for head in sorted(loss.names, key=len, reverse=True):
        if name.startswith(f"{head}_"):
            return head, name[len(head) + 1 :]
    return "", ""


def head_measures(names: Sequence[str], loss: JointLoss) -> dict[str, Measure]:
    """Of each the function (responses, targets, weight=None) -> float: both by head."""
    found: dict[str, Measure] = {}
    for name in names:
        head, own = split_name(name, loss)
        place = loss.names.index(head)
        found[name] = _of_head(head, place, metric(own, loss=loss.losses[place]))
    return found


def _of_head(head: str, place: int, measure: Measure) -> Measure:
    def measured(responses: Mapping[str, Any], targets: Any, weight: Any = None) -> float:
        own = weight[place] if isinstance(weight, list) else weight
        return measure(responses[head], [*targets][place], own)

    return measured

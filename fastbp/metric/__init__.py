"""Figures that judge what `predict` returns: names, parameters, and functions of the user's.

docs/metric.md lists them with definitions and other names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.check.function import function_name
from fastbp.check.message import shown
from fastbp.loss import Loss, resolve_loss
from fastbp.metric.function import Function, check_function, measure_of
from fastbp.metric.rows import Array, Weight
from fastbp.metric.table import CLASSES, METRICS, NUMBERS, ONE_CLASS, Metric

__all__ = [
    "METRICS", "NAMES", "Function", "Measure", "Metric", "is_larger_better", "metric",
    "metric_name", "metric_names", "resolve_metric", "resolve_metrics",
]  # fmt: skip

NAMES = tuple(METRICS)
Measure = Callable[..., float]  # (response, y, weight=None)
_NEEDED = {
    CLASSES: "cross_entropy or binary_cross_entropy",
    ONE_CLASS: "cross_entropy",
    NUMBERS: "targets that are numbers",
}


def resolve_metric(metric: str | Metric | Function) -> str | Function:
    """The name by which a metric is known and reported ("f1_macro"), or the function itself.

    Raises:
        TypeError: neither a name, a `Metric` nor a function (y, prediction).
        ValueError: unknown name; a function's name that a history uses for another figure.

    >>> resolve_metric("acc"), resolve_metric(Metric("f1", average="macro"))
    ('accuracy', 'f1_macro')
    """
    if isinstance(metric, str):
        return _key(metric)
    if isinstance(metric, Metric):
        return metric.key
    if callable(metric):
        check_function(metric)
        return metric
    return Metric(metric).key  # raises


@lru_cache(maxsize=256)
def _key(name: str) -> str:
    return Metric(name).key


def resolve_metrics(
    metrics: Sequence[str | Metric | Function],
    *,
    loss: Loss,
    n_outputs: int | None = None,
) -> tuple[str | Function, ...]:
    """Each resolved, those named twice once.

    Raises:
        TypeError: not a list; otherwise as `metric`.
    """
    if not isinstance(metrics, list | tuple):
        raise TypeError(f"metrics must be a list of names and functions, got {shown(metrics)}")
    found: dict[str | int, str | Function] = {}
    for one in metrics:
        resolved = resolve_metric(one)
        metric(resolved, loss=loss, n_outputs=n_outputs)
        found[resolved if isinstance(resolved, str) else id(resolved)] = resolved
    return tuple(found.values())


def metric_name(metric: str | Metric | Function) -> str:
    """What a metric is called in a history: its name with the parameter, or a function's
    `__name__`.

    >>> metric_name("top_3_accuracy"), metric_name(lambda y, prediction: 0.0)
    ('top_3_accuracy', 'lambda')
    """
    found = resolve_metric(metric)
    return found if isinstance(found, str) else function_name(found)


def metric_names(metrics: Sequence[str | Function]) -> list[str]:
    """The names of resolved metrics, a second one of a name numbered: "lambda", "lambda_2"."""
    taken = {one for one in metrics if isinstance(one, str)}
    names = []
    for one in metrics:
        if isinstance(one, str):
            names.append(one)
            continue
        own = name = function_name(one)
        for i in range(2, len(metrics) + 2):
            if name not in taken:
                break
            name = f"{own}_{i}"
        taken.add(name)
        names.append(name)
    return names


def is_larger_better(name: str) -> bool | None:
    """Whether a larger value of a figure, with or without "val_", is a better one.

    False for every loss, None for what is not known.  Of functions by scikit-learn's rule: those
    named "..._score" are better where larger, "..._loss", "..._error" and "..._deviance" where
    smaller.

    >>> is_larger_better("val_accuracy"), is_larger_better("loss"), is_larger_better("profit")
    (True, False, None)
    """
    name = name.removeprefix("val_")
    try:
        return Metric(name).is_larger_better
    except (TypeError, ValueError):
        pass
    if name.endswith("_score"):
        return True
    is_loss = name == "loss" or name.endswith(("_loss", "_error", "_deviance"))
    return False if is_loss else None


def metric(
    metric: str | Metric | Function,
    *,
    loss: str | Loss | None = None,
    n_outputs: int | None = None,
) -> Measure:
    """The function (response, y, weight=None) -> float.

    `response` is (n, k), the output of `predict`: probabilities for the cross-entropies; `y` what
    `check_y` returned: int32 class indices (n,), or targets (n, k).  `weight` is None or (n,), not
    negative; for metrics of outputs also (n, k).  A weight k is k copies of a row, 0 its absence.
    Where nothing has weight, or the metric is undefined (see `Metric`), NaN.

    A function of the user's is called with (y, prediction), the same two arrays, `y` shaped as the
    prediction unless it holds class indices, both read-only, and with `sample_weight=` where there
    are weights and its signature has it; the rows of weight 0 are left out.

    Args:
        loss: what the network was trained by; without it an integer `y`, or in metrics of classes
            more than one output, means classes.
        n_outputs: of the network, to refuse what does not go with so many.

    Raises:
        TypeError: neither a name, a `Metric` nor a function (y, prediction).
        ValueError: unknown name; a metric that does not go with the loss, as accuracy of a
            regression, or with the outputs, as `average="binary"` of three classes.

    >>> metric("accuracy")(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0]))
    0.5
    >>> metric("mae")(np.array([[1.0], [2.0]]), np.array([[1.5], [2.0]]), np.array([3.0, 1.0]))
    0.375
    """
    found = resolve_metric(metric)
    loss = None if loss is None else resolve_loss(loss)
    if isinstance(found, str):
        return _of_name(found, loss, n_outputs)
    return _weighted(measure_of(found))


@lru_cache(maxsize=256)
def _of_name(key: str, loss: Loss | None, n_outputs: int | None) -> Measure:
    found = Metric(key)
    kind = METRICS[found.name]
    domain = None if loss is None else loss.domain
    fits = {CLASSES: ("class", "interval"), ONE_CLASS: ("class",), None: (domain,)}
    is_fit = domain != "class" if kind.needs == NUMBERS else domain in fits[kind.needs]
    if loss is not None and not is_fit:
        assert kind.needs is not None
        raise ValueError(f"metric '{key}' needs {_NEEDED[kind.needs]}, loss is '{loss.name}'")
    if n_outputs is not None:
        _check_outputs(found, n_outputs, domain == "class")
    formula, parameters = kind.formula, found.parameters

    def measure(response: Array, y: Array, weight: Weight = None) -> float:
        is_class = _is_class(response, y, kind.needs) if domain is None else domain == "class"
        if is_class and weight is not None and weight.ndim == 2:
            weight = weight[:, 0]
        return float(formula(response, y, weight, is_class, **parameters))

    return _weighted(measure)


def _weighted(measure: Measure) -> Measure:
    """The same without the rows of weight 0; NaN of no rows."""

    def weighted(response: Array, y: Array, weight: NDArray[Any] | None = None) -> float:
        if weight is None:
            return measure(response, y, None)
        weight = np.asarray(weight, np.float64)
        present = weight != 0 if weight.ndim == 1 else weight.any(axis=1)
        if not present.all():
            response, y, weight = response[present], y[present], weight[present]
        return measure(response, y, weight) if len(response) else np.nan

    return weighted


def _check_outputs(metric: Metric, n_outputs: int, is_class: bool) -> None:
    """Raises ValueError for a parameter that makes no sense of so many outputs."""
    if metric.average == "binary" and n_outputs != (2 if is_class else 1):
        raise ValueError(
            f"metric '{metric.key}' needs one output or two classes, network has {n_outputs} "
            "outputs; other averages: macro, micro, weighted"
        )
    k = 5 if metric.k is None else metric.k
    if metric.name == "top_k_accuracy" and k >= n_outputs:
        raise ValueError(
            f"metric '{metric.key}' with k={k} is always 1, network has {n_outputs} outputs"
        )


def _is_class(response: Array, y: Array, needs: str | None) -> bool:
    """The guess where no loss tells."""
    is_index = y.ndim == 1 and y.dtype.kind in "iu"
    several = response.shape[1] > 1
    return needs == ONE_CLASS or (several and (is_index or needs == CLASSES))

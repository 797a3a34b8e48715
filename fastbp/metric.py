"""Figures that judge what `predict` returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.check.scalar import check_name
from fastbp.loss import Loss, resolve_loss

NAMES = ("accuracy", "mae", "mse")
_ALIASES = {
    "acc": "accuracy",
    "binaryaccuracy": "accuracy",
    "categoricalaccuracy": "accuracy",
    "sparsecategoricalaccuracy": "accuracy",
    "meanabsoluteerror": "mae",
    "meansquarederror": "mse",
}

Metric = Callable[[NDArray[Any], NDArray[Any]], float]


def resolve_metric(name: str) -> str:
    """The canonical name.

    Raises:
        TypeError: not a str.
        ValueError: unknown name.
    """
    return check_name(name, kind="metric", known=NAMES, aliases=_ALIASES)


def metric(name: str, *, loss: str | Loss | None = None) -> Metric:
    """The function (response, y) -> float.

    `response` is (n, k), the output of `predict`; `y` what `check_y` returned: class indices (n,)
    or targets (n, k).

    accuracy: for cross_entropy the share of rows whose largest response is the class of y; for
    binary_cross_entropy the share of outputs on the same side of 0.5 as y, 0.5 counting as 1.
    mae, mse: mean over rows and outputs of the absolute or squared error, in float64; a class
    index stands for its one-hot row.

    Args:
        loss: what the network was trained by; without it an integer `y` or more than one output
            mean classes.

    Raises:
        ValueError: unknown name; accuracy of a regression.

    >>> metric("accuracy")(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0]))
    0.5
    >>> metric("mae")(np.array([[1.0], [2.0]]), np.array([[1.5], [2.0]]))
    0.25
    """
    name = resolve_metric(name)
    if name == "mae":
        return lambda response, y: float(np.abs(_error(response, y)).mean())
    if name == "mse":
        return lambda response, y: float(np.square(_error(response, y)).mean())
    if loss is None:
        return _accuracy
    loss = resolve_loss(loss)
    if loss.domain == "real":
        raise ValueError(
            f"metric 'accuracy' needs cross_entropy or binary_cross_entropy, loss is '{loss.name}'"
        )
    return _class_accuracy if loss.domain == "class" else _binary_accuracy


def _accuracy(response: NDArray[Any], y: NDArray[Any]) -> float:
    is_class = (y.ndim == 1 and y.dtype.kind in "iu") or response.shape[1] > 1
    return (_class_accuracy if is_class else _binary_accuracy)(response, y)


def _class_accuracy(response: NDArray[Any], y: NDArray[Any]) -> float:
    expected = y if y.ndim == 1 else y.argmax(axis=1)
    return float((response.argmax(axis=1) == expected).mean())


def _binary_accuracy(response: NDArray[Any], y: NDArray[Any]) -> float:
    return float(((response >= 0.5) == (y.reshape(response.shape) >= 0.5)).mean())


def _error(response: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    error = response.astype(np.float64)
    if y.ndim == 1 and y.dtype.kind in "iu" and error.shape[1] > 1:
        error[np.arange(len(y)), y] -= 1.0
    else:
        error -= y.reshape(error.shape)
    return error

"""Metrics of probabilities: how far from what came."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastbp.metric.rows import Array, Weight, error, mean


def log_loss(response: Array, y: Array, weight: Weight, is_class: bool) -> float:
    """-sum y log p over the classes, -(y log p + (1 - y) log(1 - p)) of an output; every p within
    [eps, 1 - eps] of the response's type, as in scikit-learn.
    """
    eps = float(np.finfo(response.dtype).eps)

    def log(p: Array) -> NDArray[np.float64]:
        return np.asarray(np.log(np.clip(p.astype(np.float64), eps, 1.0 - eps)))

    if is_class and y.ndim == 1:
        return -mean(log(response[np.arange(len(y)), y]), weight)
    if is_class:
        return -mean((y * log(response)).sum(axis=1), weight)
    y = y.reshape(response.shape).astype(np.float64)
    return -mean(y * log(response) + (1.0 - y) * log(1.0 - response.astype(np.float64)), weight)


def brier(response: Array, y: Array, weight: Weight, is_class: bool) -> float:
    """The squared error of an output or of the second of two classes, its sum over three classes
    or more.
    """
    square = np.square(error(response, y, is_class))
    if not is_class:
        return mean(square, weight)
    return mean(square.sum(axis=1), weight) * (0.5 if response.shape[1] == 2 else 1.0)

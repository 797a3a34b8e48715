"""What to write instead where class labels are not the numbers that the loss takes.

Each piece of advice ends a message about y; it is sought when the message is due, not before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_NUMBERED = (
    "classes, y = np.unique(y, return_inverse=True), then np.searchsorted(classes, y) for other y"
)
_OF_CLASSES = f"; class labels as numbers: {_NUMBERED}"
_OF_ONE = "; labels start at 0: pass y - 1"
_OTHER_LOSS = '; for class labels use loss="cross_entropy"'


def text_advice(loss: str) -> str:
    """For names of classes, by the canonical name of the loss."""
    if loss in ("cross_entropy", "binary_cross_entropy"):
        return _OF_CLASSES
    return f"{_OTHER_LOSS} and numbers: {_NUMBERED}"


def column_advice(y: NDArray[Any], n_out: int) -> str:
    """For one column where `n_out` are expected: it may hold the numbers of classes."""
    is_label = y.dtype.kind != "f" or (_whole(y) and bool(((y >= 0) & (y <= n_out)).all()))
    return _OTHER_LOSS if is_label else ""


def index_advice(y: NDArray[Any], n_out: int) -> str:
    """For whole numbers, not all of them in 0..n_out-1."""
    values = np.unique(y)
    if values[0] >= 1 and values[-1] <= n_out:
        return _OF_ONE
    if n_out == 2 and _within(values, -1, 1):
        return "; labels -1 and 1: pass (y + 1) // 2"
    return _OF_CLASSES if len(values) == n_out else ""  # numbered with gaps


def probability_advice(y: NDArray[Any]) -> str:
    """For numbers, not all of them in [0, 1]."""
    if _within(y, -1, 1):
        return "; labels -1 and 1: pass (y + 1) / 2"
    if _within(y, 1, 2):
        return _OF_ONE
    if y.size > len(y) or not _whole(y):
        return ""
    return _OF_CLASSES if len(np.unique(y)) == 2 else _OTHER_LOSS


def _within(values: NDArray[Any], low: int, high: int) -> bool:
    """Whether there is nothing but these two."""
    return bool(((values == low) | (values == high)).all())


def _whole(values: NDArray[Any]) -> bool:
    return bool((values == np.floor(values)).all())

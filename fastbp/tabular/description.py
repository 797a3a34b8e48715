"""What the file of a `TableModel` holds beside its network, and that again from a file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.check.message import shown
from fastbp.history import History
from fastbp.tabular.preprocessing import Preprocessing
from fastbp.tabular.target import (
    ClassTarget,
    NumberTarget,
    Target,
    target_from_config,
    target_to_config,
)

Prior = NDArray[np.float64]


def to_extra(
    preprocessing: Preprocessing, target: Target, prior: Prior, history: History
) -> dict[str, Any]:
    """A dict for JSON."""
    return {
        "preprocessing": preprocessing.to_config(),
        "target": target_to_config(target),
        "prior": prior.tolist(),
        "history": {"epoch": history.epoch, **history.history},
    }


def from_extra(extra: Any) -> tuple[Preprocessing, Target, Prior, History]:
    """Inverse of `to_extra`, and of what version 0.1.0 wrote, which had no prior and no history.

    Raises ValueError, TypeError where it is none.
    """
    if not isinstance(extra, dict) or not {"preprocessing", "target"} <= extra.keys():
        raise ValueError(
            "no description of a table: use fb.Network.load, or write it by fastbp train or "
            "TableModel.save"
        )
    target = target_from_config(extra["target"])
    prior = _prior_from(target, extra.get("prior"))
    history = _history_from(extra.get("history", {}))
    return Preprocessing.from_config(extra["preprocessing"]), target, prior, history


def prior_of(target: Target, y: NDArray[Any]) -> Prior:
    """What is predicted without any column: frequencies of the classes, or the mean."""
    if isinstance(target, ClassTarget):
        counts = np.bincount(y, minlength=len(target.classes)).astype(np.float64)
        return counts / counts.sum()
    return np.array(target.mean)


def _prior_from(target: Target, held: object) -> Prior:
    """That of a file; a file of version 0.1.0 has none, and takes all classes for alike."""
    if isinstance(target, NumberTarget):
        return np.array(target.mean)
    n = len(target.classes)
    found = np.full(n, 1 / n) if held is None else np.asarray(held, np.float64)
    if found.shape != (n,) or not (found >= 0).all() or not 0.99 < found.sum() < 1.01:
        raise ValueError(f"not the frequencies of {n} classes: {shown(held)}")
    return found


def _history_from(held: Any) -> History:
    """That of `save`, as far as it is whole."""
    found = History()
    columns = {str(name): list(values) for name, values in dict(held).items()}
    epochs = columns.pop("epoch", [])
    for name, values in columns.items():
        if len(values) != len(epochs):
            raise ValueError(f"history: {name!r} has {len(values)} epochs of {len(epochs)}")
    for i, epoch in enumerate(epochs):
        found.append(epoch, {name: values[i] for name, values in columns.items()})
    return found

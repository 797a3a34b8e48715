"""The rows that early stopping watches, and the figures it watches."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastbp.check.array import Array
from fastbp.runtime.predict import measure, predict
from fastbp.runtime.rows import checked_rows
from fastbp.runtime.state import State
from fastbp.sklearn.rows import parts


class HeldOut:
    """Held-out rows, checked.

    Attributes:
        names: of the figures that callbacks get.
    """

    def __init__(self, own: Any, X: Any, target: Array, sample_weight: Array | None) -> None:
        self.own, self.target, self.weight = own, target, sample_weight
        self.by_loss = own.monitor == "loss"
        self.names = ["val_loss"] if self.by_loss else ["val_score"]
        if own.callbacks:
            self.names = ["val_loss", "val_score"]
        dtype = own.network_.dtype
        self.X = np.ascontiguousarray(X, dtype) if isinstance(X, np.ndarray) else X
        self.response = np.empty((len(target), own.n_outputs_), own.network_.dtype)

    def measure(self, state: State) -> tuple[float, dict[str, float]]:
        """What is to grow, and the figures of an epoch."""
        figures = {"val_loss": self._loss, "val_score": self._score}
        logs = {name: figures[name](state) for name in self.names}
        if not self.by_loss:
            return logs["val_score"], logs
        self.own.validation_loss_curve_.append(logs["val_loss"])
        return -logs["val_loss"], logs

    def _loss(self, state: State) -> float:
        total = weighed = 0.0
        for run, X in parts(self.X, state.dtype):
            weight = None if self.weight is None else self.weight[run]
            rows = checked_rows(
                state, X, self.target[run], sample_weight=weight, all_zero=True, any_names=True
            )
            if rows.total():
                found = measure(state, rows, self.own.n_threads, ema=bool(self.own.ema))
                total += found["loss"] * rows.total()
                weighed += rows.total()
        return total / weighed if weighed else 0.0

    def _score(self, state: State) -> float:
        """Accuracy, that of whole rows with several labels; or R^2."""
        for run, X in parts(self.X, state.dtype):
            out = self.response[run]
            predict(
                state, X, out, state.response_activation, self.own.n_threads,
                ema=bool(self.own.ema),
            )  # fmt: skip
        if state.loss.domain == "real":
            return r2(self.target, self.response, self.weight)
        if self.target.ndim == 1:
            right = self.response.argmax(axis=1) == self.target
        else:
            right = ((self.response > 0.5) == (self.target > 0.5)).all(axis=1)
        return float(np.average(right, weights=self.weight))


def r2(y: Array, response: Array, weight: Array | None) -> float:
    """The mean over the outputs of R^2; NaN where a response is not finite.  An output that does
    not vary counts as 1 where it is met, else as 0.
    """
    if not np.isfinite(response).all():
        return float("nan")
    y = y.astype(np.float64)
    own = np.ones((len(y), 1)) if weight is None else weight[:, np.newaxis]
    rest = (own * (y - response) ** 2).sum(axis=0)
    whole = (own * (y - np.average(y, axis=0, weights=weight)) ** 2).sum(axis=0)
    found = np.where(rest == 0, 1.0, 0.0)
    varies = (whole != 0) & (rest != 0)
    found[varies] = 1 - rest[varies] / whole[varies]
    return float(found.mean())

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
        self.least = own._least_loss(target, sample_weight)
        self.by_loss = own.monitor == "loss"
        self.names = ["val_loss"] if self.by_loss else ["val_score"]
        if own.callbacks:
            self.names = ["val_loss", "val_score"]
        dtype = own.network_.dtype
        self.X = np.ascontiguousarray(X, dtype) if isinstance(X, np.ndarray) else X
        self.response = np.empty((len(target), own.network_.n_outputs), dtype)

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
        return total / weighed + self.least if weighed else 0.0

    def _score(self, state: State) -> float:
        """What the estimator scores by."""
        for run, X in parts(self.X, state.dtype):
            out = self.response[run]
            predict(
                state, X, out, state.response_activation, self.own.n_threads,
                ema=bool(self.own.ema),
            )  # fmt: skip
        return float(self.own._held_out_score(self.target, self.response, self.weight))

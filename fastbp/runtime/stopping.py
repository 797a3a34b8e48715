"""Early stopping by the engine: the decision of an `EarlyStopping`, taken in compiled code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.backend.numpy.watch import BEST, BEST_EPOCH, WAIT
from fastbp.callback import Callback, EarlyStopping
from fastbp.runtime.state import State


class Stopping:
    """One callback, served by the engine while whole epochs run."""

    def __init__(self, callback: EarlyStopping, state: State, columns: Sequence[str]) -> None:
        self.callback, self.state = callback, state
        name = callback.monitored
        self.column = 0 if name == "loss" else columns.index(name) + 1
        self.best = np.zeros_like(state.parameters) if callback.restore_best_weights else None
        self.numbers: NDArray[np.float64] = np.zeros(0)

    def most_epochs(self, epoch: int) -> float:
        """From this one on, by one rule: the first cannot be the last, those that do not count
        cannot either.
        """
        start = self.callback.start_from_epoch
        if epoch < start:
            return start - epoch
        return 1 if epoch == 0 and self.callback.patience <= 1 else math.inf

    def begin(self, epoch: int) -> dict[str, Any]:
        """Arguments of `Engine.train` for the epochs from this one on."""
        own = self.callback.decision
        if epoch < own.start_from_epoch:
            self.numbers = np.zeros(0)
            return {}
        sign = -1.0 if own.growing else 1.0
        best = math.nan if own.best is None else own.best
        patience = math.inf if epoch == 0 and own.patience <= 1 else own.patience
        baseline = math.nan if own.baseline is None else own.baseline
        self.numbers = np.array(
            [self.column, sign, own.min_delta, patience, baseline, best, own.wait, -1.0]
        )
        return {"watch": self.numbers, "best": self.best}

    def end(self, first: int, last: int, *, stopped: bool) -> None:
        """What came of epochs `first` to `last`."""
        own, numbers, callback = self.callback.decision, self.numbers, self.callback
        own.last = max(own.last, last)
        if not len(numbers):
            return
        own.wait, own.is_best = int(numbers[WAIT]), False
        if numbers[BEST_EPOCH] >= 0:
            own.best, own.best_epoch = float(numbers[BEST]), first + int(numbers[BEST_EPOCH])
            own.is_best = own.best_epoch == last
            if self.best is not None:
                views = self.state.layout.views(self.best).values()
                callback.best_weights = [view.copy() for view in views]
        if stopped:
            callback.stopped_epoch = last
            callback.model.stop_training = True


def served(callbacks: Sequence[Callback]) -> EarlyStopping | None:
    """The only EarlyStopping among callbacks, where nothing of it has been changed."""
    found = [one for one in callbacks if isinstance(one, EarlyStopping)]
    if len(found) != 1 or type(found[0]) is not EarlyStopping or found[0].epochs_per_call != 1:
        return None
    return None if any(name.startswith("on_") for name in vars(found[0])) else found[0]

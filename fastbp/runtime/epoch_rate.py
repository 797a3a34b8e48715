"""The learning rates of a fit: what its history says of them, and a schedule that is stretched."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastbp.runtime.rate import assign
from fastbp.runtime.state import State


class Rates:
    """Which learning rate each epoch had.

    Attributes:
        constant: the one of all epochs so far, NaN where a schedule gives them.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        rate: Any = state.optimizer.learning_rate
        self.is_constant = isinstance(rate, float | int)
        self.constant = float(rate) if self.is_constant else float("nan")

    def are_the_same(self) -> bool:
        """Told quickly, where it can be."""
        return self.is_constant and self.state.optimizer.learning_rate == self.constant

    def of(self, n_epochs: int, begin: int, end: int) -> tuple[list[float], bool]:
        """The rates of the last step of each of the epochs between so many steps and so many,
        nothing as long as it is the same; and whether it was until now.

        Where a schedule is asked once an epoch, it is for the rate of its first step.
        """
        rate: Any = self.state.optimizer.learning_rate
        is_number = isinstance(rate, float | int)
        was_constant = self.is_constant
        if n_epochs == 0 or (was_constant and is_number and rate == self.constant):
            return [], False
        self.is_constant = False
        if is_number:
            return [float(rate)] * n_epochs, was_constant
        each = max(1, (end - begin) // n_epochs)
        first = begin + each * np.arange(n_epochs, dtype=np.int64)
        asked = first if getattr(rate, "per", "step") == "epoch" else first + each - 1
        return np.asarray(rate.values(asked), np.float64).tolist(), was_constant


class Stretch:
    """A schedule that has a length, stretched over the steps that fit into a time; as it was once
    the fit has ended.
    """

    def __init__(self, state: State) -> None:
        schedule: Any = state.optimizer.learning_rate
        self.state = state
        self.schedule = schedule if hasattr(schedule, "stretched") else None
        self.in_force: Any = schedule

    def to(self, total_steps: int) -> None:
        """Counted from the network's step 0."""
        if self.schedule is None:
            return
        if self.state.optimizer.learning_rate is not self.in_force:
            self.schedule = None  # a callback has set another
            return
        self._assign(self.schedule.stretched(max(1, total_steps)))

    def undo(self) -> None:
        if self.schedule is not None and self.state.optimizer.learning_rate is self.in_force:
            self._assign(self.schedule)

    def _assign(self, schedule: Any) -> None:
        if schedule is not self.in_force:
            assign(self.state, schedule)
            self.in_force = self.state.optimizer.learning_rate

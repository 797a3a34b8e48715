"""The clock of a fit: how long it may train until somebody looks at the time again."""

from __future__ import annotations

import math
import time

from fastbp.runtime.epoch_rate import Stretch
from fastbp.runtime.held_out import Call
from fastbp.runtime.pace import Budget, Pace
from fastbp.runtime.progress import Progress

_LONG_WORK = 1e11  # of an epoch, by sizes alone: at least a second on one core


class Clock:
    """Of one fit that has a limit of time, a display that is drawn anew, or a backup.

    Attributes:
        budget: the limit, or None.
        every_seconds: between two backups; infinite where there is none.
    """

    every_seconds = math.inf

    def __init__(self, call: Call, budget: Budget | None, display: Progress, n_epochs: int) -> None:
        self.call, self.state, self.budget, self.progress = call, call.state, budget, display
        self.n_epochs = n_epochs
        self.pace = Pace()
        if budget is not None:
            self.first_step = self.state.steps
            self.whole_pace = Pace()  # with all that comes between steps
            self.looked_at = (time.perf_counter(), self.first_step)
            self.stretch = Stretch(self.state)

    def most_steps(self) -> int:
        """Until the next look at the time, at least one."""
        seconds = min(self.progress.interval or math.inf, self.every_seconds / 2)
        if self.budget is not None:
            seconds = min(seconds, self.budget.piece())
        return max(1, self.pace.fits(seconds))

    def most_epochs(self) -> int:
        """Whole ones, at least one."""
        return max(1, self.most_steps() // self.call.n_batches)

    def epoch_is_too_long(self) -> bool:
        """Whether the next one may not fit into the time that is left, as far as is known, or is so
        long that its parts are shown, or a backup comes within it.
        """
        most = self.every_seconds
        if self.budget is not None:
            most = min(most, self.budget.left() / 2)
        if most < math.inf and self.pace.fits(most) < self.call.n_batches:
            return True
        if self.call.rows is None or not self.progress.shows_parts:
            return self.progress.shows_parts
        tables = self.call.n_batches * self.state.layout.work_per_step
        return len(self.call.rows.X) * self.state.work_per_row + tables > _LONG_WORK

    def is_over(self) -> bool:
        """Whether the time is, where it is limited."""
        return self.budget is not None and self.budget.is_over(self.pace)

    def measured(self, begin: float, steps: int) -> None:
        """Some steps have been made since `begin`, when there were `steps`."""
        now, made = time.perf_counter(), self.state.steps
        if made == steps:
            return
        self.pace.measured(made - steps, now - begin)
        if self.budget is None:
            return
        last, last_steps = self.looked_at
        self.looked_at = now, made
        self.whole_pace.measured(made - last_steps, now - last)
        most = self.first_step + self.n_epochs * self.call.n_batches
        self.stretch.to(min(made + self.whole_pace.fits(self.budget.left()), max(made, most)))

    def figures_took(self, seconds: float) -> None:
        """After an epoch: kept free for those of the last one."""
        if self.budget is not None:
            self.budget.reserve = max(self.budget.reserve, seconds)

    def stop(self) -> None:
        if self.budget is not None:
            self.stretch.undo()

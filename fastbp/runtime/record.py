"""What a fit writes down of its epochs."""

from __future__ import annotations

from fastbp.callback.base import Logs
from fastbp.history import History
from fastbp.runtime.epoch_rate import Rates
from fastbp.runtime.state import State

Columns = dict[str, list[float]]  # figures of some epochs, by name


class Record:
    """The history of one fit, and that of all epochs where it goes on with another.

    Attributes:
        history: of this fit alone.
        whole: the same one, or what `go_on` was given and what follows.
    """

    def __init__(self, state: State) -> None:
        self.history = self.whole = History()
        self.rates = Rates(state)

    def go_on(self, past: History) -> None:
        if past.epoch:
            self.whole = past
        if "learning_rate" in past:
            self.rates.is_constant = False

    def add(self, epoch: int, found: Columns, begin: int, end: int, more: int = 0) -> list[float]:
        """Epochs from this number on, which went from `begin` steps to `end`; the learning rate of
        each and of so many more, or nothing while it is constant.
        """
        losses = found["loss"]
        if self.rates.are_the_same():
            rates: list[float] = []
            is_new = False
        else:
            rates, is_new = self.rates.of(len(losses) + more, begin, end)
        for history in self._both() if is_new or losses else ():
            if is_new and history.epoch:
                constant = [self.rates.constant] * len(history)
                history.set_column("learning_rate", constant)
            if losses:
                own = {"learning_rate": rates[: len(losses)]} if rates else {}
                history.extend(epoch, found | own)
        return rates

    def add_last(self, epoch: int, logs: Logs) -> None:
        """One more, with all that is known of it."""
        self.history.append(epoch, logs)
        if self.whole is not self.history:
            self.whole.append(epoch, logs)

    def amend(self, logs: Logs) -> None:
        """What hooks have added to the figures of the last one."""
        for history in self._both():
            history.amend(logs)

    def stopped(self, kind: str, reason: str) -> None:
        for history in self._both():
            history.stopped, history.reason = kind, reason

    def _both(self) -> tuple[History, ...]:
        return (self.history,) if self.whole is self.history else (self.history, self.whole)

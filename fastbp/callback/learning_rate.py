"""Learning rates that follow the epochs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastbp.callback.base import Callback, Logs
from fastbp.callback.monitor import MonitorCallback, Patience, check_patience
from fastbp.check.message import shown
from fastbp.check.scalar import check_integer, check_real


class ReduceLROnPlateau(MonitorCallback):
    """Multiply the learning rate by `factor` where a number has not improved for `patience` epochs.

    Args:
        monitor, mode: as in `EarlyStopping`.
        factor: in [0, 1).
        patience: epochs without improvement before a reduction.
        min_delta: a smaller change is no improvement.
        cooldown: epochs after a reduction before patience begins again.
        min_lr: the rate never falls below.
        verbose: 1 prints a line for each reduction.

    The history then has "learning_rate", the rate that each epoch was trained with.

    >>> reduce = ReduceLROnPlateau(factor=0.5, patience=3, min_lr=1e-5)
    """

    def __init__(
        self,
        monitor: str | None = None,
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.factor = check_real(factor, name="factor", minimum=0, maximum=1, exclude_maximum=True)
        self.patience = check_patience(patience)
        self.verbose = verbose
        self.cooldown = check_integer(cooldown, name="cooldown", minimum=0)
        self.min_lr = check_real(min_lr, name="min_lr", minimum=0)
        self.best: float | None = None
        self.wait = self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.best = None
        self.wait = self.cooldown_counter = 0

    def get_state(self) -> dict[str, Any]:
        return {"best": self.best, "wait": self.wait, "cooldown_counter": self.cooldown_counter}

    def set_state(self, state: dict[str, Any]) -> None:
        self.best, self.wait = state["best"], state["wait"]
        self.cooldown_counter = state["cooldown_counter"]

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs.setdefault("learning_rate", float(self.model.learning_rate))
        value = self.value(logs)
        if value is None:
            return
        if self.cooldown_counter:
            self.cooldown_counter -= 1
            self.wait = 0
        decision = Patience(growing=self.is_growing(), min_delta=self.min_delta)
        if decision.improves(value, self.best):
            self.best = value
            self.wait = 0
        elif not self.cooldown_counter:
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def _reduce(self, epoch: int) -> None:
        rate = float(self.model.learning_rate)
        if rate <= self.min_lr:
            return
        self.model.learning_rate = reduced = max(rate * self.factor, self.min_lr)
        self.cooldown_counter, self.wait = self.cooldown, 0
        if self.verbose:
            print(f"epoch {epoch + 1}: learning rate reduced to {reduced:.6g}")


class LearningRateScheduler(Callback):
    """Before each epoch, set the learning rate to `schedule(epoch, rate)`.

    Args:
        schedule: takes the number of the epoch, from 0, and the rate in force; or the first alone.
        verbose: 1 prints a line an epoch.

    The history then has "learning_rate".  A schedule passed to the optimizer as `learning_rate` is
    followed step by step in compiled code; this callback leaves it at every epoch.

    >>> halve = LearningRateScheduler(lambda epoch, rate: rate if epoch < 10 else rate / 2)
    """

    def __init__(self, schedule: Callable[..., Any], verbose: int = 0) -> None:
        if not callable(schedule):
            raise TypeError(f"schedule must be callable, got {shown(schedule)}")
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = _takes_two(schedule)
        self._epoch = -1

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._epoch = -1

    def get_state(self) -> dict[str, Any]:
        return {"epoch": self._epoch}

    def set_state(self, state: dict[str, Any]) -> None:
        self._epoch = state["epoch"]

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if epoch == self._epoch:
            return  # it was left, and goes on with the rate that it has
        arguments = (epoch, float(self.model.learning_rate)) if self._takes_rate else (epoch,)
        rate = check_real(self.schedule(*arguments), name="what schedule returns", minimum=0)
        self.model.learning_rate = rate
        self._epoch = epoch
        if self.verbose:
            print(f"epoch {epoch + 1}: learning rate {rate:.6g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs.setdefault("learning_rate", float(self.model.learning_rate))


def _takes_two(schedule: Callable[..., Any]) -> bool:
    from inspect import signature

    try:
        signature(schedule).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # a built-in function that does not tell
        return True
    return True

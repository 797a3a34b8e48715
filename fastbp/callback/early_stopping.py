"""An end of training where it no longer helps."""

from __future__ import annotations

from typing import Any

from fastbp.callback.base import Logs
from fastbp.callback.monitor import MonitorCallback, Patience, check_patience
from fastbp.check.array import Array
from fastbp.check.scalar import check_bool, check_integer, check_real


class EarlyStopping(MonitorCallback):
    """Stop where a number has not improved for `patience` epochs, and go back to the best weights.

    Args:
        monitor: name of the number; None for "val_loss" with validation data, else "loss".
        min_delta: a smaller change is no improvement.
        patience: so many epochs without improvement end the fit.
        mode: "min", "max" or "auto", by the name.
        baseline: patience begins anew only where the number is better than this, too.
        restore_best_weights: at the end of the fit, stopped or not, the weights are those of the
            best epoch; else of the last.
        start_from_epoch: epochs before this one do not count.
        verbose: 1 prints a line where it stops.

    Attributes:
        stopped_epoch: the epoch after which it stopped, 0 where it did not.
        best, best_epoch: the best number and its epoch, from 0.
        wait: epochs since the last improvement.

    >>> import numpy as np, fastbp as fb
    >>> X = np.arange(8.0)[:, None]
    >>> net = fb.Network([1, 1], optimizer=fb.SGD(0.0), seed=0)  # which learns nothing
    >>> stop = fb.EarlyStopping(patience=3)
    >>> history = net.fit(X, X, epochs=100, callbacks=[stop])
    >>> len(history), stop.best_epoch, stop.stopped_epoch, history.stopped
    (4, 0, 3, 'early stopping')
    """

    def __init__(
        self,
        monitor: str | None = None,
        min_delta: float = 0.0,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = True,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = check_patience(patience)
        self.verbose = verbose
        self.baseline = None if baseline is None else check_real(baseline, name="baseline")
        self.restore_best_weights = check_bool(restore_best_weights, name="restore_best_weights")
        self.start_from_epoch = check_integer(start_from_epoch, name="start_from_epoch", minimum=0)
        self.stopped_epoch = 0
        self.best_weights: list[Array] | None = None
        self.decision = Patience()

    @property
    def best(self) -> float | None:
        return self.decision.best

    @property
    def best_epoch(self) -> int:
        return self.decision.best_epoch

    @property
    def wait(self) -> int:
        return self.decision.wait

    @property
    def stop_reason(self) -> str:
        """Why it stopped, in a sentence."""
        if self.best is None:
            return f"{self.monitored} was not a number for {self.wait} epochs"
        return (
            f"{self.monitored} has not improved on {self.best:.6g} of epoch {self.best_epoch + 1} "
            f"for {self.stopped_epoch - self.best_epoch} epochs"
        )

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.stopped_epoch = 0
        self.best_weights = None
        self.decision = Patience(
            growing=self.is_growing(), min_delta=self.min_delta, patience=self.patience,
            baseline=self.baseline, start_from_epoch=self.start_from_epoch,
        )  # fmt: skip

    def get_state(self) -> dict[str, Any]:
        own = self.decision
        return {
            "best": own.best, "best_epoch": own.best_epoch, "wait": own.wait, "last": own.last,
            "best_weights": self.best_weights,
        }  # fmt: skip

    def set_state(self, state: dict[str, Any]) -> None:
        own = self.decision
        own.best, own.best_epoch, own.wait = state["best"], state["best_epoch"], state["wait"]
        own.last = state["last"]
        if self.restore_best_weights:
            self.best_weights = state["best_weights"]

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.value(logs)
        if value is None:
            return
        stop = self.decision.ends(epoch, value)
        if self.decision.is_best and self.restore_best_weights:
            self.best_weights = self.model.get_weights()
        if stop:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.verbose and self.stopped_epoch:
            print(f"epoch {self.stopped_epoch + 1}: early stopping, {self.stop_reason}")
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)
            self.best_weights = None  # a callback may be kept longer than these should

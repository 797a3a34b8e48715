"""Which way a monitored number improves, and whether it has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastbp.callback.base import Callback, Logs
from fastbp.check.message import shown
from fastbp.check.scalar import check_integer, check_real

_MODES = ("auto", "min", "max")
# Parts of the names of numbers that shall grow, and of those that shall fall.
_GROWING = ("acc", "auc", "precision", "recall", "f1", "r2", "top_k", "score")
_FALLING = (
    "loss", "error", "mse", "mae", "rmse", "brier", "pinball", "deviance", "mape", "perplexity",
)  # fmt: skip


class Patience:
    """The decision of `EarlyStopping`, and nothing else: whether a number still improves.

    Attributes:
        best, best_epoch: the best number so far, None before the first; of which epoch.
        wait: epochs since it improved (on `baseline` too, where there is one).
        is_best: whether the last number seen was the best.
        last: the epoch that was seen last; none is taken into account twice.

    >>> patience = Patience(patience=2)
    >>> [patience.ends(epoch, loss) for epoch, loss in enumerate([3.0, 2.0, 2.5, 2.0])]
    [False, False, False, True]
    >>> patience.best, patience.best_epoch
    (2.0, 1)
    """

    def __init__(
        self,
        *,
        growing: bool = False,
        min_delta: float = 0.0,
        patience: int = 10,
        baseline: float | None = None,
        start_from_epoch: int = 0,
    ) -> None:
        self.growing = growing
        self.min_delta = min_delta
        self.patience = patience
        self.baseline = baseline
        self.start_from_epoch = start_from_epoch
        self.best: float | None = None
        self.best_epoch = 0
        self.wait = 0
        self.is_best = False
        self.last = -1

    def ends(self, epoch: int, value: float) -> bool:
        """Take the number of an epoch into account; True where patience is over."""
        if epoch <= self.last:
            return False
        self.last = epoch
        if epoch < self.start_from_epoch:
            self.is_best = False
            return False
        self.wait += 1
        self.is_best = self.improves(value, self.best)
        if self.is_best:
            self.best, self.best_epoch = value, epoch
            if self.baseline is None or self.improves(value, self.baseline):
                self.wait = 0
            return False
        return self.wait >= self.patience and epoch > 0

    def improves(self, value: float, best: float | None) -> bool:
        """By more than `min_delta`; NaN never does."""
        if math.isnan(value):
            return False
        if best is None:
            return True
        sign = -1.0 if self.growing else 1.0
        return sign * value < sign * best - self.min_delta  # as src/engine/epoch.pxi has it


class MonitorCallback(Callback):
    """Base of the callbacks that watch one number of `logs`.

    Args:
        monitor: its name; None for "val_loss" with validation data, else "loss".
        mode: "min", "max", or "auto": by the name.
        min_delta: a smaller change is no improvement.
    """

    def __init__(self, monitor: str | None, mode: str, *, min_delta: float = 0.0) -> None:
        if monitor is not None and not isinstance(monitor, str):
            raise TypeError(f"monitor must be a name or None, got {shown(monitor)}")
        if mode not in _MODES:
            raise ValueError(f"mode must be one of {', '.join(_MODES)}, got {shown(mode)}")
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(check_real(min_delta, name="min_delta"))
        self.monitored = monitor or "loss"  # the name in force

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Find the number.

        Raises ValueError for one of validation without validation data, and where "auto" cannot
        tell which way it improves.
        """
        super().set_params(params)
        names = list(params.get("metrics", ["loss"]))
        has_validation = "val_loss" in names
        self.monitored = self.monitor or ("val_loss" if has_validation else "loss")
        self.check_name(self.monitored, names)
        self.is_growing()

    def check_name(self, name: str, names: list[str]) -> None:
        if name.startswith("val_") and "val_loss" not in names:
            what = f"{type(self).__name__}: {name!r} needs validation data"
            raise ValueError(f"{what}; monitored without: {', '.join(names)}")

    def is_growing(self) -> bool:
        """Whether more is better.

        Raises ValueError where nobody says so.
        """
        if self.mode != "auto":
            return self.mode == "max"
        name = self.monitored.removeprefix("val_")
        if any(part in name for part in _FALLING):
            return False
        if any(part in name for part in _GROWING):
            return True
        raise ValueError(
            f"{type(self).__name__}: mode must be 'min' or 'max' for monitor {self.monitored!r}"
        )

    def value(self, logs: Logs | None) -> float | None:
        """What is monitored; None in an epoch without validation.

        Raises ValueError where there is no such number.
        """
        found = (logs or {}).get(self.monitored)
        if found is not None:
            return float(found)
        names = list(self.params.get("metrics", [])) if self.params else []
        if self.monitored in names:  # in another epoch
            return None
        names = [*names, *(name for name in logs or {} if name not in names)]
        raise ValueError(
            f"{type(self).__name__}: monitor {self.monitored!r} is not among {', '.join(names)}"
        )


def check_patience(patience: object) -> int:
    return check_integer(patience, name="patience", minimum=0)

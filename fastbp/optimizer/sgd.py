"""Gradient descent."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from fastbp.optimizer.base import Optimizer, refuses_unknown
from fastbp.schedule import LearningRate


@refuses_unknown
@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent: w -= learning_rate g.

    With momentum b = momentum b + g; w -= learning_rate b. With nesterov
    w -= learning_rate (g + momentum b). b starts at 0, as in PyTorch with dampening 0; Keras
    scales b by the learning rate, which differs only if that changes.

    Args:
        learning_rate: finite, >= 0, or a `Schedule`, or a function of the number of steps taken, as
            `CallableSchedule` takes it.
        momentum: in [0, 1).
        nesterov: needs a momentum.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> SGD(0.1, momentum=0.9).state_names
    ('momentum',)
    """

    name: ClassVar[str] = "sgd"
    learning_rate: LearningRate = 0.01
    _: KW_ONLY
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        self._set_learning_rate()
        self._set_real("momentum", minimum=0, maximum=1, exclude_maximum=True)
        self._set_bool("nesterov")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum in (0, 1), got 0")

    @property
    def formula(self) -> str:
        """Its step in formula/optimizer.py."""
        return "nesterov" if self.nesterov else "momentum" if self.momentum else "sgd"

    @property
    def state_names(self) -> tuple[str, ...]:
        """The vectors, as long as the parameters, that it keeps between steps."""
        return ("momentum",) if self.momentum else ()

"""A function of the user's as a schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.check.message import shown
from fastbp.schedule.base import Schedule


@dataclass(frozen=True, repr=False)
class CallableSchedule(Schedule):
    """function(step), for any function of the number of steps taken so far.

    Where a learning rate is expected, the function alone stands for `CallableSchedule(function)`.
    It is asked before the compiled loop begins, for every step that the call will take: some tenths
    of a microsecond a step.  It should depend on its argument alone: then a training has the same
    bits in one call and in several.

    `copy` takes the function along, and `pickle` where it can (one with a name in a module).  A
    file keeps its name alone: the network that is loaded predicts, and asks for a learning rate
    before it trains.

    Args:
        function: takes an int >= 0, returns a number, finite and >= 0.
        per: "step", or "epoch": asked for the first step of each epoch alone, and that rate holds
            throughout the epoch, for a function that takes long.  `train_on_batch` and `step` know
            no epochs and ask each time.

    Raises:
        TypeError: `function` is none.
        ValueError: another `per`.

    >>> def halved(step):
    ...     return 0.1 * 0.5 ** (step // 1000)
    >>> CallableSchedule(halved, per="epoch").values([0, 1000]).tolist()
    [0.1, 0.05]
    """

    function: Callable[[int], float]
    per: str = "step"

    def __post_init__(self) -> None:
        if isinstance(self.function, type) or not callable(self.function):
            raise TypeError(f"function must be a function of the step, got {shown(self.function)}")
        if not isinstance(self.per, str) or self.per not in ("step", "epoch"):
            raise ValueError(f"per must be 'step' or 'epoch', got {shown(self.per)}")

    def values(self, steps: ArrayLike) -> NDArray[np.float64]:
        """The learning rates of steps >= 0, as many as there are steps, float64."""
        asked = np.asarray(steps)
        found = [self(step) for step in asked.ravel().tolist()]
        return np.array(found, np.float64).reshape(asked.shape)

    def __call__(self, step: int) -> float:
        """The learning rate of one step >= 0."""
        value: Any = self.function(step)
        if not isinstance(value, Real) and not hasattr(value, "__float__"):
            raise TypeError(
                f"learning_rate must return a number, {self._said} returned {shown(value)} "
                f"for step {step}"
            )
        return float(value)

    @property
    def _said(self) -> str:
        if isinstance(self.function, LostFunction):
            return self.function.name
        return str(getattr(self.function, "__name__", None) or shown(self.function))

    def to_config(self) -> dict[str, Any]:
        """As JSON can hold it: the name of the function, without its code."""
        return {"name": "callable", "function": self._said, "per": self.per}

    def __repr__(self) -> str:
        per = "" if self.per == "step" else f", per={self.per!r}"
        return f"CallableSchedule({self._said}{per})"


@dataclass(frozen=True)
class LostFunction:
    """Stands for a function whose name came out of a file."""

    name: str

    def __call__(self, step: int) -> float:
        raise RuntimeError(
            f"learning_rate was the function {self.name}, of which a file keeps the name "
            "alone: set net.learning_rate before training"
        )

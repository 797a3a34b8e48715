"""Schedules that fall by a factor, a power or a root of the steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fastbp.schedule.arithmetic import power
from fastbp.schedule.base import Formula


@dataclass(frozen=True, repr=False)
class _Decay(Formula):
    """What falls with the number of `decay_steps` that have passed."""

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False

    def __post_init__(self) -> None:
        self._set_rate("initial_learning_rate", "decay_rate")
        self._set_steps("decay_steps")
        self._set_bool("staircase")

    def _passed(self, step: NDArray[np.float64]) -> NDArray[np.float64]:
        passed = step / self.decay_steps
        return np.floor(passed) if self.staircase else passed


@dataclass(frozen=True, repr=False)
class ExponentialDecay(_Decay):
    """initial_learning_rate decay_rate^(step / decay_steps); as in Keras.

    Args:
        initial_learning_rate: finite, >= 0.
        decay_steps: in how many steps it falls by `decay_rate` once, > 0.
        decay_rate: finite, >= 0; above 1 it grows.
        staircase: the exponent is its whole part, so that the rate changes every `decay_steps`.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> ExponentialDecay(0.1, 100, 0.5).values([0, 100, 200]).tolist()
    [0.1, 0.05, 0.025]
    """

    name: ClassVar[str] = "exponential_decay"

    def _values(self, step: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.initial_learning_rate * power(self.decay_rate, self._passed(step))


@dataclass(frozen=True, repr=False)
class InverseTimeDecay(_Decay):
    """initial_learning_rate / (1 + decay_rate step / decay_steps); as in Keras.

    Args:
        initial_learning_rate: finite, >= 0.
        decay_steps: the unit of time, > 0.
        decay_rate: finite, >= 0.
        staircase: only the whole part of step / decay_steps counts.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> InverseTimeDecay(0.1, 100, 1.0).values([0, 100, 300]).tolist()
    [0.1, 0.05, 0.025]
    """

    name: ClassVar[str] = "inverse_time_decay"

    def _values(self, step: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.initial_learning_rate / (1.0 + self.decay_rate * self._passed(step))


@dataclass(frozen=True, repr=False)
class PolynomialDecay(Formula):
    """end + (initial - end) (1 - step / decay_steps)^power, then the end; as in Keras.

    With `cycle` decay_steps is multiplied by the least whole number with which it is not below the
    step: the rate jumps up each time and falls again, more slowly.

    Args:
        initial_learning_rate: finite, >= 0.
        decay_steps: > 0.
        end_learning_rate: finite, >= 0.
        power: finite, >= 0; 1 is a straight line.
        cycle: begin anew instead of staying at the end.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> PolynomialDecay(0.1, 100, 0.0, power=2.0).values([0, 50, 100, 1000]).tolist()
    [0.1, 0.025, 0.0, 0.0]
    """

    name: ClassVar[str] = "polynomial_decay"
    steps: ClassVar[tuple[str, ...]] = ("decay_steps",)
    initial_learning_rate: float
    decay_steps: float
    end_learning_rate: float = 1e-4
    power: float = 1.0
    cycle: bool = False

    def __post_init__(self) -> None:
        self._set_rate("initial_learning_rate", "end_learning_rate", "power")
        self._set_steps("decay_steps")
        self._set_bool("cycle")

    @property
    def length(self) -> float | None:
        """decay_steps; None with `cycle`."""
        return None if self.cycle else self.decay_steps

    def _values(self, step: NDArray[np.float64]) -> NDArray[np.float64]:
        t = step / self.decay_steps
        t = t / np.maximum(np.ceil(t), 1.0) if self.cycle else np.minimum(t, 1.0)
        height = self.initial_learning_rate - self.end_learning_rate
        return self.end_learning_rate + height * power(1.0 - t, self.power)


@dataclass(frozen=True, repr=False)
class InverseSquareRoot(Formula):
    """max_learning_rate sqrt(warmup_steps / step) from step = warmup_steps on; before, a straight
    line to there from initial_learning_rate.

    Vaswani et al., Attention is all you need, 2017, section 5.3, where max_learning_rate is
    1 / sqrt(d warmup_steps) and steps are counted from 1.

    Args:
        max_learning_rate: at the end of the warm-up, finite, >= 0.
        warmup_steps: > 0.
        initial_learning_rate: at step 0, finite, >= 0.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> InverseSquareRoot(0.1, 100).values([0, 50, 100, 400]).tolist()
    [0.0, 0.05, 0.1, 0.05]
    """

    name: ClassVar[str] = "inverse_square_root"
    max_learning_rate: float
    warmup_steps: float
    initial_learning_rate: float = 0.0

    def __post_init__(self) -> None:
        self._set_rate("max_learning_rate", "initial_learning_rate")
        self._set_steps("warmup_steps")

    def _values(self, step: NDArray[np.float64]) -> NDArray[np.float64]:
        first, last = self.initial_learning_rate, self.max_learning_rate
        warm = first + (last - first) * np.minimum(step / self.warmup_steps, 1.0)
        root = np.sqrt(self.warmup_steps / np.maximum(step, self.warmup_steps))
        return np.where(step < self.warmup_steps, warm, last * root)

"""Schedules of constant pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastbp.check.message import counted
from fastbp.check.scalar import check_real
from fastbp.schedule.arithmetic import MOST, whole_power
from fastbp.schedule.base import Formula, as_list, increasing_steps


@dataclass(frozen=True, repr=False)
class ConstantSchedule(Formula):
    """The same learning rate at every step, as of a plain number; where a schedule is asked for.

    Args:
        learning_rate: finite, >= 0.

    Raises:
        TypeError, ValueError: no number, or out of its range.

    >>> ConstantSchedule(0.1).values([0, 1000]).tolist()
    [0.1, 0.1]
    """

    name: ClassVar[str] = "constant"
    learning_rate: float

    def __post_init__(self) -> None:
        self._set_rate("learning_rate")

    def _values(self, step: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.full(step.shape, self.learning_rate)


@dataclass(frozen=True, repr=False, init=False)
class PiecewiseConstantDecay(Formula):
    """values[i], i the first with step <= boundaries[i]; values[-1] after the last boundary.  As in
    Keras: a boundary is the last step of its piece.

    Args:
        boundaries: increasing, >= 0.
        values: one more than boundaries, each finite, >= 0.

    Raises:
        TypeError, ValueError: an argument of another type, out of its range, or of another length.

    >>> PiecewiseConstantDecay([100, 200], [1.0, 0.5, 0.1]).values([0, 100, 101, 201]).tolist()
    [1.0, 1.0, 0.5, 0.1]
    """

    name: ClassVar[str] = "piecewise_constant_decay"
    boundaries: tuple[float, ...]
    learning_rates: tuple[float, ...]  # `values` of Keras, a method here

    def __init__(self, boundaries: Sequence[float], values: Sequence[float]) -> None:
        object.__setattr__(self, "boundaries", increasing_steps(boundaries, name="boundaries"))
        rates = tuple(
            check_real(value, name=f"values[{i}]", minimum=0)
            for i, value in enumerate(as_list(values, name="values"))
        )
        if len(rates) != len(self.boundaries) + 1:
            pieces = counted(len(self.boundaries) + 1, "piece")
            raise ValueError(f"boundaries make {pieces}, values has {len(rates)}")
        object.__setattr__(self, "learning_rates", rates)

    def arguments(self) -> dict[str, Any]:
        """What the class is called with for another of the same."""
        return {"boundaries": self.boundaries, "values": self.learning_rates}

    def _values(self, step: NDArray[np.float64]) -> NDArray[np.float64]:
        piece = np.searchsorted(np.array(self.boundaries, np.float64), step, side="left")
        return np.array(self.learning_rates)[piece]


@dataclass(frozen=True, repr=False)
class StepDecay(Formula):
    """initial_learning_rate gamma^floor(step / step_size); PyTorch's StepLR, in optimizer steps.

    Args:
        initial_learning_rate: finite, >= 0.
        step_size: after how many steps it falls, > 0.
        gamma: the factor, finite, >= 0.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> StepDecay(0.8, 100, gamma=0.5).values([0, 99, 100, 300]).tolist()
    [0.8, 0.8, 0.4, 0.1]
    """

    name: ClassVar[str] = "step_decay"
    initial_learning_rate: float
    step_size: float
    gamma: float = 0.1

    def __post_init__(self) -> None:
        self._set_rate("initial_learning_rate", "gamma")
        self._set_steps("step_size")

    def _values(self, step: NDArray[np.float64]) -> NDArray[np.float64]:
        n = np.minimum(np.floor(step / self.step_size), MOST).astype(np.int64)
        return self.initial_learning_rate * whole_power(self.gamma, n)


@dataclass(frozen=True, repr=False)
class MultiStepDecay(Formula):
    """initial_learning_rate gamma^n, n the milestones that are <= step; PyTorch's MultiStepLR, in
    optimizer steps: a milestone is the first step of its piece.

    Args:
        initial_learning_rate: finite, >= 0.
        milestones: increasing, >= 0.
        gamma: the factor, finite, >= 0.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> MultiStepDecay(0.8, [100, 150], gamma=0.5).values([0, 99, 100, 300]).tolist()
    [0.8, 0.8, 0.4, 0.2]
    """

    name: ClassVar[str] = "multi_step_decay"
    initial_learning_rate: float
    milestones: Sequence[float]
    gamma: float = 0.1

    def __post_init__(self) -> None:
        self._set_rate("initial_learning_rate", "gamma")
        found = increasing_steps(self.milestones, name="milestones")
        object.__setattr__(self, "milestones", found)

    def _values(self, step: NDArray[np.float64]) -> NDArray[np.float64]:
        n = np.searchsorted(np.array(self.milestones, np.float64), step, side="right")
        return self.initial_learning_rate * whole_power(self.gamma, n.astype(np.int64))

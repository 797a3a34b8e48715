"""How long steps take, and how many fit into a time."""

from __future__ import annotations

import math
import time

from fastbp.check.scalar import check_real

_SLICE = 0.1  # seconds for which a fit with a limit of time runs without a look at the clock


class Pace:
    """Seconds a step, of those measured last."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.steps = 0.0

    def measured(self, steps: int, seconds: float) -> None:
        """An earlier measurement counts half as much with each later one."""
        self.seconds = self.seconds / 2 + seconds
        self.steps = self.steps / 2 + steps

    @property
    def step(self) -> float:
        """Seconds of one; infinite before the first."""
        return max(self.seconds, 1e-9) / self.steps if self.steps else math.inf

    def fits(self, seconds: float) -> int:
        """Whole steps in a time."""
        return int(max(0.0, seconds) / self.step)


class Budget:
    """The seconds that a fit may take.

    Attributes:
        reserve: seconds that the figures after an epoch took, kept free for the last ones.
    """

    def __init__(self, max_seconds: object) -> None:
        seconds = check_real(max_seconds, name="max_seconds", minimum=0, exclude_minimum=True)
        self.end = time.perf_counter() + seconds
        self.reserve = 0.0

    def left(self) -> float:
        return self.end - self.reserve - time.perf_counter()

    def piece(self) -> float:
        """Seconds to run before the next look at the clock: fewer and fewer towards the end."""
        return min(_SLICE, self.left() / 2)

    def is_over(self, pace: Pace) -> bool:
        """Whether the next step would end late by more than half of it."""
        left = self.left()
        return left <= 0 or (pace.steps > 0 and left < pace.step / 2)

"""A step length by the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

_DECREASE = 1e-4  # of what the slope at 0 promises
_CURVATURE = 0.9  # of that slope
_ROUNDING = 8  # units in the last place of the value

Held = TypeVar("Held")


class Trial(NamedTuple, Generic[Held]):
    """One length that was tried: value and slope there, and whatever was found with them."""

    length: float
    value: float
    slope: float
    held: Held


def strong_wolfe(
    at: Callable[[float], Trial[Held]],
    start: Trial[Held],
    first: float,
    *,
    most: int,
    epsilon: float,
) -> Trial[Held] | None:
    """The first length that meets the conditions, by Nocedal and Wright, algorithms 3.5 and 3.6;
    after `most` trials the best one that makes the value smaller, None where none does.

    Args:
        at: tries a length.
        start: length 0, with a slope < 0.
        epsilon: rounding of the values: within some of it a decrease is told by the slopes alone.

    >>> def parabola(x):
    ...     return Trial(x, (x - 3.0) ** 2, 2 * (x - 3.0), None)
    >>> strong_wolfe(parabola, parabola(0.0), 8.0, most=20, epsilon=1e-16).length
    3.0
    """
    search = _Search(at, start, most, epsilon)
    return search.bracket(first)


class _Search(Generic[Held]):
    def __init__(
        self, at: Callable[[float], Trial[Held]], start: Trial[Held], most: int, epsilon: float
    ) -> None:
        self.at, self.start, self.left = at, start, most
        self.noise = _ROUNDING * epsilon * abs(start.value)

    def bracket(self, length: float) -> Trial[Held] | None:
        """Go on until an interval has a good length in it."""
        before = self.start
        while self.left:
            trial = self.take(length)
            if not self.is_lower(trial) or (before.length > 0 and trial.value > before.value):
                return self.zoom(before, trial)
            if self.is_flat(trial):
                return trial
            if trial.slope >= 0:
                return self.zoom(trial, before)
            before, length = trial, _between(before, trial, 2 * trial.length, 10 * trial.length)
        return before if before.length > 0 else None

    def zoom(self, low: Trial[Held], high: Trial[Held]) -> Trial[Held] | None:
        """Narrow an interval; `low` is its better end, with a slope towards `high`."""
        while self.left:
            width = high.length - low.length
            if abs(width) <= 1e-12 * max(abs(low.length), abs(high.length)):
                break
            ends = low.length + 0.1 * width, low.length + 0.9 * width
            trial = self.take(_between(low, high, min(ends), max(ends)))
            if not self.is_lower(trial) or trial.value > low.value + self.noise:
                high = trial
                continue
            if self.is_flat(trial):
                return trial
            if trial.slope * width >= 0:
                high = low
            low = trial
        return low if low.length > 0 else None

    def take(self, length: float) -> Trial[Held]:
        self.left -= 1
        return self.at(length)

    def is_lower(self, trial: Trial[Held]) -> bool:
        """Sufficient decrease, or as far as rounding can tell."""
        start = self.start
        if trial.value <= start.value + _DECREASE * trial.length * start.slope:
            return True
        is_near = trial.value <= start.value + self.noise
        return is_near and trial.slope <= (2 * _DECREASE - 1) * start.slope

    def is_flat(self, trial: Trial[Held]) -> bool:
        return abs(trial.slope) <= -_CURVATURE * self.start.slope


def _between(a: Trial[Held], b: Trial[Held], least: float, most: float) -> float:
    """The minimizer of the cubic through two trials, within limits; their middle where there is
    none.
    """
    middle = 0.5 * (least + most)
    if not (math.isfinite(a.value) and math.isfinite(b.value)):
        return middle
    width = b.length - a.length
    theta = 3 * (a.value - b.value) / width + a.slope + b.slope
    square = theta * theta - a.slope * b.slope
    if not 0 <= square < math.inf:
        return middle
    root = math.copysign(math.sqrt(square), width)
    divisor = b.slope - a.slope + 2 * root
    if divisor == 0:
        return middle
    found = b.length - width * (b.slope + root - theta) / divisor
    return min(max(found, least), most) if math.isfinite(found) else middle

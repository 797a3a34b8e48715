"""Where numbers lie on an axis, and which of them it names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = (1.0, 2.0, 5.0, 10.0)
_ROOM = 0.06  # of the axis, left free beyond the outermost numbers


@dataclass(frozen=True)
class Scale:
    """From numbers to places from 0 to 1, linear or logarithmic.

    >>> scale = Scale.of([1, 10, 100], is_log=True, room=0)
    >>> scale.place(10), [label for _, label in scale.ticks()]
    (0.5, ['1', '10', '100'])
    """

    low: float
    high: float
    is_log: bool = False

    @classmethod
    def of(cls, values: Sequence[float], *, is_log: bool = False, room: float = _ROOM) -> Scale:
        """An axis that holds all of the values, which are finite, and positive if `is_log`."""
        ends = [math.log10(v) if is_log else v for v in (min(values), max(values))]
        low, high = ends
        if low == high:
            grown = 0.5 if is_log else abs(low) / 2 or 0.5
            low, high = low - grown, high + grown
        free = room * (high - low)
        return cls(low - free, high + free, is_log)

    def place(self, value: float) -> float:
        """0 at the lower end, 1 at the upper one."""
        own = math.log10(value) if self.is_log else value
        return (own - self.low) / (self.high - self.low)

    def ticks(self, *, most: int = 5, is_whole: bool = False) -> list[tuple[float, str]]:
        """Round numbers on the axis, and how each is written."""
        if self.is_log and (found := self._powers(most)):
            return [(value, f"{value:g}") for value in found]
        low, high = (10**self.low, 10**self.high) if self.is_log else (self.low, self.high)
        step = _round_step((high - low) / most)
        if is_whole:
            step = max(1.0, step)
        first = math.ceil(low / step - 1e-9)
        last = math.floor(high / step + 1e-9)
        values = [i * step for i in range(first, last + 1) if i or not self.is_log]
        return [(value, _written(value, step)) for value in values]

    def _powers(self, most: int) -> list[float]:
        """Of ten, every so many; with 2 and 5 of them where they are few; none where too few."""
        first, last = math.floor(self.low), math.ceil(self.high)
        for factors in ((1,), (1, 3), (1, 2, 5)):
            every = max(1, math.ceil((self.high - self.low) / most)) if len(factors) == 1 else 1
            powers = range(first - first % every, last + 1, every)
            values = [factor * 10.0**power for power in powers for factor in factors]
            found = [v for v in values if -1e-9 <= self.place(v) <= 1 + 1e-9]
            if len(found) >= 3:
                return found
        return []


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below this."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in _STEPS if step * power >= least * (1 - 1e-9))


def _written(value: float, step: float) -> str:
    """With as many decimals as the step between two has, so that all look alike."""
    if max(abs(value), step) >= 1e6 or step < 1e-6:
        return f"{value:.3g}"
    return f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"

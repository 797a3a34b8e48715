"""Schedules that fall, and rise, as a cosine does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fastbp.check.message import shown
from fastbp.check.scalar import check_integer
from fastbp.schedule.arithmetic import cosine_fall, log, whole_power
from fastbp.schedule.base import Formula


@dataclass(frozen=True, repr=False)
class CosineDecay(Formula):
    """start (alpha + (1 - alpha) (1 + cos(pi t)) / 2), t = step / decay_steps, at most 1; as in
    Keras.

    Without a warm-up start is initial_learning_rate.  With one, the rate first goes in a straight
    line from initial_learning_rate to warmup_target in warmup_steps; then start is warmup_target,
    and t is counted from there.

    Loshchilov & Hutter, SGDR, 2017; for the warm-up Goyal et al., Accurate, large minibatch SGD,
    2017.

    Args:
        initial_learning_rate: finite, >= 0.
        decay_steps: from the start to the end, the warm-up not among them, > 0.
        alpha: the end as a part of start, in [0, 1].
        warmup_target: finite, >= 0, or None for no warm-up.
        warmup_steps: >= 0.

    Raises:
        TypeError: an argument of another type.
        ValueError: an argument out of its range, or warmup_steps without warmup_target.

    >>> CosineDecay(0.1, 100).values([0, 50, 100, 1000]).tolist()
    [0.1, 0.05, 0.0, 0.0]
    >>> CosineDecay(0.0, 100, warmup_target=0.1, warmup_steps=10).values([0, 5, 10, 60]).tolist()
    [0.0, 0.05, 0.1, 0.05]
    """

    name: ClassVar[str] = "cosine_decay"
    steps: ClassVar[tuple[str, ...]] = ("decay_steps", "warmup_steps")
    initial_learning_rate: float
    decay_steps: float
    alpha: float = 0.0
    warmup_target: float | None = None
    warmup_steps: float = 0

    def __post_init__(self) -> None:
        self._set_rate("initial_learning_rate")
        self._set_steps("decay_steps")
        self._set_real("alpha", minimum=0, maximum=1)
        self._set_steps("warmup_steps", may_be_zero=True)
        if self.warmup_target is not None:
            self._set_rate("warmup_target")
        elif self.warmup_steps:
            raise ValueError(
                f"warmup_steps = {shown(self.warmup_steps)} needs a warmup_target, the learning "
                "rate at its end"
            )

    @property
    def length(self) -> float:
        """warmup_steps + decay_steps."""
        return self.warmup_steps + self.decay_steps

    def _values(self, step: NDArray[np.float64]) -> NDArray[np.float64]:
        first, target = self.initial_learning_rate, self.warmup_target
        start = first if target is None else target
        t = np.clip((step - self.warmup_steps) / self.decay_steps, 0.0, 1.0)
        fall = start * ((1.0 - self.alpha) * cosine_fall(t) + self.alpha)
        if not self.warmup_steps:
            return fall
        warm = first + (start - first) * (step / self.warmup_steps)
        return np.where(step < self.warmup_steps, warm, fall)


@dataclass(frozen=True, repr=False)
class CosineDecayRestarts(Formula):
    """initial_learning_rate (alpha + (1 - alpha) m_mul^i (1 + cos(pi t)) / 2), in cycle i = 0, 1,
    ..., which takes first_decay_steps t_mul^i steps, t in [0, 1) the part of it that is over; as in
    Keras.

    Loshchilov & Hutter, SGDR: stochastic gradient descent with warm restarts, 2017.

    Args:
        initial_learning_rate: finite, >= 0.
        first_decay_steps: steps of the first cycle, > 0.
        t_mul: each cycle is so many times as long as the one before, finite, >= 1.
        m_mul: and starts so many times as high, finite, >= 0.
        alpha: the lowest learning rate as a part of the initial one, in [0, 1].

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> CosineDecayRestarts(0.1, 100, m_mul=0.5).values([0, 50, 100, 200, 300]).tolist()
    [0.1, 0.05, 0.05, 0.025, 0.025]
    """

    name: ClassVar[str] = "cosine_decay_restarts"
    initial_learning_rate: float
    first_decay_steps: float
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0

    def __post_init__(self) -> None:
        self._set_rate("initial_learning_rate", "m_mul")
        self._set_steps("first_decay_steps")
        self._set_real("t_mul", minimum=1)
        self._set_real("alpha", minimum=0, maximum=1)

    def _values(self, step: NDArray[np.float64]) -> NDArray[np.float64]:
        cycle, t = self._place(step / self.first_decay_steps)
        fall = whole_power(self.m_mul, cycle) * cosine_fall(t)
        return self.initial_learning_rate * ((1.0 - self.alpha) * fall + self.alpha)

    def _place(self, past: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Which cycle, and which part of it is over, after `past` times the first one's steps."""
        ratio = self.t_mul
        if ratio == 1:
            whole = np.floor(past)
            return whole.astype(np.int64), past - whole

        def begin(cycle: NDArray[np.int64]) -> NDArray[np.float64]:
            return (whole_power(ratio, cycle) - 1.0) / (ratio - 1.0)

        guess = np.floor(log(1.0 + past * (ratio - 1.0)) / log(np.array(ratio)))
        cycle = guess.astype(np.int64)  # right but for a rounding
        cycle = cycle + (past >= begin(cycle + 1)) - (past < begin(cycle))
        return cycle, np.clip((past - begin(cycle)) / whole_power(ratio, cycle), 0.0, 1.0)


@dataclass(frozen=True, repr=False)
class OneCycle(Formula):
    """From max_lr / div_factor up to max_lr at step pct_start total_steps - 1, then down to the
    initial one / final_div_factor at the last step, total_steps - 1; PyTorch's OneCycleLR, of the
    learning rate alone.

    With `three_phase` down to the initial one in as many steps as up, and in the rest to the end.
    The last value holds for later steps.

    Smith & Topin, Super-convergence, 2018.

    Args:
        max_lr: finite, >= 0.
        total_steps: an integer >= 1.
        pct_start: the part of the steps that goes up, in [0, 1].
        anneal_strategy: "cos" or "linear".
        div_factor: finite, > 0.
        final_div_factor: finite, > 0.
        three_phase: see above.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> OneCycle(1.0, 101, pct_start=21 / 101).values([0, 10, 20, 60]).round(3).tolist()
    [0.04, 0.52, 1.0, 0.5]
    """

    name: ClassVar[str] = "one_cycle"
    max_lr: float
    total_steps: int
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False

    def __post_init__(self) -> None:
        self._set_rate("max_lr")
        total = check_integer(self.total_steps, name="total_steps", minimum=1)
        object.__setattr__(self, "total_steps", total)
        self._set_real("pct_start", minimum=0, maximum=1)
        if not isinstance(self.anneal_strategy, str) or self.anneal_strategy not in _ANNEAL:
            known, got = " or ".join(map(repr, _ANNEAL)), shown(self.anneal_strategy)
            raise ValueError(f"anneal_strategy must be {known}, got {got}")
        for name in ("div_factor", "final_div_factor"):
            self._set_real(name, minimum=0, exclude_minimum=True)
        self._set_bool("three_phase")

    @property
    def length(self) -> float:
        """total_steps."""
        return self.total_steps

    def _scaled(self, factor: float) -> OneCycle:
        return replace(self, total_steps=max(1, round(self.total_steps * factor)))

    def _phases(self) -> list[tuple[float, float]]:
        """(last step, learning rate there) of each phase."""
        high, initial = self.max_lr, self.max_lr / self.div_factor
        up, last = self.pct_start * self.total_steps, float(self.total_steps - 1)
        back = [(2 * up - 2, initial)] if self.three_phase else []
        return [(up - 1, high), *back, (last, initial / self.final_div_factor)]

    def _values(self, step: NDArray[np.float64]) -> NDArray[np.float64]:
        step = np.minimum(step, self.total_steps - 1.0)
        begin, start = 0.0, self.max_lr / self.div_factor
        result, open_ = np.empty(step.shape), np.ones(step.shape, bool)
        phases = self._phases()
        for end, target in phases:
            here = open_ & (step <= end) if (end, target) != phases[-1] else open_
            t = (step - begin) / (end - begin) if end != begin else np.ones(step.shape)
            fall = _ANNEAL[self.anneal_strategy](np.clip(t, 0.0, 1.0))
            result = np.where(here, target + (start - target) * fall, result)
            open_ = open_ & ~here
            begin, start = end, target
        return result


_ANNEAL = {"cos": cosine_fall, "linear": lambda t: 1.0 - t}  # 1 at 0, 0 at 1

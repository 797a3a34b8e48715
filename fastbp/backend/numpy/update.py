"""The update of the parameters, clipping and averaging included: the twin of
src/engine/update.pxi.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastbp.backend.numpy.kernel import find_step
from fastbp.check.array import Array
from fastbp.plan import Plan
from fastbp.plan.operation import Segment

_STEP_SIZE = 2**14
_NORM_EPSILON = 1e-6
_AVERAGE_POWER = 2  # where ema^t stands among the running powers


class Update:
    """The optimizer's step of all parameters `w`, from their gradient; `states` and `power` are
    kept by reference as the engine's.
    """

    def __init__(self, plan: Plan, w: Array, states: Array, power: Array) -> None:
        self.optimizer = optimizer = plan.optimizer
        self.w, self.states, self.power = w, states, power
        self.segments = plan.segments.segments
        self.scalars, self.step = find_step(optimizer.formula)
        self.numbers, self.bases = list(optimizer.numbers), optimizer.powers
        self.has_penalties = plan.loss.with_penalties
        self.runs = _runs(self.segments, decays=optimizer.decoupled_decay != 0)

    def penalties(self) -> float:
        """l2 / 2 |w|^2 + l1 |w| where the loss reports them, else 0."""
        total = 0.0
        for segment in self.segments if self.has_penalties else ():
            if segment.l2 or segment.l1:
                w = self.w[_numbers(segment)].astype(np.float64)
                total += 0.5 * segment.l2 * float(w @ w) + segment.l1 * float(np.abs(w).sum())
        return total

    def apply(self, gradient: Array, rate: float, scale: float) -> None:
        """One step at this learning rate; `gradient` is without penalties, and may be changed.
        They are multiplied by `scale`.
        """
        n_powers, optimizer = len(self.bases), self.optimizer
        self.power[:n_powers] *= self.bases
        if optimizer.clips:
            self._clip(gradient, scale)
        own_scalars: dict[float, list[float]] = {}
        slots = self.states[: len(optimizer.state_names)]
        for run, l1, l2, decays, multiplier in self.runs:
            if multiplier == 0:
                continue
            if multiplier not in own_scalars:
                self.numbers[optimizer.rate_index] = rate * multiplier
                values = self.scalars(*self.numbers, *self.power[:n_powers])
                own_scalars[multiplier] = [self.w.dtype.type(value) for value in values]
            penalties = (0.0, 0.0) if optimizer.clips else (scale * l1, scale * l2)
            self.step(
                own_scalars[multiplier], self.w[run], gradient[run], slots[:, run], *penalties,
                decays,
            )  # fmt: skip
        if optimizer.ema:
            self.power[_AVERAGE_POWER] *= optimizer.ema
            part = (1 - optimizer.ema) / (1 - self.power[_AVERAGE_POWER])
            self.states[-1] += self.w.dtype.type(part) * (self.w - self.states[-1])

    def _clip(self, gradient: Array, scale: float) -> None:
        """Add the penalties, then keep within the optimizer's bounds."""
        own, squares, real = self.optimizer, 0.0, gradient.dtype.type
        for segment in self.segments:
            part = _numbers(segment)
            g, w = gradient[part], self.w[part]
            g += real(scale * segment.l2) * w + real(scale * segment.l1) * np.sign(w)
            if own.clipvalue is not None:
                np.clip(g, -real(own.clipvalue), real(own.clipvalue), out=g)
            square = float(np.square(g, dtype=np.float64).sum()) if segment.rate else 0.0
            if own.clipnorm is not None:
                g *= real(own.clipnorm / max(own.clipnorm, square**0.5))
            squares += square
        if own.global_clipnorm is not None:
            gradient *= real(min(1.0, own.global_clipnorm / (squares**0.5 + _NORM_EPSILON)))


def _numbers(segment: Segment) -> slice:
    return slice(segment.offset, segment.offset + segment.rows * segment.ld)


def _runs(
    segments: Sequence[Segment], *, decays: bool
) -> list[tuple[slice, float, float, bool, float]]:
    """Where the optimizer steps alike, with l1, l2, whether the decay applies and the multiplier of
    the learning rate: neighbours together, but no more than _STEP_SIZE numbers, which stay in a
    cache.
    """
    found: list[tuple[slice, float, float, bool, float]] = []
    for segment in segments:
        whole = _numbers(segment)
        begin, end = whole.start, whole.stop
        own = segment.l1, segment.l2, decays and bool(segment.decays), segment.rate
        if found and found[-1][1:] == own and found[-1][0].stop == begin:
            begin = found.pop()[0].start
        found += [(slice(i, min(i + _STEP_SIZE, end)), *own) for i in range(begin, end, _STEP_SIZE)]
    return found

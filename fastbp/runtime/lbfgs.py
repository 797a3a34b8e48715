"""The step of `fb.LBFGS`: a direction by the two-loop recursion, a length by a line search."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastbp.check.array import Array
from fastbp.runtime.full_batch import Move, Objective, Point, Vector, converged
from fastbp.runtime.line_search import Trial, strong_wolfe
from fastbp.runtime.state import State

_Pairs = list[tuple[Vector, Vector]]


class LimitedMemory:
    """See `fastbp.runtime.full_batch.Method`.

    Rows 0, 1, ... of the optimizer's vectors are the last changes of the parameters, the newest
    first, and after all of these those of the gradient.  A pair of zeros is none.
    """

    def __init__(self, state: State, objective: Objective) -> None:
        self.state, self.objective = state, objective
        self.own: Any = state.optimizer

    def step(self, here: Point, rate: float) -> Move:
        """From here, with nothing changed."""
        own, slope = self.own, float(np.abs(here.gradient).max(initial=0))
        if slope <= own.tolerance_grad:
            return Move(None, ended=converged(slope, own.tolerance_grad))
        pairs = self._pairs()
        found = self._search(here, _direction(here.gradient, pairs), rate)
        if found is None and pairs:  # what they tell may no longer be true
            pairs = []
            found = self._search(here, -here.gradient, rate * _first_length(here.gradient))
        if found is None:
            return Move(None, ended=("line search", "no step makes the loss smaller"))
        move = Move(found, self._remember(pairs, here, found))
        slope = float(np.abs(found.gradient).max(initial=0))
        decrease = here.value - found.value
        scale = max(abs(here.value), abs(found.value), 1.0)
        if slope <= own.tolerance_grad:
            move.ended = converged(slope, own.tolerance_grad)
        elif decrease <= own.tolerance_change * scale:
            text = f"the last step made the loss smaller by {max(decrease, 0.0):.2g}"
            move.ended = "converged", f"{text}, tolerance_change={own.tolerance_change:g}"
        return move

    def _search(self, here: Point, direction: Vector, rate: float) -> Point | None:
        """The point of the line search along a direction, or None."""
        slope = _dot(here.gradient, direction)
        if not (slope < 0 and np.isfinite(slope)) or rate <= 0:
            return None
        origin, dtype = here.moved.astype(np.float64), self.state.dtype

        def at(length: float) -> Trial[Point]:
            with np.errstate(all="ignore"):  # what overflows is too far
                target = (origin + length * direction).astype(dtype)
            if not np.isfinite(target).all():
                return Trial(length, np.inf, np.nan, here)
            point = self.objective(target)
            return Trial(length, point.value, _dot(point.gradient, direction), point)

        epsilon, most = float(np.finfo(dtype).eps), self.own.max_line_search
        start = Trial(0.0, here.value, slope, here)
        found = strong_wolfe(at, start, rate, most=most, epsilon=epsilon)
        return None if found is None else found.held

    # the memory

    def _table(self) -> Array:
        return self.state.optimizer_state.reshape(2, self.own.history_size, -1)

    def _pairs(self) -> _Pairs:
        found = []
        for s, y in zip(*self._table().astype(np.float64), strict=True):
            if not _dot(s, y) > 0:
                break
            found.append((s, y))
        return found

    def _remember(self, pairs: _Pairs, here: Point, there: Point) -> Array:
        """The vectors with one more pair; as they were, where it tells of no curvature."""
        table, dtype = self._table(), self.state.dtype
        s = (there.at.astype(np.float64) - here.moved).astype(dtype)
        y = (there.gradient - here.gradient).astype(dtype)
        kept = np.zeros_like(table)
        own, change = s.astype(np.float64), y.astype(np.float64)
        first = 0
        if _dot(own, change) > np.finfo(np.float64).eps * _dot(change, change):
            kept[0, 0], kept[1, 0], first = s, y, 1
        n = min(len(pairs), self.own.history_size - first)
        kept[:, first : first + n] = table[:, :n]
        return kept.reshape(-1)


def _direction(gradient: Vector, pairs: _Pairs) -> Vector:
    """-H gradient; H is scaled by the newest pair, or, where there is none, so that a length of 1
    is no longer than 1.
    """
    if not pairs:
        return -_first_length(gradient) * gradient
    q, parts = -gradient, []
    for s, y in pairs:
        part = _dot(s, q) / _dot(s, y)
        parts.append(part)
        q -= part * y
    s, y = pairs[0]
    q *= _dot(s, y) / _dot(y, y)
    for (s, y), part in zip(reversed(pairs), reversed(parts), strict=True):
        q += (part - _dot(y, q) / _dot(s, y)) * s
    return q


def _dot(a: Vector, b: Vector) -> float:
    """The bits are those of any processor and any number of threads, as BLAS's are not."""
    return float(np.add.reduce(a * b))


def _first_length(gradient: Vector) -> float:
    return min(1.0, 1.0 / float(np.abs(gradient).sum()))

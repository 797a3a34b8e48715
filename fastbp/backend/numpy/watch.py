"""Early stopping inside a call: the twin of `watch_epoch` in src/engine/epoch.pxi."""

from __future__ import annotations

from collections.abc import Sequence

from fastbp.check.array import Array

# the places of struct Watch
COLUMN, SIGN, MIN_DELTA, PATIENCE, BASELINE, BEST, WAIT, BEST_EPOCH = range(8)


def watch_epoch(
    watch: Array, figures: Sequence[float], epoch: int, w: Array, best: Array | None
) -> bool:
    """Keep the parameters of the best epoch; whether `patience` epochs went by without one."""
    value = figures[int(watch[COLUMN])]
    watch[WAIT] += 1
    if _is_better(watch, value, watch[BEST]):
        watch[BEST], watch[BEST_EPOCH] = value, epoch
        if best is not None:
            best[:] = w
        if _is_better(watch, value, watch[BASELINE]):
            watch[WAIT] = 0
        return False
    return bool(watch[WAIT] >= watch[PATIENCE])


def _is_better(watch: Array, value: float, other: float) -> bool:
    """By more than min_delta, or than none, nan; nan never is."""
    if other != other:
        return bool(value == value)
    return bool(watch[SIGN] * value < watch[SIGN] * other - watch[MIN_DELTA])

"""How a call of the engine ends: its status, and the error of a training that diverged."""

from __future__ import annotations

import numpy as np

from fastbp.error import DivergenceError

INTERRUPTED, DIVERGED, STOPPED = 1, 2, 4  # as `take_progress` says


def divergence(loss: float, place: str, rate: float, parameters: str) -> DivergenceError:
    """The error, of what happened where, and what the parameters are now."""
    what = "a parameter is not finite" if np.isfinite(loss) else f"loss is {loss}"
    return DivergenceError(f"{what}{place} (learning_rate={float(rate)}); parameters {parameters}")


def diverged(loss: float, epoch: int, batch: int, rate: float) -> DivergenceError:
    """That of a batch; both are counted from 0."""
    where = f"the end of epoch {epoch}" if epoch else "before the call"
    place = f" at epoch {epoch + 1}, batch {batch + 1}"
    return divergence(loss, place, rate, f"restored to {where}")

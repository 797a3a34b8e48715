"""The learning rate in force: what `Network.learning_rate` reads and sets, and engines are given.

`state.rate` holds the rate of a step that is taken alone, and of every step where the optimizer's
learning rate is a number.  Where it is a schedule, a call of many steps gets a table.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastbp.check.message import shown
from fastbp.runtime.guard import writing
from fastbp.runtime.state import State
from fastbp.schedule import LearningRate, Schedule
from fastbp.schedule.base import Formula

STEPS_AT_ONCE = 2**20  # the most of a table, but for one epoch of more
_AHEAD = 256  # rates that are computed at a time where steps come alone


def rates(
    state: State, n_steps: int, *, steps_per_epoch: int | None = None
) -> NDArray[np.float64] | None:
    """The learning rates of the next `n_steps` steps, (n_steps,); None where `state.rate` holds it.

    Args:
        steps_per_epoch: the next step begins an epoch of so many; None for steps without epochs.

    Raises:
        ValueError: a learning rate is not finite or < 0; and what a function of the user's raises.
    """
    schedule = state.optimizer.learning_rate
    if not isinstance(schedule, Schedule):
        return None
    asked = np.arange(state.steps, state.steps + n_steps, dtype=np.int64)
    held = steps_per_epoch if steps_per_epoch and schedule.per == "epoch" else 1
    asked = asked[::held]
    found = np.asarray(schedule.values(asked), np.float64)
    if found.shape != asked.shape:
        raise ValueError(
            f"{schedule!r} returned values of shape {found.shape} for steps of shape {asked.shape}"
        )
    bad = np.flatnonzero(~((found >= 0) & (found < math.inf)))
    if len(bad):
        raise _refusal(schedule, float(found[bad[0]]), int(asked[bad[0]]))
    return np.ascontiguousarray(np.repeat(found, held)[:n_steps] if held > 1 else found)


def most_epochs(state: State, steps_per_epoch: int, epochs: int) -> int:
    """How many epochs one call of an engine takes, so that its table stays small."""
    if not isinstance(state.optimizer.learning_rate, Schedule):
        return epochs
    return max(1, min(epochs, STEPS_AT_ONCE // steps_per_epoch))


def set_rate(state: State) -> None:
    """`state.rate` for the next step, which is taken alone.

    Raises as `rates`.
    """
    if type(state.optimizer.learning_rate) is not float:
        state.rate[0] = next_rate(state)


def next_rate(state: State) -> float:
    """The learning rate of the next step.

    Raises as `rates`.
    """
    schedule = state.optimizer.learning_rate
    if not isinstance(schedule, Schedule):
        return float(state.rate[0])
    step = state.steps
    if isinstance(schedule, Formula):  # the same bits alone and in a table
        owner, first, ahead = state.rates_ahead
        if owner is not schedule or not 0 <= step - first < len(ahead):
            first, ahead = step, schedule.values(np.arange(step, step + _AHEAD)).tolist()
            state.rates_ahead = schedule, first, ahead
        rate = ahead[step - first]
    else:
        rate = schedule(step)
    if not 0 <= rate < math.inf:
        raise _refusal(schedule, rate, step)
    return float(rate)


def _refusal(schedule: Schedule, rate: float, step: int) -> ValueError:
    return ValueError(
        f"learning_rate must be finite and >= 0, {schedule!r} gives {shown(rate)} for step {step}"
    )


@writing
def set_learning_rate(state: State, value: LearningRate) -> None:
    """See `Network.learning_rate`."""
    assign(state, value)


def assign(state: State, value: LearningRate) -> None:
    """The same for a call that trains and holds the guard: whatever describes the network tells of
    the new learning rate, the optimizer's vectors and the steps taken stay.

    Raises TypeError, ValueError for what no optimizer takes; nothing has changed by then.
    """
    optimizer = replace(state.optimizer, learning_rate=value)  # type: ignore[type-var]
    state.description = replace(state.description, optimizer=optimizer)
    state.optimizer = optimizer
    if isinstance(optimizer.learning_rate, float):
        state.rate[0] = optimizer.learning_rate

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
_AHEAD = 1024  # steps that are computed at a time where fewer are asked for


def rates(
    state: State, n_steps: int, *, steps_per_epoch: int | None = None, first: int | None = None
) -> NDArray[np.float64] | None:
    """The learning rates of the next `n_steps` steps, (n_steps,); None where `state.rate` holds it.

    Args:
        steps_per_epoch: the next step begins an epoch of so many; None for steps without epochs.
        first: the number of the first step, where it is not the next.

    Raises:
        ValueError: a learning rate is not finite or < 0; and what a function of the user's raises.
    """
    schedule = state.optimizer.learning_rate
    if not isinstance(schedule, Schedule):
        return None
    step = state.steps if first is None else first
    if isinstance(schedule, Formula) and first is None and n_steps <= _AHEAD:
        first, ahead = _ahead(state, schedule, n_steps)
        found = ahead[step - first :][:n_steps]
    else:
        held = steps_per_epoch if steps_per_epoch and schedule.per == "epoch" else 1
        found = _asked(schedule, np.arange(step, step + n_steps, held, dtype=np.int64))
        if held > 1:
            found = np.repeat(found, held)[:n_steps]
        found = np.ascontiguousarray(found)
    if n_steps and not (found.min() >= 0 and found.max() < math.inf):
        bad = int(np.flatnonzero(~((found >= 0) & (found < math.inf)))[0])
        raise _refusal(schedule, float(found[bad]), step + bad)
    return found


def _asked(schedule: Schedule, steps: NDArray[np.int64]) -> NDArray[np.float64]:
    found = np.asarray(schedule.values(steps), np.float64)
    if found.shape != steps.shape:
        raise ValueError(
            f"{schedule!r} returned values of shape {found.shape} for steps of shape {steps.shape}"
        )
    return found


def _ahead(state: State, schedule: Schedule, n_steps: int) -> tuple[int, NDArray[np.float64]]:
    """Rates of `n_steps` steps from the next on among others, and the step of the first of them."""
    assert state.rates_ahead is not None
    step, (first, ahead) = state.steps, state.rates_ahead
    if not first <= step <= first + len(ahead) - n_steps:
        first, ahead = step, schedule.values(np.arange(step, step + _AHEAD))
        state.rates_ahead = first, ahead
    return first, ahead


def set_rate(state: State) -> None:
    """`state.rate` for the next step, which is taken alone; for schedules, nothing else needs it.

    Raises as `rates`.
    """
    state.rate[0] = next_rate(state)


def next_rate(state: State) -> float:
    """The learning rate of the next step.

    Raises as `rates`.
    """
    schedule = state.optimizer.learning_rate
    if not isinstance(schedule, Schedule):
        return float(state.rate[0])
    if isinstance(schedule, Formula):
        first, ahead = _ahead(state, schedule, 1)
        rate = float(ahead[state.steps - first])
    else:
        rate = schedule(state.steps)
    if not 0 <= rate < math.inf:
        raise _refusal(schedule, rate, state.steps)
    return rate


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
    optimizer = replace(state.optimizer, learning_rate=value)
    state.description = replace(state.description, optimizer=optimizer)
    state.optimizer = optimizer
    state.start_rate()

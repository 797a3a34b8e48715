"""What a fit leaves for the next one beside what the network has: states of callbacks, and what
their last hooks have made of parameters and learning rate, as early stopping does, which goes back
to the best weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zlib import crc32

from fastbp.check.array import Array
from fastbp.runtime.rate import assign
from fastbp.runtime.state import State

States = list[tuple[str, dict[str, Any]]]  # of callbacks: class and state


@dataclass(eq=False)
class Standing:
    """Where a fit left the training, beside what the network has.

    Attributes:
        callbacks: class and state of each callback that has one.
        parameters, rate: those of the training where the last hooks set others; else None.
        left: of the parameters and the rate as these hooks left them, where they set any; others
            are the user's and stay.
    """

    callbacks: States
    parameters: Array | None = None
    rate: float | None = None
    left: tuple[int, float] = (0, 0.0)

    def is_left(self, state: State) -> bool:
        return self.left == _left(state)

    def put_back(self, state: State) -> None:
        """What the training goes on with."""
        if (self.parameters is None and self.rate is None) or not self.is_left(state):
            return
        if self.parameters is not None:
            state.parameters[:] = self.parameters
        if self.rate is not None:
            assign(state, self.rate)


class Mark:
    """Where the training stands, before hooks that may set other parameters and another rate."""

    def __init__(self, state: State, callbacks: States, *, keeps: bool) -> None:
        self.callbacks, self.rate = callbacks, _rate(state)
        self.parameters = state.parameters.copy() if keeps else None

    def standing(self, state: State) -> Standing:
        """Now that they have been called."""
        found = Standing(self.callbacks)
        if self.parameters is not None and (self.parameters != state.parameters).any():
            found.parameters = self.parameters
        if self.rate != _rate(state):
            found.rate = self.rate
        if found.parameters is not None or found.rate is not None:
            found.left = _left(state)
        return found


def _left(state: State) -> tuple[int, float]:
    return crc32(state.parameters.tobytes()), _rate(state) or 0.0


def _rate(state: State) -> float | None:
    """None for a schedule, which no hook changes little by little."""
    rate: Any = state.optimizer.learning_rate
    return float(rate) if isinstance(rate, float | int) else None

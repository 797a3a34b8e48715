"""A fit that goes on where another one was stopped, to the bits of one that was not: with the epoch
that was left between two batches, and with its history (`standing` has the rest).
"""

from __future__ import annotations

import warnings
from copy import copy

import numpy as np

from fastbp.check.array import Array
from fastbp.check.message import differing, level_of_caller
from fastbp.description import Unfinished
from fastbp.history import History
from fastbp.runtime.feed import Feed
from fastbp.runtime.state import State
from fastbp.runtime.train import Epochs

Call = Epochs | Feed

# an epoch that was left


def unfinished_for(state: State, call: Call, first: int) -> Unfinished | None:
    """The epoch that a fit of `call` from epoch `first` on has to finish before others.

    Raises ValueError where `first` asks for that, and it cannot be done.
    """
    held = state.unfinished
    if held is None or state.left_at is not None:
        return None
    stands = (
        f"the network stands after {held.batches} batches of epoch {held.number}, counted from 0"
    )
    if first and first != held.number:
        raise ValueError(f"initial_epoch must be {held.number}, got {first}: {stands}")
    own = call.order
    odd = [name for name in own if own[name] != held.order.get(name)]
    if not odd:
        return copy(held)
    if first:
        raise ValueError(
            f"initial_epoch={first}: {stands} and goes on there with the rows and batches of that "
            f"fit; {differing(odd)} (without initial_epoch the rest of it is dropped)"
        )
    return None


def leave(state: State, call: Call, *, number: int, outputs: Array | None) -> None:
    """Keep the epoch in which the engine was interrupted."""
    assert state.left_at is not None
    batches, sums = state.left_at
    own = None if outputs is None else outputs.copy()
    state.unfinished = Unfinished(number, batches, state.steps - batches, call.order, sums, own)
    state.left_at = None


def reopen(
    state: State,
    call: Call,
    *,
    number: int,
    figures: dict[str, float],
    outputs: Array | None,
) -> None:
    """The epoch that has just been trained, for what follows its batches."""
    own = None if outputs is None else outputs.copy()
    first = state.steps - call.n_batches
    sums = np.zeros(len(figures) + 1)  # of no use
    state.unfinished = Unfinished(number, call.n_batches, first, call.order, sums, own, figures)
    state.epochs -= 1


# the history


def past_of(state: State, first: int, unfinished: Unfinished | None) -> History | None:
    """The history that a fit from epoch `first` on goes on with, without those that come anew; None
    where it begins one.
    """
    past = state.history
    if unfinished is not None and unfinished.number == first:
        return _own(past, first)
    if not first or not past.epoch:
        return None
    if past.epoch[-1] + 1 == first:
        return _own(past, first)
    if first == state.epochs:  # `net.epochs` after several fits, each with a history of its own
        return None
    warnings.warn(
        f"initial_epoch={first}, but the last fit ended with epoch {past.epoch[-1]}, counted from "
        f"0: initial_epoch={past.epoch[-1] + 1} goes on with it",
        UserWarning,
        stacklevel=level_of_caller(),
    )
    return None


def _own(past: History, first: int) -> History:
    """One that no caller of an earlier fit holds."""
    if not past.is_whole_run:
        past = past.copy()
        past.is_whole_run = True
    past.cut(first)
    past.stopped = past.reason = None
    return past

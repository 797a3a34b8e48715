"""`Network.train_on_batch` and `train_steps`: optimizer steps without a history."""

from __future__ import annotations

from numpy.typing import ArrayLike

from fastbp.check.input import check_parameters
from fastbp.check.scalar import check_bool, check_integer
from fastbp.error import DivergenceError
from fastbp.runtime import engine_cache
from fastbp.runtime.epochs import (
    DIVERGED,
    INTERRUPTED,
    Epochs,
    check_threads,
    not_finite,
    warn_once,
)
from fastbp.runtime.state import State

_EPOCHS_AT_ONCE = 2**14  # in `train_steps`, whose losses are kept until they are averaged


def train_on_batch(state: State, X: ArrayLike, y: ArrayLike) -> float:
    """See `Network.train_on_batch`."""
    guard, token = state.guard, object()
    try:
        guard.begin_writing(token)
        rows, target = state.checked_pair(X, y)
        engine, _, _ = engine_cache.engine(state, "train", len(rows))
        try:
            loss: float = engine.train_batch(rows, target)
        finally:
            # a signal handler may raise as soon as the call returns: what was done counts
            status, _, _ = engine.take_progress(state)
        if status == DIVERGED:
            rate = state.optimizer.learning_rate
            what = not_finite(loss)
            raise DivergenceError(f"{what} (learning_rate={rate}); parameters unchanged")
        if status == INTERRUPTED:
            raise engine.take_pending()
        return loss
    finally:
        guard.writers.discard(token)


def train_steps(
    state: State,
    X: ArrayLike,
    y: ArrayLike,
    *,
    steps: int,
    batch_size: int,
    shuffle: bool,
    n_threads: int | str,
) -> float:
    """See `Network.train_steps`."""
    guard, token = state.guard, object()
    try:
        guard.begin_writing(token)
        steps = check_integer(steps, name="steps", minimum=1)
        batch_size = check_integer(batch_size, name="batch_size", minimum=1)
        shuffle = check_bool(shuffle, name="shuffle")
        n_threads = check_threads(n_threads)
        rows, target = state.checked_pair(X, y)
        check_parameters(state.parameter_views(), isfinite=state.scan)
        warn_once(state, rows, X)
        call = Epochs(
            state, rows, target, batch_size=batch_size, shuffle=shuffle, n_threads=n_threads
        )
        epochs = -(-steps // call.n_batches)
        rows_at_last = min((steps - (epochs - 1) * call.n_batches) * call.batch_size, len(rows))
        total, done = 0.0, 0
        while done < epochs:
            losses = call.run(
                min(epochs - done, _EPOCHS_AT_ONCE),
                first=done,
                max_steps=steps - done * call.n_batches,
            )
            total += float(losses.sum()) * len(rows)
            done += len(losses)
        total -= float(losses[-1]) * (len(rows) - rows_at_last)
        return total / ((epochs - 1) * len(rows) + rows_at_last)
    finally:
        guard.writers.discard(token)

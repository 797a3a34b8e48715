"""Training: whole epochs in one call of the engine, `Network.train_steps` and `train_on_batch`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.check.array import Array
from fastbp.check.input import check_batches, check_parameters
from fastbp.check.scalar import check_bool, check_integer, check_n_threads
from fastbp.check.scale import unevenness
from fastbp.error import DivergenceError
from fastbp.runtime import engine_cache
from fastbp.runtime.guard import writing
from fastbp.runtime.rate import STEPS_AT_ONCE, rates, set_rate
from fastbp.runtime.state import State

_INTERRUPTED, _DIVERGED = 1, 2  # as `take_progress` says
_EPOCHS_AT_ONCE = 2**14  # in `train_steps`, whose losses are kept until they are averaged


class Epochs:
    """The epochs of one call of `fit` or `train_steps`: what stays the same from run to run.

    Raises TypeError, ValueError for what `Network.fit` refuses.
    """

    def __init__(
        self,
        state: State,
        X: ArrayLike,
        y: ArrayLike,
        *,
        batch_size: int,
        shuffle: bool,
        n_threads: int | str,
        batches: Sequence[Sequence[int]] | None = None,
        check_finite: bool = True,
    ) -> None:
        self.state = state
        self.batch_size = check_integer(batch_size, name="batch_size", minimum=1)
        shuffle = check_bool(shuffle, name="shuffle") and batches is None
        most_threads = check_n_threads(n_threads)
        # "auto" is decided when the work is known
        self.n_threads = "auto" if n_threads == "auto" else most_threads
        self.X, self.y = state.checked_pair(X, y, check_finite=check_finite)
        n_rows = len(self.X)
        if n_rows >= 2**32 and (shuffle or batches is not None):
            raise ValueError(f"X has {n_rows} rows: an order of rows takes at most {2**32 - 1}")
        self.shuffled = np.empty(n_rows, np.uint32) if shuffle else None
        self.batch_rows: NDArray[np.uint32] | None = None
        self.batch_offsets: NDArray[np.int64] | None = None
        if batches is None:
            self.batch_size = min(self.batch_size, n_rows)
            self.n_batches = -(-n_rows // self.batch_size)
        else:
            self.batch_rows, self.batch_offsets = check_batches(batches, n_rows=n_rows)
            self.batch_size = int(np.diff(self.batch_offsets).max())
            self.n_batches = len(self.batch_offsets) - 1
        check_parameters(state.parameter_views(), isfinite=state.scan)
        self.finished = np.zeros(0)  # losses of the last run's whole epochs

    def run(self, epochs: int, *, first: int = 0, max_steps: int = -1) -> NDArray[np.float64]:
        """The losses of `epochs` epochs; `first` is how many this call has done before."""
        losses = np.zeros(epochs)
        if self.state.rates_ahead is None:  # the learning rate is a number
            self._run(losses, 0, epochs, first, max_steps)
            return losses
        at_once = max(1, STEPS_AT_ONCE // self.n_batches)
        for done in range(0, epochs, at_once):
            left = max_steps if max_steps < 0 else max(0, max_steps - done * self.n_batches)
            self._run(losses, done, min(done + at_once, epochs), first, left)
        return losses

    def _run(
        self, all_losses: NDArray[np.float64], begin: int, end: int, first: int, max_steps: int
    ) -> None:
        """Epochs `begin` to `end` of a run, in one call of the engine."""
        state, losses, epochs = self.state, all_losses[begin:end], end - begin
        self.finished = all_losses[:begin]
        n_steps = self.n_batches * epochs
        engine, _, threads = engine_cache.take_trainer(
            state, self.batch_size, self.n_threads, n_steps
        )
        table = None
        if state.rates_ahead is not None:
            n_steps = n_steps if max_steps < 0 else min(n_steps, max_steps)
            table = rates(state, n_steps, steps_per_epoch=self.n_batches)
        try:
            engine.train(
                self.X, self.y, batch_size=self.batch_size, epochs=epochs, losses=losses,
                n_threads=threads, shuffled=self.shuffled,
                batch_rows=self.batch_rows, batch_offsets=self.batch_offsets,
                seed=state.seed, first_epoch=state.epochs, max_steps=max_steps, rates=table,
            )  # fmt: skip
        finally:
            # a signal handler may raise as soon as the call returns: what was done counts
            status, epoch, batch = engine.take_progress(state)
            self.finished = all_losses[: begin + epoch]
        if status == _DIVERGED:
            step = epoch * self.n_batches + batch
            rate = state.rate[0] if table is None else table[min(step, len(table) - 1)]
            loss, epoch = float(losses[epoch]), first + begin + epoch
            where = f"the end of epoch {epoch}" if epoch else "before the call"
            place = f" at epoch {epoch + 1}, batch {batch + 1}"
            raise _divergence(loss, place, rate, f"restored to {where}")
        if status == _INTERRUPTED:
            raise engine.take_pending()


def _divergence(loss: float, place: str, rate: float, parameters: str) -> DivergenceError:
    what = "a parameter is not finite" if np.isfinite(loss) else f"loss is {loss}"
    return DivergenceError(f"{what}{place} (learning_rate={float(rate)}); parameters {parameters}")


def warn_once(state: State, X: Array, given: object) -> None:
    """Of columns of very different size, where `fit` or `train_steps` of a network was called."""
    if state.scale_was_checked:
        return
    text = unevenness(X, given)
    if text:
        # the caller of the network's method, which called the guarded verb, which called this
        warnings.warn(text, UserWarning, stacklevel=5)
    state.scale_was_checked = True


def train_on_batch(state: State, X: ArrayLike, y: ArrayLike) -> float:
    """See `Network.train_on_batch`."""
    guard, token = state.guard, object()
    try:
        guard.begin_writing(token)
        rows, target = state.checked_pair(X, y)
        engine = engine_cache.engine(state, "train", len(rows))[0]
        if state.rates_ahead is not None:
            set_rate(state)
        try:
            loss: float = engine.train_batch(rows, target)
        finally:
            # a signal handler may raise as soon as the call returns: what was done counts
            status, _, _ = engine.take_progress(state)
        if status:
            if status == _DIVERGED:
                raise _divergence(loss, "", state.rate[0], "unchanged")
            raise engine.take_pending()
        return loss
    finally:
        guard.writers.discard(token)


@writing
def train_steps(state: State, X: ArrayLike, y: ArrayLike, *, steps: int, **options: Any) -> float:
    """See `Network.train_steps`; the options are those of `Epochs`."""
    steps = check_integer(steps, name="steps", minimum=1)
    call = Epochs(state, X, y, **options)
    warn_once(state, call.X, X)
    n_rows, n_batches = len(call.X), call.n_batches
    epochs = -(-steps // n_batches)
    rows_at_last = min((steps - (epochs - 1) * n_batches) * call.batch_size, n_rows)
    total, done = 0.0, 0
    while done < epochs:
        part = min(epochs - done, _EPOCHS_AT_ONCE)
        losses = call.run(part, first=done, max_steps=steps - done * n_batches)
        total += float(losses.sum()) * n_rows
        done += part
    total -= float(losses[-1]) * (n_rows - rows_at_last)
    return total / ((epochs - 1) * n_rows + rows_at_last)

"""Whole epochs in one call of the engine, and what came of it."""

from __future__ import annotations

import warnings
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastbp.check.scalar import check_n_threads
from fastbp.check.scale import unevenness
from fastbp.error import DivergenceError
from fastbp.runtime import engine_cache
from fastbp.runtime.state import State

Array = NDArray[Any]

INTERRUPTED, DIVERGED = 1, 2  # as `take_progress` says


class Epochs:
    """The epochs of one call of `fit` or `train_steps`: what stays the same from run to run."""

    def __init__(
        self,
        state: State,
        X: Array,
        y: Array,
        *,
        batch_size: int,
        shuffle: bool,
        n_threads: int | str,
        batches: tuple[NDArray[np.uint32], NDArray[np.int64]] | None = None,
    ) -> None:
        self.state, self.X, self.y = state, X, y
        self.batch_rows: NDArray[np.uint32] | None = None
        self.batch_offsets: NDArray[np.int64] | None = None
        if batches is not None:
            self.batch_rows, self.batch_offsets = batches
            self.batch_size = int(np.diff(self.batch_offsets).max())
            self.n_batches = len(self.batch_offsets) - 1
        else:
            self.batch_size = min(batch_size, len(X))
            self.n_batches = -(-len(X) // self.batch_size)
        is_shuffled = shuffle and batches is None
        if (is_shuffled or batches is not None) and len(X) >= 2**32:
            raise ValueError(f"X has {len(X)} rows: an order of rows takes at most {2**32 - 1}")
        self.shuffled = np.empty(len(X), np.uint32) if is_shuffled else None
        self.n_threads = n_threads
        self.finished = np.zeros(0)  # losses of the last run's whole epochs

    def run(self, epochs: int, *, first: int = 0, max_steps: int = -1) -> NDArray[np.float64]:
        """The losses of `epochs` epochs; `first` is how many this call has done before."""
        state = self.state
        engine, _, threads = engine_cache.take_trainer(
            state, self.batch_size, self.n_threads, self.n_batches * epochs
        )
        losses = np.zeros(epochs)
        try:
            engine.train(
                self.X, self.y, batch_size=self.batch_size, epochs=epochs, losses=losses,
                n_threads=threads, shuffled=self.shuffled,
                batch_rows=self.batch_rows, batch_offsets=self.batch_offsets,
                seed=state.seed, first_epoch=state.epochs, max_steps=max_steps,
            )  # fmt: skip
        finally:
            # a signal handler may raise as soon as the call returns: what was done counts
            status, epoch, batch = engine.take_progress(state)
            self.finished = losses[:epoch]
        if status == DIVERGED:
            self._refuse(losses[epoch], first + epoch, batch)
        if status == INTERRUPTED:
            raise engine.take_pending()
        return losses

    def _refuse(self, loss: float, epoch: int, batch: int) -> NoReturn:
        rate = self.state.optimizer.learning_rate
        place = f"epoch {epoch + 1}, batch {batch + 1} (learning_rate={rate})"
        where = f"the end of epoch {epoch}" if epoch else "before the call"
        raise DivergenceError(f"{not_finite(loss)} at {place}; parameters restored to {where}")


def not_finite(loss: float) -> str:
    """What has diverged in a step of this loss."""
    return "a parameter is not finite" if np.isfinite(loss) else f"loss is {loss}"


def check_threads(n_threads: object) -> int | str:
    """The number, capped, or "auto", which is decided when the work is known."""
    number = check_n_threads(n_threads)
    return "auto" if n_threads == "auto" else number


def warn_once(state: State, X: Array, given: object) -> None:
    """Of columns of very different size, where `fit` or `train_steps` of a network was called."""
    if state.scale_was_checked:
        return
    text = unevenness(X, given)
    if text:
        # the caller of the network's method, which called the verb, which called this
        warnings.warn(text, UserWarning, stacklevel=4)
    state.scale_was_checked = True

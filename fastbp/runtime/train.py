"""Training: whole epochs in one call of the engine, `Network.train_steps` and `train_on_batch`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.check.array import Array
from fastbp.check.input import check_batches, check_parameters
from fastbp.check.message import level_of_caller
from fastbp.check.scalar import check_bool, check_integer, check_n_threads
from fastbp.check.scale import unevenness
from fastbp.runtime import engine_cache
from fastbp.runtime.guard import writing
from fastbp.runtime.outcome import DIVERGED, INTERRUPTED, STOPPED, diverged, divergence
from fastbp.runtime.rate import STEPS_AT_ONCE, rates, set_rate
from fastbp.runtime.rows import Picked, checked_rows, row_order
from fastbp.runtime.state import State

if TYPE_CHECKING:
    from fastbp.runtime.feed import ArrayFeed
    from fastbp.runtime.figure import Figures
    from fastbp.runtime.stopping import Stopping

_EPOCHS_AT_ONCE = 2**14  # in `train_steps`, whose losses are kept until they are averaged


class Epochs:
    """The epochs of one call of `fit` or `train_steps`: what stays the same from run to run.

    Attributes:
        rows: checked.
        X: theirs; as it came where it is converted part by part, whole where rows are picked.
        batch_size: rows of a step, all of `accumulate` batches together.
        n_batches: steps of an epoch.
        finished: losses of the last run's whole epochs.
        figures, stopping: what the engine finds after each epoch, and whether it stops; None for
            the losses alone.
        is_stopped: whether the last run ended so; it then has fewer losses.
        serves_inside: whether the engine can do that, and validation.
        ended: `History.stopped` and `reason` where there is nothing left to do, or None.

    Raises TypeError, ValueError for what `Network.fit` refuses.
    """

    def __init__(
        self,
        state: State,
        X: Any,
        y: Any,
        *,
        batch_size: int | None,
        shuffle: bool,
        n_threads: int | str,
        batches: Sequence[Sequence[int]] | None = None,
        check_finite: bool = True,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | str | None = None,
        ignore_nan: bool = False,
        accumulate: int = 1,
        any_names: bool = False,
    ) -> None:
        self.state = state
        self.batch_size = check_batch_size(batch_size, accumulate)
        shuffle = check_bool(shuffle, name="shuffle") and batches is None
        most_threads = check_n_threads(n_threads)
        # "auto" is decided when the work is known
        self.n_threads = "auto" if n_threads == "auto" else most_threads
        self.rows = checked_rows(
            state, X, y, sample_weight=sample_weight, class_weight=class_weight,
            ignore_nan=ignore_nan, check_finite=check_finite, any_names=any_names,
        )  # fmt: skip
        X, self.y, self.weights, _ = self.rows
        self.X: Array = X.array if isinstance(X, Picked) else X
        n_rows = len(X)
        if n_rows >= 2**32 and (shuffle or batches is not None):
            raise ValueError(f"X has {n_rows} rows: an order of rows takes at most {2**32 - 1}")
        self.shuffled = np.empty(n_rows, np.uint32) if shuffle else None
        self.batch_rows: NDArray[np.uint32] | None = None
        self.batch_offsets: NDArray[np.int64] | None = None
        if batches is None:
            self.batch_size = min(self.batch_size, n_rows)
            self.n_batches = -(-n_rows // self.batch_size)
        else:
            self.batch_rows, offsets = check_batches(batches, n_rows=n_rows)
            kept = np.append(offsets[:-1:accumulate], offsets[-1])
            self.batch_offsets = np.ascontiguousarray(kept)
            self.batch_size = int(np.diff(kept).max())
            self.n_batches = len(kept) - 1
        check_parameters(state.parameter_views(), isfinite=state.scan)
        self.finished = np.zeros(0)
        self.figures = self.stopping = None
        self.is_stopped = False

    figures: Figures | None
    stopping: Stopping | None
    serves_inside = True
    ended: tuple[str, str] | None = None

    @cached_property
    def order(self) -> dict[str, Any]:
        """See `Unfinished.order`."""
        from fastbp.runtime.order import order_of  # which few need

        return order_of(
            self.state, rows=self.rows, batch_size=self.batch_size,
            shuffle=self.shuffled is not None, batch_rows=self.batch_rows,
            batch_offsets=self.batch_offsets,
        )  # fmt: skip

    def run(self, epochs: int, *, first: int = 0, max_steps: int = -1) -> NDArray[np.float64]:
        """The losses of `epochs` epochs; `first` is how many this call has done before."""
        if not self.rows.is_direct:
            feed = self.feed()
            try:
                return feed.run(epochs, first=first, max_steps=max_steps)
            finally:
                self.finished = feed.finished
        losses = np.zeros(epochs)
        if self.figures is not None:
            self.figures.begin(epochs)
        if self.state.rates_ahead is None:  # the learning rate is a number
            self._run(losses, 0, epochs, first, max_steps)
            return losses[: len(self.finished)] if self.is_stopped else losses
        at_once = max(1, STEPS_AT_ONCE // self.n_batches)
        for done in range(0, epochs, at_once):
            left = max_steps if max_steps < 0 else max(0, max_steps - done * self.n_batches)
            self._run(losses, done, min(done + at_once, epochs), first, left)
            if self.is_stopped:
                return losses[: len(self.finished)]
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
        table, inside = None, {}
        if self.figures is not None:
            inside = self.figures.of_epochs(begin, end)
        if self.stopping is not None:
            inside |= self.stopping.begin(first + begin)
        if state.rates_ahead is not None:
            n_steps = n_steps if max_steps < 0 else min(n_steps, max_steps)
            table = rates(state, n_steps, steps_per_epoch=self.n_batches)
        if state.draws:
            state.seed_draws(engine)
        try:
            engine.train(
                self.X, self.y, batch_size=self.batch_size, epochs=epochs, losses=losses,
                n_threads=threads, shuffled=self.shuffled,
                batch_rows=self.batch_rows, batch_offsets=self.batch_offsets,
                seed=state.seed, first_epoch=state.epochs, max_steps=max_steps, rates=table,
                **self.weights.options(), **inside,
            )  # fmt: skip
        finally:
            # a signal handler may raise as soon as the call returns: what was done counts
            status, epoch, batch = engine.take_progress(state)
            self.finished = all_losses[: begin + epoch]
            self.is_stopped = status == STOPPED
            if self.stopping is not None:
                last = first + begin + epoch - 1
                self.stopping.end(first + begin, last, stopped=self.is_stopped)
        if status == DIVERGED:
            step = epoch * self.n_batches + batch
            rate = state.rate[0] if table is None else table[min(step, len(table) - 1)]
            raise diverged(float(losses[epoch]), first + begin + epoch, batch, rate)
        if status == INTERRUPTED:
            raise engine.take_pending()

    def feed(self) -> ArrayFeed:
        """The same epochs part by part."""
        from fastbp.runtime.feed import ArrayFeed  # which few need

        feed = ArrayFeed(
            self.state, self.rows, batch_size=self.batch_size, n_threads=self.n_threads,
            shuffle=self.shuffled is not None, batch_rows=self.batch_rows,
            batch_offsets=self.batch_offsets,
        )  # fmt: skip
        feed.figures, feed.order = self.figures, self.order
        return feed

    def visited(self, n_batches: int) -> NDArray[Any] | None:
        """The rows of the first batches of the last epoch, ascending; None for all of X."""
        if self.batch_rows is not None and self.batch_offsets is not None:
            return np.unique(self.batch_rows[: self.batch_offsets[n_batches]])
        if n_batches == self.n_batches:
            return None
        n_rows = n_batches * self.batch_size
        return np.arange(n_rows) if self.shuffled is None else np.sort(self.shuffled[:n_rows])

    def total(self, n_batches: int, epoch: int) -> float:
        """What the rows of the first batches count together in the network's epoch `epoch`, as its
        mean loss has it; not for explicit batches.
        """
        n_rows = len(self.rows.X)
        last = min(n_batches * self.batch_size, n_rows)
        if last < n_rows and self.shuffled is not None and self.weights.row_weight is not None:
            return self.rows.total(row_order(self.state, n_rows, epoch)[:last])
        return self.rows.total(slice(0, last))


def check_batch_size(batch_size: object, accumulate: object) -> int:
    """The rows of a step: `accumulate` batches of `batch_size` rows, 32 for None."""
    batch_size = 32 if batch_size is None else batch_size
    batch_size = check_integer(batch_size, name="batch_size", minimum=1)
    return batch_size * check_integer(accumulate, name="accumulate", minimum=1)


def warn_once(state: State, X: Array, given: object) -> None:
    """Of columns of very different size, where `fit` or `train_steps` of a network was called."""
    if state.scale_was_checked or state.layers[1].scales_columns:
        return
    text = unevenness(X, given, [column for column, _ in state.graph.categories])
    if text:
        warnings.warn(text, UserWarning, stacklevel=level_of_caller())
    state.scale_was_checked = True


def train_on_batch(state: State, X: ArrayLike, y: Any) -> float:
    """See `Network.train_on_batch`; of rows that all count alike."""
    guard, token = state.guard, object()
    try:
        guard.begin_writing(token)
        rows, target = state.checked_pair(X, y)
        engine = engine_cache.engine(state, "train", len(rows))[0]
        if state.rates_ahead is not None:
            set_rate(state)
        if state.draws:
            state.seed_draws(engine)
        try:
            loss: float = engine.train_batch(rows, target)
        finally:
            # a signal handler may raise as soon as the call returns: what was done counts
            status, _, _ = engine.take_progress(state)
        if status:
            _refuse(state, engine, status, loss)
        return loss
    finally:
        guard.writers.discard(token)


@writing
def train_on_weighted_batch(
    state: State, X: ArrayLike, y: Any, *, normalize: object, **options: Any
) -> float:
    """See `Network.train_on_batch`; the options are those of `checked_rows`."""
    normalize = check_bool(normalize, name="normalize")
    held = checked_rows(state, X, y, normalize=normalize, all_zero=True, **options)
    if not held.is_direct:
        held = held.take(slice(None), state)  # one batch whole
    engine = engine_cache.engine(state, "train", len(held.X))[0]
    if state.rates_ahead is not None:
        set_rate(state)
    if state.draws:
        state.seed_draws(engine)
    try:
        loss: float = engine.train_batch(held.X, held.y, **held.weights.options())
    finally:
        status, _, _ = engine.take_progress(state)
    if status:
        _refuse(state, engine, status, loss)
    return loss


def _refuse(state: State, engine: Any, status: int, loss: float) -> None:
    """Raise for a batch that did not end well."""
    if status == DIVERGED:
        raise divergence(loss, "", state.rate[0], "unchanged")
    raise engine.take_pending()


@writing
def train_steps(state: State, X: ArrayLike, y: Any, *, steps: int, **options: Any) -> float:
    """See `Network.train_steps`; the options are those of `Epochs`."""
    steps = check_integer(steps, name="steps", minimum=1)
    call = Epochs(state, X, y, **options)
    warn_once(state, call.X, X)
    if state.unfinished is not None or state.left_at is not None:
        from fastbp.runtime.order import drop_unfinished

        drop_unfinished(state)
    n_batches = call.n_batches
    epochs = -(-steps // n_batches)
    steps_at_last, begun = steps - (epochs - 1) * n_batches, state.epochs
    whole = call.total(n_batches, begun)
    at_last = call.total(steps_at_last, begun + epochs - 1)
    total, done = 0.0, 0
    while done < epochs:
        part = min(epochs - done, _EPOCHS_AT_ONCE)
        losses = call.run(part, first=done, max_steps=steps - done * n_batches)
        total += float(losses.sum()) * whole
        done += part
    total -= float(losses[-1]) * (whole - at_last)
    count = (epochs - 1) * whole + at_last
    return total / count if count else 0.0

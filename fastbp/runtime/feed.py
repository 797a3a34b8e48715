"""Epochs in parts: of arrays that are converted part by part.

A thread makes the next part while the engine trains on the last one.  Parts end where a batch does,
so that the bits are those of a whole epoch in memory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.description import Unfinished
from fastbp.error import DivergenceError
from fastbp.runtime import engine_cache
from fastbp.runtime.figure import Figures, metric_divisor
from fastbp.runtime.outcome import DIVERGED, INTERRUPTED, diverged
from fastbp.runtime.prefetch import Prefetch
from fastbp.runtime.rate import rates
from fastbp.runtime.rows import Rows, row_order
from fastbp.runtime.state import State
from fastbp.schedule import Schedule

PART_BYTES = 2**22  # of converted rows; up to three such parts are in memory
MANY_STEPS = 2**16  # of an epoch of unknown length


class Part(NamedTuple):
    """Rows of consecutive batches; `offsets` where those begin if their sizes differ."""

    rows: Rows
    offsets: NDArray[np.int64] | None = None

    def after(self, n_batches: int, batch_size: int) -> Part:
        """What is left after the first batches."""
        if n_batches == 0:
            return self
        begin = self.end(n_batches, batch_size)
        offsets = None if self.offsets is None else self.offsets[n_batches:] - begin
        return Part(self.rows.cut(begin, len(self.rows.X)), offsets)

    def n_batches(self, batch_size: int) -> int:
        if self.offsets is not None:
            return len(self.offsets) - 1
        return -(-len(self.rows.X) // batch_size)

    def end(self, n_batches: int, batch_size: int) -> int:
        """The row after the first batches."""
        if self.offsets is not None:
            return int(self.offsets[n_batches])
        return min(n_batches * batch_size, len(self.rows.X))


class Feed(ABC):
    """Epochs of parts.

    Attributes:
        batch_size: rows of a step.
        n_batches: steps of an epoch; a large number where that is not known.
        finished: losses of the last run's whole epochs.
        figures: what is found of an epoch beside its loss, or None.
        order: see `Unfinished`.
    """

    figures: Figures | None = None
    ended: tuple[str, str] | None = None  # as of `Epochs`
    order: dict[str, Any]

    def __init__(
        self, state: State, *, batch_size: int, n_threads: int | str, n_batches: int = MANY_STEPS
    ) -> None:
        self.state, self.batch_size, self.n_threads = state, batch_size, n_threads
        self.n_batches = n_batches
        self.finished = np.zeros(0)

    @abstractmethod
    def parts(self, epoch: int, first: int) -> Iterator[Part]:
        """Those of the network's epoch `epoch`, the call's `first`; read by a thread."""

    @abstractmethod
    def begun(self) -> None:
        """Called when the first part of an epoch is there."""

    def run(self, epochs: int, *, first: int = 0, max_steps: int = -1) -> NDArray[np.float64]:
        """As `Epochs.run`."""
        losses, left = np.zeros(epochs), max_steps
        if self.figures is not None:
            self.figures.begin(epochs)
        for i in range(epochs):
            self.finished = losses[:i]
            epoch = FedEpoch(self, first=first + i, epochs=epochs)
            try:
                epoch.run(left)
            finally:
                epoch.close()
            epoch.end()
            if not epoch.is_complete:  # `max_steps` are over, and nobody goes on with it
                self.state.unfinished = None
                self.state.epochs += 1
            losses[i] = epoch.loss
            if self.figures is not None:
                self.figures.record[i] = epoch.metrics
            left -= epoch.done if left > 0 else 0
        self.finished = losses
        return losses


class Kept:
    """All arrays that training changes, as they were."""

    def __init__(self, state: State) -> None:
        arrays = state.parameters, state.optimizer_state, state.powers
        self._kept = [(array, array.copy()) for array in arrays]

    def restore(self) -> None:
        for array, before in self._kept:
            array[:] = before


class Counter:
    """What an engine did in an epoch; its parts are no epochs of their own."""

    def __init__(self) -> None:
        self.steps = self.epochs = 0
        self.left_at: tuple[int, NDArray[np.float64]] | None = None


def begin_place(
    call: Any, total: NDArray[np.float64], number: int, unfinished: Unfinished | None
) -> Unfinished:
    """Of an epoch in parts, kept up to date while it goes on; `total` are its sums."""
    if unfinished is None:
        return Unfinished(number, 0, call.state.steps, call.order, total)
    total[:] = unfinished.sums
    return replace(unfinished, number=number, sums=total)


def take_sums(counter: Any, total: NDArray[np.float64]) -> None:
    """Those of a part that was interrupted; others are there already."""
    if counter.left_at is not None:
        total[:] = counter.left_at[1]
        counter.left_at = None


def found_so_far(state: State, inside: dict[str, Any], unfinished: Unfinished) -> float:
    """The mean loss of an epoch that goes on, by its `total`; its metrics go into `record`."""
    metrics, figures, total = inside.get("metrics", ()), unfinished.figures, inside["total"]
    if figures is not None:
        if metrics:
            inside["record"][0] = [figures[name] for name in metrics]
        return figures["loss"]
    if metrics:
        divisors = np.array([metric_divisor(state, name) for name in metrics])
        inside["record"][0] = total[2:] / (total[1] * divisors) if total[1] else 0.0
    return float(total[0] / total[1]) if total[1] else 0.0


def _after(parts: Iterator[Part], n_batches: int, batch_size: int) -> Iterator[Part]:
    """Those after the first batches."""
    for part in parts:
        n = part.n_batches(batch_size)
        if n > n_batches:
            yield part.after(n_batches, batch_size)
        n_batches = max(0, n_batches - n)
    if n_batches:
        raise ValueError("the chunks are fewer than the batches that the last fit trained of them")


class FedEpoch:
    """The network's next epoch, all of it or a number of batches at a time.

    Args:
        first: the number of the epoch, for messages.
        epochs: how many are to come, for the choice of threads.
        unfinished: the epoch to go on with, where it is not a new one.

    Attributes:
        done: batches so far.
        loss: their mean loss.
        is_complete: there are no more.
    """

    def __init__(
        self, feed: Feed, *, first: int, epochs: int = 1, unfinished: Unfinished | None = None
    ) -> None:
        state = feed.state
        self.feed, self.first, self._n_steps = feed, first, feed.n_batches * epochs
        self.done, self.loss, self.is_complete = 0, 0.0, False
        self._inside = (feed.figures or Figures(state, None)).of_part()
        self._begun, self._counter = state.steps, Counter()
        self._before = state.unfinished
        self._kept = Kept(state)
        self._engine: Any = None
        self._threads = 1
        self._rate = 0.0  # of the last step
        self._schedule: object = None
        self._goes_on = unfinished is not None
        self._rate_of_epoch: NDArray[np.float64] | None = None
        self._part: Part | None = None
        self._done_of_part = 0
        self.place = begin_place(feed, self._inside["total"], first, unfinished)
        parts = feed.parts(state.epochs, first)
        if unfinished is not None:
            self.done, self.loss = unfinished.batches, found_so_far(state, self._inside, unfinished)
            parts = _after(parts, self.done, feed.batch_size)
        self._parts = Prefetch(parts)

    def run(self, n_batches: int = -1) -> None:
        """The next so many batches, or all that are left.

        Raises as `Epochs.run`; after that the epoch is over.
        """
        end = self.done + n_batches
        with self._undone():
            self._look_ahead()
            while not self.is_complete and (n_batches < 0 or self.done < end):
                self._train(end - self.done if n_batches >= 0 else -1)
                self._look_ahead()
            if self.is_complete:
                self.feed.n_batches = self.done  # known now, if it was not
                self._check_parameters()

    def end(self) -> None:
        """The epoch ends here, complete or not.

        Raises DivergenceError where a parameter is not finite.
        """
        self.close()
        if not self.is_complete:
            with self._undone():
                return self._check_parameters()
        self.feed.state.unfinished = None
        self.feed.state.epochs += 1

    @property
    def metrics(self) -> list[float]:
        """Of the batches so far, those that the engine sums."""
        found = self._inside.get("record")
        return [] if found is None else found[0].tolist()

    def _check_parameters(self) -> None:
        state = self.feed.state
        if state.scan(state.parameters) >= 0:
            raise diverged(self.loss, self.first, self.done - 1, self._rate)

    @contextmanager
    def _undone(self) -> Iterator[None]:
        """What diverges is undone back to the beginning of the epoch; what raises is counted."""
        counter = self._counter
        try:
            yield
        except DivergenceError:
            self._kept.restore()
            counter.steps, self.feed.state.unfinished = 0, self._before
            self.close()
            raise
        except BaseException:
            self.close()
            raise
        finally:
            self.feed.state.steps = self._begun + counter.steps

    def close(self) -> None:
        """End the thread."""
        self._parts.close()

    def _look_ahead(self) -> None:
        """Have a part with batches left, or know that the epoch is complete."""
        if self._part is None and not self.is_complete:
            self._part = next(self._parts, None)
            self.is_complete, self._done_of_part = self._part is None, 0

    def _train(self, most: int) -> None:
        """Batches of this part, at most so many where that is not negative."""
        feed, state, counter = self.feed, self.feed.state, self._counter
        assert self._part is not None
        part = self._part.after(self._done_of_part, feed.batch_size)
        X, y, weights, _ = part.rows
        if self._engine is None:
            self._take_engine(part)
        losses, before = np.zeros(1), counter.steps
        n_batches = part.n_batches(feed.batch_size)
        table = self._rates(min(n_batches, most) if most >= 0 else n_batches)
        order = None if part.offsets is None else np.arange(len(X), dtype=np.uint32)
        if state.draws:
            state.seed_draws(self._engine)
        try:
            self._engine.train(
                X, y, batch_size=min(feed.batch_size, len(X)), epochs=1, losses=losses,
                n_threads=self._threads, batch_rows=order, batch_offsets=part.offsets,
                max_steps=most, guarded=False, rates=table, **weights.options(), **self._inside,
            )  # fmt: skip
        finally:
            status, _, batch = self._engine.take_progress(counter)
            done = counter.steps - before
            if status != DIVERGED and done:
                take_sums(counter, self._inside["total"])
                self.done, state.steps = self.done + done, self._begun + counter.steps
                self.place.batches, state.unfinished = self.done, self.place
        loss = float(losses[0])
        if status == INTERRUPTED:
            raise self._engine.take_pending()
        if status == DIVERGED:
            rate = state.rate[0] if table is None else table[min(batch, len(table) - 1)]
            raise diverged(loss, self.first, self.done + batch, rate)
        self._rate = state.rate[0] if table is None else table[-1]
        self.loss = loss
        self._done_of_part += done
        if self._done_of_part == self._part.n_batches(feed.batch_size):
            self._part = None

    def _rates(self, n_steps: int) -> NDArray[np.float64] | None:
        """The learning rates of the next steps, where a schedule gives them; one that is asked once
        an epoch is asked at its beginning, or where it is set within.
        """
        state, schedule = self.feed.state, self.feed.state.optimizer.learning_rate
        if not isinstance(schedule, Schedule) or schedule.per != "epoch":
            return rates(state, n_steps)
        if schedule is not self._schedule:
            self._schedule = schedule
            first = self.place.first_step if self._goes_on else None
            self._rate_of_epoch, self._goes_on = rates(state, 1, first=first), False
        assert self._rate_of_epoch is not None
        return np.repeat(self._rate_of_epoch, n_steps)

    def _take_engine(self, part: Part) -> None:
        feed = self.feed
        rows = feed.batch_size
        if part.offsets is None:
            rows = min(rows, len(part.rows.X))  # an epoch may be shorter
        self._engine, _, self._threads = engine_cache.take_trainer(
            feed.state, rows, feed.n_threads, self._n_steps
        )
        feed.begun()


class ArrayFeed(Feed):
    """The epochs of arrays of which the kernels cannot read at least one in place."""

    def __init__(
        self,
        state: State,
        rows: Rows,
        *,
        batch_size: int,
        n_threads: int | str,
        shuffle: bool,
        batch_rows: NDArray[np.uint32] | None,
        batch_offsets: NDArray[np.int64] | None,
    ) -> None:
        n_rows = len(rows.X)
        n_batches = -(-n_rows // batch_size) if batch_offsets is None else len(batch_offsets) - 1
        super().__init__(state, batch_size=batch_size, n_threads=n_threads, n_batches=n_batches)
        self.rows, self.shuffle = rows, shuffle
        self.batch_rows, self.batch_offsets = batch_rows, batch_offsets
        row_bytes = (rows.X.shape[1] + rows.y.size // n_rows) * state.dtype.itemsize
        self.at_once = max(1, PART_BYTES // (row_bytes * batch_size))  # batches

    def begun(self) -> None:
        """Nothing is to be done."""

    def parts(self, epoch: int, first: int) -> Iterator[Part]:
        if self.batch_offsets is None or self.batch_rows is None:
            return self._equal(epoch)
        return self._explicit(self.batch_rows, self.batch_offsets)

    def _equal(self, epoch: int) -> Iterator[Part]:
        state, n_rows = self.state, len(self.rows.X)
        order = row_order(state, n_rows, epoch) if self.shuffle else None
        step = self.at_once * self.batch_size
        for i in range(0, n_rows, step):
            piece = slice(i, min(i + step, n_rows))
            yield Part(self.rows.take(piece if order is None else order[piece], state))

    def _explicit(
        self, batch_rows: NDArray[np.uint32], batch_offsets: NDArray[np.int64]
    ) -> Iterator[Part]:
        for i in range(0, len(batch_offsets) - 1, self.at_once):
            offsets = batch_offsets[i : i + self.at_once + 1]
            rows = batch_rows[offsets[0] : offsets[-1]]
            yield Part(self.rows.take(rows, self.state), offsets - offsets[0])

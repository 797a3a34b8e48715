"""Epochs whose steps are taken one by one from Python, in the place of `Engine.train`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.check.array import Array
from fastbp.description import Unfinished
from fastbp.runtime.feed import Kept, begin_place, found_so_far
from fastbp.runtime.figure import Figures, metric_divisor
from fastbp.runtime.outcome import diverged
from fastbp.runtime.rate import next_rate
from fastbp.runtime.rows import row_order
from fastbp.runtime.train import Epochs

Sums = NDArray[np.float64]  # of a batch: loss times weight, weight, those of metrics


class SteppedEpochs(Epochs):
    """The epochs of a call of `fit` or `train_steps`, step by step."""

    serves_inside = False

    @abstractmethod
    def prepare(
        self, rows: slice | Array, outputs: Array | None
    ) -> tuple[Sums, Callable[[], None]]:
        """All of a step on these rows but the change; and what changes the network then, and counts
        it in `state.steps`.  Fills `outputs`, of all rows, where it is given.
        """

    def epoch_in_parts(self, *, first: int, unfinished: Unfinished | None) -> SteppedEpoch:
        """The next epoch, a number of batches at a time."""
        return SteppedEpoch(self, first=first, unfinished=unfinished)

    def run(self, epochs: int, *, first: int = 0, max_steps: int = -1) -> NDArray[np.float64]:
        """As `Epochs.run`; fewer losses where `ended` says why."""
        state, losses, left = self.state, np.zeros(epochs), max_steps
        self.finished = losses[:0]
        if self.figures is not None:
            self.figures.begin(epochs)
        for i in range(epochs):
            epoch = SteppedEpoch(self, first=first + i)
            epoch.run(left if left >= 0 else self.n_batches)
            epoch.end()
            if not epoch.is_complete:  # `max_steps` are over, and nobody goes on with it
                state.unfinished = None
                state.epochs += 1
            losses[i] = epoch.loss
            if self.figures is not None:
                self.figures.record[i] = epoch.metrics
            self.finished = losses[: i + 1]
            left -= epoch.done if left > 0 else 0
            if self.ended is not None:
                break
        return self.finished


class SteppedEpoch:
    """The network's next epoch, a number of batches at a time; as `PartedEpoch`."""

    def __init__(
        self, call: SteppedEpochs, *, first: int, unfinished: Unfinished | None = None
    ) -> None:
        state = call.state
        self.call, self.first = call, first
        figures = call.figures or Figures(state, call.rows)
        self.inside = figures.of_part()
        self.outputs = figures.outputs
        self.divisors = np.array([metric_divisor(state, name) for name in figures.metrics])
        self.kept, self.before = Kept(state), state.unfinished
        self.steps, self.epochs = state.steps, state.epochs
        self.place = begin_place(call, self.inside["total"], first, unfinished)
        self.done, self.loss = 0, 0.0
        if call.shuffled is not None:
            call.shuffled[:] = row_order(state, len(call.shuffled), self.epochs)
        if unfinished is not None:
            self.done = unfinished.batches
            self.loss = found_so_far(state, self.inside, unfinished)
            if self.outputs is not None and unfinished.outputs is not None:
                self.outputs[:] = unfinished.outputs
        self.place.outputs = self.outputs

    @property
    def is_complete(self) -> bool:
        return self.done == self.call.n_batches

    @property
    def metrics(self) -> list[float]:
        """Of the batches so far, those that are sums."""
        found = self.inside.get("record")
        return [] if found is None else found[0].tolist()

    def run(self, n_batches: int) -> None:
        """The next so many batches, or those that are left.

        Raises DivergenceError, back at the beginning of the epoch.
        """
        for _ in range(min(n_batches, self.call.n_batches - self.done)):
            self._step()
        if self.is_complete:
            self._check_parameters()

    def _step(self) -> None:
        call, state, before = self.call, self.call.state, self.call.state.steps
        rate = next_rate(state)
        sums, change = call.prepare(self._rows(self.done), self.outputs)
        if not np.isfinite(sums[0]):
            self._restore()
            raise diverged(float(sums[0] / sums[1]), self.first, self.done, rate)
        try:
            change()
        finally:
            # a signal handler may raise as soon as the change is made: what was done counts
            if state.steps > before:
                self._count(sums)

    def _count(self, sums: Sums) -> None:
        total: Sums = self.inside["total"]
        total += sums
        self.done += 1
        self.place.batches, self.call.state.unfinished = self.done, self.place
        self.loss = float(total[0] / total[1]) if total[1] else 0.0
        if len(self.divisors):
            self.inside["record"][0] = total[2:] / (total[1] * self.divisors) if total[1] else 0.0

    def _rows(self, batch: int) -> slice | Array:
        call = self.call
        if call.batch_offsets is not None and call.batch_rows is not None:
            return call.batch_rows[call.batch_offsets[batch] : call.batch_offsets[batch + 1]]
        begin = batch * call.batch_size
        piece = slice(begin, min(begin + call.batch_size, len(call.rows.X)))
        return piece if call.shuffled is None else call.shuffled[piece]

    def end(self) -> None:
        """Training ends here: where the epoch is not complete, a further fit goes on with it.

        Raises DivergenceError where a parameter is not finite.
        """
        if not self.is_complete:
            return self._check_parameters()
        self.call.state.unfinished = None
        self.call.state.epochs = self.epochs + 1

    def _check_parameters(self) -> None:
        state = self.call.state
        if state.scan(state.parameters) >= 0:
            self._restore()
            raise diverged(self.loss, self.first, max(0, self.done - 1), next_rate(state))

    def _restore(self) -> None:
        state = self.call.state
        self.kept.restore()
        state.steps, state.epochs, state.unfinished = self.steps, self.epochs, self.before

    def close(self) -> None:
        """Nothing is left open."""


def batch_sums(loss: float, weight: float, metrics: Any = ()) -> Sums:
    """See `Sums`."""
    return np.array([loss * weight if weight else 0.0, weight, *metrics])

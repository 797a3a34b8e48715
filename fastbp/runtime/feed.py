"""Epochs in parts: of arrays that are converted part by part.

A thread makes the next part while the engine trains on the last one.  Parts end where a batch does,
so that the bits are those of a whole epoch in memory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.error import DivergenceError
from fastbp.runtime import engine_cache
from fastbp.runtime.outcome import DIVERGED, INTERRUPTED, diverged
from fastbp.runtime.prefetch import Prefetch
from fastbp.runtime.rows import Rows, row_order
from fastbp.runtime.state import State

PART_BYTES = 2**22  # of converted rows; up to three such parts are in memory
_MANY_STEPS = 2**16  # an epoch of unknown length


class Part(NamedTuple):
    """Rows of consecutive batches; `offsets` where those begin if their sizes differ."""

    rows: Rows
    offsets: NDArray[np.int64] | None = None


class _Counter:
    """What an engine did in an epoch; its parts are no epochs of their own."""

    def __init__(self) -> None:
        self.steps = self.epochs = 0


class Feed(ABC):
    """Epochs of parts.

    Attributes:
        batch_size: rows of a step.
        n_batches: steps of an epoch, or None where that is not known.
        finished: losses of the last run's whole epochs.
    """

    def __init__(
        self, state: State, *, batch_size: int, n_threads: int | str, n_batches: int | None
    ) -> None:
        self.state, self.batch_size, self.n_threads = state, batch_size, n_threads
        self.n_batches = n_batches
        self.finished = np.zeros(0)

    @abstractmethod
    def parts(self, epoch: int, first: int) -> Iterator[Part]:
        """Those of the network's epoch `epoch`, the call's `first`; read by a thread."""

    def run(self, epochs: int, *, first: int = 0, max_steps: int = -1) -> NDArray[np.float64]:
        """As `Epochs.run`."""
        losses, begun = np.zeros(epochs), self.state.steps
        for i in range(epochs):
            self.finished = losses[:i]
            left = max_steps - (self.state.steps - begun) if max_steps >= 0 else -1
            losses[i] = self._epoch(first + i, epochs, left)
        self.finished = losses
        return losses

    def _epoch(self, number: int, epochs: int, max_steps: int) -> float:
        """The mean loss of one epoch, or of its first `max_steps` steps."""
        state, counter, begun = self.state, _Counter(), self.state.steps
        good = state.parameters.copy(), state.optimizer_state.copy(), state.powers.copy()
        total = seen = loss = 0.0
        engine: Any = None
        try:
            with Prefetch(self.parts(state.epochs, number)) as parts:
                for part in parts:
                    if engine is None:
                        rows = self.batch_size
                        if part.offsets is None:
                            rows = min(rows, len(part.rows.X))  # an epoch may be shorter
                        steps = (self.n_batches or _MANY_STEPS) * epochs
                        engine, _, threads = engine_cache.take_trainer(
                            state, rows, self.n_threads, steps
                        )
                    done = counter.steps
                    left = max_steps - done if max_steps >= 0 else -1
                    loss, batch = self._train(engine, threads, part, left, counter)
                    if batch is not None:
                        raise diverged(state, loss, number, done + batch)
                    count = self._total(part, counter.steps - done)
                    total, seen = total + loss * count, seen + count
                    state.steps = begun + counter.steps
                    if counter.steps == max_steps:
                        break
            loss = total / seen if seen else 0.0
            if state.scan(state.parameters) >= 0:
                raise diverged(state, loss, number, counter.steps - 1)
        except DivergenceError:
            state.parameters[:], state.optimizer_state[:], state.powers[:] = good
            counter.steps = 0
            raise
        finally:
            state.steps = begun + counter.steps
        state.epochs += 1
        return loss

    def _train(
        self, engine: Any, threads: int, part: Part, max_steps: int, counter: _Counter
    ) -> tuple[float, int | None]:
        """The mean loss of a part, and the batch in which it diverged."""
        X, y, weights, _ = part.rows
        losses = np.zeros(1)
        order = None if part.offsets is None else np.arange(len(X), dtype=np.uint32)
        try:
            engine.train(
                X, y, batch_size=min(self.batch_size, len(X)), epochs=1, losses=losses,
                n_threads=threads, batch_rows=order, batch_offsets=part.offsets,
                max_steps=max_steps, guarded=False, **weights.options(),
            )  # fmt: skip
        finally:
            status, _, batch = engine.take_progress(counter)
        if status == INTERRUPTED:
            raise engine.take_pending()
        return float(losses[0]), batch if status == DIVERGED else None

    def _total(self, part: Part, n_batches: int) -> float:
        """What the rows of the first batches count together."""
        end = n_batches * self.batch_size if part.offsets is None else part.offsets[n_batches]
        return part.rows.total(slice(0, int(end)))


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

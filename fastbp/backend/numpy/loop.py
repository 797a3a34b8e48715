"""Epochs of mini-batches in Python, around a step that a subclass takes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from fastbp import random
from fastbp.backend.numpy.watch import watch_epoch
from fastbp.check.array import Array

COMPLETED, INTERRUPTED, DIVERGED, STOPPED = 0, 1, 2, 4

Good = tuple[Array, Array, Array]  # parameters, optimizer state, powers


class Loop(ABC):
    """What `train` and `train_batch` of src/engine/epoch.pxi do.

    Attributes:
        w, rate: the parameters; (1,), the learning rate in force.
    """

    w: Array
    rate: Array
    pending: BaseException | None = None
    progress = (COMPLETED, 0, 0, 0)
    left_at = np.zeros(2)
    n_batches = 0
    _row_metrics = np.zeros(0)  # of the last batch: sums of metrics, and outputs
    _outputs = np.zeros((0, 0))

    @abstractmethod
    def _begin(self, call: str, largest: int, metrics: tuple[str, ...]) -> None:
        """Before batches of up to so many rows."""

    @abstractmethod
    def _row_phase(
        self, x: Array, y: Array, weight: Array | None, divisor: float, steps: int
    ) -> float:
        """The mean loss of a batch; its gradient is kept for the update."""

    @abstractmethod
    def _update_whole(self, rate: float, weight: float) -> None:
        """The update, or the state before it where an exception comes in between."""

    def _penalties(self) -> float:
        """What a loss with penalties reports of them."""
        return 0.0

    def _means(self, sums: Array, seen: float) -> Array:
        """Of metrics, from their sums over rows that weigh `seen`."""
        return sums

    def _shuffle(self, order: Array, seed: int, epoch: int) -> None:
        order[:] = random.permutation(len(order), seed=seed, epoch=epoch)

    @abstractmethod
    def _state(self) -> Good: ...

    @abstractmethod
    def _restore(self, good: Good | None) -> None: ...

    def train(
        self, x: Array, y: Array, *, batch_size: int, epochs: int, losses: Array,
        n_threads: int = 1, shuffled: Array | None = None, batch_rows: Array | None = None,
        batch_offsets: Array | None = None, seed: int = 0, first_epoch: int = 0,
        max_steps: int = -1, guarded: bool = True, rates: Array | None = None,
        weight: Array | None = None, row_weight: Array | None = None,
        metrics: tuple[str, ...] = (), record: Array | None = None,
        validator: Any = None, watch: Array | None = None, best: Array | None = None,
        outputs: Array | None = None, total: Array | None = None,
    ) -> None:  # fmt: skip
        largest = min(batch_size, len(x))
        if batch_offsets is not None:
            largest = int(np.diff(batch_offsets).max(initial=0))
        self._begin("train", largest, metrics)
        steps = 0
        for epoch in range(epochs):
            good = self._state() if guarded else None
            if shuffled is not None:
                self._shuffle(shuffled, seed, first_epoch + epoch)
            done, sums = 0, np.zeros(2 + len(metrics)) if total is None else total
            self.left_at = sums
            rows_of_epoch = _order_of_epoch(epoch, epochs, batch_rows, batch_offsets)
            batches = _batches(len(x), batch_size, shuffled, rows_of_epoch, batch_offsets)
            self.n_batches = len(batches)
            try:
                for rows in batches:
                    if steps == max_steps:
                        break
                    part, own = x[rows], None if weight is None else weight[rows]
                    n = divisor_of(len(part), None if row_weight is None else row_weight[rows])
                    losses[epoch] = loss = self._row_phase(part, y[rows], own, n, steps)
                    if not math.isfinite(loss):
                        return self._diverged(good, epoch, done, steps)
                    penalties = self._penalties() if n > 0 else 0.0
                    found = [loss * n + penalties, n, *self._row_metrics]
                    own_outputs = self._outputs[: len(part)]
                    self._update_whole(self.rate[0] if rates is None else rates[steps], n)
                    # from here to the count no call, after which a signal could be handled
                    sums += found
                    if outputs is not None:
                        outputs[rows] = own_outputs
                    done, steps = done + 1, steps + 1
                losses[epoch] = sums[0] / sums[1] if sums[1] else 0.0
                if guarded and not np.isfinite(self.w).all():
                    return self._diverged(good, epoch, done - 1, steps)
                if record is not None:
                    record[epoch, : len(metrics)] = self._means(sums[2:], sums[1])
                    if validator is not None:
                        record[epoch, len(metrics) :] = validator.validate()
                figures = [losses[epoch], *(record[epoch] if record is not None else ())]
                stops = watch is not None and watch_epoch(watch, figures, epoch, self.w, best)
                self.progress = STOPPED if stops else COMPLETED, epoch + 1, 0, steps
            except BaseException as error:
                # of a signal handler: between two steps, as by the compiled engine
                self.pending, self.progress = error, (INTERRUPTED, epoch, done, steps)
                return
            if stops or steps == max_steps:
                return

    def _diverged(self, good: Good | None, epoch: int, batch: int, steps: int) -> None:
        self._restore(good)
        self.progress = DIVERGED, epoch, batch, steps

    def train_batch(
        self, x: Array, y: Array, weight: Array | None = None, row_weight: Array | None = None,
        outputs: Array | None = None,
    ) -> float:  # fmt: skip
        losses = np.zeros(1)
        try:
            self.train(
                x, y, batch_size=len(x), epochs=1, losses=losses, guarded=False, weight=weight,
                row_weight=row_weight, outputs=outputs,
            )  # fmt: skip
        finally:
            status, _, _, steps = self.progress
            self.progress = status, 0, 0, steps  # a step alone is no epoch
        return float(losses[0])

    def take_progress(self, counter: Any) -> tuple[int, int, int]:
        (status, epoch, batch, steps), self.progress = self.progress, (COMPLETED, 0, 0, 0)
        if status == INTERRUPTED and batch:
            counter.left_at = batch, self.left_at.copy()
        counter.steps += epoch * self.n_batches if status == DIVERGED else steps
        counter.epochs += epoch
        return status, epoch, batch

    def take_pending(self) -> BaseException | None:
        pending, self.pending = self.pending, None
        return pending


def _batches(
    n: int, batch_size: int, shuffled: Array | None, rows: Array | None, offsets: Array | None
) -> list[Any]:
    """What selects the rows of each batch."""
    if offsets is not None:
        assert rows is not None
        return [rows[i:j] for i, j in zip(offsets[:-1], offsets[1:], strict=True)]
    starts = range(0, n, batch_size)
    if shuffled is None:
        return [slice(i, min(n, i + batch_size)) for i in starts]
    return [shuffled[i : i + batch_size] for i in starts]


def _order_of_epoch(
    epoch: int, epochs: int, rows: Array | None, offsets: Array | None
) -> Array | None:
    """Of an explicit order for every epoch, or of one for all of them."""
    if rows is None or offsets is None or len(rows) == offsets[-1]:
        return rows
    n_rows = int(offsets[-1])
    if len(rows) < epochs * n_rows:
        raise ValueError(f"batch_rows has {len(rows)} rows for {epochs} epochs of {n_rows}")
    return rows[epoch * n_rows :]


def divisor_of(n_rows: int, row_weight: Array | None) -> float:
    """What the sum of the loss over the rows of a batch is divided by."""
    return float(n_rows) if row_weight is None else float(row_weight.sum())

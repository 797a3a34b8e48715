"""The twin of the compiled engine (src/engine/engine.pxi): the same plan, the same methods.

Sums run in NumPy's order, so results agree with the compiled ones to rounding, not to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastbp import random
from fastbp.backend.numpy.batch import COLUMN_OPERATIONS, overflow
from fastbp.backend.numpy.kernel import (
    METRICS,
    MetricSum,
    find_activation,
    find_loss,
    find_metric,
    formula_names,
)
from fastbp.backend.numpy.operation import GRADIENTS, OPERATIONS, Operations
from fastbp.backend.numpy.update import Update
from fastbp.backend.numpy.watch import watch_epoch
from fastbp.check.array import Array
from fastbp.plan import Plan

COMPLETED, INTERRUPTED, DIVERGED, STOPPED = 0, 1, 2, 4

# overflow and nan are found in the loss, as by the compiled engine
_quiet = np.errstate(all="ignore")


class Engine(Operations):
    """See src/engine/engine.pxi; one thread whatever `n_threads` says."""

    def __init__(
        self, plan: Plan, parameters: Array, state: Array, scratch: Array, tile_loss: Array,
        power: Array, rate: Array,
    ) -> None:  # fmt: skip
        self.plan, self.w, self.power, self.rate = plan, parameters, power, rate
        self.states = state.reshape(plan.n_states, parameters.size)
        arena = plan.arena
        size = (arena.transposes - arena.gradient) // parameters.size * parameters.size
        self.gradients = scratch[arena.gradient :][:size].reshape(-1, parameters.size)
        self.transposes = scratch[arena.transposes : arena.activations]
        self.activations = scratch[arena.activations : arena.chunk]
        self.pending: BaseException | None = None
        self.draw = None
        self._first_draw: dict[str, int] | None = None
        self.progress = (COMPLETED, 0, 0, 0)
        self.left_at = np.zeros(2)
        self.n_rows = self.n_batches = 0
        # every name is looked up here, so that one that is unknown is an error now
        self.activation_kernels = {}
        kinds = kernel_names()["operation"]
        for program in (plan.forward, plan.backward, plan.weight_gradient, plan.moving):
            for op in program.operations:
                if op.kind not in kinds:
                    known = ", ".join(kinds)
                    raise ValueError(f"unknown operation {op.kind!r}; known: {known}")
                own = op.activation
                self.activation_kernels[id(own)] = find_activation(own.name, own.alpha, plan.dtype)
        self._loss_rows = find_loss(plan.loss, plan.n_outputs, plan.dtype)
        self._update = Update(plan, self.w, self.states, power)
        self._metrics: list[MetricSum] = []
        self._row_metrics = np.zeros(0)
        self._outputs = np.zeros((plan.max_rows, plan.n_outputs), plan.dtype)  # of the last batch

    @_quiet
    def train(
        self, x: Array, y: Array, *, batch_size: int, epochs: int, losses: Array,
        n_threads: int = 1, shuffled: Array | None = None, batch_rows: Array | None = None,
        batch_offsets: Array | None = None, seed: int = 0, first_epoch: int = 0,
        max_steps: int = -1, guarded: bool = True, rates: Array | None = None,
        weight: Array | None = None, row_weight: Array | None = None,
        metrics: tuple[str, ...] = (), record: Array | None = None,
        validator: Engine | None = None, watch: Array | None = None, best: Array | None = None,
        outputs: Array | None = None, total: Array | None = None,
    ) -> None:  # fmt: skip
        largest = min(batch_size, len(x))
        if batch_offsets is not None:
            largest = int(np.diff(batch_offsets).max(initial=0))
        self.plan.check("train", largest)
        self.refresh()
        self._bind_metrics(metrics)
        steps = 0
        for epoch in range(epochs):
            good = self._state() if guarded else None
            if shuffled is not None:
                shuffled[:] = random.permutation(len(x), seed=seed, epoch=first_epoch + epoch)
            done, sums = 0, np.zeros(2 + len(metrics)) if total is None else total
            self.left_at = sums
            rows_of_epoch = _order_of_epoch(epoch, epochs, batch_rows, batch_offsets)
            batches = _batches(len(x), batch_size, shuffled, rows_of_epoch, batch_offsets)
            self.n_batches = len(batches)
            try:
                for rows in batches:
                    if steps == max_steps:
                        break
                    own = None if weight is None else weight[rows]
                    n = _divisor(len(x[rows]), None if row_weight is None else row_weight[rows])
                    losses[epoch] = loss = self._row_phase(x[rows], y[rows], own, n, steps)
                    if not math.isfinite(loss):
                        return self._diverged(good, epoch, done, steps)
                    penalties = self._update.penalties() if n > 0 else 0.0
                    found = [loss * n + penalties, n, *self._row_metrics]
                    own_outputs = self._outputs[: len(x[rows])]
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

    def _diverged(
        self, good: tuple[Array, Array, Array] | None, epoch: int, batch: int, steps: int
    ) -> None:
        self._restore(good)
        self.progress = DIVERGED, epoch, batch, steps

    def draw_from(self, seed: int, step: int, row: int, is_on: bool) -> None:
        begin = {"seed": seed, "step": step, "row": row}
        self._first_draw = begin if is_on else None

    def _draw_for(self, steps: int, rows: int) -> None:
        """Of the step after `steps` of this call, its rows from `rows` on."""
        self.draw = first = self._first_draw
        if first is not None:
            step, row = first["step"] + steps, first["row"] + rows
            self.draw = {"seed": first["seed"], "step": step, "row": row}

    def take_progress(self, counter: Any) -> tuple[int, int, int]:
        (status, epoch, batch, steps), self.progress = self.progress, (COMPLETED, 0, 0, 0)
        if status == INTERRUPTED and batch:
            counter.left_at = batch, self.left_at.copy()
        counter.steps += epoch * self.n_batches if status == DIVERGED else steps
        counter.epochs += epoch
        return status, epoch, batch

    def _update_whole(self, rate: float, weight: float) -> None:
        """The update, or the state before it where an exception comes in between."""
        before = self._state()
        scale = 1.0
        if self._update.has_penalties:
            scale = 1.0 / weight if weight > 0 else 0.0
        try:
            self._run(self.plan.moving, self._outputs)
            self._step(rate, scale)
        except BaseException:
            self._restore(before)
            raise

    def _state(self) -> tuple[Array, Array, Array]:
        return self.w.copy(), self.states.copy(), self.power.copy()

    def _restore(self, good: tuple[Array, Array, Array] | None) -> None:
        if good is not None:
            self.w[:], self.states[:], self.power[:] = good

    def _row_phase(
        self, x: Array, y: Array, weight: Array | None, divisor: float, steps: int
    ) -> float:
        """Forward, loss and backward of one batch, tile by tile; the gradients of the blocks are
        left in place.
        """
        plan, total = self.plan, 0.0
        self._row_metrics = np.zeros(len(self._metrics))
        mean = 1.0 / (divisor * plan.loss_divisor) if divisor else 0.0
        rows = len(x) if plan.staged else plan.tile_rows
        self.n_gradients = 1 if plan.staged else -(-len(x) // plan.block_rows)
        for begin in range(0, len(x), rows):
            part = x[begin : begin + rows]
            first = begin if plan.keeps_batch else 0
            gradient = self.gradients[begin // plan.block_rows] if len(self.gradients) else None
            self._draw_for(steps, begin)
            self._run(plan.forward, part, first)
            tile = slice(begin, begin + rows)
            total += self._loss(len(part), y[tile], first, mean, _part(weight, tile), begin)
            self._run(plan.backward, part, first, gradient, begin % plan.block_rows == 0)
        if plan.weight_gradient.operations:
            self._x = x
        return total * mean + overflow(self, plan.moving.operations)

    def _loss(
        self, rows: int, y: Array, first: int, scale: float, weight: Array | None, begin: int = 0
    ) -> float:
        plan = self.plan
        out = self._rows(plan.output, plan.ld_output, plan.n_outputs, rows, first)
        d = self._rows(plan.output_gradient, plan.ld_output, plan.n_outputs, rows, first)
        for i, (measure, _) in enumerate(self._metrics):
            self._row_metrics[i] += measure(out, y, weight)
        self._outputs[begin : begin + rows] = out
        return self._loss_rows(out, y, scale, d, weight)

    def _step(self, rate: float, scale: float) -> None:
        plan = self.plan
        if plan.weight_gradient.operations:
            gradient = np.zeros_like(self.w)
            self._run(plan.weight_gradient, self._x, 0, gradient)
        else:
            gradient = self.gradients[: self.n_gradients].sum(axis=0)
        self._update.apply(gradient, float(rate), scale)
        self.refresh()

    def _bind_metrics(self, names: Sequence[str]) -> None:
        loss, n_outputs = self.plan.loss, self.plan.n_outputs
        self._metrics = [find_metric(name, loss.link, n_outputs) for name in names]

    def _means(self, sums: Array, seen: float) -> Array:
        """Of metrics, from their sums over rows that weigh `seen`."""
        divisors = np.array([divisor for _, divisor in self._metrics]) * seen
        return np.divide(sums, divisors, out=np.zeros_like(sums), where=divisors > 0)

    def train_batch(
        self, x: Array, y: Array, weight: Array | None = None, row_weight: Array | None = None,
        outputs: Array | None = None,
    ) -> float:  # fmt: skip
        self.plan.check("train_batch", len(x))
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

    def bind(
        self, out: Array | None, row: Array | None, *, readers: set[object], writers: set[object],
        most_rows: int, brief_rows: int, n_threads: int,
    ) -> None:  # fmt: skip
        """Nothing to prepare: `respond` leaves every call to `predict`."""
        self.plan.check("bind")

    def respond(self, x: object, transform: str, n_threads: int = 0) -> None:
        self.plan.check("respond")

    @_quiet
    def predict(self, x: Array, out: Array, transform: str, n_threads: int) -> int:
        plan = self.plan
        plan.check("predict")
        show = find_activation(transform, 0.0, plan.dtype)[0]
        for begin in range(0, len(x), plan.tile_rows):
            part = x[begin : begin + plan.tile_rows]
            self._run(plan.forward, part)
            z = self._rows(plan.output, plan.ld_output, plan.n_outputs, len(part), 0)
            out[begin : begin + len(part)] = show(z)
        return COMPLETED

    @_quiet
    def evaluate(
        self, x: Array, y: Array, found: Array, *, weight: Array | None = None,
        metrics: tuple[str, ...] = (), n_threads: int = 1,
    ) -> int:  # fmt: skip
        if found.shape != (1 + len(metrics),):
            raise ValueError(f"found has {found.size} numbers for {len(metrics)} metrics")
        self.bind_validation(x, y, weight=weight, metrics=metrics)
        found[:] = self._sums()
        return COMPLETED

    def bind_validation(
        self, x: Array, y: Array, *, weight: Array | None = None, row_weight: Array | None = None,
        metrics: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.plan.check("evaluate")
        self._bind_metrics(metrics)
        self._validation = x, y, weight, _divisor(len(x), row_weight)

    def validate(self) -> Array:
        """Loss and metrics of what is bound."""
        sums, divisor = self._sums(), self._validation[-1]
        loss = sums[0] / (divisor * self.plan.loss_divisor) if divisor else 0.0
        return np.array([loss, *self._means(sums[1:], divisor)])

    def _sums(self) -> Array:
        """Of loss and metrics over the rows of what is bound."""
        x, y, weight, _ = self._validation
        self._row_metrics, total = np.zeros(len(self._metrics)), 0.0
        for begin in range(0, len(x), self.plan.tile_rows):
            tile = slice(begin, begin + self.plan.tile_rows)
            self._run(self.plan.forward, x[tile])
            total += self._loss(len(x[tile]), y[tile], 0, 0.0, _part(weight, tile))
        return np.array([total, *self._row_metrics])

    @_quiet
    def forward(self, x: Array) -> None:
        self.plan.check("forward", len(x))
        self.n_rows = len(x)
        rows = self._input()
        rows[...] = x
        self._draw_for(0, 0)
        self._run(self.plan.forward, rows)
        self._run(self.plan.moving, rows)

    def _input(self) -> Array:
        return self._rows(self.plan.input, self.plan.ld_input, self.plan.n_features, self.n_rows, 0)

    @_quiet
    def loss_gradient(
        self, y: Array, weight: Array | None = None, row_weight: Array | None = None
    ) -> float:
        self.plan.check("loss_gradient")
        divisor = _divisor(self.n_rows, row_weight)
        mean = 1.0 / (divisor * self.plan.loss_divisor) if divisor else 0.0
        return self._loss(self.n_rows, y, 0, mean, weight) * mean

    @_quiet
    def backward(self) -> None:
        self.plan.check("backward")
        self.refresh()
        self._run(self.plan.backward, self._input(), 0, self.gradients[0])

    @_quiet
    def step(self) -> None:
        self.plan.check("step")
        self.n_gradients = 1
        self._step(self.rate[0], 1.0)

    def take_pending(self) -> BaseException | None:
        pending, self.pending = self.pending, None
        return pending


def kernel_names() -> dict[str, tuple[str, ...]]:
    """The names that kernels are found by."""
    operations = *OPERATIONS, *GRADIENTS, *COLUMN_OPERATIONS
    return formula_names() | {"operation": operations, "metric": METRICS}


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


def _divisor(n_rows: int, row_weight: Array | None) -> float:
    """What the sum of the loss over the rows of a batch is divided by."""
    return float(n_rows) if row_weight is None else float(row_weight.sum())


def _part(weight: Array | None, rows: slice) -> Array | None:
    return None if weight is None else weight[rows]


def shuffled(n: int, seed: int, epoch: int, order: Array) -> None:
    """The order of rows of an epoch, into `order`."""
    order[:n] = random.permutation(n, seed=seed, epoch=epoch)


def accept(x: object, n_columns: int, check_finite: bool) -> None:
    """Every array is left to the checks in Python."""
    return None


def class_index(y: object, n_classes: int, check_finite: bool) -> None:
    return None


def first_nonfinite(x: Array) -> int:
    """The flat index (row-major) of the first element that is nan or infinite, or -1."""
    bad = np.flatnonzero(~np.isfinite(x))
    return int(bad[0]) if bad.size else -1

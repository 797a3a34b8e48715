"""The twin of the compiled engine (src/engine/engine.pxi): the same plan, the same methods.

Sums run in NumPy's order, so results agree with the compiled ones to rounding, not to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastbp import random
from fastbp.backend.numpy.batch import COLUMN_OPERATIONS, overflow
from fastbp.backend.numpy.head import HeadLosses
from fastbp.backend.numpy.kernel import (
    METRICS,
    MetricSum,
    find_activation,
    find_loss,
    find_metric,
    formula_names,
)
from fastbp.backend.numpy.loop import COMPLETED, Good, Loop, divisor_of
from fastbp.backend.numpy.operation import GRADIENTS, OPERATIONS, Operations
from fastbp.backend.numpy.update import Update
from fastbp.check.array import Array
from fastbp.loss import Loss
from fastbp.plan import Plan

# overflow and nan are found in the loss, as by the compiled engine
_quiet = np.errstate(all="ignore")


class Engine(Loop, Operations):
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
        self.draw = None
        self._first_draw: dict[str, int] | None = None
        self.n_rows = 0
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
        self._heads = HeadLosses(plan) if plan.heads else None
        if not plan.heads:
            self._loss_rows = find_loss(plan.loss, plan.n_outputs, plan.dtype)
        self._update = Update(plan, self.w, self.states, power)
        self._metrics: list[MetricSum] = []
        self._row_metrics = np.zeros(0)
        self._outputs = np.zeros((plan.max_rows, plan.n_outputs), plan.dtype)  # of the last batch

    @_quiet
    def train(self, *arguments: Any, **options: Any) -> None:
        super().train(*arguments, **options)

    def train_batch(
        self, x: Array, y: Array, weight: Array | None = None, row_weight: Array | None = None,
        outputs: Array | None = None,
    ) -> float:  # fmt: skip
        self.plan.check("train_batch", len(x))
        return super().train_batch(x, y, weight, row_weight, outputs)

    def _begin(self, call: str, largest: int, metrics: tuple[str, ...]) -> None:
        self.plan.check(call, largest)
        self.refresh()
        self._bind_metrics(metrics)

    def _penalties(self) -> float:
        return self._update.penalties()

    def draw_from(self, seed: int, step: int, row: int, is_on: bool) -> None:
        begin = {"seed": seed, "step": step, "row": row}
        self._first_draw = begin if is_on else None

    def _draw_for(self, steps: int, rows: int) -> None:
        """Of the step after `steps` of this call, its rows from `rows` on."""
        self.draw = first = self._first_draw
        if first is not None:
            step, row = first["step"] + steps, first["row"] + rows
            self.draw = {"seed": first["seed"], "step": step, "row": row}

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

    def _state(self) -> Good:
        return self.w.copy(), self.states.copy(), self.power.copy()

    def _restore(self, good: Good | None) -> None:
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
        outputs = self._outputs[begin : begin + rows]
        if self._heads is not None:
            return self._heads.loss(
                lambda at, ld, n: self._rows(at, ld, n, rows, first), y, scale, weight, outputs,
                self._row_metrics,
            )  # fmt: skip
        out = self._rows(plan.output, plan.ld_output, plan.n_outputs, rows, first)
        d = self._rows(plan.output_gradient, plan.ld_output, plan.n_outputs, rows, first)
        for i, (measure, _) in enumerate(self._metrics):
            self._row_metrics[i] += measure(out, y, weight)
        outputs[...] = out
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
        if self._heads is not None:
            self._metrics = self._heads.bind_metrics(names)
            return
        assert isinstance(loss, Loss)
        self._metrics = [find_metric(name, loss.link, n_outputs) for name in names]

    def _means(self, sums: Array, seen: float) -> Array:
        """Of metrics, from their sums over rows that weigh `seen`."""
        divisors = np.array([divisor for _, divisor in self._metrics]) * seen
        return np.divide(sums, divisors, out=np.zeros_like(sums), where=divisors > 0)

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
        if self._heads is not None:
            places = self._heads.places(transform)
        else:
            show = find_activation(transform, 0.0, plan.dtype)[0]
            places = [(plan.output, plan.ld_output, slice(0, plan.n_outputs), show)]
        for begin in range(0, len(x), plan.tile_rows):
            part = x[begin : begin + plan.tile_rows]
            self._run(plan.forward, part)
            for at, ld, columns, show in places:
                z = self._rows(at, ld, columns.stop - columns.start, len(part), 0)
                out[begin : begin + len(part), columns] = show(z)
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
        self._validation = x, y, weight, divisor_of(len(x), row_weight)

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
        divisor = divisor_of(self.n_rows, row_weight)
        mean = 1.0 / (divisor * self.plan.loss_divisor) if divisor else 0.0
        return self._loss(self.n_rows, y, 0, mean, weight) * mean

    @_quiet
    def backward(self) -> None:
        self.plan.check("backward")
        self.refresh()
        gradient = self.gradients[0] if len(self.gradients) else None
        self._run(self.plan.backward, self._input(), 0, gradient)

    @_quiet
    def step(self) -> None:
        self.plan.check("step")
        self.n_gradients = 1
        self._step(self.rate[0], 1.0)


def kernel_names() -> dict[str, tuple[str, ...]]:
    """The names that kernels are found by."""
    operations = *OPERATIONS, *GRADIENTS, *COLUMN_OPERATIONS
    return formula_names() | {"operation": operations, "metric": METRICS}


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


def first_unknown(x: Array, categories: Array) -> int:
    """The flat index (row-major) of the first element that is no category of its column, or -1.

    A row of `categories` is a column and n: its categories are the integers 0..n-1.
    """
    columns, counts = categories.T
    part = x[:, columns]
    bad = ~((part >= 0) & (part < counts) & (part == np.floor(part)))
    rows = np.flatnonzero(bad.any(axis=1))
    if not rows.size:
        return -1
    return int(rows[0] * x.shape[1] + columns[bad[rows[0]]].min())

"""The twin of the compiled engine (src/engine/engine.pxi): the same plan, the same methods.

Sums run in NumPy's order, so results agree with the compiled ones to rounding, not to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastbp import random
from fastbp.backend.numpy.kernel import find_activation, find_loss, find_step, formula_names
from fastbp.check.array import Array
from fastbp.plan import Plan
from fastbp.plan.operation import Operation, Program, Segment

COMPLETED, INTERRUPTED, DIVERGED = 0, 1, 2
_STEP_SIZE = 2**14

# overflow and nan are found in the loss, as by the compiled engine
_quiet = np.errstate(all="ignore")


class Engine:
    """See src/engine/engine.pxi; one thread whatever `n_threads` says."""

    def __init__(
        self, plan: Plan, parameters: Array, state: Array, scratch: Array, tile_loss: Array,
        power: Array,
    ) -> None:  # fmt: skip
        self.plan, self.w, self.power = plan, parameters, power
        self.states = state.reshape(plan.n_states, parameters.size)
        arena = plan.arena
        size = (arena.transposes - arena.gradient) // parameters.size * parameters.size
        self.gradients = scratch[arena.gradient :][:size].reshape(-1, parameters.size)
        self.transposes = scratch[arena.transposes : arena.activations]
        self.activations = scratch[arena.activations : arena.chunk]
        self.pending: BaseException | None = None
        self.progress = (COMPLETED, 0, 0, 0)
        self.n_rows = self.n_batches = 0
        # every name is looked up here, so that one that is unknown is an error now
        self._activations = {}
        kinds = kernel_names()["operation"]
        for program in (plan.forward, plan.backward, plan.weight_gradient):
            for op in program.operations:
                if op.kind not in kinds:
                    known = ", ".join(kinds)
                    raise ValueError(f"unknown operation {op.kind!r}; known: {known}")
                own = op.activation
                self._activations[id(own)] = find_activation(own.name, own.alpha, plan.dtype)
        self._loss_rows = find_loss(plan.loss.name, plan.loss.parameters, plan.dtype)
        self._scalars, self._optimizer_step = find_step(plan.optimizer.formula)
        self._numbers, self._bases = plan.optimizer.numbers, plan.optimizer.powers
        self._runs = _runs(plan.segments.segments, decays=plan.optimizer.weight_decay != 0)

    # memory

    def _rows(self, offset: int, ld: int, n: int, rows: int, first: int) -> Array:
        start = offset + first * ld
        return self.activations[start : start + rows * ld].reshape(rows, ld)[:, :n]

    def _stored(self, flat: Array, offset: int, rows: int, ld: int) -> Array:
        return flat[offset : offset + rows * ld].reshape(rows, ld)

    def _kernel(self, op: Operation) -> Array:
        rows = op.n_c if op.by_columns else op.n_a
        stored = self._stored(self.w, op.w, rows, op.ldw)
        return stored[:, : op.n_a].T if op.by_columns else stored[:, : op.n_c]

    def _transposed(self, op: Operation) -> Array:
        stored = self._stored(self.w if op.by_columns else self.transposes, op.w, op.n_a, op.ldw)
        return stored[:, : op.n_c]

    def refresh(self) -> None:
        """Transposes of kernels from the parameters."""
        self.transposes[:] = 0
        for segment in self.plan.segments.segments:
            if segment.transpose >= 0:
                stored = self._stored(self.w, segment.offset, segment.rows, segment.ld)
                at, ld = segment.transpose, segment.ld_transpose
                copy = self._stored(self.transposes, at, segment.columns, ld)
                copy[:, : segment.rows] = stored[:, : segment.columns].T

    # operations

    def _run(
        self, program: Program, x: Array, first: int = 0, gradient: Array | None = None,
        start: bool = True,
    ) -> None:  # fmt: skip
        for op in program.operations:
            lda, n_a = op.lda or op.ldc, op.n_a or op.n_c
            a = x if op.a < 0 else self._rows(op.a, lda, n_a, len(x), first)
            if op.kind in _GRADIENTS:
                assert gradient is not None
                _GRADIENTS[op.kind](self, op, a, first, gradient, start)
            else:
                c = self._rows(op.c, op.ldc, op.n_c, len(x), first)
                _OPERATIONS[op.kind](self, op, x, a, c, first)

    def _dense(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        z = a @ self._kernel(op)
        if op.b >= 0:
            z += self.w[op.b : op.b + op.n_c]
        self._activate(op, z, c, first)

    def _add(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        y = x if op.y < 0 else self._rows(op.y, op.ldy, op.n_c, len(x), first)
        self._activate(op, a + y, c, first)

    def _dense_input(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        product = a @ self._transposed(op)
        c[...] = c + product if op.accumulate else product
        self._times_slope(op, c, first)

    def _dense_turned(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        product = a @ self._stored(self.w, op.w, op.n_c, op.ldw)[:, : op.n_a].T
        c[...] = c + product if op.accumulate else product
        self._times_slope(op, c, first)

    def _activation_backward(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        c[...] = a
        self._times_slope(op, c, first)

    def _activate(self, op: Operation, z: Array, c: Array, first: int) -> None:
        if op.z >= 0:
            self._rows(op.z, op.ldc, op.n_c, len(c), first)[...] = z
        forward, kept, _ = self._activations[id(op.activation)]
        if op.slope >= 0:
            self._rows(op.slope, op.ldc, op.n_c, len(c), first)[...] = kept(z)
        c[...] = forward(z)

    def _times_slope(self, op: Operation, d: Array, first: int) -> None:
        if op.y >= 0:
            a = self._rows(op.y, op.ldc, op.n_c, len(d), first)
            kept = a if op.slope < 0 else self._rows(op.slope, op.ldc, op.n_c, len(d), first)
            d[...] = self._activations[id(op.activation)][2](d, kept, a)

    def _copy(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        into, columns = self._columns(op, a, first)
        into[...] = columns
        self._rows(op.c, op.ldc, op.ldc, len(a), first)[:, op.column_c + op.n_a :] = 0

    def _accumulate(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        into, columns = self._columns(op, a, first)
        into += columns

    def _columns(self, op: Operation, a: Array, first: int) -> tuple[Array, Array]:
        """Where columns go, and which: n_a of them."""
        whole = self._rows(op.c, op.ldc, op.ldc, len(a), first)
        if op.a >= 0:
            a = self._rows(op.a, op.lda, op.column_a + op.n_a, len(a), first)[:, op.column_a :]
        return whole[:, op.column_c : op.column_c + op.n_a], a[:, : op.n_a]

    def _dense_gradient(
        self, op: Operation, a: Array, first: int, gradient: Array, start: bool
    ) -> None:
        dz = self._rows(op.y, op.ldy, op.n_y, len(a), first)
        kernel = self._stored(gradient, op.c, op.n_c, op.ldw)
        product = dz.T @ a if op.by_columns else a.T @ dz
        if start:
            kernel[...] = 0
        kernel[:, : product.shape[1]] += product
        if op.b >= 0:
            bias = gradient[op.b : op.b + op.ldy]
            if start:
                bias[...] = 0
            bias[: op.n_y] += dz.sum(axis=0)

    # a call

    @_quiet
    def train(
        self, x: Array, y: Array, *, batch_size: int, epochs: int, losses: Array,
        n_threads: int = 1, shuffled: Array | None = None, batch_rows: Array | None = None,
        batch_offsets: Array | None = None, seed: int = 0, first_epoch: int = 0,
        max_steps: int = -1, guarded: bool = True, weight: Array | None = None,
        row_weight: Array | None = None,
    ) -> None:  # fmt: skip
        largest = min(batch_size, len(x))
        if batch_offsets is not None:
            largest = int(np.diff(batch_offsets).max(initial=0))
        self.plan.check("train", largest)
        self.refresh()
        steps = 0
        for epoch in range(epochs):
            good = self._state() if guarded else None
            if shuffled is not None:
                shuffled[:] = random.permutation(len(x), seed=seed, epoch=first_epoch + epoch)
            total, seen, batch = 0.0, 0.0, 0
            batches = _batches(len(x), batch_size, shuffled, batch_rows, batch_offsets)
            self.n_batches = len(batches)
            for batch, rows in enumerate(batches):
                if steps == max_steps:
                    break
                try:
                    own = None if weight is None else weight[rows]
                    n = _divisor(len(x[rows]), None if row_weight is None else row_weight[rows])
                    losses[epoch] = loss = self._row_phase(x[rows], y[rows], own, n)
                    if math.isfinite(loss):
                        self._update_whole()
                        steps += 1  # and no call in between, in which a signal could be handled
                        self.progress = COMPLETED, epoch, batch, steps
                except BaseException as error:
                    # of a signal handler: between two steps, as by the compiled engine
                    self.pending, self.progress = error, (INTERRUPTED, epoch, batch, steps)
                    return
                if not math.isfinite(loss):
                    self._restore(good)
                    self.progress = DIVERGED, epoch, batch, steps
                    return
                total, seen = total + loss * n, seen + n
            losses[epoch] = total / seen if seen else 0.0
            if guarded and not np.isfinite(self.w).all():
                self._restore(good)
                self.progress = DIVERGED, epoch, batch, steps
                return
            self.progress = COMPLETED, epoch + 1, 0, steps
            if steps == max_steps:
                return

    def take_progress(self, counter: Any) -> tuple[int, int, int]:
        (status, epoch, batch, steps), self.progress = self.progress, (COMPLETED, 0, 0, 0)
        counter.steps += epoch * self.n_batches if status == DIVERGED else steps
        counter.epochs += epoch
        return status, epoch, batch

    def _update_whole(self) -> None:
        """The update, or the state before it where an exception comes in between."""
        before = self._state()
        try:
            self._update()
        except BaseException:
            self._restore(before)
            raise

    def _state(self) -> tuple[Array, Array, Array]:
        return self.w.copy(), self.states.copy(), self.power.copy()

    def _restore(self, good: tuple[Array, Array, Array] | None) -> None:
        if good is not None:
            self.w[:], self.states[:], self.power[:] = good

    def _row_phase(self, x: Array, y: Array, weight: Array | None, divisor: float) -> float:
        """Forward, loss and backward of one batch, tile by tile; the gradients of the blocks are
        left in place.
        """
        plan, total = self.plan, 0.0
        mean = 1.0 / (divisor * plan.loss_divisor) if divisor else 0.0
        self.n_gradients = -(-len(x) // plan.block_rows)
        for begin in range(0, len(x), plan.tile_rows):
            part = x[begin : begin + plan.tile_rows]
            first = begin if plan.keeps_batch else 0
            gradient = self.gradients[begin // plan.block_rows] if len(self.gradients) else None
            self._run(plan.forward, part, first)
            tile = slice(begin, begin + plan.tile_rows)
            total += self._loss(len(part), y[tile], first, mean, _part(weight, tile))
            self._run(plan.backward, part, first, gradient, begin % plan.block_rows == 0)
        if plan.weight_gradient.operations:
            self._x = x
        return total * mean

    def _loss(self, rows: int, y: Array, first: int, scale: float, weight: Array | None) -> float:
        plan = self.plan
        out = self._rows(plan.output, plan.ld_output, plan.n_outputs, rows, first)
        d = self._rows(plan.output_gradient, plan.ld_output, plan.n_outputs, rows, first)
        return self._loss_rows(out, y, scale, d, weight)

    def _update(self) -> None:
        self.power[: len(self._bases)] *= self._bases
        plan = self.plan
        if plan.weight_gradient.operations:
            gradient = np.zeros_like(self.w)
            self._run(plan.weight_gradient, self._x, 0, gradient)
        else:
            gradient = self.gradients[: self.n_gradients].sum(axis=0)
        values = self._scalars(*self._numbers, *self.power[: len(self._bases)])
        scalars = [self.w.dtype.type(value) for value in values]
        for run, *own in self._runs:
            self._optimizer_step(scalars, self.w[run], gradient[run], self.states[:, run], *own)
        self.refresh()

    def train_batch(
        self, x: Array, y: Array, *, weight: Array | None = None, row_weight: Array | None = None
    ) -> float:
        self.plan.check("train_batch", len(x))
        losses = np.zeros(1)
        self.train(
            x, y, batch_size=len(x), epochs=1, losses=losses, guarded=False, weight=weight,
            row_weight=row_weight,
        )  # fmt: skip
        status, _, batch, steps = self.progress
        self.progress = status, 0, batch, steps  # a step alone is no epoch
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
        self, x: Array, y: Array, tile_loss: Array, *, n_threads: int = 1,
        weight: Array | None = None, row_weight: Array | None = None,
    ) -> int:  # fmt: skip
        """`row_weight` is the caller's to divide by, as the rows are."""
        self.plan.check("evaluate")
        step = self.plan.tile_rows
        for i, begin in enumerate(range(0, len(x), step)):
            part = x[begin : begin + step]
            self._run(self.plan.forward, part)
            tile = slice(begin, begin + step)
            tile_loss[i] = self._loss(len(part), y[tile], 0, 0.0, _part(weight, tile))
        return COMPLETED

    @_quiet
    def forward(self, x: Array) -> None:
        self.plan.check("forward", len(x))
        self.n_rows = len(x)
        rows = self._input()
        rows[...] = x
        self._run(self.plan.forward, rows)

    def _input(self) -> Array:
        return self._rows(self.plan.input, self.plan.ld_input, self.plan.n_features, self.n_rows, 0)

    @_quiet
    def loss_gradient(
        self, y: Array, *, weight: Array | None = None, row_weight: Array | None = None
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
        self._update()

    def take_pending(self) -> BaseException | None:
        pending, self.pending = self.pending, None
        return pending


_OPERATIONS: dict[str, Callable[..., None]] = {
    "dense": Engine._dense,
    "dense_input": Engine._dense_input,
    "dense_turned": Engine._dense_turned,
    "activation_backward": Engine._activation_backward,
    "add": Engine._add,
    "copy": Engine._copy,
    "accumulate": Engine._accumulate,
}
_GRADIENTS: dict[str, Callable[..., None]] = {"dense_gradient": Engine._dense_gradient}


def kernel_names() -> dict[str, tuple[str, ...]]:
    """The names that kernels are found by."""
    return formula_names() | {"operation": (*_OPERATIONS, *_GRADIENTS)}


def _runs(segments: Sequence[Segment], *, decays: bool) -> list[tuple[slice, float, float, bool]]:
    """Where the optimizer steps alike, with l1, l2 and whether the decay applies: neighbours
    together, but no more than _STEP_SIZE numbers, which stay in a cache.
    """
    found: list[tuple[slice, float, float, bool]] = []
    for segment in segments:
        begin, end = segment.offset, segment.offset + segment.rows * segment.ld
        own = segment.l1, segment.l2, decays and bool(segment.decays)
        if found and found[-1][1:] == own and found[-1][0].stop == begin:
            begin = found.pop()[0].start
        found += [(slice(i, min(i + _STEP_SIZE, end)), *own) for i in range(begin, end, _STEP_SIZE)]
    return found


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

"""`fit` with an optimizer that takes all rows at once: what it makes smaller, and its epochs of one
step each.

An optimizer of this kind (`optimizer/full_batch.py`) has a `Method` in a file of its own, which is
named in `_METHODS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.check.array import Array
from fastbp.check.message import counted, shown
from fastbp.optimizer import SGD
from fastbp.runtime import engine_cache
from fastbp.runtime.feed import Counter
from fastbp.runtime.outcome import DIVERGED, INTERRUPTED
from fastbp.runtime.rate import next_rate
from fastbp.runtime.rows import Rows
from fastbp.runtime.state import State
from fastbp.runtime.stepped import SteppedEpochs, Sums
from fastbp.runtime.train import check_batch_size

_METHODS = {  # by the optimizer's name: file and class
    "lbfgs": ("lbfgs", "LimitedMemory"),
    "levenberg_marquardt": ("levenberg_marquardt", "DampedLeastSquares"),
}

# Rows of one pass of the engine: many for its threads, few where its memory grows with them.
_MOST_ROWS, _LEAST_ROWS, _MOST_NUMBERS = 2**14, 2**8, 2**23

Vector = NDArray[np.float64]


class Point(NamedTuple):
    """What is known of the network at some parameters.

    Attributes:
        at: the flat vector of parameters, in the network's type.
        value: the loss with penalties; infinite where it, or its gradient, is not finite.
        gradient: of `value`, flat, zero where nothing is trained.
        sums: of loss and metrics, without penalties that are not part of the loss.
        outputs: of all rows, where metrics need them.
        moved: `at` with running statistics that have followed those of the rows once: where a step
            from here begins.
    """

    at: Array
    value: float
    gradient: Vector
    sums: Sums
    outputs: Array | None
    moved: Array


class Objective:
    """Loss with penalties of all rows as a function of the parameters.

    A twin of the network trains on the rows as one batch, with a momentum that starts at 0 and a
    learning rate of 0: its velocity is then the gradient, penalties included, and its parameters
    stay, but for running statistics.  Where statistics are those of the rows, all rows are one
    pass; else some at a time.

    Attributes:
        n_passes: over the rows, so far.
    """

    def __init__(
        self, state: State, rows: Rows, *, n_threads: int | str, metrics: tuple[str, ...] = (),
        keeps_outputs: bool = False,
    ) -> None:  # fmt: skip
        description = replace(state.description, optimizer=SGD(0.0, momentum=0.5))
        self.state, self.rows, self.n_threads = state, rows, n_threads
        self.twin = State(description, backend=state.backend, draws=False)
        self.metrics, self.keeps_outputs = metrics, keeps_outputs
        self.total = rows.total()
        width = sum(state.graph.width)
        self.at_once = max(_LEAST_ROWS, min(_MOST_ROWS, _MOST_NUMBERS // width))
        if takes_statistics(state):
            self.at_once = max(1, len(rows.X))
        self.running = [tensor for tensor in state.layout.tensors if tensor.is_running]
        self.n_passes = 0

    def __call__(self, at: Array) -> Point:
        """One pass over the rows."""
        twin, sums = self.twin, np.zeros(2 + len(self.metrics))
        gradient, outputs = np.zeros(len(at)), None
        if self.keeps_outputs:
            outputs = np.zeros((len(self.rows.X), twin.n_outputs), twin.dtype)
        self.n_passes += 1
        n_parts = 0
        for begin, part in self._parts():
            weight = part.total()
            if weight == 0:
                continue
            twin.parameters[:] = at
            twin.optimizer_state[:] = 0
            own = None if outputs is None else outputs[begin : begin + len(part.X)]
            if not self._pass(part, sums, own):
                return Point(at, np.inf, gradient, sums, outputs, at)
            gradient += twin.optimizer_state * np.float64(weight / self.total)
            n_parts += 1
        value = sums[0] / sums[1]
        penalties = self.state.layout.penalties(at)
        if not self.state.loss.with_penalties:
            value += penalties
        elif n_parts > 1:  # each part has counted them
            self._take_off(n_parts - 1, at, sums, gradient)
            value = sums[0] / sums[1]
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            value = np.inf
        return Point(at, float(value), gradient, sums, outputs, self._moved(at))

    def _moved(self, at: Array) -> Array:
        """See `Point`, after a pass."""
        if not self.running:
            return at
        found = at.copy()
        for tensor in self.running:
            tensor.view(found)[...] = tensor.view(self.twin.parameters)
        return found

    def _parts(self) -> Iterator[tuple[int, Rows]]:
        rows = self.rows
        for begin in range(0, len(rows.X), self.at_once):
            end = min(begin + self.at_once, len(rows.X))
            if rows.is_direct:
                yield begin, rows.cut(begin, end)
            else:
                yield begin, rows.take(slice(begin, end), self.state)

    def _pass(self, part: Rows, sums: Sums, outputs: Array | None) -> bool:
        """Whether the loss of these rows is finite."""
        n_rows, losses, counter = len(part.X), np.zeros(1), Counter()
        engine, _, threads = engine_cache.take_trainer(self.twin, n_rows, self.n_threads, 16)
        record = np.zeros((1, len(self.metrics))) if self.metrics else None
        try:
            engine.train(
                part.X, part.y, batch_size=n_rows, epochs=1, losses=losses, n_threads=threads,
                guarded=False, metrics=self.metrics, record=record, outputs=outputs, total=sums,
                **part.weights.options(),
            )  # fmt: skip
        finally:
            status, _, _ = engine.take_progress(counter)
        if status == INTERRUPTED:
            raise engine.take_pending()
        if status == DIVERGED:
            sums[:2] = losses[0], 1.0
        return status != DIVERGED

    def _take_off(self, times: int, at: Array, sums: Sums, gradient: Vector) -> None:
        layout = self.state.layout
        sums[0] -= times * layout.penalties(at)
        for tensor in layout.tensors:
            if tensor.rate and (tensor.l1 or tensor.l2):
                w = tensor.view(at).astype(np.float64)
                grown = tensor.l2 * w + tensor.l1 * np.sign(w)
                tensor.view(gradient)[...] -= times / self.total * grown


@dataclass
class Move:
    """A step that has been found.

    Attributes:
        point: where it leads; None to stay.
        memory: the optimizer's vectors afterwards, flat; None where they stay.
        power: the first of `state.powers` likewise.
        ended: `History.stopped` and `reason` where there is nothing left to do; the second goes on
            with where training stands.
    """

    point: Point | None
    memory: Array | None = None
    power: float | None = None
    ended: tuple[str, str] | None = None


def takes_statistics(state: State) -> bool:
    """Whether layers go by the statistics of the rows they train on."""
    return any(getattr(node, "by_batch", False) for node in state.graph.nodes)


def converged(slope: float, tolerance: float) -> tuple[str, str]:
    """How a fit ends where no component of the gradient is larger than `slope`."""
    text = f"the largest component of the gradient is {slope:.2g}"
    return "converged", f"{text}, tolerance_grad={tolerance:g}"


class Method(Protocol):
    """How an optimizer finds its steps: made of the network's state and the objective for one call
    of `fit`.  All that it goes by from step to step lies in `state.optimizer_state`, and, of two
    numbers that begin as 1, in `state.powers`: files hold these.
    """

    def __init__(self, state: State, objective: Objective) -> None: ...

    def step(self, here: Point, rate: float) -> Move:
        """From here, with nothing changed."""


class FullBatchEpochs(SteppedEpochs):
    """Epochs of one step on all rows.

    Raises TypeError, ValueError for what `Network.fit` refuses.
    """

    here: Point | None = None  # where the network stood last

    def __init__(
        self, state: State, X: Any, y: ArrayLike, *, batch_size: int | None, shuffle: bool,
        batches: object = None, accumulate: int = 1, **options: Any,
    ) -> None:  # fmt: skip
        own: Any = state.optimizer
        kind = type(own).__name__
        if batches is not None:
            raise ValueError(f"{kind} takes all rows in each step, and no batches")
        if state.draws:
            raise ValueError(
                f"{kind} compares the loss at several points, and with Dropout or GaussianNoise it "
                "is another one at each call: leave these layers out, or train by Adam"
            )
        if takes_statistics(state) and not own.takes_statistics:
            raise ValueError(
                f"{kind} needs the derivatives of each row by itself, and with BatchNorm a row's "
                "output is a function of all rows: take LBFGS, or BatchNorm(trainable=False)"
            )
        multipliers = {tensor.rate for tensor in state.layout.tensors} - {0.0, 1.0}
        if multipliers:
            raise ValueError(f"{kind} takes no learning_rate_multiplier, got {multipliers.pop()}")
        own.check_problem(
            loss=f"function {state.loss.name}" if state.loss.is_own else state.loss.name,
            n_parameters=state.layout.n_parameters,
            has_l1=any(tensor.l1 for tensor in state.layout.tensors),
        )  # fmt: skip
        asked = None if batch_size is None else check_batch_size(batch_size, accumulate)
        super().__init__(state, X, y, batch_size=2**62, shuffle=shuffle, **options)
        self.shuffled = None
        if asked is not None and asked < self.batch_size:
            raise ValueError(
                f"batch_size must be all {counted(self.batch_size, 'row')} for {kind}, got "
                f"{shown(asked)}: leave it out"
            )

    @cached_property
    def objective(self) -> Objective:
        figures = self.figures
        return Objective(
            self.state, self.rows, n_threads=self.n_threads,
            metrics=() if figures is None else figures.metrics,
            keeps_outputs=figures is not None and figures.outputs is not None,
        )  # fmt: skip

    @cached_property
    def method(self) -> Method:
        file, name = _METHODS[self.state.optimizer.name]
        made: Method = getattr(import_module(f"fastbp.runtime.{file}"), name)(
            self.state, self.objective
        )
        return made

    def prepare(
        self, rows: slice | Array, outputs: Array | None
    ) -> tuple[Sums, Callable[[], None]]:
        """The step of an epoch; its figures are those before it."""
        state, here = self.state, self.here
        if here is None or not np.array_equal(here.at, state.parameters):
            here = self.objective(state.parameters.copy())
        if outputs is not None and here.outputs is not None:
            outputs[:] = here.outputs
        self.here = here
        if not np.isfinite(here.value):
            sums = here.sums.copy()
            sums[0] = sums[0] if not np.isfinite(sums[0]) else np.inf
            return sums, _nothing
        move = self.method.step(here, next_rate(state))
        steps = state.steps + 1

        def change() -> None:
            if move.memory is not None:
                state.optimizer_state[:] = move.memory
            if move.power is not None:
                state.powers[0] = move.power
            if move.point is not None:
                state.parameters[:] = move.point.at
            state.steps = steps

        def whole_change() -> None:
            try:
                change()
            except BaseException:  # of a signal handler
                change()
                raise

        self.here, self.ended = move.point or here, move.ended
        return here.sums, whole_change


def _nothing() -> None:
    """Where training cannot begin."""

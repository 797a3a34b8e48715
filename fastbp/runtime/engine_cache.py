"""Engines: made when a call needs one, kept for the next call, lent to one call at a time."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbp.check.array import Array
from fastbp.check.scalar import check_n_threads
from fastbp.layer.architecture import Architecture
from fastbp.loss import Loss
from fastbp.optimizer import Optimizer
from fastbp.plan import Plan, cache, compile_plan, threshold
from fastbp.plan.arena import allocate
from fastbp.plan.graph import Purpose
from fastbp.plan.threshold import (
    BRIEF_WORK,
    PREDICT_SHARE_WORK,
    THREAD_CALL_WORK,
    THREAD_STEP_WORK,
    Threshold,
)
from fastbp.runtime.parts import Parts, Prepared
from fastbp.runtime.state import State

if TYPE_CHECKING:
    from fastbp.loss.joint import JointLoss

_PREDICT_ROWS = 256
# Engines of so many batch sizes are kept while their scratch memory is small, the last in any case.
_KEPT_ENGINES = 64
_KEPT_BYTES = 2**26
_KEPT_PLANS = 16  # of each description
# All that a plan follows from beside what it is asked for.
_RULES = tuple(rule for rule in vars(threshold).values() if isinstance(rule, Threshold))


def engine(state: State, purpose: Purpose, rows: int, n_threads: int = 1) -> Prepared:
    """The engine for batches of `rows` rows, kept for the next call of the same size."""
    engines = state.engines
    key = (purpose, rows, n_threads)
    found = engines.pop(key, None)
    if found is None:
        held = sum(scratch.nbytes for _, _, scratch in engines.values())
        while engines and (len(engines) >= _KEPT_ENGINES or held > _KEPT_BYTES):
            oldest = next(iter(engines))
            state.parts.pop(oldest[1] if oldest[0] == "manual" else oldest[:2], None)
            held -= engines.pop(oldest)[2].nbytes
        found = _make(state, purpose, rows, n_threads)
    engines[key] = found
    return found


def manual_parts(state: State, n_rows: int, *, trains: bool = True) -> Parts:
    """What a step in parts runs on; made when first asked for, and kept as long as its engine.

    Unless it `trains`, by running statistics where there are some.
    """
    purpose: Purpose = "manual" if trains or not state.graph.n_batched else "inference"
    key: Hashable = n_rows if purpose == "manual" else (purpose, n_rows)
    found = state.parts.get(key)
    if found is None:
        prepared = engine(state, purpose, n_rows)
        found = state.parts[key] = Parts(prepared, n_rows, state.layout.size)
    return found


def take_trainer(state: State, rows: int, n_threads: object, n_steps: int) -> tuple[Any, Plan, int]:
    """(engine, plan, threads to use) for `n_steps` training steps over `rows` rows each."""
    workers = _threads(state, n_threads, _step_work(state, rows), n_steps)
    found, plan, _ = engine(state, "train", rows, workers)
    return found, plan, _useful(workers, plan) if n_threads == "auto" else workers


def training_plan(state: State, rows: int, n_steps: int) -> tuple[Plan, int]:
    """The plan of that engine without its memory, and the threads of "auto"."""
    workers = _threads(state, "auto", _step_work(state, rows), n_steps)
    plan = _plan(state, "train", rows, workers)
    return plan, _useful(workers, plan)


def take_predictor(state: State, n_threads: int, *, ema: bool = False) -> Any:
    """An engine for forward passes over any number of rows, one call's until `give_back`; with
    `ema` by the average of the parameters.
    """
    idle = state.idle_averages if ema else state.idle_predictors
    parameters = state.average() if ema else state.parameters
    try:
        found = idle.pop()
    except IndexError:
        found = None
    if found is None or found.plan.n_workers < n_threads:
        found = _make(state, "predict", _PREDICT_ROWS, n_threads, parameters)[0]
        # for more rows another thread may pay: `respond` is then told how many
        most_rows = int(2 * PREDICT_SHARE_WORK.value / _forward_work(state, 1))
        _bind(state, found, None, None, most_rows=most_rows, n_threads=1)
    return found


def give_back(state: State, predictor: Any, *, ema: bool = False) -> None:
    """End the use of an engine from `take_predictor`."""
    (state.idle_averages if ema else state.idle_predictors).append(predictor)


def bound_predictor(state: State, out: Array) -> Any:
    """An engine of one caller's own, whose `respond` fills `out`."""
    rows = len(out)
    threads = threads_to_predict(state, rows, "auto")
    found = _make(state, "predict", _PREDICT_ROWS, threads)[0]
    row = out[0] if rows == 1 else None
    _bind(state, found, out, row, most_rows=rows, n_threads=threads)
    return found


def _bind(
    state: State, predictor: Any, out: Array | None, row: Array | None, *, most_rows: int,
    n_threads: int,
) -> None:  # fmt: skip
    predictor.bind(
        out, row, readers=state.guard.readers, writers=state.guard.writers, most_rows=most_rows,
        brief_rows=int(BRIEF_WORK.value / _forward_work(state, 1)), n_threads=n_threads,
    )  # fmt: skip


def threads_to_predict(state: State, n_rows: int, n_threads: object) -> int:
    """Threads for a forward pass over `n_rows` rows: those that have enough of it to pay."""
    asked = check_n_threads(n_threads)
    if asked == 1 or state.backend == "numpy":
        return 1
    shares = _forward_work(state, n_rows) / max(PREDICT_SHARE_WORK.value, 1)
    return max(1, min(asked, int(shares)))


def _forward_work(state: State, n_rows: int) -> float:
    """Of a forward pass: a third of a step's."""
    return n_rows * state.work_per_row / 3


def _step_work(state: State, rows: int) -> float:
    """Of a step: that of its rows, and of the update of tables."""
    return rows * state.work_per_row + state.layout.work_per_step


def _threads(state: State, n_threads: object, step_work: float, n_steps: int) -> int:
    """What was asked for; with "auto" more than one only where they pay."""
    if n_threads == "auto" and (
        step_work < THREAD_STEP_WORK.value or step_work * n_steps < THREAD_CALL_WORK.value
    ):
        return 1
    asked = check_n_threads(n_threads)
    return 1 if state.backend == "numpy" else asked


def _useful(n_threads: int, plan: Plan) -> int:
    """No more threads than there are shares to deal out; of kernels there are enough.

    Where threads share kernels, few rows are one tile, and the forward pass one thread's: on an AMD
    EPYC two threads were 1.18, 1.27 and 1.41 times as fast as one at three layers 256, 512 and 1024
    wide with batches of 1, 1.36, 1.17 and 0.98 times with 16.
    """
    if plan.weight_parallel:
        return n_threads
    return min(n_threads, -(-plan.max_rows // plan.block_rows))


def _plan(state: State, purpose: Purpose, rows: int, n_threads: int) -> Plan:
    return plan_of(state.architecture, state.loss, state.optimizer, purpose, rows, n_threads)


def plan_of(
    own: Architecture, loss: Loss | JointLoss, optimizer: Optimizer, purpose: Purpose, rows: int,
    n_threads: int = 1,
) -> Plan:  # fmt: skip
    """Compiled once for all networks that share their layers and have the same optimizer; `loss`
    is that for which the layers were lowered.
    """
    decides = *(rule.value for rule in _RULES), *astuple(cache.machine)
    key = purpose, rows, n_threads, optimizer, decides
    found: Plan | None = own.plans.get(key)
    if found is None:
        graph = own.of(purpose)
        if len(own.plans) >= _KEPT_PLANS:
            own.plans.clear()
        found = compile_plan(graph, loss.without_function, optimizer, rows, purpose, n_threads)
        own.plans[key] = found
    return found


def by_fit_alone(optimizer: Optimizer) -> str:
    """Why it takes no single step."""
    return f"{type(optimizer).__name__} takes its steps in fit alone, each of all rows"


def _make(
    state: State, purpose: Purpose, rows: int, n_threads: int, parameters: Array | None = None
) -> Prepared:
    if purpose == "train" and state.optimizer.is_full_batch:
        raise TypeError(by_fit_alone(state.optimizer))
    plan = _plan(state, purpose, rows, n_threads)
    if purpose == "train" and state.loss.is_own:
        from fastbp.runtime.own_loss import OwnLossEngine  # which few need

        return OwnLossEngine(state, manual_parts), plan, np.zeros(0, state.dtype)
    scratch = allocate(plan.arena.size, state.dtype, purpose="activations and gradients")
    if parameters is None:
        parameters = state.parameters
    made = state.module.Engine(
        plan, parameters, state.optimizer_state, scratch, np.empty(plan.n_tiles), state.powers,
        state.rate,
    )  # fmt: skip
    return made, plan, scratch

"""The verbs that compute outputs, for any rows or a fixed number again and again, or measure
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.check.array import Array, FloatArray, as_numeric, is_readable
from fastbp.check.frame import check_feature_names
from fastbp.check.input import check_out
from fastbp.check.message import counted
from fastbp.check.scalar import check_integer
from fastbp.loss import Loss
from fastbp.plan.arena import allocate
from fastbp.runtime import engine_cache
from fastbp.runtime.figure import metric_divisor, summed_metrics
from fastbp.runtime.rows import MOST_BYTES, PART_NUMBERS, Rows, checked_rows, converted
from fastbp.runtime.state import State


def respond(
    state: State,
    X: ArrayLike,
    transform: str,
    *,
    out: Array | None = None,
    check_finite: bool = True,
    n_threads: int | str = "auto",
    ema: bool = False,
) -> Array:
    """The outputs for each row, or of one, by the activation named `transform`; see
    `Network.predict`.
    """
    # so few threads can be had anywhere: nothing to warn of
    if (
        out is None
        and not ema
        and (n_threads == "auto" or (type(n_threads) is int and 0 < n_threads <= 4))
    ):
        engine = engine_cache.take_predictor(state, 1)
        try:
            found: Array | None = engine.respond(X, transform)
        finally:
            engine_cache.give_back(state, engine)
        if found is None and type(X) is np.ndarray and X.ndim == 2:
            found = _respond_to_many(state, X, transform, n_threads)
        elif found is None and type(X) is np.ndarray and X.shape == (state.n_features,):
            found = respond(state, X[np.newaxis], transform, check_finite=check_finite)[0]
        if found is not None:
            return found
    guard, token = state.guard, object()
    try:
        guard.begin_reading(token)
        rows, is_row = rows_or_row(state, X, check_finite)
        shape = (state.n_outputs,) if is_row else (len(rows), state.n_outputs)
        others = (rows, state.parameters)
        result = check_out(out, shape=shape, dtype=state.dtype, others=others)
        into = result.reshape(len(rows), state.n_outputs)
        for part in _parts(Rows(rows, into, is_direct=is_readable(rows, state.dtype))):
            block = converted(rows, part, state)
            predict(state, block, into[part], transform, n_threads, ema=ema)
        if out is None or result is out:
            return result
        out[...] = result
        return out
    finally:
        guard.readers.discard(token)


def rows_or_row(state: State, X: ArrayLike, check_finite: bool) -> tuple[Array, bool]:
    """X as rows that the kernels can read, and whether it was one, of shape (n_features,).

    Exactly that shape: with one feature (n,) might be rows too, and is refused.
    """
    found = state.quick_input(X, state.n_features, check_finite)
    if found is not None:
        return found, False
    given = as_numeric(X, name="X", dtype=state.dtype)
    is_row = given.shape == (state.n_features,)
    if is_row:
        check_feature_names(X, state.feature_names)
    rows = state.checked(
        given[np.newaxis] if is_row else X, minimum_rows=0, check_finite=check_finite,
        most_bytes=MOST_BYTES,
        advice=f" A single sample of this network may have shape ({state.n_features},) too.",
    )  # fmt: skip
    return rows, is_row


def _respond_to_many(
    state: State, X: Array, transform: str, n_threads: int | str
) -> Array | None:  # fmt: skip
    """The same for so many rows that another thread may pay, None where they need a closer look."""
    threads = engine_cache.threads_to_predict(state, len(X), n_threads)
    engine = engine_cache.take_predictor(state, threads)
    try:
        found: Array | None = engine.respond(X, transform, threads)
        return found
    finally:
        engine_cache.give_back(state, engine)


def predict(
    state: State, X: Array, out: Array, transform: str, n_threads: int | str, *, ema: bool = False
) -> None:
    """Fill `out` with the outputs for checked rows."""
    threads = engine_cache.threads_to_predict(state, len(X), n_threads)
    engine = engine_cache.take_predictor(state, threads, ema=ema)
    try:
        if engine.predict(X, out, transform, threads):
            raise engine.take_pending()
    finally:
        engine_cache.give_back(state, engine, ema=ema)


def evaluate(
    state: State,
    X: ArrayLike,
    y: Any,
    *,
    n_threads: int | str,
    sample_weight: ArrayLike | None = None,
    ignore_nan: bool = False,
    ema: bool = False,
) -> dict[str, float]:
    """See `Network.evaluate`."""
    guard, token = state.guard, object()
    try:
        guard.begin_reading(token)
        rows = checked_rows(state, X, y, sample_weight=sample_weight, ignore_nan=ignore_nan)
        return measure(state, rows, n_threads, ema=ema)
    finally:
        guard.readers.discard(token)


def measure(
    state: State, rows: Rows, n_threads: int | str, *, ema: bool = False
) -> dict[str, float]:
    """The same of checked data; those that the kernels cannot read in place are converted part by
    part.
    """
    found: dict[str, float] = {}
    if not state.loss.is_own:
        found = _sums(state, rows, n_threads, ema)
        if not state.description.metrics:
            return found
    names = ["loss", *state.description.measures]
    if state.heads is not None:  # whose own losses are among the figures
        names = [*dict.fromkeys(["loss", *found, *names])]
    if len(found) < len(names):
        response: Any = np.empty((len(rows.X), state.n_outputs), state.dtype)
        for part in _parts(rows):
            block = converted(rows.X, part, state)
            predict(state, block, response[part], state.response_activation, n_threads, ema=ema)
        weight = rows.weights.of_elements()
        if state.loss.is_own:
            from fastbp.runtime.own_loss import measured as measured_by_own  # which few need

            found["loss"] = measured_by_own(state, rows.y, response, rows.weights.weight)
        response = _point(state, response)
        with np.errstate(all="ignore"):  # a metric that overflows is infinite, as the loss would be
            for name, measured in state.description.measures.items():
                if name not in found:
                    found[name] = measured(response, rows.y, weight)
    return {name: found[name] for name in names}


def _sums(state: State, rows: Rows, n_threads: int | str, ema: bool) -> dict[str, float]:
    """The loss, and the metrics that the engine sums with it."""
    n_rows = len(rows.X)
    threads = engine_cache.threads_to_predict(state, n_rows, n_threads)
    engine = engine_cache.take_predictor(state, threads, ema=ema)
    summed = summed_metrics(state, rows)
    sums = np.empty(1 + len(summed))
    total = [0.0] * len(sums)
    try:
        for part in _parts(rows):
            X, y, weights, _ = rows if rows.is_direct else rows.take(part, state)
            if engine.evaluate(
                X, y, sums, weight=weights.weight, metrics=summed, n_threads=threads
            ):
                raise engine.take_pending()
            total = [a + b for a, b in zip(total, sums.tolist(), strict=True)]
    finally:
        engine_cache.give_back(state, engine, ema=ema)
    count = rows.total()
    found = {"loss": total[0] / (engine.plan.loss_divisor * count)}
    for name, value in zip(summed, total[1:], strict=True):
        found[name] = value / (metric_divisor(state, name) * count)
    return found


def _point(state: State, response: Array) -> Any:
    """The columns that foretell the targets themselves; of several heads by their names."""
    if not isinstance(state.loss, Loss):
        assert state.heads is not None
        return state.heads.points(state.heads.split(response))
    return state.loss.point(response)


def _parts(rows: Rows) -> Sequence[slice]:
    """All rows at once, or runs of rows where they must be converted."""
    n_rows = len(rows.X)
    if rows.is_direct:
        return (slice(0, n_rows),) if n_rows else ()
    step = max(1, PART_NUMBERS // rows.X.shape[1])
    return [slice(i, min(i + step, n_rows)) for i in range(0, n_rows, step)]


class Predictor:
    """`Network.predict` for a fixed number of rows, prepared once: `network.predictor()`.

    Calling it returns the same bits as `predict`, by the parameters as they are then, and refuses
    the same input with the same errors, ModelBusyError included.  An array that is not of the
    network's dtype is converted.

    The array returned is the predictor's own and overwritten by the next call, also by one that
    refuses its input: copy what shall stay.  So every thread needs a predictor of its own; any
    number of them may run at once.
    """

    __slots__ = ("_out", "_respond", "_state", "_transform")

    def __init__(self, state: State, *, batch_size: int) -> None:
        rows = check_integer(batch_size, name="batch_size", minimum=1)
        size = rows * state.n_outputs
        self._state = state
        self._transform = state.response_activation
        self._out = allocate(size, state.dtype, purpose="outputs")[:size].reshape(rows, -1)
        self._respond = engine_cache.bound_predictor(state, self._out).respond

    @property
    def batch_size(self) -> int:
        """Rows of a call."""
        return len(self._out)

    def __call__(self, X: ArrayLike) -> FloatArray:
        """The response for X, (batch_size, n_features): (batch_size, n_outputs).

        With a batch size of 1 a row alone will do: (n_features,) gives (n_outputs,).
        """
        found: Array | None = self._respond(X, self._transform)
        return self._predict(X) if found is None else found

    def _predict(self, X: ArrayLike) -> Array:
        """The same for what the engine does not take at once."""
        check_feature_names(X, self._state.feature_names)
        rows = as_numeric(X, name="X", dtype=self._out.dtype)
        is_row = rows.ndim == 1 and self.batch_size == 1
        rows = self._state.checked(rows[np.newaxis] if is_row else rows)
        if len(rows) != self.batch_size:
            got = counted(len(rows), "row")
            raise ValueError(f"X has {got}, the predictor takes {self.batch_size}")
        out = respond(self._state, rows, self._transform, out=self._out)
        return out[0] if is_row else out

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {counted(self.batch_size, 'row')} for {self._state!r}>"


class HeadPredictor(Predictor):
    """The same for several heads: calling it returns a dict of arrays, which the next call
    overwrites.
    """

    __slots__ = ()

    def __call__(self, X: ArrayLike) -> Any:
        """The response of each head for X."""
        assert self._state.heads is not None
        return self._state.heads.split(super().__call__(X))

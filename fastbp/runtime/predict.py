"""The verbs that compute outputs, for any rows or a fixed number again and again, or measure
them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from fastbp.check.array import Array, as_numeric, is_readable
from fastbp.check.frame import check_feature_names
from fastbp.check.input import check_out
from fastbp.check.message import counted
from fastbp.check.scalar import check_integer
from fastbp.metric import metric
from fastbp.plan.arena import allocate
from fastbp.runtime import engine_cache
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
) -> Array:
    """The outputs for each row, by the activation named `transform`; see `Network.predict`."""
    # so few threads can be had anywhere: nothing to warn of
    if out is None and (n_threads == "auto" or (type(n_threads) is int and 0 < n_threads <= 4)):
        engine = engine_cache.take_predictor(state, 1)
        try:
            found: Array | None = engine.respond(X, transform)
        finally:
            engine_cache.give_back(state, engine)
        if found is None and type(X) is np.ndarray and X.ndim == 2:
            found = _respond_to_many(state, X, transform, n_threads)
        if found is not None:
            return found
    guard, token = state.guard, object()
    try:
        guard.begin_reading(token)
        rows = state.checked(X, minimum_rows=0, check_finite=check_finite, most_bytes=MOST_BYTES)
        shape = (len(rows), state.n_outputs)
        others = (rows, state.parameters)
        result = check_out(out, shape=shape, dtype=state.dtype, others=others)
        held = Rows(rows, result, is_direct=is_readable(rows, state.dtype))
        for part in _parts(held, 1):
            predict(state, converted(rows, part, state), result[part], transform, n_threads)
        if out is None or result is out:
            return result
        out[...] = result
        return out
    finally:
        guard.readers.discard(token)


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


def predict(state: State, X: Array, out: Array, transform: str, n_threads: int | str) -> None:
    """Fill `out` with the outputs for checked rows."""
    threads = engine_cache.threads_to_predict(state, len(X), n_threads)
    engine = engine_cache.take_predictor(state, threads)
    try:
        if engine.predict(X, out, transform, threads):
            raise engine.take_pending()
    finally:
        engine_cache.give_back(state, engine)


def evaluate(
    state: State,
    X: ArrayLike,
    y: ArrayLike,
    *,
    n_threads: int | str,
    sample_weight: ArrayLike | None = None,
    ignore_nan: bool = False,
) -> dict[str, float]:
    """See `Network.evaluate`."""
    guard, token = state.guard, object()
    try:
        guard.begin_reading(token)
        rows = checked_rows(state, X, y, sample_weight=sample_weight, ignore_nan=ignore_nan)
        return measure(state, rows, n_threads)
    finally:
        guard.readers.discard(token)


def measure(state: State, rows: Rows, n_threads: int | str) -> dict[str, float]:
    """The same of checked data; those that the kernels cannot read in place are converted part by
    part.
    """
    X, y, weights, _ = rows
    threads = engine_cache.threads_to_predict(state, len(X), n_threads)
    engine = engine_cache.take_predictor(state, threads)
    try:
        tile_rows = engine.plan.tile_rows
        tile_loss = np.empty(-(-len(X) // tile_rows))
        for part in _parts(rows, tile_rows):
            tiles = tile_loss[part.start // tile_rows : -(-part.stop // tile_rows)]
            held = rows if rows.is_direct else rows.take(part, state)
            own = held.weights.options()
            if engine.evaluate(held.X, held.y, tiles, n_threads=threads, **own):
                raise engine.take_pending()
    finally:
        engine_cache.give_back(state, engine)
    found = {"loss": float(tile_loss.sum() / (rows.total() * engine.plan.loss_divisor))}
    if state.description.metrics:
        response = np.empty((len(X), state.n_outputs), state.dtype)
        for part in _parts(rows, 1):
            transform = state.response_activation
            block = converted(X, part, state)
            predict(state, block, response[part], transform, n_threads)
        own = {} if weights.weight is None else {"weight": _of_elements(weights.weight)}
        with np.errstate(all="ignore"):  # a metric that overflows is infinite, as the loss would be
            for name in state.description.metrics:
                found[name] = metric(name, loss=state.loss)(response, y, **own)
    return found


def _parts(rows: Rows, multiple: int) -> Sequence[slice]:
    """All rows at once, or runs of a multiple of rows where they must be converted."""
    n_rows = len(rows.X)
    if rows.is_direct:
        return (slice(0, n_rows),) if n_rows else ()
    step = max(1, PART_NUMBERS // (rows.X.shape[1] * multiple)) * multiple
    return [slice(i, min(i + step, n_rows)) for i in range(0, n_rows, step)]


def _of_elements(weight: Array) -> Array:
    """(n,) where all elements of a row have one weight, else (n, n_outputs)."""
    return weight[:, 0] if weight.strides[1] == 0 or weight.shape[1] == 1 else weight


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

    def __call__(self, X: ArrayLike) -> Array:
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
        return f"<Predictor of {counted(self.batch_size, 'row')} for {self._state!r}>"

"""The verbs of `Network` that compute outputs: for any rows, or a fixed number again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.check.array import as_numeric, counted
from fastbp.check.scalar import check_integer
from fastbp.check.validation import check_out
from fastbp.plan.arena import allocate

if TYPE_CHECKING:
    from fastbp.network import Network
    from fastbp.runtime.state import Runtime

Array = NDArray[Any]


def respond(
    network: Network,
    X: ArrayLike,
    transform: str,
    *,
    out: Array | None = None,
    check_finite: bool = True,
    n_threads: int | str = "auto",
) -> Array:
    """The outputs for each row, by the activation named `transform`; see
    `Network.predict`.
    """
    runtime = network._runtime
    if runtime.row_is_brief and out is None and n_threads == "auto":
        found = _respond_to_row(runtime, X, transform)
        if found is not None:
            return found
    usage, mark = network._usage, object()
    try:
        usage.begin_reading(mark)
        rows = network._checked(X, minimum_rows=0, check_finite=check_finite)
        shape = (len(rows), runtime.n_outputs)
        others = (rows, runtime.parameters)
        result = check_out(out, shape=shape, dtype=runtime.dtype, others=others)
        if len(rows):
            predict(runtime, rows, result, transform, n_threads)
        if out is None or result is out:
            return result
        out[...] = result
        return out
    finally:
        usage.readers.discard(mark)


def _respond_to_row(runtime: Runtime, X: ArrayLike, transform: str) -> Array | None:
    """The output for one row that needs no closer look, else None."""
    engine = runtime.take_predictor(1)
    try:
        found: Array | None = engine.respond(X, transform)
        return None if found is None else found.copy()
    finally:
        runtime.give_back(engine)


def predict(runtime: Runtime, X: Array, out: Array, transform: str, n_threads: int | str) -> None:
    """Fill `out` with the outputs for checked rows."""
    threads = runtime.threads_to_predict(len(X), n_threads)
    engine = runtime.take_predictor(threads)
    try:
        if engine.predict(X, out, transform, threads):
            raise engine.take_pending()
    finally:
        runtime.give_back(engine)


class Predictor:
    """`Network.predict` for a fixed number of rows, prepared once: `network.predictor()`.

    Calling it returns the same bits as `predict`, by the parameters as they are then, and refuses
    the same input with the same errors, ModelBusyError included.  An array that is not of the
    network's dtype is converted.

    The array returned is the predictor's own and overwritten by the next call: copy what shall
    stay.  So every thread needs a predictor of its own; any number of them may run at once.
    """

    __slots__ = ("_network", "_out", "_respond", "_transform")

    def __init__(self, network: Network, *, batch_size: int) -> None:
        rows = check_integer(batch_size, name="batch_size", minimum=1)
        runtime = network._runtime
        size = rows * runtime.n_outputs
        self._network = network
        self._transform = runtime.response_code
        self._out = allocate(size, runtime.dtype, purpose="outputs")[:size].reshape(rows, -1)
        engine = runtime.bound_predictor(self._out)
        self._respond = _never if engine is None else engine.respond

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
        rows = as_numeric(X, name="X", dtype=self._out.dtype)
        is_row = rows.ndim == 1 and self.batch_size == 1
        rows = self._network._checked(rows[np.newaxis] if is_row else rows)
        if len(rows) != self.batch_size:
            got = counted(len(rows), "row")
            raise ValueError(f"X has {got}, the predictor takes {self.batch_size}")
        out = respond(self._network, rows, self._transform, out=self._out)
        return out[0] if is_row else out

    def __repr__(self) -> str:
        return f"<Predictor of {counted(self.batch_size, 'row')} for {self._network!r}>"


def _never(X: object, transform: str) -> None:
    """For calls too long to keep the interpreter to themselves."""
    return None

"""`Network.evaluate`: the loss and the metrics of given rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.metric import metric
from fastbp.runtime import engine_cache
from fastbp.runtime.predict import predict
from fastbp.runtime.state import State

Array = NDArray[Any]


def evaluate(state: State, X: ArrayLike, y: ArrayLike, *, n_threads: int | str) -> dict[str, float]:
    """See `Network.evaluate`."""
    guard, token = state.guard, object()
    try:
        guard.begin_reading(token)
        rows, target = state.checked_pair(X, y)
        return measure(state, rows, target, n_threads)
    finally:
        guard.readers.discard(token)


def measure(state: State, X: Array, y: Array, n_threads: int | str) -> dict[str, float]:
    """The same of checked data."""
    threads = engine_cache.threads_to_predict(state, len(X), n_threads)
    engine = engine_cache.take_predictor(state, threads)
    try:
        tile_loss = np.empty(-(-len(X) // engine.plan.tile_rows))
        if engine.evaluate(X, y, tile_loss, n_threads=threads):
            raise engine.take_pending()
    finally:
        engine_cache.give_back(state, engine)
    found = {"loss": float(tile_loss.sum() / (len(X) * engine.plan.loss_divisor))}
    if state.description.metrics:
        response = np.empty((len(X), state.n_outputs), state.dtype)
        predict(state, X, response, state.response_activation, n_threads)
        with np.errstate(all="ignore"):  # a metric that overflows is infinite, as the loss would be
            for name in state.description.metrics:
                found[name] = metric(name, loss=state.loss)(response, y)
    return found

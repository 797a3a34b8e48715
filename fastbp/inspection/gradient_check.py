"""Gradients against differences of the loss."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.check.array import Array
from fastbp.inspection.trace import trace
from fastbp.runtime.own_loss import worst_of_function
from fastbp.runtime.predict import evaluate
from fastbp.runtime.snapshot import set_weights
from fastbp.runtime.state import State

_DIFFERENCE = 1e-6  # of a parameter near 1: the central difference is then good to about 1e-9


def check_gradients(state: State, X: ArrayLike, y: Any) -> float:
    """See `Network.check_gradients`."""
    description = replace(state.description, dtype=np.dtype("float64"), metrics=())
    twin = State(description, backend=state.backend)
    set_weights(twin, list(state.parameter_views().values()))
    found = trace(twin, X, y)
    gradients = {name: gradient.copy() for name, gradient in twin.gradient_views().items()}
    worst = 0.0
    if twin.loss.is_own:
        worst = worst_of_function(twin, twin.checked_pair(X, y)[1], found["output"])
    sizes = (float(np.abs(gradient).max()) for gradient in gradients.values())
    scale = max(sizes, default=0.0) or 1.0
    views = twin.parameter_views()
    for name, gradient in gradients.items():
        for place in np.ndindex(gradient.shape):
            difference = _central_difference(twin, X, y, views[name], place)
            error = abs(difference - gradient[place])
            worst = max(worst, float(error) / max(abs(difference), 1e-3 * scale))
    return worst


def _central_difference(
    state: State, X: ArrayLike, y: Any, view: Array, place: tuple[int, ...]
) -> float:
    kept = view[place]
    step = _DIFFERENCE * max(1.0, abs(kept))
    losses = []
    for value in (kept + step, kept - step):
        view[place] = value
        losses.append(_loss(state, X, y))
    view[place] = kept
    return float((losses[0] - losses[1]) / (2 * step))


def _loss(state: State, X: ArrayLike, y: ArrayLike) -> float:
    """The one of which a trace has the gradient: by the statistics of the batch where nodes go by
    some.
    """
    if not state.graph.n_batched:
        return evaluate(state, X, y, n_threads="auto")["loss"]
    return float(trace(state, X, y)["loss"])

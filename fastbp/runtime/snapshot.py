"""The verbs that read or replace all numbers of a network."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.backend import default as default_backend
from fastbp.check.array import Array
from fastbp.check.input import check_weights
from fastbp.description import Snapshot
from fastbp.runtime.guard import reading, writing
from fastbp.runtime.state import State


@reading
def snapshot(state: State, *, extra: Any = None) -> Snapshot:
    """Copies of all numbers, beside the description."""
    return _snapshot(state, extra)


def _snapshot(state: State, extra: Any = None) -> Snapshot:
    counters = {"power": state.powers.copy(), "epochs": np.array([float(state.epochs)])}
    parameters = _copies(state.parameter_views())
    vectors = _copies(state.optimizer_state_views()) | counters
    return Snapshot(state.description.to_config(), parameters, vectors, state.steps, extra)


@writing
def restore(state: State, held: Snapshot) -> None:
    """Take over the numbers of a network of the same description."""
    values = held.parameters | held.state
    for name, view in (state.parameter_views() | state.optimizer_state_views()).items():
        view[...] = values[name]
    state.powers[:] = held.state["power"]
    state.epochs = int(held.state["epochs"][0])
    state.steps = held.steps


@reading
def pickled(state: State) -> dict[str, Any]:
    """See `Network.__getstate__`."""
    held = vars(_snapshot(state))
    del held["extra"]
    backend = None if state.backend == default_backend else state.backend
    own = {"backend": backend, "history": deepcopy(state.history)}
    return held | own | {"feature_names": state.feature_names}


@writing
def set_weights(state: State, weights: Sequence[ArrayLike]) -> None:
    """See `Network.set_weights`."""
    shapes = [(tensor.name, tensor.shape) for tensor in state.layout.tensors]
    checked = check_weights(weights, shapes=shapes, dtype=state.dtype)
    for view, value in zip(state.parameter_views().values(), checked, strict=True):
        view[...] = value


def _copies(views: dict[str, Array]) -> dict[str, Array]:
    return {name: view.copy() for name, view in views.items()}

"""The verbs that read or replace all numbers of a network."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.backend import default as default_backend
from fastbp.check.array import Array
from fastbp.check.input import check_variance, check_weights
from fastbp.check.scalar import check_real, check_seed
from fastbp.description import Snapshot
from fastbp.history import History
from fastbp.metric import Function, metric_names
from fastbp.metric.function import Kept, left_out
from fastbp.runtime.guard import reading, writing
from fastbp.runtime.state import State

if TYPE_CHECKING:
    from fastbp.runtime.standing import Standing

_REAL = {np.dtype(np.float32), np.dtype(np.float64)}


@reading
def snapshot(state: State, *, extra: Any = None) -> Snapshot:
    """Copies of all numbers, beside the description."""
    return take(state, extra)


def take(state: State, extra: Any = None) -> Snapshot:
    """The same for a call that holds the guard."""
    powers = state.powers[: 3 if state.optimizer.ema else 2].copy()
    epochs = state.epochs + (state.left_at is not None)  # of one that is lost there is no rest
    counters = {"power": powers, "epochs": np.array([float(epochs)])}
    parameters = _copies(state.parameter_views())
    vectors = _copies(state.optimizer_state_views()) | counters
    held = Snapshot(state.description.to_config(), parameters, vectors, state.steps, extra)
    held.metadata, held.feature_names = state.metadata, state.feature_names
    held.history = state.history
    if state.left_at is None and state.unfinished is not None:
        held.unfinished = deepcopy(state.unfinished)
    standing = state.standing() if callable(state.standing) else state.standing
    if standing is not None:
        held.callbacks = standing.callbacks
        if standing.parameters is not None and standing.is_left(state):
            held.kept = _copies(state.layout.views(standing.parameters))
        if standing.rate is not None and standing.is_left(state):
            held.kept_rate = standing.rate
    return held


@writing
def restore(state: State, held: Snapshot) -> None:
    """Take over the numbers of a network of the same description."""
    put(state, held)


def put(state: State, held: Snapshot) -> None:
    """The same for a call that holds the guard."""
    values = held.parameters | held.state
    for name, view in (state.parameter_views() | state.optimizer_state_views()).items():
        view[...] = values[name]
    state.powers[: len(held.state["power"])] = held.state["power"]
    state.epochs = int(held.state["epochs"][0])
    state.steps = held.steps
    state.metadata, state.feature_names = held.metadata, held.feature_names
    state.history, state.unfinished, state.left_at = held.history, held.unfinished, None
    state.standing = _standing(state, held)


def _standing(state: State, held: Snapshot) -> Standing | None:
    if not held.callbacks and not held.kept and held.kept_rate is None:
        return None
    from fastbp.runtime.standing import Mark  # which few need

    mark = Mark(state, held.callbacks, keeps=bool(held.kept))
    if mark.parameters is not None:
        for name, view in state.layout.views(mark.parameters).items():
            view[...] = held.kept[name]
    if held.kept_rate is not None:
        mark.rate = held.kept_rate
    return mark.standing(state)


@reading
def pickled(state: State) -> dict[str, Any]:
    """See `Network.__getstate__`."""
    held: dict[str, Any] = {"snapshot": take(state), "config": state.description.to_config()}
    held["learning_rate"] = state.optimizer.learning_rate  # a function too, which no config holds
    backend = None if state.backend == default_backend else state.backend
    if _functions(state):
        metrics = state.description.metrics
        held["metrics"] = [one if isinstance(one, str) else Kept(one) for one in metrics]
    if state.loss.is_own:
        own: Any = state.loss
        held["loss"] = Kept(own.function, kind="loss")
    return held | {"backend": backend}


def set_loss(state: State, function: Function | None) -> None:
    """The function of a network whose loss is one; None where it is not known.

    Raises:
        TypeError: no such function.
        ValueError: the loss is another one.
    """
    if function is None:
        return
    from fastbp.loss.own import own_loss  # which few need

    loss = own_loss(function)
    if not state.loss.is_own:
        raise ValueError(f"loss is for a network that has a function, this one has {state.loss!r}")
    state.description, state.loss = replace(state.description, loss=loss), loss
    state.engines.clear()


def unpickled_metrics(held: Sequence[str | Kept]) -> list[str | Function]:
    """Those of `pickled`, but for functions that could not be pickled."""
    found = [one.function if isinstance(one, Kept) else one for one in held]
    return [one for one in found if one is not None]


def warn_of_functions(state: State) -> None:
    """For `Network.save`, when the file is written."""
    names = _functions(state)
    if names:
        warnings.warn(left_out(names, "file"), UserWarning, stacklevel=3)


def _functions(state: State) -> list[str]:
    """The names of the metrics that are functions."""
    metrics = state.description.metrics
    named = zip(metric_names(metrics), metrics, strict=True)
    return [name for name, one in named if not isinstance(one, str)]


@reading
def twin(state: State) -> State:
    """See `Network.copy`."""
    found = State(state.description, backend=state.backend, draws=False)
    for own, other in zip(_vectors(found), _vectors(state), strict=True):
        own[:] = other
    found.steps, found.epochs = state.steps, state.epochs
    found.feature_names, found.metadata = state.feature_names, state.metadata
    found.unfinished, found.left_at = deepcopy(state.unfinished), state.left_at
    found.standing = state.standing() if callable(state.standing) else state.standing
    return found


@writing
def reset(state: State, *, seed: object = None) -> None:
    """See `Network.reset`."""
    seed = state.seed if seed is None else check_seed(seed)
    parameters = np.zeros_like(state.parameters)
    state.architecture.start.fill(parameters, seed=seed)
    if seed != state.seed:
        state.description, state.seed = replace(state.description, seed=seed), seed
    state.parameters[:] = parameters
    state.optimizer_state[:] = 0
    state.powers[:] = 1
    state.steps = state.epochs = state.rows_back = 0
    state.start_rate()
    state.gradient = state.forward_pass = None
    state.history = History()
    state.feature_names = state.declared_names
    state.unfinished = state.left_at = state.standing = None


def update_from(state: State, other: State, *, tau: float = 1.0) -> None:
    """See `Network.update_from`."""
    if tau != 1.0 or type(tau) is not float:
        tau = check_real(tau, name="tau", minimum=0, maximum=1)
    if state.layout.places != other.layout.places or state.dtype is not other.dtype:
        _check_alike(state, other)
    if state is other:
        return
    guard, others, token = state.guard, other.guard, object()
    try:
        guard.begin_writing(token)
        try:
            others.begin_reading(token)
            if tau == 1.0:
                state.parameters[:] = other.parameters
            else:  # and nothing is changed before the last sum
                part, rest = np.array(tau, state.dtype), np.array(1.0 - tau, state.dtype)
                given, kept = other.parameters * part, state.parameters * rest
                np.add(given, kept, state.parameters)
        finally:
            others.readers.discard(token)
    finally:
        guard.writers.discard(token)


def _check_alike(state: State, other: State) -> None:
    """Raise ValueError: the parameters of the two do not lie alike."""
    if state.dtype != other.dtype:
        raise ValueError(f"other is {other.dtype}, this network {state.dtype}")
    own, given = state.layout.tensors, other.layout.tensors
    if len(own) != len(given):
        raise ValueError(f"other has {len(given)} kernels and biases, this network {len(own)}")
    for a, b in zip(own, given, strict=True):
        if a.shape != b.shape:
            raise ValueError(f"{b.name} of other is {b.shape}, {a.name} of this network {a.shape}")
    raise ValueError("other stores its parameters in another way than this network")


@writing
def set_weights(state: State, weights: Sequence[ArrayLike]) -> None:
    """See `Network.set_weights`."""
    parameters = _flat(state, weights)
    if parameters is None:  # what needs a closer look
        shapes = [(tensor.name, tensor.shape) for tensor in state.layout.tensors]
        checked = check_weights(weights, shapes=shapes, dtype=state.dtype)
        parameters = np.zeros_like(state.parameters)
        _fill(state, parameters, checked)
    if state.graph.n_batched:
        for tensor in state.layout.running_variances:
            check_variance(tensor.name, tensor.view(parameters))
    state.parameters[:] = parameters


def _flat(state: State, weights: Any) -> Array | None:
    """Plain finite arrays of the right shapes as they lie in the flat vector; None for others."""
    tensors, kinds = state.layout.tensors, {state.dtype}
    if type(weights) not in (list, tuple) or len(weights) != len(tensors):
        return None
    for tensor, value in zip(tensors, weights, strict=True):
        if type(value) is not np.ndarray or value.shape != tensor.shape:
            return None
        kinds.add(value.dtype)
    if not kinds <= _REAL:
        return None
    parameters = np.zeros_like(state.parameters)
    if len(kinds) == 1:
        _fill(state, parameters, weights)
    else:
        with np.errstate(all="ignore"):  # what overflows is not finite
            _fill(state, parameters, weights)
    return parameters if state.scan(parameters) < 0 else None


def _fill(state: State, parameters: Array, values: Sequence[Array]) -> None:
    for tensor, value in zip(state.layout.tensors, values, strict=True):
        tensor.view(parameters)[...] = value


def _vectors(state: State) -> tuple[Array, Array, Array]:
    return state.parameters, state.optimizer_state, state.powers


def _copies(views: dict[str, Array]) -> dict[str, Array]:
    return {name: view.copy() for name, view in views.items()}

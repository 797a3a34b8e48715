"""Second derivatives of a loss by the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.backend import engine_module
from fastbp.check.array import Array
from fastbp.check.input import check_weights
from fastbp.inspection.derivative import check_loss
from fastbp.layer.architecture import Architecture, architecture
from fastbp.runtime import engine_cache
from fastbp.runtime.guard import reading
from fastbp.runtime.state import State

if TYPE_CHECKING:
    from fastbp.backend.numpy.tangent import TangentEngine
    from fastbp.plan import Plan

TILE_ROWS = 256
_REAL = np.dtype(np.float64)
_KEPT_BYTES = 2**26  # of an engine that waits for the next call


@reading
def hessian_vector_product(
    state: State, X: ArrayLike, y: Any, v: Sequence[ArrayLike]
) -> list[Array]:
    """See `Network.hessian_vector_product`."""
    check_loss(state, "hessian_vector_product")
    rows, target = state.checked_pair(X, y, nan_advice="")
    views = state.parameter_views()
    running = {tensor.name for tensor in state.layout.tensors if tensor.is_running}
    shapes = [(name, view.shape) for name, view in views.items() if name not in running]
    direction = check_weights(v, shapes=shapes, name="v")
    n_rows = len(rows)
    step = min(n_rows, TILE_ROWS)
    own, engine = _take(state, step)
    for to, value in zip(own.layout.views(engine.w.value).values(), views.values(), strict=True):
        to[...] = value
    tangents = own.layout.views(engine.w.tangent)
    for (name, _), along in zip(shapes, direction, strict=True):
        tangents[name][...] = along
    engine.begin()
    scale = 1 / (n_rows * engine.plan.loss_divisor)
    for begin in range(0, n_rows, step):
        engine.add(rows[begin : begin + step], target[begin : begin + step], scale)
    gradient = own.layout.views(engine.gradient.tangent)
    with np.errstate(over="ignore"):  # what the network's type cannot hold is infinite
        found = [np.array(gradient[name], state.dtype) for name, _ in shapes]
    state.idle_tangents.append((own, engine if engine.nbytes <= _KEPT_BYTES else None))
    return found


def _take(state: State, n_rows: int) -> tuple[Architecture, TangentEngine]:
    """The network in float64, and an engine of it for so many rows at a time: those of the last
    call where they will do, this call's alone until it has given them back.
    """
    own: Architecture | None
    engine: TangentEngine | None
    try:
        own, engine = state.idle_tangents.pop()
    except IndexError:
        own = engine = None
    if own is None:
        own = architecture(state.layers, state.loss, _REAL)
    plan = engine_cache.plan_of(own, state.loss, state.optimizer, "derivative", n_rows)
    if engine is None or engine.plan is not plan:
        engine = _make(state, own, plan)
    return own, engine


def _make(state: State, own: Architecture, plan: Plan) -> TangentEngine:
    from fastbp.backend.numpy.tangent import TangentEngine  # which few need
    from fastbp.backend.tangent import CompiledTangentEngine

    if state.backend == "cython":
        module = engine_module("cython", _REAL)
        if hasattr(module, "TangentPass"):  # see has_tangents in setup.py
            return CompiledTangentEngine(plan, own.layout.size, module)
    return TangentEngine(plan, own.layout.size)

"""Second derivatives of a loss by the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.check.array import Array
from fastbp.check.input import check_weights
from fastbp.inspection.derivative import check_loss
from fastbp.layer.architecture import architecture
from fastbp.runtime import engine_cache
from fastbp.runtime.guard import reading
from fastbp.runtime.state import State

TILE_ROWS = 256


@reading
def hessian_vector_product(
    state: State, X: ArrayLike, y: Any, v: Sequence[ArrayLike]
) -> list[Array]:
    """See `Network.hessian_vector_product`."""
    from fastbp.backend.numpy.dual import Dual  # which few need
    from fastbp.backend.numpy.tangent import TangentEngine

    check_loss(state, "hessian_vector_product")
    rows, target = state.checked_pair(X, y, nan_advice="")
    views = state.parameter_views()
    running = {tensor.name for tensor in state.layout.tensors if tensor.is_running}
    shapes = [(name, view.shape) for name, view in views.items() if name not in running]
    direction = check_weights(v, shapes=shapes, name="v")
    real = np.dtype(np.float64)
    own = architecture(state.layers, state.loss, real)
    parameters = Dual.zeros(own.layout.size)
    for to, value in zip(own.layout.views(parameters.value).values(), views.values(), strict=True):
        to[...] = value
    tangents = own.layout.views(parameters.tangent)
    for (name, _), value in zip(shapes, direction, strict=True):
        tangents[name][...] = value
    n_rows = len(rows)
    step = min(n_rows, TILE_ROWS)
    plan = engine_cache.plan_of(own, state.loss, state.optimizer, "derivative", step)
    engine = TangentEngine(plan, parameters)
    scale = 1 / (n_rows * plan.loss_divisor)
    for begin in range(0, n_rows, step):
        part = slice(begin, begin + step)
        given = target[part]
        of_heads = (given,) if state.heads is None else given.parts
        # labels of classes stay what they are
        double = [y if y.ndim == 1 else y.astype(real) for y in of_heads]
        engine.add(rows[part].astype(real), double, scale)
    found = own.layout.views(engine.gradient.tangent)
    return [np.array(found[name], state.dtype) for name, _ in shapes]

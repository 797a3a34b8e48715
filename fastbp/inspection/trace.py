"""Every number of one step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.check.array import Array
from fastbp.plan import Plan
from fastbp.runtime import engine_cache
from fastbp.runtime.guard import writing
from fastbp.runtime.own_loss import own_loss_gradient
from fastbp.runtime.parts import Parts
from fastbp.runtime.predict import predict
from fastbp.runtime.state import State


@writing
def trace(state: State, X: ArrayLike, y: Any) -> dict[str, Any]:
    """See `Network.trace`."""
    X, y = state.checked_pair(X, y, nan_advice="")
    prepared = engine, plan, scratch = engine_cache.engine(state, "trace", len(X))
    engine.forward(X)
    if state.loss.is_own:
        parts = Parts(prepared, len(X), state.layout.size)
        loss = own_loss_gradient(state, parts, y, parts.out.copy())
    else:
        loss = engine.loss_gradient(y)
    engine.backward()
    found = _buffers(plan, scratch, len(X))
    out = _output(state, X, plan, found)
    state.gradient = scratch[plan.arena.gradient :][: state.layout.size].copy()
    gradients = {k: v.copy() for k, v in state.gradient_views().items()}
    # and nothing after this reads the memory of the network, which is free for other calls
    return found | gradients | {"output": out, "loss": loss}


def _output(state: State, X: Array, plan: Plan, found: dict[str, Any]) -> Any:
    """What the declared layers output, as `network(X)` gives it, taken out of `found`."""
    names = ["output"]
    if state.heads is not None:
        names = [f"output/{i}" for i in range(len(plan.heads))]
    outs = [found.pop(name) for name in names]
    if {*state.declared_activation.split()} != {"linear"}:  # a loss has taken an activation along
        whole = np.empty((len(X), state.n_outputs), state.dtype)
        if state.graph.n_batched:  # by the statistics of these rows
            from fastbp.backend.numpy.kernel import find_activation

            columns = np.cumsum([out.shape[1] for out in outs])[:-1]
            shows = state.declared_activation.split()
            for to, out, show in zip(np.split(whole, columns, axis=1), outs, shows, strict=True):
                to[...] = find_activation(show, 0.0, state.dtype)[0](out)
        else:
            predict(state, X, whole, state.declared_activation, "auto")
        outs, begin = [], 0
        for name in names:
            outs.append(whole[:, begin : begin + plan.buffers[name].n].copy())
            begin += plan.buffers[name].n
        for name, buffer in plan.buffers.items():
            own = [i for i, one in enumerate(names) if buffer is plan.buffers[one]]
            if name.endswith("/a") and own:
                found[name] = outs[own[0]]
    return outs[0] if state.heads is None else dict(zip(state.heads.names, outs, strict=True))


def _buffers(plan: Plan, scratch: Array, n: int) -> dict[str, Array]:
    """Copies of the first `n` rows of all that the plan names."""
    activations = scratch[plan.arena.activations :]
    found = {}
    for name, buffer in plan.buffers.items():
        rows = activations[buffer.offset :][: n * buffer.ld].reshape(n, buffer.ld)
        found[name] = rows[:, : buffer.n].copy()
    return found

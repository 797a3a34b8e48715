"""Every number of one step."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from fastbp.check.array import Array
from fastbp.plan import Plan
from fastbp.runtime import engine_cache
from fastbp.runtime.guard import writing
from fastbp.runtime.predict import predict
from fastbp.runtime.state import State


@writing
def trace(state: State, X: ArrayLike, y: ArrayLike) -> dict[str, Any]:
    """See `Network.trace`."""
    X, y = state.checked_pair(X, y, nan_advice="")
    engine, plan, scratch = engine_cache.engine(state, "trace", len(X))
    engine.forward(X)
    loss = engine.loss_gradient(y)
    engine.backward()
    found = _buffers(plan, scratch, len(X))
    out = found.pop("output")
    if state.graph.fused and state.graph.declared != "linear":
        if state.graph.n_batched:  # by the statistics of these rows
            from fastbp.backend.numpy.kernel import find_activation

            out = find_activation(state.declared_activation, 0.0, state.dtype)[0](out)
        else:
            predict(state, X, out, state.declared_activation, "auto")  # as `network(X)` does
        for name, buffer in plan.buffers.items():
            if name.endswith("/a") and buffer is plan.buffers["output"]:
                found[name] = out
    state.gradient = scratch[plan.arena.gradient :][: state.layout.size].copy()
    gradients = {k: v.copy() for k, v in state.gradient_views().items()}
    # and nothing after this reads the memory of the network, which is free for other calls
    return found | gradients | {"output": out, "loss": loss}


def _buffers(plan: Plan, scratch: Array, n: int) -> dict[str, Array]:
    """Copies of the first `n` rows of all that the plan names."""
    activations = scratch[plan.arena.activations :]
    found = {}
    for name, buffer in plan.buffers.items():
        rows = activations[buffer.offset :][: n * buffer.ld].reshape(n, buffer.ld)
        found[name] = rows[:, : buffer.n].copy()
    return found

"""Every number of one step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike, NDArray

from fastbp.plan import Plan
from fastbp.runtime.predict import predict

if TYPE_CHECKING:
    from fastbp.network import Network

Array = NDArray[Any]


def trace(network: Network, X: ArrayLike, y: ArrayLike) -> dict[str, Any]:
    """See `Network.trace`."""
    usage, mark = network._usage, object()
    try:
        usage.begin_writing(mark)
        X, y = network._checked_pair(X, y)
        runtime = network._runtime
        engine, plan, scratch = runtime.engine("trace", len(X))
        engine.forward(X)
        loss = engine.loss_gradient(y)
        engine.backward()
        found = _buffers(plan, scratch, len(X))
        out = found.pop("output")
        if runtime.graph.fused and runtime.graph.declared != "linear":
            predict(runtime, X, out, runtime.declared_code, "auto")  # as `network(X)` does
            for name, buffer in plan.buffers.items():
                if name.endswith("/a") and buffer is plan.buffers["output"]:
                    found[name] = out
        network._gradient = scratch[plan.arena.gradient :][: runtime.layout.size].copy()
        gradients = {k: v.copy() for k, v in network.gradients.items()}
        # and nothing after this reads the memory of the network, which is free for other calls
        return found | gradients | {"output": out, "loss": loss}
    finally:
        usage.writers.discard(mark)


def _buffers(plan: Plan, scratch: Array, n: int) -> dict[str, Array]:
    """Copies of the first `n` rows of all that the plan names."""
    activations = scratch[plan.arena.activations :]
    found = {}
    for name, buffer in plan.buffers.items():
        rows = activations[buffer.offset :][: n * buffer.ld].reshape(n, buffer.ld)
        found[name] = rows[:, : buffer.n].copy()
    return found

"""Looking inside a network: every number of a step, gradients against differences, the summary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.layer import Branch, Dense, Input, Layer, Residual
from fastbp.plan.graph import DenseNode
from fastbp.runtime import engine_cache
from fastbp.runtime.evaluate import evaluate
from fastbp.runtime.guard import writing
from fastbp.runtime.predict import predict
from fastbp.runtime.snapshot import set_weights
from fastbp.runtime.state import State

Array = NDArray[Any]

_DIFFERENCE = 1e-6  # of a parameter near 1: the central difference is then good to about 1e-9


@writing
def trace(state: State, X: ArrayLike, y: ArrayLike) -> dict[str, Any]:
    """See `Network.trace`."""
    X, y = state.checked_pair(X, y)
    engine, plan, scratch = engine_cache.engine(state, "trace", len(X))
    engine.forward(X)
    loss = engine.loss_gradient(y)
    engine.backward()
    gradient = scratch[plan.arena.gradient :][: state.layout.size].copy()
    activations = scratch[plan.arena.activations :]
    builder = plan.builder
    found: dict[str, Any] = {}
    for node in plan.graph.nodes:
        if isinstance(node, DenseNode):
            name, made = node.parameters.name, node.out
            buffers = {
                "z": builder.z.get(made, builder.a[made]),
                "a": builder.a[made],
                "da": builder.da[made],
                "dz": builder.dz[made],
            }
            for part, buffer in buffers.items():
                rows = activations[buffer.offset :][: len(X) * buffer.ld].reshape(len(X), buffer.ld)
                found[f"{name}/{part}"] = rows[:, : buffer.n].copy()
            if made == plan.graph.output and plan.graph.fused:
                del found[f"{name}/da"]
    output = builder.a[plan.graph.output]
    rows = activations[output.offset :][: len(X) * output.ld].reshape(len(X), output.ld)
    out = rows[:, : output.n].copy()
    if plan.graph.fused and plan.graph.declared != "linear":
        predict(state, X, out, state.declared_code, "auto")  # as `network(X)` does
        last = plan.graph.nodes[-1]
        if isinstance(last, DenseNode):
            found[f"{last.parameters.name}/a"] = out
    state.gradient = gradient
    gradients = {k: v.copy() for k, v in state.gradient_views().items()}
    # and nothing after this reads the memory of the network, which is free for other calls
    return found | gradients | {"output": out, "loss": loss}


def check_gradients(state: State, X: ArrayLike, y: ArrayLike) -> float:
    """See `Network.check_gradients`."""
    description = state.description.but(dtype=np.dtype("float64"), metrics=())
    twin = State(description, backend=state.backend)
    set_weights(twin, list(state.parameter_views().values()))
    trace(twin, X, y)
    gradients = {name: gradient.copy() for name, gradient in twin.gradient_views().items()}
    worst = 0.0
    scale = max(float(np.abs(gradient).max()) for gradient in gradients.values()) or 1.0
    for name, view in twin.parameter_views().items():
        for place in np.ndindex(view.shape):
            difference = _central_difference(twin, X, y, view, place)
            error = abs(difference - gradients[name][place])
            worst = max(worst, float(error) / max(abs(difference), 1e-3 * scale))
    return worst


def _central_difference(
    state: State, X: ArrayLike, y: ArrayLike, view: Array, place: tuple[int, ...]
) -> float:
    kept = view[place]
    step = _DIFFERENCE * max(1.0, abs(kept))
    losses = []
    for value in (kept + step, kept - step):
        view[place] = value
        losses.append(evaluate(state, X, y, n_threads="auto")["loss"])
    view[place] = kept
    return float((losses[0] - losses[1]) / (2 * step))


def summary(state: State) -> str:
    """The table that `Network.summary` prints."""
    rows = [("layer", "output", "activation", "parameters")]
    names = iter(state.layout.layers)

    def walk(layers: Sequence[Layer], depth: int, width: int) -> int:
        """Rows of a chain of layers whose input is `width` wide; returns its output's width."""
        for layer in layers:
            indent = "  " * depth
            if isinstance(layer, Input):
                width = layer.units
                rows.append((f"{indent}input", str(layer.units), "", ""))
            elif isinstance(layer, Dense):
                own = next(names)
                width = layer.units
                count = own.n_in * width + (width if layer.use_bias else 0)
                rows.append(
                    (indent + own.name, str(layer.units), layer.activation.name, str(count))
                )
            elif isinstance(layer, Residual):
                rows.append((f"{indent}residual", "", layer.activation.name, ""))
                inner = walk(layer.layers, depth + 1, width)
                if inner != width:  # a projection comes after the layers around which it leads
                    name = f"{indent}  {next(names).name} (projection)"
                    rows.append((name, str(inner), "linear", str(width * inner)))
                width = inner
            elif isinstance(layer, Branch):
                rows.append((f"{indent}branch ({layer.merge})", "", "", ""))
                widths = [walk(part, depth + 1, width) for part in layer.branches]
                width = sum(widths) if layer.merge == "concat" else widths[0]
        return width

    walk(state.layers, 0, 0)
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines.insert(1, "-" * max(len(line) for line in lines))
    lines.append(lines[1])
    lines.append(
        f"{state.n_parameters} parameters, {state.dtype}, loss {state.loss.name}, "
        f"{type(state.optimizer).__name__}, seed {state.seed}, backend {state.backend} "
        f"({state.instruction_set})"
    )
    return "\n".join(lines)

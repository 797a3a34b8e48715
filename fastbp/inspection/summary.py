"""The table of a network's layers."""

from __future__ import annotations

from fastbp.layer.outline import Outline, aligned
from fastbp.runtime.state import State


def summary(state: State) -> str:
    """The table that `Network.summary` prints."""
    outline = Outline(state.layout.layers)
    outline.chain(state.layers, 0)
    outline.end()
    lines = aligned(outline.rows)
    lines.insert(1, "-" * max(len(line) for line in lines))
    lines.append(lines[1])
    lines.append(
        f"{state.layout.n_parameters} parameters, {state.dtype}, loss {state.loss.name}, "
        f"{type(state.optimizer).__name__}, seed {state.seed}, backend {state.backend} "
        f"({state.instruction_set})"
    )
    return "\n".join(lines)

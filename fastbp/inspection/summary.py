"""The table of a network's layers, as text and in a notebook."""

from __future__ import annotations

from collections.abc import Sequence

from fastbp.check.message import counted
from fastbp.layer.outline import Outline, aligned
from fastbp.picture import html
from fastbp.plan.parameter import Tensor
from fastbp.runtime.state import State


def summary(state: State) -> str:
    """The table that `Network.summary` prints."""
    lines = aligned(_rows(state))
    lines.insert(1, "-" * max(len(line) for line in lines))
    lines.append(lines[1])
    n_running = sum(own.n_parameters for own in state.layout.tensors if own.is_running)
    running = f" ({n_running} of them running statistics)" if n_running else ""
    lines.append(
        f"{state.layout.n_parameters} parameters{running}, {state.dtype}, loss {state.loss.name}, "
        f"{type(state.optimizer).__name__}, seed {state.seed}, backend {state.backend} "
        f"({state.instruction_set})"
    )
    return "\n".join(lines)


def summary_html(state: State) -> str:
    """The same for a notebook, with the shapes of the kernels and what trains them."""
    head, *rows = _rows(state)
    kernels = (_kernel_shape(tensors) for tensors in state.layout.layers.values())
    table: list[tuple[str, ...]] = [(*head[:3], "kernel", head[3])]
    for *words, count in rows:  # only layers with parameters have a count
        table.append((*words, next(kernels) if count else "", f"{int(count):,}" if count else ""))
    return html.box(
        html.heading("Network", f"of {state.layout.n_parameters:,} parameters"),
        html.table(table),
        html.definitions(_training(state)),
    )


def _rows(state: State) -> list[tuple[str, str, str, str]]:
    outline = Outline(state.layout.layers)
    outline.chain(state.layers, 0)
    outline.end()
    return outline.rows


def _kernel_shape(tensors: Sequence[Tensor]) -> str:
    return " x ".join(str(n) for n in tensors[0].shape) if tensors else ""


def _training(state: State) -> list[tuple[str, str]]:
    """What trains the network, and what runs it."""
    metrics = [one if isinstance(one, str) else one.__name__ for one in state.description.metrics]
    return [
        ("loss", state.loss.name),
        ("optimizer", repr(state.optimizer)),
        *([("metrics", ", ".join(metrics))] if metrics else []),
        ("trained", f"{counted(state.epochs, 'epoch')}, {counted(state.steps, 'step')}"),
        ("seed", str(state.seed)),
        ("runs on", f"{state.dtype}, backend {state.backend} ({state.instruction_set})"),
    ]

"""The `layers` argument of a network, and its shape in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastbp.activation import Activation, resolve_activation
from fastbp.argument import check_size
from fastbp.conversion import shown
from fastbp.layer import Branch, Dense, Input, Layer, Residual


def resolve_layers(
    layers: Sequence[int] | Sequence[Input | Layer], activation: str | Activation | None
) -> tuple[Input | Layer, ...]:
    """Layers as given, or those that a list of sizes stands for."""
    if not isinstance(layers, list | tuple) or not layers:
        raise TypeError(
            f"layers must be a non-empty list of layers or of sizes, got {shown(layers)}"
        )
    if isinstance(layers[0], Input):
        if activation is not None:
            raise ValueError("activation goes with a list of sizes; give each Dense its own")
        for i, layer in enumerate(layers[1:], 1):
            if not isinstance(layer, Dense | Residual | Branch):
                raise TypeError(
                    f"layers[{i}] must be a Dense, Residual or Branch, got {shown(layer)}"
                )
        return tuple(layers)
    if isinstance(layers[0], Dense | Residual | Branch):
        raise ValueError("the first layer must be an Input: fb.Input(n_features)")
    sizes = [check_size(size, name=f"layer {i} size") for i, size in enumerate(layers)]
    if len(sizes) < 2:
        raise ValueError(
            f"a list of sizes needs at least n_features and n_outputs, got {shown(layers)}"
        )
    hidden = resolve_activation("relu" if activation is None else activation)
    inner = [Dense(size, hidden) for size in sizes[1:-1]]
    return (Input(sizes[0]), *inner, Dense(sizes[-1]))


def short_form(layers: Sequence[Any]) -> list[str]:
    """Widths for the short form: "(64-64)+" for a Residual, "(32|32)" for a Branch."""
    found = []
    for layer in layers:
        if isinstance(layer, Dense):
            found.append(str(layer.units))
        elif isinstance(layer, Residual):
            found.append(f"({'-'.join(short_form(layer.layers))})+")
        else:
            parts = ("-".join(short_form(part)) for part in layer.branches)
            found.append(f"({'|'.join(parts)})")
    return found

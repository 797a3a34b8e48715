"""The `layers` argument of a network, and its shape in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastbp.activation import Activation, resolve_activation
from fastbp.check.message import shown
from fastbp.check.scalar import check_size
from fastbp.initializer import Initializer, default_initializers
from fastbp.layer import Branch, Dense, Input, Layer, Residual, with_fields

OptionalInitializer = str | Initializer | None


def resolve_layers(
    layers: Sequence[int] | Sequence[Layer], activation: str | Activation | None
) -> tuple[Layer, ...]:
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


def initialized(
    layers: Sequence[Layer], *, kernel: OptionalInitializer, bias: OptionalInitializer
) -> tuple[Layer, ...]:
    """The layers, an `Input` first, each with its initializers.

    What a layer leaves open is `kernel` and `bias`; where these are None, zeros for the bias beside
    given weights, and otherwise the default.
    """
    first, *rest = layers
    assert isinstance(first, Input)
    alone = len(rest) == 1
    return (first, *_initialized(rest, kernel, bias, n_features=first.units, alone=alone))


def _initialized(
    layers: Sequence[Layer],
    kernel: OptionalInitializer,
    bias: OptionalInitializer,
    *,
    n_features: int | None,
    alone: bool = False,
) -> tuple[Layer, ...]:
    """`n_features`: of the network's input where the first of the layers reads it; `alone`: where
    that layer is the only one.
    """
    found: list[Layer] = []
    for layer in layers:
        reads = None if found else n_features
        if isinstance(layer, Dense):
            own_kernel, own_bias = default_initializers(
                layer.activation.name, n_features=reads, alone=alone
            )
            own_bias = own_bias if layer.weights is None else "zeros"
            layer = with_fields(
                layer,
                kernel_initializer=_first(layer.kernel_initializer, kernel, own_kernel),
                bias_initializer=_first(layer.bias_initializer, bias, own_bias),
            )
        elif isinstance(layer, Residual):
            inner = _initialized(layer.layers, kernel, bias, n_features=reads)
            layer = with_fields(layer, layers=inner)
            if layer.projection is not None:
                own_kernel, _ = default_initializers("linear", n_features=reads)
                own = _first(layer.projection_initializer, kernel, own_kernel)
                layer = with_fields(layer, projection_initializer=own)
        elif isinstance(layer, Branch):
            parts = [_initialized(part, kernel, bias, n_features=reads) for part in layer.branches]
            layer = with_fields(layer, branches=tuple(parts))
        found.append(layer)
    return tuple(found)


def _first(*initializers: OptionalInitializer) -> str | Initializer:
    """The first that is not None."""
    return next(own for own in initializers if own is not None)


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

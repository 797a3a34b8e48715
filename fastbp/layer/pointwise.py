"""Layers that work element by element and train nothing: an activation alone, given scales."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.activation import Activation
from fastbp.check.array import as_numeric, as_real
from fastbp.check.message import counted, shown
from fastbp.layer.base import Layer, set_fields
from fastbp.layer.outline import Outline
from fastbp.plan.graph import Graph
from fastbp.plan.operation import LINEAR

_FLOAT64 = np.dtype(np.float64)


@dataclass(frozen=True, repr=False)
class ActivationLayer(Layer):
    """What an `Activation` becomes in a list of layers: f of every element.

    After a layer that can take it along it costs nothing: Dense(64) and Activation("relu") compute
    what Dense(64, "relu") does, to the bit, from the same initial values.
    """

    kind = "activation"
    is_transparent = True
    stands_for = Activation

    activation: Activation

    def __repr__(self) -> str:
        return repr(self.activation)

    @property
    def structure(self) -> Hashable:
        """See `Layer`."""
        return ActivationLayer, self.activation

    def short_form(self) -> str:
        """The name."""
        return self.activation.name

    def summarize(self, outline: Outline, width: int) -> int:
        """See `Layer`."""
        outline.add("activation", activation=self.activation.name)
        return width

    def lower(self, graph: Graph, value: int) -> int:
        """No node where the one that made the value takes the activation along."""
        if self.activation == LINEAR:
            return value
        last = graph.nodes[-1] if graph.nodes else None
        if value == graph.unread and last is not None and last.out == value:
            if last.takes_activation and last.activation == LINEAR:
                graph.nodes[-1] = replace(last, activation=self.activation)
                return value
        from fastbp.plan.pointwise import ActivationNode  # which few need

        return graph.add(ActivationNode((value,), graph.value(graph.width[value]), self.activation))


class _Given(Layer):
    """(x - centre) factor + offset, for numbers that the description holds."""

    is_transparent = True
    scales_columns = True

    @property
    def structure(self) -> Hashable:
        """See `Layer`."""
        return type(self), *vars(self).values()

    def _constants(self) -> tuple[NDArray[np.float64], ...]:
        """Centre, factor and offset, one number or one for each column."""
        raise NotImplementedError

    def summarize(self, outline: Outline, width: int) -> int:
        """See `Layer`."""
        outline.add(self.kind, width)
        return width

    def lower(self, graph: Graph, value: int) -> int:
        """One node; ValueError where there are not as many numbers as columns, or the dtype does
        not hold one.
        """
        from fastbp.plan.pointwise import ScaleNode  # which few need

        width, dtype, name = graph.width[value], graph.parameters.dtype, type(self).__name__
        rows = np.empty((3, width), dtype)
        for i, row in enumerate(self._constants()):
            if len(row) not in (1, width):
                numbers, columns = counted(len(row), "number"), counted(width, "column")
                raise ValueError(f"{name} has {numbers} for {columns}")
            rows[i] = as_real(row, name=f"{name} of the network", dtype=dtype)
        return graph.add(ScaleNode((value,), graph.value(width), constants=rows))


@dataclass(frozen=True, init=False)
class Scale(_Given):
    """x * scale + offset, with given numbers, which training leaves alone.

    Args:
        scale: a number, or one for each column.
        offset: likewise.

    Raises:
        TypeError, ValueError: no numbers, of another shape, not finite; when the network is made,
            more or fewer than there are columns.

    >>> Scale(1 / 255)  # pixels to 0..1
    Scale(scale=0.00392156862745098, offset=0.0)
    >>> Scale([1, 2], offset=-1)
    Scale(scale=(1.0, 2.0), offset=-1.0)
    """

    kind = "scale"

    scale: float | tuple[float, ...]
    offset: float | tuple[float, ...]

    def __init__(self, scale: ArrayLike, offset: ArrayLike = 0.0) -> None:
        scale, offset = _given(scale, "scale"), _given(offset, "offset")
        _check_alike(self, scale=scale, offset=offset)
        set_fields(self, scale=scale, offset=offset)

    def _constants(self) -> tuple[NDArray[np.float64], ...]:
        return np.zeros(1), np.atleast_1d(self.scale), np.atleast_1d(self.offset)


@dataclass(frozen=True, init=False)
class Standardize(_Given):
    """(x - mean) / std, with given numbers, so that a network takes its data as they come.

    Args:
        mean: a number, or one for each column, as X.mean(axis=0).
        std: likewise, > 0, as X.std(axis=0); instead of it
        variance: its square.

    Raises:
        TypeError, ValueError: no numbers, of another shape, not finite, a std or variance that is
            not > 0, both or neither of them; when the network is made, more or fewer numbers than
            there are columns.

    >>> Standardize([5.0, 0.5], std=[2.0, 0.25])
    Standardize(mean=(5.0, 0.5), std=(2.0, 0.25))
    >>> Standardize(0, variance=4)
    Standardize(mean=0.0, std=2.0)
    """

    kind = "standardize"

    mean: float | tuple[float, ...]
    std: float | tuple[float, ...]

    def __init__(
        self, mean: ArrayLike, std: ArrayLike | None = None, *, variance: ArrayLike | None = None
    ) -> None:
        if (std is None) == (variance is None):
            got = "neither" if std is None else "both"
            raise ValueError(f"Standardize needs std or variance, got {got}")
        if variance is not None:
            name, spread = "variance", _given(variance, "variance")
        else:
            name, spread = "std", _given(std, "std")
        for i, one in enumerate(np.atleast_1d(spread).tolist()):
            if one <= 0:
                place = f" at [{i}]" if isinstance(spread, tuple) else ""
                advice = "; a constant column has none, give it 1" if one == 0 else ""
                raise ValueError(f"{name} of Standardize must be > 0, got {one}{place}{advice}")
        if variance is not None:
            root = np.sqrt(spread).tolist()
            spread = tuple(root) if isinstance(spread, tuple) else root
        mean = _given(mean, "mean")
        _check_alike(self, mean=mean, std=spread)
        set_fields(self, mean=mean, std=spread)

    def _constants(self) -> tuple[NDArray[np.float64], ...]:
        return np.atleast_1d(self.mean), 1.0 / np.atleast_1d(self.std), np.zeros(1)


def _given(value: Any, name: str) -> float | tuple[float, ...]:
    """Finite numbers as a description holds them."""
    expected = f"{name} must be a number or one for each column"
    if value is None or isinstance(value, str | bool):
        raise TypeError(f"{expected}, got {shown(value)}")
    array = as_numeric(value, name=name, dtype=_FLOAT64)
    if array.ndim > 1 or array.size == 0:
        raise ValueError(f"{expected}, got shape {array.shape}")
    own = as_real(np.atleast_1d(array), name=name, dtype=_FLOAT64)
    return tuple(own.tolist()) if array.ndim else float(own[0])


def _check_alike(layer: Layer, **values: float | tuple[float, ...]) -> None:
    """Raise ValueError for lists of different lengths."""
    lengths = {name: len(own) for name, own in values.items() if isinstance(own, tuple)}
    if len(set(lengths.values())) > 1:
        text = ", ".join(f"{length} in {name}" for name, length in lengths.items())
        raise ValueError(f"{type(layer).__name__} got lists of different lengths: {text}")

"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.activation import Activation, resolve_activation
from fastbp.check.array import as_numeric, as_real
from fastbp.check.message import shown
from fastbp.check.scalar import check_bool, check_real, check_size
from fastbp.initializer import (
    Initializer,
    default_initializers,
    resolve_bias_initializer,
    resolve_kernel_initializer,
)
from fastbp.layer.base import Choice, Layer, saved, set_fields, with_fields
from fastbp.layer.outline import Outline
from fastbp.plan.graph import Graph
from fastbp.plan.node import DenseNode
from fastbp.plan.parameter import Initial
from fastbp.plan.threshold import FEW_OUTPUTS

_FLOAT64 = np.dtype(np.float64)


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Dense(Layer):
    """A fully connected layer: activation(x @ kernel + bias), kernel (n_in, units).

    Args:
        units: number of outputs, >= 1.
        activation: a name or an `Activation`; None is linear.
        use_bias: whether there is a bias.
        kernel_initializer, bias_initializer: a name ("glorot_uniform", "torch_uniform", ...), a
            number, a `VarianceScaling`, an `Orthogonal` or a `Constant`; None leaves the choice to
            the network, see `Network`.
        weights: initial kernel, (n_in, units), instead of an initializer.
        bias: initial bias, (units,), instead of an initializer; zeros where only `weights` are
            given.
        l1, l2: penalties l1 |w| and l2 w^2 / 2 on the kernel, >= 0; the gradient grows by
            l1 sign(w) + l2 w whatever the batch size, the reported loss leaves them out.
        regularize_bias: penalties on the bias too.
        trainable: False keeps kernel and bias as they are; gradients pass through.
        learning_rate_multiplier: times the optimizer's learning rate, for kernel and bias, >= 0.
        name: of the parameters, instead of dense_1, dense_2, ...; without "/".

    Raises:
        TypeError, ValueError: an argument of another type, out of range, of the wrong shape,
            not finite.

    >>> Dense(2, "relu", weights=[[1, -0.5], [-1, 0.5]], l2=0.1)
    Dense(2, 'relu', weights=(2, 2), l2=0.1)
    >>> Dense(3) == Dense(3, "linear")
    True
    """

    kind = "dense"
    unsaved = frozenset({"weights", "bias"})
    later = {"trainable": True, "learning_rate_multiplier": 1.0}

    units: int
    activation: Activation
    use_bias: bool
    kernel_initializer: str | Initializer | None
    bias_initializer: str | Initializer | None
    weights: NDArray[np.float64] | None
    bias: NDArray[np.float64] | None
    l1: float
    l2: float
    regularize_bias: bool
    trainable: bool
    learning_rate_multiplier: float
    name: str | None

    def __init__(
        self,
        units: int,
        activation: str | Activation | None = "linear",
        *,
        use_bias: bool = True,
        kernel_initializer: str | float | Initializer | None = None,
        bias_initializer: str | float | Initializer | None = None,
        weights: ArrayLike | None = None,
        bias: ArrayLike | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
        regularize_bias: bool = False,
        trainable: bool = True,
        learning_rate_multiplier: float = 1.0,
        name: str | None = None,
    ) -> None:
        units = check_size(units, name="Dense units")
        set_fields(
            self,
            units=units,
            activation=resolve_activation(activation),
            use_bias=check_bool(use_bias, name="use_bias"),
            kernel_initializer=resolve_kernel_initializer(kernel_initializer),
            bias_initializer=resolve_bias_initializer(bias_initializer),
            weights=_given(weights, name="weights", ndim=2, units=units),
            bias=_given(bias, name="bias", ndim=1, units=units),
            l1=check_real(l1, name="l1", minimum=0),
            l2=check_real(l2, name="l2", minimum=0),
            regularize_bias=check_bool(regularize_bias, name="regularize_bias"),
            trainable=check_bool(trainable, name="trainable"),
            learning_rate_multiplier=check_real(
                learning_rate_multiplier, name="learning_rate_multiplier", minimum=0
            ),
            name=checked_name(name, of="Dense"),
        )
        if bias is not None and not use_bias:
            raise ValueError("Dense got a bias, but use_bias is False")

    def _plain(self) -> tuple[object, ...]:
        """Every field that is no array."""
        return tuple(getattr(self, name) for name in saved(self))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, Dense)
        return self._plain() == other._plain() and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in self.unsaved
        )

    def __hash__(self) -> int:
        return hash(self._plain())

    def __repr__(self) -> str:
        text = [str(self.units)]
        if self.activation != Activation("linear"):
            short = self.activation == Activation(self.activation.name)
            text.append(repr(self.activation.name if short else self.activation))
        for field in fields(self)[2:]:
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                text.append(f"{field.name}={value.shape}")
            elif value != _DEFAULT[field.name]:
                text.append(f"{field.name}={value!r}")
        return f"Dense({', '.join(text)})"

    @property
    def structure(self) -> Hashable:
        """See `Layer`; given values are arrays, which nobody should have to compare."""
        if type(self) is not Dense or self.weights is not None or self.bias is not None:
            return None
        return Dense, *_values(self)

    def initialized(self, choice: Choice) -> Self:
        """See `Layer`; beside given weights a bias starts at 0."""
        behind = choice.activation if self.activation.name == "linear" else None
        kernel, bias = default_initializers(
            behind or self.activation.name, n_features=choice.n_features, alone=choice.alone
        )
        bias = bias if self.weights is None else "zeros"
        return with_fields(
            self,
            kernel_initializer=choice.first(self.kernel_initializer, choice.kernel, kernel),
            bias_initializer=choice.first(self.bias_initializer, choice.bias, bias),
        )

    def short_form(self) -> str:
        """The width."""
        return str(self.units)

    def summarize(self, outline: Outline, width: int) -> int:
        """See `Layer`."""
        outline.add_own(self.units, self.activation.name)
        return self.units

    def lower(self, graph: Graph, value: int) -> int:
        """One node with a kernel and, if there is one, a bias."""
        n_in, layout = graph.width[value], graph.parameters
        name = layout.begin("dense", self.name)
        if self.weights is not None and self.weights.shape[0] != n_in:
            shape = self.weights.shape
            raise ValueError(f"weights of {name} are {shape}, expected {(n_in, self.units)}")
        rate = self.learning_rate_multiplier if self.trainable else 0.0
        kernel = layout.add(
            name, "kernel", (n_in, self.units),
            Initial(self.kernel_initializer, self.weights, n_in, self.units),
            by_columns=self.units < FEW_OUTPUTS.value, l1=self.l1, l2=self.l2, rate=rate,
        )  # fmt: skip
        tensors = [kernel]
        if self.use_bias:
            bias = layout.add(
                name, "bias", (self.units,),
                Initial(self.bias_initializer, self.bias, n_in, self.units),
                decays=False, rate=rate,
                l1=self.l1 if self.regularize_bias else 0.0,
                l2=self.l2 if self.regularize_bias else 0.0,
            )  # fmt: skip
            tensors.append(bias)
        out = graph.value(self.units)
        return graph.add(DenseNode((value,), out, self.activation, tuple(tensors), name))


_values = attrgetter(*(field.name for field in fields(Dense)))
_DEFAULT = Dense.__init__.__kwdefaults__ or {}


def _given(
    value: ArrayLike | None, *, name: str, ndim: int, units: int
) -> NDArray[np.float64] | None:
    """A private read-only float64 copy of given initial values."""
    if value is None:
        return None
    array = as_numeric(value, name=name, dtype=_FLOAT64)
    expected = f"(n_in, {units})" if ndim == 2 else f"({units},)"
    if array.ndim != ndim or array.shape[-1] != units or array.shape[0] == 0:
        turned = array.ndim == ndim == 2 and array.shape[0] == units
        advice = f": transposed? pass {name}.T" if turned else ""
        raise ValueError(f"{name} of Dense must have shape {expected}, got {array.shape}{advice}")
    own = as_real(np.array(array, order="C"), name=name, dtype=_FLOAT64)
    own.flags.writeable = False
    return own


def checked_name(name: object, *, of: str) -> str | None:
    """The name of a layer's parameters, None for the one that it gets by its place.

    Raises TypeError, ValueError for what can be none.
    """
    if name is None:
        return None
    if not isinstance(name, str):
        raise TypeError(f"name of {of} must be a str, got {shown(name)}")
    if not name or "/" in name:
        raise ValueError(f"name of {of} must not be empty or contain '/', got {shown(name)}")
    return name

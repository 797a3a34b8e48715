"""Layers: small frozen descriptions without arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.activation import Activation, resolve_activation
from fastbp.check.array import as_numeric, as_real
from fastbp.check.message import shown
from fastbp.check.scalar import check_real, check_size
from fastbp.error import ModelFormatError
from fastbp.initializer import (
    Initializer,
    initializer_config,
    initializer_from_config,
    resolve_bias_initializer,
    resolve_kernel_initializer,
)

_L = TypeVar("_L", bound="Layer")
_FLOAT64 = np.dtype(np.float64)
_DEPTH = 64  # of nested blocks; a plan is made by recursion


class Layer:
    """What a network is made of: the base of `Input`, `Dense`, `Residual` and `Branch`.

    >>> layers: list[Layer] = [Input(20), Dense(3)]
    """

    def to_config(self) -> dict[str, Any]:
        """A description that JSON can hold."""
        raise NotImplementedError


@dataclass(frozen=True)
class Input(Layer):
    """The number of features of a row, first in a list of layers.

    Raises:
        TypeError, ValueError: `units` is not an integer >= 1.

    >>> Input(20)
    Input(units=20)
    """

    units: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", check_size(self.units, name="Input units"))

    def to_config(self) -> dict[str, Any]:
        """A description that JSON can hold."""
        return {"kind": "input", "units": self.units}


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
        name: of the parameters, instead of dense_1, dense_2, ...; without "/".

    Raises:
        TypeError, ValueError: an argument of another type, out of range, of the wrong shape,
            not finite.

    >>> Dense(2, "relu", weights=[[1, -0.5], [-1, 0.5]], l2=0.1)
    Dense(2, 'relu', weights=(2, 2), l2=0.1)
    >>> Dense(3) == Dense(3, "linear")
    True
    """

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
        name: str | None = None,
    ) -> None:
        units = check_size(units, name="Dense units")
        _set(
            self,
            units=units,
            activation=resolve_activation(activation),
            use_bias=_flag(use_bias, "use_bias"),
            kernel_initializer=resolve_kernel_initializer(kernel_initializer),
            bias_initializer=resolve_bias_initializer(bias_initializer),
            weights=_given(weights, name="weights", ndim=2, units=units),
            bias=_given(bias, name="bias", ndim=1, units=units),
            l1=check_real(l1, name="l1", minimum=0),
            l2=check_real(l2, name="l2", minimum=0),
            regularize_bias=_flag(regularize_bias, "regularize_bias"),
            name=_checked_name(name),
        )
        if bias is not None and not use_bias:
            raise ValueError("Dense got a bias, but use_bias is False")

    def _plain(self) -> tuple[object, ...]:
        """Every field that is no array."""
        return tuple(
            getattr(self, field.name) for field in fields(self)
            if field.name not in ("weights", "bias")
        )  # fmt: skip

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, Dense)
        return (
            self._plain() == other._plain()
            and _same(self.weights, other.weights)
            and _same(self.bias, other.bias)
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

    def to_config(self) -> dict[str, Any]:
        """A description that JSON can hold, without the given weights and bias."""
        return {
            "kind": "dense",
            "units": self.units,
            "activation": self.activation.to_config(),
            "use_bias": self.use_bias,
            "kernel_initializer": initializer_config(self.kernel_initializer),
            "bias_initializer": initializer_config(self.bias_initializer),
            "l1": self.l1,
            "l2": self.l2,
            "regularize_bias": self.regularize_bias,
            "name": self.name,
        }


_DEFAULT = Dense.__init__.__kwdefaults__ or {}


# The initializer of a projection in descriptions that do not name it, as those before version 0.2.
_PROJECTION_DEFAULT = {None: None, "auto": "glorot_uniform"}


@dataclass(frozen=True, init=False)
class Residual(Layer):
    """A block with a way around it: activation(f(x) + x), f being the layers one after another.

    Args:
        layers: at least one `Dense`, `Residual` or `Branch`.
        projection: None if f keeps the width; "auto" puts x @ kernel, a `Dense` without bias, on
            the way around where it does not.
        projection_initializer: of that kernel, as for a `Dense`.
        activation: of the sum.

    Raises:
        TypeError, ValueError: no layer, something that is none, unknown projection.

    >>> Residual([Dense(8, "relu"), Dense(8)]).projection is None
    True
    """

    layers: tuple[Layer, ...]
    projection: str | None
    activation: Activation
    projection_initializer: str | Initializer | None

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        projection: str | None = None,
        activation: str | Activation | None = "linear",
        projection_initializer: str | float | Initializer | None = None,
    ) -> None:
        if projection not in (None, "auto"):
            raise ValueError(f"projection must be None or 'auto', got {shown(projection)}")
        if projection is None and projection_initializer is not None:
            raise ValueError("Residual got a projection_initializer, but projection is None")
        own = _chain(layers, name="Residual layers")
        if not own:
            raise ValueError("Residual layers must hold at least one layer, got 0")
        _set(
            self,
            layers=own,
            projection=projection,
            activation=resolve_activation(activation),
            projection_initializer=resolve_kernel_initializer(
                projection_initializer, name="projection_initializer"
            ),
        )

    def to_config(self) -> dict[str, Any]:
        """A description that JSON can hold."""
        config = {
            "kind": "residual",
            "layers": [layer.to_config() for layer in self.layers],
            "projection": self.projection,
            "activation": self.activation.to_config(),
        }
        if self.projection_initializer != _PROJECTION_DEFAULT[self.projection]:
            config["projection_initializer"] = initializer_config(self.projection_initializer)
        return config


@dataclass(frozen=True, init=False)
class Branch(Layer):
    """Several ways for the same x; their outputs are added or put side by side.

    Args:
        branches: at least one list of layers; [] passes x on.
        merge: "concat", or "add" for branches of equal width.

    Raises:
        TypeError, ValueError: no branch, something that is no list of layers, unknown merge.

    >>> len(Branch([[Dense(4)], []]).branches)
    2
    """

    branches: tuple[tuple[Layer, ...], ...]
    merge: str

    def __init__(self, branches: Sequence[Sequence[Layer]], *, merge: str = "concat") -> None:
        if merge not in ("add", "concat"):
            raise ValueError(f"unknown merge {shown(merge)}; known: add, concat")
        if not isinstance(branches, list | tuple):
            raise TypeError(f"branches must be a list of lists of layers, got {shown(branches)}")
        if not branches:
            raise ValueError("branches must hold at least one branch, got 0")
        own = tuple(_chain(part, name=f"branches[{i}]") for i, part in enumerate(branches))
        _set(self, branches=own, merge=merge)

    def to_config(self) -> dict[str, Any]:
        """A description that JSON can hold."""
        return {
            "kind": "branch",
            "branches": [[layer.to_config() for layer in part] for part in self.branches],
            "merge": self.merge,
        }


_KIND: dict[str, type[Layer]] = {
    "input": Input,
    "dense": Dense,
    "residual": Residual,
    "branch": Branch,
}
_KEY = {
    "input": {"units"},
    "dense": {field.name for field in fields(Dense)} - {"weights", "bias"},
    "residual": {"layers", "projection", "activation", "projection_initializer"},
    "branch": {"branches", "merge"},
}


def layer_from_config(config: object) -> Layer:
    """What `to_config` described; given initial values are not part of it.

    Raises:
        ModelFormatError: not such a description.

    >>> layer_from_config(Dense(3, "relu").to_config())
    Dense(3, 'relu')
    """
    return _from_config(config, depth=0)


def _from_config(config: object, *, depth: int) -> Layer:
    if depth > _DEPTH:
        raise ModelFormatError(f"layers are nested more than {_DEPTH} deep")
    if not isinstance(config, Mapping):
        raise ModelFormatError(f"layer must be an object, got {shown(config)}")
    values = dict(config)
    kind = values.pop("kind", None)
    if not isinstance(kind, str) or kind not in _KIND:
        raise ModelFormatError(f"unknown layer {shown(kind)}; known: {', '.join(_KIND)}")
    if kind == "residual" and values.get("projection") in (None, "auto"):
        default = _PROJECTION_DEFAULT[values.get("projection")]
        values.setdefault("projection_initializer", default)
    if values.keys() != _KEY[kind]:
        wrong = sorted(map(str, values.keys() ^ _KEY[kind]))
        raise ModelFormatError(f"layer '{kind}' has extra or missing keys: {', '.join(wrong)}")
    if kind == "residual":
        values["layers"] = _list_from_config(values["layers"], depth=depth + 1)
    if kind == "branch":
        parts = values["branches"]
        if not isinstance(parts, list):
            raise ModelFormatError(f"branches must be a list, got {shown(parts)}")
        values["branches"] = [_list_from_config(part, depth=depth + 1) for part in parts]
    try:
        if "activation" in values:
            own = values["activation"]
            if not isinstance(own, Mapping):
                raise ModelFormatError(f"activation must be an object, got {shown(own)}")
            values["activation"] = Activation(**own)
        for name in values:
            if name.endswith("_initializer"):
                values[name] = initializer_from_config(values[name])
        return _KIND[kind](**values)
    except ModelFormatError:
        raise
    except (TypeError, ValueError) as error:
        raise ModelFormatError(f"layer '{kind}': {error}") from None


def _list_from_config(config: object, *, depth: int) -> list[Layer]:
    if not isinstance(config, list):
        raise ModelFormatError(f"layers must be a list, got {shown(config)}")
    return [_from_config(layer, depth=depth) for layer in config]


def with_fields(layer: _L, **values: object) -> _L:
    """The same layer but for the given fields, which are not checked again."""
    twin = object.__new__(type(layer))
    twin.__dict__.update(layer.__dict__, **values)
    return twin


def _chain(layers: object, *, name: str) -> tuple[Layer, ...]:
    if not isinstance(layers, list | tuple):
        raise TypeError(f"{name} must be a list of layers, got {shown(layers)}")
    for i, layer in enumerate(layers):
        if not isinstance(layer, Dense | Residual | Branch):
            raise TypeError(f"{name}[{i}] must be a Dense, Residual or Branch, got {shown(layer)}")
    return tuple(layers)


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
    own: NDArray[np.float64] = as_real(np.array(array, order="C"), name=name, dtype=_FLOAT64)
    own.flags.writeable = False
    return own


def _same(a: NDArray[np.float64] | None, b: NDArray[np.float64] | None) -> bool:
    return a is b or (a is not None and b is not None and np.array_equal(a, b))


def _checked_name(name: object) -> str | None:
    if name is None:
        return None
    if not isinstance(name, str):
        raise TypeError(f"name of Dense must be a str, got {shown(name)}")
    if not name or "/" in name:
        raise ValueError(f"name of Dense must not be empty or contain '/', got {shown(name)}")
    return name


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return value


def _set(layer: object, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(layer, name, value)

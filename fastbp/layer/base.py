"""The base of all layers: what each of them answers, and descriptions that JSON can hold."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self, TypeVar

from fastbp.activation import Activation
from fastbp.check.message import shown
from fastbp.error import ModelFormatError
from fastbp.initializer import Initializer, initializer_config, initializer_from_config
from fastbp.layer.outline import Outline
from fastbp.loss import Loss
from fastbp.plan.graph import Graph

_L = TypeVar("_L", bound="Layer")
_DEPTH = 64  # of nested blocks; a plan is made by recursion

# Every class of layers by its kind, in the order in which they are defined.
KINDS: dict[str, type[Layer]] = {}


class Layer:
    """What a network is made of: the base of `Input`, `Dense`, `Residual` and `Branch`.

    A class of layers is a frozen dataclass which names its `kind` and defines `lower`.  What else
    a layer answers has a default here; the description is made from the dataclass's fields.  Layers
    inside a layer are its field `layers`, lists of them `branches`.

    Attributes:
        kind: the class's name in descriptions; naming it makes the class known to them.
        is_first: whether such a layer begins a network, and can stand nowhere else.
        is_last: the same of its end.
        is_transparent: whether initial values are chosen as if the layer were not there.
        scales_columns: whether it brings columns of different size to one.
        unsaved: fields that the description leaves out.
        later: fields that it leaves out where they have these defaults: files may be older.

    >>> from fastbp.layer import Dense, Input
    >>> layers: list[Layer] = [Input(20), Dense(3)]
    """

    kind: ClassVar[str]
    is_first: ClassVar[bool] = False
    is_last: ClassVar[bool] = False
    is_transparent: ClassVar[bool] = False
    scales_columns: ClassVar[bool] = False
    unsaved: ClassVar[frozenset[str]] = frozenset()
    later: ClassVar[Mapping[str, object]] = {}

    def __init_subclass__(cls) -> None:
        if "kind" in cls.__dict__ and KINDS.setdefault(cls.kind, cls) is not cls:
            raise TypeError(f"two classes of layers are of kind {cls.kind!r}")

    def lower(self, graph: Graph, value: int) -> int:
        """Append the nodes that compute the layer from a value of the graph; the value they give.

        Raises ValueError where the width of the value does not fit.
        """
        raise NotImplementedError

    @property
    def structure(self) -> Hashable:
        """All that `lower` takes from the layer, to find what was lowered before; None where the
        layer is to be lowered again for each network.
        """
        return None

    def initialized(self, choice: Choice) -> Self:
        """The layer with an initializer wherever it leaves one open."""
        return self

    def short_form(self) -> str:
        """The layer in the one line that shows a network."""
        return self.kind

    def summarize(self, outline: Outline, width: int) -> int:
        """Add the layer's rows to a summary; `width` columns come in, so many go out."""
        outline.add(self.kind)
        return width

    def to_config(self) -> dict[str, Any]:
        """A description that JSON can hold, without given initial values."""
        own = {name: getattr(self, name) for name in saved(self)}
        return {"kind": self.kind} | {
            name: _plain(value) for name, value in own.items()
            if name not in self.later or value != self.later[name]
        }  # fmt: skip

    @classmethod
    def complete_config(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The entries of a description, with those that earlier versions did not write."""
        return {**cls.later, **values}


@dataclass(frozen=True)
class Choice:
    """What decides the initializers that a layer leaves open.

    Attributes:
        kernel, bias: what the network names for all layers, or None for the default.
        n_features: of the network's input where the layer reads it, else None.
        alone: whether the layer is the network's only one, and no block.
        activation: the name of that behind the layer where it is a layer of its own, else None.
    """

    kernel: str | Initializer | None
    bias: str | Initializer | None
    n_features: int | None
    alone: bool = False
    activation: str | None = None

    def chain(self, layers: Sequence[Layer]) -> tuple[Layer, ...]:
        """Layers one after another, of which only the first reads what the chain reads."""
        found, own = [], self
        if self.activation is not None:
            own = replace(self, activation=None)
        for i, layer in enumerate(layers, 1):
            behind = None
            if i < len(layers) and layers[i].is_transparent:
                behind = _activation_behind(layers[i:])
            found.append(layer.initialized(replace(own, activation=behind) if behind else own))
            if own.n_features is not None and not layer.is_transparent:
                own = Choice(own.kernel, own.bias, None, own.alone)
        return tuple(found)

    @staticmethod
    def first(*initializers: str | Initializer | None) -> str | Initializer:
        """The first that is not None."""
        for own in initializers:
            if own is not None:
                return own
        raise ValueError("no initializer is left to choose")


def _activation_behind(layers: Sequence[Layer]) -> str | None:
    """The name of the activation that is the next layer, but for transparent ones."""
    for layer in layers:
        activation: Activation | None = getattr(layer, "activation", None)
        if not layer.is_transparent:
            return None
        if activation is not None:
            return activation.name
    return None


def check_chain(layers: object, *, name: str) -> tuple[Layer, ...]:
    """Layers that can stand one after another behind an `Input`.

    Raises TypeError for anything else.
    """
    if not isinstance(layers, list | tuple):
        raise TypeError(f"{name} must be a list of layers, got {shown(layers)}")
    found = tuple(check_inner(layer, name=f"{name}[{i}]") for i, layer in enumerate(layers))
    check_inside(found, name=name)
    return found


def check_inside(layers: Sequence[Layer], *, name: str, first: int = 0) -> None:
    """Raise ValueError for a layer that can only be the last of a network."""
    for i, layer in enumerate(layers, first):
        if layer.is_last:
            raise ValueError(f"{name}[{i}] is {type(layer).__name__}: only a network ends in it")


def check_inner(layer: object, *, name: str) -> Layer:
    """A layer that can stand behind an `Input`; an `Activation` becomes one.

    Raises TypeError for anything else.
    """
    if isinstance(layer, Activation):
        return KINDS["activation"](layer)  # type: ignore[call-arg]
    if not isinstance(layer, Layer) or not hasattr(layer, "kind") or layer.is_first:
        raise TypeError(f"{name} must be a {inner_names()}, got {shown(layer)}")
    return layer


def inner_names() -> str:
    """The classes whose layers can stand behind an `Input`, for messages."""
    kinds = [kind for kind in KINDS.values() if not kind.is_first]
    names = [getattr(kind, "stands_for", kind).__name__ for kind in kinds]
    return f"{', '.join(names[:-1])} or {names[-1]}"


def layer_from_config(config: object) -> Layer:
    """What `to_config` described; given initial values are not part of it.

    Raises:
        ModelFormatError: not such a description.

    >>> from fastbp.layer import Dense
    >>> layer_from_config(Dense(3, "relu").to_config())
    Dense(3, 'relu')
    """
    return _from_config(config, 0)


def _from_config(config: object, depth: int) -> Layer:
    """The same inside so many others."""
    if depth > _DEPTH:
        raise ModelFormatError(f"layers are nested more than {_DEPTH} deep")
    if not isinstance(config, Mapping):
        raise ModelFormatError(f"layer must be an object, got {shown(config)}")
    values = dict(config)
    kind = values.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise ModelFormatError(f"unknown layer {shown(kind)}; known: {', '.join(KINDS)}")
    made = KINDS[kind]
    values = made.complete_config(values)
    if values.keys() != set(saved(made)):
        wrong = sorted(map(str, values.keys() ^ set(saved(made))))
        raise ModelFormatError(f"layer '{kind}' has extra or missing keys: {', '.join(wrong)}")
    try:
        return made(**{name: _read(name, value, depth) for name, value in values.items()})
    except ModelFormatError:
        raise
    except (TypeError, ValueError) as error:
        raise ModelFormatError(f"layer '{kind}': {error}") from None


def saved(layer: Layer | type[Layer]) -> list[str]:
    """The fields of which a description consists."""
    return [field.name for field in fields(layer) if field.name not in layer.unsaved]  # type: ignore[arg-type]


def _plain(value: Any) -> Any:
    """A field's value as JSON can hold it."""
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, Activation | Layer):
        return value.to_config()
    return initializer_config(value) if isinstance(value, Initializer) else value


def _read(name: str, value: Any, depth: int) -> Any:
    """What `_plain` made plain, by the name of its field."""
    if name in ("layers", "branches"):
        if not isinstance(value, list):
            raise ModelFormatError(f"{name} must be a list, got {shown(value)}")
        if name == "branches":
            return [_read("layers", part, depth) for part in value]
        return [_from_config(layer, depth + 1) for layer in value]
    if name == "heads":
        return _read_heads(value, depth)
    if name == "activation":
        if not isinstance(value, Mapping):
            raise ModelFormatError(f"activation must be an object, got {shown(value)}")
        return Activation(**value)
    return initializer_from_config(value) if name.endswith("_initializer") else value


def _read_heads(value: Any, depth: int) -> dict[str, Any]:
    """What `Heads` takes, from its description."""
    if not isinstance(value, list):
        raise ModelFormatError(f"heads must be a list, got {shown(value)}")
    found = {}
    for head in value:
        if not isinstance(head, Mapping) or head.keys() != {"name", "layers", "loss", "weight"}:
            raise ModelFormatError(f"a head has other entries than expected: {shown(head)}")
        if not isinstance(head["loss"], Mapping) or head["name"] in found:
            raise ModelFormatError(f"head {shown(head['name'])} is there twice, or has no loss")
        layers = _read("layers", head["layers"], depth)
        found[head["name"]] = layers, Loss(**head["loss"]), head["weight"]
    return found


def with_fields(layer: _L, **values: object) -> _L:
    """The same layer but for the given fields, which are not checked again."""
    twin = object.__new__(type(layer))
    twin.__dict__.update(layer.__dict__, **values)
    return twin


def set_fields(layer: Layer, **values: object) -> None:
    """Set the fields of a frozen layer that is being made."""
    for name, value in values.items():
        object.__setattr__(layer, name, value)

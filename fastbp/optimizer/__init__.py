"""Optimizers: their numbers, codes and state; g is the gradient of loss plus penalties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass, fields
from functools import wraps
from typing import Any, TypeVar

from fastbp.check.message import shown
from fastbp.check.scalar import check_name, check_real
from fastbp.error import ModelFormatError

_Kind = TypeVar("_Kind", bound=type)


def _refuses_unknown(kind: _Kind) -> _Kind:
    """The class with its own signature, but whose TypeError says what to write instead."""
    initialize = kind.__init__  # type: ignore[misc]
    known = {field.name for field in fields(kind)}

    @wraps(initialize)
    def __init__(self: Any, *args: Any, **given: Any) -> None:
        unknown = {name: value for name, value in given.items() if name not in known}
        if unknown:
            raise TypeError(_correction(kind, unknown))
        initialize(self, *args, **given)

    kind.__init__ = __init__  # type: ignore[misc]
    return kind


@_refuses_unknown
@dataclass(frozen=True)
class SGD:
    """Gradient descent: w -= learning_rate g.

    With momentum b = momentum b + g; w -= learning_rate b. With nesterov
    w -= learning_rate (g + momentum b). b starts at 0, as in PyTorch with dampening 0; Keras
    scales b by the learning rate, which differs only if that changes.

    Args:
        learning_rate: per step, finite, >= 0.
        momentum: in [0, 1).
        nesterov: needs a momentum.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> SGD(0.1, momentum=0.9).state_names
    ('momentum',)
    """

    learning_rate: float = 0.01
    _: KW_ONLY
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        _set_real(self, "learning_rate", minimum=0)
        _set_real(self, "momentum", minimum=0, maximum=1, exclude_maximum=True)
        _set_bool(self, "nesterov")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum in (0, 1), got 0")

    @property
    def code(self) -> int:
        """The number the kernels know it by."""
        return 2 if self.nesterov else 1 if self.momentum else 0

    @property
    def state_names(self) -> tuple[str, ...]:
        """The vectors, as long as the parameters, that it keeps between steps."""
        return ("momentum",) if self.momentum else ()

    def to_config(self) -> dict[str, Any]:
        """Name and numbers as JSON can hold them."""
        return {"name": "sgd", **asdict(self)}


@_refuses_unknown
@dataclass(frozen=True)
class Adam:
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; at step t = 1, 2, ...
    w -= learning_rate m_hat / (sqrt(v_hat) + epsilon), m_hat = m / (1 - beta1^t),
    v_hat = v / (1 - beta2^t).

    Epsilon stands outside the root, as in the paper and PyTorch (1e-8); the default of Keras is
    1e-7.

    Args:
        learning_rate: per step, finite, >= 0.
        beta1, beta2: in [0, 1).
        epsilon: finite, > 0.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> Adam().learning_rate
    0.001
    """

    learning_rate: float = 1e-3
    _: KW_ONLY
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        _set_real(self, "learning_rate", minimum=0)
        _set_real(self, "beta1", minimum=0, maximum=1, exclude_maximum=True)
        _set_real(self, "beta2", minimum=0, maximum=1, exclude_maximum=True)
        _set_real(self, "epsilon", minimum=0, exclude_minimum=True)

    @property
    def code(self) -> int:
        """The number the kernels know it by."""
        return 3

    @property
    def state_names(self) -> tuple[str, ...]:
        """The vectors, as long as the parameters, that it keeps between steps."""
        return ("m", "v")

    def to_config(self) -> dict[str, Any]:
        """Name and numbers as JSON can hold them."""
        return {"name": "adam", **asdict(self)}


@_refuses_unknown
@dataclass(frozen=True)
class AdamW(Adam):
    """Adam whose decay does not pass through m and v: w -= learning_rate weight_decay w first.

    Args:
        learning_rate, beta1, beta2, epsilon: as for `Adam`.
        weight_decay: finite, >= 0; on kernels.
        decay_bias: on biases too.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> AdamW(weight_decay=0.1).code
    4
    """

    _: KW_ONLY
    weight_decay: float = 1e-2
    decay_bias: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _set_real(self, "weight_decay", minimum=0)
        _set_bool(self, "decay_bias")

    @property
    def code(self) -> int:
        """The number the kernels know it by."""
        return 4

    def to_config(self) -> dict[str, Any]:
        """Name and numbers as JSON can hold them."""
        return {"name": "adamw", **asdict(self)}


Optimizer = SGD | Adam  # AdamW is an Adam
_KIND: dict[str, type[SGD] | type[Adam]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
_ALIASES = {  # what other libraries call an argument
    "lr": "learning_rate",
    "learning_rate_init": "learning_rate",
    "nesterov_momentum": "nesterov",
    "nesterovs_momentum": "nesterov",
    "beta_1": "beta1",
    "beta_2": "beta2",
    "eps": "epsilon",
    "wd": "weight_decay",
    "decay": "weight_decay",
}


def resolve_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """The description a name stands for, with its default numbers.

    Raises:
        TypeError: neither a name nor an optimizer.
        ValueError: unknown name.
    """
    if isinstance(optimizer, SGD | Adam):
        return optimizer
    if not isinstance(optimizer, str):
        got = shown(optimizer)
        if isinstance(optimizer, type) and issubclass(optimizer, SGD | Adam):
            got = f"the class {optimizer.__name__}: write fb.{optimizer.__name__}()"
        raise TypeError(f"optimizer must be a name or an SGD, Adam or AdamW object, got {got}")
    return _KIND[check_name(optimizer, kind="optimizer", known=_KIND, aliases={})]()


def optimizer_from_config(config: object) -> Optimizer:
    """What `to_config` described.

    Raises:
        ModelFormatError: not such a description.
    """
    if not isinstance(config, Mapping):
        raise ModelFormatError(f"optimizer must be an object, got {shown(config)}")
    values = dict(config)
    name = values.pop("name", None)
    kind = _KIND.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ModelFormatError(f"unknown optimizer {shown(name)}; known: {', '.join(_KIND)}")
    expected = asdict(kind()).keys()
    if values.keys() != expected:
        got = ", ".join(map(str, values)) or "nothing"
        raise ModelFormatError(f"optimizer '{name}' must have {', '.join(expected)}, got {got}")
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise ModelFormatError(f"optimizer '{name}': {error}") from None


def _correction(kind: type, unknown: Mapping[str, Any]) -> str:
    """Such as `Adam got lr; write learning_rate=0.001`."""
    decay = unknown.keys() & {"weight_decay", "wd"}
    right = AdamW if decay and kind is Adam else kind
    known = [field.name for field in fields(right)]
    write, lost = [], False
    for name, value in unknown.items():
        for own, number in _translated(name, value).items():
            if own in known:
                write.append(f"{own}={shown(number)}")
            elif name in decay:
                write.append(f"l2={shown(number)} in each Dense")
            else:
                lost = True
    text, said = f"{kind.__name__} got {', '.join(unknown)}", ", ".join(write)
    if said:
        text += f"; write {said if right is kind else f'fb.AdamW({said})'}"
        if right is not kind:
            text += ", or l2= in each Dense for a decay that passes through m and v"
    return text + (f"; known: {', '.join(known)}" if lost else "")


def _translated(name: str, value: Any) -> dict[str, Any]:
    """The argument of another library by the names of ours."""
    if name == "betas" and isinstance(value, list | tuple) and len(value) == 2:
        return {"beta1": value[0], "beta2": value[1]}
    own = _ALIASES.get(name, name)
    if own == "nesterov" and not isinstance(value, bool):
        return {"momentum": value, "nesterov": True}
    return {own: value}


def _set_real(optimizer: Optimizer, name: str, **limits: Any) -> None:
    object.__setattr__(optimizer, name, check_real(getattr(optimizer, name), name=name, **limits))


def _set_bool(optimizer: Optimizer, name: str) -> None:
    value = getattr(optimizer, name)
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")

"""Optimizers: their numbers and what they keep; g is the gradient of loss plus penalties.

The steps are in formula/optimizer.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastbp.check.message import shown
from fastbp.check.scalar import check_name
from fastbp.error import ModelFormatError
from fastbp.optimizer.adam import Adam, AdamW
from fastbp.optimizer.base import Optimizer
from fastbp.optimizer.sgd import SGD
from fastbp.schedule import schedule_from_config

if TYPE_CHECKING:
    OPTIMIZERS: dict[str, type[Optimizer]]
    from fastbp.optimizer.full_batch import LBFGS, LevenbergMarquardt
    from fastbp.optimizer.moment import Adamax, NAdam, RAdam
    from fastbp.optimizer.rms import Adadelta, Adagrad, RMSprop
    from fastbp.optimizer.sign import Lion, Rprop

__all__ = [
    "LBFGS", "OPTIMIZERS", "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax",
    "LevenbergMarquardt", "Lion", "NAdam", "Optimizer", "RAdam", "RMSprop", "Rprop",
    "optimizer_from_config", "resolve_optimizer",
]  # fmt: skip

_COMMON: dict[str, type[Optimizer]] = {kind.name: kind for kind in (SGD, Adam, AdamW)}
# Those that are read in when one is first asked for, by their files.
_MORE = {
    "rms": ("RMSprop", "Adagrad", "Adadelta"),
    "moment": ("Adamax", "NAdam", "RAdam"),
    "sign": ("Lion", "Rprop"),
    "full_batch": ("LBFGS", "LevenbergMarquardt"),
}


def __getattr__(name: str) -> Any:
    """The other optimizers, and `OPTIMIZERS`, all of them by name."""
    if name != "OPTIMIZERS" and not any(name in kinds for kinds in _MORE.values()):
        raise AttributeError(f"module 'fastbp.optimizer' has no attribute {name!r}")
    more = [
        getattr(import_module(f"fastbp.optimizer.{file}"), kind)
        for file, kinds in _MORE.items() for kind in kinds
    ]  # fmt: skip
    globals().update({kind.__name__: kind for kind in more})
    globals()["OPTIMIZERS"] = _COMMON | {kind.name: kind for kind in more}
    return globals()[name]


def _kinds(name: str) -> dict[str, type[Optimizer]]:
    """Optimizers by name, all of them where this one is not among the common ones."""
    return _COMMON if name in _COMMON else import_module(__name__).OPTIMIZERS


def resolve_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """The description a name stands for, with its default numbers.

    Raises:
        TypeError: neither a name nor an optimizer.
        ValueError: unknown name.

    >>> resolve_optimizer("sgd")
    SGD(learning_rate=0.01, momentum=0.0, nesterov=False)
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if not isinstance(optimizer, str):
        got = shown(optimizer)
        if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
            got = f"the class {optimizer.__name__}: write fb.{optimizer.__name__}()"
        *names, last = [*(kind.__name__ for kind in _COMMON.values()), *sum(_MORE.values(), ())]
        known = f"{', '.join(names)} or {last}"
        raise TypeError(f"optimizer must be a name or an {known} object, got {got}")
    return _named(str(optimizer))


@lru_cache(maxsize=64)
def _named(name: str) -> Optimizer:
    known = _kinds(name)
    kind: Any = known[check_name(name, kind="optimizer", known=known, aliases={})]
    return kind()


def optimizer_from_config(config: object) -> Optimizer:
    """What `to_config` described.

    Raises:
        ModelFormatError: not such a description.
    """
    if not isinstance(config, Mapping):
        raise ModelFormatError(f"optimizer must be an object, got {shown(config)}")
    values = dict(config)
    name = values.pop("name", None)
    known = _kinds(name if isinstance(name, str) else "")
    kind = known.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ModelFormatError(f"unknown optimizer {shown(name)}; known: {', '.join(known)}")
    expected = [field.name for field in fields(kind) if field.name not in kind.later]
    if not set(expected) <= values.keys() <= {field.name for field in fields(kind)}:
        got = ", ".join(map(str, values)) or "nothing"
        raise ModelFormatError(f"optimizer '{name}' must have {', '.join(expected)}, got {got}")
    if isinstance(values["learning_rate"], Mapping):
        values["learning_rate"] = schedule_from_config(values["learning_rate"])
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise ModelFormatError(f"optimizer '{name}': {error}") from None

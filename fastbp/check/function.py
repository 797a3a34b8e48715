"""Functions of the user's: what they are called, and what they take."""

from __future__ import annotations

import functools
import inspect
from typing import Any


def function_name(function: Any) -> str:
    """Its `__name__`; "lambda" of a lambda; of another object that can be called, its class's."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", None) or type(function).__name__
    return str(name).strip("<>")


def signature_of(function: Any) -> inspect.Signature | None:
    """None where it has none to be seen, as some that are compiled."""
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):
        return None


def takes_weight(function: Any) -> bool:
    """Whether it has an argument `sample_weight`, by name."""
    signature = signature_of(function)
    if signature is None:
        return False
    parameter = signature.parameters.get("sample_weight")
    if parameter is not None:
        return parameter.kind is not inspect.Parameter.POSITIONAL_ONLY
    return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in signature.parameters.values())

"""Metrics that are functions of the user's: (y, prediction) -> float."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from fastbp.check.function import function_name, signature_of, takes_weight
from fastbp.check.message import shown
from fastbp.metric.rows import Array, Weight

Function = Callable[..., Any]
_TAKEN = ("loss", "learning_rate", "epoch")  # by other figures of an epoch


def check_function(function: Function) -> None:
    """Raises TypeError for a class and for what cannot be called with (y, prediction), ValueError
    for a name that a history uses for another figure.
    """
    if isinstance(function, type):
        raise TypeError(
            f"metric must be a name, a Metric or a function (y, prediction), got the class "
            f"{function.__name__}"
        )
    name = function_name(function)
    if name in _TAKEN or name.startswith("val_"):
        raise ValueError(
            f"metric function {name!r} has the name of another figure; give it another __name__"
        )
    signature = signature_of(function)
    if signature is None:
        return
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise TypeError(f"metric function {name!r} must take (y, prediction): {error}") from None


def measure_of(function: Function) -> Callable[..., float]:
    """The function (response, y, weight) that calls the user's with arrays that cannot be written
    to.

    One without `sample_weight` gets the rows that have weight.

    Raises TypeError where no number comes back.
    """
    has_weight = takes_weight(function)

    def measure(response: Array, y: Array, weight: Weight = None) -> float:
        arrays = [y.view(), response.view()]
        for array in arrays:
            array.flags.writeable = False
        if weight is not None and has_weight:
            value = function(*arrays, sample_weight=weight)
        else:
            value = function(*arrays)
        return _number(value, function)

    return measure


class Kept:
    """A function on its way through `copy.deepcopy`, which takes it along, or `pickle`, which does
    where the function can be pickled: a lambda is left out with a UserWarning.
    """

    __slots__ = ("function", "kind")

    def __init__(self, function: Function | None, kind: str = "metric") -> None:
        self.function, self.kind = function, kind

    def __deepcopy__(self, memo: dict[int, Any]) -> Kept:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        function = self.function
        try:
            pickle.dumps(function)
        except Exception as error:  # whatever its own __reduce__ may raise
            assert function is not None
            text = left_out([function_name(function)], "pickle", error, kind=self.kind)
            warnings.warn(text, stacklevel=2)
            function = None
        return Kept, (function, self.kind)


def left_out(
    names: list[str], place: str, error: Exception | None = None, *, kind: str = "metric"
) -> str:
    """The text of the warning that functions are not in a file or pickle."""
    what = ", ".join(repr(name) for name in names)
    why = "" if error is None else f" ({error})"
    return (
        f"{kind} function {what} is not in the {place}{why}: the network that is read back goes "
        f"without it{'; set its metrics again' if kind == 'metric' else ''}"
    )


def _number(value: Any, function: Function) -> float:
    try:
        if np.ndim(value) == 0:
            return float(value)
    except (TypeError, ValueError):
        pass
    name = function_name(function)
    raise TypeError(f"metric function {name!r} must return a number, got {shown(value)}")

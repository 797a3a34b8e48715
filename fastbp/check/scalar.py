"""Checks of arguments that are no arrays: numbers, names, seeds, threads.

A message names the argument, what came and what was expected.
"""

from __future__ import annotations

import math
import numbers
import operator
import warnings
from collections.abc import Iterable, Mapping

import numpy as np

from fastbp.check.message import level_of_caller, shown
from fastbp.check.threads import automatic, available_threads
from fastbp.random import draw_seed


def check_integer(value: object, *, name: str, minimum: int, maximum: int | None = None) -> int:
    """An integer in minimum..maximum as int.

    Raises:
        TypeError: not an integer (a bool and a float are none).
        ValueError: out of range.
    """
    if type(value) is int and value >= minimum and maximum is None:
        return value
    end = f">= {minimum}" if maximum is None else f"in {minimum}..{maximum}"
    number = as_index(value)
    if number is None:
        raise TypeError(f"{name} must be an integer {end}, got {_shown(value)}")
    if number < minimum or (maximum is not None and number > maximum):
        raise ValueError(f"{name} must be an integer {end}, got {number}")
    return number


def check_size(value: object, *, name: str) -> int:
    """The width of a layer, >= 1: `layer 2 size must be >= 1, got 0`."""
    number = as_index(value)
    if number is None:
        raise TypeError(f"{name} must be an integer >= 1, got {_shown(value)}")
    if number < 1:
        raise ValueError(f"{name} must be >= 1, got {number}")
    return number


def _shown(value: object) -> str:
    """What came instead of an integer: 2.0 must not look like one."""
    return repr(float(value)) if isinstance(value, float | np.floating) else shown(value)


def check_bool(value: object, *, name: str) -> bool:
    """Raises TypeError for anything but True and False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def as_index(value: object) -> int | None:
    """The int an integer stands for; None for a bool, a float and anything else."""
    if isinstance(value, bool | np.bool_ | str | float):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def check_real(
    value: object,
    *,
    name: str,
    minimum: float | None = None,
    maximum: float | None = None,
    exclude_minimum: bool = False,
    exclude_maximum: bool = False,
) -> float:
    """A finite real number in the given range as float.

    Raises:
        TypeError: not a number (a bool is none).
        ValueError: NaN, infinite or out of range.
    """
    if type(value) is not float and (
        isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real)
    ):
        expected = _range(minimum, maximum, exclude_minimum, exclude_maximum)
        raise TypeError(f"{name} must be a number, {expected}, got {shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    low = minimum is None or number > minimum or (number == minimum and not exclude_minimum)
    high = maximum is None or number < maximum or (number == maximum and not exclude_maximum)
    if not (math.isfinite(number) and low and high):
        expected = _range(minimum, maximum, exclude_minimum, exclude_maximum)
        raise ValueError(f"{name} must be {expected}, got {shown(value)}")
    return number + 0.0  # -0.0 is 0.0


def _range(
    minimum: float | None, maximum: float | None, exclude_minimum: bool, exclude_maximum: bool
) -> str:
    """What was expected, in words."""
    if minimum is not None and maximum is not None:
        left, right = "(" if exclude_minimum else "[", ")" if exclude_maximum else "]"
        return f"in {left}{shown(minimum)}, {shown(maximum)}{right}"
    if minimum is not None:
        return f"finite and {'>' if exclude_minimum else '>='} {shown(minimum)}"
    if maximum is not None:
        return f"finite and {'<' if exclude_maximum else '<='} {shown(maximum)}"
    return "finite"


def check_name(
    value: object, *, kind: str, known: Iterable[str], aliases: Mapping[str, str]
) -> str:
    """The canonical name; capitals, "_", "-" and blanks make no difference.

    Raises:
        TypeError: not a str.
        ValueError: `unknown activation 'rleu'; known: linear, relu, ...`.
    """
    names = list(known)
    if not isinstance(value, str):
        raise TypeError(f"{kind} must be a name, got {shown(value)}; known: {', '.join(names)}")
    bare = value.lower().translate(str.maketrans("", "", "_- "))
    for name in names:
        if bare == name.replace("_", ""):
            return name
    if bare in aliases:
        return aliases[bare]
    raise ValueError(f"unknown {kind} {shown(value)}; known: {', '.join(names)}")


def check_seed(seed: object) -> int:
    """A seed in 0..2**64-1: the given one, one drawn from the operating system for None, or one
    draw from a `numpy.random.Generator`.

    Raises:
        ValueError: anything else.
    """
    if seed is None:
        return draw_seed()
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(0, 2**64, dtype=np.uint64))
    number = as_index(seed)
    if number is None or not 0 <= number < 2**64:
        raise ValueError(
            "seed must be None, an integer in 0..2**64-1 or a numpy.random.Generator, "
            f"got {shown(seed)}"
        )
    return number


def check_n_threads(n_threads: object, *, available: int | None = None) -> int:
    """How many threads to use at most; -1 means one for each available processor, "auto" the same
    but for the limits of `fastbp.check.threads`.

    More than four for each processor are capped with a RuntimeWarning; results never depend on it.

    Raises:
        TypeError: neither "auto" nor an integer.
        ValueError: 0 or less than -1.
    """
    cores = available_threads() if available is None else available
    if isinstance(n_threads, str) and n_threads == "auto":
        return automatic(cores)
    number = as_index(n_threads)
    expected = f'n_threads must be "auto", -1 or an integer >= 1, got {_shown(n_threads)}'
    if number is None:
        raise TypeError(expected)
    if number == -1:
        return cores
    if number < 1:
        raise ValueError(expected)
    if number > 4 * cores:
        text = f"n_threads = {number} is more than 4 times the available {cores}; using {4 * cores}"
        warnings.warn(text, RuntimeWarning, stacklevel=level_of_caller())
        return 4 * cores
    return number

"""Initial values of parameters."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastbp import random
from fastbp.argument import check_name, check_real
from fastbp.conversion import shown

# The variance is gain / fan; the fan of glorot is the mean of fan_in and fan_out.
_GAIN = {"glorot": 1.0, "he": 2.0, "lecun": 1.0}
NAMES = (
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "zeros",
    "ones",
)
_ALIASES = {
    "xavieruniform": "glorot_uniform",
    "xaviernormal": "glorot_normal",
    "kaiminguniform": "he_uniform",
    "kaimingnormal": "he_normal",
    "zero": "zeros",
    "one": "ones",
}


@dataclass(frozen=True)
class Constant:
    """Every value of the parameter starts as `value`, a finite number.

    >>> Constant(0.5)
    Constant(value=0.5)
    """

    value: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", check_real(self.value, name="Constant value"))


def resolve_initializer(initializer: str | float | Constant) -> str | Constant:
    """A canonical name, or a `Constant` for a number.

    Raises:
        TypeError: neither a name nor a number.
        ValueError: unknown name, number not finite.
    """
    if isinstance(initializer, Constant):
        return initializer
    if isinstance(initializer, str):
        return check_name(initializer, kind="initializer", known=NAMES, aliases=_ALIASES)
    if not isinstance(initializer, numbers.Real):
        raise TypeError(
            f"initializer must be a name, a number or a Constant, got {shown(initializer)}"
        )
    return Constant(check_real(initializer, name="initializer"))


def initializer_config(initializer: str | Constant) -> str | float:
    """What JSON holds of an initializer; `resolve_initializer` reads it back."""
    return initializer.value if isinstance(initializer, Constant) else initializer


def initial_value(
    initializer: str | float | Constant,
    shape: tuple[int, ...],
    *,
    fan_in: int,
    fan_out: int,
    seed: int,
    index: int,
) -> NDArray[np.float64]:
    """A fresh float64 array of initial values.

    glorot: variance 2 / (fan_in + fan_out); he: 2 / fan_in; lecun: 1 / fan_in. Uniform in
    [-sqrt(3 variance), sqrt(3 variance)), or normal, not truncated.

    Args:
        index: running number of the parameter; each has its own random stream.
    """
    initializer = resolve_initializer(initializer)
    if isinstance(initializer, Constant):
        return np.full(shape, initializer.value)
    if initializer in ("zeros", "ones"):
        return np.full(shape, 0.0 if initializer == "zeros" else 1.0)
    family, distribution = initializer.split("_")
    fan = (fan_in + fan_out) / 2.0 if family == "glorot" else float(fan_in)
    variance = _GAIN[family] / fan
    count = math.prod(shape)
    if distribution == "normal":
        value = math.sqrt(variance) * random.normal(seed, random.INITIALIZE, index, count)
    else:
        unit = 2.0 * random.uniform(seed, random.INITIALIZE, index, count) - 1.0
        value = math.sqrt(3.0 * variance) * unit
    return value.reshape(shape)

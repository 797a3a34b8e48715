"""Initial values of parameters."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp import random
from fastbp.check.message import shown
from fastbp.check.scalar import check_name, check_real

Array = NDArray[np.float64]

_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("uniform", "normal", "truncated_normal")


@dataclass(frozen=True)
class Constant:
    """Every value of the parameter starts as `value`, a finite number.

    >>> Constant(0.5)
    Constant(value=0.5)
    """

    value: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", check_real(self.value, name="Constant value"))


@dataclass(frozen=True)
class VarianceScaling:
    """Random values of mean 0 and variance scale / fan.

    fan is the layer's n_in ("fan_in"), its units ("fan_out") or the mean of both ("fan_avg"), for
    its bias too.  "uniform" lies in [-limit, limit), limit = sqrt(3 scale / fan); "normal" is not
    truncated; "truncated_normal" is a normal distribution truncated at two of its standard
    deviations, so wide that the variance is right after that, as in Keras, whose `he_normal` is
    `VarianceScaling(2)`.

    Args:
        scale: finite, > 0.
        mode: "fan_in", "fan_out" or "fan_avg".
        distribution: "uniform", "normal" (Keras: "untruncated_normal") or "truncated_normal".

    Raises:
        TypeError, ValueError: an argument of another type, out of range, unknown.

    >>> VarianceScaling(1 / 3, distribution="uniform").mode  # as torch.nn.Linear starts
    'fan_in'
    """

    scale: float = 1.0
    _: KW_ONLY
    mode: str = "fan_in"
    distribution: str = "truncated_normal"

    def __post_init__(self) -> None:
        what, other_names = "VarianceScaling scale", {"untruncatednormal": "normal"}
        scale = check_real(self.scale, name=what, minimum=0, exclude_minimum=True)
        mode = check_name(self.mode, kind="mode", known=_MODES, aliases={})
        distribution = check_name(
            self.distribution, kind="distribution", known=_DISTRIBUTIONS, aliases=other_names
        )
        for name, value in (("scale", scale), ("mode", mode), ("distribution", distribution)):
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Orthogonal:
    """A kernel whose columns, or where n_in < units its rows, are orthogonal and `gain` long.

    Uniformly distributed over such kernels (Haar): a product of Householder reflections of normal
    vectors (Stewart 1980), in float64.  Takes about n_in * units * min(n_in, units)
    multiplications.

    Args:
        gain: finite, > 0.

    Raises:
        TypeError, ValueError: `gain` of another type or out of range.

    >>> Orthogonal()
    Orthogonal(gain=1.0)
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        gain = check_real(self.gain, name="Orthogonal gain", minimum=0, exclude_minimum=True)
        object.__setattr__(self, "gain", gain)


Initializer = Constant | VarianceScaling | Orthogonal

# What a name stands for.
_NAMED: dict[str, Initializer] = {
    "glorot_uniform": VarianceScaling(1, mode="fan_avg", distribution="uniform"),
    "glorot_normal": VarianceScaling(1, mode="fan_avg", distribution="normal"),
    "he_uniform": VarianceScaling(2, distribution="uniform"),
    "he_normal": VarianceScaling(2, distribution="normal"),
    "lecun_uniform": VarianceScaling(1, distribution="uniform"),
    "lecun_normal": VarianceScaling(1, distribution="normal"),
    "torch_uniform": VarianceScaling(1 / 3, distribution="uniform"),
    "orthogonal": Orthogonal(),
    "zeros": Constant(0.0),
    "ones": Constant(1.0),
}
NAMES = tuple(_NAMED)
# By activation, in an inner layer and in one that reads the inputs.
_VARIANCE_TIMES_FAN_IN = {
    "relu": (1 / 3, 1 / 8),
    "leaky_relu": (1 / 3, 1 / 8),
    "linear": (1.0, 1 / 2),
    "sigmoid": (1.0, 1 / 2),
    "hard_sigmoid": (1.0, 1 / 2),
    "softmax": (1.0, 1 / 2),
    "log_softmax": (1.0, 1 / 2),
    "exponential": (1.0, 1 / 2),
}
_ALIASES = {
    "xavieruniform": "glorot_uniform",
    "xaviernormal": "glorot_normal",
    "kaiminguniform": "he_uniform",
    "kaimingnormal": "he_normal",
    "torch": "torch_uniform",
    "pytorch": "torch_uniform",
    "zero": "zeros",
    "one": "ones",
}
_CONFIG: dict[str, type[VarianceScaling] | type[Orthogonal]] = {
    "variance_scaling": VarianceScaling,
    "orthogonal": Orthogonal,
}


@cache
def default_initializers(
    activation: str, *, n_features: int | None, alone: bool = False
) -> tuple[str | Initializer, str | Initializer]:
    """Of a kernel and a bias for which neither their layer nor the network names one.

    Kernels are uniform with a variance of part / fan_in, biases are 0; the part is 1/3 before a
    ReLU or leaky ReLU, 1 before linear, sigmoids, softmax and exponential, 1/2 before the others.
    In a layer that reads the network's `n_features` inputs it is 1/8, 1/2 and 1/4 respectively, but
    at least 1 / n_features, and the bias is uniform with a variance of 1 / fan_in.  Chosen and
    confirmed by the study that docs/defaults.md reports.  Not part of its tables: a linear,
    sigmoid, softmax or exponential layer that is `alone` in its network starts at 0, as a linear
    model needs no different starts.
    """
    if alone and activation in ("linear", "sigmoid", "softmax", "log_softmax", "exponential"):
        return "zeros", "zeros"
    inner, at_input = _VARIANCE_TIMES_FAN_IN.get(activation, (1 / 2, 1 / 4))
    if n_features is None:
        return VarianceScaling(inner, distribution="uniform"), "zeros"
    return VarianceScaling(max(at_input, 1 / n_features), distribution="uniform"), "lecun_uniform"


def resolve_initializer(
    initializer: str | float | Initializer, *, name: str = "initializer"
) -> str | Initializer:
    """A canonical name, an initializer, or a `Constant` for a number.

    Names of other libraries stand for what those libraries compute: "xavier_uniform" and
    "kaiming_uniform" for the functions of `torch.nn.init` at their defaults, the latter with a = 0,
    which is "he_uniform".  `torch.nn.Linear` itself starts with a = sqrt(5): "torch_uniform".

    Raises:
        TypeError: neither a name nor a number nor an initializer.
        ValueError: unknown name, number not finite.
    """
    if isinstance(initializer, Initializer):
        return initializer
    if isinstance(initializer, str):
        return check_name(initializer, kind="initializer", known=NAMES, aliases=_ALIASES)
    if isinstance(initializer, bool | np.bool_) or not isinstance(initializer, numbers.Real):
        got = shown(initializer)
        if isinstance(initializer, type) and issubclass(initializer, Initializer):
            got = f"the class {initializer.__name__}: write fb.{initializer.__name__}()"
        elif isinstance(initializer, np.ndarray | list | tuple):
            got += "; given values go to Dense(weights=, bias=)"
        raise TypeError(
            f"{name} must be a name, a number, a VarianceScaling, an Orthogonal or a Constant, "
            f"got {got}"
        )
    return Constant(check_real(initializer, name=name))


def resolve_kernel_initializer(
    initializer: str | float | Initializer | None, *, name: str = "kernel_initializer"
) -> str | Initializer | None:
    """`resolve_initializer`; None, which leaves the choice to the network, stays None."""
    return None if initializer is None else resolve_initializer(initializer, name=name)


def resolve_bias_initializer(
    initializer: str | float | Initializer | None,
) -> str | Initializer | None:
    """Likewise, but for ValueError for what only kernels have: orthogonal columns."""
    own = resolve_kernel_initializer(initializer, name="bias_initializer")
    if own == "orthogonal" or isinstance(own, Orthogonal):
        raise ValueError(f"bias_initializer must not be orthogonal, got {shown(initializer)}")
    return own


def initializer_config(initializer: str | Initializer | None) -> Any:
    """What JSON holds of an initializer; `initializer_from_config` reads it back."""
    if initializer is None or isinstance(initializer, str):
        return initializer
    if isinstance(initializer, Constant):
        return initializer.value
    name = next(name for name, kind in _CONFIG.items() if kind is type(initializer))
    return {"name": name, **asdict(initializer)}


def initializer_from_config(config: Any) -> str | Initializer | None:
    """What `initializer_config` described.

    Raises TypeError, ValueError where it is none.
    """
    if not isinstance(config, Mapping):
        return resolve_kernel_initializer(config, name="initializer")
    values = dict(config)
    name = values.pop("name", None)
    if not isinstance(name, str) or name not in _CONFIG:
        raise ValueError(f"unknown initializer {shown(name)}; known: {', '.join(_CONFIG)}")
    return _CONFIG[name](**values)


def initial_value(
    initializer: str | float | Initializer,
    shape: tuple[int, ...],
    *,
    fan_in: int,
    fan_out: int,
    seed: int,
    index: int,
) -> Array:
    """A fresh float64 array of initial values, as `initializer` describes them.

    Args:
        index: running number of the parameter; each has its own random stream.
    """
    own = _meant(initializer)
    if isinstance(own, Constant):
        return np.full(shape, own.value)
    if isinstance(own, Orthogonal):
        return own.gain * _orthogonal(*shape, seed=seed, index=index)
    variance = _variance(own, fan_in, fan_out)
    stream = seed, random.INITIALIZE, index, math.prod(shape)
    if own.distribution == "uniform":
        value = _uniform_limit(variance) * (2.0 * random.uniform(*stream) - 1.0)
    elif own.distribution == "normal":
        value = math.sqrt(variance) * random.normal(*stream)
    else:
        cut = random.truncated_normal(*stream)
        value = math.sqrt(variance / random.TRUNCATED_VARIANCE) * cut
    return value.reshape(shape)


def uniform_limit(
    initializer: str | float | Initializer, *, fan_in: int, fan_out: int
) -> float | None:
    """The limit of a uniform distribution in [-limit, limit), 0 for zeros; None for any other."""
    own = _meant(initializer)
    if isinstance(own, Constant):
        return 0.0 if own.value == 0 else None
    if isinstance(own, Orthogonal) or own.distribution != "uniform":
        return None
    return _uniform_limit(_variance(own, fan_in, fan_out))


def _meant(initializer: str | float | Initializer) -> Initializer:
    resolved = resolve_initializer(initializer)
    return _NAMED[resolved] if isinstance(resolved, str) else resolved


def _variance(own: VarianceScaling, fan_in: int, fan_out: int) -> float:
    fan = {"fan_in": float(fan_in), "fan_out": float(fan_out), "fan_avg": (fan_in + fan_out) / 2.0}
    return own.scale / fan[own.mode]


def _uniform_limit(variance: float) -> float:
    return math.sqrt(3.0 * variance)


def _orthogonal(n_in: int, n_out: int, *, seed: int, index: int) -> Array:
    """(n_in, n_out) with orthonormal columns, or rows where they are fewer.

    q = H_1 H_2 ... H_n D: H_k reflects all but the first k - 1 axes so that a normal vector x
    falls on axis k, D holds the signs.  Built from the last to the first, on the columns that
    differ from those of the identity.  Sums are taken row by row, whatever the processor.
    """
    rows, columns = max(n_in, n_out), min(n_in, n_out)
    q = np.zeros((rows, columns))
    normal = random.normal(seed, random.INITIALIZE, index, rows * columns).reshape(columns, rows)
    for k in range(columns - 1, -1, -1):
        v = normal[k, k:, np.newaxis].copy()
        length = math.sqrt(math.fsum((v * v)[:, 0]))
        sign = math.copysign(1.0, v[0, 0])
        v[0] += sign * length
        part = q[k:, k:]
        part[0, 0] = 1.0
        part -= v * ((v * part).sum(axis=0) * (2.0 / math.fsum((v * v)[:, 0])))
        part[:, 0] *= -sign
    return q if n_in >= n_out else np.ascontiguousarray(q.T)

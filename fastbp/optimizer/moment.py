"""Optimizers with Adam's moments: Adamax, NAdam, RAdam."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from fastbp.optimizer.base import refuses_unknown
from fastbp.optimizer.decayed import FRACTION, POSITIVE, Decayed
from fastbp.schedule import LearningRate


@dataclass(frozen=True, repr=False)
class _Moments(Decayed):
    """What the three have: a learning rate, beta1, beta2 and epsilon."""

    learning_rate: LearningRate = 2e-3
    _: KW_ONLY
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_reals("beta1", "beta2", **FRACTION)
        self._set_real("epsilon", **POSITIVE)


@refuses_unknown
@dataclass(frozen=True, repr=False)
class Adamax(_Moments):
    """m = beta1 m + (1 - beta1) g; u = max(beta2 u, |g| + epsilon); at step t = 1, 2, ...
    w -= learning_rate / (1 - beta1^t) m / u.

    Step for step and by its defaults `torch.optim.Adamax`; Keras adds epsilon to u instead and has
    the defaults 0.001 and 1e-7.

    Args:
        learning_rate: as for `SGD`.
        beta1, beta2: in [0, 1).
        epsilon: finite, > 0.
        weight_decay, decay_bias: w -= learning_rate weight_decay w before each step, on kernels or
            on biases too.
        clipvalue, clipnorm, global_clipnorm, ema: as for every `Optimizer`.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> Adamax().state_names
    ('m', 'u')
    """

    name: ClassVar[str] = "adamax"
    state_names = ("m", "u")


@refuses_unknown
@dataclass(frozen=True, repr=False)
class NAdam(_Moments):
    """Adam's m and v; mu_t = beta1 (1 - 0.96^(momentum_decay t) / 2), p_t = mu_1 ... mu_t;
    w -= learning_rate ((1 - mu_t) g / (1 - p_t) + mu_(t+1) m / (1 - p_(t+1)))
    / (sqrt(v_hat) + epsilon).

    Step for step and by its defaults `torch.optim.NAdam`; Keras has a momentum_decay of 1 and the
    defaults 0.001 and 1e-7.  The vector `rest` holds 1 - p_t.

    Args:
        learning_rate: as for `SGD`.
        beta1, beta2: in [0, 1).
        epsilon: finite, > 0.
        momentum_decay: finite, >= 0.
        weight_decay, decay_bias: w -= learning_rate weight_decay w before each step, on kernels or
            on biases too.
        clipvalue, clipnorm, global_clipnorm, ema: as for every `Optimizer`.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> NAdam().learning_rate
    0.002
    """

    name: ClassVar[str] = "nadam"
    _: KW_ONLY
    momentum_decay: float = 4e-3

    state_names = ("m", "v", "rest")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_real("momentum_decay", minimum=0)

    @property
    def mu_decay(self) -> float:
        """What the part of mu that fades is multiplied by in a step."""
        return float(0.96**self.momentum_decay)


@refuses_unknown
@dataclass(frozen=True, repr=False)
class RAdam(_Moments):
    """Adam's m and v; with r = 2 / (1 - beta2) - 1 and s = r - 2 t beta2^t / (1 - beta2^t) at step
    t = 1, 2, ... w -= learning_rate m_hat while s <= 5, then
    w -= learning_rate m_hat sqrt(1 - beta2^t) / (sqrt(v) + epsilon)
    sqrt((s - 4) (s - 2) r / ((r - 4) (r - 2) s)).

    Step for step and by its defaults `torch.optim.RAdam`.

    Args:
        learning_rate: as for `SGD`.
        beta1: in [0, 1).
        beta2: in (0, 1).
        epsilon: finite, > 0.
        weight_decay, decay_bias: w -= learning_rate weight_decay w before each step, on kernels or
            on biases too.
        clipvalue, clipnorm, global_clipnorm, ema: as for every `Optimizer`.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> RAdam().state_names
    ('m', 'v')
    """

    name: ClassVar[str] = "radam"
    learning_rate: LearningRate = 1e-3

    state_names = ("m", "v")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_real("beta2", **FRACTION, exclude_minimum=True)

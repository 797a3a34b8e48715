"""Optimizers that divide by a root of squared gradients: RMSprop, Adagrad, Adadelta."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from fastbp.optimizer.base import refuses_unknown
from fastbp.optimizer.decayed import FRACTION, POSITIVE, Decayed
from fastbp.schedule import LearningRate


@refuses_unknown
@dataclass(frozen=True, repr=False)
class RMSprop(Decayed):
    """v = rho v + (1 - rho) g^2; w -= learning_rate g / (sqrt(v) + epsilon).

    Centered, v less the square of mean = rho mean + (1 - rho) g stands under the root.  With a
    momentum b = momentum b + g / (sqrt(v) + epsilon); w -= learning_rate b.  Step for step and by
    its defaults `torch.optim.RMSprop`, whose alpha is rho; Keras has the defaults 0.001, rho 0.9
    and 1e-7.

    Args:
        learning_rate: as for `SGD`.
        rho: in [0, 1).
        epsilon: finite, > 0.
        momentum: in [0, 1).
        centered: whether v is a variance.
        weight_decay, decay_bias: w -= learning_rate weight_decay w before each step, on kernels or
            on biases too.
        clipvalue, clipnorm, global_clipnorm, ema: as for every `Optimizer`.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> RMSprop(momentum=0.9).state_names
    ('v', 'momentum')
    """

    name: ClassVar[str] = "rmsprop"
    learning_rate: LearningRate = 0.01
    _: KW_ONLY
    rho: float = 0.99
    epsilon: float = 1e-8
    momentum: float = 0.0
    centered: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_reals("rho", "momentum", **FRACTION)
        self._set_real("epsilon", **POSITIVE)
        self._set_bool("centered")

    @property
    def formula(self) -> str:
        """Its step in formula/optimizer.py."""
        return f"{'centered_' * self.centered}{'momentum_' * (self.momentum > 0)}rmsprop"

    @property
    def state_names(self) -> tuple[str, ...]:
        """The vectors, as long as the parameters, that it keeps between steps."""
        mean = ("mean",) if self.centered else ()
        return ("v", *mean, "momentum") if self.momentum else ("v", *mean)


@refuses_unknown
@dataclass(frozen=True, repr=False)
class Adagrad(Decayed):
    """s = s + g^2; w -= learning_rate g / (sqrt(s) + epsilon), s from initial_accumulator_value on.

    Step for step and by its defaults `torch.optim.Adagrad`; Keras begins at 0.1, with a learning
    rate of 0.001.  For PyTorch's lr_decay there is `InverseTimeDecay`.

    Args:
        learning_rate: as for `SGD`.
        initial_accumulator_value: finite, >= 0; the vector `total` is kept without it.
        epsilon: finite, > 0.
        weight_decay, decay_bias: w -= learning_rate weight_decay w before each step, on kernels or
            on biases too.
        clipvalue, clipnorm, global_clipnorm, ema: as for every `Optimizer`.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> Adagrad().learning_rate
    0.01
    """

    name: ClassVar[str] = "adagrad"
    learning_rate: LearningRate = 0.01
    _: KW_ONLY
    initial_accumulator_value: float = 0.0
    epsilon: float = 1e-10

    state_names = ("total",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_real("initial_accumulator_value", minimum=0)
        self._set_real("epsilon", **POSITIVE)


@refuses_unknown
@dataclass(frozen=True, repr=False)
class Adadelta(Decayed):
    """v = rho v + (1 - rho) g^2; d = sqrt(c + epsilon) / sqrt(v + epsilon) g;
    c = rho c + (1 - rho) d^2; w -= learning_rate d.

    Step for step and by its defaults `torch.optim.Adadelta`; Keras has 0.001, rho 0.95 and 1e-7.

    Args:
        learning_rate: as for `SGD`.
        rho: in [0, 1).
        epsilon: finite, > 0.
        weight_decay, decay_bias: w -= learning_rate weight_decay w before each step, on kernels or
            on biases too.
        clipvalue, clipnorm, global_clipnorm, ema: as for every `Optimizer`.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> Adadelta().state_names
    ('v', 'change')
    """

    name: ClassVar[str] = "adadelta"
    learning_rate: LearningRate = 1.0
    _: KW_ONLY
    rho: float = 0.9
    epsilon: float = 1e-6

    state_names = ("v", "change")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_real("rho", **FRACTION)
        self._set_real("epsilon", **POSITIVE)

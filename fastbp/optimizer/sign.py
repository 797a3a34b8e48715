"""Optimizers that step by the sign of what they follow: Lion, Rprop."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from fastbp.optimizer.base import refuses_unknown
from fastbp.optimizer.decayed import FRACTION, POSITIVE, Decayed
from fastbp.schedule import LearningRate


@refuses_unknown
@dataclass(frozen=True, repr=False)
class Lion(Decayed):
    """w -= learning_rate sign(beta1 m + (1 - beta1) g); m = beta2 m + (1 - beta2) g.

    Step for step and by its defaults `keras.optimizers.Lion`; the paper (Chen et al., 2023) has a
    learning rate of 1e-4.  A step is as long as the learning rate: take a third or a tenth of
    Adam's, and as much more decay.

    Args:
        learning_rate: as for `SGD`.
        beta1, beta2: in [0, 1).
        weight_decay, decay_bias: w -= learning_rate weight_decay w before each step, on kernels or
            on biases too.
        clipvalue, clipnorm, global_clipnorm, ema: as for every `Optimizer`.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> Lion(1e-4, weight_decay=0.1).state_names
    ('m',)
    """

    name: ClassVar[str] = "lion"
    learning_rate: LearningRate = 1e-3
    _: KW_ONLY
    beta1: float = 0.9
    beta2: float = 0.99

    state_names = ("m",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_reals("beta1", "beta2", **FRACTION)


@refuses_unknown
@dataclass(frozen=True, repr=False)
class Rprop(Decayed):
    """A step size for each parameter, the learning rate at first: times eta_plus where the gradient
    keeps its sign, times eta_minus where it turns, within step_min and step_max;
    w -= sign(g) size, and not at all where the gradient has just turned.

    For batches of all rows: the sign of a mini-batch's gradient turns by chance.  Step for step
    and by its defaults `torch.optim.Rprop`, whose etas and step_sizes are these numbers.  Of a
    schedule only the first learning rate counts.

    Args:
        learning_rate: as for `SGD`.
        eta_minus: in (0, 1).
        eta_plus: finite, > 1.
        step_min, step_max: finite, > 0, the second not below the first.
        weight_decay, decay_bias: w -= learning_rate weight_decay w before each step, on kernels or
            on biases too.
        clipvalue, clipnorm, global_clipnorm, ema: as for every `Optimizer`.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> Rprop().eta_plus
    1.2
    """

    name: ClassVar[str] = "rprop"
    learning_rate: LearningRate = 0.01
    _: KW_ONLY
    eta_minus: float = 0.5
    eta_plus: float = 1.2
    step_min: float = 1e-6
    step_max: float = 50.0

    state_names = ("previous", "size")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_real("eta_minus", **FRACTION, exclude_minimum=True)
        self._set_real("eta_plus", minimum=1, exclude_minimum=True)
        self._set_real("step_min", **POSITIVE)
        self._set_real("step_max", minimum=self.step_min)

"""Adam, with and without a decay of its own."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from fastbp.optimizer.base import Optimizer, refuses_unknown
from fastbp.schedule import LearningRate


@refuses_unknown
@dataclass(frozen=True, repr=False)
class Adam(Optimizer):
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; at step t = 1, 2, ...
    w -= learning_rate m_hat / (sqrt(v_hat) + epsilon), m_hat = m / (1 - beta1^t),
    v_hat = v / (1 - beta2^t).

    Epsilon stands outside the root, as in the paper and PyTorch (1e-8); the default of Keras is
    1e-7.

    Args:
        learning_rate: finite, >= 0, or a `Schedule`, or a function of the number of steps taken, as
            `CallableSchedule` takes it.
        beta1, beta2: in [0, 1).
        epsilon: finite, > 0.
        amsgrad: v is the largest so far where w is updated (Reddi et al., 2018), kept as `v_max`,
            as in PyTorch.
        epsilon_hat: epsilon stands beside sqrt(v) instead, the "epsilon hat" of the paper: with
            a = learning_rate sqrt(1 - beta2^t) / (1 - beta1^t), w -= a m / (sqrt(v) + epsilon), as
            in Keras and scikit-learn.
        clipvalue, clipnorm, global_clipnorm, ema: as for every `Optimizer`.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> Adam().learning_rate
    0.001
    """

    name: ClassVar[str] = "adam"
    learning_rate: LearningRate = 1e-3
    _: KW_ONLY
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    amsgrad: bool = False
    epsilon_hat: bool = False

    later = (*Optimizer.later, "amsgrad", "epsilon_hat")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_real("beta1", minimum=0, maximum=1, exclude_maximum=True)
        self._set_real("beta2", minimum=0, maximum=1, exclude_maximum=True)
        self._set_real("epsilon", minimum=0, exclude_minimum=True)
        self._set_bool("amsgrad")
        self._set_bool("epsilon_hat")

    @property
    def formula(self) -> str:
        """Its step in formula/optimizer.py."""
        return "amsgrad" if self.amsgrad else "adam"

    @property
    def state_names(self) -> tuple[str, ...]:
        """The vectors, as long as the parameters, that it keeps between steps."""
        return ("m", "v", "v_max") if self.amsgrad else ("m", "v")


@refuses_unknown
@dataclass(frozen=True, repr=False)
class AdamW(Adam):
    """Adam whose decay does not pass through m and v: w -= learning_rate weight_decay w first.

    Args:
        learning_rate, beta1, beta2, epsilon, amsgrad, epsilon_hat: as for `Adam`.
        clipvalue, clipnorm, global_clipnorm, ema: as for every `Optimizer`.
        weight_decay: finite, >= 0; on kernels.
        decay_bias: on biases too.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> AdamW(weight_decay=0.1).state_names
    ('m', 'v')
    """

    name: ClassVar[str] = "adamw"
    _: KW_ONLY
    weight_decay: float = 1e-2
    decay_bias: bool = False

    @property
    def decoupled_decay(self) -> float:  # type: ignore[override]
        """The decay that does not pass through m and v."""
        return self.weight_decay

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_real("weight_decay", minimum=0)
        self._set_bool("decay_bias")

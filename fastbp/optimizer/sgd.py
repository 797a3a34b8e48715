"""Gradient descent."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from fastbp.optimizer.base import Optimizer, refuses_unknown
from fastbp.schedule import LearningRate


@refuses_unknown
@dataclass(frozen=True, repr=False)
class SGD(Optimizer):
    """Gradient descent: w -= learning_rate g.

    With momentum b = momentum b + g; w -= learning_rate b. With nesterov
    w -= learning_rate (g + momentum b). b starts at 0, as in PyTorch with dampening 0.

    Args:
        learning_rate: finite, >= 0, or a `Schedule`, or a function of the number of steps taken, as
            `CallableSchedule` takes it.
        momentum: in [0, 1).
        nesterov: needs a momentum.
        weight_decay: finite, >= 0: g grows by weight_decay w on kernels, as in PyTorch, and so
            passes through the momentum; as `l2` in each Dense does.
        decoupled_weight_decay: w -= learning_rate weight_decay w before each step instead, as in
            Keras, which passes through neither momentum nor clipping.
        decay_bias: on biases too.
        scaled_momentum: the learning rate stands inside b, as in Keras and scikit-learn, which
            differs only where it changes: b = momentum b + learning_rate g; w -= b, or with
            nesterov w -= learning_rate g + momentum b.
        clipvalue, clipnorm, global_clipnorm, ema: as for every `Optimizer`.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range.

    >>> SGD(0.1, momentum=0.9).state_names
    ('momentum',)
    """

    name: ClassVar[str] = "sgd"
    learning_rate: LearningRate = 0.01
    _: KW_ONLY
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    decay_bias: bool = False
    decoupled_weight_decay: bool = False
    scaled_momentum: bool = False

    later = (
        *Optimizer.later, "weight_decay", "decay_bias", "decoupled_weight_decay", "scaled_momentum",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_real("weight_decay", minimum=0)
        self._set_bool("decay_bias")
        self._set_bool("decoupled_weight_decay")
        self._set_real("momentum", minimum=0, maximum=1, exclude_maximum=True)
        self._set_bool("nesterov")
        self._set_bool("scaled_momentum")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum in (0, 1), got 0")

    @property
    def coupled_decay(self) -> float:  # type: ignore[override]
        """The decay that joins the gradient."""
        return 0.0 if self.decoupled_weight_decay else self.weight_decay

    @property
    def decoupled_decay(self) -> float:  # type: ignore[override]
        """The decay that does not."""
        return self.weight_decay if self.decoupled_weight_decay else 0.0

    @property
    def formula(self) -> str:
        """Its step in formula/optimizer.py."""
        if not self.momentum:
            return "decayed_sgd" if self.decoupled_decay else "sgd"
        scaled = "scaled_" if self.scaled_momentum else ""
        decayed = "decayed_" if self.decoupled_decay else ""
        return f"{decayed}{scaled}{'nesterov' if self.nesterov else 'momentum'}"

    @property
    def state_names(self) -> tuple[str, ...]:
        """The vectors, as long as the parameters, that it keeps between steps."""
        return ("momentum",) if self.momentum else ()

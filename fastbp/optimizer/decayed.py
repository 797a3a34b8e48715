"""What the optimizers beside SGD, Adam and AdamW share: a decay that does not pass through them."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from fastbp.optimizer.base import Optimizer


@dataclass(frozen=True, repr=False)
class Decayed(Optimizer):
    """Weight decay as AdamW's: w -= learning_rate weight_decay w before each step, on kernels, and
    on biases too with `decay_bias`.  Keras decays every optimizer so; for PyTorch's decay, which
    joins the gradient, there is `l2=` in each Dense.
    """

    _: KW_ONLY
    weight_decay: float = 0.0
    decay_bias: bool = False

    later = (*Optimizer.later, "weight_decay", "decay_bias")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_real("weight_decay", minimum=0)
        self._set_bool("decay_bias")

    @property
    def decoupled_decay(self) -> float:  # type: ignore[override]
        """The decay that does not pass through the state."""
        return self.weight_decay

    def _set_reals(self, *names: str, **limits: Any) -> None:
        for name in names:
            self._set_real(name, **limits)


FRACTION: dict[str, Any] = {"minimum": 0, "maximum": 1, "exclude_maximum": True}
POSITIVE: dict[str, Any] = {"minimum": 0, "exclude_minimum": True}

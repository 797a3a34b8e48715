"""A loss of the user's own: a function (y, output) -> (loss, gradient)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from fastbp.check.function import function_name, signature_of, takes_weight
from fastbp.check.message import shown
from fastbp.loss import Loss

Function = Callable[..., Any]


class OwnLoss(Loss):
    """What a network made with `loss=function` has for its loss.

    Two of the same name are equal: nothing but the steps themselves depends on the function.

    Attributes:
        function: the user's, or None where the network comes from a file and nobody has given it.
        takes_weight: whether it has an argument `sample_weight`.
    """

    is_own: ClassVar[bool] = True
    function: Function | None
    takes_weight: bool

    def __init__(self, function: Function | None, *, name: str = "") -> None:
        super().__init__("mse")  # all other fields at their defaults
        known = {"name": name or function_name(function), "function": function}
        for key, value in (known | {"takes_weight": takes_weight(function)}).items():
            object.__setattr__(self, key, value)

    @property
    def without_function(self) -> OwnLoss:
        """See `Loss`."""
        return OwnLoss(None, name=self.name)

    @property
    def link(self) -> str:
        """It is about what the layers output."""
        return "identity"

    @property
    def domain(self) -> str:
        """Targets of any kind: see `check_y`."""
        return "own"

    @property
    def formula(self) -> str:
        """Of engines, none of which is asked to compute it."""
        return "mse"

    @property
    def is_measured_inside(self) -> bool:
        return False

    def divisor(self, n_outputs: int) -> int:
        """The function returns a mean."""
        return 1

    def columns(self, n_outputs: int) -> tuple[float, ...]:
        return ()

    def to_config(self) -> dict[str, object]:
        """The name, for a file that lacks the function."""
        return {"name": self.name, "is_function": True}

    def __repr__(self) -> str:
        return f"<loss function {self.name!r}>"


def own_loss(function: Any) -> OwnLoss:
    """The loss that a function is.

    Raises TypeError for a class, and for what cannot be called with (y, output).
    """
    if isinstance(function, type):
        raise TypeError(
            "loss must be a name, a Loss or a function (y, output) -> (loss, gradient), got the "
            f"class {function.__name__}"
        )
    signature = signature_of(function)
    if signature is not None:
        try:
            signature.bind(None, None)
        except TypeError as error:
            name = function_name(function)
            raise TypeError(f"loss function {name!r} must take (y, output): {error}") from None
    return OwnLoss(function)


def absent_loss(*, name: str, is_function: bool) -> OwnLoss:
    """One of a file, which has its name alone.

    Raises ValueError where this is none.
    """
    if not isinstance(name, str) or not name or is_function is not True:
        raise ValueError(f"loss must have the name of a function, got {shown(name)}")
    return OwnLoss(None, name=name)

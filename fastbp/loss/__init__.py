"""Losses: names, and what each of them is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from fastbp.check.message import shown
from fastbp.check.scalar import check_bool, check_name, check_real


@dataclass(frozen=True)
class _Kind:
    """What a loss is: its link (what turns an output into the response it is about), which targets
    it takes, whether it is a mean over the outputs too or over the rows alone, and the parameters
    of its formula with their defaults.
    """

    link: str = "identity"
    domain: str = "real"
    is_mean_of_rows: bool = False
    parameters: tuple[tuple[str, float], ...] = ()


# Every loss.  The formulas are in formula/loss.py; the cross-entropy of classes, which needs whole
# rows, has kernels of its own.
LOSSES = {
    "mse": _Kind(),
    "half_sse": _Kind(is_mean_of_rows=True),
    "mae": _Kind(),
    "huber": _Kind(parameters=(("delta", 1.0),)),
    "binary_cross_entropy": _Kind("logit", "interval"),
    "cross_entropy": _Kind("softmax", "class", is_mean_of_rows=True),
}
# The activation that inverts a link: a loss with one takes its derivative together with its own.
_RESPONSE = {"logit": "sigmoid", "softmax": "softmax"}
_ALIASES = {
    "squarederror": "mse",
    "meansquarederror": "mse",
    "mseloss": "mse",
    "halfsquarederror": "half_sse",
    "absoluteerror": "mae",
    "meanabsoluteerror": "mae",
    "l1loss": "mae",
    "huberloss": "huber",
    "bce": "binary_cross_entropy",
    "bceloss": "binary_cross_entropy",
    "bcewithlogitsloss": "binary_cross_entropy",
    "binarycrossentropy": "binary_cross_entropy",
    "binarylogloss": "binary_cross_entropy",
    "logloss": "cross_entropy",
    "crossentropyloss": "cross_entropy",
    "categoricalcrossentropy": "cross_entropy",
    "sparsecategoricalcrossentropy": "cross_entropy",
}
_DELTA = 1.0


@dataclass(frozen=True, init=False, repr=False)
class Loss:
    """A loss; e is output minus target, n the number of rows, k of outputs.

    mse                   sum e^2 / (n k)
    half_sse              sum e^2 / (2 n)
    mae                   sum |e| / (n k)
    huber                 mean over n k of e^2 / 2 if |e| <= delta else delta (|e| - delta / 2)
    binary_cross_entropy  mean over n k of softplus(z) - y z, from the logits z
    cross_entropy         mean over n of logsumexp(z) - sum_k y_k z_k, from the logits z

    Args:
        name: one of `LOSSES`, or a name other libraries use ("squared_error", "MSELoss", "bce").
        delta: where huber turns from square to straight, > 0. The others take none.
        sum_outputs: the k outputs of a row are summed: the division by k is left out.
        with_penalties: the l1 and l2 of the layers are part of the loss of a batch, as in
            scikit-learn: (the sum over its rows + penalties) / (the rows, or the sum of their
            weights), in the loss that training reports and in its gradient.  Otherwise, and in
            `Network.step`, the penalties join the gradient alone, undivided.

    Raises:
        TypeError: sum_outputs or with_penalties is no bool.
        ValueError: unknown name; delta not finite, not positive, or where there is none.

    >>> Loss("huber", delta=0.5)
    Loss('huber', delta=0.5)
    >>> Loss("sparse_categorical_crossentropy").name
    'cross_entropy'
    """

    name: str
    delta: float
    sum_outputs: bool
    with_penalties: bool

    def __init__(
        self,
        name: str,
        *,
        delta: float = _DELTA,
        sum_outputs: bool = False,
        with_penalties: bool = False,
    ) -> None:
        name = check_name(name, kind="loss", known=LOSSES, aliases=_ALIASES)
        value = check_real(delta, name="delta", minimum=0, exclude_minimum=True)
        if value != _DELTA and "delta" not in dict(LOSSES[name].parameters):
            raise ValueError(f"loss '{name}' takes no delta, got {shown(delta)}")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "delta", value)
        for option, given in (("sum_outputs", sum_outputs), ("with_penalties", with_penalties)):
            object.__setattr__(self, option, check_bool(given, name=option))

    @property
    def link(self) -> str:
        """What the loss makes of an output: "identity", "logit" or "softmax"."""
        return LOSSES[self.name].link

    @property
    def response(self) -> str | None:
        """The activation of the output that the loss works through, from the logits; or None."""
        return _RESPONSE.get(self.link)

    @property
    def domain(self) -> str:
        """The targets that it takes: "real", "interval" [0, 1], or "class", an index or a row of
        probabilities.
        """
        return LOSSES[self.name].domain

    def divisor(self, n_outputs: int) -> int:
        """What the sum over the outputs of one row is divided by."""
        return 1 if self.sum_outputs or LOSSES[self.name].is_mean_of_rows else n_outputs

    @property
    def parameters(self) -> tuple[float, ...]:
        """The parameters of the formula, in its order."""
        return tuple(getattr(self, name) for name, _ in LOSSES[self.name].parameters)

    def to_config(self) -> dict[str, object]:
        """Name, parameters where there are any, and options that are set, as JSON can hold them."""
        own = {name: getattr(self, name) for name, _ in LOSSES[self.name].parameters}
        return {"name": self.name, **own, **self._options()}

    def _options(self) -> dict[str, bool]:
        names = ("sum_outputs", "with_penalties")
        return {name: True for name in names if getattr(self, name)}

    def __repr__(self) -> str:
        own = f", delta={self.delta}" if self.delta != _DELTA else ""
        own += "".join(f", {name}=True" for name in self._options())
        return f"Loss({self.name!r}{own})"


def resolve_loss(loss: str | Loss) -> Loss:
    """The description a name stands for.

    Raises:
        TypeError: neither a name nor a `Loss`.
        ValueError: unknown name.
    """
    if isinstance(loss, Loss):
        return loss
    return _named(loss) if type(loss) is str else Loss(loss)


@lru_cache(maxsize=64)
def _named(name: str) -> Loss:
    return Loss(name)

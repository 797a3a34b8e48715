"""Losses: names, and what each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from fastbp.check.message import counted, shown
from fastbp.check.scalar import check_bool, check_name, check_real
from fastbp.loss.table import ALIASES, LOSSES, RESPONSE

__all__ = ["LOSSES", "Loss", "resolve_loss"]

Numbers = float | Sequence[float]

_RANGE: dict[str, dict[str, Any]] = {
    "delta": {"minimum": 0, "exclude_minimum": True},
    "q": {"minimum": 0, "maximum": 1, "exclude_minimum": True, "exclude_maximum": True},
    "power": {"minimum": 1, "maximum": 2, "exclude_minimum": True, "exclude_maximum": True},
    "gamma": {"minimum": 0, "exclude_minimum": True},
    "alpha": {"minimum": 0, "maximum": 1},
    "label_smoothing": {"minimum": 0, "maximum": 1, "exclude_maximum": True},
    "pos_weight": {"minimum": 0, "exclude_minimum": True},
}
_DEFAULT: dict[str, float | None] = {
    "delta": 1.0, "q": 0.5, "power": 1.5, "gamma": 2.0, "alpha": None, "label_smoothing": 0.0,
    "pos_weight": None,
}  # fmt: skip


@dataclass(frozen=True, init=False, repr=False)
class Loss:
    """A loss; e is output minus target, n the number of rows, k of outputs.

    mse                   sum e^2 / (n k)
    half_sse              sum e^2 / (2 n)
    mae                   sum |e| / (n k)
    huber                 mean over n k of e^2 / 2 if |e| <= delta else delta (|e| - delta / 2)
    log_cosh              mean over n k of log cosh e
    quantile              mean over n k of (1 - q) e if e > 0 else -q e
    gaussian_nll          mean over n k / 2 of (s + e^2 exp(-s)) / 2; the first k / 2 outputs are
                          the means, the others s, the logarithms of the variances
    poisson               mean over n k of exp(z) - y z, from z = log of the rate
    gamma                 mean over n k of z + y exp(-z), from z = log of the mean
    tweedie               mean over n k of exp((2 - p) z) / (2 - p) - y exp((1 - p) z) / (1 - p),
                          from z = log of the mean, p = power
    cosine                mean over n of 1 - cos of the angle between output and target
    hinge                 mean over n k of max(1 - y z, 0) for y = -1 and 1
    squared_hinge         mean over n k of max(1 - y z, 0)^2
    binary_cross_entropy  mean over n k of softplus(z) - y z, from the logits z; with a pos_weight p
                          of p y softplus(-z) + (1 - y) softplus(z)
    binary_focal_cross_entropy  mean over n k of (1 - p)^gamma times that, p the probability of what
                          y says, times alpha where y = 1 and 1 - alpha where y = 0
    cross_entropy         mean over n of logsumexp(z) - sum_k y_k z_k, from the logits z
    focal_cross_entropy   mean over n of sum_k y_k (1 - p_k)^gamma (-log p_k), p = softmax(z)
    kl_divergence         mean over n of sum_k y_k log(y_k / p_k), p = softmax(z)

    `predict` gives exp(z) for the three from a logarithm, probabilities for those from logits.

    Args:
        name: one of `LOSSES`, or a name other libraries use ("squared_error", "MSELoss", "bce",
            "pinball", "PoissonNLLLoss").
        delta: where huber turns from square to straight, > 0.
        q: level of quantile in (0, 1), or several, ascending: the first outputs are then the
            quantiles of the first level, one for each column of y, and so on.
        power: of tweedie, in (1, 2): between poisson and gamma.
        gamma: of both focal losses, > 0.
        alpha: of binary_focal_cross_entropy, in [0, 1]; None: 1 for either side.
        label_smoothing: of cross_entropy, binary_cross_entropy and focal_cross_entropy, in [0, 1):
            targets are (1 - label_smoothing) y + label_smoothing / classes, of which the binary one
            has 2.
        pos_weight: of binary_cross_entropy, > 0, or one for each output: what a target of 1 counts.
            None is 1.
        sum_outputs: the outputs of a row are summed: the division by k is left out, that by k / 2
            of gaussian_nll too.  What is a mean over n alone stays as it is.
        with_penalties: the l1 and l2 of the layers are part of the loss of a batch, as in
            scikit-learn: (the sum over its rows + penalties) / (the rows, or the sum of their
            weights), in the loss that training reports and in its gradient.  Otherwise, and in
            `Network.step`, the penalties join the gradient alone, undivided.

    Raises:
        TypeError, ValueError: unknown name; an argument of another type, out of range, or of
            another loss.

    >>> Loss("huber", delta=0.5)
    Loss('huber', delta=0.5)
    >>> Loss("sparse_categorical_crossentropy").name
    'cross_entropy'
    >>> Loss("quantile", q=[0.1, 0.5, 0.9]).n_targets(3)
    1
    """

    is_own: ClassVar[bool] = False  # a function of the user's

    name: str
    delta: float
    q: float | tuple[float, ...]
    power: float
    gamma: float
    alpha: float | None
    label_smoothing: float
    pos_weight: float | tuple[float, ...] | None
    sum_outputs: bool
    with_penalties: bool

    def __init__(
        self, name: str, *, delta: float = 1.0, q: Numbers = 0.5, power: float = 1.5,
        gamma: float = 2.0, alpha: float | None = None, label_smoothing: float = 0.0,
        pos_weight: Numbers | None = None, sum_outputs: bool = False, with_penalties: bool = False,
    ) -> None:  # fmt: skip
        name = check_name(name, kind="loss", known=LOSSES, aliases=ALIASES)
        given: dict[str, Any] = {
            "delta": delta, "q": q, "power": power, "gamma": gamma, "alpha": alpha,
            "label_smoothing": label_smoothing, "pos_weight": pos_weight,
        }  # fmt: skip
        object.__setattr__(self, "name", name)
        own = dict(LOSSES[name].parameters)
        for key, value in given.items():
            found = _checked(key, value)
            if found != _DEFAULT[key] and key not in own:
                raise ValueError(f"loss '{name}' takes no {key}, got {shown(value)}")
            object.__setattr__(self, key, found)
        for option, is_on in (("sum_outputs", sum_outputs), ("with_penalties", with_penalties)):
            object.__setattr__(self, option, check_bool(is_on, name=option))

    @property
    def without_function(self) -> Loss:
        """For what is kept longer than a network: it shall not keep code of the user's alive."""
        return self

    @property
    def link(self) -> str:
        """What the loss makes of an output: "identity", "log", "logit" or "softmax"."""
        return LOSSES[self.name].link

    @property
    def response(self) -> str | None:
        """The activation of the output that the loss works through, from the logits; or None."""
        return RESPONSE.get(self.link)

    @property
    def domain(self) -> str:
        """The targets that it takes: see `loss.table.Kind`."""
        return LOSSES[self.name].domain

    @property
    def outputs_per_target(self) -> int:
        """2 where a mean and a variance belong to a target, or as many as there are levels."""
        if self.name == "gaussian_nll":
            return 2
        return len(self.q) if isinstance(self.q, tuple) else 1

    def n_targets(self, n_outputs: int) -> int:
        """How many columns y has."""
        return n_outputs // self.outputs_per_target

    def divisor(self, n_outputs: int) -> int:
        """What the sum over the outputs of one row is divided by."""
        if self.sum_outputs or LOSSES[self.name].is_mean_of_rows:
            return 1
        return n_outputs // 2 if self.name == "gaussian_nll" else n_outputs

    def check_outputs(self, n_outputs: int) -> None:
        """Raises ValueError where the loss does not go with so many outputs."""
        per, got = self.outputs_per_target, f"got {n_outputs}"
        if n_outputs % per:
            is_mean = self.name == "gaussian_nll"
            what = "a mean and a log variance" if is_mean else "one for each level"
            text = f"needs {per} outputs for each target, {what}"
            raise ValueError(f"loss '{self.name}' {text}, {got}")
        if self.link == "softmax" and n_outputs < 2:
            other = "; for two classes on one output use 'binary_cross_entropy'"
            advice = other if self.name == "cross_entropy" else ""
            raise ValueError(f"loss '{self.name}' needs at least 2 outputs, {got}{advice}")
        if isinstance(self.pos_weight, tuple) and len(self.pos_weight) != n_outputs:
            weights = counted(len(self.pos_weight), "number")
            raise ValueError(
                f"pos_weight has {weights}, network has {counted(n_outputs, 'output')}"
            )

    # what the kernels are given

    @property
    def formula(self) -> str:
        """Its formula in formula/loss.py, or its kernel of whole rows."""
        if self.name == "binary_cross_entropy" and (self.label_smoothing or self.pos_weight):
            return "weighted_binary_cross_entropy"
        if self.link == "softmax" and (self.name != "cross_entropy" or self.label_smoothing):
            return "class_loss"
        return self.name

    @property
    def parameters(self) -> tuple[float, ...]:
        """The parameters of the formula, in its order."""
        if self.formula == "class_loss":  # gamma, label_smoothing, whether it is a divergence
            gamma = self.gamma if self.name == "focal_cross_entropy" else 0.0
            return gamma, self.label_smoothing, float(self.name == "kl_divergence")
        if self.name == "binary_focal_cross_entropy":
            sides = (1.0, 1.0) if self.alpha is None else (self.alpha, 1 - self.alpha)
            return (self.gamma, *sides)
        if self.formula == "weighted_binary_cross_entropy":
            return (self.label_smoothing,)
        own = {"huber": (self.delta,), "tweedie": (self.power,)}
        return own.get(self.name, ())

    def columns(self, n_outputs: int) -> tuple[float, ...]:
        """The parameter of each output's own that the formula takes, if it takes one."""
        given: Any = ()
        if self.name == "quantile":
            levels = self.q if isinstance(self.q, tuple) else (self.q,)
            given = [level for level in levels for _ in range(n_outputs // len(levels))]
        elif self.formula == "weighted_binary_cross_entropy":
            own = 1.0 if self.pos_weight is None else self.pos_weight
            given = own if isinstance(own, tuple) else n_outputs * (own,)
        return tuple(given)

    @property
    def is_measured_inside(self) -> bool:
        """Whether the engine's own sums of accuracy, mae and mse are about what it is given."""
        is_plain = self.link == "identity" or self.formula in (
            "binary_cross_entropy",
            "cross_entropy",
        )
        return is_plain and self.outputs_per_target == 1 and self.name != "cosine"

    def point(self, response: Any) -> Any:
        """The columns of a response that foretell the targets themselves: the means, or of several
        quantiles that nearest to the median.
        """
        n = self.n_targets(response.shape[1])
        if n == response.shape[1]:
            return response
        levels = self.q if isinstance(self.q, tuple) else (0.5,)
        at = min(range(len(levels)), key=lambda i: abs(levels[i] - 0.5))
        return response[:, at * n : (at + 1) * n]

    # how it is written down

    def to_config(self) -> dict[str, object]:
        """Name, parameters where there are any, and options that are set, as JSON can hold them."""
        own = {name: getattr(self, name) for name, _ in LOSSES[self.name].parameters}
        held = {name: list(value) if isinstance(value, tuple) else value
                for name, value in own.items() if value}  # fmt: skip
        return {"name": self.name, **held, **self._options()}

    def _options(self) -> dict[str, bool]:
        names = ("sum_outputs", "with_penalties")
        return {name: True for name in names if getattr(self, name)}

    def __repr__(self) -> str:
        own = "".join(
            f", {name}={list(value) if isinstance(value, tuple) else value}"
            for name, value in ((name, getattr(self, name)) for name in _DEFAULT)
            if value != _DEFAULT[name]
        )
        own += "".join(f", {name}=True" for name in self._options())
        return f"Loss({self.name!r}{own})"


def _checked(name: str, value: Any) -> float | tuple[float, ...] | None:
    """A parameter in its range; of several numbers a tuple."""
    if value is None and _DEFAULT[name] is None:
        return None
    if name not in ("q", "pos_weight") or not hasattr(value, "__len__") or isinstance(value, str):
        return check_real(value, name=name, **_RANGE[name])
    if not len(value):
        raise ValueError(f"{name} must be a number or several, got none")
    found = tuple(
        check_real(one, name=f"{name}[{i}]", **_RANGE[name]) for i, one in enumerate(value)
    )
    if name == "q" and list(found) != sorted(set(found)):
        raise ValueError(f"q must ascend, got {shown(list(found))}")
    return found


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

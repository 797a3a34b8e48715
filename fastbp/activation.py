"""Activation functions: names, and the one number some of them take."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from fastbp.check.message import shown
from fastbp.check.scalar import check_name, check_real
from fastbp.formula import activation as formula

# Every activation, with the default of its alpha where it takes one.  The formulas are in
# formula/activation.py, but those of `OF_ROWS`.
ACTIVATIONS: dict[str, float | None] = {
    "linear": None,
    "relu": None,
    "leaky_relu": 0.01,
    "elu": 1.0,
    "selu": None,
    "gelu": None,
    "gelu_tanh": None,
    "silu": None,
    "mish": None,
    "hard_sigmoid": None,
    "hard_swish": None,
    "hard_tanh": None,
    "softsign": None,
    "softplus": None,
    "exponential": None,
    "tanh": None,
    "sigmoid": None,
    "softmax": None,
    "log_softmax": None,
}
OF_ROWS = ("softmax", "log_softmax")  # which need whole rows, and have kernels of their own
_ALIASES = {
    "identity": "linear",
    "none": "linear",
    "lrelu": "leaky_relu",
    "swish": "silu",
    "logistic": "sigmoid",
    "exp": "exponential",
    "logsig": "sigmoid",
    "tansig": "tanh",
    "geluapproximate": "gelu_tanh",
    "gelunew": "gelu_tanh",
    "gelupytorchtanh": "gelu_tanh",
    "hardsilu": "hard_swish",
    "purelin": "linear",
}


@dataclass(frozen=True, init=False, repr=False)
class Activation:
    """An activation function.

    linear z; relu max(z, 0), derivative 0 at 0; leaky_relu z or alpha z; elu z or
    alpha (exp(z) - 1); selu; gelu z Phi(z), exact; gelu_tanh, its approximation in PyTorch
    (approximate="tanh") and Keras (approximate=True); silu z sigmoid(z); mish z tanh(softplus(z));
    hard_sigmoid z / 6 + 1/2 within 0 and 1, hard_swish z times that, both as in PyTorch and
    Keras 3; hard_tanh z within -1 and 1; softsign z / (1 + |z|); softplus log(1 + exp(z));
    exponential exp(z); tanh; sigmoid; softmax over the outputs of the layer, log_softmax its
    logarithm, z - log(sum exp(z)).

    Args:
        name: one of `ACTIVATIONS`, or a name other libraries use ("identity", "swish",
            "LeakyReLU").
        alpha: slope of leaky_relu for z < 0 (default 0.01, as in PyTorch; Keras takes 0.2) or
            the alpha of elu (default 1); >= 0. The others take none.

    Raises:
        ValueError: unknown name; alpha not finite, negative, or where there is none.

    >>> Activation("leaky_relu", alpha=0.2)
    Activation('leaky_relu', alpha=0.2)
    >>> Activation("swish").name
    'silu'
    """

    name: str
    alpha: float

    def __init__(self, name: str, *, alpha: float | None = None) -> None:
        name = check_name(name, kind="activation", known=ACTIVATIONS, aliases=_ALIASES)
        default = ACTIVATIONS[name]
        if alpha is None:
            value = default or 0.0
        elif default is not None:
            value = check_real(alpha, name=f"alpha of {name}", minimum=0)
        else:
            raise ValueError(f"activation '{name}' takes no alpha, got {shown(alpha)}")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "alpha", value)

    @property
    def is_of_rows(self) -> bool:
        """Whether an output depends on the whole row."""
        return self.name in OF_ROWS

    @property
    def keeps_slope(self) -> bool:
        """Whether the slope is computed with the output and kept, not found from the output."""
        return hasattr(formula, f"{self.name}_slope")

    def to_config(self) -> dict[str, object]:
        """Name, and alpha where there is one, as JSON can hold them."""
        has_alpha = ACTIVATIONS[self.name] is not None
        return {"name": self.name, "alpha": self.alpha} if has_alpha else {"name": self.name}

    def __repr__(self) -> str:
        has_own = self.alpha != (ACTIVATIONS[self.name] or 0.0)
        return f"Activation({self.name!r}{f', alpha={self.alpha}' if has_own else ''})"


def resolve_activation(activation: str | Activation | None) -> Activation:
    """The description a name stands for; None is linear.

    Raises:
        TypeError: neither a name nor an `Activation`.
        ValueError: unknown name.
    """
    if isinstance(activation, Activation):
        return activation
    if activation is None:
        activation = "linear"
    return _named(activation) if type(activation) is str else Activation(activation)


@lru_cache(maxsize=64)
def _named(name: str) -> Activation:
    return Activation(name)

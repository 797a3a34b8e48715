"""What the estimators take beside scikit-learn's own parameters, and what both document alike."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from sklearn.utils._param_validation import Interval, StrOptions

from fastbp.activation import ACTIVATIONS, OF_ROWS, Activation

# scikit-learn's names of activations, and ours
_ACTIVATION_NAMES = {"identity": "linear", "logistic": "sigmoid"}

CONSTRAINTS: dict[str, Any] = {
    "activation": [StrOptions({*_ACTIVATION_NAMES, *ACTIVATIONS} - {*OF_ROWS}), Activation],
    "momentum": [Interval(Real, 0, 1, closed="left")],
    "callbacks": ["array-like", None],
    "n_threads": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "dtype": [StrOptions({"auto", "float32", "float64"})],
    "ema": [Interval(Real, 0, 1, closed="neither"), None],
    "monitor": [StrOptions({"score", "loss"})],
    "scale": ["boolean"],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "network": ["array-like", callable, None],
}


def activation_of(activation: str | Activation) -> str | Activation:
    """The activation by its name in fastbp."""
    if isinstance(activation, Activation):
        return activation
    return _ACTIVATION_NAMES.get(activation, activation)

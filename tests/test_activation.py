"""Activations: names, aliases, alpha, and what is refused; losses have names of the same kind."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
from support.refusal import refuses

from fastbp import activation, loss
from fastbp.activation import Activation, resolve_activation
from fastbp.layer import Dense
from fastbp.loss import Loss


@pytest.mark.parametrize(
    ("known", "kind"), [(activation.ACTIVATIONS, Activation), (loss.LOSSES, Loss)]
)
def test_every_name(known, kind):
    for name in known:
        one = kind(name)
        assert one.name == name
        assert one == kind(name.upper()) and hash(one) == hash(kind(name.replace("_", "")))
        assert pickle.loads(pickle.dumps(one)) == one == kind(**one.to_config())
        with pytest.raises(dataclasses.FrozenInstanceError):
            one.name = "tanh"


@pytest.mark.parametrize(
    ("given", "expected"),
    [("identity", "linear"), (None, "linear"), ("swish", "silu"), ("logistic", "sigmoid"),
     ("LeakyReLU", "leaky_relu"), ("leaky-relu", "leaky_relu"), ("SiLU", "silu")],
)  # fmt: skip
def test_activation_aliases(given, expected):
    assert resolve_activation(given) == Activation(expected)


def test_alpha():
    assert (Activation("leaky_relu").alpha, Activation("elu").alpha) == (0.01, 1.0)
    one = Activation("elu", alpha=np.float32(0.5))
    assert one.alpha == 0.5 and type(one.alpha) is float and resolve_activation(one) is one
    assert one != Activation("elu") and repr(one) == "Activation('elu', alpha=0.5)"
    with refuses(ValueError, "activation 'relu' takes no alpha, got 0.5"):
        Activation("relu", alpha=0.5)
    with refuses(ValueError, "alpha of elu must be finite and >= 0, got nan"):
        Activation("elu", alpha=float("nan"))


def test_unknown_activation():
    known = ", ".join(activation.ACTIVATIONS)
    with refuses(ValueError, f"unknown activation 'rleu'; known: {known}"):
        Dense(3, "rleu")
    with refuses(TypeError, f"activation must be a name, got 3; known: {known}"):
        resolve_activation(3)

"""Layers as they are described: fields, copies, configurations, and what is refused."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import pickle

import numpy as np
import pytest
from support.refusal import refuses

from fastbp import initializer
from fastbp.activation import Activation
from fastbp.error import ModelFormatError
from fastbp.initializer import Constant, Orthogonal, VarianceScaling
from fastbp.layer import (
    ActivationLayer,
    Branch,
    Dense,
    Dropout,
    GaussianNoise,
    Input,
    LayerNorm,
    Residual,
    Scale,
    Standardize,
    layer_from_config,
)
from fastbp.layer.base import inner_names

LAYERS = [
    Input(3),
    Dense(3),
    Dense(3, Activation("elu", alpha=0.5), use_bias=False, kernel_initializer="he_normal",
          l1=0.1, l2=0.2, name="first"),
    Dense(3, None, kernel_initializer=0.5, bias_initializer=Constant(2), regularize_bias=True),
    Dense(3, kernel_initializer=Orthogonal(0.5), bias_initializer=VarianceScaling(mode="fan_out")),
    Residual([Dense(3, "relu"), Dense(3)], projection="auto", activation="relu"),
    Residual([Dense(3)], projection="auto", projection_initializer="glorot_uniform"),
    Branch([[Dense(3)], [], [Residual([Branch([[Dense(2)]], merge="add")])]]),
    Branch([[Dense(3), Activation("elu", alpha=0.5)], [Dense(3)]], merge="multiply"),
    Branch([[Dense(3)], [Dense(3)]], merge="average"),
    ActivationLayer(Activation("elu", alpha=0.5)),
    Scale(0.1, [1, -2.5]),
    Standardize([1 / 3, 2], std=[0.1, 1e-3]),
    Dropout(0.25),
    GaussianNoise(0.25),
    LayerNorm(1e-5, trainable=False, name="norm"),
]  # fmt: skip


@pytest.mark.parametrize("one", LAYERS, ids=repr)
def test_layer(one):
    again = layer_from_config(json.loads(json.dumps(one.to_config())))
    assert again == one and hash(again) == hash(one) and repr(again) == repr(one)
    assert copy.deepcopy(one) == one == pickle.loads(pickle.dumps(one))
    assert [other == one for other in LAYERS].count(True) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.units = 4
    for change in ({"units": 0}, {"kind": "conv"}, {"extra": 1}):
        with pytest.raises(ModelFormatError):
            layer_from_config({**one.to_config(), **change})


def test_dense_fields():
    one = Dense(np.int64(3), "relu", bias_initializer=1)
    assert type(one.units) is int and one.activation == Activation("relu")
    assert one.kernel_initializer is None and one.bias_initializer == Constant(1.0)
    assert repr(one) == "Dense(3, 'relu', bias_initializer=Constant(value=1.0))"
    assert (one.l1, one.l2, one.use_bias, one.name, one.weights, one.bias) == (
        0.0, 0.0, True, None, None, None)  # fmt: skip


def test_given_weights_are_a_read_only_copy():
    kernel = np.array([[1, 2], [3, 4]], np.float32)
    one = Dense(2, weights=kernel, bias=[0.5, 0.5])
    kernel[0, 0] = 9
    assert one.weights.dtype == np.float64 and one.weights[0, 0] == 1
    assert kernel.flags.writeable and not one.weights.flags.writeable
    assert not one.bias.flags.writeable
    same = Dense(2, weights=[[1, 2], [3, 4]], bias=(0.5, 0.5))
    assert one == same and hash(one) == hash(same)
    assert one != Dense(2, weights=[[1, 2], [3, 5]], bias=[0.5, 0.5]) and one != Dense(2)
    assert "weights" not in one.to_config() and repr(one) == "Dense(2, weights=(2, 2), bias=(2,))"


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Input(0), ValueError, "Input units must be >= 1, got 0"),
        (lambda: Dense(-1), ValueError, "Dense units must be >= 1, got -1"),
        (lambda: Dense(2.5), TypeError, "Dense units must be an integer >= 1, got 2.5"),
        (lambda: Dense(True), TypeError, "Dense units must be an integer >= 1, got True"),
        (lambda: Dense(2, l2=-1), ValueError, "l2 must be finite and >= 0, got -1"),
        (lambda: Dense(2, l1=math.inf), ValueError, "l1 must be finite and >= 0, got inf"),
        (lambda: Dense(2, use_bias=0), TypeError, "use_bias must be True or False, got 0"),
        (lambda: Dense(2, name=""), ValueError,
         "name of Dense must not be empty or contain '/', got ''"),
        (lambda: Dense(2, name="a/b"), ValueError,
         "name of Dense must not be empty or contain '/', got 'a/b'"),
        (lambda: Dense(2, name=3), TypeError, "name of Dense must be a str, got 3"),
        (lambda: Dense(2, weights=[[1, 2, 3]]), ValueError,
         "weights of Dense must have shape (n_in, 2), got (1, 3)"),
        (lambda: Dense(2, weights=[1, 2]), ValueError,
         "weights of Dense must have shape (n_in, 2), got (2,)"),
        (lambda: Dense(2, weights=[[1, math.nan]]), ValueError,
         "Input weights contains NaN (first at [0, 1])"),
        (lambda: Dense(2, weights=[[1, "x"]]), ValueError,
         "could not convert weights to float64: 'x' at [0, 1]"),
        (lambda: Dense(2, bias=[1, 2, 3]), ValueError,
         "bias of Dense must have shape (2,), got (3,)"),
        (lambda: Dense(2, bias=[1, 2], use_bias=False), ValueError,
         "Dense got a bias, but use_bias is False"),
        (lambda: Dense(2, kernel_initializer="random"), ValueError,
         "unknown initializer 'random'; known: " + ", ".join(initializer.NAMES)),
        (lambda: Dense(2, kernel_initializer=math.nan), ValueError,
         "kernel_initializer must be finite, got nan"),
        (lambda: Dense(2, bias_initializer=[0, 1]), TypeError,
         "bias_initializer must be a name, a number, a VarianceScaling, an Orthogonal or a "
         "Constant, got [0, 1]; given values go to Dense(weights=, bias=)"),
        (lambda: Dense(2, kernel_initializer=Orthogonal), TypeError,
         "kernel_initializer must be a name, a number, a VarianceScaling, an Orthogonal or a "
         "Constant, got the class Orthogonal: write fb.Orthogonal()"),
        (lambda: Dense(2, kernel_initializer=True), TypeError,
         "kernel_initializer must be a name, a number, a VarianceScaling, an Orthogonal or a "
         "Constant, got True"),
        (lambda: Dense(2, bias_initializer="orthogonal"), ValueError,
         "bias_initializer must not be orthogonal, got 'orthogonal'"),
        (lambda: Dense(2, bias_initializer=Orthogonal(2)), ValueError,
         "bias_initializer must not be orthogonal, got Orthogonal(gain=2.0)"),
        (lambda: Residual([Dense(2)], projection_initializer="zeros"), ValueError,
         "Residual got a projection_initializer, but projection is None"),
        (lambda: VarianceScaling(0), ValueError,
         "VarianceScaling scale must be finite and > 0, got 0"),
        (lambda: VarianceScaling(mode="fan"), ValueError,
         "unknown mode 'fan'; known: fan_in, fan_out, fan_avg"),
        (lambda: VarianceScaling(distribution="gauss"), ValueError,
         "unknown distribution 'gauss'; known: uniform, normal, truncated_normal"),
        (lambda: Orthogonal("1"), TypeError,
         "Orthogonal gain must be a number, finite and > 0, got '1'"),
        (lambda: Residual([]), ValueError, "Residual layers must hold at least one layer, got 0"),
        (lambda: Residual(Dense(2)), TypeError,
         "Residual layers must be a list of layers, got Dense(2)"),
        (lambda: Residual([Dense(2), Input(2)]), TypeError,
         f"Residual layers[1] must be a {inner_names()}, got Input(units=2)"),
        (lambda: Residual([Dense(2)], projection="dense"), ValueError,
         "projection must be None or 'auto', got 'dense'"),
        (lambda: Branch([]), ValueError, "branches must hold at least one branch, got 0"),
        (lambda: Branch([Dense(2)]), TypeError,
         "branches[0] must be a list of layers, got Dense(2)"),
        (lambda: Branch([[2]]), TypeError,
         f"branches[0][0] must be a {inner_names()}, got 2"),
        (lambda: Branch([[]], merge="mul"), ValueError,
         "unknown merge 'mul'; known: add, concat, multiply, average"),
        (lambda: Constant("1"), TypeError, "Constant value must be a number, finite, got '1'"),
    ],
)  # fmt: skip
def test_bad_layer(make, error, text):
    with refuses(error, text):
        make()


def test_unknown_keyword_and_positional_option():
    with pytest.raises(TypeError, match="unexpected keyword argument 'activatoin'"):
        Dense(2, activatoin="relu")
    with pytest.raises(TypeError, match="positional argument"):
        Dense(2, "relu", True)


def test_bad_layer_config():
    with refuses(ModelFormatError, "layer must be an object, got 3"):
        layer_from_config(3)
    with refuses(ModelFormatError, "layer 'branch' has extra or missing keys: merge"):
        layer_from_config({"kind": "branch", "branches": []})
    with refuses(ModelFormatError, "layers must be a list, got 3"):
        layer_from_config({"kind": "residual", "layers": 3, "projection": None, "activation": {}})
    deep = Dense(2).to_config()
    for _ in range(10_000):
        deep = {**Residual([Dense(2)]).to_config(), "layers": [deep]}
    with refuses(ModelFormatError, "layers are nested more than 64 deep"):
        layer_from_config(deep)

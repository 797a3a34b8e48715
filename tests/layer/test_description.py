"""Layers, activations, losses, optimizers, initializers, metrics and history."""

from __future__ import annotations

import copy
import dataclasses
import doctest
import importlib
import inspect
import json
import math
import pickle
import re

import numpy as np
import pytest

from fastbp import activation, initializer, loss, metric
from fastbp.activation import Activation, resolve_activation
from fastbp.error import DivergenceError, ModelBusyError, ModelFormatError
from fastbp.history import History
from fastbp.initializer import Constant, Orthogonal, VarianceScaling
from fastbp.layer import Branch, Dense, Input, Residual, layer_from_config
from fastbp.loss import Loss, resolve_loss
from fastbp.optimizer import SGD, Adam, AdamW, optimizer_from_config, resolve_optimizer


def refuses(error, text):
    """The whole message must be `text`."""
    return pytest.raises(error, match=re.escape(text) + r"\Z")


@pytest.mark.parametrize(
    "name",
    [
        "activation",
        "check.array",
        "check.scalar",
        "history",
        "initializer",
        "layer",
        "loss",
        "metric",
        "optimizer",
        "optimizer.adam",
        "optimizer.sgd",
        "random",
    ],
)
def test_examples_in_docstrings(name):
    result = doctest.testmod(importlib.import_module(f"fastbp.{name}"))
    assert result.failed == 0 and (result.attempted > 0 or name == "check.scalar")


def test_errors_are_what_callers_already_catch():
    assert issubclass(DivergenceError, FloatingPointError)
    assert issubclass(ModelBusyError, RuntimeError)
    assert issubclass(ModelFormatError, ValueError)


# ---- activations and losses ---------------------------------------------------------------------


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
    known = ("linear, relu, leaky_relu, elu, selu, gelu, silu, softplus, tanh, sigmoid, "
             "softmax")  # fmt: skip
    with refuses(ValueError, f"unknown activation 'rleu'; known: {known}"):
        Dense(3, "rleu")
    with refuses(TypeError, f"activation must be a name, got 3; known: {known}"):
        resolve_activation(3)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("squared_error", "mse"), ("mean_squared_error", "mse"), ("MSELoss", "mse"),
     ("L1Loss", "mae"), ("HuberLoss", "huber"), ("log_loss", "cross_entropy"),
     ("bce", "binary_cross_entropy"), ("binary_crossentropy", "binary_cross_entropy"),
     ("BCEWithLogitsLoss", "binary_cross_entropy"), ("CrossEntropyLoss", "cross_entropy"),
     ("sparse_categorical_crossentropy", "cross_entropy"),
     ("categorical_crossentropy", "cross_entropy")],
)  # fmt: skip
def test_loss_aliases(given, expected):
    assert resolve_loss(given) == Loss(expected)


def test_delta():
    assert Loss("huber").delta == 1.0 and repr(Loss("huber", delta=2)) == "Loss('huber', delta=2.0)"
    with refuses(ValueError, "delta must be finite and > 0, got 0"):
        Loss("huber", delta=0)
    with refuses(ValueError, "loss 'mse' takes no delta, got 2"):
        Loss("mse", delta=2)


def test_unknown_loss():
    known = "mse, half_sse, mae, huber, binary_cross_entropy, cross_entropy"
    with refuses(ValueError, f"unknown loss 'hinge'; known: {known}"):
        resolve_loss("hinge")


# ---- optimizers ---------------------------------------------------------------------------------

OPTIMIZERS = [
    (SGD(), "sgd", ()),
    (SGD(0.5, momentum=0.9), "momentum", ("momentum",)),
    (SGD(0.5, momentum=0.9, nesterov=True), "nesterov", ("momentum",)),
    (Adam(0.01, beta1=0, beta2=0.99, epsilon=1e-7), "adam", ("m", "v")),
    (AdamW(0.01, weight_decay=0.1, decay_bias=True), "adam", ("m", "v")),
]


UNKNOWN = [
    (lambda: Adam(lr=1e-3), "Adam got lr; write learning_rate=0.001"),
    (lambda: Adam(betas=(0.9, 0.999)), "Adam got betas; write beta1=0.9, beta2=0.999"),
    (lambda: Adam(0.1, beta_1=0.9, beta_2=0.99, eps=1e-7),
     "Adam got beta_1, beta_2, eps; write beta1=0.9, beta2=0.99, epsilon=1e-07"),
    (lambda: Adam(lr=1e-3, weight_decay=0.01),
     "Adam got lr, weight_decay; write fb.AdamW(learning_rate=0.001, weight_decay=0.01), or l2= in "
     "each Dense for a decay that passes through m and v"),
    (lambda: Adam(lr=1e-3, amsgrad=True), "Adam got lr, amsgrad; write learning_rate=0.001; "
     "known: learning_rate, beta1, beta2, epsilon"),
    (lambda: Adam(betas=0.9), "Adam got betas; known: learning_rate, beta1, beta2, epsilon"),
    (lambda: Adam(decay=1e-6), "Adam got decay; known: learning_rate, beta1, beta2, epsilon"),
    (lambda: AdamW(wd=0.1), "AdamW got wd; write weight_decay=0.1"),
    (lambda: AdamW(decay=0.1), "AdamW got decay; write weight_decay=0.1"),
    (lambda: AdamW(fused=True), "AdamW got fused; known: learning_rate, beta1, beta2, epsilon, "
     "weight_decay, decay_bias"),
    (lambda: SGD(lr=0.1, momentum=0.9), "SGD got lr; write learning_rate=0.1"),
    (lambda: SGD(0.1, momentum=0.9, nesterov_momentum=True),
     "SGD got nesterov_momentum; write nesterov=True"),
    (lambda: SGD(0.1, nesterov_momentum=0.9),
     "SGD got nesterov_momentum; write momentum=0.9, nesterov=True"),
    (lambda: SGD(lr=0.1, weight_decay=5e-4),
     "SGD got lr, weight_decay; write learning_rate=0.1, l2=0.0005 in each Dense"),
    (lambda: SGD(eps=1), "SGD got eps; known: learning_rate, momentum, nesterov"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "text"), UNKNOWN, ids=[text for _, text in UNKNOWN])
def test_unknown_argument_of_an_optimizer(make, text):
    with refuses(TypeError, text):
        make()


def test_optimizers_are_still_what_dataclasses_make():
    assert list(inspect.signature(AdamW).parameters) == [
        "learning_rate", "beta1", "beta2", "epsilon", "weight_decay", "decay_bias"]  # fmt: skip
    assert str(inspect.signature(SGD)).startswith("(learning_rate: 'float' = 0.01, *, momentum:")
    assert dataclasses.replace(Adam(0.1), beta1=0.5) == Adam(0.1, beta1=0.5)
    for one in (SGD(0.5), Adam(0.5), AdamW(0.5)):
        assert copy.copy(one) == copy.deepcopy(one) == one
        assert one.to_config() == {"name": type(one).__name__.lower(), **dataclasses.asdict(one)}
    assert repr(SGD(0.5)) == "SGD(learning_rate=0.5, momentum=0.0, nesterov=False)"
    with pytest.raises(TypeError, match="takes from 1 to 2 positional arguments but 3 were given"):
        Adam(0.1, 0.9)


@pytest.mark.parametrize(("one", "formula", "state_names"), OPTIMIZERS, ids=repr)
def test_optimizer(one, formula, state_names):
    assert one.formula == formula and one.state_names == state_names
    config = json.loads(json.dumps(one.to_config()))
    again = optimizer_from_config(config)
    assert again == one and type(again) is type(one) and hash(again) == hash(one)
    assert resolve_optimizer(one) is one and pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.learning_rate = 1.0
    for key in config:
        with pytest.raises(ModelFormatError):
            optimizer_from_config({k: v for k, v in config.items() if k != key})


def test_optimizer_defaults():
    assert resolve_optimizer("SGD") == SGD(0.01)
    adam = resolve_optimizer("adam")
    assert (adam.learning_rate, adam.beta1, adam.beta2, adam.epsilon) == (1e-3, 0.9, 0.999, 1e-8)
    decayed = resolve_optimizer("AdamW")
    assert decayed.weight_decay == 0.01 and not decayed.decay_bias and decayed != adam
    assert SGD(0).learning_rate == 0.0


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: SGD(float("nan")), ValueError, "learning_rate must be finite and >= 0, got nan"),
        (lambda: Adam(-1), ValueError, "learning_rate must be finite and >= 0, got -1"),
        (lambda: AdamW(True), TypeError,
         "learning_rate must be a number, finite and >= 0, got True"),
        (lambda: SGD(momentum=1.0), ValueError, "momentum must be in [0, 1), got 1"),
        (lambda: SGD(nesterov=True), ValueError, "nesterov needs a momentum in (0, 1), got 0"),
        (lambda: SGD(nesterov=1), TypeError, "nesterov must be True or False, got 1"),
        (lambda: Adam(beta1=1), ValueError, "beta1 must be in [0, 1), got 1"),
        (lambda: Adam(beta2=-0.1), ValueError, "beta2 must be in [0, 1), got -0.1"),
        (lambda: Adam(epsilon=0), ValueError, "epsilon must be finite and > 0, got 0"),
        (lambda: AdamW(weight_decay=-1), ValueError,
         "weight_decay must be finite and >= 0, got -1"),
        (lambda: AdamW(decay_bias=None), TypeError, "decay_bias must be True or False, got None"),
        (lambda: resolve_optimizer("rmsprop"), ValueError,
         "unknown optimizer 'rmsprop'; known: sgd, adam, adamw"),
        (lambda: resolve_optimizer(3), TypeError,
         "optimizer must be a name or an SGD, Adam or AdamW object, got 3"),
        (lambda: optimizer_from_config([]), ModelFormatError,
         "optimizer must be an object, got []"),
        (lambda: optimizer_from_config({"name": []}), ModelFormatError,
         "unknown optimizer []; known: sgd, adam, adamw"),
        (lambda: optimizer_from_config({**SGD().to_config(), "momentum": 2}), ModelFormatError,
         "optimizer 'sgd': momentum must be in [0, 1), got 2"),
    ],
)  # fmt: skip
def test_bad_optimizer(make, error, text):
    with refuses(error, text):
        make()


# ---- layers -------------------------------------------------------------------------------------

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
         "Residual layers[1] must be a Dense, Residual or Branch, got Input(units=2)"),
        (lambda: Residual([Dense(2)], projection="dense"), ValueError,
         "projection must be None or 'auto', got 'dense'"),
        (lambda: Branch([]), ValueError, "branches must hold at least one branch, got 0"),
        (lambda: Branch([Dense(2)]), TypeError,
         "branches[0] must be a list of layers, got Dense(2)"),
        (lambda: Branch([[2]]), TypeError,
         "branches[0][0] must be a Dense, Residual or Branch, got 2"),
        (lambda: Branch([[]], merge="mul"), ValueError, "unknown merge 'mul'; known: add, concat"),
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


# ---- metrics and history ------------------------------------------------------------------------


def test_accuracy():
    response = np.array([[0.7, 0.3], [0.2, 0.8], [0.6, 0.4], [0.9, 0.1]], np.float32)
    labels = np.array([0, 1, 1, 0], np.int32)
    one_hot = np.eye(2, dtype=np.float32)[labels]
    for y in (labels, one_hot):
        assert metric.metric("acc", loss="cross_entropy")(response, y) == 0.75
        assert metric.metric("accuracy")(response, y) == 0.75
    side = np.array([[1, 0], [1, 1], [1, 1], [1, 0]], np.float32)
    assert metric.metric("accuracy", loss="binary_cross_entropy")(response, side) == 0.75
    column = np.array([[0.5], [0.49]])
    assert metric.metric("accuracy")(column, np.array([[1.0], [0.0]])) == 1.0


def test_errors_of_regression():
    response, y = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[0.0, 2.0], [6.0, 5.0]])
    assert metric.metric("mae")(response, y) == 1.0 and metric.metric("mse")(response, y) == 2.5
    assert metric.metric("mse")(response[:, :1], np.array([1.0, 1.0])) == 2.0
    labels = np.array([1, 0], np.int32)
    assert metric.metric("mae")(np.array([[0.25, 0.75], [1, 0]]), labels) == 0.125


def test_bad_metric():
    with refuses(ValueError, "unknown metric 'f1'; known: accuracy, mae, mse"):
        metric.metric("f1")
    with refuses(
        ValueError,
        "metric 'accuracy' needs cross_entropy or binary_cross_entropy, loss is 'mse'",
    ):
        metric.metric("accuracy", loss="mse")


def test_history():
    past = History()
    assert repr(past) == "History(epochs=0)" and len(past) == 0
    past.append(0, {"loss": np.float32(0.5)})
    past.append(1, {"loss": 0.25, "accuracy": 1})
    assert past.epoch == [0, 1] and past.history == {"loss": [0.5, 0.25], "accuracy": [1.0]}
    assert repr(past) == "History(epochs=2, loss=0.25, accuracy=1)"
    assert type(past.history["loss"][0]) is float

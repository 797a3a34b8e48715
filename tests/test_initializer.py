"""Initial values: their distributions, their streams, and which initializer a layer gets."""

import dataclasses
import hashlib
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tolerance import FOURTH_MOMENT, assert_rounded, eps, standard_errors

import fastbp as fb
from fastbp import random
from fastbp.activation import ACTIVATIONS, OF_ROWS
from fastbp.initializer import (
    NAMES,
    Constant,
    Orthogonal,
    VarianceScaling,
    initial_value,
    initializer_config,
    initializer_from_config,
)
from fastbp.layer import layer_from_config

FAN_IN, FAN_OUT = 30, 70
# variance by name, from the papers and the documentation of PyTorch
VARIANCE = {
    "glorot_uniform": 2 / (FAN_IN + FAN_OUT),
    "glorot_normal": 2 / (FAN_IN + FAN_OUT),
    "he_uniform": 2 / FAN_IN,
    "he_normal": 2 / FAN_IN,
    "lecun_uniform": 1 / FAN_IN,
    "lecun_normal": 1 / FAN_IN,
    "torch_uniform": 1 / (3 * FAN_IN),
}


WEIGHTS_OF_VERSION_0_1 = "d7e8e9ba0676"
HASHES = {
    "glorot_uniform": "60dcfe45c5a9",
    "glorot_normal": "4667fbc24116",
    "he_uniform": "6fd39527d2c3",
    "he_normal": "05e974b2c079",
    "lecun_uniform": "76f31243ba7f",
    "lecun_normal": "b17a46d1f48b",
}


def start(initializer, shape=(300, 700), **options):
    own = {"fan_in": FAN_IN, "fan_out": FAN_OUT, "seed": 3, "index": 0} | options
    return initial_value(initializer, shape, **own)


def assert_moments(value, variance, kurtosis):
    """Mean and variance within six standard errors."""
    n = value.size
    assert abs(value.mean()) < standard_errors(variance, n)
    assert abs(value.var() / variance - 1) < standard_errors(kurtosis - 1, n)
    found = (value**4).mean() / value.var() ** 2
    assert abs(found - kurtosis) <= FOURTH_MOMENT * kurtosis


@pytest.mark.parametrize("name", VARIANCE)
def test_distribution_of_a_name(name):
    value = start(name)
    assert value.dtype == np.float64 and value.shape == (300, 700)
    if name.endswith("uniform"):
        limit = math.sqrt(3 * VARIANCE[name])
        assert -limit <= value.min() < -0.999 * limit and 0.999 * limit < value.max() < limit
        assert_moments(value, VARIANCE[name], 1.8)
    else:
        assert 4.0 < np.abs(value).max() / math.sqrt(VARIANCE[name]) < 6.5  # not cut
        assert_moments(value, VARIANCE[name], 3.0)


@pytest.mark.parametrize(
    ("mode", "fan"), [("fan_in", FAN_IN), ("fan_out", FAN_OUT), ("fan_avg", (FAN_IN + FAN_OUT) / 2)]
)
def test_variance_scaling(mode, fan):
    variance = 0.7 / fan
    uniform, normal, cut = (
        start(VarianceScaling(0.7, mode=mode, distribution=distribution))
        for distribution in ("uniform", "normal", "truncated_normal")
    )
    assert_moments(uniform, variance, 1.8)
    assert_moments(normal, variance, 3.0)
    # cut at two standard deviations of the normal distribution it is cut from; that has
    # E z^2 = 0.77374 and E z^4 = 1.41619 (by 10^6 trapezoids of z^k exp(-z^2 / 2) over -2 .. 2)
    assert_moments(cut, variance, 1.41619 / 0.77374**2)
    limit = 2 * math.sqrt(variance / 0.7737413)
    assert 0.99 * limit < np.abs(cut).max() < limit


def test_limit_of_torch_uniform_is_that_of_nn_linear():
    """Kernel and bias within 1 / sqrt(n_in): the bias has the fan of its layer."""
    network = fb.Network(
        [fb.Input(16), fb.Dense(4000, kernel_initializer="torch_uniform",
                                bias_initializer="torch_uniform")], seed=0)  # fmt: skip
    for value in network.get_weights():
        assert 0.249 < np.abs(value).max() <= 0.25


def test_names_are_the_general_form():
    for name, options in {
        "torch_uniform": {"scale": 1 / 3, "distribution": "uniform"},
        "he_normal": {"scale": 2, "distribution": "normal"},
        "glorot_uniform": {"scale": 1, "mode": "fan_avg", "distribution": "uniform"},
    }.items():
        assert np.array_equal(start(name, (4, 5)), start(VarianceScaling(**options), (4, 5)))
    assert VarianceScaling(1, distribution="untruncated_normal").distribution == "normal"


def test_names_of_other_libraries():
    for other, own in {
        "xavier_uniform": "glorot_uniform",
        "kaiming_uniform_": "he_uniform",  # torch.nn.init's, a = 0
        "pytorch": "torch_uniform",
        "GlorotUniform": "glorot_uniform",  # the class of Keras
    }.items():
        assert fb.Dense(2, kernel_initializer=other).kernel_initializer == own


def test_values_given_by_name_are_those_of_version_0_1():
    """A seed and a named initializer keep their values: hashes made with version 0.1."""
    found = {
        name: hashlib.sha256(start(name, (7, 11)).tobytes()).hexdigest()[:12]
        for name in VARIANCE
        if name != "torch_uniform"
    }
    assert found == HASHES


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 5), (5, 1), (2, 2), (7, 3), (3, 7), (64, 64), (33, 65)]
)
def test_orthogonal(shape):
    value = start("orthogonal", shape)
    gram = value.T @ value if shape[0] >= shape[1] else value @ value.T
    assert value.shape == shape and value.flags.c_contiguous
    one = np.eye(min(shape))
    assert_rounded(gram, one, dtype="float64", roundings=100, magnitude=np.ones(one.shape))
    assert np.array_equal(start(Orthogonal(1.5), shape), 1.5 * value)


@pytest.mark.slow
def test_orthogonal_prefers_no_direction():
    """Entries of (3, 2) have mean 0, variance 1/3, fourth moment 1/5; dets either sign."""
    value = np.array([start("orthogonal", (3, 2), seed=seed) for seed in range(3000)])
    assert np.abs(value.mean(axis=0)).max() < standard_errors(1 / 3, 3000)
    assert np.abs((value**2).mean(axis=0) - 1 / 3).max() < standard_errors(1 / 5 - 1 / 9, 3000)
    assert abs((value**4).mean() - 1 / 5) <= FOURTH_MOMENT / 5
    sign = [np.linalg.det(start("orthogonal", (2, 2), seed=seed)) > 0 for seed in range(1000)]
    assert abs(np.mean(sign) - 0.5) < standard_errors(1 / 4, 1000)


def test_orthogonal_against_an_explicit_product_of_reflections():
    """q = H_1 H_2 ... H_n D with every reflection written out as a whole matrix."""
    n = 6
    normal = random.normal(3, random.INITIALIZE, 0, n * n).reshape(n, n)
    q, signs = np.eye(n), []
    for k in range(n):
        x = normal[k, k:]
        sign = 1.0 if x[0] >= 0 else -1.0
        v = x + sign * np.linalg.norm(x) * np.eye(n - k)[0]
        reflection = np.eye(n)
        reflection[k:, k:] -= 2 * np.outer(v, v) / (v @ v)
        q = q @ reflection
        signs.append(-sign)
    found, size = start("orthogonal", (n, n)), np.ones((n, n))
    assert_rounded(found, q * signs, dtype="float64", roundings=45, magnitude=size)


def test_orthogonal_bias_is_refused():
    layers = [fb.Input(2), fb.Dense(1, bias=[1])]  # of no use here, and yet an error later
    with pytest.raises(ValueError, match="^bias_initializer must not be orthogonal, got 'orthogo"):
        fb.Network(layers, bias_initializer="orthogonal")


def test_streams_of_parameters_differ_and_repeat():
    for name in ("glorot_uniform", "he_normal", VarianceScaling(), "orthogonal"):
        one = start(name, (5, 7))
        assert np.array_equal(one, start(name, (5, 7)))
        for other in ({"seed": 4}, {"index": 1}):
            assert not np.intersect1d(one, start(name, (5, 7), **other)).size


@given(st.integers(0, 200), st.integers(0, 200))
def test_a_shorter_request_is_a_prefix(n, more):
    longer = random.truncated_normal(0, 5, 0, n + more)
    assert np.array_equal(longer[:n], random.truncated_normal(0, 5, 0, n))
    assert len(longer) == n + more and (np.abs(longer) < 2).all()


def test_constants():
    assert not start("zeros", (3,)).any() and (start("ones", (3,)) == 1).all()
    assert (start(Constant(0.5), (2, 3)) == 0.5).all() and (start(-2, (3,)) == -2).all()


@pytest.mark.parametrize(
    "one", [*NAMES, Constant(0.5), VarianceScaling(0.3, mode="fan_out"), Orthogonal(2), None],
    ids=repr,
)  # fmt: skip
def test_json(one):
    config = json.loads(json.dumps(initializer_config(one)))
    assert initializer_from_config(config) == one


def test_bad_config():
    for config, text in (
        ({"name": "he"}, "unknown initializer 'he'; known: variance_scaling, orthogonal"),
        ({"name": [1]}, r"unknown initializer \[1\]; known: "),
        ({}, "unknown initializer None; known: "),
        ({"name": "variance_scaling", "scales": 2}, "unexpected keyword argument 'scales'"),
        ([1], "initializer must be a name, a number, "),
    ):
        with pytest.raises((TypeError, ValueError), match=text):
            initializer_from_config(config)
    for projection in ([1], "auto "):
        config = fb.Residual([fb.Dense(2)]).to_config() | {"projection": projection}
        with pytest.raises(fb.ModelFormatError):
            layer_from_config(config)


# ---- which initializer a layer gets -------------------------------------------------------------


def said(network):
    return [
        (layer.kernel_initializer, layer.bias_initializer)
        for layer in network.layers
        if isinstance(layer, fb.Dense)
    ]


def uniform(part):
    return VarianceScaling(part, mode="fan_in", distribution="uniform")


RULE = {  # of docs/defaults.md: variance times fan_in in an inner layer, in one that reads inputs
    **dict.fromkeys(("relu", "leaky_relu"), (1 / 3, 1 / 8)),
    **dict.fromkeys(("elu", "selu", "gelu", "silu", "softplus", "tanh"), (1 / 2, 1 / 4)),
    **dict.fromkeys(("gelu_tanh", "mish", "hard_swish", "hard_tanh", "softsign"), (1 / 2, 1 / 4)),
    **dict.fromkeys(("linear", "sigmoid", *OF_ROWS, "exponential", "hard_sigmoid"), (1, 1 / 2)),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 200])
def test_defaults(activation, n):
    first, hidden, last = said(fb.Network([n, 5, 6, 3], activation=activation, seed=0))
    inner, at_input = RULE[activation]
    assert first == (uniform(max(at_input, 1 / n)), "lecun_uniform")
    assert hidden == (uniform(inner), "zeros") and last == (uniform(1), "zeros")


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_linear_model_starts_at_zero(activation):
    linear = activation in ("linear", "sigmoid", *OF_ROWS, "exponential")
    for layers in ([fb.Dense(3, activation)], [fb.Residual([fb.Dense(4, activation)])]):
        network = fb.Network([fb.Input(4), *layers], seed=0)
        assert any(weights.any() for weights in network.get_weights()) != (
            linear and isinstance(layers[0], fb.Dense)
        )
    assert said(fb.Network([4, 3], seed=0)) == [("zeros", "zeros")]
    assert all(
        w.all() for w in fb.Network([4, 3], kernel_initializer=1, bias_initializer=2).get_weights()
    )


@pytest.mark.slow
def test_limits_of_the_defaults():
    """By hand: limit = sqrt(3 part / fan_in)."""
    network = fb.Network([2, 3000, 2000, 1], activation="relu", seed=0)
    limit = {
        "dense_1/kernel": math.sqrt(3) / 2,
        "dense_1/bias": math.sqrt(3 / 2),
        "dense_2/kernel": 1 / math.sqrt(3000),
        "dense_3/kernel": math.sqrt(3 / 2000),
    }
    for name, value in network.parameters.items():
        largest = float(np.abs(value).max())
        assert (
            0.995 * limit.get(name, 0.0)
            <= largest
            <= limit.get(name, 0.0) * (1 + eps("float32") / 2)
        )


def test_defaults_of_nested_layers():
    """The first layers of lists to which the input comes read it; a projection is linear."""
    block = fb.Branch([[fb.Dense(4, "relu"), fb.Dense(4, "relu")], []])
    residual = fb.Residual([fb.Dense(5, "tanh")], projection="auto")
    network = fb.Network([fb.Input(2), residual, block, fb.Dense(1)], seed=0)
    assert network.layers[1].layers[0].kernel_initializer == uniform(1 / 2)
    assert network.layers[1].projection_initializer == uniform(1 / 2)
    assert network.layers[2].branches[0][0].kernel_initializer == uniform(1 / 3)
    network = fb.Network([fb.Input(4), block, residual, fb.Dense(1)], seed=0)
    first, second = network.layers[1].branches[0]
    assert (first.kernel_initializer, first.bias_initializer) == (uniform(1 / 4), "lecun_uniform")
    assert (second.kernel_initializer, second.bias_initializer) == (uniform(1 / 3), "zeros")
    assert network.layers[2].layers[0].kernel_initializer == uniform(1 / 2)
    assert network.layers[2].projection_initializer == uniform(1)


def test_version_0_1_by_name():
    """What CHANGELOG says gives the old values back: a hash made with version 0.1."""
    network = fb.Network(
        [5, 7, 3], seed=3, kernel_initializer="glorot_uniform", bias_initializer="zeros"
    )
    held = b"".join(value.tobytes() for value in network.get_weights())
    assert hashlib.sha256(held).hexdigest()[:12] == WEIGHTS_OF_VERSION_0_1


def test_a_file_of_version_0_1_keeps_its_projection():
    """Its description does not name the initializer, and reads back as it was written."""
    config = {
        "kind": "residual",
        "layers": [fb.Dense(3, kernel_initializer="he_normal", bias_initializer=1).to_config()],
        "projection": "auto",
        "activation": {"name": "linear"},
    }
    for projection, initializer in (("auto", "glorot_uniform"), (None, None)):
        config["projection"] = projection
        layer = layer_from_config(config)
        assert layer.projection_initializer == initializer
        (own,) = fb.Network([fb.Input(3), layer], seed=0).get_config()["layers"][1:]
        assert own == layer.to_config() == config


def test_of_the_network():
    given = {"kernel_initializer": "he_normal", "bias_initializer": 0.25}
    short = fb.Network([3, 4, 2], seed=0, **given)
    assert said(short) == 2 * [("he_normal", Constant(0.25))]
    layers = [
        fb.Input(3),
        fb.Dense(4, bias_initializer="ones"),
        fb.Residual([fb.Dense(5)], projection="auto"),
        fb.Branch([[fb.Dense(2)], [fb.Dense(3, kernel_initializer=1)], []]),
    ]
    network = fb.Network(layers, seed=0, kernel_initializer="zeros", bias_initializer=2)
    zero = {name for name, value in network.parameters.items() if not value.any()}
    assert zero == {f"dense_{i}/kernel" for i in (1, 2, 3, 4)}  # 3 is the projection
    assert (network.parameters["dense_1/bias"] == 1).all()
    assert (network.parameters["dense_5/kernel"] == 1).all()
    assert network.layers[2].projection_initializer == "zeros"
    assert layers[1].kernel_initializer is None  # what was given is as it was
    assert fb.Network.from_config(network.get_config()).layers == network.layers


def test_beside_given_weights_the_bias_is_zero():
    weights = [[1.0, 2.0], [3.0, 4.0]]
    plain = fb.Network([fb.Input(2), fb.Dense(2, weights=weights)], seed=0)
    assert not plain.parameters["dense_1/bias"].any()
    layer = fb.Dense(2, weights=weights, bias_initializer="ones")
    assert (fb.Network([fb.Input(2), layer]).parameters["dense_1/bias"] == 1).all()
    half = fb.Network([fb.Input(2), fb.Dense(2, weights=weights)], bias_initializer=0.5)
    assert (half.parameters["dense_1/bias"] == 0.5).all()


def test_one_seed_gives_the_same_bits_whatever_else_the_network_has():
    """dtype and backend round or compute, initial values come from float64 and the seed alone."""
    for kernel in ("orthogonal", VarianceScaling(), "torch_uniform"):
        options = {"seed": 5, "kernel_initializer": kernel}
        wide = fb.Network([7, 5, 2], dtype="float64", **options).get_weights()
        for backend in ("numpy", None):
            narrow = fb.Network([7, 5, 2], backend=backend, **options).get_weights()
            for a, b in zip(wide, narrow, strict=True):
                assert a.astype(np.float32).tobytes() == b.tobytes()


def test_bad_network_initializer():
    with pytest.raises(ValueError, match=f"^unknown initializer 'glorot'; known: {NAMES[0]}, "):
        fb.Network([fb.Input(2), fb.Dense(1, kernel_initializer=1)], kernel_initializer="glorot")
    with pytest.raises(dataclasses.FrozenInstanceError):
        VarianceScaling().scale = 2

"""Optimizers as they are described: fields, defaults, and what is refused."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import json
import pickle

import pytest
from support.refusal import refuses

from fastbp.error import ModelFormatError
from fastbp.optimizer import OPTIMIZERS as ALL
from fastbp.optimizer import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    NAdam,
    RAdam,
    RMSprop,
    Rprop,
    optimizer_from_config,
    resolve_optimizer,
)
from fastbp.schedule import CosineDecay, PiecewiseConstantDecay, StepDecay

OPTIMIZERS = [
    (SGD(), "sgd", ()),
    (SGD(0.5, momentum=0.9), "momentum", ("momentum",)),
    (SGD(0.5, momentum=0.9, nesterov=True), "nesterov", ("momentum",)),
    (Adam(0.01, beta1=0, beta2=0.99, epsilon=1e-7), "adam", ("m", "v")),
    (AdamW(0.01, weight_decay=0.1, decay_bias=True), "adam", ("m", "v")),
    (Adam(CosineDecay(0.01, 100, alpha=0.1)), "adam", ("m", "v")),
    (SGD(PiecewiseConstantDecay([5], [0.1, 0.01])), "sgd", ()),
    (SGD(0.1, weight_decay=0.1, decoupled_weight_decay=True), "decayed_sgd", ()),
    (Adam(amsgrad=True), "amsgrad", ("m", "v", "v_max")),
    (RMSprop(), "rmsprop", ("v",)),
    (RMSprop(centered=True, momentum=0.9), "centered_momentum_rmsprop", ("v", "mean", "momentum")),
    (NAdam(weight_decay=0.1), "nadam", ("m", "v", "rest")),
    (Adagrad(), "adagrad", ("total",)),
]


OF_ADAM = "learning_rate, beta1, beta2, epsilon, amsgrad, epsilon_hat"
EVERY = "clipvalue, clipnorm, global_clipnorm, ema"
UNKNOWN = [
    (lambda: Adam(lr=1e-3), "Adam got lr; write learning_rate=0.001"),
    (lambda: Adam(betas=(0.9, 0.999)), "Adam got betas; write beta1=0.9, beta2=0.999"),
    (lambda: Adam(0.1, beta_1=0.9, beta_2=0.99, eps=1e-7),
     "Adam got beta_1, beta_2, eps; write beta1=0.9, beta2=0.99, epsilon=1e-07"),
    (lambda: Adam(lr=1e-3, weight_decay=0.01),
     "Adam got lr, weight_decay; write fb.AdamW(learning_rate=0.001, weight_decay=0.01), or l2= in "
     "each Dense for a decay that passes through m and v"),
    (lambda: Adam(lr=1e-3, fused=True), "Adam got lr, fused; write learning_rate=0.001; "
     f"known: {OF_ADAM}, {EVERY}"),
    (lambda: RMSprop(alpha=0.9, wd=0.1), "RMSprop got alpha, wd; write rho=0.9, weight_decay=0.1"),
    (lambda: Rprop(etas=(0.5, 1.2), step_sizes=(1e-6, 50)),
     "Rprop got etas, step_sizes; write eta_minus=0.5, eta_plus=1.2, step_min=1e-06, step_max=50"),
    (lambda: Lion(rho=1),
     f"Lion got rho; known: learning_rate, beta1, beta2, weight_decay, decay_bias, {EVERY}"),
    (lambda: Adam(betas=0.9), f"Adam got betas; known: {OF_ADAM}, {EVERY}"),
    (lambda: Adam(decay=1e-6), f"Adam got decay; known: {OF_ADAM}, {EVERY}"),
    (lambda: AdamW(wd=0.1), "AdamW got wd; write weight_decay=0.1"),
    (lambda: AdamW(decay=0.1), "AdamW got decay; write weight_decay=0.1"),
    (lambda: AdamW(fused=True),
     f"AdamW got fused; known: {OF_ADAM}, weight_decay, decay_bias, {EVERY}"),
    (lambda: SGD(lr=0.1, momentum=0.9), "SGD got lr; write learning_rate=0.1"),
    (lambda: SGD(0.1, momentum=0.9, nesterov_momentum=True),
     "SGD got nesterov_momentum; write nesterov=True"),
    (lambda: SGD(0.1, nesterov_momentum=0.9),
     "SGD got nesterov_momentum; write momentum=0.9, nesterov=True"),
    (lambda: SGD(lr=0.1, weight_decay=5e-4), "SGD got lr; write learning_rate=0.1"),
    (lambda: SGD(lr=0.1, decay=5e-4),
     "SGD got lr, decay; write learning_rate=0.1, weight_decay=0.0005"),
    (lambda: SGD(eps=1), "SGD got eps; known: learning_rate, momentum, nesterov, scaled_momentum, "
     f"weight_decay, decay_bias, decoupled_weight_decay, {EVERY}"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "text"), UNKNOWN, ids=[text for _, text in UNKNOWN])
def test_unknown_argument_of_an_optimizer(make, text):
    with refuses(TypeError, text):
        make()


def test_optimizers_are_still_what_dataclasses_make():
    assert list(inspect.signature(AdamW).parameters) == [
        *OF_ADAM.split(", "), "weight_decay", "decay_bias", *EVERY.split(", ")]  # fmt: skip
    assert str(inspect.signature(SGD)).startswith("(learning_rate: 'LearningRate' = 0.01, *,")
    assert dataclasses.replace(Adam(0.1), beta1=0.5) == Adam(0.1, beta1=0.5)
    for one in (SGD(0.5), Adam(0.5), AdamW(0.5)):
        assert copy.copy(one) == copy.deepcopy(one) == one
        own = {name: value for name, value in vars(one).items() if name not in one.later}
        assert one.to_config() == {"name": type(one).__name__.lower(), **own}
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
    for key in config.keys() - set(one.later):
        with pytest.raises(ModelFormatError):
            optimizer_from_config({k: v for k, v in config.items() if k != key})


@pytest.mark.parametrize(
    ("one", "formula"),
    [
        (SGD(0.5, momentum=0.9, scaled_momentum=True), "scaled_momentum"),
        (SGD(0.5, momentum=0.9, nesterov=True, scaled_momentum=True), "scaled_nesterov"),
        (SGD(0.5, scaled_momentum=True), "sgd"),
        (
            SGD(
                0.5,
                momentum=0.9,
                scaled_momentum=True,
                weight_decay=0.1,
                decoupled_weight_decay=True,
            ),
            "decayed_scaled_momentum",
        ),
        (Adam(0.01, epsilon_hat=True), "adam"),
        (Adam(0.01, epsilon_hat=True, amsgrad=True), "amsgrad"),
        (AdamW(0.01, epsilon_hat=True), "adam"),
    ],
    ids=repr,
)
def test_later_options_are_described_where_they_are_set(one, formula):
    assert one.formula == formula
    option = "epsilon_hat" if formula in ("adam", "amsgrad") else "scaled_momentum"
    config = json.loads(json.dumps(one.to_config()))
    assert config.pop(option) is True and f"{option}=True" in repr(one)
    assert optimizer_from_config({**config, option: True}) == one
    assert option not in optimizer_from_config(config).to_config()
    with refuses(TypeError, f"{option} must be True or False, got 1"):
        type(one)(**{option: 1})


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
         "learning_rate must be a number, finite and >= 0, a Schedule or a function of the step, "
         "got True"),
        (lambda: SGD("adaptive"), TypeError,
         "learning_rate must be a number, finite and >= 0, a Schedule or a function of the step, "
         "got 'adaptive'"),
        (lambda: SGD(StepDecay), TypeError,
         "learning_rate must be a number, finite and >= 0, a Schedule or a function of the step, "
         "got the class StepDecay: write fb.StepDecay(...)"),
        (lambda: optimizer_from_config({**SGD().to_config(), "learning_rate": {"name": "no"}}),
         ModelFormatError, "unknown schedule 'no'; known: constant, piecewise_constant_decay, "
         "step_decay, multi_step_decay, exponential_decay, inverse_time_decay, polynomial_decay, "
         "inverse_square_root, cosine_decay, cosine_decay_restarts, one_cycle, callable"),
        (lambda: SGD(momentum=1.0), ValueError, "momentum must be in [0, 1), got 1"),
        (lambda: SGD(nesterov=True), ValueError, "nesterov needs a momentum in (0, 1), got 0"),
        (lambda: SGD(nesterov=1), TypeError, "nesterov must be True or False, got 1"),
        (lambda: Adam(beta1=1), ValueError, "beta1 must be in [0, 1), got 1"),
        (lambda: Adam(beta2=-0.1), ValueError, "beta2 must be in [0, 1), got -0.1"),
        (lambda: Adam(epsilon=0), ValueError, "epsilon must be finite and > 0, got 0"),
        (lambda: AdamW(weight_decay=-1), ValueError,
         "weight_decay must be finite and >= 0, got -1"),
        (lambda: AdamW(decay_bias=None), TypeError, "decay_bias must be True or False, got None"),
        (lambda: RMSprop(rho=1), ValueError, "rho must be in [0, 1), got 1"),
        (lambda: RAdam(beta2=0), ValueError, "beta2 must be in (0, 1), got 0"),
        (lambda: Rprop(step_max=1e-9), ValueError,
         "step_max must be finite and >= 1e-06, got 1e-09"),
        (lambda: Lion(weight_decay=-1), ValueError, "weight_decay must be finite and >= 0, got -1"),
        (lambda: resolve_optimizer("nope"), ValueError,
         f"unknown optimizer 'nope'; known: {', '.join(ALL)}"),
        (lambda: resolve_optimizer(3), TypeError,
         "optimizer must be a name or an SGD, Adam, AdamW, RMSprop, Adagrad, Adadelta, Adamax, "
         "NAdam, RAdam, Lion, Rprop, LBFGS or LevenbergMarquardt object, got 3"),
        (lambda: optimizer_from_config([]), ModelFormatError,
         "optimizer must be an object, got []"),
        (lambda: optimizer_from_config({"name": []}), ModelFormatError,
         f"unknown optimizer []; known: {', '.join(ALL)}"),
        (lambda: optimizer_from_config({**SGD().to_config(), "momentum": 2}), ModelFormatError,
         "optimizer 'sgd': momentum must be in [0, 1), got 2"),
    ],
)  # fmt: skip
def test_bad_optimizer(make, error, text):
    with refuses(error, text):
        make()

"""Schedules as they are described: what is refused, configurations, pickles, text."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle

import numpy as np
import pytest
from support.refusal import bad_input, refuses

import fastbp as fb
from fastbp.error import ModelFormatError
from fastbp.schedule import SCHEDULES, CallableSchedule, resolve_learning_rate, schedule_from_config

EACH = [
    fb.ConstantSchedule(0.1),
    fb.PiecewiseConstantDecay([20, 50.5], [0.1, 0.2, 0.05]),
    fb.StepDecay(0.1, 7),
    fb.MultiStepDecay(0.1, (10, 50), gamma=0.3),
    fb.ExponentialDecay(0.1, 7.5, 0.9, staircase=True),
    fb.InverseTimeDecay(0.1, 10, 0.5),
    fb.PolynomialDecay(0.1, 30, power=2.0, cycle=True),
    fb.InverseSquareRoot(0.1, 40),
    fb.CosineDecay(0.01, 90, warmup_target=0.3, warmup_steps=15),
    fb.CosineDecayRestarts(0.1, 15, t_mul=1.0),
    fb.OneCycle(0.2, 1001, 0.25, "linear"),
]


def rate_of(step):
    return 0.1 / (1 + step)


@pytest.mark.parametrize("schedule", EACH, ids=repr)
def test_a_schedule_travels(schedule):
    config = json.loads(json.dumps(schedule.to_config()))
    again = schedule_from_config(config)
    assert again == schedule and type(again) is type(schedule) and hash(again) == hash(schedule)
    assert json.loads(json.dumps(again.to_config())) == config
    assert pickle.loads(pickle.dumps(schedule)) == copy.deepcopy(schedule) == schedule
    assert eval(repr(schedule), vars(fb)) == schedule
    assert np.array_equal(again.values(range(100)), schedule.values(range(100)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.name = "other"
    for key in config:
        with pytest.raises(ModelFormatError):
            schedule_from_config({k: v for k, v in config.items() if k != key})


def test_each_is_tested():
    assert [type(one) for one in EACH] == [*SCHEDULES.values()]
    assert len({one.name for one in EACH}) == len(EACH)
    assert {kind.__name__ for kind in SCHEDULES.values()} <= set(fb.__all__)


def test_text():
    text = "CosineDecay(initial_learning_rate=0.001, decay_steps=1000)"
    assert repr(fb.CosineDecay(1e-3, 1000)) == text
    assert repr(fb.SGD(fb.CosineDecay(1e-3, 1000))).startswith(f"SGD(learning_rate={text}, ")
    assert repr(fb.PiecewiseConstantDecay(np.array([1, 2]), (3, 4, 5))) == (
        "PiecewiseConstantDecay(boundaries=[1, 2], values=[3.0, 4.0, 5.0])"
    )
    assert repr(CallableSchedule(rate_of)) == "CallableSchedule(rate_of)"
    assert repr(CallableSchedule(rate_of, per="epoch")) == "CallableSchedule(rate_of, per='epoch')"


def test_numbers_that_engines_bind():
    assert fb.SGD(fb.CosineDecay(0.1, 10)).numbers == (0.1,)
    assert fb.Adam(fb.CosineDecay(0.1, 10)).numbers == fb.Adam(0.1).numbers
    assert np.isnan(fb.SGD(rate_of).numbers[0])  # no function is called for it


def test_a_function_is_a_schedule():
    adam = fb.Adam(rate_of)
    assert adam.learning_rate == CallableSchedule(rate_of, per="step")
    assert adam == fb.Adam(CallableSchedule(rate_of)) and hash(adam) == hash(fb.Adam(rate_of))
    assert resolve_learning_rate(adam.learning_rate) is adam.learning_rate
    assert pickle.loads(pickle.dumps(adam)) == adam
    assert adam.learning_rate.values([[0, 1], [3, 4]]).tolist() == [[0.1, 0.05], [0.025, 0.02]]
    for number in (np.float32(0.5), np.array(0.5), 1, True):
        assert fb.Adam(lambda step, n=number: n).learning_rate(3) == float(number)


def test_a_file_keeps_the_name_of_a_function():
    schedule = CallableSchedule(rate_of, per="epoch")
    config = json.loads(json.dumps(schedule.to_config()))
    assert config == {"name": "callable", "function": "rate_of", "per": "epoch"}
    lost = schedule_from_config(config)
    assert lost.to_config() == config and repr(lost) == repr(schedule)
    with pytest.raises(RuntimeError, match="learning_rate was the function rate_of, of which a"):
        lost(0)
    long = "f" * 300
    assert schedule_from_config({**config, "function": long}).to_config()["function"] == long


SAID = "must be a number, finite and"
REFUSED = [
    (lambda: fb.ConstantSchedule(-1), ValueError, "learning_rate must be finite and >= 0, got -1"),
    (lambda: fb.PiecewiseConstantDecay([5, 3], [1, 2, 3]), ValueError,
     "boundaries must increase, got boundaries[1] = 3 after 5"),
    (lambda: fb.PiecewiseConstantDecay([5, 9], [1, 2]), ValueError,
     "boundaries make 3 pieces, values has 2"),
    (lambda: fb.PiecewiseConstantDecay([5], [1, float("nan")]), ValueError,
     "values[1] must be finite and >= 0, got nan"),
    (lambda: fb.PiecewiseConstantDecay(5, [1, 2]), TypeError,
     "boundaries must be a list of numbers, got 5"),
    (lambda: fb.PiecewiseConstantDecay(["5"], [1, 2]), TypeError,
     f"boundaries[0] {SAID} >= 0, got '5'"),
    (lambda: fb.StepDecay(0.1, 0), ValueError, "step_size must be finite and > 0, got 0"),
    (lambda: fb.MultiStepDecay(0.1, [-1]), ValueError,
     "milestones[0] must be finite and >= 0, got -1"),
    (lambda: fb.MultiStepDecay(0.1, [1], gamma="x"), TypeError, f"gamma {SAID} >= 0, got 'x'"),
    (lambda: fb.ExponentialDecay(0.1, 10, -1), ValueError,
     "decay_rate must be finite and >= 0, got -1"),
    (lambda: fb.ExponentialDecay(0.1, 10, 1, staircase=1), TypeError,
     "staircase must be True or False, got 1"),
    (lambda: fb.InverseTimeDecay(0.1, True, 1), TypeError, f"decay_steps {SAID} > 0, got True"),
    (lambda: fb.PolynomialDecay(0.1, 10, power=-1), ValueError,
     "power must be finite and >= 0, got -1"),
    (lambda: fb.InverseSquareRoot(0.1, 0), ValueError,
     "warmup_steps must be finite and > 0, got 0"),
    (lambda: fb.CosineDecay(0.1, 0), ValueError, "decay_steps must be finite and > 0, got 0"),
    (lambda: fb.CosineDecay(0.1, 10, alpha=2), ValueError, "alpha must be in [0, 1], got 2"),
    (lambda: fb.CosineDecay(0.1, 10, warmup_steps=5), ValueError,
     "warmup_steps = 5 needs a warmup_target, the learning rate at its end"),
    (lambda: fb.CosineDecayRestarts(0.1, 10, t_mul=0.5), ValueError,
     "t_mul must be finite and >= 1, got 0.5"),
    (lambda: fb.OneCycle(0.1, 10.0), TypeError,
     "total_steps must be an integer >= 1, got 10.0"),
    (lambda: fb.OneCycle(0.1, 10, anneal_strategy="cosine"), ValueError,
     "anneal_strategy must be 'cos' or 'linear', got 'cosine'"),
    (lambda: fb.OneCycle(0.1, 10, pct_start=2), ValueError, "pct_start must be in [0, 1], got 2"),
    (lambda: CallableSchedule(0.1), TypeError, "function must be a function of the step, got 0.1"),
    (lambda: CallableSchedule(rate_of, per="batch"), ValueError,
     "per must be 'step' or 'epoch', got 'batch'"),
    (lambda: fb.SGD(lambda step: None).learning_rate(3), TypeError,
     "learning_rate must return a number, <lambda> returned None for step 3"),
    (lambda: schedule_from_config(3), ModelFormatError, "a schedule must be an object, got 3"),
    (lambda: schedule_from_config({"name": "step_decay", "gamma": 1}), ModelFormatError,
     "schedule 'step_decay' must have initial_learning_rate, step_size, gamma, got gamma"),
    (lambda: schedule_from_config({**EACH[2].to_config(), "gamma": -1}), ModelFormatError,
     "schedule 'step_decay': gamma must be finite and >= 0, got -1"),
    (lambda: schedule_from_config({"name": "callable", "function": 3, "per": "step"}),
     ModelFormatError, "schedule 'callable': function must be a name, got 3"),
]  # fmt: skip


@bad_input("schedule")
@pytest.mark.parametrize(("make", "error", "text"), REFUSED, ids=[text for *_, text in REFUSED])
def test_bad_schedule(make, error, text):
    with refuses(error, text):
        make()


def test_numbers_beyond_reason_end():
    """Nothing loops or warns; whoever trains by them is told that they are not finite."""
    for one in (
        fb.StepDecay(0.1, 1e-300), fb.CosineDecayRestarts(0.1, 1e-300),
        fb.CosineDecayRestarts(0.1, 1e-300, t_mul=1), fb.ExponentialDecay(0.1, 1e-300, 2),
        fb.OneCycle(1e308, 3, div_factor=1e-300), fb.CosineDecayRestarts(0.1, 1, t_mul=1e300),
    ):  # fmt: skip
        assert one.values([0, 1, 10**15]).shape == (3,)

"""Schedules' values: by hand, by a formula of their own, by Keras and by PyTorch."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest
from support import child
from support.tolerance import assert_rounded

import fastbp as fb
from fastbp.schedule import SCHEDULES

STEPS = [*range(60), 99, 100, 101, 333, 1000, 12345]

# ---- the formula of each, one step at a time, with Python's own functions ------------------------


def cosine(t):
    return (1 + math.cos(math.pi * min(t, 1))) / 2


def by_cosine(first, steps, alpha=0.0, target=None, warm=0):
    def rate(step):
        if step < warm:
            return first + (target - first) * step / warm
        fall = cosine((step - warm) / steps)
        return (first if target is None else target) * (alpha + (1 - alpha) * fall)

    return rate


def by_restarts(first, steps, t_mul=2.0, m_mul=1.0, alpha=0.0):
    def rate(step):
        cycle, length = 0, steps
        while step >= length:
            cycle, step, length = cycle + 1, step - length, length * t_mul
        return first * (alpha + (1 - alpha) * m_mul**cycle * cosine(step / length))

    return rate


def by_one_cycle(high, total, up, linear=False, div=25.0, final=1e4, three=False):
    low, peak = high / div, up * total - 1
    ends = [(peak, high), (2 * peak, low)] if three else [(peak, high)]
    ends.append((total - 1, low / final))

    def rate(step):
        step, begin, start = min(step, total - 1), 0.0, low
        for end, target in ends:
            if step <= end:
                t = (step - begin) / (end - begin)
                return start + (target - start) * (t if linear else 1 - cosine(t))
            begin, start = end, target
        raise AssertionError

    return rate


def by_polynomial(first, steps, end, power, cycle=False):
    def rate(step):
        span = steps * max(1, math.ceil(step / steps)) if cycle else steps
        return end + (first - end) * (1 - min(step, span) / span) ** power

    return rate


CASES = [
    (fb.ConstantSchedule(0.1), lambda step: 0.1),
    (fb.PiecewiseConstantDecay([20, 50.5], [0.1, 0.2, 0.05]),
     lambda step: 0.1 if step <= 20 else 0.2 if step <= 50.5 else 0.05),
    (fb.PiecewiseConstantDecay([], [0.1]), lambda step: 0.1),
    (fb.StepDecay(0.1, 7), lambda step: 0.1 * 0.1 ** (step // 7)),
    (fb.StepDecay(0.1, 30, gamma=0.5), lambda step: 0.1 * 0.5 ** (step // 30)),
    (fb.MultiStepDecay(0.1, [10, 50, 100], gamma=0.3),
     lambda step: 0.1 * 0.3 ** ((step >= 10) + (step >= 50) + (step >= 100))),
    (fb.ExponentialDecay(0.1, 100, 0.96), lambda step: 0.1 * 0.96 ** (step / 100)),
    (fb.ExponentialDecay(0.1, 7.5, 0.9, staircase=True),
     lambda step: 0.1 * 0.9 ** math.floor(step / 7.5)),
    (fb.InverseTimeDecay(0.1, 10, 0.5), lambda step: 0.1 / (1 + 0.5 * step / 10)),
    (fb.InverseTimeDecay(0.1, 10, 0.5, staircase=True),
     lambda step: 0.1 / (1 + 0.5 * (step // 10))),
    (fb.PolynomialDecay(0.1, 100), by_polynomial(0.1, 100, 1e-4, 1.0)),
    (fb.PolynomialDecay(0.1, 70, 0.01, power=0.5), by_polynomial(0.1, 70, 0.01, 0.5)),
    (fb.PolynomialDecay(0.1, 70, 0.2, power=2.5), by_polynomial(0.1, 70, 0.2, 2.5)),
    (fb.PolynomialDecay(0.1, 30, power=2.0, cycle=True), by_polynomial(0.1, 30, 1e-4, 2.0, True)),
    (fb.InverseSquareRoot(0.1, 40, 0.01),
     lambda step: 0.01 + 0.09 * step / 40 if step < 40 else 0.1 * math.sqrt(40 / step)),
    (fb.CosineDecay(0.1, 90), by_cosine(0.1, 90)),
    (fb.CosineDecay(0.1, 1000, alpha=0.1), by_cosine(0.1, 1000, 0.1)),
    (fb.CosineDecay(0.01, 90, warmup_target=0.3, warmup_steps=15),
     by_cosine(0.01, 90, 0.0, 0.3, 15)),
    (fb.CosineDecay(0.01, 90, warmup_target=0.3), by_cosine(0.3, 90)),
    (fb.CosineDecayRestarts(0.1, 10), by_restarts(0.1, 10)),
    (fb.CosineDecayRestarts(0.1, 15, t_mul=1.0, m_mul=0.9, alpha=0.05),
     by_restarts(0.1, 15, 1.0, 0.9, 0.05)),
    (fb.CosineDecayRestarts(0.1, 16, t_mul=1.5, m_mul=0.5), by_restarts(0.1, 16, 1.5, 0.5)),
    (fb.OneCycle(1.0, 100), by_one_cycle(1.0, 100, 0.3)),
    (fb.OneCycle(0.2, 1001, 0.25, "linear", div_factor=10.0, final_div_factor=100.0),
     by_one_cycle(0.2, 1001, 0.25, True, 10.0, 100.0)),
    (fb.OneCycle(1.0, 100, 0.3, three_phase=True), by_one_cycle(1.0, 100, 0.3, three=True)),
    (fb.OneCycle(1.0, 60, 0.0), by_one_cycle(1.0, 60, 0.0)),
    (fb.CallableSchedule(lambda step: 0.1 / (1 + step)), lambda step: 0.1 / (1 + step)),
]  # fmt: skip
IDS = [repr(schedule) for schedule, _ in CASES]


@pytest.mark.parametrize(("schedule", "formula"), CASES, ids=IDS)
def test_values(schedule, formula):
    got = schedule.values(np.array(STEPS))
    assert got.dtype == np.float64 and got.shape == (len(STEPS),)
    expected = np.array([formula(step) for step in STEPS])
    # near the end of a cosine the formulas here cancel
    size = np.abs(expected) + 1e-2
    assert_rounded(got, expected, dtype=np.float64, roundings=64, magnitude=size)
    assert schedule.values(STEPS).tolist() == got.tolist() == [schedule(step) for step in STEPS]
    assert schedule.values([]).shape == (0,)


def test_every_schedule_is_tested():
    assert {type(one) for one, _ in CASES} == {*SCHEDULES.values(), fb.CallableSchedule}


@pytest.mark.parametrize(
    ("schedule", "steps", "expected"),
    [
        (fb.PiecewiseConstantDecay([2, 4], [1, 0.5, 0.1]), [0, 2, 3, 4, 5],
         [1, 1, 0.5, 0.5, 0.1]),
        (fb.StepDecay(1, 2, gamma=0.5), [0, 1, 2, 3, 4], [1, 1, 0.5, 0.5, 0.25]),
        (fb.MultiStepDecay(1, [2, 4], gamma=0.5), [0, 1, 2, 4], [1, 1, 0.5, 0.25]),
        (fb.ExponentialDecay(1, 2, 0.25), [0, 2, 4], [1, 0.25, 0.0625]),
        (fb.ExponentialDecay(1, 2, 0.25, staircase=True), [1, 2, 3], [1, 0.25, 0.25]),
        (fb.InverseTimeDecay(1, 2, 1), [0, 2, 6], [1, 0.5, 0.25]),
        (fb.PolynomialDecay(1, 4, 0), [0, 1, 4, 5], [1, 0.75, 0, 0]),
        (fb.PolynomialDecay(1, 4, 0, cycle=True), [0, 4, 6, 8], [1, 0, 0.25, 0]),
        (fb.InverseSquareRoot(1, 4), [0, 1, 4, 16, 64], [0, 0.25, 1, 0.5, 0.25]),
        (fb.CosineDecay(1, 4, alpha=0.5), [0, 2, 4, 9], [1, 0.75, 0.5, 0.5]),
        (fb.CosineDecay(0, 4, warmup_target=1, warmup_steps=2), [0, 1, 2, 4, 6],
         [0, 0.5, 1, 0.5, 0]),
        # cycles of 2, 4 and 8 steps, each half as high: they begin at 0, 2, 6, 14
        (fb.CosineDecayRestarts(1, 2, m_mul=0.5), [0, 1, 2, 4, 6, 10, 14],
         [1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]),
        (fb.OneCycle(1, 11, 6 / 11, "linear", 2, 4), [0, 5, 10, 11], [0.5, 1, 0.125, 0.125]),
        (fb.OneCycle(1, 1), [0, 1], [1 / 25 / 1e4] * 2),
        (fb.OneCycle(1, 4, 1.0, "linear", 4), [0, 1, 3], [0.25, 0.5, 1]),
        (fb.OneCycle(1, 10, 0.1, "linear", 4), [0], [1]),  # no step goes up
    ],
    ids=repr,
)  # fmt: skip
def test_values_by_hand(schedule, steps, expected):
    assert schedule.values(steps).tolist() == expected


def test_restarts_begin_where_they_should():
    """At each boundary the rate is that of a beginning, however many cycles are over."""
    boundaries = np.cumsum([0, *(10 * 2**i for i in range(40))])
    assert (fb.CosineDecayRestarts(0.1, 10).values(boundaries) == 0.1).all()
    before = fb.CosineDecayRestarts(0.1, 10).values(boundaries[1:] - 1)
    assert (before < 0.003).all()


@pytest.mark.parametrize("schedule", [one for one, _ in CASES], ids=IDS)
def test_late_steps_are_finite(schedule):
    got = schedule.values(np.array([10**9, 10**15]))
    assert np.isfinite(got).all() and (got >= 0).all()


# ---- stretching ----------------------------------------------------------------------------------


def test_stretched():
    cosine = fb.CosineDecay(0.01, 90, warmup_target=0.3, warmup_steps=10)
    assert cosine.length == 100
    assert cosine.stretched(1000) == fb.CosineDecay(
        0.01, 900.0, warmup_target=0.3, warmup_steps=100.0
    )
    assert (
        cosine.stretched(50).values([5, 50, 60]).tolist() == cosine.values([10, 100, 100]).tolist()
    )
    assert cosine.stretched(1000).stretched(100) == cosine
    assert fb.PolynomialDecay(0.1, 100).stretched(30).decay_steps == 30
    assert fb.OneCycle(0.1, 100).stretched(99.6).total_steps == 100
    assert fb.OneCycle(0.1, 100).stretched(0.1).total_steps == 1
    for one in (
        fb.ConstantSchedule(0.1), fb.StepDecay(0.1, 10), fb.CosineDecayRestarts(0.1, 10),
        fb.PolynomialDecay(0.1, 10, cycle=True), fb.CallableSchedule(abs),
    ):  # fmt: skip
        assert one.length is None and one.stretched(50) is one
    with pytest.raises(ValueError, match="total_steps must be finite and > 0, got 0"):
        cosine.stretched(0)


# ---- Keras and PyTorch ---------------------------------------------------------------------------

KERAS = {  # some numbers pass through float32 there: these do unharmed
    "ExponentialDecay(0.1, 100, 0.9375)", "ExponentialDecay(0.1, 7, 0.875, staircase=True)",
    "PiecewiseConstantDecay([20, 50], [0.1, 0.2, 0.05])", "InverseTimeDecay(0.1, 10, 0.5)",
    "InverseTimeDecay(0.1, 10, 0.5, staircase=True)", "PolynomialDecay(0.1, 100, 0.0625)",
    "PolynomialDecay(0.1, 70, 0.0625, power=0.5)",
    "PolynomialDecay(0.1, 30, 0.0625, power=2.0, cycle=True)",
    "CosineDecay(0.1, 90)", "CosineDecay(0.1, 90, alpha=0.125)",
    "CosineDecay(0.01, 90, warmup_target=0.25, warmup_steps=15)",
    "CosineDecay(0.01, 90, 0.125, warmup_target=0.25)", "CosineDecayRestarts(0.1, 10)",
    "CosineDecayRestarts(0.1, 15, t_mul=1.0, m_mul=0.875, alpha=0.125)",
    "CosineDecayRestarts(0.1, 17, t_mul=1.5, m_mul=0.5)",
}  # fmt: skip
KERAS_CODE = """
import json, sys, warnings
warnings.simplefilter("ignore")
import keras
keras.config.set_floatx("float64")
from keras.optimizers.schedules import *
found = {text: [float(eval(text)(step)) for step in %r] for text in %r}
print(json.dumps(found))
"""
TORCH = {  # of a rate of 0.1
    "StepDecay(0.1, 7)": "StepLR(o, 7)",
    "StepDecay(0.1, 30, gamma=0.5)": "StepLR(o, 30, gamma=0.5)",
    "MultiStepDecay(0.1, [10, 50, 100], 0.3)": "MultiStepLR(o, [10, 50, 100], gamma=0.3)",
    "ExponentialDecay(0.1, 1, 0.96)": "ExponentialLR(o, 0.96)",
    "PolynomialDecay(0.1, 70, 0.0, 2.0)": "PolynomialLR(o, 70, power=2.0)",
    "CosineDecay(0.1, 120, alpha=0.1)": "CosineAnnealingLR(o, 120, eta_min=0.01)",
    "CosineDecayRestarts(0.1, 10)": "CosineAnnealingWarmRestarts(o, 10, T_mult=2)",
    "OneCycle(0.1, 120)": "OneCycleLR(o, 0.1, 120)",
    "OneCycle(0.1, 121, 0.25, 'linear', 10.0, 100.0)":
        "OneCycleLR(o, 0.1, 121, pct_start=0.25, anneal_strategy='linear', div_factor=10.0, "
        "final_div_factor=100.0)",
    "OneCycle(0.1, 120, three_phase=True)": "OneCycleLR(o, 0.1, 120, three_phase=True)",
    "OneCycle(0.1, 120, 0.0)": "OneCycleLR(o, 0.1, 120, pct_start=0.0)",
    "OneCycle(0.1, 120, 1.0)": "OneCycleLR(o, 0.1, 120, pct_start=1.0)",
}  # fmt: skip
TORCH_CODE = """
import json, warnings
warnings.simplefilter("ignore")
import torch
from torch.optim.lr_scheduler import *
found = {}
for text in %r:
    o = torch.optim.SGD([torch.zeros(1)], lr=0.1, momentum=0.9)
    schedule, rates = eval(text), []
    for step in range(120):
        if step:
            o.step()
            schedule.step()
        rates.append(o.param_groups[0]["lr"])
    found[text] = rates
print(json.dumps(found))
"""


def _made(text):
    return eval(f"fb.{text}", {"fb": fb})


@pytest.mark.slow
def test_values_of_keras():
    if importlib.util.find_spec("keras") is None or importlib.util.find_spec("torch") is None:
        pytest.skip("Keras or PyTorch, with which it computes in float64, is not installed")
    # where a cycle begins, Keras is at its end or at the beginning of the next, as a logarithm is
    # rounded; see test_restarts_begin_where_they_should
    steps = [step for step in STEPS if step not in (10, 30, 15, 45, 17)]
    code = KERAS_CODE % (steps, sorted(KERAS))
    found = child.result(code, timeout=300, KERAS_BACKEND="torch")
    assert found.keys() == KERAS
    for text, expected in found.items():
        assert_rounded(
            _made(text).values(steps), expected, dtype=np.float64, roundings=64,
            magnitude=np.abs(expected) + 1e-2, name=text,
        )  # fmt: skip


@pytest.mark.slow
def test_values_of_pytorch():
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    found = child.result(TORCH_CODE % (sorted(TORCH.values()),), timeout=300)
    steps = np.arange(120)
    for own, peer in TORCH.items():
        # PyTorch multiplies the last rate by a factor at each step
        assert_rounded(
            _made(own).values(steps), found[peer], dtype=np.float64, roundings=512,
            magnitude=np.abs(found[peer]) + 1e-2, name=own,
        )  # fmt: skip

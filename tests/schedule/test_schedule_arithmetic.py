"""Powers and the cosine that schedules are made of: right, and the same bits alone and together."""

import math

import numpy as np
import pytest
from support.tolerance import assert_rounded

from fastbp.schedule import arithmetic

mpmath = pytest.importorskip("mpmath")

X = np.concatenate([np.linspace(0, 1, 1025), np.geomspace(1e-12, 1, 200)])


def exact(function, *arrays):
    with mpmath.workdps(40):
        return np.array(
            [
                float(function(*map(mpmath.mpf, row)))
                for row in zip(*map(np.ndarray.tolist, arrays), strict=True)
            ]
        )


def test_cosine_fall():
    t = np.concatenate([X, 1 - X])
    t = t[t < 1]  # where 40 digits of pi leave a rest
    expected = exact(lambda v: mpmath.cos(mpmath.pi * v / 2) ** 2, t)
    assert_rounded(arithmetic.cosine_fall(t), expected, dtype=np.float64, roundings=6)
    ends = arithmetic.cosine_fall(np.array([0.0, 0.5, 1.0]))
    assert ends.tolist() == [1.0, 0.5, 0.0]
    fall = arithmetic.cosine_fall(np.linspace(0, 1, 10**5))
    assert (np.diff(fall) <= 0).all()


def test_exp_and_log():
    x = np.concatenate([np.linspace(-700, 700, 997), X, -X])
    got = arithmetic.exp(x)
    assert_rounded(got, exact(mpmath.exp, x), dtype=np.float64, roundings=4)
    positive = np.concatenate([np.geomspace(1e-300, 1e300, 997), 1 + X, 1 - X[1:1024]])
    expected = exact(mpmath.log, positive)
    assert_rounded(arithmetic.log(positive), expected, dtype=np.float64, roundings=6)


@pytest.mark.parametrize("base", [0.0, 1e-3, 0.1, 0.5, 0.96, 1.0, 1.5, 10.0])
def test_power(base):
    exponent = np.concatenate([np.arange(30.0), np.linspace(0, 30, 331), X])
    got = arithmetic.power(base, exponent)
    expected = exact(lambda e: mpmath.mpf(base) ** e, exponent)
    assert_rounded(got, expected, dtype=np.float64, roundings=64)
    turned = arithmetic.power(np.linspace(0, 1, 100), 2.0)
    assert np.array_equal(turned, np.linspace(0, 1, 100) ** 2)


def test_powers_of_the_extreme():
    assert arithmetic.power(0.5, np.array([1e300, 2000.0])).tolist() == [0.0, 0.0]
    assert arithmetic.power(2.0, np.array([1e300, 2000.0])).tolist() == [math.inf, math.inf]
    assert arithmetic.power(1.0, np.array([1e300])).tolist() == [1.0]
    assert arithmetic.whole_power(0.0, np.array([0, 1, 2])).tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ["cosine_fall", "exp", "log", "power"])
def test_each_element_has_the_same_bits_alone_and_among_others(name):
    function = getattr(arithmetic, name)
    arguments = (0.96,) if name == "power" else ()
    x = X[1:]
    together = function(*arguments, x)
    alone = np.concatenate([function(*arguments, x[i : i + 1]) for i in range(len(x))])
    assert np.array_equal(together, alone)
    assert np.array_equal(together[1::2], function(*arguments, x[1::2]))

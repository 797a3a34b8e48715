"""Powers and the cosine in float64, of operations that are rounded alike everywhere.

NumPy's own differ in the last bit from processor to processor, and can between an array of one
number and a long one.  Another last bit of a learning rate is another training, so that here they
are made of +, -, *, /, floor and scaling by 2 alone: each element has the same bits alone and in
any array, on any machine.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_LN2_HIGH = float.fromhex("0x1.62e42fee00000p-1")  # times an exponent without rounding
_LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
_ROOT_HALF = math.sqrt(0.5)
MOST = 2.0**62  # an exponent that int64 holds


def cosine_fall(t: Numbers) -> Numbers:
    """(1 + cos(pi t)) / 2 for t in [0, 1]: 1 at 0, 1/2 at 1/2, 0 at 1."""
    past = t - 0.5
    middle, early = np.abs(past) <= 0.25, past < 0
    s = _sin(math.pi * np.where(middle, past, 0.5 * np.where(early, t, 1.0 - t)))
    square = s * s
    ends = np.where(early, 1.0 - square, square)
    return np.asarray(np.where(middle, 0.5 - 0.5 * s, ends))


def power(base: Numbers | float, exponent: Numbers | float) -> Numbers:
    """base^exponent for base >= 0 and exponent >= 0."""
    base, exponent = np.asarray(base, np.float64), np.asarray(exponent, np.float64)
    whole = np.floor(np.minimum(exponent, MOST))
    result = whole_power(base, whole.astype(np.int64))
    fraction = np.where(exponent < MOST, exponent - whole, 0.0)
    if fraction.any():
        part = exp(fraction * log(np.where(base > 0, base, 1.0)))
        result = result * np.where(fraction > 0, np.where(base > 0, part, 0.0), 1.0)
    return result


def whole_power(base: Numbers | float, n: NDArray[np.int64]) -> Numbers:
    """base^n for n >= 0, by squaring; a negative n is 0."""
    n = np.maximum(n, 0)
    square, result = np.float64(base), np.ones(np.broadcast(base, n).shape)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        while n.any():
            result = np.where(n & 1, result * square, result)
            square = square * square
            n = n >> 1
    return result


def exp(x: Numbers) -> Numbers:
    """e^x: 2^k times the series of what remains, |r| <= ln(2) / 2."""
    x = np.clip(x, -800.0, 800.0)
    k = np.floor(x / math.log(2) + 0.5)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.ldexp(_horner(r, range(13, -1, -1)), k.astype(np.int64)))


def log(x: Numbers) -> Numbers:
    """The natural logarithm of x > 0: ln(2^e m) = e ln 2 + 2 artanh((m - 1) / (m + 1))."""
    m, e = np.frexp(x)
    small = m < _ROOT_HALF
    m, e = np.where(small, 2.0 * m, m), e - small
    z = (m - 1.0) / (m + 1.0)
    square, series = z * z, np.zeros_like(z)
    for i in range(23, 0, -2):
        series = series * square + 1.0 / i
    return np.asarray(e * _LN2_HIGH + (e * _LN2_LOW + 2.0 * z * series))


def _sin(y: Numbers) -> Numbers:
    """Of |y| <= pi / 4."""
    return y * _horner(-y * y, range(19, 0, -2))


def _horner(x: Numbers, degrees: range) -> Numbers:
    """The sum of x^i / n_i!, the last of the n_i first."""
    total = np.zeros_like(x)
    for n in degrees:
        total = total * x + 1.0 / math.factorial(n)
    return total

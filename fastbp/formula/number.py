"""What the formulas are made of, for NumPy: arrays of one real type, and numbers of that type.

The kernels have functions of the same names, of one number, in src/machine/real.h and
src/function/function.pxi.
"""

from __future__ import annotations

import math
from math import log as log  # of a `double`, as the C functions of these names
from math import sqrt as sqrt
from typing import Any

import numpy as np

real = Any  # a number of the network's type, or an array of them
double = float
column = Any  # likewise, which belongs to the output's column

real_select = np.where  # (condition, x, y): x where the condition holds, else y
real_max, real_min, real_sign, real_abs = np.maximum, np.minimum, np.sign, np.abs
real_sqrt, real_tanh, real_exp, real_log = np.sqrt, np.tanh, np.exp, np.log
real_log1p = np.log1p  # for 0 <= x <= 1 in the kernels


_TINY = {np.dtype(kind): np.finfo(kind).tiny for kind in ("float32", "float64")}


def real_fma(a: real, b: real, c: real) -> real:
    """a b + c; here the product is rounded too, and not made where the number a is 0"""
    return a * b + c if isinstance(a, np.ndarray) or a else c


def real_positive(x: real) -> real:
    """A number x > 0, or the smallest normal one where x was rounded to less"""
    return np.maximum(x, _TINY[x.dtype])


def real_expm1_below(x: real) -> real:
    """exp(x) - 1 below 0, which keeps the digits of small x; 0 above"""
    return np.expm1(np.minimum(x, 0))


def real_sigmoid(x: real) -> real:
    """1 / (1 + exp(-x)) with both tails to full precision"""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, x.dtype.type(1)) / (1 + e)


def real_softplus(x: real) -> real:
    """log(1 + exp(x))"""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


real_erfc = np.frompyfunc(math.erfc, 1, 1)  # element by element: NumPy has none


def real_normal_cdf(x: real) -> real:
    """Phi(x) = erfc(-x / sqrt(2)) / 2"""
    return (0.5 * real_erfc(-x.astype(float) / math.sqrt(2))).astype(x.dtype)


def real_normal_pdf(x: real) -> real:
    """exp(-x^2 / 2) / sqrt(2 pi)"""
    return np.exp(-0.5 * x * x) * x.dtype.type(1 / math.sqrt(2 * math.pi))

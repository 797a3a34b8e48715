"""Activations, each with its derivative.

`name(z)` is the output.  Its derivative is one of two.  `name_backward(d, a)` is d times the slope,
from the output a; `d` comes along because relu gives exactly 0, whatever d is.  `name_slope(z)` is
the slope from the pre-activation z: a step computes it together with the output, keeps it in the
place of z and multiplies d by it.  Where an activation has a number of its own, both take it as
`alpha`.
"""

from __future__ import annotations

from fastbp.formula.number import (
    real,
    real_abs,
    real_exp,
    real_expm1_below,
    real_max,
    real_min,
    real_normal_cdf,
    real_normal_pdf,
    real_select,
    real_sigmoid,
    real_softplus,
    real_tanh,
)

# The fixed point of mean 0 and variance 1: Klambauer et al., Self-Normalizing Neural Networks,
# 2017, equation 14.
SELU_SCALE = 1.0507009873554804934193349852946
SELU_ALPHA = 1.6732632423543772848170429916717
SIXTH = 0.16666666666666666666666666666667
# gelu's form with tanh: twice sqrt(2 / pi), and where beyond the sigmoid is 0 or 1
TWICE_ROOT = 1.5957691216057307117597842397375
CUBIC = 0.044715
FARTHEST = 40.0


def linear(z: real) -> real:
    return z


def linear_backward(d: real) -> real:
    return d


def relu(z: real) -> real:
    return real_max(z, 0)


def relu_backward(d: real, a: real) -> real:
    return real_select(a > 0, d, 0)


def leaky_relu(z: real, alpha: real) -> real:
    return real_select(z > 0, z, alpha * z)


def leaky_relu_slope(z: real, alpha: real) -> real:
    return real_select(z > 0, 1, alpha)


def elu(z: real, alpha: real) -> real:
    return real_select(z > 0, z, alpha * real_expm1_below(z))


def elu_backward(d: real, a: real, alpha: real) -> real:
    return real_select(a > 0, d, d * (a + alpha))


def selu(z: real) -> real:
    return SELU_SCALE * real_select(z > 0, z, SELU_ALPHA * real_expm1_below(z))


def selu_backward(d: real, a: real) -> real:
    return d * real_select(a > 0, SELU_SCALE, a + SELU_SCALE * SELU_ALPHA)


def gelu(z: real) -> real:
    return z * real_normal_cdf(z)


def gelu_slope(z: real) -> real:
    return real_normal_cdf(z) + z * real_normal_pdf(z)


def silu(z: real) -> real:
    return z * real_sigmoid(z)


def silu_slope(z: real) -> real:
    s: real = real_sigmoid(z)
    return s * (1 + z * (1 - s))


def exponential(z: real) -> real:
    return real_exp(z)


def exponential_backward(d: real, a: real) -> real:
    return d * a


def mish(z: real) -> real:
    """z tanh(softplus(z)), of one exponential that does not overflow"""
    e: real = real_exp(-real_abs(z))
    top: real = real_select(z > 0, 1 + 2 * e, e * (e + 2))
    return z * (top / (top + real_select(z > 0, 2 * e * e, 2)))


def mish_slope(z: real) -> real:
    e: real = real_exp(-real_abs(z))
    top: real = real_select(z > 0, 1 + 2 * e, e * (e + 2))
    gap: real = real_select(z > 0, 2 * e * e, 2)
    t: real = top / (top + gap)
    rest: real = gap / (top + gap) * (1 + t)
    return t + z * rest * (real_select(z > 0, 1, e) / (1 + e))


def gelu_tanh(z: real) -> real:
    """z (1 + tanh(u)) / 2 = z sigmoid(2 u), u = sqrt(2 / pi) (z + 0.044715 z^3)"""
    x: real = real_max(real_min(z, FARTHEST), -FARTHEST)
    return z * real_sigmoid(TWICE_ROOT * x * (1 + CUBIC * x * x))


def gelu_tanh_slope(z: real) -> real:
    x: real = real_max(real_min(z, FARTHEST), -FARTHEST)
    u: real = TWICE_ROOT * x * (1 + CUBIC * x * x)
    s: real = real_sigmoid(u)
    return s + x * s * real_sigmoid(-u) * TWICE_ROOT * (1 + 3 * CUBIC * x * x)


def hard_sigmoid(z: real) -> real:
    return real_max(real_min(z / 6 + 0.5, 1), 0)


def hard_sigmoid_slope(z: real) -> real:
    return real_select(real_abs(z) < 3, SIXTH, 0)


def hard_swish(z: real) -> real:
    return z * real_max(real_min(z / 6 + 0.5, 1), 0)


def hard_swish_slope(z: real) -> real:
    return real_select(z < -3, 0, real_select(z > 3, 1, z / 3 + 0.5))


def hard_tanh(z: real) -> real:
    return real_max(real_min(z, 1), -1)


def hard_tanh_slope(z: real) -> real:
    return real_select(real_abs(z) < 1, 1, 0)


def softsign(z: real) -> real:
    return z / (1 + real_abs(z))


def softsign_slope(z: real) -> real:
    inverse: real = 1 / (1 + real_abs(z))
    return inverse * inverse


def softplus(z: real) -> real:
    return real_softplus(z)


def softplus_slope(z: real) -> real:
    return real_sigmoid(z)


def tanh(z: real) -> real:
    return real_tanh(z)


def tanh_backward(d: real, a: real) -> real:
    return d * (1 - a * a)


def sigmoid(z: real) -> real:
    return real_sigmoid(z)


def sigmoid_backward(d: real, a: real) -> real:
    return d * (a * (1 - a))

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
    real_exp,
    real_expm1_below,
    real_max,
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

"""Losses of one output, each with its slope: the derivative by that output.

`out` is the output, or the logit where the loss has a link.  Further arguments are parameters of
the loss, by name; one that is a `column` is a number of the output's own.  Where two outputs belong
to a target, the second is that `column`, and its slope the third result.
"""

from __future__ import annotations

from fastbp.formula.number import (
    column,
    real,
    real_abs,
    real_exp,
    real_expm1_below,
    real_log,
    real_log1p,
    real_max,
    real_min,
    real_positive,
    real_select,
    real_sigmoid,
    real_sign,
    real_softplus,
    real_tanh,
)

LOG_2 = 0.69314718055994530941723212145818
FARTHEST_LOG_VARIANCE = 160.0  # up to which the root of a precision is finite


def mse(out: real, target: real) -> tuple[real, real]:
    e: real = out - target
    return e * e, e + e


def half_sse(out: real, target: real) -> tuple[real, real]:
    e: real = out - target
    return 0.5 * e * e, e


def mae(out: real, target: real) -> tuple[real, real]:
    e: real = out - target
    return real_abs(e), real_sign(e)


def huber(out: real, target: real, delta: real) -> tuple[real, real]:
    e: real = out - target
    size: real = real_abs(e)
    return (
        real_select(size <= delta, 0.5 * e * e, delta * (size - 0.5 * delta)),
        real_select(size <= delta, e, real_select(e > 0, delta, -delta)),
    )


def binary_cross_entropy(out: real, target: real) -> tuple[real, real]:
    """softplus(out) - out target; with the large parts taken apart first, a right answer's small
    loss keeps its digits.
    """
    slope: real = real_sigmoid(out) - target
    return real_softplus(-real_abs(out)) + (real_max(out, 0) - out * target), slope


def weighted_binary_cross_entropy(
    out: real, target: real, label_smoothing: real, pos_weight: column
) -> tuple[real, real]:
    """Of two terms that are both positive, so that a small loss keeps its digits."""
    y: real = target + label_smoothing * (0.5 - target)
    positive: real = pos_weight * y
    tail: real = real_softplus(-real_abs(out))
    value: real = positive * (tail + real_max(-out, 0)) + (1 - y) * (tail + real_max(out, 0))
    return value, (1 - y) * real_sigmoid(out) - positive * real_sigmoid(-out)


def binary_focal_cross_entropy(
    out: real, target: real, gamma: real, positive: real, negative: real
) -> tuple[real, real]:
    """(1 - p)^gamma times the cross-entropy, p being the probability of what the target says."""
    p: real = real_sigmoid(out)
    q: real = real_sigmoid(-out)
    side: real = target * positive + (1 - target) * negative
    rest: real = target * q + (1 - target) * p
    tail: real = real_softplus(-real_abs(out))
    entropy: real = target * (tail + real_max(-out, 0)) + (1 - target) * (tail + real_max(out, 0))
    power: real = real_exp((gamma - 1) * real_log(real_positive(rest)))
    slope: real = (
        rest * ((1 - target) * p - target * q) + gamma * (1 - 2 * target) * p * q * entropy
    )
    return side * power * rest * entropy, side * power * slope


def log_cosh(out: real, target: real) -> tuple[real, real]:
    """Near 0 as log(1 + sinh^2) / 2, which keeps its digits."""
    e: real = out - target
    size: real = real_abs(e)
    below: real = real_expm1_below(-real_min(size, 0.75))
    sinh: real = below * (2 + below) / (2 * (1 + below))
    far: real = size + (real_softplus(-2 * size) - LOG_2)
    return real_select(size < 0.75, 0.5 * real_log1p(sinh * sinh), far), real_tanh(e)


def quantile(out: real, target: real, q: column) -> tuple[real, real]:
    e: real = out - target
    slope: real = real_select(e > 0, 1 - q, real_select(e < 0, -q, 0))
    return slope * e, slope


def gaussian_nll(out: real, target: real, log_variance: column) -> tuple[real, real, real]:
    """Of a mean and the logarithm of a variance; that of 2 pi is left out."""
    e: real = out - target
    root: real = real_exp(-0.5 * real_max(log_variance, -FARTHEST_LOG_VARIANCE))
    scaled: real = e * root
    square: real = scaled * scaled
    moving: real = real_select(log_variance > -FARTHEST_LOG_VARIANCE, square, 0)
    return 0.5 * (log_variance + square), scaled * root, 0.5 * (1 - moving)


def poisson(out: real, target: real) -> tuple[real, real]:
    rate: real = real_exp(out)
    return rate - target * out, rate - target


def gamma(out: real, target: real) -> tuple[real, real]:
    ratio: real = target * real_exp(-out)
    return out + ratio, 1 - ratio


def tweedie(out: real, target: real, power: real) -> tuple[real, real]:
    """A target of 0 takes no part in what may overflow."""
    mean: real = real_exp((2 - power) * out)
    part: real = real_select(target > 0, target * real_exp((1 - power) * out), 0)
    return mean / (2 - power) + part / (power - 1), mean - part


def hinge(out: real, target: real) -> tuple[real, real]:
    y: real = real_select(target > 0, 1, -1)
    short: real = 1 - y * out
    return real_max(short, 0), real_select(short > 0, -y, 0)


def squared_hinge(out: real, target: real) -> tuple[real, real]:
    y: real = real_select(target > 0, 1, -1)
    short: real = real_max(1 - y * out, 0)
    return short * short, -2 * y * short

"""Losses of one output, each with its slope: the derivative by that output.

`out` is the output, or the logit where the loss has a link.  Further arguments are parameters of
the loss, by name.
"""

from __future__ import annotations

from fastbp.formula.number import (
    real,
    real_abs,
    real_max,
    real_select,
    real_sigmoid,
    real_sign,
    real_softplus,
)


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

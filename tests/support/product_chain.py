"""Matrix products as the kernels define them: each element ONE chain of multiply-adds, bit for bit.

A fused multiply-add rounds a*b + c once.  Here it is made of float64 additions and multiplications
alone, after Boldo and Melquiond, Emulation of a FMA and correctly rounded sums: proved algorithms
using rounding to odd, 2008.  Valid without overflow and underflow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """(s, e) with s = fl(a + b) and s + e = a + b exactly."""
    s = a + b
    part = s - a
    return s, (a - (s - part)) + (b - part)


def _two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """(p, e) with p = fl(a b) and p + e = a b exactly (Dekker, Veltkamp)."""
    p = a * b
    scale = 2.0**27 + 1
    a_high, b_high = scale * a - (scale * a - a), scale * b - (scale * b - b)
    a_low, b_low = a - a_high, b - b_high
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


def _odd_sum(a: Array, b: Array) -> Array:
    """a + b rounded to odd: an inexact sum ends in 1, so rounding it again is rounding once."""
    s, e = _two_sum(a, b)
    even = (s.view(np.int64) & 1) == 0
    toward = np.where(e > 0, np.inf, -np.inf)
    return np.where((e != 0) & even, np.nextafter(s, toward), s)


def multiply_add(a: Array, b: Array, c: Array, *, fused: bool) -> Array:
    """a*b + c in the dtype of c, rounded once (`fused`) or after each operation."""
    if not fused:
        return a * b + c
    if c.dtype == np.float32:  # the product of two is exact in double
        product = a.astype(np.float64) * b.astype(np.float64)
        return _odd_sum(product, np.broadcast_to(c, product.shape).astype(np.float64)).astype(
            np.float32
        )
    high, low = _two_product(a, b)
    t_high, t_low = _two_sum(c, low)
    v_high, v_low = _two_sum(high, t_high)
    return v_high + _odd_sum(t_low, v_low)


def product_chain(a: Array, b: Array, start: Array, *, fused: bool) -> Array:
    """start + sum_k a[:, k] b[k, :] as (depth + 1, m, n): stage d holds the first d terms."""
    stages = np.empty((a.shape[1] + 1, a.shape[0], b.shape[1]), a.dtype)
    stages[0] = start
    for k in range(a.shape[1]):
        stages[k + 1] = multiply_add(a[:, k : k + 1], b[k], stages[k], fused=fused)
    return stages

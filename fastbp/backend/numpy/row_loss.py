"""Losses of whole rows: twins of src/kernel/cross_entropy.pxi and row_loss.pxi.

Each returns the sum over the rows; d (OUT) is scale times the derivative by the outputs.
"""

from __future__ import annotations

import numpy as np

from fastbp.check.array import Array


def softmax(z: Array) -> Array:
    """exp(z) / sum exp(z) along the rows"""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def cross_entropy(z: Array, y: Array, scale: float, d: Array, weight: Array | None = None) -> float:
    """For class indices (n,) or rows of probabilities (n, k); a weight is that of a row."""
    s = z.dtype.type(scale)
    shift = z.max(axis=1, keepdims=True)
    e = np.exp(z - shift)
    total = e.sum(axis=1, keepdims=True)
    if y.ndim == 1:
        rows = np.arange(len(y))
        d[...] = e * (s / total)
        d[rows, y] -= s
        terms = (shift[:, 0] - z[rows, y]).astype(float) + np.log(total[:, 0])
    else:
        d[...] = s * (e / total * y.sum(axis=1, keepdims=True) - y)
        terms = np.where(y != 0, y * ((shift - z) + np.log(total)), 0)
    if weight is not None:
        d[...] = weighted(d, weight)
        terms = weighted(terms, weight[:, 0] if y.ndim == 1 else weight)
    return float(terms.sum())


def class_loss(
    gamma: float, smoothing: float, is_divergence: float, z: Array, y: Array, scale: float,
    d: Array, weight: Array | None = None,
) -> float:  # fmt: skip
    """sum_j t_j ((1 - p_j)^gamma (-log p_j) [+ log t_j]), t = (1 - smoothing) y + smoothing / n"""
    real, n = z.dtype.type, z.shape[1]
    t = np.eye(n, dtype=z.dtype)[y] if y.ndim == 1 else y
    t = t + real(smoothing) * (real(1 / n) - t)
    rows, most = np.arange(len(z)), z.argmax(axis=1)
    shift = z[rows, most][:, np.newaxis]
    e = np.exp(z - shift)
    others = e.copy()
    others[rows, most] = 0
    rest = others.sum(axis=1, keepdims=True)
    p, surprise = e / (1 + rest), (shift - z) + np.log1p(rest)
    other = 1 - p
    other[rows, most] = (rest / (1 + rest))[:, 0]
    slope = -t
    if gamma:
        power = np.exp(real(gamma - 1) * np.log(np.maximum(other, np.finfo(z.dtype).tiny)))
        slope = -t * power * (other + real(gamma) * p * surprise)
        surprise = power * other * surprise
    if is_divergence:
        surprise = surprise + np.log(np.where(t > 0, t, 1))
    slope, terms = np.where(t != 0, slope, 0), np.where(t != 0, t * surprise, 0)
    d[...] = real(scale) * (slope * other - p * (slope.sum(axis=1, keepdims=True) - slope))
    if weight is not None:
        d[...], terms = weighted(d, weight[:, :1]), weighted(terms, weight[:, :1])
    return float(terms.sum())


def cosine(out: Array, y: Array, scale: float, d: Array, weight: Array | None = None) -> float:
    """1 - cos of the angle between the two; 1 with a gradient of 0 where one of them is 0"""
    size_a, size_b = (np.abs(v).max(axis=1, keepdims=True) for v in (out, y))
    is_zero = (size_a == 0) | (size_b == 0)
    a = np.where(is_zero, 1, out / np.where(is_zero, 1, size_a)).astype(float)
    b = np.where(is_zero, 1, y / np.where(is_zero, 1, size_b)).astype(float)
    length = np.sqrt((a * a).sum(axis=1, keepdims=True))
    a /= length
    apart = a - b / np.sqrt((b * b).sum(axis=1, keepdims=True))
    slope = (apart - (a * apart).sum(axis=1, keepdims=True) * a) / (length * size_a)
    value = np.where(is_zero, 1, 0.5 * (apart * apart).sum(axis=1, keepdims=True))
    d[...] = scale * np.where(is_zero, 0, slope)
    if weight is not None:
        d[...], value = weighted(d, weight[:, :1]), weighted(value, weight[:, :1])
    return float(value.sum())


def weighted(values: Array, weight: Array) -> Array:
    """The product, 0 where the weight is 0."""
    return np.where(weight != 0, values * weight, values.dtype.type(0))

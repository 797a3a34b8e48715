"""Activations, losses and optimizer steps of the NumPy backend; twins of src/kernel/activation.pxi,
loss.pxi and optimizer.pxi.

Formulas are those of the compiled kernels; the functions are NumPy's.  Codes as in activation.py,
loss.py, optimizer.py.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LINEAR, RELU, LEAKY_RELU, ELU, SELU, GELU, SILU, SOFTPLUS, TANH, SIGMOID, SOFTMAX = range(11)
MSE, HALF_SSE, MAE, HUBER, BINARY_CROSS_ENTROPY, CROSS_ENTROPY = range(6)
SGD, MOMENTUM, NESTEROV, ADAM, ADAMW = range(5)

SELU_SCALE = 1.0507009873554804934193349852946
SELU_ALPHA = 1.6732632423543772848170429916717


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)) with both tails to full precision"""
    e = np.exp(-np.abs(z))
    return np.where(z < 0, e, z.dtype.type(1)) / (1 + e)


def softplus(z: Array) -> Array:
    """log(1 + exp(z))"""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def softmax(z: Array) -> Array:
    """exp(z) / sum exp(z) along the rows"""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def normal_cdf(z: Array) -> Array:
    """Phi(z) = erfc(-z / sqrt(2)) / 2, element by element: NumPy has no erfc"""
    values = [0.5 * math.erfc(-v / math.sqrt(2)) for v in z.ravel().tolist()]
    return np.array(values, z.dtype).reshape(z.shape)


def normal_pdf(z: Array) -> Array:
    """exp(-z^2 / 2) / sqrt(2 pi)"""
    return np.exp(-0.5 * z * z) * z.dtype.type(1 / math.sqrt(2 * math.pi))


def activate(code: int, z: Array, alpha: float) -> Array:
    """a = f(z)"""
    one = z.dtype.type
    if code == RELU:
        return np.maximum(z, 0)
    if code == LEAKY_RELU:
        return np.where(z > 0, z, one(alpha) * z)
    if code == ELU:
        return np.where(z > 0, z, one(alpha) * np.expm1(np.minimum(z, 0)))
    if code == SELU:
        return one(SELU_SCALE) * np.where(z > 0, z, one(SELU_ALPHA) * np.expm1(np.minimum(z, 0)))
    if code == GELU:
        return z * normal_cdf(z)
    if code == SILU:
        return z * sigmoid(z)
    if code == SOFTPLUS:
        return softplus(z)
    if code == TANH:
        return np.tanh(z)
    if code == SIGMOID:
        return sigmoid(z)
    return softmax(z) if code == SOFTMAX else z


def derivative(code: int, d: Array, z: Array, a: Array, alpha: float) -> Array:
    """d * f'(z); relu' at 0 is 0"""
    one = z.dtype.type
    if code == RELU:
        return np.where(a > 0, d, 0)
    if code == LEAKY_RELU:
        return np.where(z > 0, d, one(alpha) * d)
    if code == ELU:
        return np.where(a > 0, d, d * (a + one(alpha)))
    if code == SELU:
        return d * np.where(a > 0, one(SELU_SCALE), a + one(SELU_SCALE * SELU_ALPHA))
    if code == GELU:
        return d * (normal_cdf(z) + z * normal_pdf(z))
    if code == SILU:
        s = sigmoid(z)
        return d * (s * (1 + z * (1 - s)))
    if code == SOFTPLUS:
        return d * sigmoid(z)
    if code == TANH:
        return d * (1 - a * a)
    if code == SIGMOID:
        return d * (a * (1 - a))
    if code == SOFTMAX:
        return a * (d - (d * a).sum(axis=1, keepdims=True))
    return d


def loss_gradient(code: int, out: Array, y: Array, scale: float, delta: float, d: Array) -> float:
    """The sum of the loss over rows and outputs; d (OUT) = scale * its derivative by `out` (by the
    logits for cross-entropies).
    """
    s = out.dtype.type(scale)
    if code == CROSS_ENTROPY:
        return _cross_entropy(out, y, s, d)
    e = out - y
    if code == MSE:
        d[...] = s * (e + e)
        return float((e * e).sum())
    if code == HALF_SSE:
        d[...] = s * e
        return float(0.5 * (e * e).sum())
    if code == MAE:
        d[...] = s * np.sign(e)
        return float(np.abs(e).sum())
    if code == HUBER:
        size, edge = np.abs(e), out.dtype.type(delta)
        d[...] = s * np.clip(e, -edge, edge)
        return float(np.where(size <= edge, 0.5 * e * e, edge * (size - 0.5 * edge)).sum())
    d[...] = s * (sigmoid(out) - y)
    # softplus(out) - out * y; with the large parts taken apart first, a right answer's small loss
    # keeps its digits
    return float((softplus(-np.abs(out)) + (np.maximum(out, 0) - out * y)).sum())


def _cross_entropy(z: Array, y: Array, scale: Any, d: Array) -> float:
    shift = z.max(axis=1, keepdims=True)
    e = np.exp(z - shift)
    total = e.sum(axis=1, keepdims=True)
    if y.ndim == 1:
        rows = np.arange(len(y))
        d[...] = e * (scale / total)
        d[rows, y] -= scale
        return float(((shift[:, 0] - z[rows, y]).astype(float) + np.log(total[:, 0])).sum())
    d[...] = scale * (e / total * y.sum(axis=1, keepdims=True) - y)
    terms = np.where(y != 0, y * ((shift - z) + np.log(total)), 0)
    return float(terms.sum())


def optimizer_step(
    hyper: Array,
    power: Array,
    w: Array,
    g: Array,
    state: Array,
    *,
    l1: float,
    l2: float,
    decays: bool,
) -> None:
    """One step in place; hyper = code, learning rate, momentum, beta1, beta2, epsilon, weight
    decay; power = beta1^t, beta2^t.
    """
    one = w.dtype.type
    code, rate, mu = int(hyper[0]), one(hyper[1]), one(hyper[2])
    if l1 or l2:
        g = g + one(l2) * w + one(l1) * np.sign(w)
    if code == SGD:
        w -= rate * g
        return
    if code in (MOMENTUM, NESTEROV):
        state[0] = mu * state[0] + g
        w -= rate * (g + mu * state[0] if code == NESTEROV else state[0])
        return
    beta1, beta2 = hyper[3], hyper[4]
    state[0] = one(beta1) * state[0] + one(1 - beta1) * g
    state[1] = one(beta2) * state[1] + one(1 - beta2) * g * g
    if code == ADAMW and decays:
        w -= one(hyper[1] * hyper[6]) * w
    step = one(hyper[1] / (1 - power[0]))
    epsilon = max(one(hyper[5]), np.finfo(w.dtype).tiny)
    w -= step * state[0] / (np.sqrt(state[1]) * one(1 / math.sqrt(1 - power[1])) + epsilon)

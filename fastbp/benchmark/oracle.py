"""The same training in float64, as the textbook has it: nothing shared with what is timed."""

import math
from collections.abc import Callable

import numpy as np

from fastbp.benchmark.workload import (
    BETA1,
    BETA2,
    EPSILON,
    LEARNING_RATE,
    WEIGHT_DECAY,
    Array,
    Workload,
)

# Klambauer et al., Self-Normalizing Neural Networks, 2017, equation 14.
SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
HUBER_DELTA, LEAKY_SLOPE = 1.0, 0.01


def sigmoid(z: Array) -> Array:
    return np.exp(-np.logaddexp(0, -z))


def normal_cdf(z: Array) -> Array:
    try:
        from scipy.special import erf  # JAX brings it; math.erf is as exact, number by number
    except ModuleNotFoundError:
        erf = np.vectorize(math.erf, otypes=[np.float64])
    return np.asarray((1 + erf(z / math.sqrt(2))) / 2)


def normal_pdf(z: Array) -> Array:
    return np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def below(z: Array) -> Array:
    """exp(z) where z <= 0; the rest is not used."""
    return np.exp(np.minimum(z, 0))


# The function, and its slope, of the pre-activation z.
ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "linear": (lambda z: z, np.ones_like),
    "relu": (lambda z: np.where(z > 0, z, 0.0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "leaky_relu": (
        lambda z: np.where(z > 0, z, LEAKY_SLOPE * z),
        lambda z: np.where(z > 0, 1.0, LEAKY_SLOPE),
    ),
    "elu": (
        lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
        lambda z: np.where(z > 0, 1.0, below(z)),
    ),
    "selu": (
        lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0))),
        lambda z: SELU_SCALE * np.where(z > 0, 1.0, SELU_ALPHA * below(z)),
    ),
    "gelu": (lambda z: z * normal_cdf(z), lambda z: normal_cdf(z) + z * normal_pdf(z)),
    "silu": (
        lambda z: z * sigmoid(z),
        lambda z: sigmoid(z) * (1 + z * (1 - sigmoid(z))),
    ),
    "softplus": (lambda z: np.logaddexp(0, z), sigmoid),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * (1 - sigmoid(z))),
}


def forward(workload: Workload, weights: list[Array], x: Array) -> tuple[list[Array], list[Array]]:
    """x and the output of each layer, and the pre-activations; the last layer is linear."""
    function, _ = ACTIVATIONS[workload.activation]
    a, z = [x], []
    for i in range(0, len(weights), 2):
        z.append(a[-1] @ weights[i] + weights[i + 1])
        a.append(function(z[-1]) if i + 2 < len(weights) else z[-1])
    return a, z


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def loss_and_slope(name: str, z: Array, y: Array) -> tuple[float, Array]:
    """Mean loss of a batch and its derivative by the outputs z."""
    if name == "cross_entropy":
        probability, target = softmax(z), np.eye(z.shape[1])[y]
        largest = z.max(axis=1)
        total = largest + np.log(np.exp(z - largest[:, None]).sum(axis=1))
        chosen = z[np.arange(len(y)), y]
        return float(np.mean(total - chosen)), (probability - target) / len(y)
    e = z - y
    if name == "mse":
        return float(np.mean(e * e)), 2 * e / e.size
    if name == "half_sse":
        return float(np.sum(e * e) / 2 / len(y)), e / len(y)
    if name == "mae":
        return float(np.mean(np.abs(e))), np.sign(e) / e.size
    if name == "huber":
        small, delta = np.abs(e) <= HUBER_DELTA, HUBER_DELTA
        value = np.where(small, e * e / 2, delta * (np.abs(e) - delta / 2))
        return float(np.mean(value)), np.clip(e, -delta, delta) / e.size
    assert name == "binary_cross_entropy"
    return float(np.mean(np.logaddexp(0, z) - y * z)), (sigmoid(z) - y) / e.size


def gradient(
    workload: Workload, weights: list[Array], x: Array, y: Array
) -> tuple[float, list[Array]]:
    """Mean loss of a batch and its derivative by every weight."""
    _, slope = ACTIVATIONS[workload.activation]
    a, z = forward(workload, weights, x)
    loss, d = loss_and_slope(workload.loss, z[-1], y)
    found: list[Array] = []
    for i in reversed(range(0, len(weights), 2)):
        found = [a[i // 2].T @ d, d.sum(axis=0), *found]
        if i:
            d = (d @ weights[i].T) * slope(z[i // 2 - 1])
    return loss, found


def train(workload: Workload, steps: int) -> tuple[Array, list[Array]]:
    """The loss of each of the first `steps` steps, and W1, b1, W2, ... after them."""
    X, y = workload.data()
    X = X.astype(np.float64)
    weights = [part.astype(np.float64) for part in workload.weights()]
    m, v = ([np.zeros_like(part) for part in weights] for _ in range(2))
    losses = []
    for t in range(1, steps + 1):
        start = (t - 1) % workload.n_batches * workload.batch_size
        batch = slice(start, start + workload.batch_size)
        loss, gradients = gradient(workload, weights, X[batch], y[batch])
        losses.append(loss)
        for i, g in enumerate(gradients):
            if workload.optimizer == "sgd":
                weights[i] = weights[i] - LEARNING_RATE * g
                continue
            if workload.optimizer == "adamw" and i % 2 == 0:
                weights[i] = (1 - LEARNING_RATE * WEIGHT_DECAY) * weights[i]
            m[i] = BETA1 * m[i] + (1 - BETA1) * g
            v[i] = BETA2 * v[i] + (1 - BETA2) * g * g
            m_hat, v_hat = m[i] / (1 - BETA1**t), v[i] / (1 - BETA2**t)
            weights[i] = weights[i] - LEARNING_RATE * m_hat / (np.sqrt(v_hat) + EPSILON)
    return np.array(losses), weights

"""The same training in float64, as the textbook has it: nothing shared with what is timed."""

import numpy as np

from fastbp.benchmark.workload import BETA1, BETA2, EPSILON, LEARNING_RATE, Array, Workload


def forward(workload: Workload, weights: list[Array], x: Array) -> list[Array]:
    """x and the output of each layer; the last is linear."""
    a = [x]
    for i in range(0, len(weights), 2):
        z = a[-1] @ weights[i] + weights[i + 1]
        if i + 2 < len(weights):
            z = np.tanh(z) if workload.activation == "tanh" else np.where(z > 0, z, 0.0)
        a.append(z)
    return a


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def gradient(
    workload: Workload, weights: list[Array], x: Array, y: Array
) -> tuple[float, list[Array]]:
    """Mean loss of a batch and its derivative by every weight."""
    a = forward(workload, weights, x)
    z = a[-1]
    if workload.loss == "mse":
        loss = np.mean((z - y) ** 2)
        d = 2 * (z - y) / y.size
    else:
        probability, target = softmax(z), np.eye(z.shape[1])[y]
        loss = -np.mean(np.sum(target * np.log(probability), axis=1))
        d = (probability - target) / len(y)
    found: list[Array] = []
    for i in reversed(range(0, len(weights), 2)):
        before = a[i // 2]
        found = [before.T @ d, d.sum(axis=0), *found]
        slope = 1 - before**2 if workload.activation == "tanh" else before > 0
        d = (d @ weights[i].T) * slope
    return float(loss), found


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
            m[i] = BETA1 * m[i] + (1 - BETA1) * g
            v[i] = BETA2 * v[i] + (1 - BETA2) * g * g
            m_hat, v_hat = m[i] / (1 - BETA1**t), v[i] / (1 - BETA2**t)
            weights[i] = weights[i] - LEARNING_RATE * m_hat / (np.sqrt(v_hat) + EPSILON)
    return np.array(losses), weights

"""JAX: one jit over a lax.scan of all steps of a call, its state donated."""

from typing import Any

import numpy as np

from fastbp.benchmark.peer import Run
from fastbp.benchmark.workload import (
    BETA1,
    BETA2,
    EPSILON,
    LEARNING_RATE,
    WEIGHT_DECAY,
    Array,
    Workload,
)

NAME = "JAX"


def activation_of(workload: Workload) -> Any:
    import jax

    own = {"linear": lambda x: x, "tanh": jax.numpy.tanh}
    own["gelu"] = lambda x: jax.nn.gelu(x, approximate=False)
    return own.get(workload.activation) or getattr(jax.nn, workload.activation)


def mean_loss(name: str, z: Any, target: Any) -> Any:
    import jax
    import jax.numpy as jnp

    if name == "cross_entropy":
        chosen = jnp.take_along_axis(jax.nn.log_softmax(z), target[:, None], axis=1)
        return -jnp.mean(chosen)
    if name == "binary_cross_entropy":
        return jnp.mean(jax.nn.softplus(z) - target * z)
    e = z - target
    if name == "half_sse":
        return jnp.sum(e**2) / (2 * len(e))
    if name == "mae":
        return jnp.mean(jnp.abs(e))
    if name == "huber":
        return jnp.mean(jnp.where(jnp.abs(e) <= 1, e**2 / 2, jnp.abs(e) - 0.5))
    return jnp.mean(e**2)


def trainer(workload: Workload, variant: str, threads: int) -> Run:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", workload.dtype == "float64")
    n_batches, rows = workload.n_batches, workload.batch_size
    X, y = (jnp.asarray(part.reshape(n_batches, rows, *part.shape[1:])) for part in workload.data())
    activation = activation_of(workload)

    def loss_of(weights: Any, x: Any, target: Any) -> Any:
        for i in range(0, len(weights), 2):
            x = x @ weights[i] + weights[i + 1]
            if i + 2 < len(weights):
                x = activation(x)
        return mean_loss(workload.loss, x, target)

    def step(state: Any, of_step: Any) -> Any:
        (weights, m, v), (i, scale, epsilon) = state, of_step
        loss, g = jax.value_and_grad(loss_of)(weights, X[i % n_batches], y[i % n_batches])
        if workload.optimizer == "sgd":
            weights = [w - LEARNING_RATE * b for w, b in zip(weights, g, strict=True)]
            return (weights, m, v), loss
        if workload.optimizer == "adamw":
            keep = 1 - LEARNING_RATE * WEIGHT_DECAY
            weights = [w if i % 2 else keep * w for i, w in enumerate(weights)]
        m = [BETA1 * a + (1 - BETA1) * b for a, b in zip(m, g, strict=True)]
        v = [BETA2 * a + (1 - BETA2) * b * b for a, b in zip(v, g, strict=True)]
        weights = [
            w - scale * a / (jnp.sqrt(b) + epsilon) for w, a, b in zip(weights, m, v, strict=True)
        ]
        return (weights, m, v), loss

    def train(state: Any, done: Any, steps: int) -> Any:
        # the corrections of all steps at once, before the scan
        i = jnp.arange(steps)
        t = (done + i + 1).astype(workload.dtype)
        root = jnp.sqrt(-jnp.expm1(t * np.log(BETA2)))
        scale = LEARNING_RATE * root / -jnp.expm1(t * np.log(BETA1))
        return jax.lax.scan(step, state, (i, scale, EPSILON * root))

    compiled = jax.jit(train, static_argnums=2, donate_argnums=0)
    start = [jnp.asarray(part) for part in workload.weights()]
    zeros = [[jnp.zeros_like(part) for part in start] for _ in range(2)]
    state, done = (start, *zeros), 0

    def run(steps: int) -> tuple[float, list[Array]]:
        nonlocal state, done
        state, losses = jax.block_until_ready(compiled(state, done, steps))
        done += steps
        return float(losses[-n_batches:].mean()), [np.asarray(part) for part in state[0]]

    return run

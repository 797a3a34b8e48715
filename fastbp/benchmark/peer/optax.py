"""JAX with optax's optimizers: one jit over a lax.scan of all steps of a call, its state donated.

Layers beside dense ones are written out, as JAX has none.  The state of a network is its
parameters, what the optimizer keeps, the running statistics of its normalizations and a key.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastbp.benchmark.peer import Run
from fastbp.benchmark.peer.jax import activation_of, mean_loss
from fastbp.benchmark.workload import (
    BATCH_NORM,
    BATCH_NORM_MOMENTUM,
    BETA1,
    BETA2,
    CATEGORIES,
    DROPOUT,
    DROPOUT_RATE,
    EMBEDDING,
    EPSILON,
    LAYER_NORM,
    LEARNING_RATE,
    NORM_EPSILON,
    WEIGHT_DECAY,
    Array,
    Workload,
)

NAME = "JAX with optax"


def optimizer_of(name: str, parameters: Any) -> Any:
    import jax
    import optax

    betas: Any = {"b1": BETA1, "b2": BETA2, "eps": EPSILON}
    if name in ("adam", "amsgrad"):
        return getattr(optax, name)(LEARNING_RATE, **betas)
    if name == "adamw":
        kernels = jax.tree.map(lambda part: part.ndim > 1, parameters)
        return optax.adamw(LEARNING_RATE, weight_decay=WEIGHT_DECAY, mask=kernels, **betas)
    known: Any = {
        "rmsprop": {"decay": 0.99, "eps": 1e-8, "eps_in_sqrt": False},
        "adagrad": {"initial_accumulator_value": 0.0, "eps": 1e-10},
        "adadelta": {"rho": 0.9, "eps": 1e-6},
        "lion": {"b1": 0.9, "b2": 0.99, "weight_decay": 0.0},
    }
    return getattr(optax, name)(LEARNING_RATE, **known.get(name, {}))


def parameters_of(workload: Workload) -> dict[str, list[Any]]:
    import jax.numpy as jnp

    given = workload.weights()
    found = {"kernel": given[::2], "bias": given[1::2]}
    if workload.part in (LAYER_NORM, BATCH_NORM):
        found["gamma"] = [np.ones_like(part) for part in given[1:-1:2]]
        found["beta"] = [np.zeros_like(part) for part in given[1:-1:2]]
    if workload.part == EMBEDDING:
        found["table"] = workload.tables()
    return {name: [jnp.asarray(part) for part in parts] for name, parts in found.items()}


def statistics_of(workload: Workload) -> list[tuple[Any, Any]]:
    import jax.numpy as jnp

    if workload.part != BATCH_NORM:
        return []
    sizes = workload.sizes[1:-1]
    return [(jnp.zeros(n, workload.dtype), jnp.ones(n, workload.dtype)) for n in sizes]


def objective(workload: Workload) -> Any:
    """(parameters, running statistics, x, target, key) -> the loss, and the new statistics."""
    import jax
    import jax.numpy as jnp

    activation = activation_of(workload)

    def loss_of(
        own: dict[str, list[Any]], running: Sequence[Any], x: Any, target: Any, key: Any
    ) -> Any:
        after = []
        if workload.part == EMBEDDING:
            first = x.shape[1] - len(CATEGORIES)
            rows = [t[x[:, first + i].astype(int)] for i, t in enumerate(own["table"])]
            x = jnp.concatenate([x[:, :first], *rows], 1)
        for i, (kernel, bias) in enumerate(zip(own["kernel"], own["bias"], strict=True)):
            x = x @ kernel + bias
            if i + 1 == len(own["kernel"]):
                break
            if workload.part in (LAYER_NORM, BATCH_NORM):
                axis = 1 if workload.part == LAYER_NORM else 0
                mean, variance = x.mean(axis, keepdims=True), x.var(axis, keepdims=True)
                x = (x - mean) * jax.lax.rsqrt(variance + NORM_EPSILON)
                x = x * own["gamma"][i] + own["beta"][i]
            if workload.part == BATCH_NORM:
                keep = BATCH_NORM_MOMENTUM
                pairs = zip(running[i], (mean[0], variance[0]), strict=True)
                after.append(tuple(keep * old + (1 - keep) * new for old, new in pairs))
            x = activation(x)
            if workload.part == DROPOUT:
                kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - DROPOUT_RATE, x.shape)
                x = jnp.where(kept, x / (1 - DROPOUT_RATE), 0)
        return mean_loss(workload.loss, x, target), jax.lax.stop_gradient(after)

    return loss_of


def trainer(workload: Workload, variant: str, threads: int) -> Run:
    import jax
    import jax.numpy as jnp
    import optax

    jax.config.update("jax_enable_x64", workload.dtype == "float64")
    n_batches, rows = workload.n_batches, workload.batch_size
    X, y = (jnp.asarray(part.reshape(n_batches, rows, *part.shape[1:])) for part in workload.data())
    own = parameters_of(workload)
    optimizer, loss_of = optimizer_of(workload.optimizer, own), objective(workload)

    def step(state: Any, i: Any) -> Any:
        own, kept, running, key = state
        key, drawn = jax.random.split(key) if workload.part == DROPOUT else (key, key)
        (loss, running), g = jax.value_and_grad(loss_of, has_aux=True)(
            own, running, X[i % n_batches], y[i % n_batches], drawn
        )
        updates, kept = optimizer.update(g, kept, own)
        return (optax.apply_updates(own, updates), kept, running, key), loss

    def train(state: Any, steps: int) -> Any:
        return jax.lax.scan(step, state, jnp.arange(steps))

    compiled = jax.jit(train, static_argnums=1, donate_argnums=0)
    state = own, optimizer.init(own), statistics_of(workload), jax.random.key(0)

    def run(steps: int) -> tuple[float, list[Array]]:
        nonlocal state
        state, losses = jax.block_until_ready(compiled(state, steps))
        return float(losses[-n_batches:].mean()), jax.tree.leaves(state[0])

    return run

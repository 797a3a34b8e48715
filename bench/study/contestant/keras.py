"""Keras: `layers.Dense` and `optimizers` at their own defaults, on JAX.

The networks of all seeds are trained in one compiled call: `stateless_call` and `stateless_apply`
of one model, mapped over the seeds' variables.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("KERAS_BACKEND", "jax")
import jax
import jax.numpy as jnp
import keras

from bench.study.setting import BATCH_SIZE, LEARNING_RATE, MOMENTUM, Setting, order, rows


def version() -> str:
    return f"Keras {keras.__version__}"


def losses(setting: Setting, seeds: Sequence[int]) -> NDArray[np.float64]:
    """The test loss of each seed."""
    models = [_model(setting, seed) for seed in seeds]
    model, rate = models[0], LEARNING_RATE[setting.optimizer]
    optimizer = (
        keras.optimizers.Adam(rate)
        if setting.optimizer == "adam"
        else keras.optimizers.SGD(rate, momentum=MOMENTUM)
    )
    optimizer.build(model.trainable_variables)
    state = [variable.value for variable in optimizer.variables]

    def mean_loss(variables: Any, x: Any, y: Any, weight: Any) -> Any:
        out, _ = model.stateless_call(variables, [], x)
        if setting.dataset.n_classes:
            each = keras.ops.sparse_categorical_crossentropy(y, out, from_logits=True)
        else:
            each = (out[:, 0] - y) ** 2
        return (each * weight).sum() / weight.sum()

    def step(carry: Any, batch: Any) -> Any:
        variables, own = carry
        gradients = jax.grad(mean_loss)(variables, *batch)
        return optimizer.stateless_apply(own, gradients, variables), None

    @jax.jit
    @jax.vmap
    def trained(variables: Any, data: Any, place: Any, weight: Any) -> Any:
        X, y, X_test, y_test = data

        def one(carry: Any, own: Any) -> Any:
            return step(carry, (X[own[0]], y[own[0]], own[1]))

        (variables, _), _ = jax.lax.scan(one, (variables, state), (place, weight))
        return mean_loss(variables, X_test, y_test, jnp.ones(len(X_test)))

    variables = [
        jnp.stack([m.trainable_variables[i].value for m in models])
        for i in range(len(model.trainable_variables))
    ]
    splits = [rows(setting.dataset, seed) for seed in seeds]
    data = [
        np.stack([getattr(split, part) for split in splits])
        for part in ("X", "y", "X_test", "y_test")
    ]
    found = trained(variables, data, *_batches(setting, seeds))
    keras.utils.clear_session(free_memory=False)
    return np.asarray(found, np.float64)


def _model(setting: Setting, seed: int) -> Any:
    keras.utils.set_random_seed(seed)
    *hidden, n_out = setting.sizes[1:]
    layers = [keras.layers.Dense(units, activation=setting.activation) for units in hidden]
    model = keras.Sequential([keras.Input((setting.sizes[0],)), *layers, keras.layers.Dense(n_out)])
    for layer in model.layers:
        if setting.activation == "leaky_relu" and layer is not model.layers[-1]:
            layer.activation = lambda z: keras.ops.leaky_relu(z, 0.01)  # Keras's own slope is 0.2
    return model


def _batches(setting: Setting, seeds: Sequence[int]) -> tuple[Any, Any]:
    """Rows (seeds, steps, BATCH_SIZE) and their weights: 0 fills the last batch of an epoch."""
    orders = np.array([order(setting, seed) for seed in seeds])
    n_seeds, n_epochs, n = orders.shape
    n_batches = -(-n // BATCH_SIZE)
    padding = [(0, 0), (0, 0), (0, n_batches * BATCH_SIZE - n)]
    weight = np.pad(np.ones(orders.shape, np.float32), padding)
    shape = (n_seeds, n_epochs * n_batches, BATCH_SIZE)
    return np.pad(orders, padding).reshape(shape), weight.reshape(shape)

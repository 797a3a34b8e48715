"""Optimizers beside PyTorch's and Keras's own, where these are installed: 1, 10 and 100 steps."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.keras_peer import keras_result, needs_keras
from support.tolerance import assert_same_training

import fastbp as fb

Array = NDArray[Any]
STEPS = (1, 10, 100)
N = 12


def gradients() -> Array:
    """Of some steps; no number is so small that its sign were a matter of rounding."""
    rng = np.random.default_rng(3)
    return rng.choice([-1, 1], (max(STEPS), N, 1)) * rng.uniform(0.1, 2, (max(STEPS), N, 1))


def own_steps(optimizer: Any) -> dict[int, Array]:
    """A kernel of 1s after some steps."""
    layers = [fb.Input(N), fb.Dense(1, use_bias=False, weights=np.ones((N, 1)))]
    network = fb.Network(layers, optimizer=optimizer, dtype="float64", seed=0)
    network.forward(np.zeros((1, N)))
    network.backward(np.zeros((1, 1)))
    found = {}
    for t, g in enumerate(gradients(), 1):
        network.gradients["dense_1/kernel"][...] = g
        network.step()
        if t in STEPS:
            found[t] = network.get_weights()[0].copy()
    return found


# ours, the class in torch.optim, its arguments
TORCH = [
    (fb.SGD(0.1, momentum=0.9, weight_decay=0.1), "SGD",
     {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    (fb.Adam(), "Adam", {}),
    (fb.Adam(amsgrad=True), "Adam", {"amsgrad": True}),
    (fb.AdamW(amsgrad=True), "AdamW", {"amsgrad": True}),
    (fb.RMSprop(), "RMSprop", {}),
    (fb.RMSprop(centered=True), "RMSprop", {"centered": True}),
    (fb.RMSprop(momentum=0.9), "RMSprop", {"momentum": 0.9}),
    (fb.RMSprop(momentum=0.9, centered=True, rho=0.9), "RMSprop",
     {"momentum": 0.9, "centered": True, "alpha": 0.9}),
    (fb.Adagrad(), "Adagrad", {}),
    (fb.Adagrad(initial_accumulator_value=0.1), "Adagrad", {"initial_accumulator_value": 0.1}),
    (fb.Adadelta(), "Adadelta", {}),
    (fb.Adamax(), "Adamax", {}),
    (fb.NAdam(), "NAdam", {}),
    (fb.NAdam(weight_decay=0.1), "NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    (fb.RAdam(), "RAdam", {}),
    (fb.RAdam(weight_decay=0.1), "RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    (fb.Rprop(), "Rprop", {}),
]  # fmt: skip


@pytest.mark.parametrize(("own", "name", "options"), TORCH, ids=[repr(own) for own, *_ in TORCH])
def test_steps_of_torch(own: Any, name: str, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    kept = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # or NAdam keeps its product in float32
    try:
        compare_with_torch(torch, own, name, options)
    finally:
        torch.set_default_dtype(kept)


def compare_with_torch(torch: Any, own: Any, name: str, options: dict[str, Any]) -> None:
    w = torch.ones((N, 1), requires_grad=True)
    optimizer = getattr(torch.optim, name)([w], **options)
    found = own_steps(own)
    for t, g in enumerate(gradients(), 1):
        w.grad = torch.from_numpy(g.copy())
        optimizer.step()
        if t in STEPS:
            assert_same_training(found[t], w.detach().numpy(), dtype="float64", name=f"step {t}")


# ours, the class in keras.optimizers, its arguments
KERAS = [
    (fb.Lion(), "Lion", {}),
    (fb.Lion(1e-4, weight_decay=0.1), "Lion", {"learning_rate": 1e-4, "weight_decay": 0.1}),
    (fb.SGD(0.1, momentum=0.9, weight_decay=0.1, decoupled_weight_decay=True), "SGD",
     {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    (fb.SGD(0.1, momentum=0.9, nesterov=True, scaled_momentum=True, weight_decay=0.1,
            decoupled_weight_decay=True), "SGD",
     {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (fb.Adam(epsilon=0.1, epsilon_hat=True, amsgrad=True), "Adam",
     {"epsilon": 0.1, "amsgrad": True}),
    (fb.NAdam(1e-3, epsilon=1e-7, momentum_decay=1), "Nadam", {}),
    (fb.Adagrad(1e-3, initial_accumulator_value=0.1, epsilon=1e-20, weight_decay=0.1), "Adagrad",
     {"epsilon": 1e-20, "weight_decay": 0.1}),
]  # fmt: skip
CODE = """
keras.backend.set_floatx("float64")
found = {}
gradients = np.array(json.loads(GRADIENTS))
w = keras.Variable(np.ones((gradients.shape[1], 1)))
optimizer = getattr(keras.optimizers, NAME)(**json.loads(OPTIONS))
optimizer.build([w])
for t, g in enumerate(gradients, 1):
    optimizer.apply([keras.ops.convert_to_tensor(g)], [w])
    if t in (1, 10, 100):
        found[t] = keras.ops.convert_to_numpy(w).tolist()
print(json.dumps(found))
"""


@needs_keras
@pytest.mark.slow
@pytest.mark.parametrize(("own", "name", "options"), KERAS, ids=[repr(own) for own, *_ in KERAS])
def test_steps_of_keras(own: Any, name: str, options: dict[str, Any]) -> None:
    code = CODE.replace("GRADIENTS", repr(json.dumps(gradients().tolist())))
    code = code.replace("NAME", repr(name)).replace("OPTIONS", repr(json.dumps(options)))
    found, theirs = own_steps(own), keras_result(code)
    for t in STEPS:
        assert_same_training(found[t], theirs[str(t)], dtype="float64", name=f"step {t}")

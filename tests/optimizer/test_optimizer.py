"""Optimizers of both backends against the oracle: one step, ten steps, trajectories of training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support import oracle
from support.mark import slow_but
from support.optimizer_case import MORE_OPTIMIZERS
from support.random_network import Case, random_case, without_randomness
from support.tolerance import assert_different, assert_near

import fastbp as fb
from fastbp.plan.threshold import WEIGHT_PARALLEL_PARAMETERS

Array = NDArray[Any]

OPTIMIZERS: list[Any] = [
    fb.SGD(0.1),
    fb.SGD(0.1, momentum=0.9),
    fb.SGD(0.1, momentum=0.5, nesterov=True),
    fb.Adam(0.01),
    fb.Adam(0.1, beta1=0.0, beta2=0.5),
    fb.Adam(0.01, epsilon=0.3),
    fb.AdamW(0.01, weight_decay=0.5),
    fb.AdamW(0.01, weight_decay=0.5, decay_bias=True),
    *MORE_OPTIMIZERS,
    fb.SGD(0.1, momentum=0.9, scaled_momentum=True),
    fb.SGD(0.1, momentum=0.5, nesterov=True, scaled_momentum=True),
    fb.Adam(0.01, epsilon=0.3, epsilon_hat=True),
]
PENALTIES: list[dict[str, Any]] = [
    {},
    {"l1": 0.02},
    {"l2": 0.3},
    {"l1": 0.02, "l2": 0.3, "regularize_bias": True},
]
every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
every_penalty = pytest.mark.parametrize("penalty", PENALTIES, ids=str)


def layers_of(penalty: dict[str, Any]) -> list[Any]:
    """Kernels by rows and by columns, no bias, a projection, one layer without penalty."""
    return [
        fb.Input(5),
        fb.Dense(17, "tanh", **penalty),
        fb.Residual([fb.Dense(6, "sigmoid", use_bias=False, **penalty)], projection="auto"),
        fb.Dense(9, "tanh"),
        fb.Dense(2, **penalty),
    ]


def network_of(optimizer: Any, penalty: dict[str, Any], dtype: str, backend: str) -> fb.Network:
    network = fb.Network(
        layers_of(penalty), optimizer=optimizer, dtype=dtype, backend=backend, seed=4, loss="mse"
    )
    rng = np.random.default_rng(2)
    network.set_weights([
        rng.choice([-1, 1], w.shape) * rng.uniform(2, 4, w.shape) for w in network.get_weights()
    ])  # fmt: skip  # far from 0, where the sign of l1 would be a matter of rounding
    return network


@every_optimizer
@every_penalty
@pytest.mark.parametrize("steps", [1, 10, 100])
def test_steps_with_given_gradients(
    optimizer: Any, penalty: dict[str, Any], steps: int, backend: str, dtype: str
) -> None:
    """`step` on gradients of our own: nothing but the optimizer is under test."""
    network = network_of(optimizer, penalty, dtype, backend)
    terms = oracle.penalties(network.layers)
    exact = [w.astype(np.float64) for w in network.get_weights()]
    states = [[np.zeros_like(w) for _ in optimizer.state_names] for w in exact]
    sizes = [np.abs(w) for w in exact]
    network.forward(np.zeros((1, 5)))
    network.backward(np.ones((1, 2)))
    rng = np.random.default_rng(9)
    for t in range(1, steps + 1):
        for i, view in enumerate(network.gradients.values()):
            view[...] = rng.normal(size=view.shape)
            l1, l2, is_bias = terms[i]
            decays = not is_bias or getattr(optimizer, "decay_bias", False)
            g = oracle.penalised(view.astype(np.float64), exact[i], l1, l2)
            exact[i], states[i] = oracle.step(optimizer, exact[i], g, states[i], t, decays=decays)
            sizes[i] = np.maximum(sizes[i], np.abs(exact[i])) + 0.1
        network.step()
    assert network.steps == steps
    for (name, got), want, size in zip(network.parameters.items(), exact, sizes, strict=True):
        assert_near(got, want, dtype=dtype, length=steps, magnitude=size, name=name)
    names = [f"{state}/{name}" for state in optimizer.state_names for name in network.parameters]
    assert list(network.optimizer_state) == names
    for s, state in enumerate(optimizer.state_names):
        for i, name in enumerate(network.parameters):
            got, want = network.optimizer_state[f"{state}/{name}"], states[i][s]
            assert_near(
                got,
                want,
                dtype=dtype,
                length=steps,
                magnitude=np.abs(want) + 1,
                name=f"{state}/{name}",
            )


# Without momentum and with a small epsilon Adam steps by the sign of the gradient: near a minimum
# the trajectory is chaotic and the last bit decides.  An epsilon of the gradient's size keeps it
# smooth.
SMOOTH = [
    fb.Adam(0.1, beta1=0.0, beta2=0.5, epsilon=0.05) if o == OPTIMIZERS[4] else o
    for o in OPTIMIZERS
]


@pytest.mark.parametrize("optimizer", SMOOTH, ids=repr)
@pytest.mark.parametrize(
    "penalty",
    slow_but([{"l2": 0.05}], [PENALTIES[0], {"l2": 0.05}, {"l2": 0.05, "regularize_bias": True}]),
    ids=str,
)
@pytest.mark.slow
def test_trajectory_of_fifty_steps(
    optimizer: Any, penalty: dict[str, Any], backend: str, dtype: str
) -> None:
    """Ten epochs of five batches, the last one short: every loss, and the parameters at the end."""
    rng = np.random.default_rng(12)
    X, Y = rng.normal(size=(2, 46, 5)).astype(dtype).astype(float)
    y = np.tanh(Y[:, :2] + X[:, :2])
    y = y.astype(dtype).astype(float)
    network = fb.Network(
        layers_of(penalty), optimizer=optimizer, dtype=dtype, backend=backend, seed=4, loss="mse"
    )
    start = network.get_weights()
    batches = [list(range(i, min(i + 10, 46))) for i in range(0, 46, 10)]
    history = network.fit(X, y, batches=batches, epochs=10, verbose=False)
    want, losses = oracle.train(network.layers, network.loss, optimizer, start, X, y, batches * 10)
    assert network.steps == len(losses) == 50
    means = np.reshape(losses, (10, 5)) @ [10, 10, 10, 10, 6] / 46
    assert_near(history.history["loss"], means, dtype=dtype, length=50 * 46, name="loss")
    for (name, got), value, before in zip(network.parameters.items(), want, start, strict=True):
        size = float(np.abs(value).max()) + 1
        assert_near(got, value, dtype=dtype, length=50 * 46, magnitude=size, name=name)
        assert_different(value, before, dtype="float64", length=50 * 46, magnitude=size)


# one column that feeds many, many that feed one, in each regime of the plan
BOTTLENECKS = [
    (3, 1, 200, 2),
    (5, 40, 1, 33, 1, 70, 3),
    (1, 9, 1),
    (4, 1, 17, 17),
    (2, 300, 1, 300, 2),
]


@pytest.mark.parametrize("sizes", BOTTLENECKS, ids=lambda sizes: "-".join(map(str, sizes)))
def test_trajectory_through_a_bottleneck(
    sizes: tuple[int, ...], backend: str, dtype: str, rng: np.random.Generator
) -> None:
    layers = [fb.Input(sizes[0]), *(fb.Dense(n, "tanh") for n in sizes[1:])]
    X = rng.normal(size=(30, sizes[0])).astype(dtype).astype(float)
    y = rng.normal(size=(30, sizes[-1])).astype(dtype).astype(float)
    assert_trajectory(Case(layers, fb.Loss("mse"), [], X, y), backend, dtype)


@pytest.mark.parametrize("seed", slow_but(range(300, 305), range(300, 360)))
@pytest.mark.parametrize("smallest", [WEIGHT_PARALLEL_PARAMETERS.value, 1])
def test_trajectory_of_random_networks(
    seed: int, smallest: int, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the regime of their size, and where even the smallest kernels are shared by threads."""
    monkeypatch.setattr(WEIGHT_PARALLEL_PARAMETERS, "value", smallest)
    assert_trajectory(without_randomness(random_case(seed)), backend, "float64")


def assert_trajectory(case: Case, backend: str, dtype: str) -> None:
    """Two epochs in one call: what a step leaves behind is what the next begins with."""
    network = fb.Network(
        case.layers,
        loss=case.loss,
        optimizer=fb.SGD(0.05),
        dtype=dtype,
        backend=backend,
        seed=1,
    )
    if case.weights:
        network.set_weights(case.weights)
    start = network.get_weights()
    n = len(case.X)
    batches = [list(range(i, min(i + 8, n))) for i in range(0, n, 8)]
    history = network.fit(case.X, case.y, batches=batches, epochs=2, verbose=False)
    want, losses = oracle.train(
        network.layers, network.loss, network.optimizer, start, case.X, case.y, batches * 2
    )
    seen = [len(rows) for rows in batches]
    means = np.reshape(losses, (2, -1)) @ seen / n
    length = 2 * n + sum(len(w) for w in start)
    assert_near(
        history.history["loss"], means, dtype=dtype, length=length, magnitude=np.abs(means) + 1
    )
    for tensor in network._state.layout.tensors:
        stored = network._state.parameters[tensor.offset : tensor.offset + tensor.size]
        padding = stored.reshape(tensor.rows, tensor.ld)[:, tensor.columns :]
        assert (padding == 0).all(), tensor.name
    for (name, got), value in zip(network.parameters.items(), want, strict=True):
        size = np.abs(value).max() + 1
        assert_near(got, value, dtype=dtype, length=length, magnitude=size, name=name)


@every_optimizer
def test_train_steps_and_batches_are_the_steps_of_fit(
    optimizer: Any, backend: str, dtype: str
) -> None:
    """One call of many steps, many calls of one step, forward/backward/step: one trajectory."""
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(24, 5)), rng.normal(size=(24, 2))
    nets = [network_of(optimizer, PENALTIES[3], dtype, backend) for _ in range(4)]
    nets[0].fit(X, y, batch_size=8, epochs=2, shuffle=False, verbose=False)
    nets[1].train_steps(X, y, steps=6, batch_size=8, shuffle=False)
    for part in (slice(0, 8), slice(8, 16), slice(16, 24)) * 2:
        nets[2].train_on_batch(X[part], y[part])
        out = nets[3].forward(X[part])
        nets[3].backward(2 * (out - y[part].astype(dtype)) / out.size)
        nets[3].step()
    for other in nets[1:]:
        assert other.steps == 6
        for got, want in zip(other.get_weights(), nets[0].get_weights(), strict=True):
            assert_near(got, want, dtype=dtype, length=6 * 24 * 4, magnitude=np.abs(want).max())
    np.testing.assert_array_equal(nets[1].get_weights()[0], nets[0].get_weights()[0])


@every_penalty
def test_reported_loss_leaves_penalties_out(
    penalty: dict[str, Any], backend: str, dtype: str
) -> None:
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(7, 5)), rng.normal(size=(7, 2))
    network = network_of(fb.SGD(0.0), penalty, dtype, backend)
    out, _, _ = oracle.run(network.layers, [w.astype(float) for w in network.get_weights()], X)
    want = float(oracle.loss_value(network.loss, out, y))
    traced = network.trace(X, y)
    figures = [traced["loss"], network.evaluate(X, y)["loss"], network.train_on_batch(X, y)]
    figures.append(network.fit(X, y, verbose=False).history["loss"][0])
    assert_near(figures, [want] * 4, dtype=dtype, length=100)
    plain = network_of(fb.SGD(0.0), {}, dtype, backend)
    for name, gradient in plain.trace(X, y).items():
        np.testing.assert_array_equal(gradient, traced[name], err_msg=name)


def test_penalty_does_not_depend_on_the_batch(backend: str, dtype: str) -> None:
    """Without a gradient a step shrinks kernels by rate * l2 and leaves biases."""
    for rows in (1, 50):
        network = network_of(fb.SGD(0.5), {"l2": 0.3}, dtype, backend)
        before = network.get_weights()
        X = np.zeros((rows, 5))
        network.train_on_batch(X, network(X))
        shrinks = [l2 for _, l2, _ in oracle.penalties(network.layers)]
        for got, was, l2 in zip(network.get_weights(), before, shrinks, strict=True):
            assert_near(got, was * (1 - 0.5 * l2), dtype=dtype, length=100, magnitude=np.abs(was))


@pytest.mark.parametrize("decay_bias", [False, True])
def test_decay_of_adamw(decay_bias: bool, backend: str, dtype: str) -> None:
    """Without a gradient kernels shrink by rate * weight_decay; biases only when asked."""
    optimizer = fb.AdamW(0.1, weight_decay=0.5, decay_bias=decay_bias)
    network = network_of(optimizer, {}, dtype, backend)
    before = {name: value.astype(float) for name, value in network.parameters.items()}
    network.forward(np.zeros((1, 5)))
    network.backward(np.zeros((1, 2)))
    for _ in range(3):
        network.step()
    for name, value in network.parameters.items():
        factor = 0.95**3 if decay_bias or name.endswith("kernel") else 1.0
        assert_near(value, before[name] * factor, dtype=dtype, length=3, name=name)


def test_first_step_of_adam_has_the_size_of_the_rate(backend: str, dtype: str) -> None:
    """By hand: m_hat = g, v_hat = g^2: w moves by rate g / (|g| + epsilon)."""
    network = network_of(fb.Adam(0.125, epsilon=2.0**-7), {}, dtype, backend)
    before = network.get_weights()
    network.forward(np.zeros((1, 5)))
    network.backward(np.zeros((1, 2)))
    g = [2.0**-7, -40.0, 2.0]  # half a step, and nearly whole ones
    moves = [0.5, -40 / (40 + 2.0**-7), 2 / (2 + 2.0**-7)]
    for view in network.gradients.values():
        view[...] = np.resize(g, view.shape)
    network.step()
    for got, was in zip(network.get_weights(), before, strict=True):
        want = was - 0.125 * np.resize(moves, was.shape)
        assert_near(got, want, dtype=dtype, length=2, magnitude=np.abs(was) + 1)

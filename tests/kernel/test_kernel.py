"""Kernels of every build, one by one: functions and steps against the oracle, shuffling, bits."""

from __future__ import annotations

from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support import oracle
from support.tolerance import assert_near, difference_bound

from fastbp import SGD, Activation, Adam, AdamW
from fastbp.activation import CODES
from fastbp.backend import compiled_modules
from fastbp.random import permutation

Array = NDArray[Any]

MODULES: dict[tuple[str, str], ModuleType] = compiled_modules()
BUILDS = [pytest.param(*key, id="-".join(key)) for key in MODULES]
every_build = pytest.mark.parametrize(("build", "dtype"), BUILDS)
DTYPES = ["float32", "float64"]
CANARY = 7.25


# ---- activations --------------------------------------------------------------------------------

ACTIVATIONS = [Activation(name) for name in CODES if name != "softmax"]
ACTIVATIONS += [Activation("leaky_relu", alpha=0.3), Activation("elu", alpha=1.7)]


def preactivations(dtype: str) -> Array:
    """Numbers of all sizes whose functions are no subnormal, the two zeros among them."""
    z = np.concatenate(
        [
            np.linspace(-12, 12, 481),
            np.geomspace(1e-12, 80, 60),
            -np.geomspace(1e-12, 12, 60),
            [0.0, -0.0],
        ]
    )
    return z.astype(dtype)


def conditioned(z: Array, dtype: str) -> Array:
    """The oracle's own error: Phi and phi amplify their argument's rounding by its square."""
    return 1 + z**2 if dtype == "float64" else np.ones_like(z)


@every_build
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_activation(build: str, dtype: str, activation: Activation) -> None:
    z = preactivations(dtype)
    a = np.full_like(z, CANARY)
    MODULES[build, dtype].apply_activation(activation.code, z, a, activation.alpha)
    exact = z.astype(np.float64)
    want = oracle.activate(activation, exact)
    own = want * conditioned(exact, dtype) if activation.name == "gelu" else want
    assert_near(a, want, dtype=dtype, length=0, magnitude=own, name=activation.name)
    same = z.copy()
    MODULES[build, dtype].apply_activation(activation.code, same, same, activation.alpha)
    np.testing.assert_array_equal(same, a)


def slope_magnitude(activation: Activation, z: Array, dtype: str) -> Array:
    """What cancels: 1 in 1 - a^2 and 1 - a, alpha in a + alpha, both terms of gelu and silu."""
    name = activation.name
    if name == "tanh":
        return np.ones_like(z)
    if name == "sigmoid":
        return oracle.sigmoid(z)
    if name == "elu":
        return np.where(z > 0, 1, activation.alpha)
    if name == "selu":
        return np.full_like(z, oracle.SELU_SCALE * oracle.SELU_ALPHA)
    if name == "gelu":
        return (oracle.normal_cdf(z) + np.abs(z) * oracle.normal_pdf(z)) * conditioned(z, dtype)
    if name == "silu":
        return oracle.sigmoid(z) * (1 + np.abs(z))
    return oracle.slope(activation, z)


@every_build
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_derivative(build: str, dtype: str, activation: Activation) -> None:
    module, z = MODULES[build, dtype], preactivations(dtype)
    z = z[(np.abs(z) > 1e-6) | (z == 0)]  # elu and selu tell the side of smaller ones from a
    d = np.random.default_rng(5).normal(size=z.shape).astype(dtype)
    a, got = np.empty_like(z), d.copy()
    module.apply_activation(activation.code, z, a, activation.alpha)
    module.apply_derivative(activation.code, z, a, got, activation.alpha)
    exact = z.astype(np.float64)
    size = np.abs(d) * slope_magnitude(activation, exact, dtype)
    assert_near(
        got,
        d * oracle.slope(activation, exact),
        dtype=dtype,
        length=0,
        magnitude=size,
        name=activation.name,
    )


@pytest.mark.parametrize("build", [build for build, dtype in MODULES if dtype == "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_derivative_is_that_of_the_activation(build: str, activation: Activation) -> None:
    """Central differences of fourth order of the kernel's own function."""
    module, h = MODULES[build, "float64"], 1e-3
    z = np.linspace(-9.0005, 9.0005, 300)

    def f(x: Array) -> Array:
        out = np.empty_like(x)
        module.apply_activation(activation.code, x, out, activation.alpha)
        return out

    difference = (8 * (f(z + h) - f(z - h)) - (f(z + 2 * h) - f(z - 2 * h))) / (12 * h)
    slope = np.ones_like(z)
    module.apply_derivative(activation.code, z, f(z), slope, activation.alpha)
    assert (np.abs(slope - difference) <= difference_bound(h, order=4, value=f(z))).all()
    assert activation.name == "linear" or np.ptp(slope) > 0.1


@every_build
def test_functions_refuse(build: str, dtype: str) -> None:
    module, x, y = MODULES[build, dtype], np.zeros(3, dtype), np.zeros(4, dtype)
    for call in (
        lambda: module.apply_activation(1, x, y),
        lambda: module.apply_activation(10, x, x),
    ):
        with pytest.raises(ValueError, match="must have one length, and softmax needs rows"):
            call()
    for call in (
        lambda: module.apply_derivative(1, x, x, y),
        lambda: module.apply_derivative(10, x, x, x),
    ):
        with pytest.raises(ValueError, match="must have one length, and softmax needs rows"):
            call()
    with pytest.raises(ValueError, match="must have one length, hyper 7 numbers, power 2"):
        module.apply_step(np.ones(7), np.ones(2), x, x, y, x)
    with pytest.raises(ValueError, match="order must have 2 elements, got 3"):
        module.shuffled(2, 0, 0, np.zeros(3, np.uint32))


# ---- optimizers ---------------------------------------------------------------------------------

OPTIMIZERS: list[SGD | Adam] = [
    SGD(0.1),
    SGD(0.1, momentum=0.9),
    SGD(0.1, momentum=0.5, nesterov=True),
    Adam(0.01),
    Adam(0.1, beta1=0.0, beta2=0.5),
    Adam(0.01, epsilon=0.3),
    AdamW(0.01, weight_decay=0.5),
    AdamW(0.01, weight_decay=0.0),
]


def hyper_of(optimizer: Any) -> Array:
    numbers = ("learning_rate", "momentum", "beta1", "beta2", "epsilon", "weight_decay")
    return np.array(
        [float(optimizer.code), *(float(getattr(optimizer, name, 0.0)) for name in numbers)]
    )


@every_build
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.02, 0.0), (0.0, 0.3), (0.02, 0.3)])
def test_optimizer_step(build: str, dtype: str, optimizer: Any, l1: float, l2: float) -> None:
    """Ten steps over a length that leaves a rest in every grouping of blocks; w = 0 has no sign."""
    module, rng, n = MODULES[build, dtype], np.random.default_rng(8), 336
    w = (rng.choice([-1, 1], n) * rng.uniform(2, 4, n)).astype(dtype)
    w[:2] = 0
    m, v = np.zeros((2, n), dtype)
    exact, state, power = (
        w.astype(np.float64),
        [np.zeros(n)] * len(optimizer.state_names),
        np.ones(2),
    )
    size = np.abs(exact) + 1
    for t in range(1, 11):
        g = rng.normal(size=n).astype(dtype)
        g[0] = 0
        power *= getattr(optimizer, "beta1", 0.0), getattr(optimizer, "beta2", 0.0)
        module.apply_step(hyper_of(optimizer), power, w, g, m, v, l1=l1, l2=l2, decays=t != 5)
        total = oracle.penalised(g, exact, l1, l2)
        exact, state = oracle.step(optimizer, exact, total, state, t, decays=t != 5)
        size += np.abs(exact)
        assert_near(
            w, exact, dtype=dtype, length=t, magnitude=size / t + 1, name=f"w after step {t}"
        )
    assert w[0] == 0 and (w[2:] != 0).all()
    for got, want in zip((m, v), state, strict=False):
        assert_near(got, want, dtype=dtype, length=10, magnitude=np.abs(want) + 1, name="state")


# ---- shuffling and bits -------------------------------------------------------------------------


@every_build
@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 128, 129, 130, 257, 1797])
@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (2**64 - 1, 2**32 - 1), (1, 2**32 + 3)])
def test_shuffled_is_its_numpy_twin(build: str, dtype: str, n: int, seed: int, epoch: int) -> None:
    order = np.full(n, 9, np.uint32)
    MODULES[build, dtype].shuffled(n, seed, epoch, order)
    np.testing.assert_array_equal(order, permutation(n, seed=seed, epoch=epoch))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("builds", [("v4", "v3"), ("v2", "portable")], ids="-".join)
def test_same_bits_on_every_instruction_set(builds: tuple[str, str], dtype: str) -> None:
    """Builds with fused multiply-add agree on every kernel, and so do the builds without."""
    pair = [MODULES[build, dtype] for build in builds if (build, dtype) in MODULES]
    if len(pair) < 2:
        pytest.skip(f"this CPU and installation run one of {builds} or none")
    results: list[list[bytes]] = []
    for module in pair:
        found = []
        for activation in ACTIVATIONS:
            z = preactivations(dtype)
            a, d = np.empty_like(z), np.ones_like(z)
            module.apply_activation(activation.code, z, a, activation.alpha)
            module.apply_derivative(activation.code, z, a, d, activation.alpha)
            found += [a.tobytes(), d.tobytes()]
        for optimizer, l1, l2 in product(OPTIMIZERS, (0.0, 0.02), (0.0, 0.3)):
            rng, power, n = np.random.default_rng(4), np.ones(2), 336
            w, m, v = rng.normal(size=n).astype(dtype), np.zeros(n, dtype), np.zeros(n, dtype)
            for _ in range(5):
                power *= getattr(optimizer, "beta1", 0.0), getattr(optimizer, "beta2", 0.0)
                g = rng.normal(size=n).astype(dtype)
                module.apply_step(hyper_of(optimizer), power, w, g, m, v, l1=l1, l2=l2)
            found += [w.tobytes(), m.tobytes(), v.tobytes()]
        results.append(found)
    assert results[0] == results[1]

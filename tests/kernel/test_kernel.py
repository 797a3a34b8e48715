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
from fastbp.activation import ACTIVATIONS
from fastbp.backend import compiled_modules
from fastbp.random import permutation

Array = NDArray[Any]

MODULES: dict[tuple[str, str], ModuleType] = compiled_modules()
BUILDS = [pytest.param(*key, id="-".join(key)) for key in MODULES]
every_build = pytest.mark.parametrize(("build", "dtype"), BUILDS)
DTYPES = ["float32", "float64"]
CANARY = 7.25


# ---- activations --------------------------------------------------------------------------------

EACH_ACTIVATION = [Activation(name) for name in ACTIVATIONS if name != "softmax"]
EACH_ACTIVATION += [Activation("leaky_relu", alpha=0.3), Activation("elu", alpha=1.7)]


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
@pytest.mark.parametrize("activation", EACH_ACTIVATION, ids=repr)
def test_activation(build: str, dtype: str, activation: Activation) -> None:
    z = preactivations(dtype)
    a = np.full_like(z, CANARY)
    MODULES[build, dtype].apply_activation(activation.name, z, a, activation.alpha)
    exact = z.astype(np.float64)
    want = oracle.activate(activation, exact)
    own = want * conditioned(exact, dtype) if activation.name == "gelu" else want
    assert_near(a, want, dtype=dtype, length=0, magnitude=own, name=activation.name)
    same = z.copy()
    MODULES[build, dtype].apply_activation(activation.name, same, same, activation.alpha)
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
@pytest.mark.parametrize("activation", EACH_ACTIVATION, ids=repr)
def test_derivative(build: str, dtype: str, activation: Activation) -> None:
    module, z = MODULES[build, dtype], preactivations(dtype)
    z = z[(np.abs(z) > 1e-6) | (z == 0)]  # elu and selu tell the side of smaller ones from a
    d = np.random.default_rng(5).normal(size=z.shape).astype(dtype)
    a, alone, got, exact = np.empty_like(z), np.empty_like(z), d.copy(), z.astype(np.float64)
    module.apply_activation(activation.name, z, alone, activation.alpha)
    module.apply_derivative(activation.name, z, a, got, activation.alpha)
    np.testing.assert_array_equal(a, alone)
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
@pytest.mark.parametrize("activation", EACH_ACTIVATION, ids=repr)
def test_derivative_is_that_of_the_activation(build: str, activation: Activation) -> None:
    """Central differences of fourth order of the kernel's own function."""
    module, h = MODULES[build, "float64"], 1e-3
    z = np.linspace(-9.0005, 9.0005, 300)

    def f(x: Array) -> Array:
        out = np.empty_like(x)
        module.apply_activation(activation.name, x, out, activation.alpha)
        return out

    difference = (8 * (f(z + h) - f(z - h)) - (f(z + 2 * h) - f(z - 2 * h))) / (12 * h)
    slope = np.ones_like(z)
    module.apply_derivative(activation.name, z.copy(), np.empty_like(z), slope, activation.alpha)
    assert (np.abs(slope - difference) <= difference_bound(h, order=4, value=f(z))).all()
    assert activation.name == "linear" or np.ptp(slope) > 0.1


@every_build
def test_functions_refuse(build: str, dtype: str) -> None:
    module, x, y = MODULES[build, dtype], np.zeros(3, dtype), np.zeros(4, dtype)
    for call in (
        lambda: module.apply_activation("relu", x, y),
        lambda: module.apply_activation("softmax", x, x),
        lambda: module.apply_derivative("relu", x, x, y),
        lambda: module.apply_derivative("softmax", x, x, x),
    ):
        with pytest.raises(ValueError, match="must have one length, and softmax needs rows"):
            call()
    with pytest.raises(ValueError, match="w, g and each of 1 slots must have one length"):
        module.apply_step("momentum", (1.0, 0.5), np.ones(0), x, x, y[None])
    with pytest.raises(ValueError, match=r"'momentum' has \(1.0,\), its kernel takes 2"):
        module.apply_step("momentum", (1.0,), np.ones(0), x[:0], x[:0], y[None, :0])
    with pytest.raises(ValueError, match="power must have 2 elements, got 1"):
        module.apply_step("adam", np.ones(5), np.ones(1), x[:0], x[:0], np.ones((2, 0), dtype))
    for call in (
        lambda: module.apply_activation("relo", x, x),
        lambda: module.apply_derivative("relo", x, x, x),
        lambda: module.apply_step("adan", (), np.ones(0), x, x, y[None]),
    ):
        with pytest.raises(ValueError, match=r"unknown (activation|optimizer) '.*'; known: \w+, "):
            call()
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


@every_build
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.02, 0.0), (0.0, 0.3), (0.02, 0.3)])
def test_optimizer_step(build: str, dtype: str, optimizer: Any, l1: float, l2: float) -> None:
    """Ten steps over a length that leaves a rest in every grouping of blocks; w = 0 has no sign."""
    module, rng, n = MODULES[build, dtype], np.random.default_rng(8), 336
    w = (rng.choice([-1, 1], n) * rng.uniform(2, 4, n)).astype(dtype)
    w[:2] = 0
    slots = np.zeros((len(optimizer.state_names), n), dtype)
    exact, state = w.astype(np.float64), [np.zeros(n) for _ in slots]
    power = np.ones(len(optimizer.powers))
    size = np.abs(exact) + 1
    for t in range(1, 11):
        g = rng.normal(size=n).astype(dtype)
        g[0] = 0
        power *= optimizer.powers
        own = optimizer.formula, optimizer.numbers, power
        module.apply_step(*own, w, g, slots, l1=l1, l2=l2, decays=t != 5)
        total = oracle.penalised(g, exact, l1, l2)
        exact, state = oracle.step(optimizer, exact, total, state, t, decays=t != 5)
        size += np.abs(exact)
        assert_near(
            w, exact, dtype=dtype, length=t, magnitude=size / t + 1, name=f"w after step {t}"
        )
    assert w[0] == 0 and (w[2:] != 0).all()
    for got, want in zip(slots, state, strict=True):
        assert_near(got, want, dtype=dtype, length=10, magnitude=np.abs(want) + 1, name="state")


def five_steps(module: Any, optimizer: Any, dtype: str, **options: Any) -> list[bytes]:
    """Parameters and state after them, their bits."""
    rng, power, n = np.random.default_rng(4), np.ones(len(optimizer.powers)), 336
    w, slots = rng.normal(size=n).astype(dtype), np.zeros((len(optimizer.state_names), n), dtype)
    for _ in range(5):
        power *= optimizer.powers
        g = rng.normal(size=n).astype(dtype)
        own = optimizer.formula, optimizer.numbers, power
        module.apply_step(*own, w, g, slots, **options)
    return [w.tobytes(), slots.tobytes()]


@every_build
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.02, 0.3)])
def test_tuned_step_has_the_bits_of_the_formula(
    build: str, dtype: str, optimizer: Any, l1: float, l2: float
) -> None:
    module = MODULES[build, dtype]
    for decays in (True, False):
        options = {"l1": l1, "l2": l2, "decays": decays}
        tuned = five_steps(module, optimizer, dtype, **options)
        assert tuned == five_steps(module, optimizer, dtype, tuned=False, **options)


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
        for activation in EACH_ACTIVATION:
            z = preactivations(dtype)
            a, d = np.empty_like(z), np.ones_like(z)
            module.apply_activation(activation.name, z, a, activation.alpha)
            module.apply_derivative(activation.name, z, a, d, activation.alpha)
            found += [a.tobytes(), d.tobytes()]
        for optimizer, l1, l2 in product(OPTIMIZERS, (0.0, 0.02), (0.0, 0.3)):
            found += five_steps(module, optimizer, dtype, l1=l1, l2=l2)
        results.append(found)
    assert results[0] == results[1]

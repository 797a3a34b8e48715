"""Kernels of every build, one by one: functions and steps against the oracle, shuffling, bits."""

from __future__ import annotations

from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support import oracle
from support.optimizer_case import MORE_OPTIMIZERS
from support.tolerance import assert_near, difference_bound

from fastbp import SGD, Activation, Adam, AdamW
from fastbp.activation import ACTIVATIONS, OF_ROWS
from fastbp.backend import compiled_modules
from fastbp.random import permutation

Array = NDArray[Any]

MODULES: dict[tuple[str, str], ModuleType] = compiled_modules()
BUILDS = [pytest.param(*key, id="-".join(key)) for key in MODULES]
every_build = pytest.mark.parametrize(("build", "dtype"), BUILDS)
DTYPES = ["float32", "float64"]
CANARY = 7.25


# ---- activations --------------------------------------------------------------------------------

EACH_ACTIVATION = [Activation(name) for name in ACTIVATIONS if name not in OF_ROWS]
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


def steep(z: Array) -> Array:
    """By how much the sigmoid in gelu's form with tanh amplifies roundings of its argument."""
    return 1 + np.abs(1.6 * z + 0.0714 * z**3)


@every_build
@pytest.mark.parametrize("activation", EACH_ACTIVATION, ids=repr)
def test_activation(build: str, dtype: str, activation: Activation) -> None:
    z = preactivations(dtype)
    z = z[z > -9] if activation.name == "gelu_tanh" else z  # beyond, its sigmoid is subnormal
    a = np.full_like(z, CANARY)
    MODULES[build, dtype].apply_activation(activation.name, z, a, activation.alpha)
    exact = z.astype(np.float64)
    want = oracle.activate(activation, exact)
    own = want * conditioned(exact, dtype) if activation.name == "gelu" else want
    own = want * steep(exact) if activation.name == "gelu_tanh" else own
    assert_near(a, want, dtype=dtype, length=0, magnitude=own, name=activation.name)
    same = z.copy()
    MODULES[build, dtype].apply_activation(activation.name, same, same, activation.alpha)
    np.testing.assert_array_equal(same, a)


@every_build
def test_tuned_tanh_has_the_bits_of_the_formula(build: str, dtype: str) -> None:
    """Whole vectors, single ones and what is left behind them."""
    module, z = MODULES[build, dtype], preactivations(dtype)
    z = np.concatenate([[np.nan, np.inf, -np.inf, 19.999, 20, 20.001, 1e30, -1e30], z, -z])
    for n in (1, 7, 8, 16, 40, 64, 80, 129, len(z)):
        own = z[:n].astype(dtype)
        want, got = np.empty_like(own), np.empty_like(own)
        module.apply_function("tanh", own, want)
        module.apply_activation("tanh", own, got)
        np.testing.assert_array_equal(got, want)
        assert got[1:].tobytes() == want[1:].tobytes()


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
    if name == "gelu_tanh":
        return oracle.sigmoid(1.6 * z + 0.0714 * z**3) * steep(z) * (1 + np.abs(z) + z**2)
    if name in ("silu", "mish"):
        return oracle.sigmoid(z) * (1 + np.abs(z))
    return oracle.slope(activation, z)


@every_build
@pytest.mark.parametrize("activation", EACH_ACTIVATION, ids=repr)
def test_derivative(build: str, dtype: str, activation: Activation) -> None:
    module, z = MODULES[build, dtype], preactivations(dtype)
    z = z[z > -9] if activation.name == "gelu_tanh" else z
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

OPTIMIZERS: list[Any] = [
    SGD(0.1),
    SGD(0.1, momentum=0.9),
    SGD(0.1, momentum=0.5, nesterov=True),
    Adam(0.01),
    Adam(0.1, beta1=0.0, beta2=0.5),
    Adam(0.01, epsilon=0.3),
    AdamW(0.01, weight_decay=0.5),
    AdamW(0.01, weight_decay=0.0),
    *MORE_OPTIMIZERS,
    SGD(0.1, momentum=0.9, scaled_momentum=True),
    SGD(0.1, momentum=0.5, nesterov=True, scaled_momentum=True),
    Adam(0.01, epsilon=0.3, epsilon_hat=True),
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
    """Whichever kernel the processor at hand makes an engine take."""
    module, kernels = MODULES[build, dtype], ["found"]
    if optimizer.formula == "adam":
        kernels += ["divider", "reciprocal"]
    for decays in (True, False):
        options = {"l1": l1, "l2": l2, "decays": decays}
        want = five_steps(module, optimizer, dtype, kernel="formula", **options)
        for kernel in kernels:
            assert want == five_steps(module, optimizer, dtype, kernel=kernel, **options)


@every_build
@pytest.mark.parametrize("epsilon", [1e-8, 1e-37, 1e30])
def test_reciprocal_has_the_bits_of_the_divider(build: str, dtype: str, epsilon: float) -> None:
    """States of every size, zeros of both signs, numbers that overflow, infinities and NaN."""
    module, rng, n = MODULES[build, dtype], np.random.default_rng(6), 4096
    sizes = np.array([0, 1e-45, 1e-37, 1e-30, 1e-20, 1e-3, 1, 1e10, 1e30, 1e38, np.inf, np.nan])
    found = []
    slots = rng.choice(sizes, (2, n)) * rng.uniform(0.5, 2, (2, n))
    slots[0] *= rng.choice([-1, 1], n)
    w, g = rng.choice([0, -0.0, 1, -1e-37], n), rng.choice([0, -0.0, 1, 1e-40, -1e38], n)
    with np.errstate(all="ignore"):
        given = [array.astype(dtype) for array in (w, g, slots)]
    for kernel in ("divider", "reciprocal"):
        w, g, state = (array.copy() for array in given)
        optimizer = Adam(1e-3, epsilon=epsilon)
        power = np.array(optimizer.powers)
        module.apply_step("adam", optimizer.numbers, power, w, g, state, kernel=kernel)
        found.append((w, state))
    (want, want_state), (own, own_state) = found
    number = ~np.isnan(want)  # the sign of a NaN is nobody's
    np.testing.assert_array_equal(np.isnan(own), ~number)
    assert own[number].tobytes() == want[number].tobytes()
    np.testing.assert_array_equal(own_state, want_state)


# ---- division by reciprocal, src/machine/vector.h -----------------------------------------------


@pytest.mark.slow
def test_reciprocals_are_rounded_right_whatever_the_approximation() -> None:
    """For all significands b = B / 2**23 between 1 and 2, what the proof of vquotient stands on.

    An approximation to 2**-14, corrected once and rounded upwards, is one of at most two numbers;
    from each the next correction gives 1/b correctly rounded, y = Y / 2**24. With Q = a/b and
    q = a y rounded, the remainder decides rightly at the midpoint beside q, because no number
    divided by b lies nearer to it than the neighbours of b do; and at the next one, where a < b.
    """
    B, one = np.arange(2**23 + 1, 2**24), 2**47
    low = np.ceil(one / B - 0.07).astype(np.int64)  # 2**-28 of 2**24, and rounding
    high = np.ceil(one / B + 2.0**-13).astype(np.int64)
    assert (high - low).max() == 1
    for first in (low, high):
        error = one - B * first  # exact as a number of 24 bits
        assert np.abs(error).max() <= 2**24
        product = first * error
        Y, rest = first + (product >> 47), product & (one - 1)
        Y += (rest > one // 2) | ((rest == one // 2) & (Y & 1 == 1))
        np.testing.assert_array_equal(Y, (2 * one + B) // (2 * B))
        assert ((B - 1) * Y < one).all() and ((B + 1) * Y > one).all()
        off = np.abs(B * Y - one) / B  # of y, in 2**-24
        farthest = 0.5 + (B - 1) / 2**23 * off  # of q, in units of its last place
        assert ((farthest + 1 / B) * (1 + B * off * 2.0**-47) < 1.5).all()


@pytest.mark.slow
@pytest.mark.parametrize("build", [build for build, dtype in MODULES if dtype == "float32"])
def test_quotients_of_all_divisors(build: str) -> None:
    """All significands, beside numerators near the divisor, powers of 2 and random ones."""
    module, rng = MODULES[build, "float32"], np.random.default_rng(7)
    bits = np.arange(0x3F800000, 0x40000000, dtype=np.uint32)
    b, out = bits.view(np.float32), np.empty(2**23, np.float32)
    numerators = [np.full_like(b, 1), np.full_like(b, b[-1]), rng.permutation(b)]
    numerators += [(bits - 2 + np.uint32(shift)).view(np.float32) for shift in range(5)]
    for a in numerators:
        module.quotients(a, b, out)
        assert out.tobytes() == (a / b).tobytes()


@every_build
def test_quotients_of_all_sizes(build: str, dtype: str) -> None:
    """Denormal numbers count as zeros of their sign, in numerators and in quotients."""
    module, rng, n = MODULES[build, dtype], np.random.default_rng(8), 2**18
    tiny, huge = np.finfo(dtype).tiny, np.finfo(dtype).max
    exponents = np.log2(float(tiny)), np.log2(float(huge))
    a = rng.choice([-1, 1], n) * 2.0 ** rng.uniform(exponents[0], exponents[1] - 1, n)
    b = 2.0 ** rng.uniform(exponents[0], exponents[1] - 3, n)
    a[:64] = np.tile([0, -0.0, tiny, -tiny, huge, -huge, np.inf, -np.inf], 8)
    a, b = a.astype(dtype), b.astype(dtype)
    b[:8], b[8:16] = tiny, np.inf
    a[64:96] = 1  # and a divisor that two corrections to nearest would miss
    b[64:96] = np.nextafter(b.dtype.type(2), b.dtype.type(0))
    out = np.empty_like(a)
    module.quotients(a, b, out)
    with np.errstate(all="ignore"):
        want = a / b
    want = np.where(np.abs(want) < tiny, np.copysign(np.zeros_like(want), want), want)
    number = ~np.isnan(want)
    np.testing.assert_array_equal(np.isnan(out), ~number)
    assert out[number].tobytes() == want[number].tobytes()
    with pytest.raises(ValueError, match="one length, whole vectors"):
        module.quotients(a, b[:8], out)


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

"""Kernels one by one: products, activations, losses, updates; the build in use beside NumPy.

extra_info has FLOPs or elements per cycle, at the clock that this process measured.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastbp as fb
from fastbp.activation import ACTIVATIONS
from fastbp.backend import compiled_modules
from fastbp.backend.numpy import kernel as numpy_kernel
from fastbp.benchmark.machine import Probe
from fastbp.plan.arena import allocate
from fastbp.runtime import engine_cache

RANDOM = np.random.Generator(np.random.Philox(3))
PRODUCTS = {  # m, depth, n, whether a is read by columns, as for dW
    "forward 200x32x16": (200, 32, 16, False),
    "forward 128x784x256": (128, 784, 256, False),
    "forward 512x1024x1024": (512, 1024, 1024, False),
    "dX 256x256x256": (256, 256, 256, False),
    "dW 32x200x16": (32, 200, 16, True),
    "dW 784x128x256": (784, 128, 256, True),
    "dW 1024x512x1024": (1024, 512, 1024, True),
}
BUILDS = [*compiled_modules(), ("numpy", "float32"), ("numpy", "float64")]


@pytest.fixture(scope="session")
def clock() -> float:
    """Cycles per second."""
    probe = Probe()
    probe.run()
    return probe.clock()


def random(*shape: int, dtype: str) -> Any:
    array = allocate(int(np.prod(shape)), np.dtype(dtype), purpose="a benchmark")
    array = array[: int(np.prod(shape))].reshape(shape)
    array[...] = RANDOM.standard_normal(shape)
    return array


def note(benchmark: Any, clock: float, unit: str, amount: int) -> None:
    benchmark.extra_info[f"{unit}_per_cycle"] = amount / (benchmark.stats.stats.min * clock)


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize(("build", "dtype"), BUILDS)
def test_product(benchmark: Any, clock: float, product: str, build: str, dtype: str) -> None:
    benchmark.group = f"{product} {dtype}"
    m, depth, n, by_columns = PRODUCTS[product]
    a, b = random(m, depth, dtype=dtype), random(depth, n, dtype=dtype)
    c = random(m, n, dtype=dtype)
    if by_columns:
        a = random(depth, m, dtype=dtype).T
    if build == "numpy":
        benchmark(np.matmul, a, b, out=c)
    else:
        benchmark(compiled_modules()[build, dtype].matrix_product, a, b, c)
    assert np.allclose(c, a @ b, atol=1e-3 * depth**0.5)
    note(benchmark, clock, "flop", 2 * m * depth * n)


@pytest.mark.parametrize(
    "name", [name for name in ACTIVATIONS if name not in ("linear", "softmax")]
)
@pytest.mark.parametrize(("build", "dtype"), BUILDS)
def test_activation(benchmark: Any, clock: float, name: str, build: str, dtype: str) -> None:
    benchmark.group = f"{name} {dtype}"
    z, a = random(4096, dtype=dtype), random(4096, dtype=dtype)
    forward, *_ = numpy_kernel.find_activation(name, 1.0, dtype)
    if build == "numpy":
        benchmark(forward, z)
    else:
        benchmark(compiled_modules()[build, dtype].apply_activation, name, z, a)
        assert np.allclose(a, forward(z), atol=1e-5)
    note(benchmark, clock, "elements", z.size)


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "binary_cross_entropy", "cross_entropy"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", ["cython", "numpy"])
def test_loss(benchmark: Any, clock: float, loss: str, backend: str, dtype: str) -> None:
    """Value and gradient of 256 x 16 outputs."""
    benchmark.group = f"{loss} {dtype}"
    rows, n = 256, 16
    net = fb.Network([4, n], loss=loss, dtype=dtype, seed=0, backend=backend)
    engine, *_ = engine_cache.engine(net._state, "trace", rows)
    engine.forward(random(rows, 4, dtype=dtype))
    y = np.abs(np.tanh(random(rows, n, dtype=dtype)))
    if loss == "cross_entropy":
        y = (np.arange(rows) % n).astype(np.int32)
    benchmark(engine.loss_gradient, y)
    note(benchmark, clock, "elements", rows * n)


@pytest.mark.parametrize("optimizer", [fb.SGD(), fb.SGD(momentum=0.9), fb.Adam()], ids=repr)
@pytest.mark.parametrize(("build", "dtype"), BUILDS)
def test_update(benchmark: Any, clock: float, optimizer: Any, build: str, dtype: str) -> None:
    benchmark.group = f"{optimizer.formula} {dtype}"
    w, g = (np.abs(random(4096, dtype=dtype)) for _ in range(2))
    state = np.abs(random(len(optimizer.state_names), 4096, dtype=dtype))
    numbers, powers = optimizer.numbers, np.array(optimizer.powers)
    if build == "numpy":
        scalars, step = numpy_kernel.find_step(optimizer.formula)
        own = [w.dtype.type(value) for value in scalars(*numbers, *powers)]
        benchmark(step, own, w, g, state, 0.0, 0.0, True)
    else:
        apply_step = compiled_modules()[build, dtype].apply_step
        benchmark(apply_step, optimizer.formula, numbers, powers, w, g, state)
    note(benchmark, clock, "elements", w.size)

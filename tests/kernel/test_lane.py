"""Products with the rows in the lanes, in every build: the bits that src/kernel/lane.pxi names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.product_chain import multiply_add, product_chain

from fastbp.backend import compiled_modules

Array = NDArray[Any]

MODULES = compiled_modules()
every_build = pytest.mark.parametrize(
    ("build", "dtype"), [pytest.param(*key, id="-".join(key)) for key in MODULES]
)
ZERO, OWN = 0, 2
SIZES = [(1, 1), (2, 5), (3, 16), (4, 17), (5, 2), (7, 31), (16, 4), (17, 8), (33, 13), (1, 40)]


def lane_sum(p: Array, q: Array | None, *, block: int, fused: bool) -> Array:
    """sum_r p[r] q[r] over the last axis: `block` interleaved partial sums, added by halves."""
    p = p.reshape(*p.shape[:-1], -1, block)
    q = np.ones_like(p) if q is None else q.reshape(*q.shape[:-1], -1, block)
    part = p[..., 0, :] * q[..., 0, :]
    for i in range(1, p.shape[-2]):
        x, y = np.broadcast_arrays(p[..., i, :], q[..., i, :])
        part = multiply_add(x.copy(), y.copy(), part, fused=fused)
    while part.shape[-1] > 1:
        half = part.shape[-1] // 2
        part = part[..., :half] + part[..., half:]
    return part[..., 0]


@every_build
@pytest.mark.parametrize("rows", [1, 7, 8, 16, 33, 90])
@pytest.mark.parametrize("start", [ZERO, OWN], ids=["zero", "own"])
def test_bits(build: str, dtype: str, rows: int, start: int) -> None:
    """Forward and backward are one chain an element; a gradient is its partial sums."""
    module = MODULES[build, dtype]
    info, block = module.build_info(), module.sizes()["block"]
    lanes = -(-rows // block) * block
    rng = np.random.default_rng(rows)
    for n_in, n_out in SIZES:
        x = rng.normal(size=(rows + 5, n_in)).astype(dtype)
        order = rng.integers(0, rows + 5, rows).astype(np.uint32)
        w, bias = rng.normal(size=(n_in, n_out)).astype(dtype), rng.normal(size=n_out).astype(dtype)
        dz = np.zeros((n_out + 16, lanes), dtype)
        dz[:n_out, :rows] = rng.normal(size=(n_out, rows))
        turned, dx = np.full((2, n_in + 16, lanes), np.nan, dtype)
        z = np.empty((n_out, lanes), dtype)
        g, sums = rng.normal(size=(n_in, n_out)).astype(dtype), rng.normal(size=n_out).astype(dtype)
        before = (g.copy(), sums.copy())
        module.lane_kernels(x, order, w, bias, dz, turned, z, dx, g, sums, start=start)
        rows_of = np.append(order, np.full(lanes - rows, order[-1]))
        assert turned[:n_in].tobytes() == np.ascontiguousarray(x[rows_of].T).tobytes()
        fused = info["fma"]
        want = product_chain(np.ascontiguousarray(w.T), turned[:n_in], bias[:, None], fused=fused)
        assert z.tobytes() == want[-1].tobytes(), (n_in, n_out)
        zero = np.zeros((1, 1), dtype)
        want = product_chain(w, dz[:n_out], zero, fused=fused)
        assert dx[:n_in].tobytes() == want[-1].tobytes(), (n_in, n_out)
        product = lane_sum(turned[:n_in, None], dz[None, :n_out], block=block, fused=fused)
        ones = lane_sum(dz[:n_out], None, block=block, fused=fused)
        if start == OWN:
            product, ones = before[0] + product, before[1] + ones
        assert g.tobytes() == product.tobytes(), (n_in, n_out)
        assert sums.tobytes() == ones.tobytes(), (n_in, n_out)


@every_build
@pytest.mark.parametrize("way", ["rows", "columns", "spread", "backwards", "repeated"])
@pytest.mark.parametrize("in_order", [False, True], ids=["order", "all"])
def test_gathers_any_strides(build: str, dtype: str, way: str, in_order: bool) -> None:
    module = MODULES[build, dtype]
    block = module.sizes()["block"]
    for n, rows in [
        (1, 19),
        (1, 16),
        (2, 33),
        (3, 19),
        (4, 32),
        (5, 19),
        (8, 48),
        (9, 19),
        (20, 37),
    ]:
        x = np.random.default_rng(n).normal(size=(rows, n)).astype(dtype)
        order = np.arange(rows, dtype=np.uint32)
        if way == "columns":
            x = np.asfortranarray(x)
        elif way == "spread":
            x = np.repeat(np.repeat(x, 3, axis=0), 2, axis=1)[::3, ::2]
        elif way == "backwards":
            x = x[::-1, ::-1]
        elif way == "repeated":
            x = np.broadcast_to(x[:1], (rows, n))
        if not in_order:
            order = order[::-1].copy()
        lanes = -(-rows // block) * block
        turned, dx = np.empty((2, n + 16, lanes), dtype)
        dz, z = np.zeros((17, lanes), dtype), np.empty((1, lanes), dtype)
        g, sums = np.empty((n, 1), dtype), np.empty(1, dtype)
        w, bias = np.ones((n, 1), dtype), np.ones(1, dtype)
        module.lane_kernels(x, None if in_order else order, w, bias, dz, turned, z, dx, g, sums)
        assert np.array_equal(turned[:n, :rows], x[order].T)
        assert (turned[:n, rows:] == x[order[-1]][:, None]).all()

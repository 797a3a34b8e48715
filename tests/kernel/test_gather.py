"""Rows of a batch side by side: every width and stride, and nothing read beyond them."""

from __future__ import annotations

import ctypes
import mmap
import sys
from types import ModuleType

import numpy as np
import pytest

import fastbp as fb
from fastbp.backend import compiled_modules

MODULES: dict[tuple[str, str], ModuleType] = compiled_modules()
every_build = pytest.mark.parametrize(("build", "dtype"), list(MODULES), ids="-".join)
WIDTHS = [*range(1, 41), 63, 64, 65, 127, 128, 129, 200, 256]
CANARY = 7.25
LAYOUTS = {
    "C": lambda x: x,
    "F": np.asfortranarray,
    "every other row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "reversed rows": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "every other column": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "reversed columns": lambda x: np.ascontiguousarray(x[:, ::-1])[:, ::-1],
}


def check_gather(module: ModuleType, x: np.ndarray, n: int) -> None:
    block = module.sizes()["block"]
    padded = -(-n // block) * block
    for order in (np.array([3, 0, 4, 4, 1], np.uint32), None):
        for ld in {n, padded, padded + block}:
            whole = np.full(len(x) * ld + block, CANARY, x.dtype)
            out = whole[: len(x) * ld].reshape(len(x), ld)
            module.gathered(x, order, out)
            np.testing.assert_array_equal(out[:, :n], x if order is None else x[order])
            assert (out[:, n:] == 0).all() and (whole[len(x) * ld :] == CANARY).all()


def check_lanes(module: ModuleType, x: np.ndarray, n: int) -> None:
    block = module.sizes()["block"]
    backwards = np.arange(len(x), dtype=np.uint32)[::-1].copy()
    for order in (backwards, None):
        lanes = -(-len(x) // block) * block
        turned, dx, z = (np.full((rows, lanes), CANARY, x.dtype) for rows in (n + 16, n + 16, 1))
        dz, g = np.zeros((17, lanes), x.dtype), np.zeros((n, 1), x.dtype)
        one = np.ones(1, x.dtype)
        module.lane_kernels(x, order, np.ones((n, 1), x.dtype), one, dz, turned, z, dx, g, one)
        rows = x if order is None else x[order]
        np.testing.assert_array_equal(turned[:n, : len(x)], rows.T)
        assert (turned[n:] == CANARY).all()


@every_build
@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_of_every_width(build, dtype, layout):
    for n in WIDTHS:
        x = np.arange(1, 5 * n + 1, dtype=dtype).reshape(5, n)
        check_gather(MODULES[build, dtype], LAYOUTS[layout](x), n)


@pytest.mark.skipif(sys.platform == "win32", reason="pages are protected by mprotect")
@every_build
def test_nothing_is_read_before_or_after_the_rows(build, dtype):
    """Rows that begin, or end, where a page without access does."""
    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, 5 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    for at in (0, 4):
        assert libc.mprotect(ctypes.c_void_p(start + at * page), ctypes.c_size_t(page), 0) == 0
    inside = np.frombuffer(memory, dtype, 3 * page // np.dtype(dtype).itemsize, page)
    inside[:] = np.arange(inside.size)
    for n in WIDTHS:
        for x in (inside[: 5 * n], inside[inside.size - 5 * n :]):
            check_gather(MODULES[build, dtype], x.reshape(5, n), n)
    for n in range(1, 14):
        for x in (inside[: 35 * n], inside[inside.size - 35 * n :]):
            check_lanes(MODULES[build, dtype], x.reshape(35, n), n)


@every_build
def test_bad_shape(build, dtype):
    x, order = np.ones((5, 3), dtype), np.zeros(5, np.uint32)
    for shape in ((4, 3), (5, 2), (5, 5)):
        with pytest.raises(ValueError, match="shapes do not fit"):
            MODULES[build, dtype].gathered(x, order, np.ones(shape, dtype))


@pytest.mark.parametrize(
    ("n_rows", "n", "batch_size"), [(17_000, 16, 1), (300_000, 2, 1000), (20_000, 30, 33)]
)
def test_rows_asked_for_ahead_change_nothing(n_rows, n, batch_size):
    """Inputs beyond a second-level cache, up to the last row of an order."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, n), np.float32)
    y = rng.standard_normal((n_rows, 1), np.float32)
    order = rng.permutation(n_rows)
    options = {"loss": "mse", "optimizer": fb.SGD(1e-4), "dtype": "float32", "seed": 0}
    nets = [fb.Network([n, 2, 1], activation="tanh", **options) for _ in range(3)]
    batches = [order[i : i + batch_size] for i in range(0, n_rows, batch_size)]
    for net, n_threads in zip(nets, (1, 2), strict=False):
        net.fit(X, y, batches=batches, n_threads=n_threads, verbose=False)
    nets[2].fit(X[order], y[order], batch_size=batch_size, shuffle=False, verbose=False)
    for net in nets[:2]:
        for got, want in zip(net.get_weights(), nets[2].get_weights(), strict=True):
            np.testing.assert_array_equal(got, want)

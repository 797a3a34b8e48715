"""Matrix products of every build: the bits of one chain of multiply-adds, and nothing outside."""

from __future__ import annotations

import ctypes
import mmap
import sys
from fractions import Fraction
from functools import cache
from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.product_chain import multiply_add, product_chain
from support.tolerance import assert_product

from fastbp.backend import compiled_modules

Array = NDArray[Any]

MODULES: dict[tuple[str, str], ModuleType] = compiled_modules()
BUILDS = [pytest.param(*key, id="-".join(key)) for key in MODULES]
every_build = pytest.mark.parametrize(("build", "dtype"), BUILDS)
DTYPES = ["float32", "float64"]
ZERO, BIAS, OWN = 0, 1, 2  # what a product starts from
CANARY = 7.25
LONG = 257
DEPTHS = (0, 1, 2, 3, 7, 16, 17, 31, LONG, 515)
ROWS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17, 25)
BLOCKS = (0, 1, 2, 3, 4, 5, 8, 9, 11)


def is_fused(build: str, dtype: str) -> bool:
    return bool(MODULES[build, dtype].build_info()["fma"])


@cache
def operands(dtype: str) -> dict[str, Array]:
    """The largest a (m, depth), b (depth, n), bias (n,) and c (m, n); from 2^-8 to 2^8."""
    rng = np.random.default_rng(11)
    n = BLOCKS[-1] * 64 // np.dtype(dtype).itemsize
    shapes = {"a": (ROWS[-1], DEPTHS[-1]), "b": (DEPTHS[-1], n), "bias": (n,), "c": (ROWS[-1], n)}
    found = {}
    for name, shape in shapes.items():
        values = rng.normal(size=shape) * 2.0 ** rng.integers(-8, 8, size=shape)
        found[name] = values.astype(dtype)
    return found


@cache
def chains(dtype: str, start: int, fused: bool) -> dict[int, Array]:
    """The product of the operands' first d columns and rows, for each d of DEPTHS."""
    part = operands(dtype)
    first = {ZERO: np.zeros_like(part["c"]), BIAS: part["bias"], OWN: part["c"]}[start]
    stages = product_chain(part["a"], part["b"], first, fused=fused)
    return {depth: stages[depth] for depth in DEPTHS}


def strided(a: Array, way: str) -> Array:
    """Equal numbers, stored otherwise."""
    m, n = a.shape
    if way == "columns":
        return np.asfortranarray(a)
    if way == "spread":
        wide = np.full((3 * m + 1, 2 * n + 5), np.nan, a.dtype)
        wide[: 3 * m : 3, 1 : 2 * n + 1 : 2] = a
        return wide[: 3 * m : 3, 1 : 2 * n + 1 : 2]
    if way == "backwards":
        return np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1]
    return np.ascontiguousarray(a)


def framed(m: int, n: int, dtype: str, margin: int = 96) -> tuple[Array, Array]:
    """(whole, c): a C-ordered c (m, n) amid canaries."""
    whole = np.full(m * n + 2 * margin, CANARY, dtype)
    return whole, whole[margin : margin + m * n].reshape(m, n)


def assert_frame(whole: Array, size: int, margin: int = 96) -> None:
    assert (whole[:margin] == CANARY).all() and (whole[margin + size :] == CANARY).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_multiply_add_of_these_tests_rounds_once(dtype: str) -> None:
    """The emulation against fractions, on ties and cancellations too."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 400)).astype(dtype)
    c = np.concatenate(
        [rng.normal(size=200), rng.normal(size=200) * 2.0 ** rng.integers(-60, 60, 200)]
    )
    c = c.astype(dtype)
    c[:100] = -(a * b)[:100]  # what is left is the rounding of the product
    a[100:150] = b[100:150] = 1 + 2.0 ** -np.array(12 if dtype == "float32" else 27)
    for x, y, z, got in zip(a, b, c, multiply_add(a, b, c, fused=True), strict=True):
        exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
        error = abs(Fraction(float(got)) - exact)
        around = [np.nextafter(got, got.dtype.type(side)) for side in (-np.inf, np.inf)]
        assert all(error <= abs(Fraction(float(other)) - exact) for other in around)
    assert (multiply_add(a, b, c, fused=True) != multiply_add(a, b, c, fused=False)).any()


@every_build
@pytest.mark.parametrize("start", [ZERO, BIAS, OWN], ids=["zero", "bias", "own"])
def test_matrix_product_is_one_chain(build: str, dtype: str, start: int) -> None:
    """Rows and blocks around the tile: the chain's bits, and nothing beside c."""
    module, part = MODULES[build, dtype], operands(dtype)
    block = module.sizes()["block"]
    assert module.sizes()["tile_rows"] < ROWS[-1] // 2
    want = chains(dtype, start, is_fused(build, dtype))
    for m, blocks, depth in product(ROWS, BLOCKS, DEPTHS):
        n = blocks * block
        whole, c = framed(m, n, dtype)
        c[...] = part["c"][:m, :n] if start == OWN else np.nan
        bias = part["bias"][:n].copy() if start == BIAS else None
        b = np.ascontiguousarray(part["b"][:depth, :n])
        module.matrix_product(part["a"][:m, :depth], b, c, start=start, bias=bias)
        assert c.tobytes() == want[depth][:m, :n].tobytes(), (m, n, depth)
        assert_frame(whole, m * n)


@every_build
@pytest.mark.parametrize("way", ["columns", "spread", "backwards", "repeated"])
def test_matrix_product_of_any_strides(build: str, dtype: str, way: str) -> None:
    module, part = MODULES[build, dtype], operands(dtype)
    n = 3 * module.sizes()["block"]
    for m, depth in product((1, 5, 13, 25), (1, 7, 31, LONG)):
        a, b = part["a"][:m, :depth], np.ascontiguousarray(part["b"][:depth, :n])
        c, plain = np.empty((2, m, n), dtype)
        if way == "repeated":
            a = np.broadcast_to(a[:1], (m, depth))
            view = a
        else:
            view = strided(a, way)
        assert way == "columns" or depth == 1 or m == 1 or view.strides != a.copy().strides
        view.flags.writeable = False
        module.matrix_product(view, b, c)
        module.matrix_product(a.copy(), b, plain)
        np.testing.assert_array_equal(c, plain)
        assert_product(c, a, b, dtype=dtype)


@every_build
@given(
    m=st.integers(0, 60),
    blocks=st.integers(0, 9),
    depth=st.integers(0, 70),
    seed=st.integers(0, 2**32),
)
def test_matrix_product_of_any_shape(
    build: str, dtype: str, m: int, blocks: int, depth: int, seed: int
) -> None:
    module, rng = MODULES[build, dtype], np.random.default_rng(seed)
    n = blocks * module.sizes()["block"]
    a, b = rng.normal(size=(m, depth)).astype(dtype), rng.normal(size=(depth, n)).astype(dtype)
    whole, c = framed(m, n, dtype)
    module.matrix_product(a, b, c)
    assert_product(c, a, b, dtype=dtype)
    assert_frame(whole, c.size)


@every_build
@pytest.mark.parametrize("start", [ZERO, BIAS, OWN], ids=["zero", "bias", "own"])
def test_packed_product_has_the_same_bits(build: str, dtype: str, start: int) -> None:
    """Copied panels and blocks that end within the product, and memory for them to the byte."""
    module, rng = MODULES[build, dtype], np.random.default_rng(5)
    block, blocks = module.sizes()["block"], module.sizes()["tile_blocks"]
    for m, depth, panel_depth, packed_block in product(
        (1, 5, 32, 45, 80), (1, 40, 75), (1, 16, 33, 75), (1, 300, 10**4)
    ):
        n = (blocks + 2) * block
        a, b = rng.normal(size=(m, depth)).astype(dtype), rng.normal(size=(depth, n)).astype(dtype)
        bias, own = rng.normal(size=n).astype(dtype), rng.normal(size=(m, n)).astype(dtype)
        plain = own.copy()
        module.matrix_product(a, b, plain, start=start, bias=bias)
        packed_block = max(packed_block, panel_depth + block)
        size = panel_depth * blocks * block + packed_block
        for way in (np.ascontiguousarray, np.asfortranarray):
            whole, c = framed(m, n, dtype)
            c[...] = own
            frame, memory = framed(1, size, dtype)
            module.matrix_product(
                way(a), b, c, start=start, bias=bias, packing=memory[0],
                panel_depth=panel_depth, packed_block=packed_block,
            )  # fmt: skip
            assert c.tobytes() == plain.tobytes(), (m, depth, panel_depth, packed_block)
            assert_frame(whole, c.size)
            assert_frame(frame, size)
            assert (memory != CANARY).any() == (m >= 32)


@every_build
def test_matrix_product_refuses(build: str, dtype: str) -> None:
    module = MODULES[build, dtype]
    n = module.sizes()["block"]
    a, b, c = np.ones((2, 3), dtype), np.ones((3, n), dtype), np.ones((2, n), dtype)
    for wrong in (
        (a[:, :2], b, c),
        (a, b, c[:1]),
        (a, np.ones((3, n + 1), dtype), np.ones((2, n + 1), dtype)),
    ):
        with pytest.raises(ValueError, match="shapes do not fit"):
            module.matrix_product(*wrong)
    with pytest.raises(ValueError, match="start = 1 needs a bias"):
        module.matrix_product(a, b, c, start=BIAS)
    with pytest.raises(ValueError, match="packing needs"):
        module.matrix_product(a, b, c, packing=np.ones(9, dtype), panel_depth=1, packed_block=n)
    assert (c == 1).all()


@every_build
def test_column_product_is_one_chain(build: str, dtype: str) -> None:
    module, part = MODULES[build, dtype], operands(dtype)
    fused = is_fused(build, dtype)
    for m, n, depth, with_bias in product(
        (0, 1, 2, 7, 8, 9, 15, 16, 25), (1, 2, 3, 4), DEPTHS[1:], (False, True)
    ):
        want = chains(dtype, BIAS if with_bias else ZERO, fused)[depth][:m, :n]
        w = np.full((n, depth + 3), np.nan, dtype)
        w[:, :depth] = part["b"][:depth, :n].T
        whole, c = framed(m, module.sizes()["block"], dtype)
        bias = part["bias"][:n].copy() if with_bias else None
        for way in ("rows", "spread"):
            c[...] = np.nan
            module.column_product(strided(part["a"][:m, :depth], way), w, c, bias=bias)
            np.testing.assert_array_equal(c[:, :n], want)
            assert (c[:, n:] == 0).all()
            assert_frame(whole, c.size)
            if n == 1:
                whole, column = framed(m + module.sizes()["block"], 1, dtype)
                module.column_product(strided(part["a"][:m, :depth], way), w, column, bias=bias)
                np.testing.assert_array_equal(column[:m], want)
                assert_frame(whole, column.size)


class Guarded:
    """Memory whose first and last byte touch pages that nobody may read or write."""

    def __init__(self, n_bytes: int) -> None:
        page = mmap.PAGESIZE
        self.room = -(-n_bytes // page) * page
        self.map = mmap.mmap(-1, self.room + 2 * page)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        for begin in (base, base + page + self.room):
            assert protect(ctypes.c_void_p(begin), ctypes.c_size_t(page), 0) == 0

    def array(self, values: Array, *, at_end: bool) -> Array:
        offset = mmap.PAGESIZE + (self.room - values.nbytes if at_end else 0)
        view = np.frombuffer(self.map, values.dtype, values.size, offset).reshape(values.shape)
        view[...] = values
        return view


@pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect")
@every_build
@pytest.mark.parametrize("at_end", [False, True], ids=["at the start", "at the end"])
def test_products_stay_inside_their_operands(build: str, dtype: str, at_end: bool) -> None:
    """A read or write of one number too many ends the process."""
    module, part = MODULES[build, dtype], operands(dtype)
    block = module.sizes()["block"]
    names = ("a", "b", "bias", "c", "w", "narrow")
    memory = {name: Guarded(part["b"].nbytes) for name in names}
    for m, blocks, depth in product((1, 5, 8, 25), (1, 3, 4, 11), (1, 17, LONG)):
        n = blocks * block
        values = {
            "a": part["a"][:m, :depth],
            "b": part["b"][:depth, :n],
            "bias": part["bias"][:n],
            "c": part["c"][:m, :n],
            "w": part["b"][:depth, :3].T,
            "narrow": part["c"][:m, :block],
        }
        own = {
            name: memory[name].array(np.ascontiguousarray(values[name]), at_end=at_end)
            for name in names
        }
        for start in (BIAS, OWN):
            module.matrix_product(own["a"], own["b"], own["c"], start=start, bias=own["bias"])
        module.column_product(own["a"], own["w"], own["narrow"], bias=own["bias"])
        found = own["narrow"][:, :3]
        assert_product(found, own["a"], own["w"].T, start=own["bias"][:3], dtype=dtype)


@pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect")
@every_build
def test_packed_products_stay_inside_their_operands(build: str, dtype: str) -> None:
    module, part = MODULES[build, dtype], operands(dtype)
    n = (module.sizes()["tile_blocks"] + 1) * module.sizes()["block"]
    memory = {name: Guarded(part["b"].nbytes) for name in ("a", "b", "c", "packing")}
    for m, depth in product((33, 41), (1, 17, LONG)):
        values = {
            "a": np.ascontiguousarray(part["b"][:depth, :m]),
            "b": np.ascontiguousarray(part["b"][:depth, :n]),
            "c": np.zeros((m, n), dtype),
            "packing": np.zeros(20 * (n - module.sizes()["block"]) + 900, dtype),
        }
        own = {name: memory[name].array(value, at_end=True) for name, value in values.items()}
        module.matrix_product(
            own["a"].T, own["b"], own["c"], packing=own["packing"], panel_depth=20, packed_block=900
        )
        assert_product(own["c"], own["a"].T, own["b"], dtype=dtype)

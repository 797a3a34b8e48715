"""Backward through a layer of few outputs, in every build: the chains of products and sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.product_chain import product_chain

from fastbp.backend import compiled_modules

Array = NDArray[Any]

MODULES = compiled_modules()
every_build = pytest.mark.parametrize(
    ("build", "dtype"), [pytest.param(*key, id="-".join(key)) for key in MODULES]
)
ZERO, OWN = 0, 2


def in_order(start: Array, rows: Array) -> Array:
    """start + rows[0] + rows[1] + ..., one after the other."""
    for row in rows:
        start = start + row
    return start


@every_build
@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("start", [ZERO, OWN], ids=["zero", "own"])
@pytest.mark.parametrize("is_tanh", [False, True], ids=["any", "tanh"])
def test_bits(build: str, dtype: str, n: int, start: int, is_tanh: bool) -> None:
    """One to six blocks of inputs, of which a single output takes four together."""
    module = MODULES[build, dtype]
    fused, block = module.build_info()["fma"], module.sizes()["block"]
    rng = np.random.default_rng(n)
    for rows, blocks in ((1, 1), (7, 2), (20, 4), (9, 5), (3, 6)):
        ld = blocks * block
        x, w = rng.normal(size=(rows, ld)).astype(dtype), rng.normal(size=(n, ld)).astype(dtype)
        dz, d = np.zeros((rows, block), dtype), np.full((rows, ld), np.nan, dtype)
        dz[:, :n] = rng.normal(size=(rows, n))
        g, s = rng.normal(size=(n, ld)).astype(dtype), rng.normal(size=ld).astype(dtype)
        b = np.zeros(block, dtype)
        b[:n] = rng.normal(size=n)
        begin = [value.copy() if start == OWN else np.zeros_like(value) for value in (g, b, s)]
        if start == ZERO:
            b[4:] = 0
        if n == 1:  # side by side
            own = [np.full_like(d, np.nan), *(value.copy() for value in (g, b, s))]
            column = dz[:, :1].copy()
            module.output_kernels(column, x, w, *own, is_tanh=is_tanh, start=start)
        module.output_kernels(dz, x, w, d, g, b, s, is_tanh=is_tanh, start=start)
        if n == 1:
            assert [value.tobytes() for value in own] == [v.tobytes() for v in (d, g, b, s)]
        turned = np.ascontiguousarray(dz[:, :n].T)
        assert g.tobytes() == product_chain(turned, x, begin[0], fused=fused)[-1].tobytes()
        assert b.tobytes() == in_order(begin[1], dz).tobytes()
        zero = np.zeros((1, 1), dtype)
        want = product_chain(np.ascontiguousarray(dz[:, :n]), w, zero, fused=fused)[-1]
        if is_tanh:
            want = want * (1 - x * x)
            assert s.tobytes() == in_order(begin[2], want).tobytes()
        assert d.tobytes() == want.tobytes()


@every_build
def test_shapes(build: str, dtype: str) -> None:
    module = MODULES[build, dtype]
    block = module.sizes()["block"]
    good: dict[str, Array] = {
        name: np.zeros(shape, dtype)
        for name, shape in {
            "dz": (3, block), "x": (3, block), "w": (2, block), "d": (3, block), "g": (2, block),
            "b": (block,), "s": (block,),
        }.items()
    }  # fmt: skip
    for name in ("dz", "x", "d", "g"):
        bad = good | {name: np.zeros((5, block), dtype)}
        with pytest.raises(ValueError, match="shapes do not fit"):
            module.output_kernels(*bad.values(), is_tanh=True)

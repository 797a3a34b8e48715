"""Elementary functions of every compiled build: error, special values, bits."""

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import mpmath
import numpy as np
import pytest
from mpmath import mp
from support.tolerance import ULPS, ulp

from fastbp.backend import compiled_modules
from fastbp.backend import instruction_set as best

MODULES: dict[tuple[str, str], ModuleType] = compiled_modules()
BUILDS = [pytest.param(*key, id="-".join(key)) for key in sorted(MODULES)]
# The build in use, and the others marked slow: elementary functions have the same bits in all.
BEST_AND_SLOW = [
    pytest.param(*key, id="-".join(key), marks=() if key[0] == best else pytest.mark.slow)
    for key in sorted(MODULES)
]
SOURCE = Path(__file__).parents[2] / "src"

NAMES = sorted(ULPS)
# where the result is neither 0 nor infinite in float32, and in float64
DOMAIN: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "exp": ((-87.3, 88.7), (-708.3, 709.7)),
    "log": ((2.0**-126, 3e38), (2.0**-1022, 1e308)),
    "log1p": ((2.0**-126, 1.0), (2.0**-1022, 1.0)),
    "tanh": ((-3e38, 3e38), (-1e308, 1e308)),
    "sigmoid": ((-87.3, 3e38), (-708.3, 1e308)),
    "softplus": ((-87.3, 3e38), (-708.3, 1e308)),
    "normal_cdf": ((-12.5, 3e38), (-37.4, 1e308)),
    "normal_pdf": ((-13.0, 13.0), (-37.4, 37.4)),
}
ERFC = np.vectorize(math.erfc)


def tail(x: np.ndarray) -> np.ndarray:
    """exp(-|x|)."""
    return np.exp(-np.abs(x))


REFERENCE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": lambda x: np.where(x < 0, tail(x), 1.0) / (1.0 + tail(x)),
    "softplus": lambda x: np.maximum(x, 0.0) + np.log1p(tail(x)),
    "normal_cdf": lambda x: ERFC(np.maximum(-x, -40.0) / math.sqrt(2.0)) / 2.0,
    "normal_pdf": lambda x: np.exp(-x * x / 2.0) / math.sqrt(2.0 * math.pi),
}
EXACT: dict[str, Callable[[mpmath.mpf], mpmath.mpf]] = {
    "exp": mp.exp,
    "log": mp.log,
    "log1p": mp.log1p,
    "tanh": mp.tanh,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "softplus": lambda x: x + mp.log1p(mp.exp(-x)) if x > 0 else mp.log1p(mp.exp(x)),
    "normal_cdf": lambda x: mp.erfc(-x / mp.sqrt(2)) / 2,
    "normal_pdf": lambda x: mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi),
}


def apply(module: ModuleType, name: str, x: np.ndarray) -> np.ndarray:
    out = np.full_like(x, 7.0)
    module.apply_function(name, x, out)
    return out


def inside(name: str, x: np.ndarray) -> np.ndarray:
    """The elements of x in the domain of `name`, subnormal numbers left out."""
    low, high = DOMAIN[name][x.dtype == np.float64]
    with np.errstate(invalid="ignore"):
        return x[(x >= low) & (x <= high) & (np.abs(x) >= np.finfo(x.dtype).tiny)]


def every_exponent() -> np.ndarray:
    """2**20 floats: the bit patterns in steps of 2**12, each moved within its step."""
    step = np.arange(2**20, dtype=np.uint64)
    return (step * 4096 + step * 2654435761 % 4096).astype(np.uint32).view(np.float32)


def spread(name: str, dtype: type, n: int) -> np.ndarray:
    """About n numbers: half evenly over the domain or [-50, 50], half even in their logarithm."""
    low, high = DOMAIN[name][dtype is np.float64]
    inner = np.linspace(max(low, -50.0), min(high, 50.0), n // 4)
    outer = np.linspace(max(low, -800.0), min(high, 800.0), n // 4)
    small = np.geomspace(1e-30, min(high, 1e3), n // 4)
    return inside(name, np.concatenate([inner, outer, small, -small]).astype(dtype))


@pytest.mark.parametrize(("instruction_set", "dtype"), BEST_AND_SLOW)
@pytest.mark.parametrize("name", NAMES)
def test_error_is_within_limit(name: str, instruction_set: str, dtype: str) -> None:
    module = MODULES[instruction_set, dtype]
    if dtype == "float32":
        x = inside(name, every_exponent())
        if name.startswith("normal"):  # math.erfc is slow; beyond 14 all is 1
            x = np.concatenate([x[np.abs(x) < 14.0][::4], spread(name, np.float32, 100_000)])
        got = apply(module, name, x).astype(np.float64)
        want = REFERENCE[name](x.astype(np.float64))
        error = np.abs(got - want) / ulp(want.astype(np.float32)).astype(float)
    else:
        x = spread(name, np.float64, 2500)
        got = apply(module, name, x)
        with mp.workdps(40):
            exact = [EXACT[name](mp.mpf(a)) for a in x.tolist()]
            pairs = zip(got.tolist(), exact, strict=True)
            error = np.array([float(abs(a - b) / math.ulp(float(b))) for a, b in pairs])
    worst = int(np.argmax(error))  # NaN counts as the largest
    assert error[worst] <= ULPS[name], f"{name}({x[worst]!r}) = {got[worst]!r}"


INF, NAN = math.inf, math.nan
# argument, result; NaN gives NaN everywhere
SPECIAL: dict[str, list[tuple[float, float]]] = {
    "exp": [(-INF, 0.0), (INF, INF), (0.0, 1.0), (-0.0, 1.0), (1e4, INF), (-1e4, 0.0)],
    "log": [(0.0, -INF), (-0.0, -INF), (INF, INF), (-INF, NAN), (1.0, 0.0), (-1.0, NAN)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0)],
    "tanh": [(INF, 1.0), (-INF, -1.0), (0.0, 0.0), (-0.0, -0.0), (1e30, 1.0), (-50.0, -1.0)],
    "sigmoid": [(INF, 1.0), (-INF, 0.0), (0.0, 0.5), (-0.0, 0.5), (-1e3, 0.0), (1e3, 1.0)],
    "softplus": [(INF, INF), (-INF, 0.0), (1e3, 1e3), (-1e3, 0.0)],
    "normal_cdf": [(INF, 1.0), (-INF, 0.0), (0.0, 0.5), (-0.0, 0.5), (50.0, 1.0), (-50.0, 0.0)],
    "normal_pdf": [(INF, 0.0), (-INF, 0.0), (50.0, 0.0), (-50.0, 0.0)],
}


@pytest.mark.parametrize(("instruction_set", "dtype"), BUILDS)
@pytest.mark.parametrize("name", NAMES)
def test_special_values(name: str, instruction_set: str, dtype: str) -> None:
    x, want = np.array([*SPECIAL[name], (NAN, NAN), (-NAN, NAN)], dtype).T.copy()
    got = apply(MODULES[instruction_set, dtype], name, x)
    np.testing.assert_array_equal(got, want)
    number = ~np.isnan(want)
    np.testing.assert_array_equal(np.signbit(got[number]), np.signbit(want[number]))


@pytest.mark.parametrize(("instruction_set", "dtype"), BUILDS)
def test_edge_of_overflow_and_underflow(instruction_set: str, dtype: str) -> None:
    module, limit = MODULES[instruction_set, dtype], np.finfo(dtype)
    last = np.array([np.log(limit.max)], dtype)
    if float(last[0]) > math.log(float(limit.max)):
        last = np.nextafter(last, last.dtype.type(0))
    assert limit.max * 0.999 < apply(module, "exp", last)[0] <= limit.max
    assert apply(module, "exp", np.nextafter(last, last.dtype.type(1e9)))[0] == np.inf
    below = np.linspace(1.001, 1.3, 1000).astype(dtype) * np.array(np.log(limit.tiny), dtype)
    assert (apply(module, "exp", below) < limit.tiny).all()


@pytest.mark.parametrize(("instruction_set", "dtype"), BUILDS)
@pytest.mark.parametrize("name", [name for name in NAMES if name != "normal_pdf"])
def test_rises(name: str, instruction_set: str, dtype: str) -> None:
    x = np.sort(spread(name, np.dtype(dtype).type, 40_000))
    y = apply(MODULES[instruction_set, dtype], name, x)
    fall = y[:-1] - y[1:]
    assert (fall <= ULPS[name] * ulp(y[1:])).all()


@pytest.mark.parametrize(("instruction_set", "dtype"), BUILDS)
def test_tanh_is_odd_and_at_most_one(instruction_set: str, dtype: str) -> None:
    module, x = MODULES[instruction_set, dtype], np.linspace(0.0, 22.0, 1_000_001).astype(dtype)
    y = apply(module, "tanh", x)
    np.testing.assert_array_equal(apply(module, "tanh", -x), -y)
    assert y.max() == 1.0 and (y[x > 19.1] == 1.0).all()


@pytest.mark.parametrize(("instruction_set", "dtype"), BUILDS)
@pytest.mark.parametrize("name", NAMES)
def test_same_bits_in_any_lane(name: str, instruction_set: str, dtype: str) -> None:
    module = MODULES[instruction_set, dtype]
    x = spread(name, np.dtype(dtype).type, 400)[:150].copy()
    whole = apply(module, name, x)
    for length in (0, 1, 3, 7, 8, 15, 16, 17, 31, 33, 64, 67):
        for start in (0, 1, 5, 16):
            part = slice(start, start + length)
            np.testing.assert_array_equal(apply(module, name, x[part]), whole[part])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("builds", [("v3", "v4"), ("v2", "portable")], ids="-".join)
@pytest.mark.parametrize("name", NAMES)
def test_same_bits_on_every_instruction_set(name: str, builds: tuple[str, str], dtype: str) -> None:
    """Builds with fused multiply-add agree, and so do the builds without."""
    pair = [MODULES[build, dtype] for build in builds if (build, dtype) in MODULES]
    if len(pair) < 2:
        pytest.skip(f"this CPU and installation run one of {builds} or none")
    x = spread(name, np.dtype(dtype).type, 20_000)
    if dtype == "float32":
        x = np.concatenate([x, every_exponent()])
    a, b = (apply(module, name, x) for module in pair)
    same = a.view(f"u{a.itemsize}") == b.view(f"u{b.itemsize}")
    assert (same | (np.isnan(a) & np.isnan(b))).all()


@pytest.mark.parametrize(("instruction_set", "dtype"), BUILDS)
def test_apply_function_refuses(instruction_set: str, dtype: str) -> None:
    module, x = MODULES[instruction_set, dtype], np.zeros(3, dtype)
    with pytest.raises(ValueError, match="unknown function 'cosine'"):
        module.apply_function("cosine", x, x.copy())
    with pytest.raises(ValueError, match="out has 2 elements, x has 3"):
        module.apply_function("exp", x, np.zeros(2, dtype))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_coefficients_are_those_derived(dtype: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = SOURCE / "function" / "derive_coefficients.py"
    spec = importlib.util.spec_from_file_location("derive_coefficients", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.derive(np.dtype(dtype).type)
    blocks = capsys.readouterr().out.rstrip("\n").split("\n\n")
    text = (SOURCE / "function" / f"function_{dtype}.pxi").read_text(encoding="utf-8")
    assert len(blocks) == 12
    assert [block for block in blocks if block not in text] == []

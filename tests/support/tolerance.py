"""The only tolerances of the test suite.

Every bound is eps of the type under test, times a count of roundings, times a magnitude: what would
have been summed had no term cancelled.  A result that is zero, transposed, of the other sign or
without its last term is outside such a bound whenever the data vary; test_mutant.py proves it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

Array = NDArray[Any]

FUNCTION = 12  # roundings of an activation or loss: 4 ULP twice, and the operations around
CONDITION = (
    4  # how much random blocks may amplify what came in, beyond the magnitudes that are summed
)
WELL_CONDITIONED = 0.25  # the same for a plain stack of layers: roundings also cancel

# A perturbation this small leaves a complex step without truncation error.
COMPLEX_STEP = 1e-100


def eps(dtype: DTypeLike) -> float:
    """The distance from 1 to the next number."""
    return float(np.finfo(dtype).eps)


def bound(dtype: DTypeLike, *, length: float, magnitude: ArrayLike) -> Array:
    """eps * (length + FUNCTION) * magnitude; a magnitude is at least the least normal number."""
    size = np.abs(np.asarray(magnitude, np.float64)) + float(np.finfo(dtype).tiny)
    return np.asarray(eps(dtype) * (length + FUNCTION) * size)


def assert_near(
    actual: ArrayLike,
    expected: ArrayLike,
    *,
    dtype: DTypeLike,
    length: float,
    magnitude: ArrayLike | None = None,
    name: str = "result",
) -> None:
    """|actual - expected| <= bound for every element; magnitude None is |expected|."""
    got, want = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert got.shape == want.shape, f"{name} has shape {got.shape}, expected {want.shape}"
    assert np.isfinite(want).all(), f"{name}: the expected values are not finite"
    limit = np.broadcast_to(
        bound(dtype, length=length, magnitude=want if magnitude is None else magnitude), got.shape
    )
    error = np.abs(got - want)
    bad = ~(error <= limit)  # nan is bad
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        raise AssertionError(
            f"{name}{list(place)} = {got[place]!r}, expected {want[place]!r} "
            f"within {limit[place]:.3g}; "
            f"{bad.sum()} of {bad.size} are off, by at most {(error / limit)[bad].max():.3g} bounds"
        )


def assert_product(
    actual: ArrayLike, a: Array, b: Array, *, start: ArrayLike = 0.0, dtype: DTypeLike
) -> None:
    """actual = start + a b to (depth + FUNCTION) eps sum |a| |b|."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert_near(
        actual,
        start + a @ b,
        dtype=dtype,
        length=a.shape[1],
        magnitude=np.abs(start) + np.abs(a) @ np.abs(b),
        name="product",
    )


def depth(layers_in: list[int], rows: int, *, condition: float = CONDITION) -> float:
    """Roundings on the way to a gradient: every reduction there and back, and the batch."""
    return condition * (2.0 * sum(n + FUNCTION for n in layers_in) + rows)


def difference_bound(step: float, *, order: int, value: ArrayLike, size: float = 1.0) -> Array:
    """Error of a central difference in float64: roundings over the step, and size step^order."""
    return np.asarray(
        FUNCTION * eps(np.float64) * (np.abs(np.asarray(value)) + 1.0) / step + size * step**order
    )


def assert_different(
    a: ArrayLike, b: ArrayLike, *, dtype: DTypeLike, length: float, magnitude: ArrayLike
) -> None:
    """The two are a thousand bounds apart somewhere: comparing them says something."""
    limit = bound(dtype, length=length, magnitude=magnitude)
    apart = np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64))
    assert (apart > 1000 * limit).any(), "the data do not vary enough to test anything"

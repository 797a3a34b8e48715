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

SAME_TRAINING = 2**13  # roundings of a few steps, as an optimizer makes more of them
SMALL_PARAMETER = 2.0**-7  # beside which a parameter's own size does not count in those

# Units of the last place that an elementary function may be off; the contract is 4, and 8 for
# normal_cdf.
ULPS = {
    "exp": 2,
    "log": 2,
    "log1p": 2,
    "tanh": 3,
    "sigmoid": 3,
    "softplus": 3,
    "normal_cdf": 8,
    "normal_pdf": 4,
}

# Of a fourth moment, relatively: six standard errors of the fewest draws that are made of any
# distribution here.
FOURTH_MOMENT = 0.05
# Units of a printed number's last decimal: float64 roundings of decimals that meet a bound exactly.
DECIMAL = 1e-9
REPLAY_ROUNDING = 1e-12  # of the replay of a page's arithmetic in float64
METRIC = 1e-12  # of a metric in float64 beside scikit-learn's, and of a weight beside copies
KERAS_LOSS = 1e-6  # beside Keras's, which cut probabilities off at 1e-7
# Beside scikit-learn, of the largest number of an array: float64 after up to 100 steps of training;
# the loss of several outputs, whose penalty is interpolated; L-BFGS; float32.
ESTIMATOR, ESTIMATOR_PENALTY, ESTIMATOR_LBFGS, ESTIMATOR_SINGLE = 1e-9, 1e-4, 1e-6, 1e-3
# What a distribution that was learned from 4000 rows says of 4000 others: the share of rows below a
# quantile, and the mean over the rows of how far a standard deviation is off, as a share of itself.
CALIBRATED_SHARE, CALIBRATED_DEVIATION = 0.03, 0.06
# What the benchmark reports of a right float32 trainer after some steps, beside the oracle.
BENCHMARK_LOSS, BENCHMARK_PARAMETER, BENCHMARK_COMMAND = 1e-5, 1e-4, 1e-3

# What check_gradients shows of float64 gradients that are right, away from kinks.
CHECKED_GRADIENT = 1e-5

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
    assert_rounded(
        actual,
        expected,
        dtype=dtype,
        roundings=length + FUNCTION,
        magnitude=magnitude,
        name=name,
    )


def assert_rounded(
    actual: ArrayLike,
    expected: ArrayLike,
    *,
    dtype: DTypeLike,
    roundings: float,
    magnitude: ArrayLike | None = None,
    name: str = "result",
) -> None:
    """The same with the roundings counted: at most eps * roundings * magnitude apart."""
    got, want = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert got.shape == want.shape, f"{name} has shape {got.shape}, expected {want.shape}"
    assert np.isfinite(want).all(), f"{name}: the expected values are not finite"
    limit = np.broadcast_to(
        bound(
            dtype,
            length=roundings - FUNCTION,
            magnitude=want if magnitude is None else magnitude,
        ),
        got.shape,
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


def assert_metric(actual: float, expected: float, *, name: str) -> None:
    """Two values of a metric that are the same but for the order of summation; NaN is NaN."""
    if np.isnan(expected):
        assert np.isnan(actual), f"{name} = {actual!r}, expected NaN"
        return
    error = abs(actual - expected)
    assert error <= METRIC * max(1.0, abs(expected)), f"{name} = {actual!r}, expected {expected!r}"


def assert_agrees(actual: ArrayLike, expected: ArrayLike, *, within: float = ESTIMATOR) -> None:
    """No number is off by more than `within` times the largest of those expected."""
    got, want = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert got.shape == want.shape, f"shape {got.shape}, expected {want.shape}"
    error = np.abs(got - want).max(initial=0)
    assert error <= within * np.abs(want).max(initial=0), f"off by {error:.3g} from {want!r}"


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


def assert_same_training(
    actual: ArrayLike, expected: ArrayLike, *, dtype: DTypeLike, name: str = "parameter"
) -> None:
    """A parameter after a few steps whose sums were made in two orders.

    Optimizers that divide by the gradient's size make much of a rounding where it is small.
    """
    assert_rounded(
        actual,
        expected,
        dtype=dtype,
        roundings=SAME_TRAINING,
        magnitude=np.abs(np.asarray(expected, np.float64)) + SMALL_PARAMETER,
        name=name,
    )


def ulp(value: Array) -> Array:
    """The distance from each number to the next larger one in size, in its own type."""
    return np.asarray(np.spacing(np.abs(value)))


def standard_errors(variance: float, n: int) -> float:
    """Six standard errors of the mean of n draws of this variance."""
    return 6.0 * float(np.sqrt(variance / n))


def printed_bound(*, n: int, decimals: int) -> float:
    """How far the sum of n numbers may be off that were printed with so many decimals."""
    return n * 0.5 * 10.0**-decimals * (1.0 + eps(np.float64) * 2**10)

"""Derive the polynomials of function_float32.pxi and function_float64.pxi.

Every approximation is a minimax polynomial found by the Remez exchange algorithm in 60-digit
arithmetic: the largest error is smallest, weighted so that it is the relative error of the function
that is built on the polynomial. What is printed are the lines of the .pxi files, with the error of
the coefficients as rounded to the type. Nothing is random: the same mpmath prints the same digits.

    pip install mpmath
    python src/function/derive_coefficients.py
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from mpmath import mp, mpf

Real = Callable[[mpf], mpf]


def minimax(function: Real, weight: Real, low: mpf, high: mpf, degree: int) -> list[mpf]:
    """Polynomial c[0] + c[1] x + ... with the smallest maximum of weight |function - p|."""
    size = degree + 2
    # Chebyshev points lie inside the interval: at an end a weight may vanish
    nodes = chebyshev(low, high, size)
    grid = chebyshev(low, high, 24 * size)
    values = [(x, function(x), weight(x)) for x in grid]
    for _ in range(40):
        powers = [[weight(x) * x**j for j in range(degree + 1)] for x in nodes]
        matrix = mp.matrix([[*row, (-1) ** i] for i, row in enumerate(powers)])
        right = mp.matrix([weight(x) * function(x) for x in nodes])
        *coefficients, level = mp.lu_solve(matrix, right)
        error = [w * (f - evaluate(coefficients, x)) for x, f, w in values]
        if max(map(abs, error)) < abs(level) * mpf("1.001"):
            return coefficients
        peaks = alternation(error)
        if len(peaks) < size:
            raise ArithmeticError(f"{len(peaks)} alternations, {size} needed")
        while len(peaks) > size:  # too many: give up the smaller end
            peaks.pop(0 if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else -1)
        nodes = [grid[i] for i in peaks]
    raise ArithmeticError("the exchange did not converge")


def chebyshev(low: mpf, high: mpf, size: int) -> list[mpf]:
    """The zeros of the Chebyshev polynomial of degree `size`, on [low, high], ascending."""
    middle, radius = (high + low) / 2, (high - low) / 2
    return [middle - radius * mp.cos(mp.pi * (2 * i + 1) / (2 * size)) for i in range(size)]


def alternation(error: list[mpf]) -> list[int]:
    """Index of the largest error in each run of one sign."""
    peaks = [0]
    for i in range(1, len(error)):
        if error[i] * error[peaks[-1]] < 0:
            peaks.append(i)
        elif abs(error[i]) > abs(error[peaks[-1]]):
            peaks[-1] = i
    return peaks


def evaluate(coefficients: list[mpf], x: mpf) -> mpf:
    """c[0] + c[1] x + ... by Horner's rule."""
    value = mpf(0)
    for c in reversed(coefficients):
        value = value * x + c
    return value


def rounded(value: mpf, dtype: type) -> mpf:
    """The nearest number of `dtype`."""
    with mp.workprec(np.finfo(dtype).nmant + 1):
        return +value


def literal(value: mpf, dtype: type) -> str:
    """Shortest decimal that reads as `value`, also when it is read as a double first, as C does."""
    number = dtype(float(value))
    text = np.format_float_scientific(number, unique=True, trim="0")
    if dtype(float(text)) != number or mpf(float(number)) != value:
        raise ArithmeticError(f"{text} does not read as {value}")
    return f"<real>{text}"


def polynomial(
    argument: str,
    relative_to: str,
    function: Real,
    weight: Real,
    interval: tuple[mpf, mpf],
    degree: int,
    dtype: type,
) -> None:
    """Fit, round and print in Horner's order."""
    low, high = interval
    fit = [rounded(c, dtype) for c in minimax(function, weight, low, high, degree)]
    grid = chebyshev(low, high, 2000)
    error = mp.nstr(max(weight(x) * abs(function(x) - evaluate(fit, x)) for x in grid), 3)
    ends = f"[{mp.nstr(low, 6)}, {mp.nstr(high, 6)}]"
    print(f"    Degree {degree} on {ends}, error {error} relative to {relative_to}.\n")
    print(f"    cdef real p = {literal(fit[-1], dtype)}")
    for c in reversed(fit[:-1]):
        print(f"    p = real_fma(p, {argument}, {literal(c, dtype)})")
    print()


def exp_polynomial(degree: int, dtype: type) -> None:
    """g of exp(r) - 1 = r + r**2 g(r)."""
    end = mp.log(2) / 2 * mpf("1.002")  # the quotient x/log(2) is rounded after its own rounding

    def g(r: mpf) -> mpf:
        return (mp.expm1(r) - r) / r**2

    def weight(r: mpf) -> mpf:
        return r**2 / abs(mp.expm1(r))

    polynomial("r", "exp(r) - 1", g, weight, (-end, end), degree, dtype)


def coth_polynomial(degree: int, dtype: type) -> None:
    """c of r coth(r) = 1 + s c(s), s = r**2."""

    end = mp.log(2) / 4 * mpf("1.002")  # as for exp, half as far

    def c(s: mpf) -> mpf:
        return (mp.sqrt(s) * mp.coth(mp.sqrt(s)) - 1) / s

    def weight(s: mpf) -> mpf:
        return s / (mp.sqrt(s) * mp.coth(mp.sqrt(s)))

    polynomial("s", "tanh(r)", c, weight, (mpf(0), end**2), degree, dtype)


def log_polynomial(degree: int, dtype: type) -> None:
    """h of log((1 + s)/(1 - s)) = 2 s + s w h(w), w = s**2; 0 <= s <= 1/3 is log(1) to log(2)."""

    def h(w: mpf) -> mpf:
        return (2 * mp.atanh(mp.sqrt(w)) / mp.sqrt(w) - 2) / w

    def weight(w: mpf) -> mpf:
        return mp.sqrt(w) * w / (2 * mp.atanh(mp.sqrt(w)))

    polynomial("w", "the logarithm", h, weight, (mpf(0), mpf(1) / 9), degree, dtype)


def normal_polynomial(degree: int, farthest: mpf, dtype: type) -> None:
    """p of (a + 4) exp(a**2/2) Phi(-a) = 2 (1 - v) + v p(t), v = a/(a + 4), t = 2 v - 1."""

    def tail(v: mpf) -> mpf:
        a = 4 * v / (1 - v)
        return (a + 4) * mp.exp(a * a / 2) * mp.erfc(a / mp.sqrt(2)) / 2

    def p(t: mpf) -> mpf:
        return (tail((1 + t) / 2) - (1 - t)) / ((1 + t) / 2)

    def weight(t: mpf) -> mpf:
        return (1 + t) / 2 / tail((1 + t) / 2)

    end = 2 * farthest / (farthest + 4) - 1
    polynomial("t", "Phi(-a)", p, weight, (mpf(-1), end), degree, dtype)


def ln2_parts(exponent_bits: int, dtype: type) -> None:
    """log(2) = high + low; the product of high and an exponent fits the significand."""
    with mp.workprec(np.finfo(dtype).nmant - exponent_bits):
        high = +mp.log(2)
    print(f"    return {literal(high, dtype)}\n")
    print(f"    return {literal(rounded(mp.log(2) - high, dtype), dtype)}\n")


def exp_limits(dtype: type) -> None:
    """The smallest x with a normal exp(x), and the largest with a finite one."""
    for result, inwards in ((np.finfo(dtype).tiny, 1), (np.finfo(dtype).max, -1)):
        exact = mp.log(mpf(float(result)))
        limit = rounded(exact, dtype)
        if (limit - exact) * inwards < 0:
            limit = mpf(float(np.nextafter(dtype(float(limit)), dtype(0))))
        print(f"    return {literal(limit, dtype)}\n")


def derive(dtype: type) -> None:
    """Print what depends on the type, in the order of its .pxi file."""
    single = dtype is np.float32
    with mp.workdps(60):
        ln2_parts(8 if single else 11, dtype)
        exp_limits(dtype)
        exp_polynomial(4 if single else 9, dtype)
        coth_polynomial(1 if single else 4, dtype)
        log_polynomial(4 if single else 10, dtype)
        # where exp(-a**2/2) underflows
        normal_polynomial(9 if single else 21, mpf("14.5" if single else "38.6"), dtype)


if __name__ == "__main__":
    for dtype in (np.float32, np.float64):
        print(f"# function_{dtype.__name__}.pxi\n")
        derive(dtype)

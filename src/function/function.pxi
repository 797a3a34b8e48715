# Elementary functions of one number, for activations and losses.
#
# Included at the end of function_float32.pxi and function_float64.pxi, which hold the polynomials and what else
# depends on the type. Each function is straight-line code whose choices are selects: a loop that applies it to an
# array vectorises, and an element has the same bits in any lane, on any instruction set that has fused multiply-add
# (x86-64-v2 has none: there the last digits differ). Derivations and intervals: derive_coefficients.py.
#
# "Error" is the largest found, in units of the last place: of 2**27 floats spread over all bit patterns against
# float64, and of 36000 doubles against mpmath; the number in brackets is without fused multiply-add. NaN gives NaN
# everywhere. A result below the smallest normal number may be flushed to 0, and a subnormal argument may count as 0.

cimport cython

cdef extern from "machine/real.h" nogil:
    ctypedef unsigned long long real_bits
    ctypedef const real* in_array
    ctypedef real* out_array
    const int REAL_FRACTION_BITS
    const real REAL_ROUND
    const real REAL_POWER_ROUND
    const real REAL_SMALLEST
    const real REAL_LARGEST
    const real REAL_INFINITY
    const real REAL_NAN
    const real_bits REAL_ONE_BITS
    real real_fma(real a, real b, real c) noexcept
    real_bits real_to_bits(real x) noexcept
    real real_from_bits(real_bits bits) noexcept
    real real_sqrt(real x) noexcept
    real real_abs(real x) noexcept
    real real_copysign(real x, real sign) noexcept
    real real_max(real x, real bound) noexcept
    real real_min(real x, real bound) noexcept
    real real_select(bint condition, real x, real y) noexcept
    real real_sign(real x) noexcept
    real real_positive(real x) noexcept
    real real_round(real x) noexcept
    real real_head(real x) noexcept
    real real_power(real t) noexcept
    real real_exponent(real x, real threshold) noexcept
    real real_unscaled(real x, real k) noexcept


# The exponential: x = n log(2) + r with whole n and |r| <= log(2)/2, so exp(x) = 2**n exp(r).

cdef inline real exp_quotient(real x) noexcept nogil:
    """n, as the sum n + REAL_POWER_ROUND: its last bits are the exponent of 2**n."""
    return real_fma(x, <real>1.4426950408889634, REAL_POWER_ROUND)


cdef inline real exp_remainder(real x, real t) noexcept nogil:
    """r, from x and t = exp_quotient(x). log(2) comes in two parts, and n times the first is exact."""
    cdef real n = t - REAL_POWER_ROUND
    return real_fma(n, -ln2_low(), real_fma(n, -ln2_high(), x))


cdef inline real expm1_core(real r) noexcept nogil:
    """exp(r) - 1 = r + r**2 g(r) for |r| <= log(2)/2, relative to itself: r = 0 gives 0."""
    return real_fma(r * r, exp_polynomial(r), r)


cdef inline real exp_core(real r) noexcept nogil:
    """exp(r) = 1 + r (1 + r g(r)) for |r| <= log(2)/2."""
    return real_fma(r, real_fma(r, exp_polynomial(r), <real>1.0), <real>1.0)


cdef inline real exp_scaled(real x, real t, real r) noexcept nogil:
    """2**n exp(r) where x <= 0, so that 2**n is a normal number wherever the result is."""
    cdef real y = exp_core(r) * real_power(t)
    return <real>0.0 if x < exp_lowest() else y


cdef inline real exp_nonpositive(real x) noexcept nogil:
    """exp(x) for x <= 0, cheaper than real_exp by the overflow."""
    cdef real t = exp_quotient(x)
    return exp_scaled(x, t, exp_remainder(x, t))


cdef inline real exp_half_square(real a) noexcept nogil:
    """exp(-a**2/2). a**2 is rounded to an error that exp magnifies by a**2/2, so it is split: with h the first
    half of the digits of a, a**2 = h**2 + (a - h)(a + h); h**2 is exact and the small rest joins the remainder."""
    cdef real h = real_head(a)
    cdef real x = <real>-0.5 * h * h
    cdef real t = exp_quotient(x)
    return exp_scaled(x, t, real_fma(<real>-0.5 * (a - h), a + h, exp_remainder(x, t)))


cdef inline real real_exp(real x) noexcept nogil:
    """exp(x). 2**n itself may overflow where the result does not: n is added to the exponent of exp(r) instead.

    exp(-inf) = 0, exp(inf) = inf, exp(+-0) = 1; overflow gives inf, underflow 0.
    Error: float32 0.91 (1.18), float64 0.82 (1.14).
    """
    cdef real t = exp_quotient(x)
    cdef real p = exp_core(exp_remainder(x, t))
    cdef real y = real_from_bits(real_to_bits(p) + real_to_bits(real_power(t)) - REAL_ONE_BITS)
    y = y if x <= exp_highest() else x + REAL_INFINITY
    return <real>0.0 if x < exp_lowest() else y


cdef inline real real_expm1_below(real x) noexcept nogil:
    """exp(x) - 1 below 0, which keeps the digits of small x; 0 above. exp(-40) is lost beside 1."""
    cdef real low = real_max(real_min(x, 0), <real>-40)
    cdef real t = exp_quotient(low)
    cdef real power = real_power(t)
    return real_fma(power, expm1_core(exp_remainder(low, t)), power - <real>1)


@cython.cdivision(True)
cdef inline real tanh_of_size(real a) noexcept nogil:
    """tanh(a) for 0 <= a <= 20, with a = n log(2)/2 + r, k = r coth(r) and so exp(2 a) = 2**n (k + r)/(k - r), as
    ((h - 1/2) k + (h + 1/2) r) / ((h - 1/2) k + (h + 1/2) r + k - r), h = 2**(n - 1).

    Where n is small, log(2) in one part is exact enough; where it is large, tanh is 1.
    """
    cdef real t = real_fma(a, <real>2.8853900817779268, REAL_POWER_ROUND - 1)
    cdef real h = real_power(t)
    cdef real r = real_fma(t - (REAL_POWER_ROUND - 1), <real>-0.34657359027997264, a)
    cdef real s = r * r
    cdef real k = real_fma(s, coth_polynomial(s), <real>1.0)
    cdef real y = real_fma(h - <real>0.5, k, (h + <real>0.5) * r)
    return y / (y + (k - r))


cdef inline real real_tanh(real x) noexcept nogil:
    """tanh(x), of its size and with its sign.

    tanh(+-inf) = +-1, tanh(+-0) = +-0. Error: float32 2.37 (2.37), float64 2.64 (2.64).
    """
    return real_copysign(tanh_of_size(real_min(real_abs(x), <real>20.0)), x)


@cython.cdivision(True)
cdef inline real real_sigmoid(real x) noexcept nogil:
    """1/(1 + exp(-x)), from e = exp(-|x|) as 1/(1 + e) or e/(1 + e): both tails keep their digits.

    sigmoid(-inf) = 0, sigmoid(inf) = 1, sigmoid(+-0) = 1/2. Error: float32 2.41 (2.41), float64 1.86 (1.92).
    """
    cdef real e = exp_nonpositive(-real_abs(x))
    return (e if x < 0 else <real>1.0) / (<real>1.0 + e)


# The logarithm: log(1 + f) = log((1 + s)/(1 - s)) with s = f/(2 + f), which is 2 s + s w h(w) = f - s (f - w h(w)),
# w = s**2.

@cython.cdivision(True)
cdef inline real real_log1p(real u) noexcept nogil:
    """log(1 + u) for 0 <= u <= 1; outside, the polynomial is not fitted.

    log1p(+-0) = +-0. Error: float32 1.21 (1.21), float64 1.21 (1.24).
    """
    cdef real s = u / (<real>2.0 + u)
    cdef real w = s * s
    return u - s * (u - w * log_polynomial(w))


@cython.cdivision(True)
cdef inline real real_log(real x) noexcept nogil:
    """log(x) = k log(2) + log(1 + f), x = 2**k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), so |s| < 0.172.

    log(+-0) = -inf, log(inf) = inf, log(1) = 0, NaN below 0. A subnormal number of either sign counts as 0.
    Error: float32 0.88 (0.88), float64 0.79 (0.79).
    """
    cdef real k = real_exponent(x, <real>0.70710678118654752)
    cdef real f = real_unscaled(x, k) - <real>1.0
    cdef real s = f / (<real>2.0 + f)
    cdef real w = s * s
    cdef real tail = real_fma(k, ln2_low(), -(s * (f - w * log_polynomial(w))))
    cdef real y = real_fma(k, ln2_high(), f + tail)
    y = y if x <= REAL_LARGEST else x
    return (REAL_NAN if x <= -REAL_SMALLEST else -REAL_INFINITY) if x < REAL_SMALLEST else y


cdef inline real real_softplus(real x) noexcept nogil:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)): no overflow, and exp(x) far below 0.

    softplus(-inf) = 0, softplus(inf) = inf. Error: float32 2.03 (2.03), float64 1.57 (1.62).
    """
    return (x if x > 0 else <real>0.0) + real_log1p(exp_nonpositive(-real_abs(x)))


cdef inline real real_normal_pdf(real x) noexcept nogil:
    """exp(-x**2/2)/sqrt(2 pi), the density of the normal distribution.

    0 at +-inf. Error: float32 2.03 (2.18), float64 1.96 (2.17).
    """
    return <real>0.39894228040143268 * exp_half_square(real_min(real_abs(x), normal_farthest()))


@cython.cdivision(True)
cdef inline real real_normal_cdf(real x) noexcept nogil:
    """Phi(x), the normal distribution function erfc(-x/sqrt(2))/2, relative to itself in the lower tail.

    With a = |x| and v = a/(a + 4), Phi(-a) = exp(-a**2/2) (2 (1 - v) + v p(2 v - 1))/(a + 4): the quotient of Phi(-a)
    by its exponential falls like 1/a, and v maps the half-line to [0, 1). Phi(a) = 1 - Phi(-a).
    Phi(-inf) = 0, Phi(inf) = 1, Phi(+-0) = 1/2. Error: float32 4.23 (4.64), float64 3.69 (4.43).
    """
    cdef real a = real_min(real_abs(x), normal_farthest())
    cdef real inverse = <real>1.0 / (a + <real>4.0)
    cdef real v = a * inverse
    cdef real p = normal_polynomial(real_fma(<real>2.0, v, <real>-1.0))
    cdef real y = exp_half_square(a) * (real_fma(v, p, <real>2.0 - <real>2.0 * v) * inverse)
    return <real>1.0 - y if x > 0 else y


def apply_function(str name, const real[::1] x, real[::1] out):
    """Write `name`(x) to `out`, element by element: what the tests see of this file.

    Raises ValueError for an unknown name and for arrays of different lengths.
    """
    cdef Py_ssize_t i, n = x.shape[0]
    if out.shape[0] != n:
        raise ValueError(f"out has {out.shape[0]} elements, x has {n}")
    if n == 0:
        return
    cdef const real *p = &x[0]
    cdef real *y = &out[0]
    if name == "exp":
        with nogil:
            for i in range(n):
                y[i] = real_exp(p[i])
    elif name == "log":
        with nogil:
            for i in range(n):
                y[i] = real_log(p[i])
    elif name == "log1p":
        with nogil:
            for i in range(n):
                y[i] = real_log1p(p[i])
    elif name == "tanh":
        with nogil:
            for i in range(n):
                y[i] = real_tanh(p[i])
    elif name == "sigmoid":
        with nogil:
            for i in range(n):
                y[i] = real_sigmoid(p[i])
    elif name == "softplus":
        with nogil:
            for i in range(n):
                y[i] = real_softplus(p[i])
    elif name == "normal_cdf":
        with nogil:
            for i in range(n):
                y[i] = real_normal_cdf(p[i])
    elif name == "normal_pdf":
        with nogil:
            for i in range(n):
                y[i] = real_normal_pdf(p[i])
    else:
        raise ValueError(f"unknown function {name!r}")

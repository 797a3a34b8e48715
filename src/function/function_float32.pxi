# What depends on the type in function.pxi: float32. The numbers are printed by derive_coefficients.py.

ctypedef double other_real

cdef inline real ln2_high() noexcept nogil:
    """log(2) to few enough bits that its product with any exponent is exact."""
    return <real>6.9314575e-01


cdef inline real ln2_low() noexcept nogil:
    """log(2) - ln2_high()."""
    return <real>1.4286068e-06


cdef inline real exp_lowest() noexcept nogil:
    """The smallest x whose exp(x) is a normal number."""
    return <real>-8.733654e+01


cdef inline real exp_highest() noexcept nogil:
    """The largest x whose exp(x) is finite."""
    return <real>8.872283e+01


cdef inline real normal_farthest() noexcept nogil:
    """Farther out Phi is 0 or 1; here the polynomial of the normal distribution ends."""
    return <real>14.5


cdef inline real exp_polynomial(real r) noexcept nogil:
    """g(r) of exp(r) - 1 = r + r**2 g(r).

    Degree 4 on [-0.347267, 0.347267], error 1.72e-8 relative to exp(r) - 1.
    """
    cdef real p = <real>1.3882533e-03
    p = real_fma(p, r, <real>8.366646e-03)
    p = real_fma(p, r, <real>4.1667204e-02)
    p = real_fma(p, r, <real>1.6666542e-01)
    p = real_fma(p, r, <real>4.9999997e-01)
    return p


cdef inline real coth_polynomial(real s) noexcept nogil:
    """c(s) of r coth(r) = 1 + s c(s), s = r**2.

    Degree 1 on [0.0, 0.0301485], error 2.25e-9 relative to tanh(r).
    """
    cdef real p = <real>-2.2133764e-02
    p = real_fma(p, s, <real>3.333325e-01)
    return p


cdef inline real log_polynomial(real w) noexcept nogil:
    """h(w) of log((1 + s)/(1 - s)) = 2 s + s w h(w), w = s**2.

    Degree 4 on [0.0, 0.111111], error 5.52e-10 relative to the logarithm.
    """
    cdef real p = <real>2.4289447e-01
    p = real_fma(p, w, <real>2.1430758e-01)
    p = real_fma(p, w, <real>2.8616595e-01)
    p = real_fma(p, w, <real>3.999889e-01)
    p = real_fma(p, w, <real>6.6666675e-01)
    return p


cdef inline real normal_polynomial(real t) noexcept nogil:
    """p(t) of (a + 4) exp(a**2/2) Phi(-a) = 2 (1 - v) + v p(t), v = a/(a + 4), t = 2 v - 1.

    Degree 9 on [-1.0, 0.567568], error 7.34e-9 relative to Phi(-a).
    """
    cdef real p = <real>-9.390891e-05
    p = real_fma(p, t, <real>-3.5203085e-04)
    p = real_fma(p, t, <real>6.9454795e-04)
    p = real_fma(p, t, <real>2.581159e-03)
    p = real_fma(p, t, <real>-9.563812e-03)
    p = real_fma(p, t, <real>-5.5224462e-03)
    p = real_fma(p, t, <real>1.2631874e-01)
    p = real_fma(p, t, <real>-4.993618e-01)
    p = real_fma(p, t, <real>1.2736365e+00)
    p = real_fma(p, t, <real>-4.8942974e-01)
    return p


include "function/function.pxi"

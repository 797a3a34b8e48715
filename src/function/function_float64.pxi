# What depends on the type in function.pxi: float64. The numbers are printed by derive_coefficients.py.

ctypedef float other_real

cdef inline real ln2_high() noexcept nogil:
    """log(2) to few enough bits that its product with any exponent is exact."""
    return <real>6.931471805601177e-01


cdef inline real ln2_low() noexcept nogil:
    """log(2) - ln2_high()."""
    return <real>-1.7239444525614835e-13


cdef inline real exp_lowest() noexcept nogil:
    """The smallest x whose exp(x) is a normal number."""
    return <real>-7.083964185322641e+02


cdef inline real exp_highest() noexcept nogil:
    """The largest x whose exp(x) is finite."""
    return <real>7.09782712893384e+02


cdef inline real normal_farthest() noexcept nogil:
    """Farther out Phi is 0 or 1; here the polynomial of the normal distribution ends."""
    return <real>38.6


cdef inline real exp_polynomial(real r) noexcept nogil:
    """g(r) of exp(r) - 1 = r + r**2 g(r).

    Degree 9 on [-0.347267, 0.347267], error 2.9e-17 relative to exp(r) - 1.
    """
    cdef real p = <real>2.5053747028427282e-08
    p = real_fma(p, r, <real>2.76262961665511e-07)
    p = real_fma(p, r, <real>2.755740832597543e-06)
    p = real_fma(p, r, <real>2.4801504657313536e-05)
    p = real_fma(p, r, <real>1.984126971748913e-04)
    p = real_fma(p, r, <real>1.3888888932045431e-03)
    p = real_fma(p, r, <real>8.333333333390454e-03)
    p = real_fma(p, r, <real>4.166666666657541e-02)
    p = real_fma(p, r, <real>1.6666666666666588e-01)
    p = real_fma(p, r, <real>5.000000000000006e-01)
    return p


cdef inline real coth_polynomial(real s) noexcept nogil:
    """c(s) of r coth(r) = 1 + s c(s), s = r**2.

    Degree 4 on [0.0, 0.0301485], error 1.37e-18 relative to tanh(r).
    """
    cdef real p = <real>2.1186618900871013e-05
    p = real_fma(p, s, <real>-2.1163390633650866e-04)
    p = real_fma(p, s, <real>2.116402021927224e-03)
    p = real_fma(p, s, <real>-2.2222222221604342e-02)
    p = real_fma(p, s, <real>3.3333333333333204e-01)
    return p


cdef inline real log_polynomial(real w) noexcept nogil:
    """h(w) of log((1 + s)/(1 - s)) = 2 s + s w h(w), w = s**2.

    Degree 10 on [0.0, 0.111111], error 2.35e-18 relative to the logarithm.
    """
    cdef real p = <real>1.6458605450342198e-01
    p = real_fma(p, w, <real>6.999737156807855e-02)
    p = real_fma(p, w, <real>1.0971126977804488e-01)
    p = real_fma(p, w, <real>1.1716163715215827e-01)
    p = real_fma(p, w, <real>1.3336786289656907e-01)
    p = real_fma(p, w, <real>1.5384453078257854e-01)
    p = real_fma(p, w, <real>1.818182315995131e-01)
    p = real_fma(p, w, <real>2.2222222126466235e-01)
    p = real_fma(p, w, <real>2.857142857249678e-01)
    p = real_fma(p, w, <real>3.999999999999406e-01)
    p = real_fma(p, w, <real>6.666666666666667e-01)
    return p


cdef inline real normal_polynomial(real t) noexcept nogil:
    """p(t) of (a + 4) exp(a**2/2) Phi(-a) = 2 (1 - v) + v p(t), v = a/(a + 4), t = 2 v - 1.

    Degree 21 on [-1.0, 0.812207], error 1.28e-16 relative to Phi(-a).
    """
    cdef real p = <real>-2.3351041124162453e-09
    p = real_fma(p, t, <real>1.7535315983851248e-09)
    p = real_fma(p, t, <real>2.731278383909018e-08)
    p = real_fma(p, t, <real>4.492840906361042e-09)
    p = real_fma(p, t, <real>-1.5870556021964436e-07)
    p = real_fma(p, t, <real>-1.5398453021767728e-07)
    p = real_fma(p, t, <real>6.821628306179024e-07)
    p = real_fma(p, t, <real>1.3611391998528732e-06)
    p = real_fma(p, t, <real>-2.6115525239144715e-06)
    p = real_fma(p, t, <real>-9.228258010555355e-06)
    p = real_fma(p, t, <real>1.0658202939880877e-05)
    p = real_fma(p, t, <real>5.963086728726982e-05)
    p = real_fma(p, t, <real>-6.344655564807917e-05)
    p = real_fma(p, t, <real>-3.987432376118585e-04)
    p = real_fma(p, t, <real>6.654317349050371e-04)
    p = real_fma(p, t, <real>2.5962051699045773e-03)
    p = real_fma(p, t, <real>-9.555589893145595e-03)
    p = real_fma(p, t, <real>-5.524788039606026e-03)
    p = real_fma(p, t, <real>1.263179378209395e-01)
    p = real_fma(p, t, <real>-4.99361653740274e-01)
    p = real_fma(p, t, <real>1.273636455224713e+00)
    p = real_fma(p, t, <real>-4.89429739168497e-01)
    return p


include "function/function.pxi"

# Adam's own kernel: the formula of fastbp/formula/optimizer.py, to the bit, several blocks at a time.
#
# The divider of Intel's processors takes square roots and divisions of 64 bytes in turn, 22 cycles for both, while the other
# units wait.  There the division is that of vquotient (vector.h), with the same bits: 20 cycles a vector instead of 23 for
# all of the update, and 0.94 of the time for a step at 64-32-10 with batches of 32.  The latency path, where a step is one
# chain of dependent operations, keeps the divider.

cdef enum:
    ADAM_BLOCKS = 4


cdef inline real adam_moments(adam_scalar* s, real gradient, real* m, real* v) noexcept nogil:
    """sqrt(v), with m and v of one parameter IN and OUT."""
    m[0] = real_fma(s.beta1, m[0], s.one_minus_beta1 * gradient)
    v[0] = real_fma(s.beta2, v[0], s.one_minus_beta2 * gradient * gradient)
    return real_sqrt(v[0])


cdef inline void grouped_adam(const bint by_reciprocal, Py_ssize_t n, const real* scalar, real l1, real l2, bint decays,
                              out_array w, in_array g, out_array m, out_array v) noexcept nogil:
    """Square roots of up to ADAM_BLOCKS blocks, then their divisions: a divider that takes turns loses two cycles a time.

    `by_reciprocal` divides by vquotient, in whose range root_scale sqrt(v) + epsilon has to lie.
    """
    cdef Py_ssize_t block, blocks, i, at, left = n // BLOCK
    cdef adam_scalar s = (<adam_scalar*>scalar)[0]
    cdef real root[ADAM_BLOCKS * BLOCK]
    cdef real decay = s.decay if decays else <real>0
    s.epsilon = real_positive(s.epsilon)
    while left > 0:
        blocks = min(left, <Py_ssize_t>ADAM_BLOCKS)
        if l1 == 0 and l2 == 0 and decay == 0:
            for block in range(blocks):
                for i in range(block * BLOCK, block * BLOCK + BLOCK):
                    root[i] = adam_moments(&s, g[i], &m[i], &v[i])
        else:
            for block in range(blocks):
                for i in range(block * BLOCK, block * BLOCK + BLOCK):
                    root[i] = adam_moments(&s, penalised(g[i], w[i], l1, l2), &m[i], &v[i])
                    w[i] = real_fma(-decay, w[i], w[i])
        if by_reciprocal:
            for i in range(blocks * BLOCK_VECTORS):
                at = i * LANES
                vstore(w + at, vload(w + at) - vquotient(vset(s.step_size) * vload(m + at),
                                                         vload(root + at) * vset(s.root_scale) + vset(s.epsilon)))
        else:
            for block in range(blocks):
                for i in range(block * BLOCK, block * BLOCK + BLOCK):
                    w[i] = w[i] - s.step_size * m[i] / (root[i] * s.root_scale + s.epsilon)
        w += ADAM_BLOCKS * BLOCK
        g += ADAM_BLOCKS * BLOCK
        m += ADAM_BLOCKS * BLOCK
        v += ADAM_BLOCKS * BLOCK
        left -= blocks


cdef inline void four_adam(const adam_scalar* s, vfour g, real* w, real* m, real* v) noexcept nogil:
    """The same for four parameters without penalty or decay, from their gradient; `s.epsilon` is positive."""
    cdef vfour first = four_fma(four_set(s.beta1), four_load(m), four_set(s.one_minus_beta1) * g)
    cdef vfour second = four_fma(four_set(s.beta2), four_load(v), four_set(s.one_minus_beta2) * g * g)
    four_store(m, first)
    four_store(v, second)
    four_store(w, four_load(w) - four_set(s.step_size) * first / (four_root(second) * four_set(s.root_scale)
                                                                  + four_set(s.epsilon)))


cdef void grouped_adam_step(Update* u) noexcept nogil:
    grouped_adam(False, u.n, u.scalar, u.l1, u.l2, u.decays, u.w, u.g, u.state, u.state + u.stride)


cdef void reciprocal_adam_step(Update* u) noexcept nogil:
    """The same to the bit.  Square roots are at most 2**64, so these scalars keep divisors below 2**95 or infinite."""
    cdef adam_scalar* s = <adam_scalar*>u.scalar
    if s.root_scale < <real>(1 << 30) and s.epsilon < <real>(1 << 30):
        grouped_adam(True, u.n, u.scalar, u.l1, u.l2, u.decays, u.w, u.g, u.state, u.state + u.stride)
    else:
        grouped_adam_step(u)


cdef StepKernel find_step(str name) except *:
    """The kernel of an optimizer.  Raises ValueError for an unknown name."""
    cdef StepKernel found = optimizer_formula(name)
    if name == "adam":
        found.step = reciprocal_adam_step if has_slow_divider() else grouped_adam_step
    return found

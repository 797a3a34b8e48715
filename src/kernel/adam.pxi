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


cdef inline void adam_group(const bint by_reciprocal, const bint is_plain, const int blocks, adam_scalar* s,
                            real l1, real l2, real decay, out_array w, in_array g, out_array m, out_array v) noexcept nogil:
    """Square roots of `blocks` blocks, then their divisions: a divider that takes turns loses two cycles a time.

    The first three are literals, so that what is read again stays in registers.
    """
    cdef real root[ADAM_BLOCKS * BLOCK]
    cdef real move[ADAM_BLOCKS * BLOCK]
    cdef Py_ssize_t i, at
    if is_plain:
        for i in range(blocks * BLOCK):
            move[i] = m[i]
            root[i] = adam_moments(s, g[i], &move[i], &v[i])
            m[i] = move[i]
    else:
        for i in range(blocks * BLOCK):
            move[i] = m[i]
            root[i] = adam_moments(s, penalised(g[i], w[i], l1, l2), &move[i], &v[i])
            m[i] = move[i]
            w[i] = real_fma(-decay, w[i], w[i])
    in_order()
    if by_reciprocal:
        for i in range(blocks * BLOCK_VECTORS):
            at = i * LANES
            vstore(w + at, vload(w + at) - vquotient(vset(s.step_size) * vload(move + at),
                                                     vload(root + at) * vset(s.root_scale) + vset(s.epsilon)))
    else:
        for i in range(blocks * BLOCK):
            move[i] = s.step_size * move[i] / (root[i] * s.root_scale + s.epsilon)
        for i in range(blocks * BLOCK):
            w[i] = w[i] - move[i]


cdef inline void grouped_adam(const bint by_reciprocal, Py_ssize_t n, const real* scalar, real l1, real l2, bint decays,
                              bint fetches, out_array w, in_array g, out_array m, out_array v) noexcept nogil:
    """`by_reciprocal` divides by vquotient, in whose range root_scale sqrt(v) + epsilon has to lie."""
    cdef Py_ssize_t block, left = n // BLOCK
    cdef adam_scalar s = (<adam_scalar*>scalar)[0]
    cdef real decay = s.decay if decays else <real>0
    cdef bint is_plain = l1 == 0 and l2 == 0 and decay == 0
    s.epsilon = real_positive(s.epsilon)
    while left >= ADAM_BLOCKS:
        if fetches:
            for block in range(ADAM_BLOCKS):
                fetch_ahead(w + block * BLOCK)
                fetch_ahead(m + block * BLOCK)
                fetch_ahead(v + block * BLOCK)
        if is_plain:
            adam_group(by_reciprocal, True, ADAM_BLOCKS, &s, l1, l2, decay, w, g, m, v)
        else:
            adam_group(by_reciprocal, False, ADAM_BLOCKS, &s, l1, l2, decay, w, g, m, v)
        w += ADAM_BLOCKS * BLOCK
        g += ADAM_BLOCKS * BLOCK
        m += ADAM_BLOCKS * BLOCK
        v += ADAM_BLOCKS * BLOCK
        left -= ADAM_BLOCKS
    while left > 0:
        if is_plain:
            adam_group(by_reciprocal, True, 1, &s, l1, l2, decay, w, g, m, v)
        else:
            adam_group(by_reciprocal, False, 1, &s, l1, l2, decay, w, g, m, v)
        w += BLOCK
        g += BLOCK
        m += BLOCK
        v += BLOCK
        left -= 1


cdef inline void four_adam(const adam_scalar* s, bint decays, vfour g, real* w, real* m, real* v) noexcept nogil:
    """The same for four parameters without penalty, from their gradient; `s.epsilon` is positive."""
    cdef vfour kept = four_load(w)
    cdef vfour first = four_fma(four_set(s.beta1), four_load(m), four_set(s.one_minus_beta1) * g)
    cdef vfour second = four_fma(four_set(s.beta2), four_load(v), four_set(s.one_minus_beta2) * g * g)
    four_store(m, first)
    four_store(v, second)
    if decays and s.decay != 0:     # a negative zero would lose its sign
        kept = four_fma(four_set(-s.decay), kept, kept)
    four_store(w, kept - four_set(s.step_size) * first / (four_root(second) * four_set(s.root_scale) + four_set(s.epsilon)))


cdef void grouped_adam_step(Update* u) noexcept nogil:
    grouped_adam(False, u.n, u.scalar, u.l1, u.l2, u.decays, u.fetches, u.w, u.g, u.state, u.state + u.stride)


cdef void reciprocal_adam_step(Update* u) noexcept nogil:
    """The same to the bit.  Square roots are at most 2**64, so these scalars keep divisors below 2**95 or infinite."""
    cdef adam_scalar* s = <adam_scalar*>u.scalar
    if s.root_scale < <real>(1 << 30) and s.epsilon < <real>(1 << 30):
        grouped_adam(True, u.n, u.scalar, u.l1, u.l2, u.decays, u.fetches, u.w, u.g, u.state, u.state + u.stride)
    else:
        grouped_adam_step(u)


cdef StepKernel find_step(str name) except *:
    """The kernel of an optimizer.  Raises ValueError for an unknown name."""
    cdef StepKernel found = optimizer_formula(name)
    if name == "adam":
        found.step = reciprocal_adam_step if has_slow_divider() else grouped_adam_step
    return found

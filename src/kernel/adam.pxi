# Adam's own kernel: the formula of fastbp/formula/optimizer.py, to the bit, several blocks at a time.

cdef enum:
    ADAM_BLOCKS = 4


cdef inline real adam_moments(adam_scalar* s, real gradient, real* m, real* v) noexcept nogil:
    """sqrt(v), with m and v of one parameter IN and OUT."""
    m[0] = real_fma(s.beta1, m[0], s.one_minus_beta1 * gradient)
    v[0] = real_fma(s.beta2, v[0], s.one_minus_beta2 * gradient * gradient)
    return real_sqrt(v[0])


cdef inline void grouped_adam(Py_ssize_t n, const real* scalar, real l1, real l2, bint decays,
                              out_array w, in_array g, out_array m, out_array v) noexcept nogil:
    """Square roots of up to ADAM_BLOCKS blocks, then their divisions: a divider that takes turns loses two cycles a time."""
    cdef Py_ssize_t block, blocks, i, left = n // BLOCK
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
        for block in range(blocks):
            for i in range(block * BLOCK, block * BLOCK + BLOCK):
                w[i] = w[i] - s.step_size * m[i] / (root[i] * s.root_scale + s.epsilon)
        w += ADAM_BLOCKS * BLOCK
        g += ADAM_BLOCKS * BLOCK
        m += ADAM_BLOCKS * BLOCK
        v += ADAM_BLOCKS * BLOCK
        left -= blocks


cdef void few_adam(const real* scalar, out_array w, in_array g, out_array m, out_array v) noexcept nogil:
    """The same for four parameters without penalty or decay; inlined, it would be computed number by number."""
    cdef adam_scalar s = (<adam_scalar*>scalar)[0]
    cdef real root
    cdef int i
    s.epsilon = real_positive(s.epsilon)
    for i in range(4):
        root = adam_moments(&s, g[i], &m[i], &v[i])
        w[i] = w[i] - s.step_size * m[i] / (root * s.root_scale + s.epsilon)


cdef void grouped_adam_step(Update* u) noexcept nogil:
    grouped_adam(u.n, u.scalar, u.l1, u.l2, u.decays, u.w, u.g, u.state, u.state + u.stride)


cdef StepKernel find_step(str name) except *:
    """The kernel of an optimizer.  Raises ValueError for an unknown name."""
    cdef StepKernel found = optimizer_formula(name)
    if name == "adam":
        found.step = grouped_adam_step
    return found

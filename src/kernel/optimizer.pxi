# Optimizer steps over a run of the flat parameter vector.  The formulas are those of fastbp/formula/optimizer.py, one loop
# each; Adam has a kernel of its own (adam.pxi).
#
# g is the gradient of the loss, the sum over row blocks in their order where there are several.  The penalty joins it here:
#     g = g + l2 * w + l1 * sign(w)
# Element by element: no order of summation beside that of the blocks; square root and division correctly rounded.
#
# n is a multiple of BLOCK everywhere, and none of the arrays overlap.  A loop over the numbers of a block inside a loop over
# blocks compiles to whole vectors alone, without a tail and without a look at n.

cdef enum:
    MOST_NUMBERS = 16       # of an optimizer, and scalars of a step
    MOST_POWERS = 3         # two of a formula, and that of the average of parameters

# Where vectors come from memory, no prefetcher keeps up with several that are read and written at a time: a step asks for
# what it will need so many blocks later.
cdef enum:
    AHEAD_BLOCKS = 64

# One run of parameters, and what a step needs beside them.
cdef struct Update:
    Py_ssize_t n
    real* w
    const real* g
    real* state             # the first slot's numbers of this run
    Py_ssize_t stride       # from one slot to the next
    const real* scalar      # of the step, in the order of the formula
    real l1
    real l2
    bint decays             # the scalar `decay` applies
    bint fetches            # w and the slots come from memory (Plan.fetches)

ctypedef void (*step_kernel)(Update* u) noexcept nogil
ctypedef void (*scalar_kernel)(const double* number, const double* power, real* scalar) noexcept nogil

cdef struct StepKernel:
    step_kernel step
    scalar_kernel scalars
    int n_slots
    int n_scalars
    int n_numbers
    int n_powers


cdef inline void fetch_ahead(const real* p) noexcept nogil:
    prefetch(p + AHEAD_BLOCKS * BLOCK)


cdef inline real penalised(real g, real w, real l1, real l2) noexcept nogil:
    return real_fma(l2, w, g) + l1 * (<real>1 if w > 0 else (<real>-1 if w < 0 else <real>0))


cdef void block_sum(Py_ssize_t n, real* g, Py_ssize_t stride, Py_ssize_t n_blocks) noexcept nogil:
    """g[i] = g[i] + g[i + stride] + g[i + 2 stride] + ...: the gradient blocks in their order; g IN and OUT."""
    cdef Py_ssize_t i, block
    for block in range(1, n_blocks):
        for i in range(n):
            g[i] += g[i + block * stride]


cdef void penalise(Py_ssize_t n, real l1, real l2, in_array w, out_array g) noexcept nogil:
    """g = g + l2 * w + l1 * sign(w)"""
    cdef Py_ssize_t block, i
    for block in range(n // BLOCK):
        for i in range(block * BLOCK, block * BLOCK + BLOCK):
            g[i] = penalised(g[i], w[i], l1, l2)


cdef void bound_values(Py_ssize_t n, real bound, out_array g) noexcept nogil:
    """g = min(max(g, -bound), bound); nan stays nan."""
    cdef Py_ssize_t block, i
    for block in range(n // BLOCK):
        for i in range(block * BLOCK, block * BLOCK + BLOCK):
            g[i] = bound if g[i] > bound else (-bound if g[i] < -bound else g[i])


cdef void multiply(Py_ssize_t n, real factor, out_array g) noexcept nogil:
    """g = factor * g"""
    cdef Py_ssize_t block, i
    for block in range(n // BLOCK):
        for i in range(block * BLOCK, block * BLOCK + BLOCK):
            g[i] = factor * g[i]


cdef void approach(Py_ssize_t n, real part, in_array w, out_array average) noexcept nogil:
    """average = average + part * (w - average)"""
    cdef Py_ssize_t block, i
    for block in range(n // BLOCK):
        for i in range(block * BLOCK, block * BLOCK + BLOCK):
            average[i] = real_fma(part, w[i] - average[i], average[i])


cdef double sum_of_sizes(Py_ssize_t n, const real* x) noexcept nogil:
    """|x|, in float64, one chain"""
    cdef double sum = 0
    cdef Py_ssize_t i
    for i in range(n):
        sum += real_abs(x[i])
    return sum


cdef double sum_of_squares(Py_ssize_t n, const real* x) noexcept nogil:
    """In float64, over BLOCK interleaved partial sums, added by halves."""
    cdef double part[BLOCK]
    cdef Py_ssize_t block
    cdef int lane, width = BLOCK // 2
    for lane in range(BLOCK):
        part[lane] = 0
    for block in range(n // BLOCK):
        for lane in range(BLOCK):
            part[lane] = part[lane] + <double>x[block * BLOCK + lane] * <double>x[block * BLOCK + lane]
    while width > 0:
        for lane in range(width):
            part[lane] = part[lane] + part[lane + width]
        width //= 2
    return part[0]

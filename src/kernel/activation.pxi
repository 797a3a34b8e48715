# Activations and their derivatives over whole padded rows.  The formulas are those of fastbp/formula/activation.py, one loop
# each so that the compiler vectorises it; softmax needs whole rows and has kernels of its own.
#
#     forward    a[r, j] = f(z[r, j])                 z IN, a OUT, may be the same array
#     keeping    the same, and z[r, j] = f'(z[r, j])  z IN and OUT, a OUT, not the same array
#     backward   d[r, j] = d[r, j] * f'(z[r, j])      d IN and OUT; from a where f' is a function of a, else the kept f'
#
# Some slopes need an exponential: computed with the output they share it, and what is kept costs a multiplication.  Forward
# and backward took 37 cycles a vector of 16 numbers where silu's was computed again, and takes 20; gelu's 78 and 41.
#
# Error: f to 4 ULP (function.pxi) and one rounding for each operation of the formula.

ctypedef void (*forward_kernel)(real alpha, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, real* z,
                                real* a) noexcept nogil
ctypedef void (*backward_kernel)(real alpha, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, const real* slope,
                                 const real* a, real* d) noexcept nogil
ctypedef real (*forward_formula)(real z, real alpha) noexcept nogil
ctypedef real (*backward_formula)(real d, real a, real alpha) noexcept nogil

cdef struct Activation:
    forward_kernel forward
    forward_kernel forward_keeping  # NULL where the slope is found from a
    backward_kernel backward        # NULL where there is nothing to do
    bint moves_zero             # f(0) is not 0: padding has to be cleared
    real alpha


cdef inline void forward_run(forward_formula f, real alpha, Py_ssize_t n, const real* z, real* a) noexcept nogil:
    """a = f(z), one loop where this is inlined with a formula by its name; z may be a."""
    cdef Py_ssize_t i
    if IN_PLACE_APART and z == a:
        for i in range(n):
            a[i] = f(a[i], alpha)
    else:
        for i in range(n):
            a[i] = f(z[i], alpha)


cdef inline void slope_run(forward_formula f, forward_formula slope, real alpha, Py_ssize_t n, out_array z,
                           out_array a) noexcept nogil:
    """a = f(z), z = f'(z); what both compute is computed once."""
    cdef Py_ssize_t i
    cdef real x
    for i in range(n):
        x = z[i]
        a[i] = f(x, alpha)
        z[i] = slope(x, alpha)


cdef inline void backward_run(backward_formula f, real alpha, Py_ssize_t n, in_array a, out_array d) noexcept nogil:
    """d = d * f'"""
    cdef Py_ssize_t i
    for i in range(n):
        d[i] = f(d[i], a[i], alpha)


# The same in whole blocks by way of copies, a third of the code: for the activations of fewer users.

cdef inline void forward_blocks(forward_formula f, real alpha, Py_ssize_t n, const real* z, real* a) noexcept nogil:
    cdef real part[BLOCK]
    cdef real rest[BLOCK]
    cdef const real* source
    cdef int i
    while n > 0:
        source = z
        if n < BLOCK:
            source = padded_block(n, z, rest)
        for i in range(BLOCK):
            part[i] = f(source[i], alpha)
        memcpy(a, part, min(n, <Py_ssize_t>BLOCK) * sizeof(real))
        n -= BLOCK
        z += BLOCK
        a += BLOCK


cdef inline void slope_blocks(forward_formula f, forward_formula slope, real alpha, Py_ssize_t n, real* z,
                              real* a) noexcept nogil:
    cdef real part[BLOCK]
    cdef real kept[BLOCK]
    cdef real rest[BLOCK]
    cdef const real* source
    cdef int i
    while n > 0:
        source = z
        if n < BLOCK:
            source = padded_block(n, z, rest)
        for i in range(BLOCK):
            part[i] = f(source[i], alpha)
            kept[i] = slope(source[i], alpha)
        memcpy(a, part, min(n, <Py_ssize_t>BLOCK) * sizeof(real))
        memcpy(z, kept, min(n, <Py_ssize_t>BLOCK) * sizeof(real))
        n -= BLOCK
        z += BLOCK
        a += BLOCK


cdef const real* padded_block(Py_ssize_t n, const real* x, real* to) noexcept nogil:
    """Fewer numbers than a block, and zeros behind them: in `to` (BLOCK) OUT."""
    memset(to, 0, BLOCK * sizeof(real))
    memcpy(to, x, n * sizeof(real))
    return to


cdef void kept_backward(real alpha, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, const real* slope, const real* a,
                        real* d) noexcept nogil:
    """d = d * f', which a forward pass has kept"""
    cdef in_array kept = slope
    cdef out_array to = d
    cdef Py_ssize_t i
    for i in range(rows * ld):
        to[i] = to[i] * kept[i]


cdef Activation find_activation(str name, double alpha, bint keeps_slope) except *:
    """The kernels of an activation, `forward` being the one that keeps the slope where that is wanted and has to be kept.

    Raises ValueError for an unknown name.
    """
    cdef Activation found
    cdef real zero = 0, value = 0
    found.forward_keeping = NULL
    if name == "linear":
        found.forward = copy_forward
        found.backward = NULL
    elif name == "softmax":
        found.forward = softmax_forward
        found.backward = softmax_backward
    elif name == "log_softmax":
        found.forward = log_softmax_forward
        found.backward = log_softmax_backward
    else:
        found = activation_formula(name)
    if name == "tanh":
        found.forward = tanh_blocks
    if keeps_slope and found.forward_keeping != NULL:
        found.forward = found.forward_keeping
    found.alpha = <real>alpha
    if name not in ("softmax", "log_softmax"):      # which clear their padding themselves
        found.forward(found.alpha, 1, 1, 1, &zero, &value)
    found.moves_zero = value != 0
    return found


cdef inline void activate(Activation* f, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, real* z, real* a) noexcept nogil:
    """a = f(z), padding kept at zero; z = f'(z) where `forward` keeps it"""
    f.forward(f.alpha, rows, n, ld, z, a)
    if f.moves_zero and n < ld:
        zero_padding(rows, n, ld, a)


cdef void copy_forward(real alpha, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, real* z, real* a) noexcept nogil:
    if z != a:
        memcpy(a, z, rows * ld * sizeof(real))


cdef inline real lane_sum(const real* part) noexcept nogil:
    """The sum of BLOCK partial sums by halves: one order for every vector width."""
    cdef real half[BLOCK]
    cdef int i
    for i in range(BLOCK // 2):
        half[i] = part[i] + part[i + BLOCK // 2]
    for i in range(BLOCK // 4):
        half[i] = half[i] + half[i + BLOCK // 4]
    for i in range(BLOCK // 8):
        half[i] = half[i] + half[i + BLOCK // 8]
    if BLOCK == 16:
        half[0] = half[0] + half[1]
    return half[0]


cdef enum:
    GROUP_COLUMNS = 128     # classes up to which a group of rows is transposed, so that rows fill the lanes


cdef real exponentials(Py_ssize_t n, Py_ssize_t ld, const real* z, real* a, real* shift) noexcept nogil:
    """One row: a[j] = exp(z[j] - max z), zero in the padding; their sum is returned, the maximum in `shift` (OUT).

    The sum runs over BLOCK interleaved partial sums (j modulo BLOCK), added by halves.
    """
    cdef real part[BLOCK]
    cdef Py_ssize_t j, block
    cdef int lane, width = BLOCK // 2
    cdef real largest = z[0]
    for lane in range(BLOCK):
        part[lane] = largest
    for block in range(n // BLOCK):
        for lane in range(BLOCK):
            part[lane] = part[lane] if z[block * BLOCK + lane] <= part[lane] else z[block * BLOCK + lane]
    for j in range(n // BLOCK * BLOCK, n):
        part[j % BLOCK] = part[j % BLOCK] if z[j] <= part[j % BLOCK] else z[j]
    while width > 0:
        for lane in range(width):
            part[lane] = part[lane] if part[lane + width] <= part[lane] else part[lane + width]
        width //= 2
    largest = part[0]
    for block in range((n + BLOCK - 1) // BLOCK):
        for lane in range(BLOCK):
            a[block * BLOCK + lane] = real_exp(z[block * BLOCK + lane] - largest)
    for j in range(n, ld):
        a[j] = 0
    memset(part, 0, sizeof(part))
    for block in range((n + BLOCK - 1) // BLOCK):
        for lane in range(BLOCK):
            part[lane] += a[block * BLOCK + lane]
    shift[0] = largest
    return lane_sum(part)


cdef inline void block_exponentials(Py_ssize_t n, Py_ssize_t ld, const real* z, real* a, real* total,
                                    real* shift) noexcept nogil:
    """A block of rows, one a lane: a[j] = exp(z[j] - max z), their sum over j in order, and the maximum; a may be z.

    z and a (n, BLOCK), `ld` from one j to the next; `total` and `shift` (BLOCK) OUT.
    """
    cdef real sum[BLOCK]
    cdef real power[BLOCK]
    cdef real most[BLOCK]
    cdef Py_ssize_t j
    cdef int lane, v
    cdef vreal largest
    for v in range(BLOCK_VECTORS):
        largest = vload(z + v * LANES)
        for j in range(1, n):
            largest = vmax(largest, vload(z + j * ld + v * LANES))
        vstore(most + v * LANES, largest)
    memset(sum, 0, sizeof(sum))
    for j in range(n):
        for lane in range(BLOCK):
            power[lane] = real_exp(z[j * ld + lane] - most[lane])
            sum[lane] += power[lane]
        memcpy(a + j * ld, power, sizeof(power))
    memcpy(total, sum, sizeof(sum))
    memcpy(shift, most, sizeof(most))


cdef void group_exponentials(Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, const real* z, real* transposed,
                             real* total, real* shift) noexcept nogil:
    """Up to BLOCK rows, n <= GROUP_COLUMNS: transposed[j, r] = exp(z[r, j] - max z[r]), 0 for j >= n; sums over j in order.

    `transposed` (ld, BLOCK), `total` and `shift` (BLOCK) OUT; lanes of missing rows hold exp(0).
    """
    if rows < BLOCK:
        memset(transposed, 0, n * BLOCK * sizeof(real))
    memset(transposed + n * BLOCK, 0, (ld - n) * BLOCK * sizeof(real))
    transpose(rows, n, z, ld, transposed, BLOCK)
    block_exponentials(n, BLOCK, transposed, transposed, total, shift)


cdef void group_scale(Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, real* transposed, const real* factor,
                      real* out) noexcept nogil:
    """out[r, j] = transposed[j, r] * factor[r], padding included."""
    cdef Py_ssize_t j
    cdef int lane
    for j in range(n):
        for lane in range(BLOCK):
            transposed[j * BLOCK + lane] = transposed[j * BLOCK + lane] * factor[lane]
    transpose(ld, rows, transposed, BLOCK, out, ld)


cdef void softmax_forward(real alpha, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, real* z, real* a) noexcept nogil:
    """a[r, j] = exp(z[r, j]) / sum_k exp(z[r, k]), from the row's maximum so that nothing overflows; a may be z."""
    cdef real transposed[GROUP_COLUMNS * BLOCK]
    cdef real total[BLOCK]
    cdef real shift[BLOCK]
    cdef Py_ssize_t r, j, group
    cdef int lane
    cdef real sum
    if n <= GROUP_COLUMNS and rows > 1:
        for r in range((rows + BLOCK - 1) // BLOCK):
            group = min(<Py_ssize_t>BLOCK, rows - r * BLOCK)
            group_exponentials(group, n, ld, z + r * BLOCK * ld, transposed, total, shift)
            for lane in range(BLOCK):
                total[lane] = 1 / total[lane]
            group_scale(group, n, ld, transposed, total, a + r * BLOCK * ld)
    else:
        for r in range(rows):
            sum = exponentials(n, ld, z + r * ld, a + r * ld, shift)
            if n <= GROUP_COLUMNS:      # one row alone: the sum in order, as a group takes it
                sum = 0
                for j in range(n):
                    sum += a[j]
            sum = 1 / sum
            for j in range(ld):
                a[r * ld + j] = a[r * ld + j] * sum


cdef void softmax_backward(real alpha, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, const real* slope, const real* a,
                           real* d) noexcept nogil:
    """d[r, j] = a[r, j] * (d[r, j] - sum_k d[r, k] a[r, k]); the sum over BLOCK interleaved partial sums."""
    cdef real part[BLOCK]
    cdef real dot
    cdef Py_ssize_t r, block
    cdef int lane
    for r in range(rows):
        memset(part, 0, sizeof(part))
        for block in range((n + BLOCK - 1) // BLOCK):
            for lane in range(BLOCK):
                part[lane] = real_fma(d[block * BLOCK + lane], a[block * BLOCK + lane], part[lane])
        dot = lane_sum(part)
        for block in range((n + BLOCK - 1) // BLOCK):
            for lane in range(BLOCK):
                d[block * BLOCK + lane] = a[block * BLOCK + lane] * (d[block * BLOCK + lane] - dot)
        a += ld
        d += ld


cdef void log_softmax_forward(real alpha, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, real* z, real* a) noexcept nogil:
    """a[r, j] = (z[r, j] - max z[r]) - log sum_k exp(z[r, k] - max z[r]); a may be z."""
    cdef real power[BLOCK]
    cdef real part[BLOCK]
    cdef real most, rest
    cdef Py_ssize_t r, j, block
    cdef int lane
    for r in range(rows):
        most = z[0]
        for j in range(1, n):
            most = real_max(most, z[j])
        memset(part, 0, sizeof(part))
        for block in range(n // BLOCK):
            for lane in range(BLOCK):
                part[lane] = part[lane] + real_exp(z[block * BLOCK + lane] - most)
        if n % BLOCK:
            memset(power, 0, sizeof(power))
            memcpy(power, z + n // BLOCK * BLOCK, n % BLOCK * sizeof(real))
            for lane in range(BLOCK):
                power[lane] = real_exp(power[lane] - most)
            for lane in range(n % BLOCK):
                part[lane] = part[lane] + power[lane]
        rest = real_log(lane_sum(part))
        for j in range(n):
            a[j] = (z[j] - most) - rest
        for j in range(n, ld):
            a[j] = 0
        z += ld
        a += ld


cdef void log_softmax_backward(real alpha, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, const real* slope, const real* a,
                               real* d) noexcept nogil:
    """d[r, j] = d[r, j] - exp(a[r, j]) sum_k d[r, k]; the sum over BLOCK interleaved partial sums."""
    cdef real part[BLOCK]
    cdef real sum
    cdef Py_ssize_t r, j, block
    cdef int lane
    for r in range(rows):
        memset(part, 0, sizeof(part))
        for block in range(n // BLOCK):
            for lane in range(BLOCK):
                part[lane] = part[lane] + d[block * BLOCK + lane]
        for j in range(n // BLOCK * BLOCK, n):
            part[j % BLOCK] = part[j % BLOCK] + d[j]
        sum = lane_sum(part)
        for block in range((n + BLOCK - 1) // BLOCK):
            for lane in range(BLOCK):
                d[block * BLOCK + lane] = d[block * BLOCK + lane] - real_exp(a[block * BLOCK + lane]) * sum
        for j in range(n, ld):
            d[j] = 0
        a += ld
        d += ld


cdef void zero_padding(Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, real* a) noexcept nogil:
    """a[r, j] = 0 for n <= j < ld: what f(0) left in the padding must not act as a unit."""
    cdef Py_ssize_t r, j
    for r in range(rows):
        for j in range(n, ld):
            a[r * ld + j] = 0

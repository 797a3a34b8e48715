# Activations and their derivatives over flat runs of numbers (whole padded rows), one loop each so that the compiler
# vectorises it.  The codes are those of fastbp/activation.py.
#
#     forward    a[i] = f(z[i])                       z IN, a OUT, may be the same array
#     backward   d[i] = d[i] * f'(z[i])               d IN and OUT; from a where f' is a function of a, else from z
#
# Error: f to 4 ULP (function.pxi) and one rounding for each operation written here.

cdef enum:
    LINEAR = 0
    RELU = 1
    LEAKY_RELU = 2
    ELU = 3
    SELU = 4
    GELU = 5
    SILU = 6
    SOFTPLUS = 7
    TANH = 8
    SIGMOID = 9
    SOFTMAX = 10

# The fixed point of mean 0 and variance 1: Klambauer et al., Self-Normalizing Neural Networks, 2017, equation 14.
cdef real SELU_SCALE = <real>1.0507009873554804934193349852946
cdef real SELU_ALPHA = <real>1.6732632423543772848170429916717


cdef inline real elu(real z, real alpha) noexcept nogil:
    """z above 0, alpha (exp(z) - 1) below, which keeps the digits of small z; exp(-40) is lost beside 1."""
    cdef real x = real_max(z if z < 0 else <real>0, <real>-40)
    cdef real t = exp_quotient(x)
    cdef real power = real_power(t)
    cdef real below = alpha * real_fma(power, expm1_core(exp_remainder(x, t)), power - <real>1)
    return z if z > 0 else below if z == z else z


cdef inline void forward_run(int code, real alpha, Py_ssize_t n, const real* z, real* a) noexcept nogil:
    """a = f(z) for every activation but softmax, which needs whole rows."""
    cdef Py_ssize_t i
    cdef real scale = SELU_SCALE, selu_alpha = SELU_ALPHA
    if code == RELU:
        for i in range(n):
            a[i] = real_max(z[i], 0)
    elif code == TANH:
        for i in range(n):
            a[i] = real_tanh(z[i])
    elif code == SIGMOID:
        for i in range(n):
            a[i] = real_sigmoid(z[i])
    elif code == LEAKY_RELU:
        for i in range(n):
            a[i] = z[i] if z[i] > 0 else alpha * z[i]
    elif code == ELU:
        for i in range(n):
            a[i] = elu(z[i], alpha)
    elif code == SELU:
        for i in range(n):
            a[i] = scale * elu(z[i], selu_alpha)
    elif code == GELU:
        for i in range(n):
            a[i] = z[i] * real_normal_cdf(z[i])
    elif code == SILU:
        for i in range(n):
            a[i] = z[i] * real_sigmoid(z[i])
    elif code == SOFTPLUS:
        for i in range(n):
            a[i] = real_softplus(z[i])
    elif z != a:
        memcpy(a, z, n * sizeof(real))


cdef inline void backward_run(int code, real alpha, Py_ssize_t n, in_array z, in_array a, out_array d) noexcept nogil:
    """d = d * f'(z); relu' at 0 is 0."""
    cdef Py_ssize_t i
    cdef real s, scale = SELU_SCALE, tail = SELU_SCALE * SELU_ALPHA
    cdef real one = <real>1
    if code == RELU:
        for i in range(n):
            d[i] = d[i] if a[i] > 0 else <real>0
    elif code == TANH:
        for i in range(n):
            d[i] = d[i] * (one - a[i] * a[i])
    elif code == SIGMOID:
        for i in range(n):
            d[i] = d[i] * (a[i] * (one - a[i]))
    elif code == LEAKY_RELU:
        for i in range(n):
            d[i] = d[i] if z[i] > 0 else alpha * d[i]
    elif code == ELU:
        for i in range(n):
            d[i] = d[i] if a[i] > 0 else d[i] * (a[i] + alpha)
    elif code == SELU:
        for i in range(n):
            d[i] = d[i] * (scale if a[i] > 0 else a[i] + tail)
    elif code == GELU:
        for i in range(n):
            d[i] = d[i] * (real_normal_cdf(z[i]) + z[i] * real_normal_pdf(z[i]))
    elif code == SILU:
        for i in range(n):
            s = real_sigmoid(z[i])
            d[i] = d[i] * (s * (one + z[i] * (one - s)))
    elif code == SOFTPLUS:
        for i in range(n):
            d[i] = d[i] * real_sigmoid(z[i])


# Called with a literal code, the runs above are one loop where they are inlined.

cdef void activation_forward(int code, real alpha, Py_ssize_t n, const real* z, real* a) noexcept nogil:
    forward_run(code, alpha, n, z, a)


cdef void activation_backward(int code, real alpha, Py_ssize_t n, const real* z, const real* a, real* d) noexcept nogil:
    backward_run(code, alpha, n, z, a, d)


cdef inline real lane_sum(const real* part) noexcept nogil:
    """The sum of BLOCK partial sums by halves: one order for every vector width."""
    cdef real half[BLOCK]
    cdef int i, width = BLOCK // 2
    for i in range(BLOCK):
        half[i] = part[i]
    while width > 0:
        for i in range(width):
            half[i] = half[i] + half[i + width]
        width //= 2
    return half[0]


cdef enum:
    GROUP_COLUMNS = 128     # classes up to which a group of rows is turned, so that rows fill the lanes


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


cdef void group_exponentials(Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, const real* z, real* turned,
                             real* total, real* shift) noexcept nogil:
    """Up to BLOCK rows, n <= GROUP_COLUMNS: turned[j, r] = exp(z[r, j] - max z[r]), zero for j >= n; sums over j in order.

    `turned` (ld, BLOCK), `total` and `shift` (BLOCK) OUT; lanes of missing rows hold exp(0).
    """
    cdef Py_ssize_t j
    cdef int lane
    cdef real x
    if rows < BLOCK:
        memset(turned, 0, n * BLOCK * sizeof(real))
    memset(turned + n * BLOCK, 0, (ld - n) * BLOCK * sizeof(real))
    transpose(rows, n, z, ld, turned, BLOCK)
    for lane in range(BLOCK):
        shift[lane] = turned[lane]
        total[lane] = 0
    for j in range(1, n):
        for lane in range(BLOCK):
            x = turned[j * BLOCK + lane]
            shift[lane] = shift[lane] if x <= shift[lane] else x
    for j in range(n):
        for lane in range(BLOCK):
            x = real_exp(turned[j * BLOCK + lane] - shift[lane])
            turned[j * BLOCK + lane] = x
            total[lane] += x


cdef void group_scale(Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, real* turned, const real* factor,
                      real* out) noexcept nogil:
    """out[r, j] = turned[j, r] * factor[r], padding included."""
    cdef Py_ssize_t j
    cdef int lane
    for j in range(n):
        for lane in range(BLOCK):
            turned[j * BLOCK + lane] = turned[j * BLOCK + lane] * factor[lane]
    transpose(ld, rows, turned, BLOCK, out, ld)


cdef void softmax_forward(Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, const real* z, real* a) noexcept nogil:
    """a[r, j] = exp(z[r, j]) / sum_k exp(z[r, k]), from the row's maximum so that nothing overflows; a may be z."""
    cdef real turned[GROUP_COLUMNS * BLOCK]
    cdef real total[BLOCK]
    cdef real shift[BLOCK]
    cdef Py_ssize_t r, j, group
    cdef int lane
    cdef real sum
    if n <= GROUP_COLUMNS and rows > 1:
        for r in range((rows + BLOCK - 1) // BLOCK):
            group = min(<Py_ssize_t>BLOCK, rows - r * BLOCK)
            group_exponentials(group, n, ld, z + r * BLOCK * ld, turned, total, shift)
            for lane in range(BLOCK):
                total[lane] = 1 / total[lane]
            group_scale(group, n, ld, turned, total, a + r * BLOCK * ld)
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


cdef void softmax_backward(Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, const real* a, real* d) noexcept nogil:
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


cdef void zero_padding(Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, real* a) noexcept nogil:
    """a[r, j] = 0 for n <= j < ld: what f(0) left in the padding must not act as a unit."""
    cdef Py_ssize_t r, j
    for r in range(rows):
        for j in range(n, ld):
            a[r * ld + j] = 0

# Losses: the sum over rows and its derivative in one pass.  The codes are those of fastbp/loss/__init__.py.
#
#     return   sum over rows (and outputs) of the loss, before the division by their number
#     d[r, j]  = scale * d loss / d (pre-activation or output)[r, j]; zero in the padding
#
# The cross-entropies work from logits, so neither overflows nor clips: a gradient is the derivative of the reported loss.
# Sums run over BLOCK interleaved partial sums, in row order, added by halves.  d overlaps neither outputs nor targets.

cdef enum:
    MSE = 0
    HALF_SSE = 1
    MAE = 2
    HUBER = 3
    BINARY_CROSS_ENTROPY = 4
    CROSS_ENTROPY = 5


cdef inline real loss_term(const int code, real delta, real out, real target, real* slope) noexcept nogil:
    """One output's loss and, in `slope` (OUT), its derivative; `out` is the logit for the binary cross-entropy."""
    cdef real e, size, s
    if code == BINARY_CROSS_ENTROPY:
        s = real_sigmoid(out)
        slope[0] = s - target
        # softplus(out) - out * target; with the large parts taken apart first, a right answer's small loss keeps its digits
        return real_softplus(-real_abs(out)) + (real_max(out, 0) - out * target)
    e = out - target
    if code == MSE:
        slope[0] = e + e
        return e * e
    if code == HALF_SSE:
        slope[0] = e
        return <real>0.5 * e * e
    size = real_abs(e)
    if code == MAE:
        slope[0] = <real>1 if e > 0 else (<real>-1 if e < 0 else e)
        return size
    slope[0] = e if size <= delta else (delta if e > 0 else -delta)
    return <real>0.5 * e * e if size <= delta else delta * (size - <real>0.5 * delta)


cdef inline void narrow_row(const int code, real delta, real scale, Py_ssize_t n, const real* out, const real* y,
                            Py_ssize_t y_column, real* d, real* part) noexcept nogil:
    """A row of up to four outputs, its gradient stored whole; element j joins partial sum j of `part` (4, IN and OUT)."""
    cdef real slope[4]
    slope[1] = 0
    slope[2] = 0
    slope[3] = 0
    part[0] += loss_term(code, delta, out[0], y[0], &slope[0])
    if n > 1:
        part[1] += loss_term(code, delta, out[1], y[y_column], &slope[1])
    if n > 2:
        part[2] += loss_term(code, delta, out[2], y[2 * y_column], &slope[2])
    if n > 3:
        part[3] += loss_term(code, delta, out[3], y[3 * y_column], &slope[3])
    store_row(d, scale * slope[0], scale * slope[1], scale * slope[2], scale * slope[3])


cdef inline double narrow_loss(const int code, real delta, real scale, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld,
                               const real* out, const real* y, Py_ssize_t y_row, Py_ssize_t y_column,
                               const unsigned int* order, real* d) noexcept nogil:
    """The rows of one loss of up to four outputs.  Element (r, j) joins partial sum r modulo BLOCK - 3, and j further on."""
    cdef real part[BLOCK]
    cdef Py_ssize_t r
    if rows == 1:   # what follows, without its way through memory
        part[0] = part[1] = part[2] = part[3] = 0
        narrow_row(code, delta, scale, n, out, y + (order[0] if order != NULL else 0) * y_row, y_column, d, part)
        return (part[0] + part[2]) + (part[1] + part[3])
    memset(part, 0, sizeof(part))
    for r in range(rows):
        narrow_row(code, delta, scale, n, out, y + (order[r] if order != NULL else r) * y_row, y_column, d,
                   part + r % (BLOCK - 3))
        out += ld
        d += ld
    return lane_sum(part)


cdef inline double loss_rows_of(const int code, real delta, real scale, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld,
                                const real* out, const real* y, Py_ssize_t y_row, Py_ssize_t y_column,
                                const unsigned int* order, real* d) noexcept nogil:
    """The rows of one loss.  Element (r, j) joins partial sum j modulo BLOCK."""
    cdef real part[BLOCK]
    cdef Py_ssize_t r, block
    cdef int lane, count
    cdef real term, slope
    if n <= 4:
        return narrow_loss(code, delta, scale, rows, n, ld, out, y, y_row, y_column, order, d)
    gather(rows, n, order, y, y_row, y_column, d, ld)
    memset(part, 0, sizeof(part))
    for r in range(rows):
        for block in range((n + BLOCK - 1) // BLOCK):
            count = <int>min(n - block * BLOCK, <Py_ssize_t>BLOCK)
            for lane in range(BLOCK):
                term = loss_term(code, delta, out[block * BLOCK + lane], d[block * BLOCK + lane], &slope)
                part[lane] += term if lane < count else 0
                d[block * BLOCK + lane] = scale * slope if lane < count else 0
        out += ld
        d += ld
    return lane_sum(part)


cdef double loss_forward_backward(int code, real delta, real scale, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld,
                                  const real* out, const real* y, Py_ssize_t y_row, Py_ssize_t y_column,
                                  const unsigned int* order, real* d) noexcept nogil:
    """mse, half_sse, mae, huber, binary_cross_entropy; target of row r is row order[r] of y (r where order is NULL)."""
    if code == MSE:
        return loss_rows_of(MSE, delta, scale, rows, n, ld, out, y, y_row, y_column, order, d)
    if code == HALF_SSE:
        return loss_rows_of(HALF_SSE, delta, scale, rows, n, ld, out, y, y_row, y_column, order, d)
    if code == MAE:
        return loss_rows_of(MAE, delta, scale, rows, n, ld, out, y, y_row, y_column, order, d)
    if code == HUBER:
        return loss_rows_of(HUBER, delta, scale, rows, n, ld, out, y, y_row, y_column, order, d)
    return loss_rows_of(BINARY_CROSS_ENTROPY, delta, scale, rows, n, ld, out, y, y_row, y_column, order, d)


cdef double cross_entropy_labels(real scale, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, const real* z,
                                 const int* label, Py_ssize_t label_step, const unsigned int* order,
                                 real* d) noexcept nogil:
    """loss_r = log sum_j exp(z[r, j]) - z[r, label]; d = scale * (softmax(z) - one_hot(label)).

    Rows add up one after the other.  A label outside 0..n-1, which somebody must have written since the check, counts as 0.
    """
    cdef real turned[GROUP_COLUMNS * BLOCK]
    cdef real total[BLOCK]
    cdef real shift[BLOCK]
    cdef real factor[BLOCK]
    cdef Py_ssize_t r, j, group, first = 0
    cdef int lane, target
    cdef double loss = 0
    while first < rows:
        group = min(<Py_ssize_t>BLOCK, rows - first) if n <= GROUP_COLUMNS else 1
        if n <= GROUP_COLUMNS:
            group_exponentials(group, n, ld, z + first * ld, turned, total, shift)
        else:
            total[0] = exponentials(n, ld, z + first * ld, d + first * ld, shift)
        for lane in range(BLOCK if n <= GROUP_COLUMNS else 1):
            factor[lane] = scale / total[lane]
            total[lane] = real_log(total[lane])
        if n <= GROUP_COLUMNS:
            group_scale(group, n, ld, turned, factor, d + first * ld)
        else:
            for j in range(ld):
                d[first * ld + j] = d[first * ld + j] * factor[0]
        for r in range(group):
            target = label[(order[first + r] if order != NULL else first + r) * label_step]
            target = target if 0 <= target < n else 0
            d[(first + r) * ld + target] -= scale
            loss += (shift[r] - z[(first + r) * ld + target]) + total[r]
        first += group
    return loss


cdef double cross_entropy_rows(real scale, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, const real* z,
                               const real* y, Py_ssize_t y_row, Py_ssize_t y_column, const unsigned int* order,
                               real* d) noexcept nogil:
    """The same for rows of probabilities p: loss_r = sum_j p_j (max z - z_j) + sum_j p_j log sum_j exp(z_j - max z).

    d = scale * (softmax(z) * sum_j p_j - p), whatever sum p is.
    """
    cdef Py_ssize_t r, first = 0
    cdef double loss = 0
    if n > GROUP_COLUMNS:
        for r in range(rows):
            loss += wide_entropy(scale, n, ld, z + r * ld, y + (order[r] if order != NULL else r) * y_row, y_column,
                                 d + r * ld)
        return loss
    gather(rows, n, order, y, y_row, y_column, d, ld)
    while first < rows:
        loss += group_entropy(scale, min(<Py_ssize_t>BLOCK, rows - first), n, ld, z + first * ld, d + first * ld)
        first += BLOCK
    return loss


cdef inline real surprise(real p, real z, real shift) noexcept nogil:
    """p (shift - z); nothing where p is 0, though z may be infinite."""
    return p * (shift - z) if p != 0 else <real>0


cdef double group_entropy(real scale, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, const real* z, real* d) noexcept nogil:
    """Up to BLOCK rows, one a lane, n <= GROUP_COLUMNS; their p in d (IN and OUT), padding zero."""
    cdef real exponential[GROUP_COLUMNS * BLOCK]
    cdef real p[GROUP_COLUMNS * BLOCK]
    cdef real logit[GROUP_COLUMNS * BLOCK]
    cdef real total[BLOCK]
    cdef real shift[BLOCK]
    cdef real mass[BLOCK]
    cdef real entropy[BLOCK]
    cdef Py_ssize_t j
    cdef int lane
    cdef double loss = 0
    if rows < BLOCK:
        memset(p, 0, n * BLOCK * sizeof(real))
        memset(logit, 0, n * BLOCK * sizeof(real))
    memset(mass, 0, sizeof(mass))
    memset(entropy, 0, sizeof(entropy))
    group_exponentials(rows, n, ld, z, exponential, total, shift)
    transpose(rows, n, d, ld, p, BLOCK)
    transpose(rows, n, z, ld, logit, BLOCK)
    for j in range(n):
        for lane in range(BLOCK):
            mass[lane] += p[j * BLOCK + lane]
            entropy[lane] += surprise(p[j * BLOCK + lane], logit[j * BLOCK + lane], shift[lane])
    for lane in range(BLOCK):
        entropy[lane] += mass[lane] * real_log(total[lane])
        mass[lane] = scale * mass[lane] / total[lane]
    for j in range(n):
        for lane in range(BLOCK):
            exponential[j * BLOCK + lane] = exponential[j * BLOCK + lane] * mass[lane] - scale * p[j * BLOCK + lane]
    transpose(ld, rows, exponential, BLOCK, d, ld)
    for lane in range(rows):
        loss += entropy[lane]
    return loss


cdef double wide_entropy(real scale, Py_ssize_t n, Py_ssize_t ld, const real* z, const real* target, Py_ssize_t y_column,
                         real* d) noexcept nogil:
    """One row of more classes, GROUP_COLUMNS at a time; sums over BLOCK interleaved partial sums, added by halves."""
    cdef real p[GROUP_COLUMNS]
    cdef real mass[BLOCK]
    cdef real entropy[BLOCK]
    cdef real shift, total = exponentials(n, ld, z, d, &shift), factor
    cdef Py_ssize_t chunk, first, j, width
    cdef int lane
    memset(mass, 0, sizeof(mass))
    memset(entropy, 0, sizeof(entropy))
    for chunk in range((n + GROUP_COLUMNS - 1) // GROUP_COLUMNS):
        first = chunk * GROUP_COLUMNS
        width = min(n - first, <Py_ssize_t>GROUP_COLUMNS)
        gather(1, width, NULL, target + first * y_column, 0, y_column, p, GROUP_COLUMNS)
        for j in range((width + BLOCK - 1) // BLOCK):
            for lane in range(BLOCK):
                mass[lane] += p[j * BLOCK + lane]
                entropy[lane] += surprise(p[j * BLOCK + lane], z[first + j * BLOCK + lane], shift)
    factor = scale * lane_sum(mass) / total
    for chunk in range((n + GROUP_COLUMNS - 1) // GROUP_COLUMNS):
        first = chunk * GROUP_COLUMNS
        width = min(n - first, <Py_ssize_t>GROUP_COLUMNS)
        gather(1, width, NULL, target + first * y_column, 0, y_column, p, GROUP_COLUMNS)
        for j in range((width + BLOCK - 1) // BLOCK):
            for lane in range(BLOCK):
                d[first + j * BLOCK + lane] = d[first + j * BLOCK + lane] * factor - scale * p[j * BLOCK + lane]
    return lane_sum(entropy) + lane_sum(mass) * real_log(total)

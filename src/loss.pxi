# Losses: the sum over rows and its derivative in one pass.  The codes are those of fastbp/loss.py.
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


cdef inline void block_row(const int code, real delta, real scale, const real* out, const real* y, Py_ssize_t y_column,
                           real* d, real* part) noexcept nogil:
    """One whole block of a row; element j joins partial sum j of `part` (BLOCK, IN and OUT), however y lies in memory."""
    cdef real slope
    cdef int lane
    if y_column == 1:
        for lane in range(BLOCK):
            part[lane] += loss_term(code, delta, out[lane], y[lane], &slope)
            d[lane] = scale * slope
    else:
        for lane in range(BLOCK):
            part[lane] += loss_term(code, delta, out[lane], y[lane * y_column], &slope)
            d[lane] = scale * slope


cdef inline double loss_rows_of(const int code, real delta, real scale, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld,
                                const real* out, const real* y, Py_ssize_t y_row, Py_ssize_t y_column,
                                const unsigned int* order, real* d) noexcept nogil:
    """The rows of one loss.  Element (r, j) joins partial sum j of its block, (r + j) modulo BLOCK if it is not full,
    r modulo BLOCK - 3 and on if the row is narrow.
    """
    cdef real part[BLOCK]
    cdef Py_ssize_t r, j, block, left = ld - n // BLOCK * BLOCK
    cdef const real* target
    cdef real slope
    if rows == 1 and n <= 4:    # what follows, without its way through memory
        part[0] = part[1] = part[2] = part[3] = 0
        narrow_row(code, delta, scale, n, out, y + (order[0] if order != NULL else 0) * y_row, y_column, d, part)
        return (part[0] + part[2]) + (part[1] + part[3])
    memset(part, 0, sizeof(part))
    for r in range(rows):
        target = y + (order[r] if order != NULL else r) * y_row
        if n <= 4:
            narrow_row(code, delta, scale, n, out, target, y_column, d, part + r % (BLOCK - 3))
            out += ld
            d += ld
            continue
        for block in range(n // BLOCK):
            block_row(code, delta, scale, out, target, y_column, d, part)
            out += BLOCK
            target += BLOCK * y_column
            d += BLOCK
        if left:
            memset(d, 0, left * sizeof(real))
            for j in range(n % BLOCK):
                part[(r + j) % BLOCK] += loss_term(code, delta, out[j], target[j * y_column], &slope)
                d[j] = scale * slope
            out += left
            d += left
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
                                 const int* label, const unsigned int* order, real* d) noexcept nogil:
    """loss_r = log sum_j exp(z[r, j]) - z[r, label]; d = scale * (softmax(z) - one_hot(label)).

    Rows add up one after the other; label values are inside 0..n-1, checked when they were copied.
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
            target = label[order[first + r] if order != NULL else first + r]
            d[(first + r) * ld + target] -= scale
            loss += (shift[r] - z[(first + r) * ld + target]) + total[r]
        first += group
    return loss


cdef double cross_entropy_rows(real scale, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, const real* z,
                               const real* y, Py_ssize_t y_row, Py_ssize_t y_column, const unsigned int* order,
                               real* d) noexcept nogil:
    """The same for rows of probabilities p: loss_r = sum_j p_j (log sum exp(z) - z_j), whatever sum p is.

    d = scale * (softmax(z) * sum_j p_j - p); z and d must not be the same array.
    """
    cdef Py_ssize_t r, j
    cdef real total, shift, factor, mass, entropy, p
    cdef double loss = 0
    cdef const real* target
    for r in range(rows):
        target = y + (order[r] if order != NULL else r) * y_row
        total = exponentials(n, ld, z + r * ld, d + r * ld, &shift)
        mass = 0
        entropy = 0
        for j in range(n):
            mass += target[j * y_column]
        factor = scale * mass / total
        total = real_log(total)
        for j in range(n):
            p = target[j * y_column]
            if p != 0:
                entropy += p * ((shift - z[r * ld + j]) + total)
            d[r * ld + j] = d[r * ld + j] * factor - scale * p
        loss += entropy
    return loss

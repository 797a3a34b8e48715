# Losses: the sum over rows and its derivative in one pass.  The codes are those of fastbp/loss.py.
#
#     return   sum over rows (and outputs) of the loss, before the division by their number
#     d[r, j]  = scale * d loss / d (pre-activation or output)[r, j]; zero in the padding
#
# The cross-entropies work from logits, so neither overflows nor clips: a gradient is the derivative of the reported loss.
# Sums run over BLOCK interleaved partial sums, in row order, added by halves.  d may be the array that holds the outputs.

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


cdef inline void loss_row(const int code, real delta, real scale, Py_ssize_t n, Py_ssize_t ld, const real* out,
                          const real* y, Py_ssize_t y_column, real* d, real* part) noexcept nogil:
    """One row into the partial sums `part` (BLOCK numbers, IN and OUT)."""
    cdef Py_ssize_t j
    cdef real slope
    for j in range(n):
        part[j % BLOCK] += loss_term(code, delta, out[j], y[j * y_column], &slope)
        d[j] = scale * slope
    for j in range(n, ld):
        d[j] = 0


cdef double loss_forward_backward(int code, real delta, real scale, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld,
                                  const real* out, const real* y, Py_ssize_t y_row, Py_ssize_t y_column,
                                  const long long* order, real* d) noexcept nogil:
    """mse, half_sse, mae, huber, binary_cross_entropy; target of row r is row order[r] of y (r where order is NULL)."""
    cdef real part[BLOCK]
    cdef Py_ssize_t r
    cdef const real* target
    memset(part, 0, sizeof(part))
    for r in range(rows):
        target = y + (order[r] if order != NULL else r) * y_row
        if code == MSE:
            loss_row(MSE, delta, scale, n, ld, out + r * ld, target, y_column, d + r * ld, part)
        elif code == HALF_SSE:
            loss_row(HALF_SSE, delta, scale, n, ld, out + r * ld, target, y_column, d + r * ld, part)
        elif code == MAE:
            loss_row(MAE, delta, scale, n, ld, out + r * ld, target, y_column, d + r * ld, part)
        elif code == HUBER:
            loss_row(HUBER, delta, scale, n, ld, out + r * ld, target, y_column, d + r * ld, part)
        else:
            loss_row(BINARY_CROSS_ENTROPY, delta, scale, n, ld, out + r * ld, target, y_column, d + r * ld, part)
    return lane_sum(part)


cdef double cross_entropy_labels(real scale, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, const real* z,
                                 const int* label, const long long* order, real* d) noexcept nogil:
    """loss_r = log sum_j exp(z[r, j]) - z[r, label]; d = scale * (softmax(z) - one_hot(label)).

    Rows add up one after the other; label values are inside 0..n-1, checked when they were copied.
    """
    cdef Py_ssize_t r, j
    cdef int target
    cdef real total, shift, factor, own
    cdef double loss = 0
    for r in range(rows):
        target = label[order[r] if order != NULL else r]
        own = z[r * ld + target]
        total = exponentials(n, ld, z + r * ld, d + r * ld, &shift)
        factor = scale / total
        for j in range(ld):
            d[r * ld + j] = d[r * ld + j] * factor
        d[r * ld + target] -= scale
        loss += (shift - own) + real_log(total)
    return loss


cdef double cross_entropy_rows(real scale, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, const real* z,
                               const real* y, Py_ssize_t y_row, Py_ssize_t y_column, const long long* order,
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

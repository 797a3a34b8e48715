# The cross-entropy of classes, from logits, by class indices or by rows of probabilities: as the losses of loss.pxi, but
# with whole rows.  A row's weight multiplies its loss and its gradient.

cdef double cross_entropy_rows(LossRows* rows) noexcept nogil:
    """By class indices, or by rows of probabilities."""
    if rows.label != NULL:
        return label_entropy(rows)
    return target_entropy(rows)


cdef double label_entropy(LossRows* own) noexcept nogil:
    """loss_r = log sum_j exp(z[r, j]) - z[r, label]; d = scale * (softmax(z) - one_hot(label)).

    Rows add up one after the other, each times its weight.  A label outside 0..n-1, which somebody must have written since
    the check, counts as 0.
    """
    cdef real exponential[GROUP_COLUMNS * BLOCK]
    cdef real total[BLOCK]
    cdef real shift[BLOCK]
    cdef Py_ssize_t group, first = 0, n = own.n, ld = own.ld
    cdef double loss = 0
    while first < own.rows:
        if n <= GROUP_COLUMNS:
            group = min(<Py_ssize_t>BLOCK, own.rows - first)
            group_exponentials(group, n, ld, own.out + first * ld, exponential, total, shift)
            label_block(own, first, ld, 1, total, shift, exponential, BLOCK, &loss)
            transpose(ld, group, exponential, BLOCK, own.d + first * ld, ld)
            first += group
        else:
            loss += wide_label_entropy(own, first)
            first += 1
    return loss


cdef inline Py_ssize_t label_of_row(LossRows* own, Py_ssize_t r) noexcept nogil:
    cdef int label = own.label[(own.order[r] if own.order != NULL else r) * own.label_step]
    return label if 0 <= label < own.n else 0


cdef inline void label_block(LossRows* own, Py_ssize_t first, Py_ssize_t row, Py_ssize_t column, real* total,
                             const real* shift, real* d, Py_ssize_t ld, double* loss) noexcept nogil:
    """Up to BLOCK rows from `first` on, one a lane; d (n, BLOCK), `ld` from one class to the next: IN exponentials, OUT d.

    `total` IN: their sums; lost.  The logits of row r and class j are out[r * row + j * column]; `loss` goes on by each row.
    """
    cdef real factor[BLOCK]
    cdef real scale[BLOCK]
    cdef real value[BLOCK]
    cdef real label[BLOCK]
    cdef Py_ssize_t r, j, at, count = min(<Py_ssize_t>BLOCK, own.rows - first)
    cdef const real* weight = own.weight + first if own.weight != NULL else NULL
    cdef real number = 0    # j, once more
    cdef int lane, v
    row_scales(own, first, count if weight != NULL else 0, scale)
    for lane in range(BLOCK):
        value[lane] = 0
        label[lane] = -1
    for r in range(count):
        at = label_of_row(own, first + r)
        label[r] = <real>at
        value[r] = loaded_singly(own.out)[(first + r) * row + at * column]
    for lane in range(BLOCK):
        factor[lane] = scale[lane] / total[lane] if lane < count else 0
        value[lane] = (shift[lane] - value[lane]) + real_log(total[lane])
    for j in range(own.n):
        for v in range(BLOCK_VECTORS):
            at = j * ld + v * LANES
            vstore(d + at, vload(d + at) * vload(factor + v * LANES)
                   - vwhere_equal(vload(label + v * LANES), vset(number), vload(scale + v * LANES)))
        number += 1
    for r in range(count):
        if weight == NULL:
            loss[0] += value[r]
        elif weight[r] != 0:
            loss[0] += weight[r] * value[r]
        else:
            for j in range(own.n):
                d[j * ld + r] = 0


cdef double wide_label_entropy(LossRows* own, Py_ssize_t r) noexcept nogil:
    """The loss of one row of more classes than GROUP_COLUMNS, times its weight."""
    cdef const real* z = own.out + r * own.ld
    cdef real* d = own.d + r * own.ld
    cdef real shift, scale = own.scale * own.weight[r] if own.weight != NULL else own.scale
    cdef real total = exponentials(own.n, own.ld, z, d, &shift), factor = scale / total, value
    cdef Py_ssize_t j, label = label_of_row(own, r)
    for j in range(own.ld):
        d[j] = d[j] * factor
    d[label] -= scale
    value = (shift - z[label]) + real_log(total)
    if own.weight == NULL:
        return value
    if own.weight[r] != 0:
        return own.weight[r] * value
    memset(d, 0, own.ld * sizeof(real))
    return 0


cdef inline void row_scales(LossRows* own, Py_ssize_t first, Py_ssize_t count, real* scale) noexcept nogil:
    """scale (BLOCK) OUT: the loss's, times the weight of rows first..first + count."""
    cdef real of_loss = own.scale
    cdef int lane
    for lane in range(BLOCK):
        scale[lane] = of_loss
    for lane in range(<int>count):
        scale[lane] = of_loss * own.weight[first + lane]


cdef double target_entropy(LossRows* own) noexcept nogil:
    """The same for rows of probabilities p: loss_r = sum_j p_j (max z - z_j) + sum_j p_j log sum_j exp(z_j - max z).

    d = scale * (softmax(z) * sum_j p_j - p), whatever sum p is; both times the row's weight.
    """
    cdef const unsigned int* order = own.order
    cdef const real* z = own.out
    cdef const real* weight = own.weight
    cdef real* d = own.d
    cdef Py_ssize_t r, first = 0, rows = own.rows, n = own.n, ld = own.ld
    cdef double loss = 0
    if n > GROUP_COLUMNS:
        for r in range(rows):
            if weight != NULL and weight[r] == 0:
                memset(d + r * ld, 0, ld * sizeof(real))
                continue
            loss += wide_entropy(own.scale, weight[r] if weight != NULL else 1, n, ld, z + r * ld,
                                 own.y + (order[r] if order != NULL else r) * own.y_row, own.y_column, d + r * ld)
        return loss
    gather(rows, n, order, own.y, own.y_row, own.y_column, d, ld)
    while first < rows:
        loss += group_entropy(own, first, d + first * ld)
        first += BLOCK
    return loss


cdef inline real surprisal(real p, real z, real shift) noexcept nogil:
    """p (shift - z); nothing where p is 0, though z may be infinite."""
    return p * (shift - z) if p != 0 else <real>0


cdef double group_entropy(LossRows* own, Py_ssize_t first, real* d) noexcept nogil:
    """Up to BLOCK rows from `first` on, one a lane, n <= GROUP_COLUMNS; their p in d (IN and OUT), padding zero."""
    cdef real exponential[GROUP_COLUMNS * BLOCK]
    cdef real p[GROUP_COLUMNS * BLOCK]
    cdef real logit[GROUP_COLUMNS * BLOCK]
    cdef real total[BLOCK]
    cdef real shift[BLOCK]
    cdef real mass[BLOCK]
    cdef real entropy[BLOCK]
    cdef real scale[BLOCK]
    cdef Py_ssize_t j, n = own.n, ld = own.ld, rows = min(<Py_ssize_t>BLOCK, own.rows - first)
    cdef const real* z = own.out + first * ld
    cdef int lane
    cdef double loss = 0
    row_scales(own, first, rows if own.weight != NULL else 0, scale)
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
            entropy[lane] += surprisal(p[j * BLOCK + lane], logit[j * BLOCK + lane], shift[lane])
    for lane in range(BLOCK):
        entropy[lane] += mass[lane] * real_log(total[lane])
        mass[lane] = scale[lane] * mass[lane] / total[lane]
    for j in range(n):
        for lane in range(BLOCK):
            exponential[j * BLOCK + lane] = exponential[j * BLOCK + lane] * mass[lane] - scale[lane] * p[j * BLOCK + lane]
    transpose(ld, rows, exponential, BLOCK, d, ld)
    for lane in range(rows):
        if own.weight == NULL:
            loss += entropy[lane]
        elif own.weight[first + lane] != 0:
            loss += own.weight[first + lane] * entropy[lane]
        else:
            memset(d + lane * ld, 0, ld * sizeof(real))
    return loss


cdef double wide_entropy(real scale, real weight, Py_ssize_t n, Py_ssize_t ld, const real* z, const real* target,
                         Py_ssize_t y_column, real* d) noexcept nogil:
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
                entropy[lane] += surprisal(p[j * BLOCK + lane], z[first + j * BLOCK + lane], shift)
    scale = scale * weight
    factor = scale * lane_sum(mass) / total
    for chunk in range((n + GROUP_COLUMNS - 1) // GROUP_COLUMNS):
        first = chunk * GROUP_COLUMNS
        width = min(n - first, <Py_ssize_t>GROUP_COLUMNS)
        gather(1, width, NULL, target + first * y_column, 0, y_column, p, GROUP_COLUMNS)
        for j in range((width + BLOCK - 1) // BLOCK):
            for lane in range(BLOCK):
                d[first + j * BLOCK + lane] = d[first + j * BLOCK + lane] * factor - scale * p[j * BLOCK + lane]
    return weight * (lane_sum(entropy) + lane_sum(mass) * real_log(total))

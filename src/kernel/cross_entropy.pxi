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
    cdef real transposed[GROUP_COLUMNS * BLOCK]
    cdef real total[BLOCK]
    cdef real shift[BLOCK]
    cdef real factor[BLOCK]
    cdef real scale[BLOCK]
    cdef const unsigned int* order = own.order
    cdef const int* label = own.label
    cdef const real* z = own.out
    cdef real* d = own.d
    cdef Py_ssize_t r, j, group, first = 0, rows = own.rows, n = own.n, ld = own.ld, label_step = own.label_step
    cdef int lane, target
    cdef real value
    cdef double loss = 0
    row_scales(own, 0, 0, scale)
    while first < rows:
        group = min(<Py_ssize_t>BLOCK, rows - first) if n <= GROUP_COLUMNS else 1
        if n <= GROUP_COLUMNS:
            group_exponentials(group, n, ld, z + first * ld, transposed, total, shift)
        else:
            total[0] = exponentials(n, ld, z + first * ld, d + first * ld, shift)
        if own.weight != NULL:
            row_scales(own, first, group, scale)
        for lane in range(BLOCK if n <= GROUP_COLUMNS else 1):
            factor[lane] = scale[lane] / total[lane]
            total[lane] = real_log(total[lane])
        if n <= GROUP_COLUMNS:
            group_scale(group, n, ld, transposed, factor, d + first * ld)
        else:
            for j in range(ld):
                d[first * ld + j] = d[first * ld + j] * factor[0]
        for r in range(group):
            target = label[(order[first + r] if order != NULL else first + r) * label_step]
            target = target if 0 <= target < n else 0
            d[(first + r) * ld + target] -= scale[r]
            value = (shift[r] - z[(first + r) * ld + target]) + total[r]
            if own.weight == NULL:
                loss += value
            elif own.weight[first + r] != 0:
                loss += own.weight[first + r] * value
            else:
                memset(d + (first + r) * ld, 0, ld * sizeof(real))
        first += group
    return loss


cdef inline void row_scales(LossRows* own, Py_ssize_t first, Py_ssize_t count, real* scale) noexcept nogil:
    """scale (BLOCK) OUT: the loss's, times the weight of rows first..first + count."""
    cdef int lane
    for lane in range(BLOCK):
        scale[lane] = own.scale * own.weight[first + lane] if lane < count else own.scale


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

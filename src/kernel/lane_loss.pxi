# Losses of outputs that are turned, (outputs, lanes) and `ld` from one output to the next: those of loss.pxi otherwise.
#
# Of an element-by-element loss, the element of row r joins partial sum r modulo BLOCK, output after output; the partial
# sums are added by halves.  d is zero in the lanes beyond the rows.  Weights lie as d does, those of rows side by side.

cdef double lane_loss_run(piece_kernel piece, LossRows* own) noexcept nogil:
    """All rows of one loss; the targets are gathered into d first."""
    cdef real part[BLOCK]
    cdef real value[LOSS_PIECE]     # no tile has as many rows
    cdef Py_ssize_t j, r, block, rows = own.rows, lanes = lane_count(own.rows), ld = own.ld
    cdef const real* out = own.out
    cdef const real* weight = own.weight
    cdef real* d = own.d
    cdef int lane
    gather_lanes(rows, own.n, own.order, own.y, own.y_row, own.y_column, own.readable, d, ld)
    memset(part, 0, sizeof(part))
    for j in range(own.n):
        piece(&own.parameters, own.scale, lanes, out, value, d)
        if weight != NULL:
            weigh(lanes, weight, value, d)
            weight += ld
        for r in range(rows, lanes):
            value[r] = d[r] = 0
        for block in range(lanes // BLOCK):
            for lane in range(BLOCK):
                part[lane] += value[block * BLOCK + lane]
        out += ld
        d += ld
    return lane_sum(part)


cdef double lane_cross_entropy(LossRows* own) noexcept nogil:
    """By class indices: loss_r = log sum_j exp(z[j, r]) - z[label, r]; d = scale * (softmax(z) - one_hot(label)).

    From the column's maximum, sums over j in order; rows add up one after the other.  A label outside 0..n-1 counts as 0.
    """
    cdef real total[BLOCK]
    cdef real shift[BLOCK]
    cdef real factor[BLOCK]
    cdef real scale[BLOCK]
    cdef const unsigned int* order = own.order
    cdef const int* label = own.label
    cdef const real* z = own.out
    cdef real* d = own.d
    cdef Py_ssize_t j, r, first = 0, rows = own.rows, n = own.n, ld = own.ld
    cdef int lane, target, count
    cdef real value
    cdef double loss = 0
    while first < rows:
        count = <int>min(rows - first, <Py_ssize_t>BLOCK)
        block_exponentials(n, ld, z, d, total, shift)
        row_scales(own, first, count if own.weight != NULL else 0, scale)
        for lane in range(BLOCK):
            factor[lane] = scale[lane] / total[lane] if lane < count else 0
            total[lane] = real_log(total[lane])
        for j in range(n):
            for lane in range(BLOCK):
                d[j * ld + lane] = d[j * ld + lane] * factor[lane]
        for r in range(count):
            target = label[(order[first + r] if order != NULL else first + r) * own.label_step]
            target = target if 0 <= target < n else 0
            d[target * ld + r] -= scale[r]
            value = (shift[r] - z[target * ld + r]) + total[r]
            if own.weight == NULL:
                loss += value
            elif own.weight[first + r] != 0:
                loss += own.weight[first + r] * value
            else:
                for j in range(n):
                    d[j * ld + r] = 0
        z += BLOCK
        d += BLOCK
        first += BLOCK
    return loss

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

    From the column's maximum, sums over j in order; rows add up one after the other.
    """
    cdef real total[BLOCK]
    cdef real shift[BLOCK]
    cdef Py_ssize_t first = 0
    cdef double loss = 0
    while first < own.rows:
        block_exponentials(own.n, own.ld, own.out + first, own.d + first, total, shift)
        label_block(own, first, 1, own.ld, total, shift, own.d + first, own.ld, &loss)
        first += BLOCK
    return loss

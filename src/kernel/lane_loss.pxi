# Losses of outputs that are turned, (outputs, lanes) and `ld` from one output to the next: those of loss.pxi otherwise.
#
# Of an element-by-element loss, the element of row r joins partial sum r modulo BLOCK, output after output; the partial
# sums are added by halves.  d is zero in the lanes beyond the rows.  Weights lie as d does, those of rows side by side.

cdef double lane_loss_run(piece_kernel piece, LossRows* own) noexcept nogil:
    """All rows of one loss; the targets are gathered into d first."""
    cdef real part[BLOCK]
    cdef real value[LOSS_PIECE]     # no tile has as many rows
    cdef vreal sum[BLOCK_VECTORS]
    cdef Py_ssize_t j, block, at, rows = own.rows, lanes = lane_count(own.rows), last = lanes - BLOCK, ld = own.ld
    cdef const real* out = own.out
    cdef const real* weight = own.weight
    cdef real* d = own.d
    cdef int v
    gather_lanes(rows, own.n, own.order, own.y, own.y_row, own.y_column, own.readable, d, ld)
    for v in range(BLOCK_VECTORS):
        sum[v] = vset(0)
    for j in range(own.n):
        piece(&own.parameters, own.scale, lanes, out, value, d)
        if weight != NULL:
            weigh(lanes, weight, value, d)
            weight += ld
        for block in range(last // BLOCK):
            for v in range(BLOCK_VECTORS):
                sum[v] = sum[v] + vload(value + block * BLOCK + v * LANES)
        for v in range(BLOCK_VECTORS):
            at = last + v * LANES
            sum[v] = sum[v] + vbetween(0, <int>(rows - at), vload(value + at))
            vstore(d + at, vbetween(0, <int>(rows - at), vload(d + at)))
        out += ld
        d += ld
    for v in range(BLOCK_VECTORS):
        vstore(part + v * LANES, sum[v])
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

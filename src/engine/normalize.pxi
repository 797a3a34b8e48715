# Rows brought to mean 0 and variance 1, and the gradient of a trained scale.
#
# A sum over the columns of a row is that of BLOCK interleaved partial sums, added by halves; with the rows in the lanes it
# is one chain.  The variance is the mean square of what the mean has been subtracted from.

cdef inline real row_sum(Py_ssize_t n, const real* x) noexcept nogil:
    cdef real part[BLOCK]
    cdef Py_ssize_t block, j
    cdef int lane
    memset(part, 0, sizeof(part))
    for block in range(n // BLOCK):
        for lane in range(BLOCK):
            part[lane] = part[lane] + x[block * BLOCK + lane]
    for j in range(n // BLOCK * BLOCK, n):
        part[j % BLOCK] = part[j % BLOCK] + x[j]
    return lane_sum(part)


cdef inline real row_dot(Py_ssize_t n, const real* x, const real* y) noexcept nogil:
    cdef real part[BLOCK]
    cdef Py_ssize_t block, j
    cdef int lane
    memset(part, 0, sizeof(part))
    for block in range(n // BLOCK):
        for lane in range(BLOCK):
            part[lane] = real_fma(x[block * BLOCK + lane], y[block * BLOCK + lane], part[lane])
    for j in range(n // BLOCK * BLOCK, n):
        part[j % BLOCK] = real_fma(x[j], y[j], part[j % BLOCK])
    return lane_sum(part)


cdef void normalize(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = (a - mean) / sqrt(variance + level), and 1 / sqrt(variance + level) at z"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t r, j, n = op.n_c
    cdef real* c = buffer(tile, op.c, op.ldc)
    cdef real* kept = buffer(tile, op.z, BLOCK)
    cdef const real* a = source_rows(op, tile, c)
    cdef real mean, factor, part = <real>(1.0 / n)
    for r in range(tile.rows):
        mean = row_sum(n, a) * part
        for j in range(n):
            c[j] = a[j] - mean
        for j in range(n, op.ldc):
            c[j] = 0
        factor = 1 / real_sqrt(real_fma(row_dot(n, c, c), part, <real>op.level))
        kept[0] = factor
        for j in range(n):
            c[j] = c[j] * factor
        a += op.ldc
        c += op.ldc
        kept += BLOCK


cdef void normalize_input(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = or += (a - mean(a) - y mean(a y)) times what is kept at z, y being what `normalize` gave"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t r, j, n = op.n_c
    cdef const real* a = buffer(tile, op.a, op.ldc)
    cdef const real* y = buffer(tile, op.y, op.ldc)
    cdef const real* kept = buffer(tile, op.z, BLOCK)
    cdef real* c = buffer(tile, op.c, op.ldc)
    cdef real mean, along, factor, part = <real>(1.0 / n)
    for r in range(tile.rows):
        factor = kept[0]
        mean = row_sum(n, a) * part
        along = row_dot(n, a, y) * part
        if op.accumulate:
            for j in range(n):
                c[j] = real_fma(real_fma(-along, y[j], a[j] - mean), factor, c[j])
        else:
            for j in range(n):
                c[j] = real_fma(-along, y[j], a[j] - mean) * factor
            for j in range(n, op.ldc):
                c[j] = 0
        a += op.ldc
        y += op.ldc
        c += op.ldc
        kept += BLOCK


cdef void lane_normalize(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = (a - mean) / sqrt(variance + level), and 1 / sqrt(variance + level) at z"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t block, at, j, ld = tile.lane_length
    cdef real* c
    cdef const real* a
    cdef real mean[BLOCK]
    cdef real factor[BLOCK]
    cdef real part = <real>(1.0 / op.n_c)
    cdef int lane
    for block in range(tile.lanes // BLOCK):
        at = block * BLOCK
        a = lane_source(tile, op.a) + at
        c = tile.activations + op.c + at
        memset(mean, 0, sizeof(mean))
        memset(factor, 0, sizeof(factor))
        for j in range(op.n_c):
            for lane in range(BLOCK):
                mean[lane] = mean[lane] + a[j * ld + lane]
        for lane in range(BLOCK):
            mean[lane] = mean[lane] * part
        for j in range(op.n_c):
            for lane in range(BLOCK):
                c[j * ld + lane] = a[j * ld + lane] - mean[lane]
                factor[lane] = real_fma(c[j * ld + lane], c[j * ld + lane], factor[lane])
        for lane in range(BLOCK):
            factor[lane] = 1 / real_sqrt(real_fma(factor[lane], part, <real>op.level))
        for j in range(op.n_c):
            for lane in range(BLOCK):
                c[j * ld + lane] = c[j * ld + lane] * factor[lane]
        memcpy(tile.activations + op.z + at, factor, sizeof(factor))


cdef void lane_normalize_input(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = or += (a - mean(a) - y mean(a y)) times what is kept at z"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t block, at, j, ld = tile.lane_length
    cdef real* c
    cdef const real* a
    cdef const real* y
    cdef const real* kept
    cdef real mean[BLOCK]
    cdef real along[BLOCK]
    cdef real part = <real>(1.0 / op.n_c), d
    cdef int lane
    for block in range(tile.lanes // BLOCK):
        at = block * BLOCK
        a = tile.activations + op.a + at
        y = tile.activations + op.y + at
        c = tile.activations + op.c + at
        kept = tile.activations + op.z + at
        memset(mean, 0, sizeof(mean))
        memset(along, 0, sizeof(along))
        for j in range(op.n_c):
            for lane in range(BLOCK):
                mean[lane] = mean[lane] + a[j * ld + lane]
                along[lane] = real_fma(a[j * ld + lane], y[j * ld + lane], along[lane])
        for lane in range(BLOCK):
            mean[lane] = mean[lane] * part
            along[lane] = -(along[lane] * part)
        for j in range(op.n_c):
            for lane in range(BLOCK):
                d = real_fma(along[lane], y[j * ld + lane], a[j * ld + lane] - mean[lane])
                c[j * ld + lane] = real_fma(d, kept[lane], c[j * ld + lane]) if op.accumulate else d * kept[lane]


# The gradient of a trained scale: of its factors sum_r dz[r, j] x[r, j], of its offsets sum_r dz[r, j], rows r in order.

cdef void scale_gradient(Operation* op, RowTile* tile, int start, Py_ssize_t begin, Py_ssize_t end, real* kernel,
                         real* bias) noexcept nogil:
    """As `dense_gradient`: the factors, one stored row, where begin < end, and the offsets unless `bias` is NULL."""
    cdef Py_ssize_t r, j, ld = op.ldy
    cdef const real* dz = buffer(tile, op.y, ld)
    cdef const real* x = buffer(tile, op.a, ld)
    if end > begin:
        if start == START_ZERO:
            memset(kernel, 0, ld * sizeof(real))
        for r in range(tile.rows):
            for j in range(ld):
                kernel[j] = real_fma(dz[r * ld + j], x[r * ld + j], kernel[j])
    if bias != NULL:
        column_sums(tile.rows, ld, start, dz, ld, bias)


cdef void whole_scale_gradient(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    cdef Operation* op = &bound.op
    scale_gradient(op, tile, start, 0, 1, weights.gradient + op.c, weights.gradient + op.b)


cdef void lane_scale_gradient(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """The same sums, each of BLOCK interleaved partial sums."""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t j, ld = tile.lane_length
    cdef const real* dz = tile.activations + op.y
    cdef const real* x = tile.activations + op.a
    cdef real* kernel = weights.gradient + op.c
    cdef real* bias = weights.gradient + op.b
    cdef real of_factor, of_offset
    if start == START_ZERO:
        memset(kernel, 0, op.ldy * sizeof(real))
        memset(bias, 0, op.ldy * sizeof(real))
    for j in range(op.n_y):
        of_factor = row_dot(tile.lanes, dz + j * ld, x + j * ld)
        of_offset = row_sum(tile.lanes, dz + j * ld)
        kernel[j] = kernel[j] + of_factor
        bias[j] = bias[j] + of_offset

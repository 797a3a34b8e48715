# Rows brought to mean 0 and variance 1, and the gradient of a trained scale.
#
# A sum over the columns of a row is that of BLOCK interleaved partial sums, added by halves; with the rows in the lanes it
# is one chain.  The variance is the mean square of what the mean has been subtracted from.

# Rows are taken LANES at a time, so that their sums end in one vector.

cdef inline void group_sums(const bint is_product, Py_ssize_t rows, Py_ssize_t blocks, const real* x, const real* y,
                            Py_ssize_t ld, real* sums) noexcept nogil:
    """sums[i] (LANES) OUT = sum_j x[i, j], or sum_j x[i, j] y[i, j]; of up to LANES rows, the last of them again behind."""
    cdef vreal part[LANES * BLOCK_VECTORS]
    cdef Py_ssize_t block, at
    cdef int i, v
    for v in range(BLOCK_VECTORS):
        for i in range(LANES):
            at = min(<Py_ssize_t>i, rows - 1) * ld + v * LANES
            part[v * LANES + i] = vload(x + at) * vload(y + at) if is_product else vload(x + at)
            for block in range(1, blocks):
                at += BLOCK
                if is_product:
                    part[v * LANES + i] = vfma(vload(x + at), vload(y + at), part[v * LANES + i])
                else:
                    part[v * LANES + i] = part[v * LANES + i] + vload(x + at)
    sum_parts(LANES, part, sums)


cdef void row_sums(Py_ssize_t rows, Py_ssize_t blocks, const real* x, Py_ssize_t ld, real* sums) noexcept nogil:
    group_sums(False, rows, blocks, x, x, ld, sums)


cdef void row_products(Py_ssize_t rows, Py_ssize_t blocks, const real* x, const real* y, Py_ssize_t ld,
                       real* sums) noexcept nogil:
    group_sums(True, rows, blocks, x, y, ld, sums)


cdef void normalize(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = (a - mean) / sqrt(variance + level), and 1 / sqrt(variance + level) at z"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t r, j, group, rows, n = op.n_c, ld = op.ldc, blocks = (n + BLOCK - 1) // BLOCK
    cdef real* c = buffer(tile, op.c, ld)
    cdef real* kept = buffer(tile, op.z, BLOCK)
    cdef const real* a = source_rows(op, tile, c)
    cdef real part = <real>(1.0 / n)
    cdef real value[LANES]
    cdef int i
    for group in range(pieces(tile.rows, LANES)):
        rows = min(tile.rows - group * LANES, <Py_ssize_t>LANES)
        row_sums(rows, blocks, a, ld, value)
        for r in range(rows):
            subtract(blocks, a + r * ld, value[r] * part, c + r * ld)
            for j in range(n, ld):
                c[r * ld + j] = 0
        row_products(rows, blocks, c, c, ld, value)
        for i in range(LANES):
            value[i] = 1 / real_sqrt(real_fma(value[i], part, <real>op.level))
        for r in range(rows):
            for j in range(blocks * BLOCK_VECTORS):
                vstore(c + r * ld + j * LANES, vload(c + r * ld + j * LANES) * vset(value[r]))
            kept[r * BLOCK] = value[r]
        a += LANES * ld
        c += LANES * ld
        kept += LANES * BLOCK


cdef inline void subtract(Py_ssize_t blocks, const real* a, real mean, real* c) noexcept nogil:
    """c = a - mean, over whole blocks"""
    cdef Py_ssize_t j
    for j in range(blocks * BLOCK_VECTORS):
        vstore(c + j * LANES, vload(a + j * LANES) - vset(mean))


cdef void normalize_input(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = or += (a - mean(a) - y mean(a y)) times what is kept at z, y being what `normalize` gave"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t r, j, at, group, rows, n = op.n_c, ld = op.ldc, blocks = (n + BLOCK - 1) // BLOCK
    cdef const real* a = buffer(tile, op.a, ld)
    cdef const real* y = buffer(tile, op.y, ld)
    cdef const real* kept = buffer(tile, op.z, BLOCK)
    cdef real* c = buffer(tile, op.c, ld)
    cdef real part = <real>(1.0 / n)
    cdef real mean[LANES]
    cdef real along[LANES]
    cdef vreal d
    for group in range(pieces(tile.rows, LANES)):
        rows = min(tile.rows - group * LANES, <Py_ssize_t>LANES)
        row_sums(rows, blocks, a, ld, mean)
        row_products(rows, blocks, a, y, ld, along)
        for r in range(rows):
            for j in range(blocks * BLOCK_VECTORS):
                at = r * ld + j * LANES
                d = vfma(vset(-(along[r] * part)), vload(y + at), vload(a + at) - vset(mean[r] * part))
                if op.accumulate:
                    vstore(c + at, vfma(d, vset(kept[r * BLOCK]), vload(c + at)))
                else:
                    vstore(c + at, d * vset(kept[r * BLOCK]))
            for j in range(n, ld):
                c[r * ld + j] = 0
        a += LANES * ld
        y += LANES * ld
        c += LANES * ld
        kept += LANES * BLOCK


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
    cdef vreal sum
    if end > begin:
        for j in range(0, ld // LANES):
            sum = vload(kernel + j * LANES) if start == START_C else vset(0)
            for r in range(tile.rows):
                sum = vfma(vload(dz + r * ld + j * LANES), vload(x + r * ld + j * LANES), sum)
            vstore(kernel + j * LANES, sum)
    if bias != NULL:
        column_sums(tile.rows, ld, start, dz, ld, bias)


cdef void whole_scale_gradient(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    cdef Operation* op = &bound.op
    scale_gradient(op, tile, start, 0, 1, weights.gradient + op.c, weights.gradient + op.b)


cdef void lane_scale_gradient(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """The same sums, each of BLOCK interleaved partial sums; the rows behind the last are the last again, and not kept."""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t j, group, units, ld = tile.lane_length, blocks = tile.lanes // BLOCK
    cdef const real* dz = tile.activations + op.y
    cdef const real* x = tile.activations + op.a
    cdef real* kernel = weights.gradient + op.c
    cdef real* bias = weights.gradient + op.b
    cdef real of_factor[LANES]
    cdef real of_offset[LANES]
    if start == START_ZERO:
        memset(kernel, 0, op.ldy * sizeof(real))
        memset(bias, 0, op.ldy * sizeof(real))
    for group in range(pieces(op.n_y, LANES)):
        units = min(op.n_y - group * LANES, <Py_ssize_t>LANES)
        row_products(units, blocks, dz, x, ld, of_factor)
        row_sums(units, blocks, dz, ld, of_offset)
        for j in range(units):
            kernel[j] = kernel[j] + of_factor[j]
            bias[j] = bias[j] + of_offset[j]
        kernel += LANES
        bias += LANES
        dz += LANES * ld
        x += LANES * ld

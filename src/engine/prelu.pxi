# A rectifier with a trained slope for each column: c = a where a > 0, else w a.

cdef void prelu_rows(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = a or w a"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t r, j, ld = op.ldc
    cdef const real* a = buffer(tile, op.a, ld)
    cdef real* c = buffer(tile, op.c, ld)
    cdef in_array w = weights.w + op.w
    cdef vreal x, positive
    for r in range(tile.rows):
        for j in range(0, ld // LANES):
            x = vload(a + j * LANES)
            positive = vmax(x, vset(0))
            vstore(c + j * LANES, vfma(vload(w + j * LANES), x - positive, positive))
        a += ld
        c += ld


cdef void lane_prelu(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = a or w a"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t j, i, ld = tile.lane_length
    cdef const real* a = tile.activations + op.a
    cdef real* c = tile.activations + op.c
    cdef vreal x, positive
    for j in range(op.n_c):
        for i in range(tile.lanes // LANES):
            x = vload(a + i * LANES)
            positive = vmax(x, vset(0))
            vstore(c + i * LANES, vfma(vset(weights.w[op.w + j]), x - positive, positive))
        a += ld
        c += ld


cdef inline void prelu_run(Py_ssize_t n, bint accumulates, real w, const real* d, const real* x, real* c) noexcept nogil:
    """c = or += d, or w d where x <= 0"""
    cdef Py_ssize_t i
    for i in range(n):
        c[i] = (c[i] if accumulates else 0) + (d[i] if x[i] > 0 else w * d[i])


cdef void prelu_input(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = or += a times the slope at y"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t r, j, ld = op.ldc
    cdef const real* d = buffer(tile, op.a, ld)
    cdef const real* x = buffer(tile, op.y, ld)
    cdef const real* w = weights.w + op.w
    cdef real* c = buffer(tile, op.c, ld)
    for r in range(tile.rows):
        for j in range(ld):
            c[j] = (c[j] if op.accumulate else 0) + (d[j] if x[j] > 0 else w[j] * d[j])
        d += ld
        x += ld
        c += ld


cdef void lane_prelu_input(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = or += a times the slope at y"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t j, at, ld = tile.lane_length
    for j in range(op.n_c):
        at = j * ld
        prelu_run(ld, op.accumulate, weights.w[op.w + j], tile.activations + op.a + at, tile.activations + op.y + at,
                  tile.activations + op.c + at)


cdef void prelu_gradient(Operation* op, RowTile* tile, int start, Py_ssize_t begin, Py_ssize_t end, real* kernel,
                         real* bias) noexcept nogil:
    """As `scale_gradient`: sum_r dz[r, j] min(x[r, j], 0), rows r in order; there are no offsets."""
    cdef Py_ssize_t r, j, ld = op.ldy
    cdef const real* dz = buffer(tile, op.y, ld)
    cdef const real* x = buffer(tile, op.a, ld)
    cdef vreal sum, own
    if end <= begin:
        return
    for j in range(0, ld // LANES):
        sum = vload(kernel + j * LANES) if start == START_C else vset(0)
        for r in range(tile.rows):
            own = vload(x + r * ld + j * LANES)
            sum = vfma(vload(dz + r * ld + j * LANES), own - vmax(own, vset(0)), sum)
        vstore(kernel + j * LANES, sum)


cdef void whole_prelu_gradient(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    prelu_gradient(&bound.op, tile, start, 0, 1, weights.gradient + bound.op.c, NULL)


cdef void lane_prelu_gradient(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """The same sums, each of BLOCK interleaved partial sums; the rows behind the last are not kept."""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t j, block, ld = tile.lane_length
    cdef const real* dz = tile.activations + op.y
    cdef const real* x = tile.activations + op.a
    cdef real* kernel = weights.gradient + op.c
    cdef real part[BLOCK]
    cdef vreal own, sum
    cdef int v
    if start == START_ZERO:
        memset(kernel, 0, op.ldy * sizeof(real))
    for j in range(op.n_y):
        for v in range(BLOCK_VECTORS):
            sum = vset(0)
            for block in range(tile.lanes // BLOCK):
                own = vload(x + block * BLOCK + v * LANES)
                sum = vfma(vload(dz + block * BLOCK + v * LANES), own - vmax(own, vset(0)), sum)
            vstore(part + v * LANES, sum)
        kernel[j] = kernel[j] + lane_sum(part)
        dz += ld
        x += ld

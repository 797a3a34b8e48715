# Operations that work element by element, on rows and with the rows in the lanes.

cdef inline const real* source_rows(Operation* op, RowTile* tile, real* to) noexcept nogil:
    """The rows of the operand a in whole blocks: where they lie, or, of the network's input, a copy in `to`."""
    cdef Py_ssize_t r, j
    if op.a >= 0:
        return buffer(tile, op.a, op.lda)
    for r in range(tile.rows):
        for j in range(op.n_c):
            to[r * op.ldc + j] = tile.x[r * tile.x_row + j * tile.x_column]
        for j in range(op.n_c, op.ldc):
            to[r * op.ldc + j] = 0
    return to


cdef void activate_source(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = f(a)"""
    cdef Operation* op = &bound.op
    cdef real* z = buffer(tile, op.z if op.z >= 0 else op.c, op.ldc)
    cdef const real* a = source_rows(op, tile, z)
    if a != z:
        memcpy(z, a, tile.rows * op.ldc * sizeof(real))
    activate_rows(bound, tile, z)


cdef void lane_activate(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = f(a)"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t n = op.n_c * tile.lane_length
    cdef real* z = lane_z(tile, op)
    memcpy(z, lane_source(tile, op.a), n * sizeof(real))
    bound.activation.forward(bound.activation.alpha, 1, n, n, z, tile.activations + op.c)


# The factors of a scale: given ones, three rows (centre, factor, offset), or trained ones, w and b among the parameters.

cdef inline const real* scale_factor(BoundOperation* bound, Weights* weights) noexcept nogil:
    return bound.constant + bound.op.ldc if bound.constant != NULL else weights.w + bound.op.w


cdef void scale_rows(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = f((a - centre) factor + offset), or c = f(a factor + offset)"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t r, j, ld = op.ldc
    cdef real* z = buffer(tile, op.z if op.z >= 0 else op.c, ld)
    cdef real* to = z
    cdef const real* a = source_rows(op, tile, z)
    cdef const real* centre = bound.constant
    cdef const real* factor = scale_factor(bound, weights)
    cdef const real* offset = centre + 2 * ld if centre != NULL else weights.w + op.b
    cdef vreal x
    for r in range(tile.rows):
        for j in range(0, ld // LANES):
            x = vload(a + j * LANES)
            if centre != NULL:
                x = x - vload(centre + j * LANES)
            vstore(to + j * LANES, vfma(x, vload(factor + j * LANES), vload(offset + j * LANES)))
        a += ld
        to += ld
    activate_rows(bound, tile, z)


cdef void lane_scale(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = f((a - centre) factor + offset), or c = f(a factor + offset)"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t j, r, ld = tile.lane_length, n = op.n_c * ld
    cdef real* z = lane_z(tile, op)
    cdef real* to = z
    cdef const real* a = lane_source(tile, op.a)
    cdef const real* centre = bound.constant
    cdef const real* factor = scale_factor(bound, weights)
    cdef const real* offset = centre + 2 * op.ldc if centre != NULL else weights.w + op.b
    cdef real m = 0, s, b
    for j in range(op.n_c):
        if centre != NULL:
            m = centre[j]
        s = factor[j]
        b = offset[j]
        for r in range(ld):
            to[r] = real_fma(a[r] - m, s, b)
        a += ld
        to += ld
    bound.activation.forward(bound.activation.alpha, 1, n, n, z, tile.activations + op.c)


cdef void scale_input(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = or += a factor"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t r, j, ld = op.ldc
    cdef real* c = buffer(tile, op.c, ld)
    cdef const real* a = buffer(tile, op.a, ld)
    cdef const real* factor = scale_factor(bound, weights)
    cdef vreal x
    for r in range(tile.rows):
        for j in range(0, ld // LANES):
            x = vload(a + j * LANES)
            if op.accumulate:
                x = vfma(x, vload(factor + j * LANES), vload(c + j * LANES))
            else:
                x = x * vload(factor + j * LANES)
            vstore(c + j * LANES, x)
        a += ld
        c += ld


cdef void lane_scale_input(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = or += a factor"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t j, r, ld = tile.lane_length
    cdef real* c = tile.activations + op.c
    cdef const real* a = tile.activations + op.a
    cdef const real* factor = scale_factor(bound, weights)
    cdef real s
    for j in range(op.n_c):
        s = factor[j]
        if op.accumulate:
            for r in range(ld):
                c[r] = real_fma(a[r], s, c[r])
        else:
            for r in range(ld):
                c[r] = a[r] * s
        a += ld
        c += ld


cdef inline void product_run(const bint accumulates, Py_ssize_t n, const real* a, const real* y, real* c) noexcept nogil:
    """c = or += a y"""
    cdef Py_ssize_t i
    for i in range(n):
        c[i] = real_fma(a[i], y[i], c[i]) if accumulates else a[i] * y[i]


cdef void multiply_rows(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = or += a y, either factor possibly the network's input"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t r, j, n = tile.rows * op.ldc
    cdef real* c = buffer(tile, op.c, op.ldc)
    cdef const real* a = tile.x
    cdef const real* y = tile.x
    cdef Py_ssize_t a_row = tile.x_row, a_column = tile.x_column, y_row = tile.x_row, y_column = tile.x_column
    if op.a >= 0:
        a = buffer(tile, op.a, op.lda)
        a_row = op.lda
        a_column = 1
    if op.y >= 0:
        y = buffer(tile, op.y, op.ldy)
        y_row = op.ldy
        y_column = 1
    if op.a >= 0 and op.y >= 0:
        if op.accumulate:
            product_run(True, n, a, y, c)
        else:
            product_run(False, n, a, y, c)
        return
    for r in range(tile.rows):
        for j in range(op.n_c):
            if op.accumulate:
                c[j] = real_fma(a[j * a_column], y[j * y_column], c[j])
            else:
                c[j] = a[j * a_column] * y[j * y_column]
        for j in range(op.n_c, op.ldc):
            c[j] = 0
        a += a_row
        y += y_row
        c += op.ldc


cdef void lane_multiply(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = or += a y"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t n = op.n_c * tile.lane_length
    if op.accumulate:
        product_run(True, n, lane_source(tile, op.a), lane_source(tile, op.y), tile.activations + op.c)
    else:
        product_run(False, n, lane_source(tile, op.a), lane_source(tile, op.y), tile.activations + op.c)

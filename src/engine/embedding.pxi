# Rows of a table by number: the table is a tensor, the numbers are a column of the network's input.
#
# Rows of the table, of the values read from it and of their gradients are equally long.

cdef inline Py_ssize_t table_row(real x, Py_ssize_t last) noexcept nogil:
    """The row that x names, 0..last; the last one for anything else, nan included, so that no number leaves the table."""
    cdef Py_ssize_t row
    if not 0 <= x <= <real>last:
        return last
    row = <Py_ssize_t>x
    return row if <real>row == x else last


cdef inline Py_ssize_t row_of(Operation* op, RowTile* tile, Py_ssize_t r) noexcept nogil:
    return table_row(tile.x[r * tile.x_row + op.column_a * tile.x_column], op.n_a - 1)


cdef void embed(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c[r] = the row of the table that column column_a of the input names"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t r, j, ld = op.ldc
    cdef real* c = buffer(tile, op.c, ld)
    cdef const real* w
    for r in range(tile.rows):
        w = weights.w + op.w + row_of(op, tile, r) * ld
        for j in range(ld // LANES):
            vstore(c + j * LANES, vload(w + j * LANES))
        c += ld


cdef void embed_gradient(Operation* op, RowTile* tile, int start, Py_ssize_t begin, Py_ssize_t end, real* kernel,
                         real* bias) noexcept nogil:
    """As `dense_gradient`: dz[r] is added to the row that was read, rows r in order; the others are 0."""
    cdef Py_ssize_t r, j, row, ld = op.ldw
    cdef const real* dz = buffer(tile, op.y, ld)
    cdef real* to
    if start == START_ZERO:
        memset(kernel, 0, (end - begin) * ld * sizeof(real))
    for r in range(tile.rows):
        row = row_of(op, tile, r)
        if begin <= row < end:
            to = kernel + (row - begin) * ld
            for j in range(ld // LANES):
                vstore(to + j * LANES, vload(to + j * LANES) + vload(dz + j * LANES))
        dz += ld

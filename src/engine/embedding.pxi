# Rows of a table by number: the table is a tensor whose rows lie side by side, the numbers are a column of the network's
# input.  A table of 8 columns so has half the parameters that rows of whole blocks had, and each costs the optimizer.

cdef inline Py_ssize_t table_row(Operation* op, RowTile* tile, Py_ssize_t r) noexcept nogil:
    """The row that the input names; the last one where it names none, nan included, so that no number leaves the table."""
    cdef real x = tile.x[r * tile.x_row + op.column_a * tile.x_column]
    cdef Py_ssize_t row, last = op.n_a - 1
    if not 0 <= x <= <real>last:
        return last
    row = <Py_ssize_t>x
    return row if <real>row == x else last


cdef void embed(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c[r, column_c:] = the row of the table that the input names, and 0 behind it"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t r, j, n = op.ldw
    cdef real* c = buffer(tile, op.c, op.ldc) + op.column_c
    for r in range(tile.rows):
        memcpy(c, weights.w + op.w + table_row(op, tile, r) * n, n * sizeof(real))
        for j in range(n, op.ldc - op.column_c):
            c[j] = 0
        c += op.ldc


cdef void embed_gradient(Operation* op, RowTile* tile, int start, Py_ssize_t begin, Py_ssize_t end, real* kernel,
                         real* bias) noexcept nogil:
    """As `dense_gradient`: a row of dz is added to the row of the table that was read, rows in order; others get 0.

    A stored row holds ldw numbers of the table, whatever rows they are of.
    """
    cdef Py_ssize_t r, j, at, n = op.n_y, first = begin * op.ldw, numbers = (end - begin) * op.ldw
    cdef const real* dz = buffer(tile, op.y, op.ldy) + op.column_c
    if start == START_ZERO:
        memset(kernel, 0, numbers * sizeof(real))
    for r in range(tile.rows):
        at = table_row(op, tile, r) * n - first
        for j in range(max(<Py_ssize_t>0, -at), min(n, numbers - at)):
            kernel[at + j] += dz[j]
        dz += op.ldy

# Rows of a table by number: the table is a tensor whose rows lie side by side, the numbers are a column of the network's
# input.  A table of 8 columns so has half the parameters that rows of whole blocks had, and each costs the optimizer.

cdef inline Py_ssize_t table_row(real x, Py_ssize_t n) noexcept nogil:
    """The row, of n, that a number x names; the last one where it names none, nan included: no number leaves the table."""
    cdef Py_ssize_t row, last = n - 1
    if not 0 <= x <= <real>last:
        return last
    row = <Py_ssize_t>x
    return row if <real>row == x else last


# Rows of 8 and of 16 units have loops of their own, without a call or an end that only the plan knows: a step of 24-64-64-1
# of which two tables give 8 units each takes 0.95 of the time with batches of 256.

cdef inline void embed_rows(const int literal, Operation* op, RowTile* tile, const real* table, real* c) noexcept nogil:
    """c[r] = the row of the table that the input names: `literal` numbers, or with 0 as many as `op` says"""
    cdef Py_ssize_t r, n_a = op.n_a, n = literal if literal else op.ldw, ldc = op.ldc, x_row = tile.x_row
    cdef const real* x = tile.x + op.column_a * tile.x_column
    for r in range(tile.rows):
        if literal:
            copy(literal, table + table_row(x[0], n_a) * n, c)
        else:
            memcpy(c, table + table_row(x[0], n_a) * n, n * sizeof(real))
        x += x_row
        c += ldc


cdef void embed(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c[:, column_c:] = rows of the table; what is behind them the operation of a row's first columns has zeroed"""
    cdef Operation* op = &bound.op
    cdef real* c = buffer(tile, op.c, op.ldc)
    if op.column_c == 0:
        memset(c, 0, tile.rows * op.ldc * sizeof(real))
    c += op.column_c
    if op.ldw == 8:
        embed_rows(8, op, tile, weights.w + op.w, c)
    elif op.ldw == 16:
        embed_rows(16, op, tile, weights.w + op.w, c)
    else:
        embed_rows(0, op, tile, weights.w + op.w, c)


cdef inline void add_rows(const int n, Operation* op, RowTile* tile, const real* dz, Py_ssize_t first, Py_ssize_t numbers,
                          real* kernel) noexcept nogil:
    """`embed_gradient` of rows of n numbers (a literal), which stored rows hold whole."""
    cdef const real* x = tile.x + op.column_a * tile.x_column
    cdef Py_ssize_t r, at
    cdef real sum[16]
    cdef int i
    for r in range(tile.rows):
        at = table_row(x[r * tile.x_row], op.n_a) * n - first
        if 0 <= at < numbers:
            for i in range(n):
                sum[i] = kernel[at + i] + dz[i]
            for i in range(n):
                kernel[at + i] = sum[i]
        dz += op.ldy


cdef void embed_gradient(Operation* op, RowTile* tile, int start, Py_ssize_t begin, Py_ssize_t end, real* kernel,
                         real* bias) noexcept nogil:
    """As `dense_gradient`: a row of dz is added to the row of the table that was read, rows in order; others get 0.

    A stored row holds ldw numbers of the table, whatever rows they are of.
    """
    cdef Py_ssize_t r, j, at, n = op.n_y, first = begin * op.ldw, numbers = (end - begin) * op.ldw
    cdef const real* dz = buffer(tile, op.y, op.ldy) + op.column_c
    if start == START_ZERO:
        memset(kernel, 0, numbers * sizeof(real))
    if n == 8 and op.ldw % 8 == 0:
        add_rows(8, op, tile, dz, first, numbers, kernel)
        return
    if n == 16 and op.ldw % 16 == 0:
        add_rows(16, op, tile, dz, first, numbers, kernel)
        return
    for r in range(tile.rows):
        at = table_row(tile.x[r * tile.x_row + op.column_a * tile.x_column], op.n_a) * n - first
        for j in range(max(<Py_ssize_t>0, -at), min(n, numbers - at)):
            kernel[at + j] += dz[j]
        dz += op.ldy

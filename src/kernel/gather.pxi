# The rows of a batch, wherever they lie, side by side: what a tile of a shuffled or strided batch reads instead.

# Rows are asked for ahead where the input is larger than a second-level cache, and what is asked for is at most half of one.
# Microseconds a shuffled step without and with it: 64-32-10, batch 32, of 200,000 rows 4.5 and 3.9; 4-32-16-1, batch 200, of
# 1,000,000 rows 12.9 and 9.1.  Within the second level it costs more than it hides: of 1,800 rows 2.85 and 2.95.
cdef enum:
    FETCH_FROM = 1 << 20    # bytes of all rows
    FETCH_MOST = 1 << 19    # bytes of rows not yet used
    FETCH_AHEAD = 8         # rows: batches of one or two come faster than memory


cdef inline void copy(const int n, const real* x, real* out) noexcept nogil:
    """out = x, n numbers (a literal), 64 bytes at a time: longer than that, memcpy may be a call."""
    cdef int i
    if n <= BLOCK:
        memcpy(out, x, n * sizeof(real))
    else:
        for i in range(n // BLOCK):
            memcpy(out + i * BLOCK, x + i * BLOCK, BLOCK * sizeof(real))


cdef inline void gather_rows(const int piece, const bint is_pair, Py_ssize_t rows, Py_ssize_t n, const unsigned int* order,
                             const real* x, Py_ssize_t x_row, real* out, Py_ssize_t ld) noexcept nogil:
    """`gather` of plain rows of at least `piece` numbers, `piece` at a time; the last piece ends with the row.

    It may overlap: rows of up to two pieces are a pair, the first and the last one, without a loop within the row.
    """
    cdef Py_ssize_t r, j
    cdef const real* row
    for r in range(rows):
        row = x + (order[r] if order != NULL else r) * x_row
        if ld > n:
            for j in range(n // BLOCK, ld // BLOCK):
                store_row(out + j * BLOCK, 0, 0, 0, 0)
        if is_pair:
            copy(piece, row, out)
        else:
            for j in range(n // piece):
                copy(piece, row + j * piece, out + j * piece)
        copy(piece, row + n - piece, out + n - piece)
        out += ld


cdef void gather(Py_ssize_t rows, Py_ssize_t n, const unsigned int* order, const real* x, Py_ssize_t x_row,
                 Py_ssize_t x_column, real* out, Py_ssize_t ld) noexcept nogil:
    """out[r, :n] = x[order[r], :n]  (row r where order is NULL); zero in the padding"""
    cdef Py_ssize_t r, j
    cdef const real* row
    if x_column != 1 or n == 1:
        for r in range(rows):
            row = x + (order[r] if order != NULL else r) * x_row
            for j in range(n, ld):
                out[j] = 0
            for j in range(n):
                out[j] = row[j * x_column]
            out += ld
    elif n <= 4:
        gather_rows(2, True, rows, n, order, x, x_row, out, ld)
    elif n <= 8:
        gather_rows(4, True, rows, n, order, x, x_row, out, ld)
    elif n <= 16:
        gather_rows(8, True, rows, n, order, x, x_row, out, ld)
    elif n <= 32:
        gather_rows(16, True, rows, n, order, x, x_row, out, ld)
    elif n <= 64:
        gather_rows(32, True, rows, n, order, x, x_row, out, ld)
    elif n <= 128:
        gather_rows(64, True, rows, n, order, x, x_row, out, ld)
    else:
        gather_rows(64, False, rows, n, order, x, x_row, out, ld)


cdef void fetch_rows(Engine engine, Call* call, Py_ssize_t rows, const unsigned int* order) noexcept nogil:
    """Ask for the rows of input and target that this thread will gather after these: its next ones, or in the next batch."""
    cdef const unsigned int* end
    cdef Py_ssize_t ahead = max(<Py_ssize_t>FETCH_AHEAD, rows if call.n_threads == 1 else call.batch_size)
    cdef Py_ssize_t r, j, n = engine.sizes.n_features
    cdef const real* row
    if call.n_rows * n <= FETCH_FROM // <Py_ssize_t>sizeof(real) or ahead * n > FETCH_MOST // <Py_ssize_t>sizeof(real):
        return
    if call.shuffled != NULL:
        end = call.shuffled + call.n_rows
    else:
        end = call.batch_rows + call.batch_offsets[call.n_batches]
    for r in range(ahead, min(ahead + rows, <Py_ssize_t>(end - order))):
        row = call.x + order[r] * call.x_row
        for j in range((n - 1) // BLOCK):
            prefetch(row + j * BLOCK)
        prefetch(row + n - 1)
        if call.targets.label != NULL:
            prefetch(call.targets.label + order[r] * call.targets.label_step)
        elif call.targets.y != NULL:    # of one output
            prefetch(call.targets.y + order[r] * call.targets.y_row)


cdef inline void bind_gathered(Engine engine, RowTile* tile) noexcept nogil:
    """Let the tile see the rows of its buffer of the input."""
    tile.x = buffer(tile, engine.sizes.input, engine.sizes.ld_input)
    tile.x_row = tile.x_width = engine.sizes.ld_input
    tile.x_column = 1


cdef inline void bind_rows(Engine engine, Call* call, RowTile* tile, const unsigned int* order,
                           Py_ssize_t first) noexcept nogil:
    """Let the tile see its rows of the input: in place where a plain row will do, else gathered into its buffer."""
    if order == NULL and call.x_column == 1 and not engine.sizes.gathers:
        tile.x = call.x + first * call.x_row
        tile.x_row = call.x_row
        tile.x_column = 1
        tile.x_width = engine.sizes.n_features
        return
    bind_gathered(engine, tile)
    gather(tile.rows, engine.sizes.n_features, order, call.x if order != NULL else call.x + first * call.x_row,
           call.x_row, call.x_column, <real*>tile.x, engine.sizes.ld_input)
    if order != NULL and call.x_column == 1:
        fetch_rows(engine, call, tile.rows, order)

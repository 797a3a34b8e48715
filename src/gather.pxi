# The rows of a batch, wherever they lie, side by side: what a tile of a shuffled or strided batch reads instead.

cdef inline void gather_pieces(const int piece, Py_ssize_t rows, Py_ssize_t n, const unsigned int* order, const real* x,
                               Py_ssize_t x_row, real* out, Py_ssize_t ld) noexcept nogil:
    """`gather` of plain rows of at least `piece` (a literal) numbers, so many at a time; the last piece may overlap."""
    cdef Py_ssize_t r, j
    cdef const real* row
    for r in range(rows):
        row = x + (order[r] if order != NULL else r) * x_row
        for j in range(n, ld):
            out[j] = 0
        for j in range(n // piece):
            memcpy(out + piece * j, row + piece * j, piece * sizeof(real))
        if n % piece:
            memcpy(out + n - piece, row + n - piece, piece * sizeof(real))
        out += ld


cdef void gather(Py_ssize_t rows, Py_ssize_t n, const unsigned int* order, const real* x, Py_ssize_t x_row,
                 Py_ssize_t x_column, real* out, Py_ssize_t ld) noexcept nogil:
    """out[r, :n] = x[order[r], :n]  (row r where order is NULL); zero in the padding"""
    cdef Py_ssize_t r, j
    cdef const real* row
    if x_column == 1 and n >= 16:
        gather_pieces(16, rows, n, order, x, x_row, out, ld)
    elif x_column == 1 and n >= 8:
        gather_pieces(8, rows, n, order, x, x_row, out, ld)
    elif x_column == 1 and n >= 4:
        gather_pieces(4, rows, n, order, x, x_row, out, ld)
    else:
        for r in range(rows):
            row = x + (order[r] if order != NULL else r) * x_row
            if ld == BLOCK:
                store_row(out, 0, 0, 0, 0)
            else:
                for j in range(n, ld):
                    out[j] = 0
            for j in range(n):
                out[j] = row[j * x_column]
            out += ld


cdef inline void bind_rows(Engine engine, Call* call, Tile* tile, const unsigned int* order,
                           Py_ssize_t first) noexcept nogil:
    """Let the tile see its rows of the input: in place where a plain row will do, else gathered into its buffer."""
    if order == NULL and call.x_column == 1 and not engine.gathers:
        tile.x = call.x + first * call.x_row
        tile.x_row = call.x_row
        tile.x_column = 1
        return
    tile.x = buffer(tile, engine.input, engine.ld_input)
    tile.x_row = engine.ld_input
    tile.x_column = 1
    gather(tile.rows, engine.n_features, order, call.x if order != NULL else call.x + first * call.x_row,
           call.x_row, call.x_column, <real*>tile.x, engine.ld_input)

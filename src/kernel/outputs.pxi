# The backward pass of a layer of up to four outputs, whose kernel is stored by columns, in one pass over its rows.
#
#     g[o, i]  = start + sum_r dz[r, o] x[r, i]       gradient of the kernel
#     b[o]     = start + sum_r dz[r, o]               and of the bias
#     d[r, i]  = sum_o dz[r, o] w[o, i]               gradient by the input, with tanh times 1 - x[r, i]**2,
#     s[i]     = start + sum_r d[r, i]                and then its sums
#
# As products and sums of their own, each of these is a chain that waits for itself row after row, or does next to nothing
# with what it loads.  The chains are those of product.pxi, to the bit.  A step at 4-32-16-1 with tanh took 0.94 of the time
# with batches of 32 and of 200, at 10-64-64-1 with 442 0.97.
#
# Shapes   dz (rows, lddz) IN, zero from column n on, or of a single output any lddz; x (rows, ldx) IN; w (n, ldw) IN;
#          d (rows, ldd) OUT; g (n, ldw), b (4) and s OUT, or IN and OUT with START_C; whole blocks.

cdef struct Outputs:
    Py_ssize_t rows
    int start
    const real* dz
    Py_ssize_t lddz
    const real* x
    Py_ssize_t ldx
    const real* w
    Py_ssize_t ldw
    real* d
    Py_ssize_t ldd
    real* g
    real* b                     # or NULL
    real* s                     # or NULL


cdef inline void output_columns(const int n, const int vectors, const bint is_tanh, const Outputs* own,
                                Py_ssize_t column) noexcept nogil:
    """`vectors` vectors of the columns i from `column` on, and with column 0 the bias; n and the choices are literals."""
    cdef vreal g[MICRO_TILE_ACCUMULATORS]
    cdef vreal w[MICRO_TILE_ACCUMULATORS]
    cdef vreal s[MICRO_TILE_ACCUMULATORS]
    cdef vreal d[MICRO_TILE_ACCUMULATORS]
    cdef vreal b[4]
    cdef vreal scale, x
    cdef const real* dz = own.dz
    cdef const real* from_x = own.x + column
    cdef real* to = own.d + column
    cdef bint goes_on = own.start == START_C
    cdef Py_ssize_t r, lddz = own.lddz, ldx = own.ldx, ldd = own.ldd
    cdef int o, v
    for v in range(vectors):
        s[v] = vload(own.s + column + v * LANES) if goes_on and own.s != NULL else vset(0)
        for o in range(n):
            w[o * vectors + v] = vload(own.w + o * own.ldw + column + v * LANES)
            g[o * vectors + v] = vload(own.g + o * own.ldw + column + v * LANES) if goes_on else vset(0)
    for v in range(ROW_VECTORS):
        b[v] = vload(own.b + v * LANES) if goes_on and own.b != NULL else vset(0)
    for r in range(own.rows):
        for v in range(vectors):
            d[v] = vset(0)
        for o in range(n):
            scale = vset(dz[o])
            for v in range(vectors):
                g[o * vectors + v] = vfma(scale, vload(from_x + v * LANES), g[o * vectors + v])
                d[v] = vfma(scale, w[o * vectors + v], d[v])
        if n == 1:
            b[0] = b[0] + vset(dz[0])
        else:
            for v in range(ROW_VECTORS):
                b[v] = b[v] + vload(dz + v * LANES)
        for v in range(vectors):
            if is_tanh:
                x = vload(from_x + v * LANES)
                d[v] = d[v] * (vset(1) - x * x)
                s[v] = s[v] + d[v]
            vstore(to + v * LANES, d[v])
        dz += lddz
        from_x += ldx
        to += ldd
    for v in range(vectors):
        if is_tanh and own.s != NULL:
            vstore(own.s + column + v * LANES, s[v])
        for o in range(n):
            vstore(own.g + o * own.ldw + column + v * LANES, g[o * vectors + v])
    if own.b != NULL and column == 0:
        if n == 1:
            b[0] = vbetween(0, 1, b[0])
        for v in range(ROW_VECTORS):
            vstore(own.b + v * LANES, b[v])


cdef inline void output_rows(const bint is_tanh, int n, const Outputs* own) noexcept nogil:
    """All columns; s only with tanh."""
    cdef Py_ssize_t column = 0
    if n == 1:
        while column + OUTPUT_BLOCKS * BLOCK <= own.ldw:
            output_columns(1, OUTPUT_BLOCKS * BLOCK_VECTORS, is_tanh, own, column)
            column += OUTPUT_BLOCKS * BLOCK
    while column < own.ldw:
        if n == 1:
            output_columns(1, BLOCK_VECTORS, is_tanh, own, column)
        elif n == 2:
            output_columns(2, BLOCK_VECTORS, is_tanh, own, column)
        elif n == 3:
            output_columns(3, BLOCK_VECTORS, is_tanh, own, column)
        else:
            output_columns(4, BLOCK_VECTORS, is_tanh, own, column)
        column += BLOCK


cdef void outputs_of_tanh(int n, const Outputs* own) noexcept nogil:
    output_rows(True, n, own)


cdef void outputs_of_any(int n, const Outputs* own) noexcept nogil:
    output_rows(False, n, own)

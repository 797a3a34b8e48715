# Matrix products on register tiles.
#
#     C[m, n] = start + sum_k A[m, k] * B[k, n]
#
# A is read one number at a time with two strides (rows of x forward, columns of x for the gradient of the kernel), B and C a
# block of 64 bytes at a time along n.  Each element of C is ONE chain of fused multiply-adds in the order of k, so tile
# shape, instruction set and the way the rows are dealt to threads never change a bit of the result.  Error of one element
# against exact arithmetic: at most (depth + 1) * eps * sum_k |A[m, k] B[k, n]| to first order.
#
# Shapes   A (m, depth) IN, any strides; B (depth, n) IN, rows `ldb` apart; C (m, n) OUT or IN and OUT, rows `ldc` apart;
#          n a multiple of BLOCK; C overlaps neither A nor B.

cdef enum:
    START_ZERO = 0          # C = A B
    START_BIAS = 1          # C = bias + A B, the same bias row for every row of C
    START_C = 2             # C = C + A B
    START_ROW_BIAS = 3      # C = bias + A B, one number of the bias for each row of C; of `panels` alone


cdef inline void micro_tile(const int rows, const int vectors, int start, Py_ssize_t depth,
                            const real* a, Py_ssize_t a_row, Py_ssize_t a_column,
                            const real* b, Py_ssize_t ldb, real* c, Py_ssize_t ldc,
                            const real* bias) noexcept nogil:
    """One tile of rows x vectors accumulators; both are literals where this is inlined, so that the loops unroll."""
    cdef vreal sum[MICRO_TILE_ACCUMULATORS]
    cdef vreal column[MICRO_TILE_ACCUMULATORS]
    cdef vreal scale
    cdef const real* group[4]   # every fifth row: a pointer for each row would need more registers than there are
    cdef const real* row = c
    cdef int r, v
    cdef Py_ssize_t k
    for r in range(4):
        group[r] = opaque(a + 5 * r * a_row)
    if start == START_C:
        for r in range(rows):
            row = tile_row(c, row, r, ldc)
            for v in range(vectors):
                sum[r * vectors + v] = vload(row + v * LANES)
    elif start == START_BIAS:
        for v in range(vectors):
            column[v] = vload(bias + v * LANES)
            for r in range(rows):
                sum[r * vectors + v] = column[v]
    elif start == START_ROW_BIAS:
        for r in range(rows):
            for v in range(vectors):
                sum[r * vectors + v] = vset(bias[r])
    else:
        for r in range(rows):
            for v in range(vectors):
                sum[r * vectors + v] = vset(0)
    for k in range(depth):
        for v in range(vectors):
            column[v] = vload(b + v * LANES)
        for r in range(rows):
            scale = vset(group[r // 5][r % 5 * a_row])
            for v in range(vectors):
                sum[r * vectors + v] = vfma(scale, column[v], sum[r * vectors + v])
        for r in range(4):
            group[r] += a_column
        b += ldb
    for r in range(rows):
        row = tile_row(c, row, r, ldc)
        for v in range(vectors):
            vstore(<real*>row + v * LANES, sum[r * vectors + v])


cdef inline void micro_tile_rows(const int vectors, const int most, int rows, int start, Py_ssize_t depth,
                                 const real* a, Py_ssize_t a_row, Py_ssize_t a_column,
                                 const real* b, Py_ssize_t ldb, real* c, Py_ssize_t ldc,
                                 const real* bias) noexcept nogil:
    """A tile of up to `most` rows (a literal), their number known at run time: a switch over the unrolled ones."""
    if rows == 1:
        micro_tile(1, vectors, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
    elif rows == 2:
        micro_tile(2, vectors, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
    elif rows == 3:
        micro_tile(3, vectors, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
    elif most >= 4 and rows == 4:
        micro_tile(4, vectors, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
    elif most >= 5 and rows == 5:
        micro_tile(5, vectors, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
    elif most >= 6 and rows == 6:
        micro_tile(6, vectors, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
    elif most >= 7 and rows == 7:
        micro_tile(7, vectors, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
    elif most >= 8 and rows == 8:
        micro_tile(8, vectors, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
    elif most >= 9 and rows == 9:
        micro_tile(9, vectors, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
    elif most >= 10 and rows == 10:
        micro_tile(10, vectors, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
    elif most >= 11 and rows == 11:
        micro_tile(11, vectors, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
    elif most >= 12 and rows == 12:
        micro_tile(12, vectors, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
    elif most >= 13 and rows == 13:
        micro_tile(13, vectors, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
    elif most >= 14 and rows == 14:
        micro_tile(14, vectors, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
    elif most >= 15 and rows == 15:
        micro_tile(15, vectors, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
    elif most >= 16 and rows == 16:
        micro_tile(16, vectors, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)


cdef inline void panel(const int vectors, const int most, Py_ssize_t m, int start, Py_ssize_t depth,
                       const real* a, Py_ssize_t a_row, Py_ssize_t a_column,
                       const real* b, Py_ssize_t ldb, real* c, Py_ssize_t ldc,
                       const real* bias) noexcept nogil:
    """All rows of one column panel, in tiles of equal height to within one row: no tail of a single slow row."""
    cdef Py_ssize_t left = (m + most - 1) // most
    cdef int rows
    while m > 0:
        rows = <int>((m + left - 1) // left)
        micro_tile_rows(vectors, most, rows, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
        a += rows * a_row
        c += rows * ldc
        if start == START_ROW_BIAS:
            bias += rows
        m -= rows
        left -= 1


# Functions of their own, so that the loops of their tiles have the registers to themselves.

cdef void panel_1(Py_ssize_t m, int start, Py_ssize_t depth, const real* a, Py_ssize_t a_row, Py_ssize_t a_column,
                  const real* b, Py_ssize_t ldb, real* c, Py_ssize_t ldc, const real* bias) noexcept nogil:
    panel(BLOCK_VECTORS, MICRO_TILE_ROWS_1, m, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)


cdef void panel_2(Py_ssize_t m, int start, Py_ssize_t depth, const real* a, Py_ssize_t a_row, Py_ssize_t a_column,
                  const real* b, Py_ssize_t ldb, real* c, Py_ssize_t ldc, const real* bias) noexcept nogil:
    panel(BLOCK_VECTORS * (2 if MICRO_TILE_BLOCKS >= 2 else 1), MICRO_TILE_ROWS_2, m, start, depth, a, a_row, a_column,
          b, ldb, c, ldc, bias)


cdef void panel_3(Py_ssize_t m, int start, Py_ssize_t depth, const real* a, Py_ssize_t a_row, Py_ssize_t a_column,
                  const real* b, Py_ssize_t ldb, real* c, Py_ssize_t ldc, const real* bias) noexcept nogil:
    panel(BLOCK_VECTORS * (3 if MICRO_TILE_BLOCKS >= 3 else 1), MICRO_TILE_ROWS, m, start, depth, a, a_row, a_column,
          b, ldb, c, ldc, bias)


cdef void single_row(Py_ssize_t blocks, int start, Py_ssize_t depth,
                     const real* a, Py_ssize_t a_row, Py_ssize_t a_column,
                     const real* b, Py_ssize_t ldb, real* c, Py_ssize_t ldc,
                     const real* bias) noexcept nogil:
    """One row, as many blocks of it at a time as there are: only their chains are independent of each other."""
    cdef Py_ssize_t width
    while blocks > 0:
        width = min(blocks, <Py_ssize_t>WIDE_BLOCKS)
        if width == 1:
            micro_tile(1, BLOCK_VECTORS, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
        elif WIDE_BLOCKS >= 2 and width == 2:
            micro_tile(1, 2 * BLOCK_VECTORS, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
        elif WIDE_BLOCKS >= 3 and width == 3:
            micro_tile(1, 3 * BLOCK_VECTORS, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
        elif WIDE_BLOCKS >= 4 and width == 4:
            micro_tile(1, 4 * BLOCK_VECTORS, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
        elif WIDE_BLOCKS >= 5 and width == 5:
            micro_tile(1, 5 * BLOCK_VECTORS, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
        elif WIDE_BLOCKS >= 6 and width == 6:
            micro_tile(1, 6 * BLOCK_VECTORS, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
        elif WIDE_BLOCKS >= 7 and width == 7:
            micro_tile(1, 7 * BLOCK_VECTORS, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
        elif WIDE_BLOCKS >= 8:
            micro_tile(1, 8 * BLOCK_VECTORS, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
        b += width * BLOCK
        c += width * BLOCK
        if start != START_ROW_BIAS:
            bias += width * BLOCK
        blocks -= width


cdef void gemm(Py_ssize_t m, Py_ssize_t n, Py_ssize_t depth, int start,
               const real* a, Py_ssize_t a_row, Py_ssize_t a_column, const real* b, Py_ssize_t ldb,
               real* c, Py_ssize_t ldc, const real* bias, Packing* packing) noexcept nogil:
    """C = start + A B.

    Within the second-level cache nothing is copied: with rows that do not share cache sets (row_length in
    fastbp/plan/parameter.py) a panel comes from there as fast as the tile takes it.  `packing` NULL: never.
    """
    if not is_from_afar(packing, n, depth):
        panels(m, n, depth, start, a, a_row, a_column, b, ldb, c, ldc, bias)
    elif m >= PACKED_FROM_ROWS and (a_column == 1 or a_row == 1):
        packed_gemm(m, n, depth, start, a, a_row, a_column, b, ldb, 0, c, ldc, bias, packing)
    else:
        parted_gemm(m, n, depth, start, a, a_row, a_column, b, ldb, c, ldc, bias)


cdef void panels(Py_ssize_t m, Py_ssize_t n, Py_ssize_t depth, int start,
                 const real* a, Py_ssize_t a_row, Py_ssize_t a_column,
                 const real* b, Py_ssize_t ldb, real* c, Py_ssize_t ldc, const real* bias) noexcept nogil:
    """The same in column panels of equal width to within one block, from where the factors lie."""
    cdef Py_ssize_t blocks = n // BLOCK, left, width
    cdef const real* row_bias = bias
    if m == 1:
        single_row(blocks, start, depth, a, a_row, a_column, b, ldb, c, ldc, bias)
        return
    left = (blocks + MICRO_TILE_BLOCKS - 1) // MICRO_TILE_BLOCKS
    while blocks > 0:
        width = (blocks + left - 1) // left
        if width == 1:
            panel_1(m, start, depth, a, a_row, a_column, b, ldb, c, ldc, row_bias)
        elif MICRO_TILE_BLOCKS >= 2 and width == 2:
            panel_2(m, start, depth, a, a_row, a_column, b, ldb, c, ldc, row_bias)
        elif MICRO_TILE_BLOCKS >= 3 and width == 3:
            panel_3(m, start, depth, a, a_row, a_column, b, ldb, c, ldc, row_bias)
        b += width * BLOCK
        c += width * BLOCK
        if start != START_ROW_BIAS:
            row_bias += width * BLOCK
        blocks -= width
        left -= 1


cdef inline void column_group(const int vectors, Py_ssize_t rows, int start, const real* a, Py_ssize_t lda,
                              real* c) noexcept nogil:
    cdef vreal sum[8]
    cdef Py_ssize_t r
    cdef int v
    for v in range(vectors):
        sum[v] = vload(c + v * LANES) if start == START_C else vset(0)
    for r in range(rows):
        for v in range(vectors):
            sum[v] = sum[v] + vload(a + v * LANES)
        a += lda
    for v in range(vectors):
        vstore(c + v * LANES, sum[v])


cdef void column_sums(Py_ssize_t rows, Py_ssize_t n, int start, const real* a, Py_ssize_t lda, real* c) noexcept nogil:
    """c[j] = sum_r a[r, j], with START_C added to c[j]: one chain of additions in the order of r; n whole blocks."""
    cdef Py_ssize_t left = n // LANES
    while left >= 8:
        column_group(8, rows, start, a, lda, c)
        a += 8 * LANES
        c += 8 * LANES
        left -= 8
    while left >= 2:
        column_group(2, rows, start, a, lda, c)
        a += 2 * LANES
        c += 2 * LANES
        left -= 2
    if left:
        column_group(1, rows, start, a, lda, c)


cdef void transpose(Py_ssize_t rows, Py_ssize_t columns, const real* w, Py_ssize_t ldw,
                    real* t, Py_ssize_t ldt) noexcept nogil:
    """t[j, i] = w[i, j] for w (rows, columns) IN, its rows padded to whole blocks, and t (columns, rows) OUT."""
    cdef Py_ssize_t i, j, patch, whole = rows // LANES * LANES
    cdef vreal row[LANES]
    cdef int k
    for patch in range(rows // LANES):
        i = patch * LANES
        j = 0
        while j < columns:
            for k in range(LANES):
                row[k] = vload(w + (i + k) * ldw + j)
            vtranspose(row)
            if j + LANES <= columns:
                for k in range(LANES):
                    vstore(t + (j + k) * ldt + i, row[k])
            else:
                for k in range(<int>(columns - j)):
                    vstore(t + (j + k) * ldt + i, row[k])
            j += LANES
    for i in range(whole, rows):
        for j in range(columns):
            t[j * ldt + i] = w[i * ldw + j]


cdef void transpose_padded(Py_ssize_t rows, Py_ssize_t columns, const real* w, Py_ssize_t ldw,
                           real* t, Py_ssize_t ldt) noexcept nogil:
    """The same, and zeros behind `rows` up to whole blocks of each row of t."""
    cdef vreal row[LANES]
    cdef Py_ssize_t i = rows // LANES * LANES, j
    cdef int k
    transpose(i, columns, w, ldw, t, ldt)
    while i < (rows + BLOCK - 1) // BLOCK * BLOCK:
        j = 0
        while j < columns:
            for k in range(LANES):
                row[k] = vload(w + (i + k) * ldw + j) if i + k < rows else vset(0)
            vtranspose(row)
            for k in range(<int>min(<Py_ssize_t>LANES, columns - j)):
                vstore(t + (j + k) * ldt + i, row[k])
            j += LANES
        i += LANES

# Products whose right factor comes from beyond the second-level cache: from copies of its panels, or some rows at a time.
#
# A panel of 48 columns lies in pieces of 192 bytes, a page apart: no prefetcher sees them come, and every tile of rows waits
# for them again.  Copied, some hundred of its rows at a time, it is one run of memory that stays in the nearest caches for
# all rows of A.  The gradient of a kernel reads A by columns, a cache line for every eight numbers: of that a block is
# copied too, transposed.  The depth is cut, and the chain of each element goes on from C (START_C): the same bits.

# Fewer rows do not read a panel often enough.  A step of 1024-1024-1024-1024 took, copied and not, 15.6 and 14.4 ms at best
# and 0.51 and 0.58 of another's time at the median with batches of 32, and 0.56 and 0.65 with 40.  For them B is read some
# rows at a time: its first panel has the prefetchers fetch what the others read.  In parts of 16, 32, 64 and 128 rows of B
# that took 0.84, 0.82, 0.88 and 1.02 times as long with batches of 16; 0.97, 0.93, 0.98 and 1.05 with 4; no less with 1.
cdef enum:
    PACKED_FROM_ROWS = 32
    PART_DEPTH = 32

# Memory of one thread for such copies, and when they pay (fastbp/plan/tiling.py); `from_numbers` 0 where they never do.
cdef struct Packing:
    real* at
    Py_ssize_t panel_depth      # at most
    Py_ssize_t block            # numbers of the rows of A that go with it, at most
    Py_ssize_t from_numbers     # of B


cdef inline bint is_from_afar(Packing* packing, Py_ssize_t n, Py_ssize_t depth) noexcept nogil:
    """Whether B is large, and more than one panel."""
    return packing != NULL and 0 < packing.from_numbers <= n * depth and n > MICRO_TILE_BLOCKS * BLOCK


cdef void parted_gemm(Py_ssize_t m, Py_ssize_t n, Py_ssize_t depth, int start,
                      const real* a, Py_ssize_t a_row, Py_ssize_t a_column, const real* b, Py_ssize_t ldb,
                      real* c, Py_ssize_t ldc, const real* bias) noexcept nogil:
    """`gemm` for few rows."""
    cdef Py_ssize_t part
    while depth > 0:
        part = min(depth, <Py_ssize_t>PART_DEPTH)
        panels(m, n, part, start, a, a_row, a_column, b, ldb, c, ldc, bias)
        start = START_C
        a += part * a_column
        b += part * ldb
        depth -= part


cdef inline void turn(Py_ssize_t rows, Py_ssize_t depth, const real* a, Py_ssize_t a_column, real* t,
                      Py_ssize_t ldt) noexcept nogil:
    """t[i, k] = a[i, k] for A (rows, depth) IN, its columns `a_column` apart; t OUT, its rows `ldt` apart."""
    cdef Py_ssize_t whole = rows // LANES * LANES, i, k
    transpose(depth, whole, a, a_column, t, ldt)
    for i in range(whole, rows):        # a vector from here on might end behind the factor
        for k in range(depth):
            t[i * ldt + k] = a[k * a_column + i]


cdef inline void copy_panel(const int blocks, Py_ssize_t depth, const real* b, Py_ssize_t ldb, Py_ssize_t columns,
                            real* p) noexcept nogil:
    """p = `depth` rows of `blocks` (a literal) blocks of B, side by side; or of up to `columns` rows of its transpose."""
    cdef Py_ssize_t k
    cdef int v
    if columns:
        if columns < blocks * BLOCK:
            memset(p, 0, depth * blocks * BLOCK * sizeof(real))
        transpose(min(columns, <Py_ssize_t>(blocks * BLOCK)), depth, b, ldb, p, blocks * BLOCK)
        return
    for k in range(depth):
        for v in range(blocks * BLOCK_VECTORS):
            vstore(p + v * LANES, vload(b + v * LANES))
        p += blocks * BLOCK
        b += ldb


cdef void packed_panels(Py_ssize_t m, Py_ssize_t n, Py_ssize_t depth, int start, const real* a, Py_ssize_t a_row,
                        const real* b, Py_ssize_t ldb, Py_ssize_t columns, real* c, Py_ssize_t ldc, const real* bias,
                        real* p) noexcept nogil:
    """`packed_gemm` for a block of A by rows and as much of B as one copied panel is deep; `p` has room for that."""
    cdef Py_ssize_t blocks = n // BLOCK, left, width
    left = (blocks + MICRO_TILE_BLOCKS - 1) // MICRO_TILE_BLOCKS
    while blocks > 0:
        width = (blocks + left - 1) // left
        if width == 1:
            copy_panel(1, depth, b, ldb, columns, p)
            panel_1(m, start, depth, a, a_row, 1, p, BLOCK, c, ldc, bias)
        elif MICRO_TILE_BLOCKS >= 2 and width == 2:
            copy_panel(2, depth, b, ldb, columns, p)
            panel_2(m, start, depth, a, a_row, 1, p, 2 * BLOCK, c, ldc, bias)
        elif MICRO_TILE_BLOCKS >= 3 and width == 3:
            copy_panel(3, depth, b, ldb, columns, p)
            panel_3(m, start, depth, a, a_row, 1, p, 3 * BLOCK, c, ldc, bias)
        b += width * BLOCK * (ldb if columns else 1)
        columns = max(columns - width * BLOCK, <Py_ssize_t>0)
        c += width * BLOCK
        bias += width * BLOCK
        blocks -= width
        left -= 1


cdef void packed_gemm(Py_ssize_t m, Py_ssize_t n, Py_ssize_t depth, int start,
                      const real* a, Py_ssize_t a_row, Py_ssize_t a_column, const real* b, Py_ssize_t ldb,
                      Py_ssize_t columns, real* c, Py_ssize_t ldc, const real* bias, Packing* packing) noexcept nogil:
    """`gemm` from copies.  With `columns` not 0 so many columns of B lie as rows, `ldb` apart; n is that in whole blocks.
    """
    cdef Py_ssize_t k, i, part, rows, most, block_row
    cdef const real* block
    cdef real* panel = packing.at
    cdef real* turned = panel + packing.panel_depth * MICRO_TILE_BLOCKS * BLOCK
    k = 0
    while k < depth:
        part = min(depth - k, packing.panel_depth)
        most = packing.block // (part + BLOCK)
        i = 0
        while i < m:
            rows = min(m - i, most)
            block = a + i * a_row + k * a_column
            block_row = a_row
            if a_column != 1:
                block_row = part + BLOCK    # no multiple of a page
                turn(rows, part, block, a_column, turned, block_row)
                block = turned
            packed_panels(rows, n, part, start if k == 0 else START_C, block, block_row, b + k * (1 if columns else ldb),
                          ldb, columns, c + i * ldc, ldc, bias, panel)
            i += rows
        k += part

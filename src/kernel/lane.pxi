# Products with the rows of the batch in the lanes: the activations of a unit lie side by side, those of the next `ld` on.
#
#     forward     z[o, r] = bias[o] + sum_i W[i, o] a[i, r]
#     backward    d[i, r] = sum_o W[i, o] dz[o, r]
#     gradient    g[p, q] = sum_r P[p, r] Q[q, r]       P and Q the layer's input and dz, or dz and its input
#
# No vector has a lane to spare however narrow a layer is.  Forward and backward are `panels` of product.pxi, each element
# one chain in the order of i and o.  A gradient is the sum of BLOCK interleaved partial sums: partial sum l is one chain
# over the rows r = l modulo BLOCK, in their order; they are added by halves (l and l + BLOCK / 2 first).
#
# `lanes` is the number of rows, whole blocks; what stands in rows beyond the batch adds zero to a gradient, for dz is zero.

cdef enum:
    ODD_BLOCKS = 8


cdef inline Py_ssize_t lane_length(Py_ssize_t rows) noexcept nogil:
    """Numbers from one unit to the next: whole blocks, an odd number of them from ODD_BLOCKS on, for the sets of a cache."""
    cdef Py_ssize_t blocks = (rows + BLOCK - 1) // BLOCK
    return (blocks | 1 if blocks >= ODD_BLOCKS else blocks) * BLOCK


cdef inline Py_ssize_t lane_count(Py_ssize_t rows) noexcept nogil:
    """`rows` rounded up to whole blocks."""
    return (rows + BLOCK - 1) // BLOCK * BLOCK


cdef inline void sum_parts(const int sums, vreal* part, real* result) noexcept nogil:
    """result (LANES) OUT: of each of `sums` (a literal) sums its BLOCK_VECTORS vectors, `sums` apart, added by halves."""
    cdef int i, v, width = BLOCK_VECTORS // 2
    while width > 0:
        for v in range(width):
            for i in range(sums):
                part[v * sums + i] = part[v * sums + i] + part[(v + width) * sums + i]
        width //= 2
    vreduce(part, sums)
    vstore(result, part[0])


cdef inline void lane_dots(const int columns, const int sums, Py_ssize_t rows, Py_ssize_t blocks, const real* p,
                           Py_ssize_t ldp, const real* q, Py_ssize_t ldq, int start, real* g, Py_ssize_t ldg) noexcept nogil:
    """g[i, j] for `rows` rows i and `columns` columns j, `sums` at a time, both literals; they end in one vector.

    Where the rows end before these sums do, what lies behind them is read, and no sum of it is kept.
    """
    cdef vreal part[LANES * BLOCK_VECTORS]
    cdef vreal column[LANES]
    cdef vreal x
    cdef const real* p_group[4]     # every fourth row: a pointer for each would need more registers than there are
    cdef const real* q_group[4]
    cdef real result[LANES]
    cdef Py_ssize_t block
    cdef int i, j, v
    while rows > 0:
        for v in range(BLOCK_VECTORS):
            for i in range(4):
                p_group[i] = opaque(p + 4 * i * ldp + v * LANES)
                q_group[i] = opaque(q + 4 * i * ldq + v * LANES)
            for j in range(columns):
                column[j] = vload(q_group[j // 4] + j % 4 * ldq)
            for i in range(sums // columns):
                x = vload(p_group[i // 4] + i % 4 * ldp)
                for j in range(columns):
                    part[v * sums + i * columns + j] = x * column[j]
            for block in range(1, blocks):
                for i in range(4):
                    p_group[i] += BLOCK
                    q_group[i] += BLOCK
                for j in range(columns):
                    column[j] = vload(q_group[j // 4] + j % 4 * ldq)
                    if sums > columns:
                        column[j] = vheld(column[j])
                for i in range(sums // columns):
                    x = vload(p_group[i // 4] + i % 4 * ldp)
                    for j in range(columns):
                        part[v * sums + i * columns + j] = vfma(x, column[j], part[v * sums + i * columns + j])
        sum_parts(sums, part, result)
        for i in range(<int>min(rows, <Py_ssize_t>(sums // columns))):
            for j in range(columns):
                g[i * ldg + j] = g[i * ldg + j] + result[i * columns + j] if start == START_C else result[i * columns + j]
        p += sums // columns * ldp
        g += sums // columns * ldg
        rows -= sums // columns


# Functions of their own, so that each has the registers to itself.

cdef void lane_dots_16(Py_ssize_t rows, Py_ssize_t blocks, const real* p, Py_ssize_t ldp, const real* q, Py_ssize_t ldq,
                       int start, real* g, Py_ssize_t ldg) noexcept nogil:
    lane_dots(16 if LANES >= 16 else LANES, LANES, rows, blocks, p, ldp, q, ldq, start, g, ldg)


cdef void lane_dots_8(Py_ssize_t rows, Py_ssize_t blocks, const real* p, Py_ssize_t ldp, const real* q, Py_ssize_t ldq,
                      int start, real* g, Py_ssize_t ldg) noexcept nogil:
    lane_dots(8 if LANES >= 8 else LANES, LANES, rows, blocks, p, ldp, q, ldq, start, g, ldg)


cdef void lane_dots_4(Py_ssize_t rows, Py_ssize_t blocks, const real* p, Py_ssize_t ldp, const real* q, Py_ssize_t ldq,
                      int start, real* g, Py_ssize_t ldg) noexcept nogil:
    if UP_TO_FOUR < LANES and rows * 4 <= UP_TO_FOUR:
        lane_dots(4 if LANES >= 4 else LANES, UP_TO_FOUR, rows, blocks, p, ldp, q, ldq, start, g, ldg)
    else:
        lane_dots(4 if LANES >= 4 else LANES, LANES, rows, blocks, p, ldp, q, ldq, start, g, ldg)


cdef void lane_dots_2(Py_ssize_t rows, Py_ssize_t blocks, const real* p, Py_ssize_t ldp, const real* q, Py_ssize_t ldq,
                      int start, real* g, Py_ssize_t ldg) noexcept nogil:
    if UP_TO_FOUR < LANES and rows * 2 <= UP_TO_FOUR:
        lane_dots(2 if LANES >= 2 else LANES, UP_TO_FOUR, rows, blocks, p, ldp, q, ldq, start, g, ldg)
    else:
        lane_dots(2 if LANES >= 2 else LANES, LANES, rows, blocks, p, ldp, q, ldq, start, g, ldg)


cdef void lane_dots_1(Py_ssize_t rows, Py_ssize_t blocks, const real* p, Py_ssize_t ldp, const real* q, Py_ssize_t ldq,
                      int start, real* g, Py_ssize_t ldg) noexcept nogil:
    if UP_TO_FOUR < LANES and rows <= UP_TO_FOUR:
        lane_dots(1, UP_TO_FOUR, rows, blocks, p, ldp, q, ldq, start, g, ldg)
    else:
        lane_dots(1, LANES, rows, blocks, p, ldp, q, ldq, start, g, ldg)


cdef inline bint sums_by_rows(Py_ssize_t n_in, Py_ssize_t n_out, Py_ssize_t lanes) noexcept nogil:
    """Whether a gradient costs less as a product of rows, for which dz is turned back, than as sums across the lanes.

    Tenths of a cycle: a row turned 50 a block and multiplied 5 for each input; a sum 32, and 5 a block of lanes.
    """
    cdef Py_ssize_t wide = (n_out + BLOCK - 1) // BLOCK
    return wide * lanes * (50 + 5 * n_in) < n_in * n_out * (5 * (lanes // BLOCK) + 32)


cdef void lane_gradient(Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t lanes, const real* p, Py_ssize_t ldp,
                        const real* q, Py_ssize_t ldq, int start, real* g, Py_ssize_t ldg) noexcept nogil:
    """g (rows, columns) OUT = p q^T, or g + p q^T with START_C, for p (rows, lanes) and q (columns, lanes).

    Up to LANES - 1 rows behind those of p are read.
    """
    cdef Py_ssize_t blocks = lanes // BLOCK, width
    while columns > 0:
        if LANES >= 16 and columns >= 16:
            width = 16
            lane_dots_16(rows, blocks, p, ldp, q, ldq, start, g, ldg)
        elif LANES >= 8 and columns >= 8:
            width = 8
            lane_dots_8(rows, blocks, p, ldp, q, ldq, start, g, ldg)
        elif LANES >= 4 and columns >= 4:
            width = 4
            lane_dots_4(rows, blocks, p, ldp, q, ldq, start, g, ldg)
        elif LANES >= 2 and columns >= 2:
            width = 2
            lane_dots_2(rows, blocks, p, ldp, q, ldq, start, g, ldg)
        else:
            width = 1
            lane_dots_1(rows, blocks, p, ldp, q, ldq, start, g, ldg)
        q += width * ldq
        g += width
        columns -= width


cdef inline void sums_together(const int sums, Py_ssize_t rows, Py_ssize_t lanes, const real* p, Py_ssize_t ldp, int start,
                               real* g) noexcept nogil:
    """`lane_sums`, `sums` (a literal) at a time."""
    cdef vreal part[LANES * BLOCK_VECTORS]
    cdef real result[LANES]
    cdef Py_ssize_t block
    cdef int i, v
    while rows > 0:
        for v in range(BLOCK_VECTORS):
            for i in range(sums):
                part[v * sums + i] = vload(p + i * ldp + v * LANES)
            for block in range(1, lanes // BLOCK):
                for i in range(sums):
                    part[v * sums + i] = part[v * sums + i] + vload(p + i * ldp + block * BLOCK + v * LANES)
        sum_parts(sums, part, result)
        for i in range(<int>min(rows, <Py_ssize_t>sums)):
            g[i] = g[i] + result[i] if start == START_C else result[i]
        p += sums * ldp
        g += sums
        rows -= sums


cdef void lane_sums(Py_ssize_t rows, Py_ssize_t lanes, const real* p, Py_ssize_t ldp, int start, real* g) noexcept nogil:
    """g[i] OUT = sum_r p[i, r], or g[i] + the sum with START_C, in the order of a gradient; as many rows are read."""
    if UP_TO_FOUR < LANES and rows <= UP_TO_FOUR:
        sums_together(UP_TO_FOUR, rows, lanes, p, ldp, start, g)
    else:
        sums_together(LANES, rows, lanes, p, ldp, start, g)


cdef bint point_at_rows(Py_ssize_t first, Py_ssize_t rows, const unsigned int* order, const real* x, Py_ssize_t x_row,
                        const real* last, const real** row) noexcept nogil:
    """LANES rows from `first` on, the last one again beyond `rows`; whether they and x[0] begin no later than `last`."""
    cdef const real* at = x + min(first, rows - 1) * x_row
    cdef bint found = x <= last
    cdef int k
    if order == NULL:
        found = found and at <= last
        for k in range(LANES):
            row[k] = at
            at += x_row if first + k + 1 < rows else 0
        return found and at <= last
    for k in range(LANES):
        row[k] = x + order[min(first + k, rows - 1)] * x_row
        found &= row[k] <= last
    return found


cdef inline void turn_rows(const bint is_plain, Py_ssize_t n, const real* x, Py_ssize_t x_row, const real** row, real* out,
                           Py_ssize_t ld) noexcept nogil:
    """All n numbers of LANES rows, UP_TO_FOUR at a time: of rows x_row apart from x on, or of those at `row`."""
    cdef vreal column[UP_TO_FOUR]
    cdef Py_ssize_t at = 0
    cdef int k, count = <int>min(n, <Py_ssize_t>UP_TO_FOUR)
    while at < n:
        at = max(min(at, n - UP_TO_FOUR), <Py_ssize_t>0)    # the last ones may be some of those before, once more
        if is_plain:
            vturn_rows(x + at, x_row, column)
        else:
            vturn_columns(row, at, column)
        for k in range(count):
            vstore(out + (at + k) * ld, column[k])
        at += UP_TO_FOUR


cdef void gather_lanes(Py_ssize_t rows, Py_ssize_t n, const unsigned int* order, const real* x, Py_ssize_t x_row,
                       Py_ssize_t x_column, Py_ssize_t readable, real* out, Py_ssize_t ld) noexcept nogil:
    """out[j, r] (n, lane_count(rows)) OUT = x[order[r], j], r where order is NULL; the last row again beyond the rows.

    So what the lanes beyond the batch hold is finite where the batch is.  Of x, the numbers before `readable` may be read.
    """
    cdef const real* row[LANES]
    cdef const real* plain
    cdef const real* last = x + readable - max(n, <Py_ssize_t>UP_TO_FOUR)
    cdef Py_ssize_t first = 0, r, j
    cdef int k
    if order == NULL and x_row == 1:
        for j in range(n):
            memcpy(out + j * ld, x + j * x_column, rows * sizeof(real))
            for r in range(rows, lane_count(rows)):
                out[j * ld + r] = x[rows - 1 + j * x_column]
        return
    while first < lane_count(rows):
        plain = x + first * x_row
        if (order == NULL and x_column == 1 and first + LANES <= rows and plain <= last
                and plain + (LANES - 1) * x_row <= last):
            turn_rows(True, n, plain, x_row, NULL, out + first, ld)
        elif point_at_rows(first, rows, order, x, x_row, last, row) and x_column == 1:
            turn_rows(False, n, NULL, 0, row, out + first, ld)
        else:
            for j in range(n):
                for k in range(LANES):
                    out[j * ld + first + k] = row[k][j * x_column]
        first += LANES

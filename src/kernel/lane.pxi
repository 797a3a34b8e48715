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
    FEW_COLUMNS = 4         # up to which rows are turned number by number
    ODD_BLOCKS = 8


cdef inline Py_ssize_t lane_length(Py_ssize_t rows) noexcept nogil:
    """Numbers from one unit to the next: whole blocks, an odd number of them from ODD_BLOCKS on, for the sets of a cache."""
    cdef Py_ssize_t blocks = (rows + BLOCK - 1) // BLOCK
    return (blocks | 1 if blocks >= ODD_BLOCKS else blocks) * BLOCK


cdef inline Py_ssize_t lane_count(Py_ssize_t rows) noexcept nogil:
    """`rows` rounded up to whole blocks."""
    return (rows + BLOCK - 1) // BLOCK * BLOCK


cdef inline void halve_parts(vreal* part) noexcept nogil:
    """part[0] = the sum by halves of the BLOCK_VECTORS vectors of each of LANES sums, LANES apart."""
    cdef int i, v, width = BLOCK_VECTORS // 2
    while width > 0:
        for v in range(width):
            for i in range(LANES):
                part[v * LANES + i] = part[v * LANES + i] + part[(v + width) * LANES + i]
        width //= 2


cdef inline void lane_dots(const int columns, Py_ssize_t rows, Py_ssize_t blocks, const real* p, Py_ssize_t ldp,
                           const real* q, Py_ssize_t ldq, int start, real* g, Py_ssize_t ldg) noexcept nogil:
    """g[i, j] for `rows` rows i and `columns` columns j (a literal), LANES sums at a time, which end in one vector.

    Where the rows end before the vector does, what lies behind them is read, and no sum of it is kept.
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
            for i in range(LANES // columns):
                x = vload(p_group[i // 4] + i % 4 * ldp)
                for j in range(columns):
                    part[v * LANES + i * columns + j] = x * column[j]
            for block in range(1, blocks):
                for i in range(4):
                    p_group[i] += BLOCK
                    q_group[i] += BLOCK
                for j in range(columns):
                    column[j] = vload(q_group[j // 4] + j % 4 * ldq)
                for i in range(LANES // columns):
                    x = vload(p_group[i // 4] + i % 4 * ldp)
                    for j in range(columns):
                        part[v * LANES + i * columns + j] = vfma(x, column[j], part[v * LANES + i * columns + j])
        halve_parts(part)
        vreduce(part)
        vstore(result, part[0])
        for i in range(<int>min(rows, <Py_ssize_t>(LANES // columns))):
            for j in range(columns):
                g[i * ldg + j] = g[i * ldg + j] + result[i * columns + j] if start == START_C else result[i * columns + j]
        p += LANES // columns * ldp
        g += LANES // columns * ldg
        rows -= LANES // columns


# Functions of their own, so that each has the registers to itself.

cdef void lane_dots_16(Py_ssize_t rows, Py_ssize_t blocks, const real* p, Py_ssize_t ldp, const real* q, Py_ssize_t ldq,
                       int start, real* g, Py_ssize_t ldg) noexcept nogil:
    lane_dots(16 if LANES >= 16 else LANES, rows, blocks, p, ldp, q, ldq, start, g, ldg)


cdef void lane_dots_8(Py_ssize_t rows, Py_ssize_t blocks, const real* p, Py_ssize_t ldp, const real* q, Py_ssize_t ldq,
                      int start, real* g, Py_ssize_t ldg) noexcept nogil:
    lane_dots(8 if LANES >= 8 else LANES, rows, blocks, p, ldp, q, ldq, start, g, ldg)


cdef void lane_dots_4(Py_ssize_t rows, Py_ssize_t blocks, const real* p, Py_ssize_t ldp, const real* q, Py_ssize_t ldq,
                      int start, real* g, Py_ssize_t ldg) noexcept nogil:
    lane_dots(4 if LANES >= 4 else LANES, rows, blocks, p, ldp, q, ldq, start, g, ldg)


cdef void lane_dots_2(Py_ssize_t rows, Py_ssize_t blocks, const real* p, Py_ssize_t ldp, const real* q, Py_ssize_t ldq,
                      int start, real* g, Py_ssize_t ldg) noexcept nogil:
    lane_dots(2 if LANES >= 2 else LANES, rows, blocks, p, ldp, q, ldq, start, g, ldg)


cdef void lane_dots_1(Py_ssize_t rows, Py_ssize_t blocks, const real* p, Py_ssize_t ldp, const real* q, Py_ssize_t ldq,
                      int start, real* g, Py_ssize_t ldg) noexcept nogil:
    lane_dots(1, rows, blocks, p, ldp, q, ldq, start, g, ldg)


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


cdef void lane_sums(Py_ssize_t rows, Py_ssize_t lanes, const real* p, Py_ssize_t ldp, int start, real* g) noexcept nogil:
    """g[i] OUT = sum_r p[i, r], or g[i] + the sum with START_C, in the order of a gradient; as many rows are read."""
    cdef vreal part[LANES * BLOCK_VECTORS]
    cdef real result[LANES]
    cdef Py_ssize_t block
    cdef int i, v
    while rows > 0:
        for v in range(BLOCK_VECTORS):
            for i in range(LANES):
                part[v * LANES + i] = vload(p + i * ldp + v * LANES)
            for block in range(1, lanes // BLOCK):
                for i in range(LANES):
                    part[v * LANES + i] = part[v * LANES + i] + vload(p + i * ldp + block * BLOCK + v * LANES)
        halve_parts(part)
        vreduce(part)
        vstore(result, part[0])
        for i in range(<int>min(rows, <Py_ssize_t>LANES)):
            g[i] = g[i] + result[i] if start == START_C else result[i]
        p += LANES * ldp
        g += LANES
        rows -= LANES


cdef void gather_lanes(Py_ssize_t rows, Py_ssize_t n, const unsigned int* order, const real* x, Py_ssize_t x_row,
                       Py_ssize_t x_column, Py_ssize_t readable, real* staged, real* out, Py_ssize_t ld) noexcept nogil:
    """out[j, r] (n, lane_count(rows)) OUT = x[order[r], j], r where order is NULL; the last row again beyond the rows.

    So what the lanes beyond the batch hold is finite where the batch is.  Of x, the numbers before `readable` may be read;
    `staged` (LANES, n in whole blocks) SCRATCH.
    """
    cdef const real* row[LANES]
    cdef vreal lane[LANES]
    cdef Py_ssize_t r, j, at, patch, ld_staged = (n + BLOCK - 1) // BLOCK * BLOCK
    cdef bint reads_on
    cdef int k
    for patch in range(lane_count(rows) // LANES):
        reads_on = x_column == 1 and x_row >= n and n > FEW_COLUMNS
        for k in range(LANES):
            r = min(patch * LANES + k, rows - 1)
            at = (order[r] if order != NULL else r) * x_row
            row[k] = x + at
            reads_on = reads_on and at + max(n, <Py_ssize_t>LANES) <= readable
        if n <= FEW_COLUMNS:
            for j in range(n):
                for k in range(LANES):
                    out[j * ld + k] = row[k][j * x_column]
        else:
            if not reads_on:
                for k in range(LANES):
                    gather(1, n, NULL, row[k], 0, x_column, staged + k * ld_staged, ld_staged)
                    row[k] = staged + k * ld_staged
            j = 0
            while j < n:
                at = min(j, max(n - LANES, <Py_ssize_t>0))
                for k in range(LANES):
                    lane[k] = vload(row[k] + at)
                vtranspose(lane)
                for k in range(<int>min(n - at, <Py_ssize_t>LANES)):
                    vstore(out + (at + k) * ld, lane[k])
                j += LANES
        out += LANES

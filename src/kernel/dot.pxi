# Products with few columns: the outputs of a kernel that is stored by columns, the inputs of one stored by rows.
#
#     c[i, o] = bias[o] + sum_k a[i, k] w[o, k]
#
# Each element is the chain of product.pxi, bias first, then k in order; rows fill the lanes.

cdef inline void dot_patch(const bint is_plain, const int sums, Py_ssize_t begin, Py_ssize_t end, const real* a,
                           Py_ssize_t a_row, const real** row, const real** column, Py_ssize_t at,
                           vreal* sum) noexcept nogil:
    """LANES rows, of a or at `row`, times LANES numbers of k, of which begin..end count: turned, rows fill the lanes."""
    cdef vreal turned[UP_TO_FOUR]
    cdef int group, k, i, o
    for group in range(LANES // UP_TO_FOUR):
        k = group * UP_TO_FOUR
        if is_plain:
            vturn_rows(a + at + k, a_row, turned)
        else:
            vturn_columns(row, at + k, turned)
        for i in range(UP_TO_FOUR):
            if begin <= k + i < end:
                for o in range(sums):
                    sum[o] = vfma(turned[i], vset(column[o][at + k + i]), sum[o])


cdef inline void dot_group(const bint is_plain, const int sums, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t depth,
                           const real* a, Py_ssize_t a_row, Py_ssize_t a_width, const real* w, Py_ssize_t ldw,
                           const real* bias, real* c, Py_ssize_t ldc) noexcept nogil:
    """LANES rows of a, or up to so many where it is not plain, times n columns of a kernel, n at most `sums`.

    The last patch is of what is left, or overlaps where rows end there.
    """
    cdef vreal sum[4]
    cdef const real* column[4]
    cdef const real* row[LANES]
    cdef real result[4 * LANES]
    cdef Py_ssize_t patch, at = depth // LANES * LANES, left = depth - at, begin = 0, place
    cdef int i, o
    for o in range(sums):
        place = min(<Py_ssize_t>o, n - 1)
        column[o] = w + place * ldw
        sum[o] = vset(bias[place] if bias != NULL else 0)
    if not is_plain:
        for i in range(LANES):
            row[i] = a + min(<Py_ssize_t>i, rows - 1) * a_row
    for patch in range(depth // LANES):
        dot_patch(is_plain, sums, 0, LANES, a, a_row, row, column, patch * LANES, sum)
    if left:
        if at + LANES > a_width:
            at = depth - LANES
            begin = LANES - left
        dot_patch(is_plain, sums, begin, begin + left, a, a_row, row, column, at, sum)
    if n == 1 and ldc == 1:
        vstore(c, sum[0])
        return
    for o in range(sums):
        vstore(result + o * LANES, sum[o])
    for i in range(<int>rows):
        store_row(c + i * ldc, result[i], result[LANES + i] if n > 1 else 0,
                  result[2 * LANES + i] if n > 2 else 0, result[3 * LANES + i] if n > 3 else 0)


cdef inline real dot(Py_ssize_t depth, const real* a, Py_ssize_t a_column, const real* w, const real* bias) noexcept nogil:
    cdef real sum = bias[0] if bias != NULL else 0
    cdef Py_ssize_t k
    for k in range(depth):
        sum = real_fma(a[k * a_column], w[k], sum)
    return sum


cdef inline void dot_eight(Py_ssize_t rows, Py_ssize_t depth, const real* a, Py_ssize_t a_row, Py_ssize_t a_column,
                           const real* w, const real* bias, real* c, Py_ssize_t ldc) noexcept nogil:
    """`dot` of up to eight rows, whose chains run side by side."""
    cdef const real* row[8]
    cdef real sum[8]
    cdef Py_ssize_t k
    cdef int i
    for i in range(8):
        row[i] = a + min(<Py_ssize_t>i, rows - 1) * a_row
        sum[i] = bias[0] if bias != NULL else 0
    for k in range(depth):
        for i in range(8):
            sum[i] = real_fma(row[i][k * a_column], w[k], sum[i])
    for i in range(<int>rows):
        c[i * ldc] = sum[i]


cdef inline void dot_rows(Py_ssize_t rows, Py_ssize_t n, Py_ssize_t depth, const real* a, Py_ssize_t a_row,
                          Py_ssize_t a_column, const real* w, Py_ssize_t ldw, const real* bias, real* c,
                          Py_ssize_t ldc) noexcept nogil:
    """The same for any number of rows."""
    cdef const real* bias1 = bias + 1 if bias != NULL else NULL
    cdef const real* bias2 = bias + 2 if bias != NULL else NULL
    cdef const real* bias3 = bias + 3 if bias != NULL else NULL
    cdef Py_ssize_t i, o, together
    while rows > 1:
        together = min(rows, <Py_ssize_t>8)
        for i in range(together):
            store_row(c + i * ldc, 0, 0, 0, 0)
        for o in range(n):
            dot_eight(together, depth, a, a_row, a_column, w + o * ldw, bias + o if bias != NULL else NULL, c + o, ldc)
        a += together * a_row
        c += together * ldc
        rows -= together
    if rows:
        store_row(c, dot(depth, a, a_column, w, bias), dot(depth, a, a_column, w + ldw, bias1) if n > 1 else 0,
                  dot(depth, a, a_column, w + 2 * ldw, bias2) if n > 2 else 0,
                  dot(depth, a, a_column, w + 3 * ldw, bias3) if n > 3 else 0)


cdef void dot_pair(Py_ssize_t m, Py_ssize_t n, Py_ssize_t depth, const real* a, Py_ssize_t a_row, Py_ssize_t a_column,
                   const real* w, Py_ssize_t ldw, const real* bias, real* c, Py_ssize_t ldc) noexcept nogil:
    """The same for one row or two: the chains of all outputs run side by side."""
    cdef const real* row[2]
    cdef const real* column[4]
    cdef real sum[8]
    cdef Py_ssize_t k, place
    cdef int i, o
    for i in range(2):
        row[i] = a + min(<Py_ssize_t>i, m - 1) * a_row
        for o in range(4):
            place = min(<Py_ssize_t>o, n - 1)
            column[o] = w + place * ldw
            sum[4 * i + o] = bias[place] if bias != NULL else 0
    for k in range(depth):
        for i in range(2):
            for o in range(4):
                sum[4 * i + o] = real_fma(row[i][k * a_column], column[o][k], sum[4 * i + o])
    for i in range(<int>m):
        store_row(c + i * ldc, sum[4 * i], sum[4 * i + 1], sum[4 * i + 2] if n > 2 else 0, sum[4 * i + 3] if n > 3 else 0)


cdef void dot_columns(Py_ssize_t m, Py_ssize_t n, Py_ssize_t depth, const real* a, Py_ssize_t a_row, Py_ssize_t a_column,
                      Py_ssize_t a_width, const real* w, Py_ssize_t ldw, const real* bias, real* c,
                      Py_ssize_t ldc) noexcept nogil:
    """c[i, o] = bias[o] + sum_k a[i, k] w[o, k] for the up to four outputs of a kernel stored by columns; the same chains.

    Shapes: a (m, depth) IN; w (n, depth) IN, rows `ldw` apart; c (m, BLOCK) OUT, rows `ldc` apart, zero beyond n; or of a
    single output numbers side by side, and up to BLOCK - 1 numbers behind them are lost.
    `a_width` numbers of a row of a may be read, `depth` or more.
    """
    cdef Py_ssize_t done = 0
    if a_column == 1 and m >= LANES and a_width >= LANES:
        while done < m:
            done = min(done, m - LANES)     # the last rows once more, where LANES does not divide their number
            if n == 1:
                dot_group(True, 1, LANES, 1, depth, a + done * a_row, a_row, a_width, w, ldw, bias, c + done * ldc, ldc)
            elif n == 2:
                dot_group(True, 2, LANES, 2, depth, a + done * a_row, a_row, a_width, w, ldw, bias, c + done * ldc, ldc)
            elif n == 3:
                dot_group(True, 3, LANES, 3, depth, a + done * a_row, a_row, a_width, w, ldw, bias, c + done * ldc, ldc)
            else:
                dot_group(True, 4, LANES, 4, depth, a + done * a_row, a_row, a_width, w, ldw, bias, c + done * ldc, ldc)
            done += LANES
    elif m <= 2 and n > 1:
        dot_pair(m, n, depth, a, a_row, a_column, w, ldw, bias, c, ldc)
    elif a_column == 1 and m * n > 8 and a_width >= LANES:
        dot_group(False, 4, m, n, depth, a, a_row, a_width, w, ldw, bias, c, ldc)
    else:
        dot_rows(m, n, depth, a, a_row, a_column, w, ldw, bias, c, ldc)

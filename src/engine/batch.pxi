# Columns brought to mean 0 and variance 1 over a batch.
#
# A column's mean and sum of squares are found for each tile, then put together tile after tile, in float64, by the calling
# thread (Chan, Golub and LeVeque).  Within a tile a sum over the rows is that of SUMS interleaved partial sums.  What is
# summed is the distance to the tile's first row, then to the mean: columns far from zero keep their digits.

cdef enum:
    SUMS = 4                # one chain alone would wait for its own last addition
    # The rows of ldw numbers that are kept of a batch at `statistics` among the activations (fastbp/plan/batch.py):
    KEPT_MEAN = 0           # rounded,
    KEPT_REST = 1           # and what that leaves of it
    KEPT_INVERSE = 2        # 1 / sqrt(variance + epsilon)
    KEPT_VARIANCE = 3
    KEPT_D = 4              # mean over the rows of the gradient by the result, before factor and offset,
    KEPT_ALONG = 5          # and of its product with the result
    KEPT_ROWS = 6
    # and behind them of each tile: first row, mean of the distances to it, sum of squares; then sums of those two products
    KEPT_ROWS_OF_A_TILE = 3


cdef inline real* kept_columns(Operation* op, RowTile* tile) noexcept nogil:
    return tile.activations + op.statistics


cdef inline real* columns_of_tile(Operation* op, RowTile* tile) noexcept nogil:
    return kept_columns(op, tile) + (KEPT_ROWS + KEPT_ROWS_OF_A_TILE * tile.index) * op.ldw


cdef inline const real* whole_rows(long long offset, long long ld, RowTile* tile, Py_ssize_t* row) noexcept nogil:
    """Rows of an operand in whole blocks, `row` (OUT) apart; those of the input have been gathered."""
    row[0] = ld
    if offset >= 0:
        return buffer(tile, offset, ld)
    row[0] = tile.x_row
    return tile.x


cdef inline vreal added(const vreal* sum) noexcept nogil:
    return (sum[0] + sum[1]) + (sum[2] + sum[3])


cdef void batch_statistics(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """First row, mean of the distances to it, and the sum of squares from that mean, of the tile's rows of a."""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t r, j, row
    cdef const real* x = whole_rows(op.a, op.lda, tile, &row)
    cdef real* to = columns_of_tile(op, tile)
    cdef vreal part = vset(<real>(1.0 / tile.rows)), first, mean, d
    cdef vreal sum[SUMS]
    cdef int v
    for j in range(op.ldw // LANES):
        first = vload(x)
        for v in range(SUMS):
            sum[v] = vset(0)
        for r in range(tile.rows // SUMS):
            for v in range(SUMS):
                sum[v] = sum[v] + (vload(x + (r * SUMS + v) * row) - first)
        for r in range(tile.rows // SUMS * SUMS, tile.rows):
            sum[0] = sum[0] + (vload(x + r * row) - first)
        mean = added(sum) * part
        for v in range(SUMS):
            sum[v] = vset(0)
        for r in range(tile.rows // SUMS):
            for v in range(SUMS):
                d = (vload(x + (r * SUMS + v) * row) - first) - mean
                sum[v] = vfma(d, d, sum[v])
        for r in range(tile.rows // SUMS * SUMS, tile.rows):
            d = (vload(x + r * row) - first) - mean
            sum[0] = vfma(d, d, sum[0])
        vstore(to, first)
        vstore(to + op.ldw, mean)
        vstore(to + 2 * op.ldw, added(sum))
        x += LANES
        to += LANES


cdef double finish_statistics(Operation* op, real* kept, Py_ssize_t rows, Py_ssize_t tile_rows) noexcept nogil:
    """Mean and variance of a batch from those of its tiles; 0, or nan where one is not finite."""
    cdef Py_ssize_t j, t, ld = op.ldw
    cdef const real* tile
    cdef double mean[BLOCK]
    cdef double squares[BLOCK]
    cdef double bad[BLOCK]
    cdef double seen, own, delta, variance
    cdef int i
    for i in range(BLOCK):
        bad[i] = 0
    for j in range(ld // BLOCK):
        tile = kept + KEPT_ROWS * ld
        seen = <double>min(tile_rows, rows)
        for i in range(BLOCK):
            mean[i] = <double>tile[i] + <double>tile[ld + i]
            squares[i] = tile[2 * ld + i]
        for t in range(1, pieces(rows, tile_rows)):
            tile += KEPT_ROWS_OF_A_TILE * ld
            own = <double>min(tile_rows, rows - t * tile_rows)
            for i in range(BLOCK):
                delta = (<double>tile[i] + <double>tile[ld + i]) - mean[i]
                mean[i] = mean[i] + delta * (own / (seen + own))
                squares[i] = squares[i] + (<double>tile[2 * ld + i] + delta * delta * (seen * own / (seen + own)))
            seen += own
        for i in range(BLOCK):
            variance = squares[i] / <double>rows
            kept[KEPT_MEAN * ld + i] = <real>mean[i]
            kept[KEPT_REST * ld + i] = <real>(mean[i] - <double>kept[KEPT_MEAN * ld + i])
            kept[KEPT_INVERSE * ld + i] = <real>(1 / sqrt(variance + op.level))
            kept[KEPT_VARIANCE * ld + i] = <real>variance
            bad[i] = bad[i] + (kept[KEPT_VARIANCE * ld + i] - kept[KEPT_VARIANCE * ld + i])
        kept += BLOCK
    for i in range(1, BLOCK):
        bad[0] += bad[i]
    return bad[0]


cdef inline void load_statistics(Operation* op, RowTile* tile, Weights* weights, Py_ssize_t at, vreal* mean, vreal* rest,
                                 vreal* inverse) noexcept nogil:
    """Those of LANES columns from `at` on: of the batch, or running ones."""
    cdef const real* own
    cdef real lane[LANES]
    cdef int i
    if op.statistics >= 0:
        own = kept_columns(op, tile) + at
        mean[0] = vload(own + KEPT_MEAN * op.ldw)
        rest[0] = vload(own + KEPT_REST * op.ldw)
        inverse[0] = vload(own + KEPT_INVERSE * op.ldw)
        return
    own = weights.w + op.moving + at
    for i in range(LANES):
        lane[i] = 1 / real_sqrt(own[op.ldw + i] + <real>op.level)
    mean[0] = vload(own)
    rest[0] = vset(0)
    inverse[0] = vload(lane)


cdef void batch_scale(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = f((a - mean) factor / sqrt(variance + level) + offset)"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t r, j, block, ld = op.ldc
    cdef real* z = buffer(tile, op.z if op.z >= 0 else op.c, ld)
    cdef const real* a = source_rows(op, tile, z)
    cdef vreal mean, rest, factor, offset
    for block in range(ld // LANES):
        j = block * LANES
        load_statistics(op, tile, weights, j, &mean, &rest, &factor)
        if op.w >= 0:
            factor = vload(weights.w + op.w + j) * factor
        offset = vload(weights.w + op.b + j) if op.b >= 0 else vset(0)
        for r in range(tile.rows):
            vstore(z + r * ld + j, vfma((vload(a + r * ld + j) - mean) - rest, factor, offset))
    activate_rows(bound, tile, z)


cdef inline void put_sum(vreal sum, int start, real* to) noexcept nogil:
    vstore(to, vload(to) + sum if start == START_C else sum)


cdef void batch_gradient(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """The gradients of offset and factor, sum_r dz[r, j] and sum_r dz[r, j] y[r, j], y being what was normalized; the
    tile's sums are kept.
    """
    cdef Operation* op = &bound.op
    cdef Py_ssize_t r, j, block, at, row
    cdef const real* x = whole_rows(op.a, op.lda, tile, &row)
    cdef const real* dz = buffer(tile, op.y, op.ldy)
    cdef vreal mean, rest, inverse, d, sum
    cdef vreal plain[SUMS]
    cdef vreal along[SUMS]
    cdef int v
    if start == START_ZERO:     # of the running statistics there is none
        memset(weights.gradient + op.moving, 0, 2 * op.ldw * sizeof(real))
    for block in range(op.ldw // LANES):
        j = block * LANES
        load_statistics(op, tile, weights, j, &mean, &rest, &inverse)
        for v in range(SUMS):
            plain[v] = along[v] = vset(0)
        for r in range(tile.rows // SUMS):
            for v in range(SUMS):
                at = r * SUMS + v
                d = vload(dz + at * op.ldy + j)
                plain[v] = plain[v] + d
                along[v] = vfma(d, (vload(x + at * row + j) - mean) - rest, along[v])
        for at in range(tile.rows // SUMS * SUMS, tile.rows):
            d = vload(dz + at * op.ldy + j)
            plain[0] = plain[0] + d
            along[0] = vfma(d, (vload(x + at * row + j) - mean) - rest, along[0])
        d = added(plain)
        sum = added(along) * inverse
        if op.b >= 0:
            put_sum(d, start, weights.gradient + op.b + j)
        if op.c >= 0:
            put_sum(sum, start, weights.gradient + op.c + j)
        if op.statistics >= 0:
            vstore(columns_of_tile(op, tile) + j, d)
            vstore(columns_of_tile(op, tile) + op.ldw + j, sum)


cdef void finish_sums(Operation* op, real* kept, Py_ssize_t rows, Py_ssize_t tile_rows) noexcept nogil:
    """The two means over a batch from the sums of its tiles."""
    cdef Py_ssize_t t, j, ld = op.ldw
    cdef const real* tile
    cdef double sum[BLOCK]
    cdef int i
    for j in range(2 * ld // BLOCK):     # the two lie side by side, here as there
        tile = kept + KEPT_ROWS * ld + j * BLOCK
        for i in range(BLOCK):
            sum[i] = tile[i]
        for t in range(1, pieces(rows, tile_rows)):
            tile += KEPT_ROWS_OF_A_TILE * ld
            for i in range(BLOCK):
                sum[i] = sum[i] + <double>tile[i]
        for i in range(BLOCK):
            kept[KEPT_D * ld + j * BLOCK + i] = <real>(sum[i] / <double>rows)


cdef void batch_input(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = or += factor / sqrt(variance + level) (a - mean(a) - y mean(a y)), y being what was normalized"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t r, j, block, row, ld = op.ldc
    cdef const real* x = whole_rows(op.y, op.ldy, tile, &row)
    cdef const real* a = buffer(tile, op.a, ld)
    cdef real* c = buffer(tile, op.c, ld)
    cdef vreal mean, rest, inverse, factor, d, mean_d = vset(0), along = vset(0)
    for block in range(ld // LANES):
        j = block * LANES
        load_statistics(op, tile, weights, j, &mean, &rest, &inverse)
        factor = vload(weights.w + op.w + j) * inverse if op.w >= 0 else inverse
        if op.statistics >= 0:
            mean_d = vload(kept_columns(op, tile) + KEPT_D * ld + j)
            along = vset(0) - vload(kept_columns(op, tile) + KEPT_ALONG * ld + j) * inverse
        for r in range(tile.rows):
            d = vload(a + r * ld + j)
            if op.statistics >= 0:
                d = vfma((vload(x + r * row + j) - mean) - rest, along, d - mean_d)
            if op.accumulate:
                vstore(c + r * ld + j, vfma(d, factor, vload(c + r * ld + j)))
            else:
                vstore(c + r * ld + j, d * factor)


cdef void move(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """The running mean and variance = level times themselves + (1 - level) times those of the batch"""
    cdef Operation* op = &bound.op
    cdef const real* kept = kept_columns(op, tile)
    cdef real* mean = weights.w + op.moving
    cdef real* variance = mean + op.ldw
    cdef double part = 1 - op.level
    cdef Py_ssize_t j
    for j in range(op.n_c):
        mean[j] = <real>(op.level * mean[j] + part * (<double>kept[KEPT_MEAN * op.ldw + j] + <double>kept[op.ldw + j]))
        variance[j] = <real>(op.level * variance[j] + part * <double>kept[KEPT_VARIANCE * op.ldw + j])

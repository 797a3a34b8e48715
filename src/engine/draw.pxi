# Operations that draw random numbers, into rows that the way back reads too: where nothing is to be random, 1 or 0.

cdef inline void draw_tile(draw_kernel kernel, real neutral, Operation* op, RowTile* tile, real* out) noexcept nogil:
    """The numbers of the tile's rows."""
    cdef Py_ssize_t r, j
    if tile.draw.is_on:
        draw_rows(kernel, op.level, &tile.draw, <unsigned int>op.stream, tile.rows, op.n_c, out, op.ldc)
        return
    for r in range(tile.rows):
        for j in range(op.ldc):
            out[r * op.ldc + j] = neutral if j < op.n_c else 0


cdef inline void draw_lanes(draw_kernel kernel, real neutral, Operation* op, RowTile* tile) noexcept nogil:
    """The same with the rows in the lanes, by way of rows; zeros beyond them."""
    cdef real* staged = tile.activations + tile.staging
    draw_tile(kernel, neutral, op, tile, staged)
    memset(staged + tile.rows * op.ldc, 0, (tile.lanes - tile.rows) * op.ldc * sizeof(real))
    transpose(tile.lanes, op.n_c, staged, op.ldc, tile.activations + op.c, tile.lane_length)


cdef void drop(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = 0 or 1 / (1 - rate)"""
    draw_tile(keep_or_drop, 1, &bound.op, tile, buffer(tile, bound.op.c, bound.op.ldc))


cdef void lane_drop(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = 0 or 1 / (1 - rate)"""
    draw_lanes(keep_or_drop, 1, &bound.op, tile)


cdef void noise(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = normal numbers"""
    draw_tile(normal_numbers, 0, &bound.op, tile, buffer(tile, bound.op.c, bound.op.ldc))


cdef void lane_noise(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = normal numbers"""
    draw_lanes(normal_numbers, 0, &bound.op, tile)

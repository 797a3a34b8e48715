# The passes beside training: forward over all rows for predictions and losses, and the parts of a step one by one.

cdef void forward_units(Engine engine, Call* call, int thread, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Tiles begin..end of `predict` or `evaluate`."""
    cdef RowTile tile
    cdef Weights weights
    cdef Py_ssize_t index
    tile.first = 0
    tile.activations = engine.activations + thread * engine.arena.activation_stride
    tile.packing = packing_of(engine, thread)
    weights.w = engine.w
    weights.transposes = engine.transposes
    weights.gradient = NULL
    for index in range(begin, end):
        if flag_load(&call.status) != RUNNING:
            return
        tile.rows = min(engine.sizes.tile_rows, call.n_rows - index * engine.sizes.tile_rows)
        bind_rows(engine, call, &tile, NULL, index * engine.sizes.tile_rows)
        run_program(&engine.forward_program, &tile, &weights, START_ZERO)
        if call.kind == PREDICT:
            respond(engine, &tile, index * engine.sizes.tile_rows)
        else:
            engine.tile_loss[index] = loss_of_tile(engine, call, &tile, NULL, index * engine.sizes.tile_rows, 0)
        if thread == 0:
            poll(engine, call, tile.rows)


cdef void respond(Engine engine, RowTile* tile, Py_ssize_t first) noexcept nogil:
    """The tile's outputs on the response scale, into the caller's array."""
    cdef Py_ssize_t r, n = engine.sizes.n_outputs, ld = engine.sizes.ld_output
    cdef real* out = buffer(tile, engine.sizes.output, ld)
    engine.transform.forward(engine.transform.alpha, tile.rows, n, ld, out, out)
    for r in range(tile.rows):
        memcpy(engine.out + (first + r) * engine.ld_out, out + r * ld, n * sizeof(real))


cdef void whole_batch_tile(Engine engine, Call* call, Py_ssize_t index, RowTile* tile, Weights* weights) noexcept nogil:
    """RowTile `index` of a plan that keeps the activations of all rows."""
    tile.first = index * engine.sizes.tile_rows
    tile.rows = min(engine.sizes.tile_rows, call.n_rows - tile.first)
    tile.activations = engine.activations
    tile.packing = packing_of(engine, 0)
    tile.x = buffer(tile, engine.sizes.input, engine.sizes.ld_input)
    tile.x_row = tile.x_width = engine.sizes.ld_input
    tile.x_column = 1
    weights.w = engine.w
    weights.transposes = engine.transposes
    weights.gradient = engine.gradient


cdef void forward_rows(Engine engine, Call* call) noexcept nogil:
    cdef RowTile tile
    cdef Weights weights
    cdef Py_ssize_t index
    cdef unsigned long mode = float_mode_flush()
    for index in range((call.n_rows + engine.sizes.tile_rows - 1) // engine.sizes.tile_rows):
        whole_batch_tile(engine, call, index, &tile, &weights)
        gather(tile.rows, engine.sizes.n_features, NULL, call.x + tile.first * call.x_row, call.x_row, call.x_column,
               <real*>tile.x, engine.sizes.ld_input)
        run_program(&engine.forward_program, &tile, &weights, START_ZERO)
    float_mode_restore(mode)


cdef double loss_rows(Engine engine, Call* call) noexcept nogil:
    cdef RowTile tile
    cdef Weights weights
    cdef Py_ssize_t index
    cdef double total = 0, mean = 1.0 / (<double>call.n_rows * engine.sizes.loss_divisor)
    cdef unsigned long mode = float_mode_flush()
    for index in range((call.n_rows + engine.sizes.tile_rows - 1) // engine.sizes.tile_rows):
        whole_batch_tile(engine, call, index, &tile, &weights)
        total += loss_of_tile(engine, call, &tile, NULL, tile.first, <real>mean)
    float_mode_restore(mode)
    return total * mean


cdef void backward_rows(Engine engine, Call* call) noexcept nogil:
    cdef RowTile tile
    cdef Weights weights
    cdef Py_ssize_t index
    cdef unsigned long mode = float_mode_flush()
    for index in range((call.n_rows + engine.sizes.tile_rows - 1) // engine.sizes.tile_rows):
        whole_batch_tile(engine, call, index, &tile, &weights)
        run_program(&engine.backward_program, &tile, &weights, START_C if index else START_ZERO)
    float_mode_restore(mode)

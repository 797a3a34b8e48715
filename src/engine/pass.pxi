# The passes beside training: forward over all rows for predictions and losses, and the parts of a step one by one.

cdef void forward_units(Engine engine, Call* call, int thread, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Units begin..end of `predict` or `evaluate`: tiles, for `predict` of equal height to within one row."""
    cdef RowTile tile
    cdef Weights weights
    cdef Py_ssize_t index, first
    tile.first = 0
    tile.activations = engine.activations + thread * engine.arena.activation_stride
    tile.packing = packing_of(engine, thread)
    tile.weight = engine.weight_room + thread * engine.weight_stride
    weights.w = engine.w
    weights.transposes = engine.transposes
    weights.gradient = NULL
    for index in range(begin, end):
        if flag_load(&call.status) != RUNNING:
            return
        if call.kind == PREDICT:
            first = call.n_rows * index // call.n_units
            tile.rows = call.n_rows * (index + 1) // call.n_units - first
        else:
            first = index * engine.sizes.tile_rows
            tile.rows = min(engine.sizes.tile_rows, call.n_rows - first)
        # here and not before, so that rows from beyond the second-level cache are read once for both
        if call.checks_finite and not tile_is_valid(engine, call, first, tile.rows):
            flag_store(&call.status, NOT_FINITE)
            return
        bind_rows(engine, call, &tile, NULL, first)
        run_program(&engine.forward_program, &tile, &weights, START_ZERO)
        if call.kind == PREDICT and engine.n_heads > 0:
            respond_heads(engine, &tile, first)
        elif call.kind == PREDICT:
            respond(engine, &tile, first)
        else:
            tile.metric = engine.tile_metric + index * engine.most_metrics
            engine.tile_loss[index] = loss_of_tile(engine, call, &tile, engine.ld_output, NULL, first, 1)
        if thread == 0:
            poll(engine, call, tile.rows)


cdef bint tile_is_valid(Engine engine, Call* call, Py_ssize_t first, Py_ssize_t n_rows) noexcept nogil:
    """Whether all numbers are finite, and those of categorical columns categories."""
    cdef Rows rows
    rows.at = <const char*>(call.x + first * call.x_row)
    rows.n_rows = n_rows
    rows.n_columns = engine.sizes.n_features
    rows.row = call.x_row * <Py_ssize_t>sizeof(real)
    rows.column = call.x_column * <Py_ssize_t>sizeof(real)
    return scan(&rows) < 0 and (engine.n_categorical == 0 or
                                unknown_place(&rows, engine.n_categorical, engine.categories) < 0)


cdef void respond(Engine engine, RowTile* tile, Py_ssize_t first) noexcept nogil:
    """The tile's outputs on the response scale, into the caller's array.

    A row is copied in whole blocks, of which the next one overwrites the padding, but for the last rows.
    """
    cdef Py_ssize_t r, j, n = engine.sizes.n_outputs, ld = engine.sizes.ld_output
    cdef Py_ssize_t blocks = (n + BLOCK - 1) // BLOCK, room = tile.rows * engine.ld_out
    cdef real* z = buffer(tile, engine.sizes.output, ld)
    cdef real* out = engine.out + first * engine.ld_out
    engine.transform.forward(engine.transform.alpha, tile.rows, n, ld, z, z)
    for r in range(tile.rows):
        if room >= blocks * BLOCK:
            for j in range(blocks):
                copy(BLOCK, z + j * BLOCK, out + j * BLOCK)
        else:
            memcpy(out, z, n * sizeof(real))
        z += ld
        out += engine.ld_out
        room -= engine.ld_out


cdef void whole_batch_tile(Engine engine, Call* call, Py_ssize_t index, RowTile* tile, Weights* weights) noexcept nogil:
    """RowTile `index` of a plan that keeps the activations of all rows."""
    tile.first = index * engine.sizes.tile_rows
    tile.index = index
    tile.rows = min(engine.sizes.tile_rows, call.n_rows - tile.first)
    tile.activations = engine.activations
    tile.packing = packing_of(engine, 0)
    tile.weight = engine.weight_room
    tile.metric = engine.tile_metric
    tile.draw = engine.draw
    tile.draw.row += tile.first
    bind_gathered(engine, tile)
    weights.w = engine.w
    weights.transposes = engine.transposes
    weights.gradient = engine.gradient


cdef void forward_rows(Engine engine, Call* call) noexcept nogil:
    cdef RowTile tile
    cdef Weights weights
    cdef Py_ssize_t index, stage
    cdef unsigned long mode = float_mode_flush()
    for stage in range(engine.loss_stage + 1):
        for index in range(pieces(call.n_rows, engine.sizes.tile_rows)):
            whole_batch_tile(engine, call, index, &tile, &weights)
            if stage == 0:
                gather(tile.rows, engine.sizes.n_features, NULL, call.x + tile.first * call.x_row, call.x_row,
                       call.x_column, <real*>tile.x, engine.sizes.ld_input)
            run_program(&engine.stages[stage].forward, &tile, &weights, START_ZERO)
        if stage < engine.loss_stage:
            end_stage(engine, stage, call.n_rows)
    run_moving(engine)
    float_mode_restore(mode)


cdef double loss_rows(Engine engine, Call* call) noexcept nogil:
    cdef RowTile tile
    cdef Weights weights
    cdef Py_ssize_t index
    cdef double total = 0, mean = mean_factor(engine, call, NULL, 0, call.n_rows)
    cdef unsigned long mode = float_mode_flush()
    for index in range((call.n_rows + engine.sizes.tile_rows - 1) // engine.sizes.tile_rows):
        whole_batch_tile(engine, call, index, &tile, &weights)
        total += loss_of_tile(engine, call, &tile, engine.ld_output, NULL, tile.first, <real>mean)
    float_mode_restore(mode)
    return total * mean


cdef void backward_rows(Engine engine, Call* call) noexcept nogil:
    cdef RowTile tile
    cdef Weights weights
    cdef Py_ssize_t index, stage
    cdef unsigned long mode = float_mode_flush()
    for stage in range(engine.loss_stage, engine.n_stages):
        for index in range(pieces(call.n_rows, engine.sizes.tile_rows)):
            whole_batch_tile(engine, call, index, &tile, &weights)
            run_program(&engine.stages[stage].backward, &tile, &weights, START_C if index else START_ZERO)
        if stage + 1 < engine.n_stages:
            end_stage(engine, stage, call.n_rows)
    float_mode_restore(mode)

# A step in stages: operations that go by statistics of a batch need all its rows to have come so far.
#
# A stage is a phase: the threads take row blocks, whose gradients are added in the update as without stages.  The first
# stages go forward, one takes the loss and begins the way back, the others end it.  The activations of all rows stay in
# memory.  Between two stages the calling thread puts together what the tiles have summed.

cdef struct Stage:
    Program forward
    Program backward


cdef inline Program part_of(Program* program, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Program part
    part.at = program.at + begin
    part.n = end - begin
    return part


cdef int find_stages(Engine engine) except -1:
    """Cut the programs of an engine behind the operations that sum over the rows of a batch."""
    cdef Program* forward = &engine.forward_program
    cdef Program* backward = &engine.backward_program
    cdef Py_ssize_t i, begin = 0, k = 0, n = 1
    for i in range(forward.n):
        n += forward.at[i].kernel == batch_statistics
    for i in range(backward.n):
        n += backward.at[i].kernel == batch_gradient
    engine.stages = <Stage*>engine.memory(n * sizeof(Stage), sizeof(void*))
    for i in range(forward.n):
        if forward.at[i].kernel == batch_statistics:
            engine.stages[k].forward = part_of(forward, begin, i + 1)
            begin = i + 1
            k += 1
    engine.stages[k].forward = part_of(forward, begin, forward.n)
    engine.loss_stage = k
    begin = 0
    for i in range(backward.n - 1):
        if backward.at[i].kernel == batch_gradient and backward.at[i].op.statistics >= 0:
            engine.stages[k].backward = part_of(backward, begin, i + 1)
            begin = i + 1
            k += 1
    engine.stages[k].backward = part_of(backward, begin, backward.n)
    engine.n_stages = k + 1
    return 0


cdef double end_stage(Engine engine, Py_ssize_t index, Py_ssize_t rows) noexcept nogil:
    """Put together what the tiles have summed in a stage that is not the last; 0, or nan where a statistic is not finite."""
    cdef Program* program = &engine.stages[index].forward
    cdef Operation* op
    if index >= engine.loss_stage:
        program = &engine.stages[index].backward
    op = &program.at[program.n - 1].op
    if index < engine.loss_stage:
        return finish_statistics(op, engine.activations + op.statistics, rows, engine.sizes.tile_rows)
    finish_sums(op, engine.activations + op.statistics, rows, engine.sizes.tile_rows)
    return 0


cdef void run_stages(Engine engine, Call* call) noexcept nogil:
    """All but the update of a step; a loss that is nan where a statistic is not finite, which an activation may hide."""
    cdef double bad = 0
    for call.stage in range(engine.n_stages):
        run_phase(engine, call, STAGE, pieces(call.step.rows, engine.sizes.block_rows), 1)
        if call.status != RUNNING:
            return
        if call.stage + 1 < engine.n_stages:
            bad += end_stage(engine, call.stage, call.step.rows)
    engine.tile_loss[0] += bad


cdef void stage_units(Engine engine, Call* call, int thread, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Row blocks begin..end in the stage under way, tile after tile."""
    cdef RowTile tile
    cdef Weights weights
    cdef Step* step = &call.step
    cdef Stage* stage = &engine.stages[call.stage]
    cdef Py_ssize_t index, n_tiles = pieces(step.rows, engine.sizes.tile_rows)
    cdef const unsigned int* order
    cdef int start
    for index in range(begin * engine.block_tiles, min(end * engine.block_tiles, n_tiles)):
        if flag_load(&call.status) != RUNNING:
            return
        start = bind_tile(engine, call, thread, index, 1, &tile, &weights)
        order = step.order + tile.first if step.order != NULL else NULL
        if call.stage == 0:
            bind_rows(engine, call, &tile, order, step.first + tile.first)
        else:
            bind_gathered(engine, &tile)
        run_program(&stage.forward, &tile, &weights, start)
        if call.stage == engine.loss_stage:
            engine.tile_loss[index] = loss_of_tile(engine, call, &tile, engine.ld_output, order, step.first + tile.first,
                                                   step.scale)
            if thread == 0:
                poll(engine, call, tile.rows)
        run_program(&stage.backward, &tile, &weights, start)


cdef void run_moving(Engine engine) noexcept nogil:
    """What follows a batch without being trained."""
    cdef RowTile tile
    cdef Weights weights
    tile.activations = engine.activations
    weights.w = engine.w
    run_program(&engine.moving_program, &tile, &weights, START_ZERO)

# The training loop: whole epochs without the GIL.
#
# A step has two phases.  Rows: forward, loss and backward, one row tile after another.  Update: of the parameters.  Two
# regimes, chosen by the plan from sizes alone:
#   data-parallel    a thread takes whole row blocks, each of which sums its own gradient; the update adds them in order;
#                    where layers need statistics of the batch, the rows take several phases (stage.pxi);
#   weight-parallel  a thread takes row tiles, and in the update a slice of a kernel, whose gradient over all rows goes
#                    straight into the optimizer; a chain of layers is layered (layered.pxi): after the rows have gone
#                    forward, a phase for each layer takes its backward pass and its update together.
# Neither the order of a sum nor the block it belongs to depends on the number of threads.

cdef enum:
    RUNNING = 0
    INTERRUPTED = 1
    DIVERGED = 2
    NOT_FINITE = 3      # of the input of a prediction
    STOPPED = 4         # early

# In the weight-parallel regime a thread takes up to TOGETHER_ROWS rows together: every panel of a kernel comes from the
# third-level cache once for all of them.  1024-1024-1024-1024 at batch 512 in milliseconds: 45.2 with 128 rows, 41.7 with
# 256, 41.3 with 512; seven layers of 500 at batch 192: 9.6 with 96 rows, 9.0 with 192.
cdef enum:
    TOGETHER_ROWS = 512
    KEPT_AT_ONCE = 4096     # numbers: with their optimizer state within a second-level cache

# What a tile costs beside its arithmetic, and the estimated work between two looks for Ctrl-C: each takes the GIL, for
# which a busy Python thread can let it wait 5 ms.
cdef extern from *:
    """
    #define SECONDS_PER_TILE 2e-7
    #define SECONDS_PER_CHECK 1e-2
    """
    const double SECONDS_PER_TILE
    const double SECONDS_PER_CHECK


cdef inline bint is_finite(double x) noexcept nogil:
    return x - x == 0


cdef bint all_finite(Py_ssize_t n, const real* x) noexcept nogil:
    """x - x is 0 for a finite number and nan for any other, and nan stays in a sum"""
    cdef vreal sum[4]   # one alone would wait for its own last addition
    cdef vreal part
    cdef real lane[LANES]
    cdef Py_ssize_t i, groups = n // (4 * LANES), vectors = n // LANES
    cdef int v, bad = 0
    for v in range(4):
        sum[v] = vset(0)
    for i in range(groups):
        for v in range(4):
            part = vload(x + (4 * i + v) * LANES)
            sum[v] = sum[v] + (part - part)
    for i in range(4 * groups, vectors):
        part = vload(x + i * LANES)
        sum[0] = sum[0] + (part - part)
    vstore(lane, (sum[0] + sum[1]) + (sum[2] + sum[3]))
    for v in range(LANES):
        bad |= lane[v] != 0
    for i in range(vectors * LANES, n):
        bad |= x[i] - x[i] != 0
    return bad == 0


cdef double loss_of_tile(Engine engine, Call* call, RowTile* tile, Py_ssize_t ld, const unsigned int* order,
                         Py_ssize_t first, real scale) noexcept nogil:
    """The sum of the losses of the tile's rows; their gradient times `scale` goes where the backward pass begins.

    Outputs and gradients lie `ld` apart from row to row.
    """
    cdef LossRows rows
    cdef double loss
    if engine.n_heads > 0:
        return loss_of_heads(engine, call, tile, order, first, scale)
    bind_targets(engine, call, tile, order, first, scale, &rows)
    rows.ld = ld
    rows.out = buffer(tile, engine.sizes.output, ld)
    rows.d = buffer(tile, engine.sizes.output_gradient, ld)
    if call.weight != NULL:
        gather_weights(engine, call, tile, order, first, &rows)
    loss = engine.loss(&rows)
    measure_tile(call, tile, &rows, first, rows.ld, 1)
    return loss


cdef inline void measure_tile(Call* call, RowTile* tile, LossRows* rows, Py_ssize_t first, Py_ssize_t row,
                              Py_ssize_t column) noexcept nogil:
    """The tile's sums of metrics, and a copy of its outputs, which lie `row` and `column` apart."""
    cdef int m
    for m in range(call.n_metrics):
        tile.metric[m] = call.metric[m].kernel(rows, row, column)
    if call.outputs != NULL:
        keep_outputs(call.outputs, rows.n, rows, first, row, column)


cdef void keep_outputs(real* to, Py_ssize_t ld, LossRows* rows, Py_ssize_t first, Py_ssize_t row,
                       Py_ssize_t column) noexcept nogil:
    """to[order[r]] = out[r], `first + r` where there is no order; rows of `ld` numbers"""
    cdef Py_ssize_t r, j, at
    for r in range(rows.rows):
        at = rows.order[r] if rows.order != NULL else first + r
        for j in range(rows.n):
            to[at * ld + j] = rows.out[r * row + j * column]


cdef void gather_weights(Engine engine, Call* call, RowTile* tile, const unsigned int* order, Py_ssize_t first,
                         LossRows* rows) noexcept nogil:
    """The weights of the tile's elements as its outputs lie, or of its rows for the cross-entropy."""
    cdef const real* given = call.weight + (0 if order != NULL else first) * call.weight_row
    rows.weight = tile.weight
    if rows.is_by_row:
        gather(tile.rows, 1, order, given, call.weight_row, call.weight_column, tile.weight, 1)
    elif engine.sizes.rows_in_lanes:
        gather_lanes(tile.rows, rows.n_targets, order, given, call.weight_row, call.weight_column, 0, tile.weight,
                     tile.lane_length)
    else:
        gather(tile.rows, rows.n_targets, order, given, call.weight_row, call.weight_column, tile.weight, rows.ld)


cdef inline void place_targets(const Targets* targets, Py_ssize_t shift, LossRows* rows) noexcept nogil:
    """The targets from row `shift` on."""
    rows.label = targets.label
    rows.y = targets.y
    if targets.label != NULL:
        rows.label += shift * targets.label_step
    else:
        rows.y += shift * targets.y_row
    rows.label_step = targets.label_step
    rows.y_row = targets.y_row
    rows.y_column = targets.y_column


cdef inline void bind_targets(Engine engine, Call* call, RowTile* tile, const unsigned int* order, Py_ssize_t first,
                              real scale, LossRows* rows) noexcept nogil:
    """The tile's targets, and what a loss needs beside them and its outputs."""
    cdef Py_ssize_t shift = 0 if order != NULL else first
    rows.rows = tile.rows
    rows.n = engine.sizes.n_outputs
    place_targets(&call.targets, shift, rows)
    rows.order = order
    rows.weight = NULL
    rows.n_targets = engine.n_targets
    rows.column = engine.loss_column
    rows.is_by_row = engine.is_loss_of_rows
    rows.scale = scale
    rows.parameters = engine.loss_parameters


cdef inline Packing packing_of(Engine engine, int thread) noexcept nogil:
    """A thread's memory for copies of parts of factors."""
    cdef Packing found
    found.at = engine.packing + thread * engine.arena.packing_stride
    found.panel_depth = engine.sizes.panel_depth
    found.block = engine.sizes.packed_block
    found.from_numbers = engine.sizes.packed_from
    return found


cdef void row_units(Engine engine, Call* call, int thread, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Units of the first phase: weight-parallel, tiles, taken together; data-parallel, blocks, tile after tile."""
    cdef Py_ssize_t index, n_tiles
    if engine.sizes.weight_parallel:
        rows_of_tiles(engine, call, thread, begin, end - begin)
        return
    n_tiles = pieces(call.step.rows, engine.sizes.tile_rows)
    for index in range(begin * engine.block_tiles, min(end * engine.block_tiles, n_tiles)):
        rows_of_tiles(engine, call, thread, index, 1)


cdef inline int bind_tile(Engine engine, Call* call, int thread, Py_ssize_t index, Py_ssize_t count, RowTile* tile,
                          Weights* weights) noexcept nogil:
    """`count` tiles of the batch from `index` on as one (OUT), but for the input; how the sums of a gradient begin."""
    cdef Py_ssize_t begin = index * engine.sizes.tile_rows
    cdef Py_ssize_t block = begin // engine.sizes.block_rows if index else 0
    tile.rows = min(count * engine.sizes.tile_rows, call.step.rows - begin)
    tile.index = index
    tile.first = begin if engine.sizes.keeps_batch else 0
    tile.activations = engine.activations + (0 if engine.sizes.keeps_batch else thread * engine.arena.activation_stride)
    tile.packing = packing_of(engine, thread)
    tile.weight = engine.weight_room + thread * engine.weight_stride
    tile.metric = engine.tile_metric + index * engine.most_metrics
    tile.draw = engine.draw
    tile.draw.step += call.steps
    tile.draw.row += begin
    weights.w = engine.w
    weights.transposes = engine.transposes
    weights.gradient = engine.gradient + block * engine.n_parameters
    return START_C if begin > block * engine.sizes.block_rows else START_ZERO


cdef void rows_of_tiles(Engine engine, Call* call, int thread, Py_ssize_t index, Py_ssize_t count) noexcept nogil:
    """Forward, loss and backward of `count` tiles of the batch from `index` on.

    Several at once are one to all but the loss, whose sum is that of the tiles: its bits do not depend on who takes which.
    """
    cdef RowTile tile, part
    cdef Weights weights
    cdef Step* step = &call.step
    cdef Py_ssize_t begin = index * engine.sizes.tile_rows, first = step.first + begin, at, i
    cdef int start
    cdef const unsigned int* order = step.order + begin if step.order != NULL else NULL
    if flag_load(&call.status) != RUNNING:
        return
    start = bind_tile(engine, call, thread, index, count, &tile, &weights)
    if engine.sizes.rows_in_lanes:
        bind_lanes(engine, call, &tile, order, first)
        run_program(&engine.forward_program, &tile, &weights, start)
        engine.tile_loss[index] = loss_of_lanes(engine, call, &tile, order, first, step.scale)
        run_program(&engine.backward_program, &tile, &weights, start)
        if thread == 0:
            poll(engine, call, tile.rows)
        return
    bind_rows(engine, call, &tile, order, first)
    run_program(&engine.forward_program, &tile, &weights, start)
    part = tile
    for i in range(count):
        at = i * engine.sizes.tile_rows
        part.first = tile.first + at
        part.metric = tile.metric + i * engine.most_metrics
        part.rows = min(engine.sizes.tile_rows, tile.rows - at)
        engine.tile_loss[index + i] = loss_of_tile(engine, call, &part, engine.ld_output,
                                                   order + at if order != NULL else NULL, first + at, step.scale)
    if not engine.sizes.layered:
        run_program(&engine.backward_program, &tile, &weights, start)
    if thread == 0:
        poll(engine, call, tile.rows)


cdef void update_unit(Engine engine, Call* call, int thread, Py_ssize_t unit) noexcept nogil:
    """One unit of the second phase: a thread's share of all segments, or, weight-parallel, of one kernel."""
    if engine.sizes.weight_parallel:
        update_kernel(engine, call, thread, unit % engine.gradient_program.n,
                      <int>(unit // engine.gradient_program.n))
    else:
        update_segments(engine, <int>unit, call.n_threads, pieces(call.step.rows, engine.sizes.block_rows), call.step.scalar)


cdef void bind_batch(Engine engine, Call* call, int thread, RowTile* tile) noexcept nogil:
    """All rows of the step as one tile, after their activations have been computed."""
    cdef Step* step = &call.step
    tile.rows = step.rows
    tile.first = 0
    tile.activations = engine.activations
    tile.packing = packing_of(engine, thread)
    tile.x_column = 1
    if step.order == NULL and call.x_column == 1 and not engine.sizes.gathers:
        tile.x = call.x + step.first * call.x_row
        tile.x_row = call.x_row
    else:
        tile.x = engine.activations + engine.sizes.input
        tile.x_row = engine.sizes.ld_input


cdef void update_kernel(Engine engine, Call* call, int thread, Py_ssize_t index, int part) noexcept nogil:
    """Gradient and update of one slice of a kernel, a chunk of rows at a time while it is in cache; a bias goes with one."""
    cdef RowTile tile
    cdef BoundOperation* bound = &engine.gradient_program.at[index]
    cdef Operation* op = &bound.op
    cdef const Segment* segment = &engine.segments[op.kernel]
    cdef Py_ssize_t most = engine.sizes.chunk_rows, end
    cdef Py_ssize_t n = pieces(segment.rows, BLOCK)     # whole vectors, for the transposed copy
    cdef Py_ssize_t begin = share(n, part, call.n_threads) * BLOCK
    cdef Py_ssize_t stop = min(share(n, part + 1, call.n_threads) * BLOCK, segment.rows)
    cdef real* chunk = engine.chunk + thread * engine.arena.chunk_stride
    cdef BoundOperation* input = passing_on(engine, index) if engine.sizes.layered else NULL
    bind_batch(engine, call, thread, &tile)
    if input != NULL and (input.kernel != dense_turned or begin == stop):
        input = NULL
    if input != NULL and tile.rows >= TURNED_AT_ONCE and is_from_afar(&tile.packing, stop - begin, input.op.n_a):
        turned_columns(input, &tile, engine.w, begin, stop, NULL)
        input = NULL
    if input != NULL:
        most = engine.sizes.turned_rows
    while begin < stop:
        end = min(begin + most, stop)
        if input != NULL:
            turned_columns(input, &tile, engine.w, begin, end, chunk)
        bound.gradient(op, &tile, START_ZERO, begin, end, chunk, NULL)
        keep_and_step_range(engine, call, segment, segment.offset + begin * segment.ld,
                            (end - begin) * segment.ld, chunk)
        if segment.transpose >= 0:
            transpose_rows(engine, segment, begin, end)
        begin = end
    if op.bias >= 0 and part == index % call.n_threads:
        bound.gradient(op, &tile, START_ZERO, 0, 0, chunk, chunk)
        segment = &engine.segments[op.bias]
        keep_and_step_range(engine, call, segment, segment.offset, segment.ld, chunk)


cdef inline void poll(Engine engine, Call* call, Py_ssize_t rows) noexcept nogil:
    """Look for a pending Ctrl-C after every SECONDS_PER_CHECK of estimated work; thread 0 alone."""
    call.seconds_to_check -= rows * engine.sizes.seconds_per_row + SECONDS_PER_TILE
    if call.seconds_to_check <= 0:
        call.seconds_to_check = SECONDS_PER_CHECK
        check_signals(engine, call)


cdef void check_signals(Engine engine, Call* call) noexcept with gil:
    """Apart from `poll`, because a function that may take the GIL takes it whenever it is called.

    A handler is the host's Python code: it runs in the host's float mode.
    """
    float_mode_restore(call.host_mode)
    try:
        PyErr_CheckSignals()
    except BaseException as error:
        engine.pending = error
        flag_store(&call.status, INTERRUPTED)
    call.host_mode = float_mode_flush()


cdef inline double mean_factor(Engine engine, Call* call, const unsigned int* order, Py_ssize_t first,
                               Py_ssize_t rows) noexcept nogil:
    """What makes a mean of the sum of a batch's losses: 0 where its rows weigh nothing.  In `call`, what they weigh."""
    cdef Py_ssize_t r
    call.batch_weight = <double>rows
    if call.row_weight != NULL:
        call.batch_weight = 0
        for r in range(rows):
            call.batch_weight += call.row_weight[order[r] if order != NULL else first + r]
    if engine.has_penalties:
        engine.penalty_scale = 1.0 / call.batch_weight if call.batch_weight > 0 else 0
    if call.batch_weight == 0:
        return 0
    return 1.0 / (call.batch_weight * engine.sizes.loss_divisor)


cdef bint take_step(Engine engine, Call* call, const unsigned int* order, Py_ssize_t first, Py_ssize_t rows,
                    double* loss) noexcept nogil:
    """One optimizer step; False where the call was interrupted or the loss is not finite, with nothing updated."""
    cdef Step* step = &call.step
    cdef Py_ssize_t i, n_tiles
    cdef double mean, total = 0
    if rows <= engine.sizes.latency_rows:
        if engine.is_few:
            return few_step(engine, call, order, first, rows, loss)
        return latency_step(engine, call, order, first, rows, loss)
    mean = mean_factor(engine, call, order, first, rows)
    n_tiles = pieces(rows, engine.sizes.tile_rows)
    step.order = order
    step.first = first
    step.rows = rows
    step.scale = <real>mean
    if engine.sizes.staged:
        run_stages(engine, call)
    elif engine.sizes.weight_parallel:
        run_phase(engine, call, ROWS, n_tiles, max(<Py_ssize_t>1, TOGETHER_ROWS // engine.sizes.tile_rows))
    else:
        run_phase(engine, call, ROWS, pieces(rows, engine.sizes.block_rows), 1)
    if call.status != RUNNING:
        return False
    for i in range(n_tiles):
        total += engine.tile_loss[i]
    loss[0] = total * mean
    if not is_finite(loss[0]):
        return False
    if engine.sizes.staged:
        run_moving(engine)
    if engine.clips:
        run_phase(engine, call, CLIP, engine.clip.n_units, 1)
        find_clip_factors(engine)
    next_scalars(engine, engine.power, engine.power, step.scalar)
    if engine.sizes.layered:
        run_layers(engine, call)
        return True
    run_phase(engine, call, UPDATE, call.n_threads * (engine.gradient_program.n if engine.sizes.weight_parallel else 1), 1)
    return True

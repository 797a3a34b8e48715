# The training loop: whole epochs without the GIL, on as many threads as the caller brought.
#
# A step has two phases with a barrier after each.  Rows: forward, loss and backward, tile of rows by tile of rows.
# Parameters: the update.  Two regimes, chosen by the plan from sizes alone:
#   by rows        a thread takes whole blocks of rows and sums their gradient beside; the update adds the blocks in order;
#   by parameters  a thread takes an even share of the tiles of rows, and after the barrier a slice of every kernel, whose
#                  gradient over all rows goes straight into the optimizer.
# Neither the order of a sum nor the block it belongs to depends on the number of threads.

cdef enum:
    RUNNING = 0
    INTERRUPTED = 1
    DIVERGED = 2
    FAILED = 3

# A thread takes up to so many rows together where the regime is by parameters: every panel of a kernel comes from the
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

# The data and the progress of one call, shared by its threads.
cdef struct Call:
    const real* x
    Py_ssize_t x_row
    Py_ssize_t x_column
    const real* y
    Py_ssize_t y_row
    Py_ssize_t y_column
    const int* label
    Py_ssize_t n_rows
    Py_ssize_t batch_size
    const unsigned int* given        # explicit order of rows, or NULL
    const long long* limits         # and the first position of each batch in it
    Py_ssize_t n_batches
    unsigned int* order             # the epoch's order when shuffled, or NULL
    unsigned long long seed
    Py_ssize_t epochs
    Py_ssize_t first_epoch
    Py_ssize_t max_steps            # stop after so many, or -1
    bint guarded                    # keep and restore the state of the last good epoch
    bint keeps                      # the next update is the first after that state, and keeps what it overwrites
    double* losses                  # one an epoch (OUT)
    unsigned long host_mode         # the calling thread's float mode outside the engine
    int n_threads
    int started                     # 0 while the threads gather
    int finished                    # threads but the first that have left the call
    int status
    Py_ssize_t epoch                # where the call stands, or stopped
    Py_ssize_t batch
    Py_ssize_t steps
    double seconds_to_check
    barrier_t barrier


cdef inline Py_ssize_t share(Py_ssize_t n, int part, int parts) noexcept nogil:
    """Where part `part` of `parts` begins when n things are dealt out evenly."""
    return n * part // parts if parts > 1 else n * part


cdef inline Py_ssize_t pieces(Py_ssize_t n, Py_ssize_t size) noexcept nogil:
    """How many pieces of `size` n things make; a small step has one and is spared the division."""
    return 1 if n <= size else (n + size - 1) // size


cdef inline bint is_finite(double x) noexcept nogil:
    return x - x == 0


cdef bint all_finite(Py_ssize_t n, const real* x) noexcept nogil:
    """x - x is 0 for a finite number and nan for any other, and nan stays in a sum"""
    cdef real sum = 0
    cdef real part[BLOCK]
    cdef Py_ssize_t i, lane
    for lane in range(BLOCK):
        part[lane] = 0
    for i in range(n // BLOCK):
        for lane in range(BLOCK):
            part[lane] += x[i * BLOCK + lane] - x[i * BLOCK + lane]
    for i in range(n // BLOCK * BLOCK, n):
        sum += x[i] - x[i]
    for lane in range(BLOCK):
        sum += part[lane]
    return sum == 0


cdef double loss_of_tile(Engine engine, Call* call, Tile* tile, const unsigned int* order, Py_ssize_t first,
                         real scale, real* d) noexcept nogil:
    """The sum of the losses of the tile's rows; their gradient times `scale` in d."""
    cdef Py_ssize_t shift = 0 if order != NULL else first
    cdef Py_ssize_t n = engine.n_outputs, ld = engine.ld_output
    cdef const real* out = buffer(tile, engine.output, ld)
    if call.label != NULL:
        return cross_entropy_labels(scale, tile.rows, n, ld, out, call.label + shift, order, d)
    if engine.loss == CROSS_ENTROPY:
        return cross_entropy_rows(scale, tile.rows, n, ld, out, call.y + shift * call.y_row, call.y_row,
                                  call.y_column, order, d)
    return loss_forward_backward(engine.loss, <real>engine.delta, scale, tile.rows, n, ld, out,
                                 call.y + shift * call.y_row, call.y_row, call.y_column, order, d)


cdef void rows_of_tiles(Engine engine, Call* call, int thread, Py_ssize_t index, Py_ssize_t count,
                        const unsigned int* order, Py_ssize_t first, Py_ssize_t rows, real scale) noexcept nogil:
    """Forward, loss and backward of `count` tiles from `index` on, of a batch that begins at `order` or row `first`.

    Several at once are one to all but the loss, whose sum is that of the tiles: its bits do not depend on who takes which.
    """
    cdef Tile tile, part
    cdef Weights weights
    cdef Py_ssize_t begin = index * engine.tile_rows, at, i
    cdef Py_ssize_t block = begin // engine.block_rows if index else 0
    cdef int start = START_C if begin > block * engine.block_rows else START_ZERO
    cdef const unsigned int* tile_order = order + begin if order != NULL else NULL
    tile.rows = min(count * engine.tile_rows, rows - begin)
    tile.first = begin if engine.by_parameters else 0
    tile.activations = engine.activations + (0 if engine.by_parameters else thread * engine.activation_stride)
    weights.w = engine.w
    weights.copies = engine.copies
    weights.gradient = engine.gradient + block * engine.n_parameters
    bind_rows(engine, call, &tile, tile_order, first + begin)
    for i in range(engine.n_forward):
        run(&engine.forward_table[i], engine.forward_alpha[i], &tile, &weights, start)
    part = tile
    for i in range(count):
        at = i * engine.tile_rows
        part.first = tile.first + at
        part.rows = min(engine.tile_rows, tile.rows - at)
        engine.tile_loss[index + i] = loss_of_tile(engine, call, &part, tile_order + at if order != NULL else NULL,
                                                   first + begin + at, scale,
                                                   buffer(&part, engine.output_gradient, engine.ld_output))
    for i in range(engine.n_backward):
        run(&engine.backward_table[i], engine.backward_alpha[i], &tile, &weights, start)


cdef void update_segments(Engine engine, int thread, int n_threads, Py_ssize_t n_blocks, StepScalar* scalar) noexcept nogil:
    """The update of this thread's share of every segment, from the sum of the row blocks' gradients."""
    cdef Py_ssize_t i, begin, end, at, unit, n_units
    cdef Segment* segment
    for i in range(engine.n_segments):
        segment = &engine.segments[i]
        unit = BLOCK if segment.rows == 1 and segment.copy < 0 else segment.ld  # a copy is made of whole rows
        n_units = segment.rows * segment.ld // unit
        begin = share(n_units, thread, n_threads)
        end = share(n_units, thread + 1, n_threads)
        at = segment.offset + begin * unit
        if end > begin:
            block_sum((end - begin) * unit, engine.gradient + at, engine.n_parameters, n_blocks)
            step_range(engine, segment, i, at, (end - begin) * unit, engine.gradient + at, scalar)
            if segment.copy >= 0:
                copy_rows(engine, segment, begin, end)


cdef void step_range(Engine engine, Segment* segment, Py_ssize_t i, Py_ssize_t at, Py_ssize_t n, const real* g,
                     StepScalar* scalar) noexcept nogil:
    optimizer_step(n, scalar, <real>engine.l1[i], <real>engine.l2[i], segment.decays != 0, engine.w + at, g,
                   engine.state + at, engine.state + engine.n_parameters + at)


cdef void keep_and_step_range(Engine engine, Call* call, Segment* segment, Py_ssize_t i, Py_ssize_t at, Py_ssize_t n,
                              const real* g, StepScalar* scalar) noexcept nogil:
    """The same; where the epoch's first update overwrites the state to come back to, that is kept while it is in cache."""
    cdef Py_ssize_t done = 0, part = n
    while done < n:
        if call.keeps:
            part = min(n - done, <Py_ssize_t>KEPT_AT_ONCE)
            keep_range(engine, at + done, part)
        step_range(engine, segment, i, at + done, part, g + done, scalar)
        done += part


cdef void keep_range(Engine engine, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """The parameters and the optimizer state to come back to."""
    cdef Py_ssize_t i
    memcpy(engine.good + at, engine.w + at, n * sizeof(real))
    for i in range(engine.n_states):
        memcpy(engine.good + (i + 1) * engine.n_parameters + at, engine.state + i * engine.n_parameters + at,
               n * sizeof(real))


cdef void copy_rows(Engine engine, Segment* segment, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Stored rows begin..end of a kernel into its transposed copy."""
    transpose(end - begin, segment.columns, engine.w + segment.offset + begin * segment.ld, segment.ld,
              engine.copies + segment.copy + begin, segment.ld_copy)


cdef void update_by_parameters(Engine engine, Call* call, int thread, int n_threads, const unsigned int* order,
                               Py_ssize_t first, Py_ssize_t rows, StepScalar* scalar) noexcept nogil:
    """Gradient and update of this thread's slice of every kernel, a chunk of rows at a time while it is in cache."""
    cdef Tile tile
    cdef Operation* op
    cdef Segment* kernel
    cdef Py_ssize_t i, begin, end, stop
    cdef real* chunk = engine.chunk + thread * engine.chunk_stride
    tile.rows = rows
    tile.first = 0
    tile.activations = engine.activations
    tile.x_column = 1
    if order == NULL and call.x_column == 1 and not engine.gathers:
        tile.x = call.x + first * call.x_row
        tile.x_row = call.x_row
    else:
        tile.x = engine.activations + engine.input
        tile.x_row = engine.ld_input
    for i in range(engine.n_parameter):
        op = &engine.parameter_table[i]
        kernel = &engine.segments[op.kernel]
        begin = share(kernel.rows, thread, n_threads)
        stop = share(kernel.rows, thread + 1, n_threads)
        while begin < stop:
            end = min(begin + engine.chunk_rows, stop)
            dense_parameters(op, &tile, START_ZERO, begin, end, chunk, NULL)
            keep_and_step_range(engine, call, kernel, op.kernel, kernel.offset + begin * kernel.ld,
                                (end - begin) * kernel.ld, chunk, scalar)
            if kernel.copy >= 0:
                copy_rows(engine, kernel, begin, end)
            begin = end
        if op.bias >= 0 and thread == i % n_threads:
            dense_parameters(op, &tile, START_ZERO, 0, 0, chunk, chunk)
            kernel = &engine.segments[op.bias]
            keep_and_step_range(engine, call, kernel, op.bias, kernel.offset, kernel.ld, chunk, scalar)


cdef void row_phase(Engine engine, Call* call, int thread, const unsigned int* order, Py_ssize_t first,
                    Py_ssize_t rows, real scale) noexcept nogil:
    """This thread's tiles: whole blocks dealt in turn, or an even share of the tiles where the regime is by parameters."""
    cdef Py_ssize_t n_tiles = pieces(rows, engine.tile_rows)
    cdef Py_ssize_t index = 0, end = n_tiles, count = 1
    if engine.by_parameters:
        count = max(<Py_ssize_t>1, TOGETHER_ROWS // engine.tile_rows)
        index = share(n_tiles, thread, call.n_threads)
        end = share(n_tiles, thread + 1, call.n_threads)
        if thread == 0 and index == end:    # fewer tiles than threads: this one only waits, but it alone hears Ctrl-C
            poll(engine, call, rows)
    while index < end:
        if engine.by_parameters or call.n_threads == 1 or (
                index * engine.tile_rows // engine.block_rows) % call.n_threads == thread:
            count = min(count, end - index)
            rows_of_tiles(engine, call, thread, index, count, order, first, rows, scale)
            if thread == 0:
                poll(engine, call, min(count * engine.tile_rows, rows - index * engine.tile_rows))
            if flag_load(&call.status) != RUNNING:
                return
        index += count


cdef inline void poll(Engine engine, Call* call, Py_ssize_t rows) noexcept nogil:
    """Ask the interpreter for a pending Ctrl-C about every hundredth of a second of estimated work (thread 0 alone)."""
    call.seconds_to_check -= rows * engine.seconds_per_row + SECONDS_PER_TILE
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


cdef inline void meet(Call* call, int thread) noexcept nogil:
    """Wait for the other threads; a long wait counts as time since the last look for Ctrl-C."""
    if barrier_wait(&call.barrier, call.n_threads) and thread == 0:
        call.seconds_to_check = 0


cdef bint take_step(Engine engine, Call* call, int thread, const unsigned int* order, Py_ssize_t first, Py_ssize_t rows,
                    double* power, double* loss) noexcept nogil:
    """One optimizer step; False where the call was interrupted or the loss is not finite, with nothing updated.

    `power` (IN and OUT) holds beta1^t and beta2^t.  Every thread adds up the tiles' losses, so all decide alike.
    """
    cdef StepScalar scalar
    cdef Py_ssize_t i, n_tiles = pieces(rows, engine.tile_rows)
    cdef double mean, total = 0
    if rows <= engine.narrow_rows and call.n_threads == 1:
        return narrow_step(engine, call, order, first, rows, power, loss)
    mean = 1.0 / (<double>rows * engine.loss_divisor)
    row_phase(engine, call, thread, order, first, rows, <real>mean)
    meet(call, thread)
    if flag_load(&call.status) != RUNNING:
        return False
    for i in range(n_tiles):
        total += engine.tile_loss[i]
    loss[0] = total * mean
    if not is_finite(loss[0]):
        return False
    power[0] *= engine.hyper.beta1
    power[1] *= engine.hyper.beta2
    step_scalar(&engine.hyper, power, &scalar)
    if engine.by_parameters:
        update_by_parameters(engine, call, thread, call.n_threads, order, first, rows, &scalar)
    else:
        update_segments(engine, thread, call.n_threads, pieces(rows, engine.block_rows), &scalar)
    meet(call, thread)
    return True


cdef void begin_epoch(Engine engine, Call* call, int thread, double* power) noexcept nogil:
    """Keep the state to come back to, or have the first update do it, and draw the epoch's order (thread 0; others wait)."""
    if thread == 0:
        if call.guarded:
            call.keeps = engine.by_parameters
            if not call.keeps:
                keep_range(engine, 0, engine.n_parameters)
            engine.good_power[0] = power[0]
            engine.good_power[1] = power[1]
        if call.order != NULL:
            shuffle(call.n_rows, call.seed, call.first_epoch + call.epoch, call.order)
    barrier_wait(&call.barrier, call.n_threads)


cdef void restore_epoch(Engine engine, Call* call) noexcept nogil:
    if call.guarded and not call.keeps:     # else nothing has been updated
        memcpy(engine.w, engine.good, engine.n_parameters * sizeof(real))
        if engine.n_states > 0:
            memcpy(engine.state, engine.good + engine.n_parameters, engine.n_states * engine.n_parameters * sizeof(real))
        engine.power[0] = engine.good_power[0]
        engine.power[1] = engine.good_power[1]


cdef int train_epochs(Engine engine, Call* call, int thread) noexcept nogil:
    """What each thread runs; thread 0 keeps the account in `call`."""
    cdef double power[2]
    cdef double loss = 0, sum
    cdef Py_ssize_t epoch, batch, first, rows, seen, steps = 0
    cdef const unsigned int* order
    power[0] = engine.power[0]
    power[1] = engine.power[1]
    for epoch in range(call.epochs):
        begin_epoch(engine, call, thread, power)
        sum = 0
        seen = 0
        for batch in range(call.n_batches):
            if call.limits != NULL:
                first = call.limits[batch]
                rows = call.limits[batch + 1] - first
                order = call.given + first
            else:
                first = batch * call.batch_size
                rows = min(call.batch_size, call.n_rows - first)
                order = call.order + first if call.order != NULL else NULL
            if steps == call.max_steps:
                break
            if not take_step(engine, call, thread, order, first, rows, power, &loss):
                if thread == 0:
                    call.epoch = epoch
                    call.batch = batch
                    call.steps = steps
                    call.losses[epoch] = loss
                    engine.power[0] = power[0]
                    engine.power[1] = power[1]
                    if call.status == RUNNING:
                        call.status = DIVERGED
                return call.status
            if thread == 0:
                call.keeps = False
            sum += loss * rows
            seen += rows
            steps += 1
        if thread == 0:
            call.epoch = epoch + 1
            call.batch = 0
            call.steps = steps
            call.losses[epoch] = sum / seen if seen > 0 else 0
            engine.power[0] = power[0]
            engine.power[1] = power[1]
            if call.guarded and not all_finite(engine.n_parameters, engine.w):
                call.epoch = epoch
                call.batch = call.n_batches - 1
                flag_store(&call.status, DIVERGED)
        barrier_wait(&call.barrier, call.n_threads)
        if flag_load(&call.status) != RUNNING or steps == call.max_steps:
            break
    return call.status

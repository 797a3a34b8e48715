# Epochs of steps, and the state to come back to where one diverges: that of the end of the last good epoch.
#
# To keep it means to copy all parameters and their optimizer state, and to be sure that it is good to look at every
# parameter: 1.6 ms at 1024-1024-1024-1024, where a step on 16 rows takes 2.5.  So where epochs are short it is kept once in
# a while.  When something is not finite later on, the call goes back there and takes the same epochs again, keeping and
# checking every one: the same steps to the bit, until the same thing happens, with the right state to come back to.

# An epoch is kept when those since the last one come to so much: the rows of their steps, with ROWS_OF_A_STEP more for each,
# as a small step is mostly to read and write what would be copied.
cdef enum:
    KEPT_EVERY = 4096
    ROWS_OF_A_STEP = 64


cdef Py_ssize_t largest_batch(Call* call, Py_ssize_t n_rows) noexcept nogil:
    """The rows of the largest batch of a call on n_rows rows."""
    cdef Py_ssize_t batch, rows = 0
    if call.batch_offsets == NULL:
        return min(call.batch_size, n_rows)
    for batch in range(call.n_batches):
        rows = max(rows, call.batch_offsets[batch + 1] - call.batch_offsets[batch])
    return rows


cdef inline bint is_kept(Call* call) noexcept nogil:
    """Whether the state at the beginning of the epoch under way is to be kept."""
    return call.guarded and (call.epoch == 0 or call.careful or call.since_kept >= KEPT_EVERY)


cdef void begin_epoch(Engine engine, Call* call) noexcept nogil:
    """Keep the state to come back to, or have the first update do it, and draw the epoch's order."""
    if is_kept(call):
        call.keeps = engine.sizes.weight_parallel
        if not call.keeps:
            keep_range(engine, 0, engine.n_parameters)
        engine.last_good_power[0] = engine.power[0]
        engine.last_good_power[1] = engine.power[1]
        call.kept_epoch = call.epoch
        call.kept_steps = call.steps
        call.since_kept = 0
    if call.shuffled != NULL:
        shuffle(call.n_rows, call.seed, call.first_epoch + call.epoch, call.shuffled)


cdef void restore_epoch(Engine engine, Call* call) noexcept nogil:
    """The state that was kept last."""
    if call.guarded and not call.keeps:     # else nothing has been updated
        memcpy(engine.w, engine.last_good, engine.n_parameters * sizeof(real))
        if engine.sizes.n_states > 0:
            memcpy(engine.state, engine.last_good + engine.n_parameters,
                   engine.sizes.n_states * engine.n_parameters * sizeof(real))
        engine.power[0] = engine.last_good_power[0]
        engine.power[1] = engine.last_good_power[1]


cdef bint take_epoch(Engine engine, Call* call) noexcept nogil:
    """The steps of one epoch; False where the call was interrupted or something is not finite."""
    cdef double loss = 0, sum = 0
    cdef Py_ssize_t batch, first, rows, seen = 0
    cdef const unsigned int* order
    for batch in range(call.n_batches):
        if call.steps == call.max_steps:
            break
        if call.batch_offsets != NULL:
            first = call.batch_offsets[batch]
            rows = call.batch_offsets[batch + 1] - first
            order = call.batch_rows + first
        else:
            first = batch * call.batch_size
            rows = min(call.batch_size, call.n_rows - first)
            order = call.shuffled + first if call.shuffled != NULL else NULL
        if not take_step(engine, call, order, first, rows, &loss):
            call.batch = batch
            call.losses[call.epoch] = loss
            return False
        call.keeps = False
        call.steps += 1
        call.since_kept += rows + ROWS_OF_A_STEP
        sum += loss * rows
        seen += rows
    call.losses[call.epoch] = sum / seen if seen > 0 else 0
    call.epoch += 1
    if is_kept(call) or (call.guarded and is_over(call)):
        if not all_finite(engine.n_parameters, engine.w):
            call.epoch -= 1
            call.batch = call.n_batches - 1
            return False
    return True


cdef inline bint is_over(Call* call) noexcept nogil:
    return call.epoch == call.epochs or call.steps == call.max_steps


cdef void train_epochs(Engine engine, Call* call) noexcept nogil:
    """The whole of a training call; what it leaves in `call` and `engine.power` is the account of it."""
    while not is_over(call):
        begin_epoch(engine, call)
        if take_epoch(engine, call):
            continue
        if call.status != RUNNING:
            return
        if not call.guarded or call.kept_epoch == call.epoch:
            call.status = DIVERGED
            return
        restore_epoch(engine, call)
        engine.refresh()
        call.epoch = call.kept_epoch
        call.steps = call.kept_steps
        call.careful = True

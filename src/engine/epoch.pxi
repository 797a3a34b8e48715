# The epochs of a training call, batch after batch, and what is found after each of them without the interpreter: the mean
# loss, metrics of the batches' own outputs, the loss and the metrics of validation data, and whether to stop.
#
# Where a step diverges, the call comes back to the end of the last good epoch.  To keep that state means to copy all
# parameters and their optimizer state, and to be sure that it is good to look at every parameter: 1.6 ms at
# 1024-1024-1024-1024, where a step on 16 rows takes 2.5.  So where epochs are short it is kept once in a while.  When
# something is not finite later on, the call goes back there and takes the same epochs again, keeping and checking every one:
# the same steps to the bit, until the same thing happens, with the right state to come back to.

# An epoch is kept when those since the last one come to so much: the rows of their steps, with ROWS_OF_A_STEP more for each,
# as a small step is mostly to read and write what would be copied.
cdef enum:
    KEPT_EVERY = 4096
    ROWS_OF_A_STEP = 64

cdef extern from *:
    """
    #define LONGEST_VALIDATION 1e9
    """
    const double LONGEST_VALIDATION     # seconds without a look for Ctrl-C: until its end


cdef Py_ssize_t largest_batch(Call* call, Py_ssize_t n_rows) noexcept nogil:
    """The rows of the largest batch of a call on n_rows rows."""
    cdef Py_ssize_t batch, rows = 0
    if call.batch_offsets == NULL:
        return min(call.batch_size, n_rows)
    for batch in range(call.n_batches):
        rows = max(rows, call.batch_offsets[batch + 1] - call.batch_offsets[batch])
    return rows


cdef void train_epochs(Engine engine, Call* call, Engine validator) noexcept nogil:
    """The whole of a training call; what it leaves in `call` and `engine.power` is the account of it."""
    call.careful = call.watch != NULL or call.total != NULL     # these would count an epoch twice
    while call.epoch < call.epochs and call.steps != call.max_steps and call.status == RUNNING:
        begin_epoch(engine, call)
        if take_epoch(engine, call, validator):
            call.epoch += 1
            continue
        if call.status != RUNNING:
            return
        if not call.guarded or call.kept_epoch == call.epoch:
            call.status = DIVERGED
            return
        restore_epoch(engine, call)
        engine.refresh()
        call.batch = 0
        call.epoch = call.kept_epoch
        call.steps = call.kept_steps
        call.careful = True


cdef void begin_epoch(Engine engine, Call* call) noexcept nogil:
    """Keep the state to come back to, or have the first update do it, and draw the epoch's order."""
    if call.guarded and (call.epoch == 0 or call.careful or call.since_kept >= KEPT_EVERY):
        call.keeps = engine.sizes.weight_parallel
        if not call.keeps:
            keep_range(engine, 0, engine.n_parameters)
        memcpy(engine.last_good_power, engine.power, sizeof(engine.power))
        call.kept_epoch = call.epoch
        call.kept_steps = call.steps
        call.since_kept = 0
    if call.shuffled != NULL:
        shuffle(call.n_rows, call.seed, call.first_epoch + call.epoch, call.shuffled)
    memset(call.metric_sum, 0, call.n_metrics * sizeof(double))


cdef void restore_epoch(Engine engine, Call* call) noexcept nogil:
    """The state that was kept last."""
    if call.guarded and not call.keeps:     # else nothing has been updated
        memcpy(engine.w, engine.last_good, engine.n_parameters * sizeof(real))
        if engine.sizes.n_states > 0:
            memcpy(engine.state, engine.last_good + engine.n_parameters,
                   engine.sizes.n_states * engine.n_parameters * sizeof(real))
        memcpy(engine.power, engine.last_good_power, sizeof(engine.power))


cdef bint take_epoch(Engine engine, Call* call, Engine validator) noexcept nogil:
    """One epoch and its figures; False where the call was interrupted or something is not finite."""
    cdef double loss = 0, sum = 0, seen = 0, penalty = 0
    cdef Py_ssize_t batch, first = 0, rows
    cdef const unsigned int* order = NULL
    if call.total != NULL:
        sum = call.total[0]
        seen = call.total[1]
        memcpy(call.metric_sum, call.total + 2, call.n_metrics * sizeof(double))
    for batch in range(call.n_batches):
        if call.steps == call.max_steps:
            break
        rows = find_batch(call, batch, &first, &order)
        if call.rates != NULL:
            engine.number[engine.rate_index] = call.rates[call.steps]
        if engine.has_penalties:
            penalty = penalties(engine)
        if not take_step(engine, call, order, first, rows, &loss):
            call.batch = batch
            call.losses[call.epoch] = loss
            call.left_at[0] = sum
            call.left_at[1] = seen
            return False
        call.keeps = False
        call.steps += 1
        call.since_kept += rows + ROWS_OF_A_STEP
        sum += loss * call.batch_weight
        if engine.has_penalties and call.batch_weight > 0:
            sum += penalty
        seen += call.batch_weight
        if call.n_metrics > 0:
            add_metrics(engine, call, rows)
    call.losses[call.epoch] = sum / seen if seen > 0 else 0
    if call.total != NULL:
        call.total[0] = sum
        call.total[1] = seen
        memcpy(call.total + 2, call.metric_sum, call.n_metrics * sizeof(double))
    if is_checked(call) and not all_finite(engine.n_parameters, engine.w):
        call.batch = call.n_batches - 1
        return False
    if call.record != NULL:
        record_epoch(engine, call, validator, seen)
    if call.watch != NULL:
        watch_epoch(engine, call)
    return True


cdef inline Py_ssize_t find_batch(Call* call, Py_ssize_t batch, Py_ssize_t* first,
                                  const unsigned int** order) noexcept nogil:
    """The rows of a batch: their number, and OUT the first of them, or where the order of theirs begins."""
    if call.batch_offsets != NULL:
        first[0] = call.batch_offsets[batch]
        order[0] = call.batch_rows + call.epoch * call.epoch_rows + first[0]
        return call.batch_offsets[batch + 1] - first[0]
    first[0] = batch * call.batch_size
    order[0] = call.shuffled + first[0] if call.shuffled != NULL else NULL
    return min(call.batch_size, call.n_rows - first[0])


cdef inline bint is_checked(Call* call) noexcept nogil:
    """Whether the parameters at the end of the epoch under way must be finite: where they are kept or given back."""
    if not call.guarded:
        return False
    return call.careful or call.since_kept >= KEPT_EVERY or call.epoch + 1 == call.epochs or call.steps == call.max_steps


cdef void add_metrics(Engine engine, Call* call, Py_ssize_t rows) noexcept nogil:
    """The sums of a step's tiles, in their order, to those of the epoch."""
    cdef Py_ssize_t i
    cdef int m
    for i in range(1 if rows <= engine.sizes.latency_rows else pieces(rows, engine.sizes.tile_rows)):
        for m in range(call.n_metrics):
            call.metric_sum[m] += engine.tile_metric[i * engine.most_metrics + m]


cdef void record_epoch(Engine engine, Call* call, Engine validator, double seen) noexcept nogil:
    """A row of `record`: metrics of the epoch, then loss and metrics of the validation data."""
    cdef double* found = call.record + call.epoch * call.n_columns
    cdef int m
    for m in range(call.n_metrics):
        found[m] = call.metric_sum[m] / (seen * call.metric[m].divisor) if seen > 0 else 0
    if call.validates:
        validate(validator, found + call.n_metrics)
        call.seconds_to_check -= validator.call.n_rows * validator.sizes.seconds_per_row


cdef void validate(Engine engine, double* found) noexcept nogil:
    """found[0] OUT the mean loss of the rows that are bound, and their metrics, on this thread alone."""
    cdef Call* call = &engine.call
    cdef int m
    call.status = RUNNING
    call.n_threads = 1
    call.seconds_to_check = LONGEST_VALIDATION      # the training call looks for Ctrl-C itself
    evaluate_tiles(engine, call, found)
    found[0] = found[0] / (call.total_weight * engine.sizes.loss_divisor) if call.total_weight > 0 else 0
    for m in range(call.n_metrics):
        found[m + 1] = found[m + 1] / (call.total_weight * call.metric[m].divisor) if call.total_weight > 0 else 0


cdef void evaluate_tiles(Engine engine, Call* call, double* found) noexcept nogil:
    """found (1 + n_metrics) OUT: the sums of loss and metrics over all rows, tile after tile."""
    cdef Py_ssize_t i, n_tiles = pieces(call.n_rows, engine.sizes.tile_rows)
    cdef int m
    run_phase(engine, call, EVALUATE, n_tiles, 1)
    memset(found, 0, (1 + call.n_metrics) * sizeof(double))
    for i in range(n_tiles):
        found[0] += engine.tile_loss[i]
        for m in range(call.n_metrics):
            found[m + 1] += engine.tile_metric[i * engine.most_metrics + m]


cdef inline bint is_better(Watch* watch, double value, double other) noexcept nogil:
    """By more than min_delta, or than none, nan; nan never is."""
    if other != other:
        return value == value
    return watch.sign * value < watch.sign * other - watch.min_delta


cdef void watch_epoch(Engine engine, Call* call) noexcept nogil:
    """Keep the parameters of the best epoch; stop after `patience` epochs without a better one.  Keras's rule."""
    cdef Watch* watch = call.watch
    cdef Py_ssize_t column = <Py_ssize_t>watch.column
    cdef double value = call.losses[call.epoch] if column == 0 else call.record[call.epoch * call.n_columns + column - 1]
    watch.wait += 1
    if is_better(watch, value, watch.best):
        watch.best = value
        watch.best_epoch = <double>call.epoch
        if call.best != NULL:
            memcpy(call.best, engine.w, engine.n_parameters * sizeof(real))
        if is_better(watch, value, watch.baseline):
            watch.wait = 0
    elif watch.wait >= watch.patience:
        call.status = STOPPED

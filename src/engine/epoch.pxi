# The epochs of a training call, batch after batch, and what is found after each of them without the interpreter: the mean
# loss, metrics of the batches' own outputs, the loss and the metrics of validation data, and whether to stop.

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


cdef void begin_epoch(Engine engine, Call* call) noexcept nogil:
    """Keep the state to come back to, or have the first update do it, and draw the epoch's order."""
    if call.guarded:
        call.keeps = engine.sizes.weight_parallel
        if not call.keeps:
            keep_range(engine, 0, engine.n_parameters)
        memcpy(engine.last_good_power, engine.power, sizeof(engine.power))
    if call.shuffled != NULL:
        shuffle(call.n_rows, call.seed, call.first_epoch + call.epoch, call.shuffled)
    memset(call.metric_sum, 0, sizeof(call.metric_sum))


cdef void restore_epoch(Engine engine, Call* call) noexcept nogil:
    if call.guarded and not call.keeps:     # else nothing has been updated
        memcpy(engine.w, engine.last_good, engine.n_parameters * sizeof(real))
        if engine.sizes.n_states > 0:
            memcpy(engine.state, engine.last_good + engine.n_parameters,
                   engine.sizes.n_states * engine.n_parameters * sizeof(real))
        memcpy(engine.power, engine.last_good_power, sizeof(engine.power))


cdef void train_epochs(Engine engine, Call* call, Engine validator) noexcept nogil:
    """The whole of a training call; what it leaves in `call` and `engine.power` is the account of it."""
    cdef double loss = 0, sum, seen
    cdef Py_ssize_t batch, first, rows
    cdef const unsigned int* order
    while call.epoch < call.epochs and call.steps != call.max_steps and call.status == RUNNING:
        begin_epoch(engine, call)
        sum = 0
        seen = 0
        if call.total != NULL:
            sum = call.total[0]
            seen = call.total[1]
            memcpy(call.metric_sum, call.total + 2, call.n_metrics * sizeof(double))
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
            if call.rates != NULL:
                engine.number[engine.rate_index] = call.rates[call.steps]
            if not take_step(engine, call, order, first, rows, &loss):
                call.batch = batch
                call.losses[call.epoch] = loss
                if call.status == RUNNING:
                    call.status = DIVERGED
                return
            call.keeps = False
            call.steps += 1
            sum += loss * call.batch_weight
            seen += call.batch_weight
            if call.n_metrics > 0:
                add_metrics(engine, call, rows)
        call.losses[call.epoch] = sum / seen if seen > 0 else 0
        if call.total != NULL:
            call.total[0] = sum
            call.total[1] = seen
            memcpy(call.total + 2, call.metric_sum, call.n_metrics * sizeof(double))
        if call.guarded and not all_finite(engine.n_parameters, engine.w):
            call.batch = call.n_batches - 1
            call.status = DIVERGED
            return
        if call.record != NULL:
            record_epoch(engine, call, validator, seen)
        if call.watch != NULL:
            watch_epoch(engine, call)
        call.epoch += 1


cdef void add_metrics(Engine engine, Call* call, Py_ssize_t rows) noexcept nogil:
    """The sums of a step's tiles, in their order, to those of the epoch."""
    cdef Py_ssize_t i
    cdef int m
    for i in range(1 if rows <= engine.sizes.latency_rows else pieces(rows, engine.sizes.tile_rows)):
        for m in range(call.n_metrics):
            call.metric_sum[m] += engine.tile_metric[i * MOST_METRICS + m]


cdef void record_epoch(Engine engine, Call* call, Engine validator, double seen) noexcept nogil:
    """A row of `record`: metrics of the epoch, then loss and metrics of the validation data."""
    cdef double* found = call.record + call.epoch * call.n_columns
    cdef int m
    for m in range(call.n_metrics):
        found[m] = call.metric_sum[m] / (seen * call.metric[m].divisor) if seen > 0 else 0
    if call.validates:
        validate(validator, found + call.n_metrics)


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
            found[m + 1] += engine.tile_metric[i * MOST_METRICS + m]


cdef inline bint is_better(Watch* watch, double value, double other) noexcept nogil:
    """By more than min_delta; never where one is nan."""
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
        if watch.baseline != watch.baseline or is_better(watch, value, watch.baseline):
            watch.wait = 0
    elif watch.wait >= watch.patience:
        call.status = STOPPED

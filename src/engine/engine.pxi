# The engine of one plan: what Python sees of the kernels.  Twin: fastbp/backend/numpy/engine.py, the same methods.

from cpython.exc cimport PyErr_CheckSignals


cdef class Engine:
    """Kernels bound to one plan and its memory.

    Parameters: `plan` (fastbp.plan.Plan), the flat `parameters` and optimizer `state` (IN and OUT, kept by reference), and
    `scratch`, all of the plan's dtype and 64-byte aligned; `power` (3,), the running powers of the optimizer's formula and
    of the average of parameters (IN and OUT), and `rate` (1,), the learning rate (IN), both kept by reference.  Nothing is
    allocated after construction but in `train`'s set-up.

    Raises ValueError for a name that has no kernel, and for a table whose fields are not those of the struct.
    """
    cdef readonly object plan
    cdef object bound, bound_row, pending, room
    cdef object readers, writers    # the tokens of calls under way
    cdef list owners                # of the memory that pointers lead to
    cdef Py_ssize_t least_rows, most_rows, brief_rows   # of `respond`; none until `bind`
    cdef int bound_threads
    cdef bint is_responding
    cdef Sizes sizes
    cdef ArenaSizes arena
    cdef Py_ssize_t n_parameters, n_segments, block_tiles
    cdef Program forward_program, backward_program, gradient_program, moving_program
    cdef Stage* stages
    cdef Py_ssize_t n_stages, loss_stage    # the one that ends with the way forward
    cdef const Segment* segments
    cdef LatencyLayer* latency_layers
    cdef int latency_update         # UPDATE_LAST, ...
    cdef pass_kernel latency_pass
    cdef bint is_few                # no layer of them has more than four units
    cdef loss_kernel loss, lane_loss
    cdef four_loss_kernel four_loss
    cdef bint is_cross_entropy, is_loss_of_rows
    cdef Head* heads                    # of a network with several outputs; it has no loss of its own
    cdef int n_heads                    # or 0
    cdef bint has_penalties             # the loss: each batch's are divided by what it weighs, and reported
    cdef double penalty_scale           # 1, or what they are multiplied by for the batch of the step
    cdef Parameters loss_parameters
    cdef real* loss_column
    cdef Py_ssize_t n_targets
    cdef StepKernel optimizer
    cdef double number[MOST_NUMBERS]    # of the optimizer
    cdef double base[MOST_POWERS]       # of the running powers
    cdef double* kept_power
    cdef double* rate
    cdef int rate_index                 # among the numbers
    cdef double average                 # decay of the average of parameters, or 0
    cdef bint clips
    cdef Clip clip
    cdef double power[MOST_POWERS]
    cdef double last_good_power[MOST_POWERS]
    cdef real* w
    cdef real* state
    cdef real* gradient
    cdef real* transposes
    cdef real* activations
    cdef real* chunk
    cdef real* packing
    cdef real* last_good
    cdef double* tile_loss
    cdef double* tile_metric            # `most_metrics` a tile
    cdef int most_metrics
    cdef real* weight_room              # of one thread; the next one's is `weight_stride` on
    cdef Py_ssize_t weight_stride
    cdef double* found                  # by `evaluate`
    cdef real* out
    cdef Py_ssize_t ld_out
    cdef Py_ssize_t ld_output       # numbers from one row's outputs to the next in training
    cdef str transform_name
    cdef Activation transform
    cdef Call call
    cdef Draw draw                      # of the first step of a call; of its first row
    cdef bint trains, predicts, goes_by_parts, has_loss     # what the plan is made for
    cdef Py_ssize_t n_categorical
    cdef const long long* categories    # pairs: a column of the input, and how many categories it has

    def __cinit__(self, plan, real[::1] parameters, real[::1] state, real[::1] scratch, double[::1] tile_loss,
                  double[::1] power, double[::1] rate):
        cdef real* base = &scratch[0]
        self.plan = plan
        self.owners = [parameters, state, scratch, tile_loss, power, rate]
        if power.shape[0] < MOST_POWERS:
            raise ValueError(f"power has {power.shape[0]} numbers, the engine takes {MOST_POWERS}")
        self.sizes = {name: getattr(plan, name) for name in SIZE_NAMES}
        self.arena = {name: getattr(plan.arena, name) for name in ARENA_NAMES}
        self.w = &parameters[0]
        self.n_parameters = parameters.shape[0]
        self.state = &state[0] if state.shape[0] > 0 else NULL
        self.gradient = base + self.arena.gradient
        self.transposes = base + self.arena.transposes
        self.activations = base + self.arena.activations
        self.chunk = base + self.arena.chunk
        self.packing = base + self.arena.packing
        self.last_good = base + self.arena.last_good
        self.tile_loss = &tile_loss[0]
        self.block_tiles = self.sizes.block_rows // self.sizes.tile_rows
        self.call.shares = <Share*>self.memory(self.sizes.n_workers * sizeof(Share), sizeof(Share))
        calls = plan.calls
        self.trains, self.predicts = "train" in calls, "predict" in calls
        self.goes_by_parts, self.has_loss = "forward" in calls, "loss_gradient" in calls
        bind_segments(self, plan.segments.table)
        bind_categories(self, plan.categories)
        self.forward_program = bound_program(self, plan.forward)
        self.backward_program = bound_program(self, plan.backward)
        self.gradient_program = bound_program(self, plan.weight_gradient)
        if plan.heads:
            bind_heads(self, plan)
        else:
            bind_loss(self, plan.loss)
        self.penalty_scale = 1
        bind_metric_memory(self)
        self.moving_program = bound_program(self, plan.moving)
        bind_optimizer(self, plan.optimizer, power)
        self.rate = &rate[0]
        if plan.purpose != "predict":
            bind_clip(self, plan.optimizer)
            self.tile_metric = <double*>self.memory(plan.n_tiles * self.most_metrics * sizeof(double), sizeof(double))
        if self.n_heads == 0:
            self.set_transform("linear")
        if self.sizes.latency_rows:
            self.latency_layers = <LatencyLayer*>self.memory(self.forward_program.n * sizeof(LatencyLayer), sizeof(void*))
            find_latency_layers(self)
        join_outputs(&self.backward_program, <BoundOperation*>self.memory(sizeof(BoundOperation), sizeof(void*)),
                     find_activation("tanh", 0, False).backward)
        if self.sizes.staged or self.goes_by_parts:
            find_stages(self)
        self.ld_output = self.sizes.ld_output
        join_loss(self)

    cdef void* memory(self, Py_ssize_t size, Py_ssize_t alignment) except NULL:
        """Zeros that live as long as the engine."""
        owner = bytearray(size + alignment)
        self.owners.append(owner)
        return <void*>(<size_t><char*>owner + alignment - 1 & ~<size_t>(alignment - 1))

    cdef int set_transform(self, str name) except -1:
        """The activation by which outputs are shown: found once, for callers pass the same object."""
        if name is not self.transform_name:
            if self.n_heads > 0:
                set_head_transforms(self, name)
            else:
                self.transform = find_activation(name, 0, False)
            self.transform_name = name
        return 0

    cdef int set_input(self, const real[:, :] x) except -1:
        cdef Rows rows
        rows.at = <const char*>&x[0, 0]
        rows.n_rows = x.shape[0]
        rows.row = x.strides[0]
        rows.column = x.strides[1]
        self.set_rows(&rows)
        return 0

    cdef void set_rows(self, const Rows* rows) noexcept:
        self.call.n_rows = rows.n_rows
        self.call.x = <const real*>rows.at
        self.call.x_row = rows.row // <Py_ssize_t>sizeof(real)
        self.call.x_column = rows.column // <Py_ssize_t>sizeof(real)
        self.call.targets.label = NULL
        self.call.targets.y = NULL
        self.call.weight = NULL
        self.call.row_weight = NULL
        self.call.n_metrics = 0
        self.call.outputs = NULL
        self.call.checks_finite = False

    cdef int set_target(self, y) except -1:
        if self.n_heads > 0:
            return set_head_targets(self, y)
        return find_targets(y, &self.call.targets)

    def train(self, const real[:, :] x, y, *, Py_ssize_t batch_size, Py_ssize_t epochs, double[::1] losses,
              int n_threads=1, unsigned int[::1] shuffled=None, const unsigned int[::1] batch_rows=None,
              const long long[::1] batch_offsets=None, unsigned long long seed=0, Py_ssize_t first_epoch=0,
              Py_ssize_t max_steps=-1, bint guarded=True, const double[::1] rates=None, weight=None, row_weight=None,
              tuple metrics=(), double[:, ::1] record=None, Engine validator=None, double[::1] watch=None,
              real[::1] best=None, real[:, ::1] outputs=None, double[::1] total=None):
        """Epochs of mini-batch training; how far they came is told by `take_progress`.

        `losses` (epochs,) OUT: the mean loss of each epoch.  `shuffled` (n_rows,) SCRATCH for the order of a
        shuffled epoch; `batch_rows` and `batch_offsets` an explicit order of rows and where each batch begins in it;
        `batch_rows` may hold an order for each epoch, one behind the other.
        `rates`: the learning rate of each step.  `weight` (n_rows, n_outputs), with a column stride of 0 where a row has
        one, multiplies loss and gradient of an element; `row_weight` (n_rows,) is what a row adds to the divisor of its
        batch.  `record` (epochs, any) OUT: the `metrics` of each epoch from the outputs of its steps, then loss and metrics
        of what `validator` has been given by `bind_validation`, computed by this thread alone.  `watch`: early stopping, the
        numbers of struct Watch (IN and OUT); `best` (n_parameters,) OUT: the parameters of the best epoch.  `outputs`
        (n_rows, n_outputs) OUT: those of each row's last step, before its update and the loss's own activation.  `total`
        (2 + n_metrics,) IN and OUT, for an epoch that is trained in parts: the sum of its losses, times their weights, the
        sum of these and those of the metrics, zeros before the first part.
        `status` is 0, 1 (interrupted; the exception is in `pending`), 2 (diverged; state of the last good epoch restored) or
        4 (stopped early).
        """
        cdef Call* call = &self.call
        call.batch_rows = &batch_rows[0] if batch_rows is not None else NULL
        call.batch_offsets = &batch_offsets[0] if batch_offsets is not None else NULL
        call.shuffled = &shuffled[0] if shuffled is not None else NULL
        call.batch_size = batch_size
        call.n_batches = (x.shape[0] + batch_size - 1) // batch_size
        if batch_offsets is not None:
            call.n_batches = batch_offsets.shape[0] - 1
            call.epoch_rows = <Py_ssize_t>batch_offsets[call.n_batches]
            if batch_rows.shape[0] == call.epoch_rows:
                call.epoch_rows = 0
            elif batch_rows.shape[0] < epochs * call.epoch_rows:
                raise ValueError(f"batch_rows has {batch_rows.shape[0]} rows for {epochs} epochs of {call.epoch_rows}")
        call.seed = seed
        call.epochs = epochs
        call.first_epoch = first_epoch
        call.max_steps = max_steps
        call.guarded = guarded
        call.keeps = call.careful = False
        call.losses = &losses[0]
        call.rates = NULL
        if rates is not None:
            steps = call.n_batches * epochs if max_steps < 0 else min(call.n_batches * epochs, max_steps)
            if rates.shape[0] < steps:
                raise ValueError(f"{rates.shape[0]} rates for {steps} steps")
            call.rates = &rates[0]
        call.record = NULL
        if record is not None:
            call.n_columns = record.shape[1]
            least = len(metrics) + (1 + validator.call.n_metrics if validator else 0)
            if record.shape[0] < epochs or call.n_columns < least:
                raise ValueError("record is too small")
            call.record = &record[0, 0]
        call.validates = validator is not None and record is not None
        call.total = NULL
        if total is not None:
            if total.shape[0] != 2 + len(metrics):
                raise ValueError(f"total has {total.shape[0]} numbers for {len(metrics)} metrics")
            call.total = &total[0]
        call.watch = NULL
        call.best = NULL
        if best is not None:
            if best.shape[0] != self.n_parameters:
                raise ValueError(f"best has {best.shape[0]} numbers for {self.n_parameters} parameters")
            call.best = &best[0]
        if watch is not None:
            most = call.n_columns if record is not None else 0
            if watch.shape[0] * sizeof(double) != sizeof(Watch) or not 0 <= watch[0] <= most:
                raise ValueError("watch does not name a column")
            call.watch = <Watch*>&watch[0]
        self.run_training(x, y, weight, row_weight, metrics, outputs, n_threads, "train", validator)

    def train_batch(self, const real[:, :] x, y, weight=None, row_weight=None, real[:, ::1] outputs=None):
        """One unguarded step on all rows, by one thread; returns their mean loss before it. Otherwise as `train`."""
        cdef double loss = 0
        cdef Call* call = &self.call
        call.batch_rows = call.batch_offsets = call.shuffled = NULL
        call.batch_size = x.shape[0]
        call.n_batches = call.epochs = 1
        call.max_steps = -1
        call.guarded = call.keeps = False
        call.losses = &loss
        call.rates = call.record = call.total = NULL
        call.watch = NULL
        self.run_training(x, y, weight, row_weight, (), outputs, 1, "train_batch", None)
        call.epoch = 0      # a step alone is no epoch
        return loss

    cdef int run_training(self, const real[:, :] x, y, weight, row_weight, tuple metrics, real[:, ::1] outputs,
                          int n_threads, str name, Engine validator) except -1:
        check_call(self, self.trains, name, largest_batch(&self.call, x.shape[0]))
        self.set_input(x)
        self.set_target(y)
        if weight is not None or row_weight is not None:
            bind_weights(self, weight, row_weight)
        if metrics:
            bind_metrics(self, metrics)
        if outputs is not None:
            if outputs.shape[0] != x.shape[0] or outputs.shape[1] != self.sizes.n_outputs:
                raise ValueError("outputs has another shape")
            self.call.outputs = &outputs[0, 0]
        self.call.looks_closer = self.call.weight != NULL or self.call.n_metrics > 0 or self.call.outputs != NULL
        memcpy(self.power, self.kept_power, sizeof(self.power))
        self.number[self.rate_index] = self.rate[0]
        self.refresh()
        self.run_call(TRAIN, n_threads, validator)
        if self.call.status == DIVERGED:
            restore_epoch(self, &self.call)
        memcpy(self.kept_power, self.power, sizeof(self.power))
        return 0

    def draw_from(self, unsigned long long seed, unsigned long long step, unsigned long long row, bint is_on):
        """What the random numbers of layers depend on from now on: `step` is that of the next step, or of `forward`, `row`
        the number of its first row; nothing is random unless `is_on`, as before the first call of this.
        """
        self.draw.seed, self.draw.step, self.draw.row, self.draw.is_on = seed, step, row, is_on

    def take_progress(self, counter):
        """(status, epochs done, batch reached) of the last `train`, once; `counter.steps` and `counter.epochs` grow by it.

        A signal handler may raise after any call that Python code makes: neither what `train` returns nor a sum in Python
        would be sure to be kept.  The steps of a diverged epoch are undone and do not count.  Of an epoch that was left
        between two batches, `counter.left_at` has how many it had, and what `total` of `train` has after a part.
        """
        cdef Call* call = &self.call
        found = call.status, call.epoch, call.batch
        if call.status == INTERRUPTED and call.batch:
            counter.left_at = call.batch, self.sums_so_far()
        counter.steps += call.epoch * call.n_batches if call.status == DIVERGED else call.steps
        if call.epoch:
            counter.epochs += call.epoch
        call.status = RUNNING
        call.epoch = call.batch = call.steps = 0
        return found

    cdef sums_so_far(self):
        cdef double[::1] sums
        found = numpy.empty(2 + self.call.n_metrics)
        sums = found
        memcpy(&sums[0], self.call.left_at, sizeof(self.call.left_at))
        memcpy(&sums[0] + 2, self.call.metric_sum, self.call.n_metrics * sizeof(double))
        return found

    def predict(self, const real[:, :] x, real[:, ::1] out, str transform, int n_threads):
        """out (n_rows, n_outputs) OUT = the outputs, by the activation named `transform`; 0, or 1 where interrupted."""
        check_call(self, self.predicts, "predict", 0)
        self.set_transform(transform)
        self.set_input(x)
        self.out = &out[0, 0]
        self.ld_out = out.shape[1]
        self.run_call(PREDICT, n_threads, None)
        return self.call.status

    def bind(self, out, row, *, readers, writers, Py_ssize_t most_rows, Py_ssize_t brief_rows, int n_threads):
        """Prepare `respond`, for `most_rows` rows.

        `out` (most_rows, n_outputs), or None for up to so many rows and a new array each time; `row` its only row where
        (n_features,) may come, else None.  `readers` and `writers` are the tokens of `fastbp.runtime.guard`.  A call of up
        to `brief_rows` rows keeps the interpreter to itself; a longer one has up to `n_threads` threads.
        """
        check_call(self, self.predicts, "bind", 0)
        self.bound, self.bound_row, self.readers, self.writers = out, row, readers, writers
        self.most_rows, self.brief_rows, self.bound_threads = most_rows, brief_rows, n_threads
        self.least_rows = 1 if out is None else most_rows

    def respond(self, x, str transform, int n_threads=0):
        """What `predict` puts out for x (n_rows, n_features), in a new array or that of `bind`, for (n_features,) its row.

        None where x needs a closer look (see `accept`), or overlaps the result and has more than one tile, or while the
        parameters or this engine are in use; where x is not finite the result of `bind` may have been written to.  Without
        `n_threads` None too for more rows than were bound.
        """
        return response(self, x, transform, n_threads)

    def evaluate(self, const real[:, :] x, y, double[::1] found, *, weight=None, tuple metrics=(), int n_threads=1):
        """found (1 + n_metrics,) OUT = the sums of the losses and of the metrics of all rows; 0, or 1 where interrupted."""
        if found.shape[0] != 1 + len(metrics):
            raise ValueError(f"found has {found.shape[0]} numbers for {len(metrics)} metrics")
        self.bind_validation(x, y, weight=weight, metrics=metrics)
        self.found = &found[0]
        self.run_call(EVALUATE, n_threads, None)
        return self.call.status

    def bind_validation(self, const real[:, :] x, y, *, weight=None, row_weight=None, tuple metrics=()):
        """Data for `train` of another engine to evaluate after each epoch; until then the arrays have to live."""
        cdef Py_ssize_t n_tiles
        cdef double[:, ::1] tiles
        cdef const double[::1] row
        check_call(self, self.predicts, "evaluate", 0)
        self.set_input(x)
        self.set_target(y)
        bind_weights(self, weight, None)
        bind_metrics(self, metrics)
        self.call.total_weight = <double>x.shape[0]
        if row_weight is not None:
            self.call.total_weight = sum_in_order(row_weight)
        n_tiles = pieces(x.shape[0], self.sizes.tile_rows)
        found = numpy.empty((1 + self.most_metrics, n_tiles))
        tiles = found
        self.tile_loss = &tiles[0, 0]
        self.tile_metric = &tiles[1, 0]
        self.room = found

    def forward(self, const real[:, :] x):
        """Every activation of all rows of x, left in the scratch memory for `loss_gradient` and `backward`."""
        check_call(self, self.goes_by_parts, "forward", x.shape[0])
        self.set_input(x)
        with nogil:
            forward_rows(self, &self.call)

    def loss_gradient(self, y, weight=None, row_weight=None):
        """The mean loss of the rows of the last `forward` against y; its gradient is left for `backward`."""
        cdef double total
        check_call(self, self.has_loss, "loss_gradient", 0)
        self.call.weight = self.call.row_weight = NULL
        self.set_target(y)
        bind_weights(self, weight, row_weight)
        with nogil:
            total = loss_rows(self, &self.call)
        return total

    def backward(self):
        """From the gradient of the output, left in the scratch memory: gradients of all parameters and of the input."""
        check_call(self, self.goes_by_parts, "backward", 0)
        self.refresh()
        with nogil:
            backward_rows(self, &self.call)

    def step(self):
        """One optimizer step from the gradient in the scratch memory."""
        cdef real scalar[MOST_NUMBERS]
        cdef unsigned long mode
        cdef Py_ssize_t i
        check_call(self, self.goes_by_parts, "step", 0)
        with nogil:
            mode = float_mode_flush()
            memcpy(self.power, self.kept_power, sizeof(self.power))
            self.number[self.rate_index] = self.rate[0]
            if self.clips:
                for i in range(self.clip.n_units):
                    clip_unit(self, i, 1)
                find_clip_factors(self)
            next_scalars(self, self.power, self.power, scalar)
            update_segments(self, 0, 1, 1, scalar)
            memcpy(self.kept_power, self.power, sizeof(self.power))
            float_mode_restore(mode)

    cdef void refresh(self) noexcept nogil:
        """Transposes of kernels, padding zero, from the parameters, which the user may have written to since."""
        cdef Py_ssize_t i
        cdef const Segment* segment
        for i in range(self.n_segments):
            segment = &self.segments[i]
            if segment.transpose >= 0:
                if segment.rows < segment.ld_transpose:
                    memset(self.transposes + segment.transpose, 0, segment.columns * segment.ld_transpose * sizeof(real))
                transpose_rows(self, segment, 0, segment.rows)

    cdef int run_call(self, int kind, int n_threads, Engine validator) except -1:
        """Run the whole call on this thread, with n_threads - 1 workers, or as many as there are and can be started."""
        cdef Call* call = &self.call
        self.pending = None
        call.status = RUNNING
        call.epoch = call.batch = call.steps = 0
        call.seconds_to_check = SECONDS_PER_CHECK
        n_threads = max(1, min(n_threads, <int>self.sizes.n_workers)) if FASTBP_HAS_THREADS else 1
        call.n_threads = 1
        call.helped = 0
        call.seconds_lost = 0
        if n_threads > 1:
            call.watched_since = max(call.watched_since, monotonic_seconds())
        try:
            if n_threads > 1:
                claim_workers(self, n_threads, kind == TRAIN or call.n_rows >= self.sizes.prompt_rows)
            with nogil:
                run_task(self, call, kind, validator)
        finally:    # an audit hook may raise anything: workers that have begun leave all the same
            if n_threads > 1:
                release_workers(call, n_threads)
        if self.pending is not None:
            call.status = INTERRUPTED
        return 0

    def work(self, int thread):
        """The body of a worker."""
        with nogil:
            work_along(self, &self.call, thread)

    def take_pending(self):
        """The exception that a signal handler raised during the last call, or None."""
        pending, self.pending = self.pending, None
        return pending


cdef inline int check_call(Engine engine, bint allowed, str name, Py_ssize_t rows) except -1:
    """Refuse a call of `rows` rows at a time for which the plan is not made: it would leave the plan's memory."""
    if not allowed or rows > engine.sizes.max_rows:
        engine.plan.check(name, rows)
    return 0


cdef void run_task(Engine engine, Call* call, int kind, Engine validator) noexcept nogil:
    """What the calling thread does, in the engine's float mode."""
    cdef Py_ssize_t n_units = pieces(call.n_rows, engine.sizes.tile_rows)
    call.host_mode = float_mode_flush()
    if kind == TRAIN:
        train_epochs(engine, call, validator)
    elif kind == PREDICT:       # no bit depends on which rows are together: as many for each thread
        run_phase(engine, call, kind, min(call.n_rows, pieces(n_units, call.n_threads) * call.n_threads), 1)
    else:
        evaluate_tiles(engine, call, engine.found)
    float_mode_restore(call.host_mode)


def kernel_names():
    """The names that kernels are found by."""
    return {"activation": (*ACTIVATION_FORMULAS, "softmax", "log_softmax"), "loss": (*LOSS_FORMULAS, *ROW_LOSSES),
            "optimizer": OPTIMIZER_FORMULAS, "operation": OPERATIONS, "metric": METRICS}


def build_info():
    """What this build was compiled for, from its own preprocessor."""
    return {"vector_bytes": <int>sizeof(vreal), "real_bytes": <int>sizeof(real), "compiler": COMPILER.decode(),
            "flags": BUILD_FLAGS.decode(), "fma": HAS_FMA != 0, "source_hash": SOURCE_HASH.decode()}

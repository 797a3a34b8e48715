# The engine of one plan: what Python sees of the kernels.  Twin: fastbp/backend/numpy/engine.py, the same methods.

from _thread import start_new_thread

from cpython.exc cimport PyErr_CheckSignals


cdef class Engine:
    """Kernels bound to one plan and its memory.

    Parameters: `plan` (fastbp.plan.Plan), the flat `parameters` and optimizer `state` (IN and OUT, kept by reference), and
    `scratch`, all of the plan's dtype and 64-byte aligned; `hyper` (7,), the optimizer's numbers as Runtime orders them, and
    `power` (2,), beta1^t and beta2^t (IN and OUT, kept by reference).  Nothing is allocated after construction but in
    `train`'s set-up.
    """
    cdef readonly object plan
    cdef object owners, pending, bound, bound_row, is_busy
    cdef Py_ssize_t bound_rows      # 0 until `bind`: `respond` takes nothing
    cdef real* bound_out
    cdef Operation* forward_table
    cdef Operation* backward_table
    cdef Operation* parameter_table
    cdef double* forward_alpha
    cdef double* backward_alpha
    cdef Segment* segments
    cdef NarrowLayer* narrow_layers
    cdef double* l1
    cdef double* l2
    cdef Py_ssize_t n_forward, n_backward, n_parameter, n_segments
    cdef Py_ssize_t n_features, n_outputs, n_parameters, n_states
    cdef Py_ssize_t input, ld_input, output, ld_output, output_gradient
    cdef Py_ssize_t tile_rows, block_rows, block_tiles, chunk_rows, capacity, n_workers
    cdef Py_ssize_t activation_stride, chunk_stride, narrow_rows
    cdef bint keeps_batch, by_parameters, gathers
    cdef int loss
    cdef double delta, loss_divisor, seconds_per_row
    cdef real* w
    cdef real* state
    cdef real* gradient
    cdef real* copies
    cdef real* activations
    cdef real* chunk
    cdef real* good
    cdef double* tile_loss
    cdef real* out
    cdef Py_ssize_t ld_out
    cdef int transform
    cdef Hyper hyper
    cdef double* kept_power
    cdef double power[2]
    cdef double good_power[2]
    cdef Call call
    cdef bint trains, predicts, goes_by_parts, has_loss     # what the plan is made for

    def __cinit__(self, plan, real[::1] parameters, real[::1] state, real[::1] scratch, double[::1] tile_loss,
                  const double[::1] hyper, double[::1] power):
        cdef real* base = &scratch[0]
        self.plan = plan
        self.w = &parameters[0]
        self.state = &state[0] if state.shape[0] > 0 else NULL
        self.tile_loss = &tile_loss[0]
        fill_hyper(&self.hyper, hyper)
        self.kept_power = &power[0]
        self.n_parameters = parameters.shape[0]
        self.n_states = plan.n_states
        arrays = [plan.forward.table, plan.backward.table, plan.parameter.table, plan.segments.table,
                  plan.forward.alpha, plan.backward.alpha, plan.segments.l1, plan.segments.l2]
        self.owners = (parameters, state, scratch, tile_loss, power, arrays)
        self.n_forward, self.n_backward = len(plan.forward.table), len(plan.backward.table)
        self.n_parameter, self.n_segments = len(plan.parameter.table), len(plan.segments.table)
        self.forward_table = <Operation*>table_pointer(arrays[0], sizeof(Operation))
        self.backward_table = <Operation*>table_pointer(arrays[1], sizeof(Operation))
        self.parameter_table = <Operation*>table_pointer(arrays[2], sizeof(Operation))
        self.segments = <Segment*>table_pointer(arrays[3], sizeof(Segment))
        self.forward_alpha = double_pointer(arrays[4])
        self.backward_alpha = double_pointer(arrays[5])
        self.l1 = double_pointer(arrays[6])
        self.l2 = double_pointer(arrays[7])
        self.n_features, self.n_outputs = plan.n_features, plan.n_outputs
        self.input, self.ld_input = plan.input, plan.ld_input
        self.output, self.ld_output, self.output_gradient = plan.output, plan.ld_output, plan.output_gradient
        self.tile_rows, self.block_rows, self.chunk_rows = plan.tile_rows, plan.block_rows, plan.chunk_rows
        self.block_tiles = self.block_rows // self.tile_rows
        self.capacity, self.n_workers = plan.capacity, plan.n_workers
        shares = bytearray((self.n_workers + 1) * sizeof(Share))
        self.owners += (shares,)
        self.call.shares = <Share*>(<size_t><char*>shares + sizeof(Share) - 1 & ~(sizeof(Share) - 1))
        self.keeps_batch, self.by_parameters, self.gathers = plan.keeps_batch, plan.by_parameters, plan.gathers
        calls = plan.calls
        self.trains, self.predicts = "train" in calls, "predict" in calls
        self.goes_by_parts, self.has_loss = "forward" in calls, "loss_gradient" in calls
        self.narrow_rows = plan.narrow_rows
        self.loss, self.delta, self.loss_divisor = plan.loss_code, plan.loss_delta, plan.loss_divisor
        self.seconds_per_row = plan.seconds_per_row
        arena = plan.arena
        self.activation_stride, self.chunk_stride = arena.activation_stride, arena.chunk_stride
        self.gradient = base + <Py_ssize_t>arena.gradient
        self.copies = base + <Py_ssize_t>arena.copies
        self.activations = base + <Py_ssize_t>arena.activations
        self.chunk = base + <Py_ssize_t>arena.chunk
        self.good = base + <Py_ssize_t>arena.good
        if self.narrow_rows:
            layers = bytearray(self.n_forward * sizeof(NarrowLayer))
            self.owners += (layers,)
            self.narrow_layers = <NarrowLayer*><char*>layers
            find_narrow_layers(self)

    cdef int set_input(self, const real[:, :] x) except -1:
        self.call.n_rows = x.shape[0]
        self.call.x = &x[0, 0]
        self.call.x_row = x.strides[0] // <Py_ssize_t>sizeof(real)
        self.call.x_column = x.strides[1] // <Py_ssize_t>sizeof(real)
        self.call.label = NULL
        self.call.y = NULL
        return 0

    cdef int set_target(self, y) except -1:
        cdef const int[:] label
        cdef const real[:, :] target
        if y.ndim == 1:
            label = y
            self.call.label = &label[0]
            self.call.label_step = label.strides[0] // <Py_ssize_t>sizeof(int)
        else:
            target = y
            self.call.y = &target[0, 0]
            self.call.y_row = target.strides[0] // <Py_ssize_t>sizeof(real)
            self.call.y_column = target.strides[1] // <Py_ssize_t>sizeof(real)
        return 0

    def train(self, const real[:, :] x, y, *, Py_ssize_t batch_size, Py_ssize_t epochs, double[::1] losses,
              int n_threads=1, unsigned int[::1] order=None, const unsigned int[::1] given=None,
              const long long[::1] limits=None, unsigned long long seed=0, Py_ssize_t first_epoch=0,
              Py_ssize_t max_steps=-1, bint guarded=True):
        """Epochs of mini-batch training; how far they came is told by `take_progress`.

        `losses` (epochs,) OUT: the mean loss of each epoch.  `order` (n_rows,) SCRATCH for a shuffled epoch;
        `given` and `limits` an explicit order of rows and where each batch begins in it.
        `status` is 0, 1 (interrupted; the exception is in `pending`) or 2 (diverged; state of the last good epoch restored).
        """
        cdef Call* call = &self.call
        call.given = &given[0] if given is not None else NULL
        call.limits = &limits[0] if limits is not None else NULL
        call.order = &order[0] if order is not None else NULL
        call.batch_size = batch_size
        call.n_batches = limits.shape[0] - 1 if limits is not None else (x.shape[0] + batch_size - 1) // batch_size
        call.seed = seed
        call.epochs = epochs
        call.first_epoch = first_epoch
        call.max_steps = max_steps
        call.guarded = guarded
        call.keeps = False
        call.losses = &losses[0]
        self.run_training(x, y, n_threads, "train")

    def train_batch(self, const real[:, :] x, y):
        """One unguarded step on all rows, by one thread; returns their mean loss before it. Otherwise as `train`."""
        cdef double loss = 0
        cdef Call* call = &self.call
        call.given = call.limits = call.order = NULL
        call.batch_size = x.shape[0]
        call.n_batches = call.epochs = 1
        call.max_steps = -1
        call.guarded = call.keeps = False
        call.losses = &loss
        self.run_training(x, y, 1, "train_batch")
        return loss

    cdef int run_training(self, const real[:, :] x, y, int n_threads, str name) except -1:
        check_call(self, self.trains, name, largest_batch(&self.call, x.shape[0]))
        self.set_input(x)
        self.set_target(y)
        self.power[0] = self.kept_power[0]
        self.power[1] = self.kept_power[1]
        self.refresh()
        self.run_call(TRAIN, n_threads)
        if self.call.status == DIVERGED:
            restore_epoch(self, &self.call)
        self.kept_power[0] = self.power[0]
        self.kept_power[1] = self.power[1]
        return 0

    def take_progress(self):
        """(status, epochs done, batch reached, steps done) of the last `train`, once.

        A signal handler may raise when `train` returns, so it cannot be what that returns.
        """
        found = self.call.status, self.call.epoch, self.call.batch, self.call.steps
        self.call.status = RUNNING
        self.call.epoch = self.call.batch = self.call.steps = 0
        return found

    def predict(self, const real[:, :] x, real[:, ::1] out, int transform, int n_threads):
        """out (n_rows, n_outputs) OUT = the outputs, by the activation `transform`; 0, or 1 where interrupted."""
        check_call(self, self.predicts, "predict", 0)
        self.transform = transform
        self.set_input(x)
        self.out = &out[0, 0]
        self.ld_out = out.shape[1]
        self.run_call(PREDICT, n_threads)
        return self.call.status

    def bind(self, out, row, is_busy):
        """Prepare `respond`: `out` (n_rows, n_outputs), at most a tile of rows; `row` its only row where (n_features,) may
        come, else None; `is_busy()` says whether another call trains.
        """
        cdef real[:, ::1] view = out
        check_call(self, self.predicts, "bind", 0)
        self.bound, self.bound_row, self.is_busy = out, row, is_busy
        self.bound_out = &view[0, 0]
        self.bound_rows = view.shape[0]

    def respond(self, x, int transform):
        """What `predict` puts out for x (n_rows, n_features), in the array of `bind`, or for (n_features,) in its row.

        None, and nothing done, where x needs a closer look (see `accept`) or the parameters are in use.  The interpreter is
        not released, so that nothing else runs meanwhile: for calls of microseconds.
        """
        cdef const real[:, :] rows
        cdef bint single = self.bound_row is not None and type(x) is ARRAY and x.ndim == 1
        x = accepted(x[None] if single else x, self.bound_rows, self.n_features, True)
        if x is None:
            check_call(self, self.predicts, "respond", 0)
            return None
        if self.is_busy():
            return None
        rows = x
        self.set_input(rows)
        self.transform = transform
        self.out = self.bound_out
        self.ld_out = self.n_outputs
        self.call.status = RUNNING
        self.call.n_threads = 1
        self.call.seconds_to_check = SECONDS_PER_CHECK
        run_task(self, &self.call, PREDICT)
        return self.bound_row if single else self.bound

    def evaluate(self, const real[:, :] x, y, double[::1] tile_loss, *, int n_threads=1):
        """tile_loss[i] OUT = sum of the losses of the rows of tile i; 0, or 1 where interrupted."""
        cdef double* kept = self.tile_loss
        check_call(self, self.predicts, "evaluate", 0)
        self.set_input(x)
        self.set_target(y)
        self.tile_loss = &tile_loss[0]
        try:
            self.run_call(EVALUATE, n_threads)
        finally:
            self.tile_loss = kept
        return self.call.status

    def forward(self, const real[:, :] x):
        """Every activation of all rows of x, left in the scratch memory for `loss_gradient` and `backward`."""
        check_call(self, self.goes_by_parts, "forward", x.shape[0])
        self.set_input(x)
        with nogil:
            forward_rows(self, &self.call)

    def loss_gradient(self, y):
        """The mean loss of the rows of the last `forward` against y; its gradient is left for `backward`."""
        cdef double total
        check_call(self, self.has_loss, "loss_gradient", 0)
        self.set_target(y)
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
        cdef StepScalar scalar
        cdef unsigned long mode
        check_call(self, self.goes_by_parts, "step", 0)
        with nogil:
            mode = float_mode_flush()
            self.kept_power[0] *= self.hyper.beta1
            self.kept_power[1] *= self.hyper.beta2
            step_scalar(&self.hyper, self.kept_power, &scalar)
            update_segments(self, 0, 1, 1, &scalar)
            float_mode_restore(mode)

    cdef int refresh(self) except -1:
        """Transposed copies, padding zero, from the parameters, which the user may have written to since."""
        cdef Py_ssize_t i
        cdef Segment* segment
        for i in range(self.n_segments):
            segment = &self.segments[i]
            if segment.copy >= 0:
                if segment.rows < segment.ld_copy:
                    memset(self.copies + segment.copy, 0, segment.columns * segment.ld_copy * sizeof(real))
                copy_rows(self, segment, 0, segment.rows)
        return 0

    cdef int run_call(self, int kind, int n_threads) except -1:
        """Run the whole call on this thread, with n_threads - 1 workers that live for it; without those that cannot start.

        Nobody waits for a worker to begin or to end: it may be without a processor or without the interpreter for longer
        than the call takes.
        """
        cdef int thread
        cdef Call* call = &self.call
        self.pending = None
        call.status = RUNNING
        call.epoch = call.batch = call.steps = 0
        call.seconds_to_check = SECONDS_PER_CHECK
        call.n_threads = max(1, min(n_threads, <int>self.n_workers)) if FASTBP_HAS_THREADS else 1
        call.helped = 0
        call.lost = 0
        if call.n_threads > 1:
            call.since = max(call.since, monotonic_seconds())
        for thread in range(call.n_threads):
            call.shares[thread].done = 0
        # No threading.Thread: its start and join are Python code, where a signal handler may raise and leave a worker.
        try:
            for thread in range(1, call.n_threads):
                try:
                    start_new_thread(self.work, (thread, call.number))
                except (RuntimeError, MemoryError):
                    break
            with nogil:
                run_task(self, call, kind)
        finally:    # an audit hook may raise anything: workers that have begun leave all the same
            flag_add(&call.number, 1)
        if self.pending is not None:
            call.status = INTERRUPTED
        return 0

    def work(self, int thread, int number):
        """The body of a worker of call `number`, which may be over by now."""
        with nogil:
            work_along(self, &self.call, thread, number)

    def take_pending(self):
        """The exception that a signal handler raised during the last call, or None."""
        pending, self.pending = self.pending, None
        return pending


cdef inline int check_call(Engine engine, bint allowed, str name, Py_ssize_t rows) except -1:
    """Refuse a call, of so many rows at a time, for which the plan is not made: it would leave the plan's memory."""
    if not allowed or rows > engine.capacity:
        engine.plan.check(name, rows)
    return 0


cdef void* table_pointer(const long long[:, ::1] table, size_t row_bytes) except? NULL:
    if table.shape[0] == 0:
        return NULL
    if table.shape[1] * sizeof(long long) != row_bytes:
        raise AssertionError("the plan's table does not match the engine's struct")
    return <void*>&table[0, 0]


cdef double* double_pointer(double[::1] values):
    return &values[0] if values.shape[0] > 0 else NULL


cdef void run_task(Engine engine, Call* call, int kind) noexcept nogil:
    """What the calling thread does, in the engine's float mode."""
    call.host_mode = float_mode_flush()
    if kind == TRAIN:
        train_epochs(engine, call)
    else:
        run_phase(engine, call, kind, (call.n_rows + engine.tile_rows - 1) // engine.tile_rows, 1)
    float_mode_restore(call.host_mode)


def build_info():
    """What this build was compiled for, from its own preprocessor."""
    return {"vector_bytes": <int>sizeof(vreal), "real_bytes": <int>sizeof(real), "compiler": COMPILER.decode(),
            "flags": BUILD_FLAGS.decode(), "fma": HAS_FMA != 0, "source_hash": SOURCE_HASH.decode()}

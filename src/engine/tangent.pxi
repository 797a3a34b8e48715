# A plan run in dual numbers: the operations of dense networks, which also compute the tangents of what they compute.  The
# others are NumPy's (fastbp/backend/tangent.py).  Twin: fastbp/backend/numpy/tangent.py.

include "kernel/tangent.pxi"

# A tile of rows: `value` and `tangent` lie alike, each in its memory.
cdef struct TangentTile:
    RowTile value
    RowTile tangent
    Weights of_value
    Weights of_tangent
    int start
    real* room          # numbers for the rows of a result

cdef struct TangentOperation

ctypedef void (*tangent_operation)(TangentOperation* own, TangentTile* tile) noexcept nogil

cdef struct TangentOperation:
    tangent_operation kernel    # NULL: not one of these
    activation_tangent_kernel activation
    BoundOperation bound
    BoundOperation plain        # the same without an activation: its result is what the activation takes

cdef struct TangentProgram:
    TangentOperation* at
    Py_ssize_t n


cdef enum:
    FORWARD_PASS = 0
    BACKWARD_PASS = 1
    GRADIENT_PASS = 2
    LOSS_PASS = 3


@cython.auto_pickle(False)
cdef class TangentPass:
    """Forward, loss, backward and gradients of some rows, in the memory of two engines.

    Parameters: engines of one plan for derivatives, whose parameters and scratch memory are the numbers and their tangents,
    the latter zero; `gradient` (n_parameters,) OUT, of tangents alone.  Raises ValueError where these do not fit together.
    """
    cdef Engine value, tangent
    cdef TangentProgram programs[3]
    cdef loss_tangent_kernel loss
    cdef bint is_pair           # of outputs, which the loss takes for a target
    cdef LossRows rows
    cdef TangentTile tile

    def __cinit__(self, Engine value, Engine tangent, real[::1] gradient, /):
        plan = value.plan
        if tangent.plan is not plan or plan.purpose != "derivative" or value.n_parameters != tangent.n_parameters or \
                gradient.shape[0] != value.n_parameters:
            raise ValueError("a pass takes two engines of one plan for derivatives, and a gradient for them")
        self.value, self.tangent = value, tangent
        value.owners.append(gradient)
        self.programs[FORWARD_PASS] = tangent_program(value, plan.forward, -1)
        self.programs[BACKWARD_PASS] = tangent_program(value, plan.backward, plan.input_gradient)
        self.programs[GRADIENT_PASS] = tangent_program(value, plan.row_gradient, -1)
        formula = None if plan.heads else plan.loss.formula     # the losses of heads are NumPy's
        self.loss = loss_tangent(place_of(formula, LOSS_FORMULAS))
        self.is_pair = formula in PAIR_LOSSES
        self.tile.room = <real*>value.memory(value.sizes.max_rows * BLOCK * sizeof(real), 64)
        tangent_tile(value, &self.tile.value, &self.tile.of_value)
        tangent_tile(tangent, &self.tile.tangent, &self.tile.of_tangent)
        self.tile.of_tangent.gradient = &gradient[0]
        memset(&self.rows, 0, sizeof(LossRows))
        self.rows.n = value.sizes.n_outputs
        self.rows.ld = value.sizes.ld_output
        self.rows.n_targets = value.n_targets
        self.rows.column = value.loss_column
        self.rows.parameters = value.loss_parameters
        self.rows.out = value.activations + value.sizes.output
        self.rows.d = value.activations + value.sizes.output_gradient

    def refresh(self):
        """Transposes of kernels, from the parameters."""
        self.value.refresh()
        self.tangent.refresh()

    def run(self, int program, Py_ssize_t begin, Py_ssize_t rows, bint is_first, y, double scale, /):
        """Operations of a program from the one at `begin` on, up to one that has no kernel here: its place is returned, or
        how many there are.  Programs are 0, 1 and 2: forward, backward and gradients, which are added up unless they are
        the first; 3 is the loss, `scale` times its slopes by the outputs for the targets y (rows, n_targets): one operation.
        """
        cdef unsigned long mode
        cdef TangentProgram* own
        cdef Py_ssize_t i = max(<Py_ssize_t>0, begin)
        if not 0 <= program <= LOSS_PASS or not 0 <= rows <= self.value.sizes.max_rows:
            raise ValueError("there is no such program, or no room for so many rows")
        if program == LOSS_PASS:
            if self.loss == NULL or i > 0:
                return i
            if y.shape != (rows, self.value.n_targets):
                raise ValueError("y has another shape")
            self.value.set_target(y)
            self.rows.y = self.value.call.targets.y
            self.rows.y_row = self.value.call.targets.y_row
            self.rows.y_column = self.value.call.targets.y_column
            self.rows.scale = scale
        self.tile.value.rows = self.tile.tangent.rows = self.rows.rows = rows
        self.tile.start = START_ZERO if is_first else START_C
        with nogil:
            mode = float_mode_flush()
            if program == LOSS_PASS:
                loss_slopes(self.loss, self.is_pair, &self.rows,
                            self.tangent.activations + self.tangent.sizes.output,
                            self.tangent.activations + self.tangent.sizes.output_gradient)
                i = 1
            else:
                own = &self.programs[program]
                while i < own.n and own.at[i].kernel != NULL:
                    own.at[i].kernel(&own.at[i], &self.tile)
                    i += 1
            float_mode_restore(mode)
        return i


cdef int place_of(name, tuple among) except -2:
    return among.index(name) if name in among else -1


cdef TangentProgram tangent_program(Engine engine, program, Py_ssize_t unused) except *:
    """The operations of a program; what ends in the buffer `unused`, which nobody reads, is left out."""
    cdef TangentProgram found
    cdef Program bound = bound_program(engine, program)
    cdef TangentOperation* own
    cdef Py_ssize_t i
    found.n = bound.n
    found.at = <TangentOperation*>engine.memory(found.n * sizeof(TangentOperation), sizeof(void*))
    for i in range(found.n):
        own = &found.at[i]
        own.bound = own.plain = bound.at[i]
        own.plain.activation.forward = copy_forward
        own.plain.activation.backward = NULL
        own.plain.activation.moves_zero = False
        own.plain.op.slope = -1
        if own.plain.op.z >= 0:
            own.plain.op.c = own.plain.op.z
        place = place_of(program.operations[i].activation.name, ACTIVATION_FORMULAS)
        own.activation = activation_tangent(place)
        if own.activation != NULL:      # else it is of whole rows
            own.kernel = tangent_kernel(&own.bound)
        if unused >= 0 and own.bound.op.c == unused:
            own.kernel = nothing_tangent
    return found


cdef tangent_operation tangent_kernel(const BoundOperation* bound) noexcept:
    """What does the same in dual numbers, or NULL."""
    cdef operation_kernel kernel = bound.kernel
    if kernel == dense:
        return dense_tangent
    if kernel == dense_input:
        return dense_input_tangent
    if bound.gradient == dense_gradient:
        return dense_gradient_tangent
    if kernel in (add, copy_columns, accumulate_columns, activate_source):
        return linear_tangent
    if kernel == activation_backward:
        return activation_backward_tangent
    return NULL


cdef void tangent_tile(Engine engine, RowTile* tile, Weights* weights) noexcept:
    """All rows of a batch, in the memory of an engine."""
    memset(tile, 0, sizeof(RowTile))
    tile.activations = engine.activations
    tile.packing = packing_of(engine, 0)
    bind_gathered(engine, tile)
    weights.w = engine.w
    weights.transposes = engine.transposes
    weights.gradient = NULL


cdef void activate_tangent(TangentOperation* own, TangentTile* tile) noexcept nogil:
    """From what the activation takes, where `plain` has left it, to the result."""
    cdef Operation* op = &own.bound.op
    cdef Activation* f = &own.bound.activation
    cdef Py_ssize_t n = tile.value.rows * op.ldc
    cdef real* z = buffer(&tile.value, own.plain.op.c, op.ldc)
    cdef real* z_dot = buffer(&tile.tangent, own.plain.op.c, op.ldc)
    cdef real* a = buffer(&tile.value, op.c, op.ldc)
    cdef real* a_dot = buffer(&tile.tangent, op.c, op.ldc)
    if op.slope >= 0:
        own.activation(f.alpha, n, z, z_dot, a, a_dot)
        if f.moves_zero:
            zero_padding(tile.value.rows, op.n_c, op.ldc, a)
        return
    activate(f, tile.value.rows, op.n_c, op.ldc, z, a)
    if a_dot != z_dot:
        memcpy(a_dot, z_dot, n * sizeof(real))
    if f.backward != NULL:
        f.backward(f.alpha, tile.value.rows, op.n_c, op.ldc, NULL, a, a_dot)


cdef void times_slope_tangent(TangentOperation* own, TangentTile* tile) noexcept nogil:
    """d = d f'"""
    cdef Operation* op = &own.bound.op
    cdef Activation* f = &own.bound.activation
    cdef Py_ssize_t n = tile.value.rows * op.ldc
    cdef real* d = buffer(&tile.value, op.c, op.ldc)
    cdef real* d_dot = buffer(&tile.tangent, op.c, op.ldc)
    if f.backward == NULL:
        return
    if op.slope >= 0:
        kept_backward_tangent(n, buffer(&tile.value, op.slope, op.ldc), buffer(&tile.tangent, op.slope, op.ldc), d, d_dot)
    else:
        own.activation(f.alpha, n, buffer(&tile.value, op.y, op.ldc), buffer(&tile.tangent, op.y, op.ldc), d, d_dot)


cdef void nothing_tangent(TangentOperation* own, TangentTile* tile) noexcept nogil:
    pass


cdef void dense_tangent(TangentOperation* own, TangentTile* tile) noexcept nogil:
    """z' = a' W + a W' + b'; the network's input does not move"""
    cdef Operation* op = &own.plain.op
    cdef Py_ssize_t rows = tile.value.rows, n = rows * op.ldc, i
    cdef const real* a = tile.value.x
    cdef Py_ssize_t lda = tile.value.x_row
    cdef real* z_dot = buffer(&tile.tangent, op.c, op.ldc)
    cdef const real* w_dot = tile.of_tangent.w + op.w
    cdef const real* b_dot = tile.of_tangent.w + op.b if op.b >= 0 else NULL
    if op.a >= 0:
        a = buffer(&tile.value, op.a, op.lda)
        lda = op.lda
    dense(&own.plain, &tile.value, &tile.of_value, START_ZERO)
    if op.by_columns:
        dot_columns(rows, op.n_c, op.n_a, a, lda, 1, lda, w_dot, op.ldw, b_dot, z_dot, op.ldc)
        if op.a >= 0:
            dot_columns(rows, op.n_c, op.n_a, buffer(&tile.tangent, op.a, op.lda), lda, 1, lda, tile.of_value.w + op.w,
                        op.ldw, NULL, tile.room, op.ldc)
            for i in range(n):
                z_dot[i] += tile.room[i]
    else:
        gemm(rows, op.ldc, op.n_a, START_ZERO if b_dot == NULL else START_BIAS, a, lda, 1, w_dot, op.ldw, z_dot, op.ldc,
             b_dot, &tile.tangent.packing)
        if op.a >= 0:
            gemm(rows, op.ldc, op.n_a, START_C, buffer(&tile.tangent, op.a, op.lda), lda, 1, tile.of_value.w + op.w,
                 op.ldw, z_dot, op.ldc, NULL, &tile.tangent.packing)
    activate_tangent(own, tile)


cdef void dense_input_tangent(TangentOperation* own, TangentTile* tile) noexcept nogil:
    """c' = a' W^T + a W'^T, then the slope of the activation that made the layer's input"""
    cdef Operation* op = &own.bound.op
    cdef real* w_dot = (tile.of_tangent.w if op.by_columns else tile.of_tangent.transposes) + op.w
    dense_input(&own.plain, &tile.value, &tile.of_value, START_ZERO)
    own.bound.kernel(&own.plain, &tile.tangent, &tile.of_value, START_ZERO)
    gemm(tile.value.rows, op.ldc, op.n_a, START_C, buffer(&tile.value, op.a, op.lda), op.lda, 1, w_dot, op.ldw,
         buffer(&tile.tangent, op.c, op.ldc), op.ldc, NULL, &tile.tangent.packing)
    times_slope_tangent(own, tile)


cdef void activation_backward_tangent(TangentOperation* own, TangentTile* tile) noexcept nogil:
    linear_parts(own, tile)
    times_slope_tangent(own, tile)


cdef void linear_tangent(TangentOperation* own, TangentTile* tile) noexcept nogil:
    """Of an operation that is linear but for the activation in which it ends."""
    linear_parts(own, tile)
    activate_tangent(own, tile)


cdef void linear_parts(TangentOperation* own, TangentTile* tile) noexcept nogil:
    own.bound.kernel(&own.plain, &tile.value, &tile.of_value, START_ZERO)
    own.bound.kernel(&own.plain, &tile.tangent, &tile.of_tangent, START_ZERO)


cdef void dense_gradient_tangent(TangentOperation* own, TangentTile* tile) noexcept nogil:
    """The tangents alone: of x^T dz, x'^T dz + x^T dz'"""
    cdef Operation* op = &own.bound.op
    cdef Py_ssize_t rows = tile.value.rows, lda = tile.value.x_row
    cdef const real* x = tile.value.x
    cdef const real* x_dot = NULL
    cdef const real* dz = buffer(&tile.value, op.y, op.ldy)
    cdef const real* dz_dot = buffer(&tile.tangent, op.y, op.ldy)
    cdef real* kernel = tile.of_tangent.gradient + op.c
    cdef Packing* packing = &tile.value.packing
    if op.a >= 0:
        x = buffer(&tile.value, op.a, op.lda)
        x_dot = buffer(&tile.tangent, op.a, op.lda)
        lda = op.lda
    if op.by_columns:
        gemm(op.n_c, op.ldw, rows, tile.start, dz_dot, 1, op.ldy, x, lda, kernel, op.ldw, NULL, packing)
        if x_dot != NULL:
            gemm(op.n_c, op.ldw, rows, START_C, dz, 1, op.ldy, x_dot, lda, kernel, op.ldw, NULL, packing)
    else:
        gemm(op.n_c, op.ldw, rows, tile.start, x, 1, lda, dz_dot, op.ldy, kernel, op.ldw, NULL, packing)
        if x_dot != NULL:
            gemm(op.n_c, op.ldw, rows, START_C, x_dot, 1, lda, dz, op.ldy, kernel, op.ldw, NULL, packing)
    if op.b >= 0:
        column_sums(rows, op.ldy, tile.start, dz_dot, op.ldy, tile.of_tangent.gradient + op.b)

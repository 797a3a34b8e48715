# The latency path: a step of few rows through layers that are all one block of 64 bytes wide.
#
# Such a step takes some hundred cycles, most of them one long chain of dependent operations; choosing among tiles, panels
# and regimes, and passing every vector through memory, would double them.  Here the products of one block, tanh, Adam and
# SGD are inlined one after the other, so that they meet in registers, and every address is worked out beforehand.  A
# layer's update follows its backward pass: its square roots and divisions run beside the pass of the layer below.  Other
# updates come last, all at once.  Every element is the chain of product.pxi and dot_columns in the same order: the same bits
# as on the general path.
#
# Where no layer has more than four units, few.pxi has the step.

# How the parameters are updated.
cdef enum:
    UPDATE_LAST     # when all gradients are there, by `update_segments`
    UPDATE_ADAM     # without decay; these layer by layer
    UPDATE_ADAMW
    UPDATE_SGD

ctypedef void (*pass_kernel)(Engine engine, Py_ssize_t rows, const real* x, const real* scalar) noexcept nogil

# A dense layer of such a network; NULL for what it does not have.
cdef struct LatencyLayer:
    Py_ssize_t n_in
    Py_ssize_t n_out
    Py_ssize_t n_stored         # rows of the kernel as it is stored
    bint by_columns
    Activation activation
    bint is_linear
    bint is_tanh
    const real* x               # input, or NULL for the network's own
    real* z                     # pre-activation, then its slope where the activation keeps that
    real* a                     # output
    real* dz                    # gradient by the pre-activation
    real* w
    real* bias
    const real* backward        # kernel by outputs: w itself, or its transposed copy
    const Segment* kernel
    bint kernel_decays
    bint bias_decays
    # for few.pxi: up to four rows of a kernel stored by columns, and the bias; zeros for what there is not
    const real* row[4]
    const real* shift


cdef int find_latency_layers(Engine engine) except -1:
    """The layers as the operations of the plan describe them: forward one an operation, backward in the opposite order."""
    cdef Py_ssize_t i, o, layer
    cdef BoundOperation* bound
    cdef Operation* op
    cdef LatencyLayer* found
    cdef Activation tanh_kernels = find_activation("tanh", 0, False)
    cdef real* zeros = <real*>engine.memory(4 * sizeof(real), 4 * sizeof(real))
    engine.is_few = HAS_FOUR
    choose_update(engine)
    for i in range(engine.forward_program.n):
        bound = &engine.forward_program.at[i]
        op = &bound.op
        found = &engine.latency_layers[i]
        engine.is_few = engine.is_few and op.n_a <= 4 and op.n_c <= 4 and op.by_columns
        found.n_in = op.n_a
        found.n_out = op.n_c
        found.by_columns = op.by_columns
        found.activation = bound.activation
        found.is_linear = bound.activation.backward == NULL
        found.is_tanh = bound.activation.forward == tanh_kernels.forward
        found.x = engine.activations + op.a if op.a >= 0 else NULL
        found.a = engine.activations + op.c
        found.z = engine.activations + (op.z if op.z >= 0 else op.c)
        found.w = engine.w + op.w
        found.bias = engine.w + op.b if op.b >= 0 else NULL
        found.shift = found.bias if found.bias != NULL else zeros
        for o in range(4):
            found.row[o] = found.w + o * BLOCK if o < op.n_c else zeros
    layer = engine.forward_program.n
    for i in range(engine.backward_program.n):
        bound = &engine.backward_program.at[i]
        op = &bound.op
        if bound.gradient != NULL:
            layer -= 1
            found = &engine.latency_layers[layer]
            found.dz = engine.activations + op.y
            found.n_stored = op.n_c
            found.kernel = &engine.segments[op.kernel]
            found.kernel_decays = found.kernel.decays
            found.bias_decays = op.bias >= 0 and engine.segments[op.bias].decays
        elif bound.kernel == dense_input:
            found = &engine.latency_layers[layer]
            found.backward = (engine.w if op.by_columns else engine.transposes) + op.w
    return 0


cdef void choose_update(Engine engine) noexcept:
    """Not UPDATE_LAST where all parameters are trained by a step known here, at one rate, without penalty or average."""
    cdef Py_ssize_t i
    cdef bint decays = False
    engine.latency_update, engine.latency_pass = UPDATE_LAST, latency_others
    if engine.average > 0:
        return
    for i in range(engine.n_segments):
        if engine.segments[i].l1 != 0 or engine.segments[i].l2 != 0 or engine.segments[i].rate != 1:
            return
        decays = decays or engine.segments[i].decays
    if engine.optimizer.scalars == fill_sgd_scalars:
        engine.latency_update, engine.latency_pass = UPDATE_SGD, latency_sgd
    elif engine.optimizer.scalars == fill_adam_scalars and decays:
        engine.latency_update, engine.latency_pass = UPDATE_ADAMW, latency_adamw
    elif engine.optimizer.scalars == fill_adam_scalars:
        engine.latency_update, engine.latency_pass = UPDATE_ADAM, latency_adam


cdef inline void latency_forward(LatencyLayer* layer, Py_ssize_t rows, const real* x) noexcept nogil:
    """a = f(x W + b)"""
    cdef real* z = layer.z
    cdef Py_ssize_t r
    for r in range(rows):
        if layer.by_columns:
            dot_rows(1, layer.n_out, layer.n_in, x, BLOCK, 1, layer.w, BLOCK, layer.bias, z, BLOCK)
        elif layer.bias == NULL:
            micro_tile(1, BLOCK_VECTORS, START_ZERO, layer.n_in, x, 0, 1, layer.w, BLOCK, z, 0, NULL)
        else:
            micro_tile(1, BLOCK_VECTORS, START_BIAS, layer.n_in, x, 0, 1, layer.w, BLOCK, z, 0, layer.bias)
        if layer.is_tanh:
            forward_run(tanh_of, 0, BLOCK, z, z)
        x += BLOCK
        z += BLOCK
    if not layer.is_tanh and not layer.is_linear:
        activate(&layer.activation, rows, layer.n_out, BLOCK, layer.z, layer.a)


cdef inline void latency_backward(LatencyLayer* layer, LatencyLayer* below, Py_ssize_t rows) noexcept nogil:
    """dz of the layer below = dz W^T times the derivative of its activation"""
    cdef const real* dz = layer.dz
    cdef real* d = below.dz
    cdef const real* a = below.a
    cdef Py_ssize_t r
    cdef int v
    for r in range(rows):
        micro_tile(1, BLOCK_VECTORS, START_ZERO, layer.n_out, dz, 0, 1, layer.backward, BLOCK, d, 0, NULL)
        if below.is_tanh:
            for v in range(BLOCK_VECTORS):
                vstore(d + v * LANES, vload(d + v * LANES) * (vset(1) - vload(a + v * LANES) * vload(a + v * LANES)))
        dz += BLOCK
        d += BLOCK
        a += BLOCK
    if not below.is_tanh and not below.is_linear:
        latency_slope(below, rows)


cdef inline void latency_slope(LatencyLayer* layer, Py_ssize_t rows) noexcept nogil:
    """dz = da times the derivative of the layer's activation"""
    layer.activation.backward(layer.activation.alpha, rows, layer.n_out, BLOCK, layer.z, layer.a, layer.dz)


cdef inline void latency_product(const int update, Engine engine, bint decays, Py_ssize_t n, Py_ssize_t rows, const real* a,
                                 Py_ssize_t a_column, const real* b, real* w, const real* scalar) noexcept nogil:
    """Gradient and update of n stored rows of a kernel at w, one block each: gradient[i] = sum_r a[r, i] b[r]."""
    cdef Py_ssize_t at = w - engine.w, i
    cdef real* g = engine.gradient + at
    cdef real* m = engine.state + at
    cdef real* v = m + engine.n_parameters
    cdef int part
    for i in range(n):
        micro_tile(1, BLOCK_VECTORS, START_ZERO, rows, a + i, 0, a_column, b, BLOCK, g, 0, NULL)
        if update == UPDATE_ADAM or update == UPDATE_ADAMW:
            grouped_adam(False, BLOCK, scalar, 0, 0, update == UPDATE_ADAMW and decays, False, w, g, m, v)
            m += BLOCK
            v += BLOCK
        elif update == UPDATE_SGD:
            for part in range(BLOCK_VECTORS):
                vstore(w + part * LANES, vfma(vset(-scalar[0]), vload(g + part * LANES), vload(w + part * LANES)))
        w += BLOCK
        g += BLOCK


cdef inline void latency_gradients(const int update, Engine engine, LatencyLayer* layer, Py_ssize_t rows, const real* x,
                                   const real* scalar) noexcept nogil:
    """Gradient and update of one layer; the bias is a kernel row whose input is 1."""
    cdef real one = 1
    if layer.bias != NULL:
        latency_product(update, engine, layer.bias_decays, 1, rows, &one, 0, layer.dz, layer.bias, scalar)
    if layer.by_columns:
        latency_product(update, engine, layer.kernel_decays, layer.n_stored, rows, layer.dz, BLOCK, x, layer.w, scalar)
    else:
        latency_product(update, engine, layer.kernel_decays, layer.n_stored, rows, x, BLOCK, layer.dz, layer.w, scalar)
    if update != UPDATE_LAST and layer.kernel.transpose >= 0:
        transpose_rows(engine, layer.kernel, 0, layer.n_stored)


cdef inline void latency_backward_pass(const int update, Engine engine, Py_ssize_t rows, const real* x,
                                       const real* scalar) noexcept nogil:
    """The layers' gradients and updates, from dz of the last one; x is the network's input."""
    cdef LatencyLayer* layer
    cdef Py_ssize_t i
    for i in range(engine.forward_program.n - 1, 0, -1):
        layer = &engine.latency_layers[i]
        latency_backward(layer, layer - 1, rows)
        latency_gradients(update, engine, layer, rows, layer.x, scalar)
    latency_gradients(update, engine, engine.latency_layers, rows, x, scalar)


# Each apart: side by side in one function, they cost Adam's 6 %.
cdef void latency_adam(Engine engine, Py_ssize_t rows, const real* x, const real* scalar) noexcept nogil:
    latency_backward_pass(UPDATE_ADAM, engine, rows, x, scalar)


cdef void latency_adamw(Engine engine, Py_ssize_t rows, const real* x, const real* scalar) noexcept nogil:
    latency_backward_pass(UPDATE_ADAMW, engine, rows, x, scalar)


cdef void latency_sgd(Engine engine, Py_ssize_t rows, const real* x, const real* scalar) noexcept nogil:
    latency_backward_pass(UPDATE_SGD, engine, rows, x, scalar)


cdef void latency_others(Engine engine, Py_ssize_t rows, const real* x, const real* scalar) noexcept nogil:
    latency_backward_pass(UPDATE_LAST, engine, rows, x, scalar)
    update_segments(engine, 0, 1, 1, scalar)


cdef bint latency_step(Engine engine, Call* call, const unsigned int* order, Py_ssize_t first, Py_ssize_t rows,
                       double* loss) noexcept nogil:
    """`take_step` for such a network and batch, on the calling thread."""
    cdef RowTile tile
    cdef real scalar[MOST_NUMBERS]
    cdef LatencyLayer* layer = engine.latency_layers
    cdef Py_ssize_t i
    cdef double mean = mean_factor(engine, call, order, first, rows)
    cdef double next_power[MOST_POWERS]
    next_scalars(engine, engine.power, next_power, scalar)
    tile.rows = rows
    tile.first = 0
    tile.activations = engine.activations
    tile.weight = engine.weight_room
    tile.metric = engine.tile_metric
    bind_rows(engine, call, &tile, order, first)
    latency_forward(layer, rows, tile.x)
    for i in range(1, engine.forward_program.n):
        layer = &engine.latency_layers[i]
        latency_forward(layer, rows, layer.x)
    loss[0] = mean * loss_of_tile(engine, call, &tile, BLOCK, order, first, <real>mean)
    if not goes_on(engine, call, rows, loss[0], next_power):
        return False
    if not layer.is_linear:
        latency_slope(layer, rows)
    engine.latency_pass(engine, rows, tile.x, scalar)
    return True


cdef inline bint goes_on(Engine engine, Call* call, Py_ssize_t rows, double loss, const double* next_power) noexcept nogil:
    """Whether a step whose loss is known is to update the parameters; its powers are then the engine's."""
    poll(engine, call, rows)
    if call.status != RUNNING or not is_finite(loss):
        return False
    memcpy(engine.power, next_power, sizeof(engine.power))
    return True

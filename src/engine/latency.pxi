# The latency path: a step of few rows through layers that are all one block of 64 bytes wide.
#
# Such a step takes some hundred cycles, most of them one long chain of dependent operations; choosing among tiles, panels
# and regimes, and passing every vector through memory, would double them.  Here the products of one block, tanh and Adam
# are inlined one after the other, so that they meet in registers, and every address is worked out beforehand.  A layer's
# update follows its backward pass: its square roots and divisions run beside the pass of the layer below.  Every element is
# the chain of product.pxi and dot_columns in the same order: the same bits as on the general path.
#
# Where no layer has more than four units (`few`, a literal where functions are inlined), rows are four numbers and their
# padding is left alone: divisions of 16 bytes take a fifth of the time, and every load finds its numbers in one store.

# A dense layer of such a network; NULL for what it does not have.
cdef struct LatencyLayer:
    Py_ssize_t n_in
    Py_ssize_t n_out
    Py_ssize_t n_stored         # rows of the kernel as it is stored
    bint by_columns
    Activation activation
    bint is_linear
    bint is_tanh
    bint is_plain_kernel        # the step of the kernel is Adam's, without penalty or decay
    bint is_plain_bias
    const real* x               # input, or NULL for the network's own
    real* z                     # pre-activation, then its slope where the activation keeps that
    real* a                     # output
    real* dz                    # gradient by the pre-activation
    real* w
    real* bias
    const real* backward        # kernel by outputs: w itself, or its transposed copy
    Py_ssize_t kernel           # segments
    Py_ssize_t bias_segment


cdef void find_latency_layers(Engine engine):
    """The layers as the operations of the plan describe them: forward one an operation, backward in the opposite order."""
    cdef Py_ssize_t i, layer
    cdef BoundOperation* bound
    cdef Operation* op
    cdef LatencyLayer* found
    cdef Activation tanh_kernels = find_activation("tanh", 0, False)
    engine.is_few = True
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
    layer = engine.forward_program.n
    for i in range(engine.backward_program.n):
        bound = &engine.backward_program.at[i]
        op = &bound.op
        if bound.gradient != NULL:
            layer -= 1
            found = &engine.latency_layers[layer]
            found.dz = engine.activations + op.y
            found.n_stored = op.n_c
            found.kernel = op.kernel
            found.bias_segment = op.bias
            found.is_plain_kernel = is_plain_adam(engine, &engine.segments[op.kernel])
            found.is_plain_bias = op.bias >= 0 and is_plain_adam(engine, &engine.segments[op.bias])
        elif bound.kernel == dense_input:
            found = &engine.latency_layers[layer]
            found.backward = (engine.w if op.by_columns else engine.transposes) + op.w


cdef bint is_plain_adam(Engine engine, const Segment* segment) noexcept:
    """Whether the step of a segment is Adam's, without penalty or decay."""
    cdef real scalar[MOST_NUMBERS]
    cdef double power[MOST_POWERS]
    if engine.optimizer.scalars != fill_adam_scalars or segment.l1 != 0 or segment.l2 != 0:
        return False
    memset(power, 0, sizeof(power))
    engine.optimizer.scalars(engine.number, power, scalar)
    return not segment.decays or (<adam_scalar*>scalar).decay == 0


cdef void few_tanh(real* z) noexcept nogil:
    """z = tanh(z), four numbers; inlined, they would be computed one by one."""
    forward_run(tanh_of, 0, 4, z, z)


cdef inline vfour few_dots(LatencyLayer* layer, const real* x) noexcept nogil:
    """x W + b for up to four outputs; 0 for those that are missing."""
    cdef const real* w = layer.w
    cdef const real* bias = layer.bias
    cdef real zero[4]
    if bias == NULL:
        zero[0] = zero[1] = zero[2] = zero[3] = 0
        bias = zero
    return four_of(dot(layer.n_in, x, 1, w, bias),
                   dot(layer.n_in, x, 1, w + BLOCK, bias + 1) if layer.n_out > 1 else 0,
                   dot(layer.n_in, x, 1, w + 2 * BLOCK, bias + 2) if layer.n_out > 2 else 0,
                   dot(layer.n_in, x, 1, w + 3 * BLOCK, bias + 3) if layer.n_out > 3 else 0)


cdef inline void latency_forward(const bint few, LatencyLayer* layer, Py_ssize_t rows, const real* x,
                                 Py_ssize_t ldx) noexcept nogil:
    """a = f(x W + b)"""
    cdef real* z = layer.z
    cdef Py_ssize_t r
    for r in range(rows):
        if few:
            four_store(z, few_dots(layer, x))
        elif layer.by_columns:
            dot_rows(1, layer.n_out, layer.n_in, x, ldx, 1, layer.w, BLOCK, layer.bias, z, BLOCK)
        elif layer.bias == NULL:
            micro_tile(1, BLOCK_VECTORS, START_ZERO, layer.n_in, x, 0, 1, layer.w, BLOCK, z, 0, NULL)
        else:
            micro_tile(1, BLOCK_VECTORS, START_BIAS, layer.n_in, x, 0, 1, layer.w, BLOCK, z, 0, layer.bias)
        if few and layer.is_tanh:
            few_tanh(z)
        elif layer.is_tanh:
            forward_run(tanh_of, 0, BLOCK, z, z)
        elif few and not layer.is_linear:
            layer.activation.forward(layer.activation.alpha, 1, 4, 4, z, layer.a + r * BLOCK)
        x += ldx
        z += BLOCK
    if not few and not layer.is_tanh and not layer.is_linear:
        activate(&layer.activation, rows, layer.n_out, BLOCK, layer.z, layer.a)


cdef inline void few_backward(LatencyLayer* layer, LatencyLayer* below, const real* dz, real* d,
                              const real* a) noexcept nogil:
    """One row of what follows."""
    cdef vfour sum = four_set(0)
    cdef Py_ssize_t o
    for o in range(layer.n_out):
        sum = four_fma(four_set(dz[o]), four_load(layer.w + o * BLOCK), sum)
    if below.is_tanh:
        sum = sum * (four_set(1) - four_load(a) * four_load(a))
    four_store(d, sum)


cdef inline void latency_backward(const bint few, LatencyLayer* layer, LatencyLayer* below, Py_ssize_t rows) noexcept nogil:
    """dz of the layer below = dz W^T times the derivative of its activation"""
    cdef const real* dz = layer.dz
    cdef real* d = below.dz
    cdef const real* a = below.a
    cdef Py_ssize_t r
    cdef int v
    if few:
        for r in range(rows):
            few_backward(layer, below, dz + r * BLOCK, d + r * BLOCK, a + r * BLOCK)
        if not below.is_tanh and not below.is_linear:
            latency_slope(few, below, rows)
        return
    for r in range(rows):
        micro_tile(1, BLOCK_VECTORS, START_ZERO, layer.n_out, dz, 0, 1, layer.backward, BLOCK, d, 0, NULL)
        if below.is_tanh:
            for v in range(BLOCK_VECTORS):
                vstore(d + v * LANES, vload(d + v * LANES) * (vset(1) - vload(a + v * LANES) * vload(a + v * LANES)))
        dz += BLOCK
        d += BLOCK
        a += BLOCK
    if not below.is_tanh and not below.is_linear:
        latency_slope(few, below, rows)


cdef inline void latency_slope(const bint few, LatencyLayer* layer, Py_ssize_t rows) noexcept nogil:
    """dz = da times the derivative of the layer's activation"""
    cdef Py_ssize_t r
    if few:
        for r in range(rows):
            layer.activation.backward(layer.activation.alpha, 1, 4, 4, layer.z + r * BLOCK, layer.a + r * BLOCK,
                                      layer.dz + r * BLOCK)
        return
    layer.activation.backward(layer.activation.alpha, rows, layer.n_out, BLOCK, layer.z, layer.a, layer.dz)


cdef inline void few_product(const real* scalar, Py_ssize_t n, Py_ssize_t rows, const real* a, Py_ssize_t a_column,
                             const real* b, Py_ssize_t ldb, bint is_plain, real* w, real* g, real* m,
                             real* v) noexcept nogil:
    """Rows of four numbers of what follows; the update where it is plain."""
    cdef vfour sum
    cdef Py_ssize_t i, r
    for i in range(n):
        sum = four_set(0)
        for r in range(rows):
            sum = four_fma(four_set(a[r * a_column + i]), four_load(b + r * ldb), sum)
        if not is_plain:
            four_store_row(g + i * BLOCK, sum)      # its optimizer works on whole blocks
        else:
            four_store(g + i * BLOCK, sum)
            few_adam(scalar, w + i * BLOCK, g + i * BLOCK, m + i * BLOCK, v + i * BLOCK)


cdef inline void latency_product(const bint few, Engine engine, Py_ssize_t segment, bint is_plain, Py_ssize_t n,
                                 Py_ssize_t rows, const real* a, Py_ssize_t a_column, const real* b, Py_ssize_t ldb, real* w,
                                 const real* scalar) noexcept nogil:
    """Gradient and update of n stored rows of a kernel at w, one block each: gradient[i] = sum_r a[r, i] b[r]."""
    cdef Py_ssize_t at = w - engine.w, i
    cdef real* g = engine.gradient + at
    cdef real* m = engine.state + at
    cdef real* v = m + engine.n_parameters
    if few:
        few_product(scalar, n, rows, a, a_column, b, ldb, is_plain, w, g, m, v)
        if not is_plain:
            step_range(engine, &engine.segments[segment], at, n * BLOCK, g, scalar)
    elif is_plain:
        for i in range(n):
            micro_tile(1, BLOCK_VECTORS, START_ZERO, rows, a + i, 0, a_column, b, ldb, g, 0, NULL)
            grouped_adam(False, BLOCK, scalar, 0, 0, False, False, w, g, m, v)
            w += BLOCK
            g += BLOCK
            m += BLOCK
            v += BLOCK
    else:
        for i in range(n):
            micro_tile(1, BLOCK_VECTORS, START_ZERO, rows, a + i, 0, a_column, b, ldb, g + i * BLOCK, 0, NULL)
        step_range(engine, &engine.segments[segment], at, n * BLOCK, g, scalar)


cdef inline void latency_gradients(const bint few, Engine engine, LatencyLayer* layer, Py_ssize_t rows, const real* x,
                                   Py_ssize_t ldx, const real* scalar) noexcept nogil:
    """Gradient and update of one layer; the bias is a kernel row whose input is 1."""
    cdef real one = 1
    if layer.bias != NULL:
        latency_product(few, engine, layer.bias_segment, layer.is_plain_bias, 1, rows, &one, 0, layer.dz, BLOCK, layer.bias,
                        scalar)
    if layer.by_columns:
        latency_product(few, engine, layer.kernel, layer.is_plain_kernel, layer.n_stored, rows, layer.dz, BLOCK, x, ldx,
                        layer.w, scalar)
    else:
        latency_product(few, engine, layer.kernel, layer.is_plain_kernel, layer.n_stored, rows, x, ldx, layer.dz, BLOCK,
                        layer.w, scalar)
        if engine.segments[layer.kernel].transpose >= 0:
            transpose_rows(engine, &engine.segments[layer.kernel], 0, layer.n_stored)


cdef inline void few_rows(Engine engine, Call* call, RowTile* tile, const unsigned int* order,
                          Py_ssize_t first) noexcept nogil:
    """`bind_rows` for up to four columns."""
    cdef real* out = buffer(tile, engine.sizes.input, BLOCK)
    cdef Py_ssize_t r, n = engine.sizes.n_features, column = call.x_column
    cdef const real* x
    tile.x = out
    for r in range(tile.rows):
        x = call.x + (order[r] if order != NULL else first + r) * call.x_row
        four_store(out + r * BLOCK, four_of(x[0], x[column] if n > 1 else 0, x[2 * column] if n > 2 else 0,
                                            x[3 * column] if n > 3 else 0))
    if order != NULL and column == 1:
        fetch_rows(engine, call, tile.rows, order)


cdef bint latency_step(Engine engine, Call* call, const unsigned int* order, Py_ssize_t first, Py_ssize_t rows,
                       double* loss) noexcept nogil:
    """`take_step` for such a network and batch, on the calling thread."""
    if HAS_FOUR and engine.is_few:
        return step_of_latency(True, engine, call, order, first, rows, loss)
    return step_of_latency(False, engine, call, order, first, rows, loss)


cdef inline bint step_of_latency(const bint few, Engine engine, Call* call, const unsigned int* order, Py_ssize_t first,
                                 Py_ssize_t rows, double* loss) noexcept nogil:
    cdef RowTile tile
    cdef real scalar[MOST_NUMBERS]
    cdef LatencyLayer* layer = engine.latency_layers
    cdef const real* x
    cdef Py_ssize_t i
    cdef double mean = 1.0 / (<double>rows * engine.sizes.loss_divisor)
    cdef double next_power[MOST_POWERS]
    next_scalars(engine, engine.power, next_power, scalar)
    tile.rows = rows
    tile.first = 0
    tile.activations = engine.activations
    if few:
        few_rows(engine, call, &tile, order, first)
    else:
        bind_rows(engine, call, &tile, order, first)
    latency_forward(few, layer, rows, tile.x, BLOCK)
    for i in range(1, engine.forward_program.n):
        layer = &engine.latency_layers[i]
        latency_forward(few, layer, rows, layer.x, BLOCK)
    loss[0] = mean * loss_of_tile(engine, call, &tile, order, first, <real>mean)
    poll(engine, call, rows)
    if call.status != RUNNING or not is_finite(loss[0]):
        return False
    engine.power[0] = next_power[0]
    engine.power[1] = next_power[1]
    if not layer.is_linear:
        latency_slope(few, layer, rows)
    for i in range(engine.forward_program.n - 1, 0, -1):
        layer = &engine.latency_layers[i]
        latency_backward(few, layer, layer - 1, rows)
        latency_gradients(few, engine, layer, rows, layer.x, BLOCK, scalar)
    latency_gradients(few, engine, engine.latency_layers, rows, tile.x, BLOCK, scalar)
    return True

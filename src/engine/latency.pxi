# The latency path: a step of few rows through layers that are all one block of 64 bytes wide.
#
# Such a step takes some hundred cycles, most of them one long chain of dependent operations; choosing among tiles, panels
# and regimes, and passing every vector through memory, would double them.  Here the products of one block, tanh and Adam
# are inlined one after the other, so that they meet in registers, and every address is worked out beforehand.  A layer's
# update follows its backward pass: its square roots and divisions run beside the pass of the layer below.  Every element is
# the chain of product.pxi and dot_columns in the same order: the same bits as on the general path.

# A dense layer of such a network; NULL for what it does not have.
cdef struct NarrowLayer:
    Py_ssize_t n_in
    Py_ssize_t n_out
    Py_ssize_t n_stored         # rows of the kernel as it is stored
    bint by_columns
    int activation
    real alpha
    const real* x               # input, or NULL for the network's own
    real* z                     # pre-activation
    real* a                     # output
    real* dz                    # gradient by the pre-activation
    real* w
    real* bias
    const real* backward        # kernel by outputs: w itself, or its transposed copy
    Py_ssize_t kernel           # segments
    Py_ssize_t bias_segment


cdef void find_narrow_layers(Engine engine):
    """The layers as the operations of the plan describe them: forward one an operation, backward in the opposite order."""
    cdef Py_ssize_t i, layer
    cdef Operation* op
    cdef NarrowLayer* found
    for i in range(engine.n_forward):
        op = &engine.forward_table[i]
        found = &engine.narrow_layers[i]
        found.n_in = op.n_a
        found.n_out = op.n_c
        found.by_columns = op.by_columns
        found.activation = <int>op.activation
        found.alpha = <real>engine.forward_alpha[i]
        found.x = engine.activations + op.a if op.a >= 0 else NULL
        found.a = engine.activations + op.c
        found.z = engine.activations + (op.z if op.z >= 0 else op.c)
        found.w = engine.w + op.w
        found.bias = engine.w + op.b if op.b >= 0 else NULL
    layer = engine.n_forward
    for i in range(engine.n_backward):
        op = &engine.backward_table[i]
        if op.kind == DENSE_PARAMETERS:
            layer -= 1
            found = &engine.narrow_layers[layer]
            found.dz = engine.activations + op.y
            found.n_stored = op.n_c
            found.kernel = op.kernel
            found.bias_segment = op.bias
        elif op.kind == DENSE_INPUT:
            found = &engine.narrow_layers[layer]
            found.backward = (engine.w if op.by_columns else engine.copies) + op.w


cdef inline void narrow_forward(NarrowLayer* layer, Py_ssize_t rows, const real* x, Py_ssize_t ldx) noexcept nogil:
    """a = f(x W + b)"""
    cdef real* z = layer.z
    cdef Py_ssize_t r
    for r in range(rows):
        if layer.by_columns:
            dot_rows(1, layer.n_out, layer.n_in, x, ldx, 1, layer.w, BLOCK, layer.bias, z, BLOCK)
        elif layer.bias == NULL:
            tile(1, BLOCK_VECTORS, START_ZERO, layer.n_in, x, 0, 1, layer.w, BLOCK, z, 0, NULL)
        else:
            tile(1, BLOCK_VECTORS, START_BIAS, layer.n_in, x, 0, 1, layer.w, BLOCK, z, 0, layer.bias)
        if layer.activation == TANH:
            forward_run(TANH, 0, BLOCK, z, z)
        x += ldx
        z += BLOCK
    if layer.activation != TANH and layer.activation != LINEAR:
        activate(layer.activation, layer.alpha, rows, layer.n_out, BLOCK, layer.z, layer.a)


cdef inline void narrow_backward(NarrowLayer* layer, NarrowLayer* below, Py_ssize_t rows) noexcept nogil:
    """dz of the layer below = dz W^T times the derivative of its activation"""
    cdef const real* dz = layer.dz
    cdef real* d = below.dz
    cdef const real* a = below.a
    cdef Py_ssize_t r
    cdef int v
    for r in range(rows):
        tile(1, BLOCK_VECTORS, START_ZERO, layer.n_out, dz, 0, 1, layer.backward, BLOCK, d, 0, NULL)
        if below.activation == TANH:
            for v in range(BLOCK_VECTORS):
                vstore(d + v * LANES, vload(d + v * LANES) * (vset(1) - vload(a + v * LANES) * vload(a + v * LANES)))
        dz += BLOCK
        d += BLOCK
        a += BLOCK
    if below.activation != TANH and below.activation != LINEAR:
        activation_backward(below.activation, below.alpha, rows * BLOCK, below.z, below.a, below.dz)


cdef inline void narrow_product(Engine engine, Py_ssize_t segment, Py_ssize_t n, Py_ssize_t rows, const real* a,
                                Py_ssize_t a_column, const real* b, Py_ssize_t ldb, real* w,
                                StepScalar* scalar) noexcept nogil:
    """Gradient and update of n stored rows of a kernel at w, one block each: gradient[i] = sum_r a[r, i] b[r]."""
    cdef Py_ssize_t at = w - engine.w, i
    cdef real* g = engine.gradient + at
    cdef real* m = engine.state + at
    cdef real* v = m + engine.n_parameters
    if scalar.code == ADAM and engine.l1[segment] == 0 and engine.l2[segment] == 0:
        for i in range(n):
            tile(1, BLOCK_VECTORS, START_ZERO, rows, a + i, 0, a_column, b, ldb, g, 0, NULL)
            adam_step(BLOCK, scalar, 0, 0, 0, w, g, m, v)
            w += BLOCK
            g += BLOCK
            m += BLOCK
            v += BLOCK
    else:
        for i in range(n):
            tile(1, BLOCK_VECTORS, START_ZERO, rows, a + i, 0, a_column, b, ldb, g + i * BLOCK, 0, NULL)
        step_range(engine, &engine.segments[segment], segment, at, n * BLOCK, g, scalar)


cdef inline void narrow_parameters(Engine engine, NarrowLayer* layer, Py_ssize_t rows, const real* x, Py_ssize_t ldx,
                                   StepScalar* scalar) noexcept nogil:
    """Gradient and update of one layer; the bias is a kernel row whose input is 1."""
    cdef real one = 1
    if layer.bias != NULL:
        narrow_product(engine, layer.bias_segment, 1, rows, &one, 0, layer.dz, BLOCK, layer.bias, scalar)
    if layer.by_columns:
        narrow_product(engine, layer.kernel, layer.n_stored, rows, layer.dz, BLOCK, x, ldx, layer.w, scalar)
    else:
        narrow_product(engine, layer.kernel, layer.n_stored, rows, x, ldx, layer.dz, BLOCK, layer.w, scalar)
        if engine.segments[layer.kernel].copy >= 0:
            copy_rows(engine, &engine.segments[layer.kernel], 0, layer.n_stored)


cdef bint narrow_step(Engine engine, Call* call, const unsigned int* order, Py_ssize_t first, Py_ssize_t rows,
                      double* loss) noexcept nogil:
    """`take_step` for such a network and batch, on the calling thread."""
    cdef Tile tile
    cdef StepScalar scalar
    cdef NarrowLayer* layer = engine.narrow_layers
    cdef const real* x
    cdef Py_ssize_t i
    cdef double mean = 1.0 / (<double>rows * engine.loss_divisor)
    cdef double next_power[2]
    next_power[0] = engine.power[0] * engine.hyper.beta1
    next_power[1] = engine.power[1] * engine.hyper.beta2
    step_scalar(&engine.hyper, next_power, &scalar)
    tile.rows = rows
    tile.first = 0
    tile.activations = engine.activations
    bind_rows(engine, call, &tile, order, first)
    narrow_forward(layer, rows, tile.x, BLOCK)
    for i in range(1, engine.n_forward):
        layer = &engine.narrow_layers[i]
        narrow_forward(layer, rows, layer.x, BLOCK)
    loss[0] = mean * loss_of_tile(engine, call, &tile, order, first, <real>mean,
                                  engine.activations + engine.output_gradient)
    poll(engine, call, rows)
    if call.status != RUNNING or not is_finite(loss[0]):
        return False
    engine.power[0] = next_power[0]
    engine.power[1] = next_power[1]
    if layer.activation != LINEAR:
        activation_backward(layer.activation, layer.alpha, rows * BLOCK, layer.z, layer.a, layer.dz)
    for i in range(engine.n_forward - 1, 0, -1):
        layer = &engine.narrow_layers[i]
        narrow_backward(layer, layer - 1, rows)
        narrow_parameters(engine, layer, rows, layer.x, BLOCK, &scalar)
    narrow_parameters(engine, engine.narrow_layers, rows, tile.x, BLOCK, &scalar)
    return True

# Operations of a plan with the rows in the lanes: those of operation.pxi on buffers that are turned, (units, lanes).
#
# A buffer begins where it does otherwise, and takes no more room.  Activations work on runs of numbers and do not care;
# where one keeps its slope, it does so in the place of z.

cdef operation_kernel find_lane_operation(str name) except NULL:
    """The kernel of a kind of operation.  Raises ValueError for an unknown one."""
    if name == "dense":
        return lane_dense
    if name in ("dense_input", "dense_turned"):
        return lane_dense_input
    if name == "dense_gradient":
        return lane_dense_gradient
    if name == "activation_backward":
        return lane_activation_backward
    if name == "add":
        return lane_add
    if name == "copy":
        return lane_copy
    if name == "accumulate":
        return lane_accumulate
    if name == "activate":
        return lane_activate
    if name == "scale":
        return lane_scale
    if name == "scale_input":
        return lane_scale_input
    if name == "multiply":
        return lane_multiply
    if name == "dropout":
        return lane_drop
    if name == "noise":
        return lane_noise
    if name == "normalize":
        return lane_normalize
    if name == "normalize_input":
        return lane_normalize_input
    if name == "scale_gradient":
        return lane_scale_gradient
    if name == "prelu":
        return lane_prelu
    if name == "prelu_input":
        return lane_prelu_input
    if name == "prelu_gradient":
        return lane_prelu_gradient
    raise unknown("operation", name)


cdef inline const real* lane_source(RowTile* tile, long long offset) noexcept nogil:
    return tile.x if offset < 0 else tile.activations + offset


cdef inline real* lane_z(RowTile* tile, Operation* op) noexcept nogil:
    return tile.activations + (op.z if op.z >= 0 else op.c)


cdef void lane_dense(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = f(W^T a + b)"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t ld = tile.lane_length
    cdef real* z = lane_z(tile, op)
    cdef const real* bias = weights.w + op.b if op.b >= 0 else NULL
    panels(op.n_c, tile.lanes, op.n_a, START_ZERO if bias == NULL else START_ROW_BIAS,
           weights.w + op.w, op.ldw if op.by_columns else 1, 1 if op.by_columns else op.ldw,
           lane_source(tile, op.a), ld, z, ld, bias)
    bound.activation.forward(bound.activation.alpha, 1, op.n_c * ld, op.n_c * ld, z, tile.activations + op.c)


cdef inline void lane_slope(BoundOperation* bound, RowTile* tile, real* d) noexcept nogil:
    """d = d * f'"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t n = op.n_c * tile.lane_length
    cdef const real* slope = NULL
    if op.slope >= 0:
        slope = tile.activations + op.slope
    if bound.activation.backward != NULL:
        bound.activation.backward(bound.activation.alpha, 1, n, n, slope, tile.activations + op.y, d)


cdef void lane_activation_backward(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = a * f'"""
    cdef Operation* op = &bound.op
    if op.c != op.a:
        memcpy(tile.activations + op.c, tile.activations + op.a, op.n_c * tile.lane_length * sizeof(real))
    lane_slope(bound, tile, tile.activations + op.c)


cdef void lane_dense_input(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = W a (or c += W a), then times the derivative of the activation that made the layer's input"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t ld = tile.lane_length
    cdef real* c = tile.activations + op.c
    panels(op.n_c, tile.lanes, op.n_a, START_C if op.accumulate else START_ZERO,
           weights.w + op.w, 1 if op.by_columns else op.ldw, op.ldw if op.by_columns else 1,
           tile.activations + op.a, ld, c, ld, NULL)
    lane_slope(bound, tile, c)


cdef void lane_dense_gradient(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """dW[i, o] = sum_r x[i, r] dz[o, r], and db[o] = sum_r dz[o, r]"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t ld = tile.lane_length
    cdef const real* x = lane_source(tile, op.a)
    cdef const real* dz = tile.activations + op.y
    if not op.by_columns and sums_by_rows(op.n_a, op.n_y, tile.lanes):
        memset(tile.activations + op.y + op.n_y * ld, 0, (op.ldy - op.n_y) * ld * sizeof(real))
        transpose(op.ldy, tile.lanes, dz, ld, tile.activations + tile.staging, op.ldy)
        gemm(op.n_a, op.ldw, tile.rows, start, x, ld, 1, tile.activations + tile.staging, op.ldy,
             weights.gradient + op.c, op.ldw, NULL, NULL)
        if op.b >= 0:
            column_sums(tile.rows, op.ldy, start, tile.activations + tile.staging, op.ldy, weights.gradient + op.b)
        return
    if start == START_ZERO:     # the padding, which is not summed
        memset(weights.gradient + op.c, 0, op.n_c * op.ldw * sizeof(real))
        if op.b >= 0:
            memset(weights.gradient + op.b, 0, op.ldy * sizeof(real))
    if op.by_columns:
        lane_gradient(op.n_y, op.n_a, tile.lanes, dz, ld, x, ld, start, weights.gradient + op.c, op.ldw)
    else:
        lane_gradient(op.n_a, op.n_y, tile.lanes, x, ld, dz, ld, start, weights.gradient + op.c, op.ldw)
    if op.b >= 0:
        lane_sums(op.n_y, tile.lanes, dz, ld, start, weights.gradient + op.b)


cdef void lane_add(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = f(a + y)"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t i, n = op.n_c * tile.lane_length
    cdef real* z = lane_z(tile, op)
    cdef const real* a = lane_source(tile, op.a)
    cdef const real* y = lane_source(tile, op.y)
    for i in range(n):
        z[i] = a[i] + y[i]
    bound.activation.forward(bound.activation.alpha, 1, n, n, z, tile.activations + op.c)


cdef void lane_copy(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c[column_c:column_c + n_a] = a[column_a:column_a + n_a]"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t ld = tile.lane_length
    memcpy(tile.activations + op.c + op.column_c * ld, lane_source(tile, op.a) + op.column_a * ld,
           op.n_a * ld * sizeof(real))


cdef void lane_accumulate(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c[column_c:column_c + n_a] += a[column_a:column_a + n_a]"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t i, ld = tile.lane_length
    cdef real* c = tile.activations + op.c + op.column_c * ld
    cdef const real* a = lane_source(tile, op.a) + op.column_a * ld
    for i in range(op.n_a * ld):
        c[i] += a[i]


cdef void bind_lanes(Engine engine, Call* call, RowTile* tile, const unsigned int* order, Py_ssize_t first) noexcept nogil:
    """The tile's rows of the input, turned."""
    tile.lanes = lane_count(tile.rows)
    tile.lane_length = lane_length(tile.rows)
    tile.staging = engine.sizes.staging
    tile.x = tile.activations + engine.sizes.input
    gather_lanes(tile.rows, engine.sizes.n_features, order, call.x if order != NULL else call.x + first * call.x_row,
                 call.x_row, call.x_column,
                 (call.n_rows - (0 if order != NULL else first) - 1) * call.x_row + engine.sizes.n_features,
                 <real*>tile.x, tile.lane_length)
    if order != NULL and call.x_column == 1:
        fetch_rows(engine, call, tile.rows, order)


cdef double loss_of_lanes(Engine engine, Call* call, RowTile* tile, const unsigned int* order, Py_ssize_t first,
                          real scale) noexcept nogil:
    """`loss_of_tile` for turned outputs; rows of probabilities and losses of whole rows, few as they are, go by rows."""
    cdef LossRows rows
    cdef real* out = tile.activations + engine.sizes.output
    cdef real* d = tile.activations + engine.sizes.output_gradient
    cdef real* staged = tile.activations + engine.sizes.staging
    cdef Py_ssize_t ld = engine.sizes.ld_output, n = engine.sizes.n_outputs
    cdef double loss
    bind_targets(engine, call, tile, order, first, scale, &rows)
    rows.out = out
    rows.d = d
    if call.weight != NULL:
        gather_weights(engine, call, tile, order, first, &rows)
    if engine.lane_loss != NULL and (call.label != NULL or not engine.is_cross_entropy):
        rows.ld = tile.lane_length
        rows.readable = (call.n_rows - (0 if order != NULL else first) - 1) * call.y_row + rows.n_targets
        loss = engine.lane_loss(&rows)
        measure_tile(call, tile, &rows, first, 1, tile.lane_length)
        return loss
    rows.ld = ld
    rows.out = staged
    rows.d = staged + tile.lanes * ld
    memset(staged, 0, tile.lanes * ld * sizeof(real))
    transpose(n, tile.lanes, out, tile.lane_length, staged, ld)
    loss = engine.loss(&rows)
    measure_tile(call, tile, &rows, first, ld, 1)
    memset(rows.d + tile.rows * ld, 0, (tile.lanes - tile.rows) * ld * sizeof(real))
    transpose(tile.lanes, n, rows.d, ld, d, tile.lane_length)
    return loss

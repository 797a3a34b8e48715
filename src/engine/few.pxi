# The latency path of a network none of whose layers has more than four units.
#
# Rows are vectors of four numbers, and a row alone goes from one operation to the next in registers: only parameters and
# moments, which the next step needs, and outputs, which derivatives need, meet memory.  A division of 16 bytes takes a
# fifth of the time of one of 64.  All kernels are stored by columns: a product forward takes their four rows turned.  Every
# element is the chain of dot_columns and product.pxi: the same bits as on the general path.

cdef vfour few_tanh(vfour z) noexcept nogil:
    """tanh of four numbers, as tanh.pxi has it; inlined, they would be computed one by one."""
    cdef real x[4]
    cdef real size[4]
    cdef int i
    four_store(x, z)
    for i in range(4):
        size[i] = real_abs(x[i])
    four_store(size, four_min(four_load(size), four_set(<real>20.0)))
    for i in range(4):
        size[i] = real_copysign(tanh_of_size(size[i]), x[i])
    return four_load(size)


cdef inline vfour few_forward(LatencyLayer* layer, Py_ssize_t r, vfour x) noexcept nogil:
    """Row r of a = f(x W + b)"""
    cdef real* z = layer.z + r * BLOCK
    cdef real* a = layer.a + r * BLOCK
    cdef vfour sum = four_load(layer.shift)
    cdef vfour column[4]
    cdef int o
    for o in range(4):
        column[o] = four_load(layer.row[o])
    four_turn(column)
    sum = four_fma(four_lane(x, 0), column[0], sum)
    if layer.n_in > 1:
        sum = four_fma(four_lane(x, 1), column[1], sum)
    if layer.n_in > 2:
        sum = four_fma(four_lane(x, 2), column[2], sum)
    if layer.n_in > 3:
        sum = four_fma(four_lane(x, 3), column[3], sum)
    if layer.is_tanh:
        sum = few_tanh(sum)
    elif not layer.is_linear:
        four_store(z, sum)
        layer.activation.forward(layer.activation.alpha, 1, 4, 4, z, a)
        if layer.activation.moves_zero:
            zero_padding(1, layer.n_out, 4, a)
        return four_load(a)
    four_store(a, sum)
    return sum


cdef inline vfour few_slope(LatencyLayer* layer, Py_ssize_t r, vfour d) noexcept nogil:
    """Row r of dz = da times the derivative of the layer's activation"""
    cdef real to[4]
    cdef const real* a = layer.a + r * BLOCK
    if layer.is_tanh:
        return d * (four_set(1) - four_load(a) * four_load(a))
    if layer.is_linear:
        return d
    four_store(to, d)
    layer.activation.backward(layer.activation.alpha, 1, 4, 4, layer.z + r * BLOCK, a, to)
    return four_load(to)


cdef inline vfour few_backward(LatencyLayer* layer, vfour dz) noexcept nogil:
    """dz W^T"""
    cdef vfour sum = four_fma(four_lane(dz, 0), four_load(layer.row[0]), four_set(0))
    if layer.n_out > 1:
        sum = four_fma(four_lane(dz, 1), four_load(layer.row[1]), sum)
    if layer.n_out > 2:
        sum = four_fma(four_lane(dz, 2), four_load(layer.row[2]), sum)
    if layer.n_out > 3:
        sum = four_fma(four_lane(dz, 3), four_load(layer.row[3]), sum)
    return sum


cdef inline void few_update(Engine engine, int update, bint decays, const adam_scalar* s, real rate, real* w,
                            vfour g) noexcept nogil:
    """The update of four parameters, SGD's by `rate`; one that comes last finds their gradient in a whole block."""
    cdef Py_ssize_t at = w - engine.w
    if update == UPDATE_ADAM:
        four_adam(s, False, g, w, engine.state + at, engine.state + engine.n_parameters + at)
    elif update == UPDATE_ADAMW:
        four_adam(s, decays, g, w, engine.state + at, engine.state + engine.n_parameters + at)
    elif update == UPDATE_SGD:
        four_store(w, four_fma(four_set(-rate), g, four_load(w)))
    else:
        four_store_row(engine.gradient + at, g)


cdef inline void few_row(const bint single, Engine engine, int update, LatencyLayer* layer, const int o, Py_ssize_t rows,
                         vfour dz, vfour x, const real* more_x, const adam_scalar* s, real rate) noexcept nogil:
    """Gradient and update of one row of a kernel, of output o; of a row alone the numbers are dz and x."""
    cdef vfour sum = four_set(0)
    cdef Py_ssize_t r
    if layer.n_out <= o:
        return
    if single:
        sum = four_fma(four_lane(dz, o), x, sum)
    else:
        for r in range(rows):
            sum = four_fma(four_set(layer.dz[r * BLOCK + o]), four_load(more_x + r * BLOCK), sum)
    few_update(engine, update, layer.kernel_decays, s, rate, layer.w + o * BLOCK, sum)


cdef inline void few_gradients(const bint single, Engine engine, int update, LatencyLayer* layer, Py_ssize_t rows,
                               vfour dz, vfour x, const real* more_x, const adam_scalar* s, real rate) noexcept nogil:
    """Gradient and update of one layer; the bias is a kernel row whose input is 1."""
    cdef vfour sum = four_set(0)
    cdef Py_ssize_t r
    if layer.bias != NULL:
        if single:
            sum = dz + sum
        else:
            for r in range(rows):
                sum = sum + four_load(layer.dz + r * BLOCK)
        few_update(engine, update, layer.bias_decays, s, rate, layer.bias, sum)
    few_row(single, engine, update, layer, 0, rows, dz, x, more_x, s, rate)
    few_row(single, engine, update, layer, 1, rows, dz, x, more_x, s, rate)
    few_row(single, engine, update, layer, 2, rows, dz, x, more_x, s, rate)
    few_row(single, engine, update, layer, 3, rows, dz, x, more_x, s, rate)


cdef inline vfour few_input(Engine engine, Call* call, Py_ssize_t row) noexcept nogil:
    cdef Py_ssize_t n = engine.sizes.n_features, column = call.x_column
    cdef const real* x = call.x + row * call.x_row
    return four_of(x[0], x[column] if n > 1 else 0, x[2 * column] if n > 2 else 0, x[3 * column] if n > 3 else 0)


cdef inline vfour few_loss(const bint single, Engine engine, Call* call, RowTile* tile, const unsigned int* order,
                           Py_ssize_t first, vfour out, double* loss) noexcept nogil:
    """The mean loss of the rows; their gradient is left in memory but for a row alone, where it is returned."""
    cdef LatencyLayer* last = &engine.latency_layers[engine.forward_program.n - 1]
    cdef double mean = mean_factor(engine, call, order, first, tile.rows)
    cdef vfour d
    if single and engine.four_loss != NULL and not call.looks_closer:
        d = engine.four_loss(&engine.loss_parameters, <real>mean, engine.sizes.n_outputs, out,
                             call.targets.y + (order[0] if order != NULL else first) * call.targets.y_row,
                             call.targets.y_column, loss)
    else:
        loss[0] = loss_of_tile(engine, call, tile, BLOCK, order, first, <real>mean)
        d = four_load(buffer(tile, engine.sizes.output_gradient, BLOCK))
    loss[0] *= mean
    return d


cdef bint few_step(Engine engine, Call* call, const unsigned int* order, Py_ssize_t first, Py_ssize_t rows,
                   double* loss) noexcept nogil:
    """`take_step` for such a network and batch, on the calling thread."""
    if rows == 1:
        return step_of_few(True, engine, call, order, first, rows, loss)
    return step_of_few(False, engine, call, order, first, rows, loss)


cdef inline bint step_of_few(const bint single, Engine engine, Call* call, const unsigned int* order, Py_ssize_t first,
                             Py_ssize_t rows, double* loss) noexcept nogil:
    cdef RowTile tile
    cdef real scalar[MOST_NUMBERS]
    cdef adam_scalar s
    cdef LatencyLayer* layer = NULL
    cdef real* input = engine.activations + engine.sizes.input
    cdef double next_power[MOST_POWERS]
    cdef vfour x = four_set(0), a = x, d, dz
    cdef Py_ssize_t i, r
    cdef int update = engine.latency_update
    next_scalars(engine, engine.power, next_power, scalar)
    s = (<adam_scalar*>scalar)[0]
    s.epsilon = real_positive(s.epsilon)
    tile.rows = rows
    tile.first = 0
    tile.activations = engine.activations
    tile.weight = engine.weight_room
    tile.metric = engine.tile_metric
    for r in range(1 if single else rows):
        a = x = few_input(engine, call, order[r] if order != NULL else first + r)
        if not single:
            four_store(input + r * BLOCK, x)
        for i in range(engine.forward_program.n):
            layer = &engine.latency_layers[i]
            a = few_forward(layer, r, a)
    if order != NULL and call.x_column == 1:
        fetch_rows(engine, call, rows, order)
    d = few_loss(single, engine, call, &tile, order, first, a, loss)
    if not goes_on(engine, call, rows, loss[0], next_power):
        return False
    if single:
        d = few_slope(layer, 0, d)
    elif not layer.is_linear:
        for r in range(rows):
            four_store(layer.dz + r * BLOCK, few_slope(layer, r, four_load(layer.dz + r * BLOCK)))
    for i in range(engine.forward_program.n - 1, -1, -1):
        layer = &engine.latency_layers[i]
        dz = d
        a = x
        if i > 0:
            a = four_load((layer - 1).a)
            if single:
                d = few_slope(layer - 1, 0, few_backward(layer, dz))
            else:
                for r in range(rows):
                    d = few_backward(layer, four_load(layer.dz + r * BLOCK))
                    four_store((layer - 1).dz + r * BLOCK, few_slope(layer - 1, r, d))
        few_gradients(single, engine, update, layer, rows, dz, a, layer.x if i > 0 else input, &s, scalar[0])
    if update == UPDATE_LAST:
        update_segments(engine, 0, 1, 1, scalar)
    return True

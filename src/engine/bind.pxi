# Binding: an engine takes over what a plan, or a call, says by name and as arrays.

cdef int bind_segments(Engine engine, table) except -1:
    cdef const Segment[::1] rows = table
    check_names(table, SEGMENT_NAMES)
    engine.owners.append(table)
    engine.segments = &rows[0]
    engine.n_segments = rows.shape[0]
    return 0


cdef int bind_categories(Engine engine, categories) except -1:
    """What a prediction checks of its input beside finiteness; None for nothing."""
    cdef const long long[:, ::1] rows
    cdef Py_ssize_t i
    if categories is None:
        return 0
    rows = categories
    for i in range(rows.shape[0]):
        if not 0 <= rows[i, 0] < engine.sizes.n_features:
            raise ValueError(f"there is no column {rows[i, 0]}")
    engine.owners.append(categories)
    engine.n_categorical = rows.shape[0]
    engine.categories = &rows[0, 0]
    return 0


cdef Program bound_program(Engine engine, program) except *:
    """The operations of a program, each with the kernels that its names stand for."""
    cdef const Operation[::1] rows = program.table
    cdef const real[:, ::1] constant
    cdef Program found
    cdef Py_ssize_t i
    check_names(program.table, OPERATION_NAMES)
    found.n = rows.shape[0]
    found.at = <BoundOperation*>engine.memory(found.n * sizeof(BoundOperation), sizeof(void*))
    for i, operation in enumerate(program.operations):
        found.at[i].op = rows[i]
        found.at[i].kernel = (find_lane_operation if engine.sizes.rows_in_lanes else find_operation)(operation.kind)
        found.at[i].gradient = find_gradient(operation.kind)
        if program is engine.plan.weight_gradient and found.at[i].gradient == NULL:
            raise ValueError(f"operation {operation.kind!r} sums no gradient part by part")
        if found.at[i].gradient != NULL and not 0 <= rows[i].kernel < engine.n_segments:
            raise ValueError(f"operation {operation.kind!r} names no segment")
        if operation.constant is not None:
            constant = operation.constant
            if constant.shape[1] < rows[i].ldc or constant.shape[0] < 3:
                raise ValueError(f"operation {operation.kind!r} has constants of another shape")
            engine.owners.append(operation.constant)
            found.at[i].constant = &constant[0, 0]
        found.at[i].activation = find_activation(operation.activation.name, rows[i].alpha, rows[i].slope >= 0)
    return found


cdef void join_loss(Engine engine) noexcept:
    """A single linear output and its gradient lie side by side, where the layer's backward pass is one (join_outputs)."""
    cdef BoundOperation* output = &engine.forward_program.at[engine.forward_program.n - 1]
    cdef BoundOperation* gradient = &engine.backward_program.at[0]
    if engine.sizes.keeps_batch or engine.is_cross_entropy or engine.backward_program.n == 0 or gradient.along == NULL:
        return
    if gradient.op.n_y != 1 or gradient.op.y != engine.sizes.output_gradient or output.op.c != engine.sizes.output:
        return
    if output.kernel == dense and output.op.by_columns and output.activation.backward == NULL:
        output.op.ldc = gradient.op.ldy = gradient.along.op.lda = engine.ld_output = 1


cdef int bind_loss(Engine engine, loss) except -1:
    cdef LossKernel found = find_loss(loss.formula)
    cdef Py_ssize_t n = engine.sizes.n_outputs
    engine.loss = found.rows
    engine.lane_loss = found.lanes
    engine.four_loss = found.four
    engine.is_cross_entropy = found.rows == cross_entropy_rows
    engine.has_penalties = loss.with_penalties
    fill_parameters(&engine.loss_parameters, loss, &found)
    engine.n_targets = loss.n_targets(n)
    engine.is_loss_of_rows = is_loss_of_rows(found.rows)
    engine.loss_column = loss_columns(engine, loss, &found, n)
    return 0


cdef bint is_loss_of_rows(loss_kernel kernel) noexcept:
    return kernel in (cross_entropy_rows, class_loss_rows, cosine_rows)


cdef int fill_parameters(Parameters* parameters, loss, const LossKernel* found) except -1:
    for i, value in enumerate(checked(loss.parameters, found.n_parameters, loss)):
        parameters.at[i] = <real><double>value
    return 0


cdef real* loss_columns(Engine engine, loss, const LossKernel* found, Py_ssize_t n) except? NULL:
    """A parameter of each output's own, or NULL."""
    cdef real* column
    if not found.has_column:
        return NULL
    column = <real*>engine.memory(n * sizeof(real), sizeof(real))
    for i, value in enumerate(checked(loss.columns(n), n, loss)):
        column[i] = <real><double>value
    return column


cdef int bind_optimizer(Engine engine, optimizer, double[::1] power) except -1:
    engine.optimizer = find_step(optimizer.formula)
    checked(optimizer.state_names, engine.optimizer.n_slots, optimizer)
    for i, value in enumerate(checked(optimizer.numbers, engine.optimizer.n_numbers, optimizer)):
        engine.number[i] = value
    engine.rate_index = optimizer.rate_index
    engine.average = optimizer.ema or 0
    for i in range(MOST_POWERS):
        engine.base[i] = 1
    for i, value in enumerate(checked(optimizer.powers, engine.optimizer.n_powers, optimizer)):
        engine.base[i] = value
    if engine.average > 0:
        engine.base[AVERAGE_POWER] = engine.average
    engine.kept_power = &power[0]
    return 0


cdef int bind_clip(Engine engine, optimizer) except -1:
    """The bounds of the gradient, and the units in which its squares are summed."""
    cdef Clip* clip = &engine.clip
    cdef Py_ssize_t i, at, size, n = 0
    engine.clips = optimizer.clips
    if not engine.clips:
        return 0
    clip.value, clip.norm = optimizer.clipvalue or 0, optimizer.clipnorm or 0
    clip.global_norm = optimizer.global_clipnorm or 0
    most = sum(engine.segments[i].rows * engine.segments[i].ld // CLIP_NUMBERS + 1 for i in range(engine.n_segments))
    clip.units = <ClipUnit*>engine.memory(most * sizeof(ClipUnit), sizeof(Py_ssize_t))
    clip.sums = <double*>engine.memory(most * sizeof(double), sizeof(double))
    clip.factors = <real*>engine.memory(engine.n_segments * sizeof(real), sizeof(real))
    for i in range(engine.n_segments):
        size = engine.segments[i].rows * engine.segments[i].ld
        for at in range(0, size, CLIP_NUMBERS):
            clip.units[n].segment = i
            clip.units[n].at = engine.segments[i].offset + at
            clip.units[n].n = min(<Py_ssize_t>CLIP_NUMBERS, size - at)
            n += 1
    clip.n_units = n
    return 0


cdef int find_targets(y, Targets* to) except -1:
    """An array of the real type, (n_rows, any), or class indices, (n_rows,)."""
    cdef const int[:] label
    cdef const real[:, :] target
    to.label = NULL
    to.y = NULL
    if y.ndim == 1:
        label = y
        to.label = &label[0]
        to.label_step = label.strides[0] // <Py_ssize_t>sizeof(int)
    else:
        target = y
        to.y = &target[0, 0]
        to.y_row = target.strides[0] // <Py_ssize_t>sizeof(real)
        to.y_column = target.strides[1] // <Py_ssize_t>sizeof(real)
    return 0


cdef int find_weights(weight, const real** at, Py_ssize_t* row, Py_ssize_t* column) except -1:
    """Weights of elements as an array has them (OUT)."""
    cdef const real[:, :] own = weight
    at[0] = &own[0, 0]
    row[0] = own.strides[0] // <Py_ssize_t>sizeof(real)
    column[0] = own.strides[1] // <Py_ssize_t>sizeof(real)
    return 0


cdef int bind_weights(Engine engine, weight, row_weight) except -1:
    """Weights of the call: `weight` (n_rows, n_outputs) of elements, `row_weight` (n_rows,); either may be None."""
    cdef const double[::1] row
    cdef Py_ssize_t size
    if weight is not None:
        if engine.n_heads > 0:
            set_head_weights(engine, weight)
        else:
            find_weights(weight, &engine.call.weight, &engine.call.weight_row, &engine.call.weight_column)
        if engine.weight_room == NULL:
            size = engine.sizes.tile_rows * engine.sizes.ld_output
            if engine.sizes.rows_in_lanes:
                size = lane_length(engine.sizes.tile_rows) * engine.sizes.n_outputs
            engine.weight_stride = (size + BLOCK - 1) // BLOCK * BLOCK
            engine.weight_room = <real*>engine.memory(engine.sizes.n_workers * engine.weight_stride * sizeof(real), 64)
    if row_weight is not None:
        row = row_weight
        engine.call.row_weight = &row[0]
    return 0


cdef int bind_metrics(Engine engine, names) except -1:
    """The metrics of the call, by name."""
    cdef int m
    if len(names) > engine.most_metrics:
        raise ValueError(f"at most {engine.most_metrics} metrics, got {names!r}")
    for m in range(len(names)):
        if engine.n_heads > 0:
            engine.call.metric[m] = head_metric(engine, names[m])
        else:
            engine.call.metric[m] = find_metric(names[m], engine.plan.loss.link, engine.sizes.n_outputs)
    engine.call.n_metrics = len(names)
    return 0


cdef int bind_metric_memory(Engine engine) except -1:
    """Room for the metrics of a call and their sums."""
    engine.most_metrics = max(<int>MOST_METRICS, engine.n_heads * (1 + MOST_METRICS))
    engine.call.metric = <Metric*>engine.memory(engine.most_metrics * sizeof(Metric), sizeof(void*))
    engine.call.metric_sum = <double*>engine.memory(engine.most_metrics * sizeof(double), sizeof(double))
    return 0


cdef int check_names(table, tuple names) except -1:
    """The types of a table's fields are those of the struct where it is taken for one; the names are looked at here."""
    if table.dtype.names != names:
        raise ValueError(f"the plan's table has the fields {table.dtype.names}, the struct {names}")
    return 0


cdef tuple checked(values, Py_ssize_t n, owner):
    """The values as a tuple, as many as the kernel reads."""
    found = tuple(values)
    if len(found) != n:
        raise ValueError(f"{owner!r} has {found}, its kernel takes {n}")
    return found


cdef double sum_in_order(const double[::1] x) noexcept:
    cdef Py_ssize_t i
    cdef double sum = 0
    for i in range(x.shape[0]):
        sum += x[i]
    return sum

# Several outputs, each with a loss of its own: what a step, an evaluation and a prediction do for each head of a network.
#
# A head has its own buffers of outputs and of their gradient, as long in a row as its own width asks for: every loss kernel
# works on it as on a network of that one output, and backward begins from all of them.  The losses of the heads are reported
# as metrics are, in the place of those; their weighted sum is the loss of the tile.

cdef struct Head:
    loss_kernel loss
    Parameters parameters
    real* loss_column
    bint is_by_row              # the loss takes a weight for each row, not for each element
    double weight               # of its loss in the sum
    double divisor              # of its loss, beside the rows
    Py_ssize_t n
    Py_ssize_t n_targets
    Py_ssize_t at               # its first column where the outputs of all heads lie side by side
    Py_ssize_t output           # offsets in the activations, rows `ld` apart
    Py_ssize_t gradient
    Py_ssize_t ld
    Activation transform        # by which its outputs are shown
    # targets of the call
    const real* y
    Py_ssize_t y_row
    Py_ssize_t y_column
    const int* label            # or NULL
    Py_ssize_t label_step


cdef int bind_heads(Engine engine, tuple heads) except -1:
    """The losses of the heads as the plan has them."""
    cdef Head* head
    cdef LossKernel found
    engine.heads = <Head*>engine.memory(len(heads) * sizeof(Head), sizeof(void*))
    engine.n_heads = len(heads)
    for h, own in enumerate(heads):
        head = &engine.heads[h]
        found = find_loss(own.loss.formula)
        head.loss = found.rows
        head.is_by_row = is_loss_of_rows(found.rows)
        head.n, head.at, head.output, head.gradient, head.ld = own.n, own.column, own.output, own.gradient, own.ld
        head.n_targets = own.loss.n_targets(own.n)
        head.weight, head.divisor = own.weight, own.loss.divisor(own.n)
        fill_parameters(&head.parameters, own.loss, &found)
        head.loss_column = loss_columns(engine, own.loss, &found, own.n)
    return 0


cdef int set_head_targets(Engine engine, y) except -1:
    """An array for each head, as a network of that one output takes it."""
    cdef const int[:] label
    cdef const real[:, :] target
    cdef Head* head
    given = tuple(y)
    if len(given) != engine.n_heads:
        raise ValueError(f"targets of {len(given)} heads, the plan has {engine.n_heads}")
    for h, part in enumerate(given):
        head = &engine.heads[h]
        head.label = NULL
        head.y = NULL
        if part.ndim == 1:
            label = part
            head.label = &label[0]
            head.label_step = label.strides[0] // <Py_ssize_t>sizeof(int)
        else:
            target = part
            head.y = &target[0, 0]
            head.y_row = target.strides[0] // <Py_ssize_t>sizeof(real)
            head.y_column = target.strides[1] // <Py_ssize_t>sizeof(real)
    return 0


cdef int set_head_transforms(Engine engine, str name) except -1:
    """The activations by which outputs are shown: one for all, or the names of all, a space between two."""
    names = name.split()
    for h in range(engine.n_heads):
        engine.heads[h].transform = find_activation(names[h if len(names) > 1 else 0], 0, False)
    return 0


cdef Metric head_metric(Engine engine, str name) except *:
    """The loss of a head by its name there, as "class_loss", or a metric of one, as "class_accuracy"."""
    cdef Metric found
    cdef tuple names = engine.plan.loss.names
    if name in engine.plan.loss.figures:
        found.kernel = NULL
        found.divisor = 1
        found.head = engine.plan.loss.figures.index(name)
        return found
    head, _, metric = name.rpartition("_")
    if head not in names:
        raise ValueError(f"metric {name!r} is of no head")
    h = names.index(head)
    found = find_metric(metric, engine.plan.heads[h].loss.link, engine.plan.heads[h].n)
    found.head = h
    return found


cdef void loss_rows_of_head(Head* head, Call* call, RowTile* tile, const unsigned int* order, Py_ssize_t first, double scale,
                            LossRows* rows) noexcept nogil:
    """A head's outputs, targets and weights of a tile."""
    cdef Py_ssize_t shift = 0 if order != NULL else first
    rows.rows = tile.rows
    rows.n = head.n
    rows.ld = head.ld
    rows.out = buffer(tile, head.output, head.ld)
    rows.d = buffer(tile, head.gradient, head.ld)
    rows.label = head.label
    rows.y = head.y
    if head.label != NULL:
        rows.label += shift * head.label_step
    else:
        rows.y += shift * head.y_row
    rows.label_step = head.label_step
    rows.y_row = head.y_row
    rows.y_column = head.y_column
    rows.order = order
    rows.n_targets = head.n_targets
    rows.column = head.loss_column
    rows.is_by_row = head.is_by_row
    rows.scale = <real>(scale * head.weight / head.divisor)
    rows.parameters = head.parameters
    rows.weight = NULL
    if call.weight != NULL:     # a row has one for all heads
        rows.weight = tile.weight
        gather(tile.rows, 1 if head.is_by_row else head.n_targets, order, call.weight + shift * call.weight_row,
               call.weight_row, 0, tile.weight, 1 if head.is_by_row else head.ld)


cdef double loss_of_heads(Engine engine, Call* call, RowTile* tile, const unsigned int* order, Py_ssize_t first,
                          double scale) noexcept nogil:
    """`loss_of_tile` of all heads: the weighted sum; that of each is a metric of the tile, beside those of its outputs."""
    cdef LossRows rows
    cdef Head* head
    cdef double loss, total = 0
    cdef int h, m
    for h in range(engine.n_heads):
        head = &engine.heads[h]
        loss_rows_of_head(head, call, tile, order, first, scale, &rows)
        loss = head.loss(&rows) / head.divisor
        total += head.weight * loss
        for m in range(call.n_metrics):
            if call.metric[m].head == h:
                tile.metric[m] = loss if call.metric[m].kernel == NULL else call.metric[m].kernel(&rows, head.ld, 1)
        if call.outputs != NULL:
            keep_outputs(call.outputs + head.at, engine.sizes.n_outputs, &rows, first, head.ld, 1)
    return total


cdef void respond_heads(Engine engine, RowTile* tile, Py_ssize_t first) noexcept nogil:
    """The outputs of all heads of the tile's rows, side by side, on the response scale, into the caller's array."""
    cdef Head* head
    cdef Py_ssize_t r
    cdef real* z
    cdef real* out
    cdef int h
    for h in range(engine.n_heads):
        head = &engine.heads[h]
        z = buffer(tile, head.output, head.ld)
        out = engine.out + first * engine.ld_out + head.at
        head.transform.forward(head.transform.alpha, tile.rows, head.n, head.ld, z, z)
        for r in range(tile.rows):
            memcpy(out, z, head.n * sizeof(real))
            z += head.ld
            out += engine.ld_out

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
    # a row of `Plan.head_table`
    Py_ssize_t n
    Py_ssize_t n_targets
    Py_ssize_t at               # its first column where the outputs of all heads lie side by side
    Py_ssize_t output           # offsets in the activations, rows `ld` apart
    Py_ssize_t gradient
    Py_ssize_t ld
    double weight               # of its loss in the sum
    double divisor              # of its loss, beside the rows
    Activation transform        # by which its outputs are shown
    # of the call
    Targets targets
    const real* given_weight    # of its elements, or of rows (a column step of 0)
    Py_ssize_t weight_row
    Py_ssize_t weight_column

cdef enum:
    HEAD_NUMBERS = 8


cdef int bind_heads(Engine engine, plan) except -1:
    """The heads and their losses, as the plan has them."""
    cdef Head* head
    cdef LossKernel found
    cdef double[:, ::1] table = plan.head_table
    cdef int h
    engine.n_heads = <int>table.shape[0]
    engine.heads = <Head*>engine.memory(engine.n_heads * sizeof(Head), sizeof(void*))
    if table.shape[1] != HEAD_NUMBERS:
        raise ValueError("the plan's heads have other numbers")
    for h in range(engine.n_heads):
        head = &engine.heads[h]
        head.n = <Py_ssize_t>table[h, 0]
        head.n_targets = <Py_ssize_t>table[h, 1]
        head.at = <Py_ssize_t>table[h, 2]
        head.output = <Py_ssize_t>table[h, 3]
        head.gradient = <Py_ssize_t>table[h, 4]
        head.ld = <Py_ssize_t>table[h, 5]
        head.weight = table[h, 6]
        head.divisor = table[h, 7]
        loss = plan.loss.losses[h]
        found = find_loss(loss.formula)
        head.loss = found.rows
        head.is_by_row = is_loss_of_rows(found.rows)
        fill_parameters(&head.parameters, loss, &found)
        head.loss_column = loss_columns(engine, loss, &found, head.n)
    return 0


cdef int set_head_targets(Engine engine, y) except -1:
    """An array for each head, as a network of that one output takes it."""
    cdef tuple parts = y.parts
    cdef int h
    if len(parts) != engine.n_heads:
        raise ValueError("there are targets for another number of heads")
    for h in range(engine.n_heads):
        find_targets(parts[h], &engine.heads[h].targets)
    return 0


cdef int set_head_weights(Engine engine, weight) except -1:
    """Weights of rows, which all heads have in common, (n_rows, 1); or those of the elements of each, in `weight.parts`."""
    cdef tuple parts = getattr(weight, "parts", ())
    cdef Head* head
    cdef int h
    if parts and len(parts) != engine.n_heads:
        raise ValueError("there are weights for another number of heads")
    for h in range(engine.n_heads):
        head = &engine.heads[h]
        find_weights(parts[h] if parts else weight, &head.given_weight, &head.weight_row, &head.weight_column)
        if not parts:
            head.weight_column = 0
    engine.call.weight = engine.heads[0].given_weight
    return 0


cdef int set_head_transforms(Engine engine, str name) except -1:
    """The activations by which outputs are shown: the names of all, a space between two."""
    cdef list names = name.split(" ")
    cdef int h
    if len(names) != engine.n_heads:
        raise ValueError("there are activations for another number of heads")
    for h in range(engine.n_heads):
        engine.heads[h].transform = find_activation(names[h], 0, False)
    return 0


cdef Metric head_metric(Engine engine, str name) except *:
    """The loss of a head by its name there, as "class_loss", or a metric of one, as "class_accuracy"."""
    cdef Metric found
    cdef int h
    h, metric, link = engine.plan.loss.figure(name)
    if link is None:
        found.kernel = NULL
        found.divisor = 1
    else:
        found = find_metric(metric, link, engine.heads[h].n)
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
    place_targets(&head.targets, shift, rows)
    rows.order = order
    rows.n_targets = head.n_targets
    rows.column = head.loss_column
    rows.is_by_row = head.is_by_row
    rows.scale = <real>(scale * head.weight / head.divisor)
    rows.parameters = head.parameters
    rows.weight = NULL
    if call.weight != NULL:
        rows.weight = tile.weight
        gather(tile.rows, 1 if head.is_by_row else head.n_targets, order, head.given_weight + shift * head.weight_row,
               head.weight_row, head.weight_column, tile.weight, 1 if head.is_by_row else head.ld)


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

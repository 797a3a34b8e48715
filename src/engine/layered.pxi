# Backward and update in one pass over each kernel, where the layers of a plan are a chain and threads share kernels.
#
# What a step of few rows costs is to read and write kernels: forward, from a transposed copy backward, in the update, and
# once more to write that copy.  Here a gradient is passed on from the kernel itself, a chunk of its rows at a time, turned
# into the memory that their gradient takes next: they come from afar once for dX, gradient and update, and there is no copy.
# A layer is updated before the gradient of the layer below is known, so the loss has to be known to be finite by then.  An
# element of dX is its chain over the outputs in their order, as on the general path: the same bits.

# With many rows it costs more to read dZ for each chunk than to read the kernel twice: then all columns of dX come first,
# from panels that are turned as they are copied.  1024-1024-1024-1024, a step of one batch in a time without layers: 0.63
# in chunks and 0.69 at once with 128 rows, 0.77 and 0.81 with 256, 0.83 and 0.75 with 512.
cdef enum:
    TURNED_AT_ONCE = 384

cdef void dense_turned(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """`dense_input` from a kernel by rows, without a transposed copy: nothing here, `turned_columns` does it in parts."""


cdef inline BoundOperation* passing_on(Engine engine, Py_ssize_t index) noexcept nogil:
    """What passes on the gradient of the layer of gradient operation `index`, or NULL; the last operations backward do."""
    cdef Py_ssize_t at = engine.backward_program.n - (engine.gradient_program.n - 1) + index
    return &engine.backward_program.at[at] if at < engine.backward_program.n else NULL


cdef void turned_columns(BoundOperation* bound, RowTile* tile, const real* w, Py_ssize_t begin, Py_ssize_t end,
                         real* t) noexcept nogil:
    """dX[:, i] = sum_o dZ[:, o] W[i, o], times the slope of what made X, for begin <= i < end, and zero in the padding.

    `begin` is a multiple of BLOCK; t (n_out, end - begin in whole blocks) SCRATCH, or NULL: from packed panels.
    """
    cdef Operation* op = &bound.op
    cdef Activation* f = &bound.activation
    cdef Py_ssize_t n = (end - begin + BLOCK - 1) // BLOCK * BLOCK, r
    cdef real* d = buffer(tile, op.c, op.ldc) + begin
    cdef const real* a = buffer(tile, op.y, op.ldc) + begin
    cdef const real* slope = a
    cdef const real* dz = buffer(tile, op.a, op.lda)
    if op.slope >= 0:
        slope = buffer(tile, op.slope, op.ldc) + begin
    w += op.w + begin * op.ldw
    if t == NULL:
        packed_gemm(tile.rows, n, op.n_a, START_ZERO, dz, op.lda, 1, w, op.ldw, end - begin, d, op.ldc, NULL, &tile.packing)
    else:
        transpose_padded(end - begin, op.n_a, w, op.ldw, t, n)
        gemm(tile.rows, n, op.n_a, START_ZERO, dz, op.lda, 1, t, n, d, op.ldc, NULL, &tile.packing)
    if n == op.ldc:
        times_slope(bound, tile, d)
        return
    for r in range(tile.rows):
        if f.backward != NULL:
            f.backward(f.alpha, 1, min(n, op.n_c - begin), n, slope, a, d)
        if end == op.n_c:
            memset(d + n, 0, (op.ldc - begin - n) * sizeof(real))
        d += op.ldc
        a += op.ldc
        slope += op.ldc


cdef void run_layers(Engine engine, Call* call) noexcept nogil:
    """Backward and update of all layers of a step, the last one first."""
    cdef RowTile tile
    cdef Weights weights
    cdef BoundOperation* bound
    cdef Py_ssize_t i
    weights.w = engine.w
    weights.transposes = engine.transposes
    weights.gradient = NULL
    bind_batch(engine, call, 0, &tile)
    for i in range(engine.backward_program.n - (engine.gradient_program.n - 1)):
        bound = &engine.backward_program.at[i]
        bound.kernel(bound, &tile, &weights, START_ZERO)
    for i in range(engine.gradient_program.n):
        bound = passing_on(engine, i)
        if bound != NULL:       # of a kernel by columns, which has few, the whole at once
            bound.kernel(bound, &tile, &weights, START_ZERO)
        call.layer = i
        run_phase(engine, call, LAYER, call.n_threads, 1)

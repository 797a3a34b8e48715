# One operation of a plan on one tile of rows.  An offset of -1 means "none", and for the operand `a` the network's input.

# A row of the plan's table: the numbers of fastbp.plan.operation.Operation, in its order.
cdef struct Operation:
    long long a             # first operand: offset in the activations
    long long lda
    long long n_a           # its columns, without padding; of "embed" the rows of the table
    long long column_a      # its first column, for "copy", "accumulate" and "embed"
    long long c             # result: offset in the activations, or in the flat gradient
    long long ldc
    long long n_c
    long long column_c
    long long y             # second operand: dz of "dense_gradient", an activation's output, the other term of "add"
    long long ldy
    long long n_y           # and its columns, for "dense_gradient"; of "dense_input" the numbers of a row, whole blocks
    long long w             # kernel: offset in the parameters, or among the transposes for "dense_input"
    long long ldw
    long long by_columns    # the kernel is stored by columns (fastbp/plan/parameter.py)
    long long b             # bias: offset in the parameters
    long long z             # pre-activation: offset in the activations
    long long slope         # the activation's derivative, where a forward pass keeps it; z itself but for a trace
    long long accumulate
    long long kernel        # of a gradient: index of the segment of its tensor
    long long bias          # and of the bias's, or -1
    long long stream        # of an operation that draws random numbers: which of the network's
    long long statistics    # of a batch: offset in the activations of what is kept of its columns, or -1
    long long moving        # the running mean, and behind its row the running variance: offset in the parameters
    double level            # its rate or standard deviation, what is added to a variance, or a momentum
    double alpha            # of the activation

# One tensor (or several neighbours with the same penalties) of the flat parameter vector: fastbp.plan.operation.Segment.
cdef struct Segment:
    long long offset
    long long rows
    long long ld
    long long columns
    long long transpose     # where its transpose lies among the transposes, or -1
    long long ld_transpose
    long long decays        # the optimizer's decay applies
    double l1
    double l2
    double rate             # times the learning rate; 0 where nothing is trained

# One tile of rows on its way through the operations.
cdef struct RowTile:
    Py_ssize_t rows
    Py_ssize_t first        # first row of the tile in the activation buffers
    Py_ssize_t index        # in a step of stages: its number among the tiles of the batch
    const real* x
    Py_ssize_t x_row
    Py_ssize_t x_column
    Py_ssize_t x_width          # numbers of a row that may be read
    real* activations
    Py_ssize_t lanes            # with the rows in the lanes: their number in whole blocks,
    Py_ssize_t lane_length      # the numbers from one unit to the next,
    Py_ssize_t staging          # and where among the activations rows stand for a while
    Packing packing             # what its products may copy parts of their factors to
    real* weight                # room for the weights of its elements or rows
    double* metric              # the sums of its metrics
    Draw draw

cdef struct Weights:
    real* w                 # parameters
    real* transposes        # of kernels
    real* gradient


cdef struct BoundOperation      # an operation and the kernels of its names

ctypedef void (*operation_kernel)(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil

ctypedef void (*gradient_kernel)(Operation* op, RowTile* tile, int start, Py_ssize_t begin, Py_ssize_t end, real* kernel,
                                 real* bias) noexcept nogil

cdef struct BoundOperation:
    operation_kernel kernel
    gradient_kernel gradient    # of stored rows begin..end of a tensor; NULL where the operation sums none
    Activation activation
    Operation op
    const real* constant        # rows of ldc numbers that a layer was given, or NULL
    BoundOperation* along       # the operation after it, which its kernel does too, or NULL
    bint along_tanh             # that one ends in the derivative of tanh
    long long sums              # where among the gradients it leaves the sums of that one's result, or -1

cdef struct Program:
    BoundOperation* at
    Py_ssize_t n


cdef tuple OPERATIONS = ("dense", "dense_input", "dense_turned", "dense_dots", "dense_gradient", "activation_backward",
                         "add", "copy", "accumulate", "activate", "scale", "scale_input", "multiply", "dropout", "noise",
                         "normalize", "normalize_input", "scale_gradient", "prelu", "prelu_input", "prelu_gradient",
                         "embed", "embed_gradient", "batch_statistics", "batch_scale", "batch_gradient", "batch_input",
                         "move")


cdef operation_kernel find_operation(str name) except NULL:
    """The kernel of a kind of operation.  Raises ValueError for an unknown one."""
    if name == "dense":
        return dense
    if name == "dense_input":
        return dense_input
    if name == "dense_turned":
        return dense_turned
    if name == "dense_dots":
        return dense_dots
    if name == "dense_gradient":
        return whole_gradient
    if name == "activation_backward":
        return activation_backward
    if name == "add":
        return add
    if name == "copy":
        return copy_columns
    if name == "accumulate":
        return accumulate_columns
    if name == "activate":
        return activate_source
    if name == "scale":
        return scale_rows
    if name == "scale_input":
        return scale_input
    if name == "multiply":
        return multiply_rows
    if name == "dropout":
        return drop
    if name == "noise":
        return noise
    if name == "normalize":
        return normalize
    if name == "normalize_input":
        return normalize_input
    if name == "scale_gradient":
        return whole_scale_gradient
    if name == "prelu":
        return prelu_rows
    if name == "prelu_input":
        return prelu_input
    if name == "prelu_gradient":
        return whole_prelu_gradient
    if name == "embed":
        return embed
    if name == "embed_gradient":
        return whole_gradient
    if name == "batch_statistics":
        return batch_statistics
    if name == "batch_scale":
        return batch_scale
    if name == "batch_gradient":
        return batch_gradient
    if name == "batch_input":
        return batch_input
    if name == "move":
        return move
    raise unknown("operation", name)


cdef gradient_kernel find_gradient(str name) noexcept:
    """What sums a part of a tensor's gradient, which the weight-parallel regime asks for; NULL for other operations."""
    if name == "dense_gradient":
        return dense_gradient
    if name == "scale_gradient":
        return scale_gradient
    if name == "prelu_gradient":
        return prelu_gradient
    if name == "embed_gradient":
        return embed_gradient
    return NULL


cdef inline void run_program(Program* program, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """All operations; gradients begin their sums as `start` says: START_ZERO, or START_C to go on from earlier rows."""
    cdef Py_ssize_t i
    for i in range(program.n):
        program.at[i].kernel(&program.at[i], tile, weights, start)


cdef inline real* buffer(RowTile* tile, long long offset, long long ld) noexcept nogil:
    return tile.activations + offset + tile.first * ld


cdef inline void activate_rows(BoundOperation* bound, RowTile* tile, real* z) noexcept nogil:
    """c = f(z), and the slope where it is kept"""
    cdef Operation* op = &bound.op
    if op.slope >= 0 and op.slope != op.z:
        memcpy(buffer(tile, op.slope, op.ldc), z, tile.rows * op.ldc * sizeof(real))
        z = buffer(tile, op.slope, op.ldc)
    activate(&bound.activation, tile.rows, op.n_c, op.ldc, z, buffer(tile, op.c, op.ldc))


cdef void dense(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = f(a W + b)"""
    cdef Operation* op = &bound.op
    cdef const real* a = tile.x
    cdef Py_ssize_t a_row = tile.x_row, a_column = tile.x_column, a_width = tile.x_width
    cdef real* z = buffer(tile, op.z if op.z >= 0 else op.c, op.ldc)
    cdef const real* bias = NULL
    if op.a >= 0:
        a = buffer(tile, op.a, op.lda)
        a_row = a_width = op.lda
        a_column = 1
    if op.b >= 0:
        bias = weights.w + op.b
    if op.by_columns:
        dot_columns(tile.rows, op.n_c, op.n_a, a, a_row, a_column, a_width, weights.w + op.w, op.ldw, bias, z,
                    op.ldc)
    else:
        gemm(tile.rows, op.ldc, op.n_a, START_ZERO if bias == NULL else START_BIAS, a, a_row, a_column,
             weights.w + op.w, op.ldw, z, op.ldc, bias, &tile.packing)
    activate_rows(bound, tile, z)


cdef inline void times_slope(BoundOperation* bound, RowTile* tile, real* d) noexcept nogil:
    """d = d * f'"""
    cdef Operation* op = &bound.op
    cdef const real* slope = NULL
    if bound.activation.backward == NULL:
        return
    if op.slope >= 0:
        slope = buffer(tile, op.slope, op.ldc)
    bound.activation.backward(bound.activation.alpha, tile.rows, op.n_c, op.ldc, slope, buffer(tile, op.y, op.ldc), d)


cdef void activation_backward(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = a * f'"""
    cdef Operation* op = &bound.op
    if op.c != op.a:
        memcpy(buffer(tile, op.c, op.ldc), buffer(tile, op.a, op.ldc), tile.rows * op.ldc * sizeof(real))
    times_slope(bound, tile, buffer(tile, op.c, op.ldc))


cdef void dense_input(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = a W^T (or c += a W^T), then times the derivative of the activation that made the layer's input

    Of a row the n_y numbers from column_c on; what is asked for may begin anywhere.
    """
    cdef Operation* op = &bound.op
    cdef real* c = buffer(tile, op.c, op.ldc)
    cdef const real* w = (weights.w if op.by_columns else weights.transposes) + op.w
    gemm(tile.rows, op.n_y, op.n_a, START_C if op.accumulate else START_ZERO,
         buffer(tile, op.a, op.lda), op.lda, 1, w + op.column_c, op.ldw, c + op.column_c, op.ldc, NULL,
         &tile.packing)
    times_slope(bound, tile, c)


cdef void dense_dots(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """`dense_input` from a kernel by rows of up to four inputs: the same chains, without lanes for inputs that are not."""
    cdef Operation* op = &bound.op
    cdef real* c = buffer(tile, op.c, op.ldc)
    dot_columns(tile.rows, op.n_c, op.n_a, buffer(tile, op.a, op.lda), op.lda, 1, op.lda, weights.w + op.w, op.ldw, NULL, c,
                op.ldc)
    times_slope(bound, tile, c)


cdef void whole_gradient(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """The gradient of a whole tensor, and of the bias that goes with it."""
    cdef Operation* op = &bound.op
    bound.gradient(op, tile, start, 0, op.n_c, weights.gradient + op.c,
                   weights.gradient + op.b if op.b >= 0 else NULL)


cdef enum:
    FEW_INPUTS_ROWS = 256   # of a tile


cdef void few_inputs_gradient(Operation* op, Py_ssize_t rows, int start, const real* x, Py_ssize_t x_row,
                              Py_ssize_t x_column, const real* dz, real* kernel) noexcept nogil:
    """`dense_gradient` of up to three inputs and of the bias behind their kernel, whose input is 1.

    So dz is read once: a step took 0.92 of the time at 3-1-532 with batches of 38, 0.97 at 3-192 with 3780.
    """
    cdef real inputs[4 * FEW_INPUTS_ROWS]
    cdef Py_ssize_t r, i, n = op.n_a
    for r in range(rows):
        for i in range(n):
            inputs[r * 4 + i] = x[r * x_row + i * x_column]
        inputs[r * 4 + n] = 1
    gemm(n + 1, op.ldw, rows, start, inputs, 1, 4, dz, op.ldy, kernel, op.ldw, NULL, NULL)


cdef void dense_gradient(Operation* op, RowTile* tile, int start, Py_ssize_t begin, Py_ssize_t end,
                         real* kernel, real* bias) noexcept nogil:
    """dW[i, o] = sum_r x[r, i] dz[r, o] for stored rows begin <= i < end, and db[o] = sum_r dz[r, o]; rows r in order.

    A kernel stored by columns has outputs for rows.  `kernel` points at row `begin` (OUT, or IN and OUT with START_C),
    `bias` may be NULL.
    """
    cdef const real* x = tile.x
    cdef Py_ssize_t x_row = tile.x_row, x_column = tile.x_column
    cdef const real* dz = buffer(tile, op.y, op.ldy)
    if op.a >= 0:
        x = buffer(tile, op.a, op.lda)
        x_row = op.lda
        x_column = 1
    if not op.by_columns and op.n_a < 4 and bias == kernel + op.n_a * op.ldw and tile.rows <= FEW_INPUTS_ROWS:
        few_inputs_gradient(op, tile.rows, start, x, x_row, x_column, dz, kernel)
        return
    if end > begin:
        if op.by_columns:
            gemm(end - begin, op.ldw, tile.rows, start, dz + begin, 1, op.ldy, x, x_row,
                 kernel, op.ldw, NULL, &tile.packing)
        else:
            gemm(end - begin, op.ldw, tile.rows, start, x + begin * x_column, x_column, x_row, dz, op.ldy,
                 kernel, op.ldw, NULL, &tile.packing)
    if bias != NULL:
        column_sums(tile.rows, op.ldy, start, dz, op.ldy, bias)


cdef void join_outputs(Program* program, BoundOperation* taken, backward_kernel of_tanh) noexcept:
    """A "dense_gradient" of up to four outputs takes the "dense_input" after it along, which moves to `taken`.

    With tanh it takes the bias's gradient of the layer below, too.
    """
    cdef Py_ssize_t i, k
    cdef BoundOperation* own
    cdef BoundOperation* below
    for i in range(program.n - 1):
        own = &program.at[i]
        taken[0] = program.at[i + 1]
        if own.kernel != whole_gradient or taken.kernel != dense_input or not own.op.by_columns or own.op.a < 0:
            continue
        if taken.op.a != own.op.y or taken.op.accumulate or not taken.op.by_columns:
            continue
        own.kernel = dense_outputs
        own.along = taken
        own.along_tanh = taken.activation.backward == of_tanh and taken.op.y == own.op.a
        own.sums = -1
        program.n -= 1
        for k in range(i + 1, program.n):
            program.at[k] = program.at[k + 1]
        below = &program.at[i + 1]
        if own.along_tanh and i + 1 < program.n and below.kernel == whole_gradient and below.op.y == taken.op.c:
            own.sums = below.op.b
            below.op.b = -1
        return


cdef void dense_outputs(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """`whole_gradient` and `dense_input` of a layer of up to four outputs."""
    cdef Operation* op = &bound.op
    cdef Operation* input = &bound.along.op
    cdef Outputs own
    own.rows = tile.rows
    own.start = start
    own.dz = buffer(tile, op.y, op.ldy)
    own.lddz = op.ldy
    own.x = buffer(tile, op.a, op.lda)
    own.ldx = op.lda
    own.w = weights.w + input.w
    own.ldw = op.ldw
    own.d = buffer(tile, input.c, input.ldc)
    own.ldd = input.ldc
    own.g = weights.gradient + op.c
    own.b = weights.gradient + op.b if op.b >= 0 else NULL
    own.s = weights.gradient + bound.sums if bound.sums >= 0 else NULL
    if start == START_ZERO and own.b != NULL:
        memset(own.b, 0, BLOCK * sizeof(real))
    if bound.along_tanh:
        outputs_of_tanh(<int>op.n_y, &own)
    else:
        outputs_of_any(<int>op.n_y, &own)
        times_slope(bound.along, tile, own.d)


cdef inline void move_columns(const bint is_copy, Operation* op, RowTile* tile) noexcept nogil:
    """c[:, column_c:column_c + n] = or += a[:, column_a:column_a + n], with n = n_a columns; a copy zeroes the others"""
    cdef Py_ssize_t r, j
    cdef real* c
    cdef const real* a
    cdef Py_ssize_t a_row = op.lda, a_column = 1
    for r in range(tile.rows):
        c = buffer(tile, op.c, op.ldc) + r * op.ldc + op.column_c
        if op.a >= 0:
            a = buffer(tile, op.a, op.lda) + r * op.lda + op.column_a
            a_column = 1
        else:
            a = tile.x + r * tile.x_row + op.column_a * tile.x_column
            a_column = tile.x_column
        if is_copy:
            for j in range(op.n_a):
                c[j] = a[j * a_column]
            for j in range(op.n_a, op.ldc - op.column_c):
                c[j] = 0
        else:
            for j in range(op.n_a):
                c[j] += a[j * a_column]


cdef void copy_columns(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    cdef Operation* op = &bound.op
    if op.a < 0 and op.column_c == 0:
        gather(tile.rows, op.n_a, NULL, tile.x + op.column_a * tile.x_column, tile.x_row, tile.x_column,
               buffer(tile, op.c, op.ldc), op.ldc)
    else:
        move_columns(True, op, tile)


cdef void accumulate_columns(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    move_columns(False, &bound.op, tile)


cdef void add(BoundOperation* bound, RowTile* tile, Weights* weights, int start) noexcept nogil:
    """c = f(a + y), either term possibly the network's input"""
    cdef Operation* op = &bound.op
    cdef Py_ssize_t r, j, term, row, column
    cdef real* z = buffer(tile, op.z if op.z >= 0 else op.c, op.ldc)
    cdef const real* a
    memset(z, 0, tile.rows * op.ldc * sizeof(real))
    for term in range(2):
        a = tile.x
        row = tile.x_row
        column = tile.x_column
        if (op.a if term == 0 else op.y) >= 0:
            row = op.lda if term == 0 else op.ldy
            column = 1
            a = buffer(tile, op.a if term == 0 else op.y, row)
        for r in range(tile.rows):
            for j in range(op.n_c):
                z[r * op.ldc + j] += a[r * row + j * column]
    activate_rows(bound, tile, z)

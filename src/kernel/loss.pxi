# Losses: the sum over rows and its derivative in one pass.  The formulas are those of fastbp/formula/loss.py, one loop each;
# the cross-entropy of classes needs whole rows and has kernels of its own.
#
#     return   sum over rows (and outputs) of the loss, before the division by their number
#     d[r, j]  = scale * d loss / d (pre-activation or output)[r, j]; zero in the padding
#
# The cross-entropies work from logits, so neither overflows nor clips: a gradient is the derivative of the reported loss.
# Sums run over BLOCK interleaved partial sums, in row order, added by halves.  d overlaps neither outputs nor targets.
#
# Where there are weights, value and slope of an element are multiplied by its own; weight 0 leaves it out, even where the
# loss is not finite.

cdef enum:
    MOST_PARAMETERS = 4
    LOSS_PIECE = 32 * BLOCK     # elements between two sums
    FEW_ROWS = BLOCK - 3        # rows of up to four outputs that meet in no partial sum with the same output
    FEW_GROUPS = 4              # of so many rows, between two sums

cdef struct Parameters:         # of a loss
    real at[MOST_PARAMETERS]

# The rows of a loss; the target of row r is row order[r] (r where order is NULL) of `y`, or `label` of the cross-entropy.
cdef struct LossRows:
    Py_ssize_t rows
    Py_ssize_t n
    Py_ssize_t ld
    const real* out
    const real* y
    Py_ssize_t y_row
    Py_ssize_t y_column
    const int* label            # or NULL
    Py_ssize_t label_step
    const unsigned int* order
    const real* weight          # of each element as in `d`, or with `is_by_row` of each row side by side; or NULL
    bint is_by_row              # of the cross-entropy
    real scale
    real* d
    Parameters parameters
    Py_ssize_t n_targets        # of a row; n but where several outputs belong to one
    const real* column          # a parameter of each output's own, or NULL
    Py_ssize_t readable         # of losses in the lanes: where in y reading ends

ctypedef (real, real) pair
ctypedef pair (*loss_formula_of)(real out, real target, Parameters p) noexcept nogil
ctypedef void (*piece_kernel)(const Parameters* p, real scale, Py_ssize_t count, in_array out, out_array value,
                              out_array d) noexcept nogil
ctypedef double (*loss_kernel)(LossRows* rows) noexcept nogil
ctypedef vfour (*four_loss_kernel)(const Parameters* p, real scale, Py_ssize_t n, vfour out, const real* y,
                                   Py_ssize_t y_column, double* loss) noexcept nogil

cdef struct LossKernel:
    loss_kernel rows
    loss_kernel lanes           # of outputs that are turned (lane_loss.pxi), or NULL: they go by way of rows
    four_loss_kernel four       # of one row of up to four outputs, or NULL
    int n_parameters
    bint has_column             # it takes a parameter of each output's own


cdef tuple ROW_LOSSES = ("cross_entropy", "class_loss", "cosine")


cdef LossKernel find_loss(str name) except *:
    """The kernel of a loss.  Raises ValueError for an unknown name."""
    cdef LossKernel found
    found.has_column = False
    found.lanes = NULL
    found.four = NULL
    if name == "class_loss":
        found.rows = class_loss_rows
        found.n_parameters = 3
        return found
    if name == "cosine":
        found.rows = cosine_rows
        found.n_parameters = 0
        return found
    if name == "cross_entropy":
        found.rows = cross_entropy_rows
        found.lanes = lane_cross_entropy
        found.n_parameters = 0
        return found
    return loss_formula(name)


cdef inline void few_outputs_row(loss_formula_of f, Parameters p, real scale, Py_ssize_t n, const real* out, const real* y,
                                 Py_ssize_t y_column, real* d, real* part) noexcept nogil:
    """A row of up to four outputs, its gradient stored whole; element j joins partial sum j of `part` (4, IN and OUT)."""
    cdef pair found = f(out[0], y[0], p)
    cdef real slope[4]
    part[0] += found[0]
    slope[0] = found[1]
    slope[1] = 0
    slope[2] = 0
    slope[3] = 0
    if n > 1:
        found = f(out[1], y[y_column], p)
        part[1] += found[0]
        slope[1] = found[1]
    if n > 2:
        found = f(out[2], y[2 * y_column], p)
        part[2] += found[0]
        slope[2] = found[1]
    if n > 3:
        found = f(out[3], y[3 * y_column], p)
        part[3] += found[0]
        slope[3] = found[1]
    store_row(d, scale * slope[0], scale * slope[1], scale * slope[2], scale * slope[3])


cdef inline vfour four_loss(loss_formula_of f, const Parameters* parameters, real scale, Py_ssize_t n, vfour out,
                            const real* y, Py_ssize_t y_column, double* loss) noexcept nogil:
    """The gradient of one row of up to four outputs; `loss` OUT, the sum of `few_outputs_loss`."""
    cdef Parameters p = parameters[0]
    cdef pair zero = (0, 0)
    cdef pair found0 = f(four_at(out, 0), y[0], p)
    cdef pair found1 = f(four_at(out, 1), y[y_column], p) if n > 1 else zero
    cdef pair found2 = f(four_at(out, 2), y[2 * y_column], p) if n > 2 else zero
    cdef pair found3 = f(four_at(out, 3), y[3 * y_column], p) if n > 3 else zero
    loss[0] = (found0[0] + found2[0]) + (found1[0] + found3[0])
    return four_set(scale) * four_of(found0[1], found1[1], found2[1], found3[1])


cdef inline void loss_piece(loss_formula_of f, Parameters p, real scale, Py_ssize_t count, in_array out, out_array value,
                            out_array d) noexcept nogil:
    """value = the loss, d = scale times its slope, from the targets in d (IN and OUT); `count` elements in one plain loop.

    Neither a sum nor a choice of lanes is in it, and its length is not a literal: so the compiler vectorises any formula.
    It is compiled once for each, a `piece_kernel` for all ways in which outputs lie.
    """
    cdef Py_ssize_t i
    cdef pair found
    for i in range(count):
        found = f(out[i], d[i], p)
        value[i] = found[0]
        d[i] = scale * found[1]


cdef void weigh(Py_ssize_t count, in_array weight, out_array value, out_array d) noexcept nogil:
    """value and d (IN and OUT) times the weight of each element; 0 where that is 0."""
    cdef Py_ssize_t i
    for i in range(count):
        value[i] = weight[i] * value[i] if weight[i] != 0 else <real>0
        d[i] = weight[i] * d[i] if weight[i] != 0 else <real>0


cdef inline double few_rows_loss(loss_formula_of f, LossRows* rows) noexcept nogil:
    """A few rows of up to four outputs, without weights: what `few_outputs_loss` gives."""
    cdef real part[BLOCK]
    cdef LossRows own
    cdef const unsigned int* order = rows.order
    cdef Py_ssize_t r
    # what follows, without its way through memory; a copy of `rows` would wait for what was just stored
    if rows.rows == 1:
        part[0] = part[1] = part[2] = part[3] = 0
        few_outputs_row(f, rows.parameters, rows.scale, rows.n, rows.out,
                        rows.y + (order[0] if order != NULL else 0) * rows.y_row, rows.y_column, rows.d, part)
        return (part[0] + part[2]) + (part[1] + part[3])
    own = rows[0]
    memset(part, 0, sizeof(part))
    for r in range(own.rows):
        few_outputs_row(f, own.parameters, own.scale, own.n, own.out + r * own.ld,
                        own.y + (order[r] if order != NULL else r) * own.y_row, own.y_column, own.d + r * own.ld,
                        part + r)
    return lane_sum(part)


cdef double few_outputs_loss(piece_kernel piece, LossRows* rows) noexcept nogil:
    """The rows of one loss of up to four outputs.  Element (r, j) joins partial sum r modulo FEW_ROWS, and j further on."""
    cdef real part[BLOCK]
    cdef real out[4 * FEW_GROUPS * BLOCK]
    cdef real value[4 * FEW_GROUPS * BLOCK]
    cdef real d[4 * FEW_GROUPS * BLOCK]
    cdef LossRows own = rows[0]
    cdef Py_ssize_t r, first = 0, count
    memset(part, 0, sizeof(part))
    for r in range(own.n * FEW_GROUPS * BLOCK_VECTORS):
        vstore(out + r * LANES, vset(0))
        vstore(d + r * LANES, vset(0))
    while first < own.rows:
        count = min(own.rows - first, <Py_ssize_t>FEW_GROUPS * FEW_ROWS)
        few_outputs_collect(&own, first, count, out, d)
        piece(&own.parameters, own.scale, own.n * FEW_GROUPS * BLOCK, out, value, d)
        if own.weight != NULL:
            few_outputs_weigh(&own, first, count, value, d)
        few_outputs_spread(&own, first, count, value, d, part)
        first += count
    return lane_sum(part)


cdef inline void collect_rows(const int n, LossRows* own, Py_ssize_t first, Py_ssize_t count, real* out,
                              real* target) noexcept nogil:
    """Rows first..first + count side by side, FEW_ROWS in a block and each output in blocks of its own: output j of row i of
    them lies in the lane of its partial sum, j + i modulo FEW_ROWS.

    `out` and `target` (n, FEW_GROUPS, BLOCK) OUT; lanes without an element keep what they have."""
    cdef Py_ssize_t i = 0, j, at, y_row = own.y_row, y_column = own.y_column, ld = own.ld
    cdef const unsigned int* order = own.order
    cdef const real* given = own.out + first * ld
    cdef const real* y
    cdef int group, lane
    for group in range(FEW_GROUPS):
        at = group * BLOCK
        for lane in range(<int>min(count - i, <Py_ssize_t>FEW_ROWS)):
            y = own.y + (order[first + i] if order != NULL else first + i) * y_row
            for j in range(n):
                out[j * (FEW_GROUPS * BLOCK + 1) + at] = given[j]
                target[j * (FEW_GROUPS * BLOCK + 1) + at] = y[j * y_column]
            given += ld
            i += 1
            at += 1


cdef inline void spread_rows(const int n, LossRows* own, Py_ssize_t first, Py_ssize_t count, const real* value,
                             const real* d, real* part) noexcept nogil:
    """The way back: the rows' gradient from d, and `value` added to `part` (BLOCK, IN and OUT) in the order of rows."""
    cdef Py_ssize_t at, j, ld = own.ld, stride = FEW_GROUPS * BLOCK + 1
    cdef real* to = own.d + first * ld
    cdef vreal sum[BLOCK_VECTORS]
    cdef int group, lane, lanes, v
    for v in range(BLOCK_VECTORS):
        sum[v] = vload(part + v * LANES)
    for group in range(FEW_GROUPS):
        lanes = <int>min(count - group * FEW_ROWS, <Py_ssize_t>FEW_ROWS)
        for j in range(n - 1, -1, -1):      # a partial sum meets the last output in the first of its rows
            for v in range(BLOCK_VECTORS):
                at = (j * FEW_GROUPS + group) * BLOCK + v * LANES
                sum[v] = sum[v] + vbetween(<int>j - v * LANES, <int>j + lanes - v * LANES, vload(value + at))
        at = group * BLOCK
        for lane in range(lanes):
            store_row(to, d[at], d[stride + at] if n > 1 else 0, d[2 * stride + at] if n > 2 else 0,
                      d[3 * stride + at] if n > 3 else 0)
            to += ld
            at += 1
    for v in range(BLOCK_VECTORS):
        vstore(part + v * LANES, sum[v])


cdef void few_outputs_collect(LossRows* own, Py_ssize_t first, Py_ssize_t count, real* out, real* target) noexcept nogil:
    if own.n == 1:
        collect_rows(1, own, first, count, out, target)
    elif own.n == 2:
        collect_rows(2, own, first, count, out, target)
    elif own.n == 3:
        collect_rows(3, own, first, count, out, target)
    else:
        collect_rows(4, own, first, count, out, target)


cdef void few_outputs_spread(LossRows* own, Py_ssize_t first, Py_ssize_t count, const real* value, const real* d,
                             real* part) noexcept nogil:
    if own.n == 1:
        spread_rows(1, own, first, count, value, d, part)
    elif own.n == 2:
        spread_rows(2, own, first, count, value, d, part)
    elif own.n == 3:
        spread_rows(3, own, first, count, value, d, part)
    else:
        spread_rows(4, own, first, count, value, d, part)


cdef void few_outputs_weigh(LossRows* own, Py_ssize_t first, Py_ssize_t count, real* value, real* d) noexcept nogil:
    """`weigh` with the weights where `collect_rows` puts their elements."""
    cdef real weight[4 * FEW_GROUPS * BLOCK]
    cdef real target[4 * FEW_GROUPS * BLOCK]
    cdef LossRows weights = own[0]
    weights.out = own.weight
    memset(weight, 0, sizeof(weight))
    few_outputs_collect(&weights, first, count, weight, target)
    weigh(own.n * FEW_GROUPS * BLOCK, weight, value, d)


cdef double single_output_loss(piece_kernel piece, LossRows* own) noexcept nogil:
    """The same for outputs and gradients side by side, whole blocks of them: row r joins partial sum r modulo FEW_ROWS."""
    cdef real part[BLOCK]
    cdef real value[(FEW_ROWS + 1) * BLOCK]
    cdef vreal sum[BLOCK_VECTORS]
    cdef const real* weight = own.weight
    cdef Py_ssize_t first = 0, count, at
    cdef int v
    if own.order == NULL and own.y_row == 1:
        memcpy(own.d, own.y, own.rows * sizeof(real))
    else:
        gather(own.rows, 1, own.order, own.y, own.y_row, own.y_column, own.d, 1)
    for v in range(BLOCK_VECTORS):
        sum[v] = vset(0)
    while first < own.rows:
        count = min(own.rows - first, <Py_ssize_t>FEW_ROWS * BLOCK)
        piece(&own.parameters, own.scale, (count + BLOCK - 1) // BLOCK * BLOCK, own.out + first, value, own.d + first)
        if weight != NULL:
            weigh(count, weight + first, value, own.d + first)
        at = 0
        while at < count:
            for v in range(BLOCK_VECTORS):
                sum[v] = sum[v] + vbetween(0, <int>min(count - at, <Py_ssize_t>FEW_ROWS) - v * LANES,
                                           vload(value + at + v * LANES))
            at += FEW_ROWS
        first += count
    for v in range(BLOCK_VECTORS):
        vstore(part + v * LANES, sum[v])
    return lane_sum(part)


cdef inline double loss_run(loss_formula_of f, piece_kernel piece, LossRows* rows) noexcept nogil:
    """The rows of one loss."""
    if rows.rows < FEW_ROWS and rows.n <= 4 and rows.ld > 1 and rows.weight == NULL:
        return few_rows_loss(f, rows)
    if rows.rows == 1 and rows.ld == BLOCK and rows.n > 4 and rows.weight == NULL:
        return block_loss(piece, rows)
    return loss_by_pieces(piece, rows)


cdef double block_loss(piece_kernel piece, LossRows* rows) noexcept nogil:
    """`loss_by_pieces` of a row alone that is one block, without weights."""
    cdef real part[BLOCK]
    cdef int n = <int>rows.n, v
    cdef real* d = rows.d
    gather(1, n, rows.order, rows.y, rows.y_row, rows.y_column, d, BLOCK)
    piece(&rows.parameters, rows.scale, BLOCK, rows.out, part, d)
    for v in range(BLOCK_VECTORS):
        vstore(part + v * LANES, vset(0) + vbetween(0, n - v * LANES, vload(part + v * LANES)))
        vstore(d + v * LANES, vbetween(0, n - v * LANES, vload(d + v * LANES)))
    return lane_sum(part)


cdef double loss_by_pieces(piece_kernel piece, LossRows* rows) noexcept nogil:
    """The rows of one loss.  Element (r, j) joins partial sum j modulo BLOCK."""
    cdef real part[BLOCK]
    cdef real value[LOSS_PIECE]
    cdef Py_ssize_t n = rows.n, ld = rows.ld, column = 0, left = rows.rows * ld, count
    cdef const real* out = rows.out
    cdef const real* weight = rows.weight
    cdef real* d = rows.d
    if ld == 1:
        return single_output_loss(piece, rows)
    if n <= 4:
        return few_outputs_loss(piece, rows)
    gather(rows.rows, n, rows.order, rows.y, rows.y_row, rows.y_column, d, ld)
    memset(part, 0, sizeof(part))
    while left > 0:
        count = min(left, <Py_ssize_t>LOSS_PIECE)
        piece(&rows.parameters, rows.scale, count, out, value, d)
        if weight != NULL:
            weigh(count, weight, value, d)
            weight += count
        column = sum_piece(n, ld, column, count, value, d, part)
        out += count
        d += count
        left -= count
    return lane_sum(part)


cdef Py_ssize_t sum_piece(Py_ssize_t n, Py_ssize_t ld, Py_ssize_t column, Py_ssize_t count, const real* value, real* d,
                          real* part) noexcept nogil:
    """`value` added to `part`, block after block, from `column` of a row on; d zeroed in the padding.

    `part` (BLOCK) IN and OUT, d (count) OUT where it is padding.  Returns the column that comes next.
    """
    cdef vreal sum[BLOCK_VECTORS]
    cdef Py_ssize_t i = 0, end
    cdef int v, lanes
    for v in range(BLOCK_VECTORS):
        sum[v] = vload(part + v * LANES)
    while i < count:
        lanes = <int>max(n - column, <Py_ssize_t>0)
        end = min(count, i + lanes // BLOCK * BLOCK)
        column += end - i
        while i < end:
            for v in range(BLOCK_VECTORS):
                sum[v] = sum[v] + vload(value + i + v * LANES)
            i += BLOCK
        if i < count and column < ld:   # a block in which the row ends, or of padding
            lanes = <int>max(n - column, <Py_ssize_t>0)
            for v in range(BLOCK_VECTORS):
                sum[v] = sum[v] + vbetween(0, lanes - v * LANES, vload(value + i + v * LANES))
                vstore(d + i + v * LANES, vbetween(0, lanes - v * LANES, vload(d + i + v * LANES)))
            i += BLOCK
            column += BLOCK
        if column >= ld:
            column = 0
    for v in range(BLOCK_VECTORS):
        vstore(part + v * LANES, sum[v])
    return column

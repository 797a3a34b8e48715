# Losses whose loop is compiled once, whatever way their outputs lie: those that are not in INLINED_LOSSES of generate.py.
#
# A loop of a formula works on a piece, whole blocks side by side; what stands here brings outputs and targets there and the
# slopes back.  Where several outputs belong to a target, those of all targets lie one after the other: output c is about
# target c modulo n_targets.  A formula with three results takes two outputs, c and n_targets + c, at once.
#
# Of rows, element after element joins one sum in float64; in the lanes, the order is that of lane_loss.pxi.

cdef enum:
    ELEMENT_PIECE = 16 * BLOCK

ctypedef void (*element_kernel)(const Parameters* p, Py_ssize_t n, in_array out, in_array target, in_array column,
                                out_array value, out_array slope, out_array second) noexcept nogil

# Arrays of one piece; `column` is the second output or a number of the output's own.
cdef struct ElementPiece:
    real out[ELEMENT_PIECE]
    real target[ELEMENT_PIECE]
    real column[ELEMENT_PIECE]
    real value[ELEMENT_PIECE]
    real slope[ELEMENT_PIECE]
    real second[ELEMENT_PIECE]


cdef double element_rows(element_kernel f, bint is_pair, LossRows* own) noexcept nogil:
    """All rows of one loss, as `loss_run`."""
    cdef ElementPiece piece
    cdef Py_ssize_t width = own.n_targets if is_pair else own.n
    cdef Py_ssize_t left = own.rows * width, count, i, row = 0, j = 0, at_row, at_j
    cdef double sum = 0
    memset(&piece, 0, sizeof(piece))
    if own.n < own.ld:
        zero_padding(own.rows, own.n, own.ld, own.d)
    while left > 0:
        count = min(left, <Py_ssize_t>ELEMENT_PIECE)
        at_row = row
        at_j = j
        for i in range(count):
            piece.out[i] = own.out[row * own.ld + j]
            piece.target[i] = element_target(own, row, j % own.n_targets)
            if is_pair:
                piece.column[i] = own.out[row * own.ld + width + j]
            elif own.column != NULL:
                piece.column[i] = own.column[j]
            j += 1
            if j == width:
                j = 0
                row += 1
        f(&own.parameters, (count + BLOCK - 1) // BLOCK * BLOCK, piece.out, piece.target, piece.column, piece.value,
          piece.slope, piece.second)
        for i in range(count):
            sum += put_element(own, is_pair, at_row * own.ld, at_j, &piece, i)
            at_j += 1
            if at_j == width:
                at_j = 0
                at_row += 1
        left -= count
    return sum


cdef inline real element_target(LossRows* own, Py_ssize_t row, Py_ssize_t j) noexcept nogil:
    return own.y[(own.order[row] if own.order != NULL else row) * own.y_row + j * own.y_column]


cdef inline double put_element(LossRows* own, bint is_pair, Py_ssize_t row, Py_ssize_t j, ElementPiece* piece,
                               Py_ssize_t i) noexcept nogil:
    """Store the gradient of element j of the row that begins at `row`; returns its weighted loss."""
    cdef real weight = own.weight[row + j % own.n_targets] if own.weight != NULL else <real>1
    cdef real scale = own.scale * weight
    own.d[row + j] = scale * piece.slope[i] if weight != 0 else <real>0
    if is_pair:
        own.d[row + own.n_targets + j] = scale * piece.second[i] if weight != 0 else <real>0
    return weight * piece.value[i] if weight != 0 else <real>0


cdef double element_lanes(element_kernel f, bint is_pair, LossRows* own) noexcept nogil:
    """The same of outputs that are turned; the targets are gathered into d, whose last outputs are overwritten first."""
    cdef ElementPiece piece
    cdef real part[BLOCK]
    cdef Py_ssize_t c, r, begin, count, lanes = lane_count(own.rows), ld = own.ld, k = own.n_targets
    cdef Py_ssize_t n = k if is_pair else own.n
    cdef real* target
    memset(part, 0, sizeof(part))
    gather_lanes(own.rows, k, own.order, own.y, own.y_row, own.y_column, own.readable, own.d, ld)
    for c in range(n - 1, -1, -1):
        begin = 0
        while begin < lanes:
            count = min(lanes - begin, <Py_ssize_t>ELEMENT_PIECE)
            target = own.d + c % k * ld + begin
            if is_pair:
                memcpy(piece.column, own.out + (k + c) * ld + begin, count * sizeof(real))
            elif own.column != NULL:
                for r in range(count):
                    piece.column[r] = own.column[c]
            f(&own.parameters, count, own.out + c * ld + begin, target, piece.column, piece.value, piece.slope,
              piece.second)
            put_lanes(own, own.rows - begin, count, c % k * ld + begin, piece.value, piece.slope, own.d + c * ld + begin)
            if is_pair:
                put_lanes(own, own.rows - begin, count, c * ld + begin, NULL, piece.second, own.d + (k + c) * ld + begin)
            for r in range(count):
                part[r % BLOCK] += piece.value[r]
            begin += count
    return lane_sum(part)


cdef void put_lanes(LossRows* own, Py_ssize_t rows, Py_ssize_t count, Py_ssize_t weight_at, real* value,
                    const real* slope, real* d) noexcept nogil:
    """d OUT, and `value` (IN and OUT) weighted where it is not NULL; 0 beyond the rows."""
    cdef Py_ssize_t r
    cdef real weight = 1
    for r in range(count):
        if own.weight != NULL:
            weight = own.weight[weight_at + r]
        if r >= rows or weight == 0:
            d[r] = 0
            if value != NULL:
                value[r] = 0
        else:
            d[r] = own.scale * weight * slope[r]
            if value != NULL:
                value[r] = weight * value[r]

# Activations and losses in dual numbers, each number with its tangent: its derivative along one direction.  The formulas are
# those of fastbp/formula, differentiated by src/differentiate.py.
#
# An activation has one loop, over whole padded rows, of what a step computes where the slope comes from:
#
#     of z     y = f(x) and x = f'(x), all with their tangents           x IN and OUT, y OUT
#     of a     y = y f'(x), y being a gradient and x the output          x IN, y IN and OUT
#
# A loss has the slopes of a piece; its value takes no part.

ctypedef void (*activation_tangent_kernel)(real alpha, Py_ssize_t n, out_array x, out_array x_dot, out_array y,
                                           out_array y_dot) noexcept nogil

# Arrays of one piece; `column` is the second output or a number of the output's own.
cdef struct TangentPiece:
    real out[ELEMENT_PIECE]
    real out_dot[ELEMENT_PIECE]
    real target[ELEMENT_PIECE]
    real column[ELEMENT_PIECE]
    real column_dot[ELEMENT_PIECE]
    real slope[ELEMENT_PIECE]
    real slope_dot[ELEMENT_PIECE]
    real second[ELEMENT_PIECE]
    real second_dot[ELEMENT_PIECE]

ctypedef void (*loss_tangent_kernel)(const Parameters* p, Py_ssize_t n, TangentPiece* x) noexcept nogil

include "tangent_formula.pxi"   # differentiate.py makes it of fastbp/formula


cdef void kept_backward_tangent(Py_ssize_t n, in_array slope, in_array slope_dot, out_array d,
                                out_array d_dot) noexcept nogil:
    """d = d f', with the f' that a forward pass has kept"""
    cdef Py_ssize_t i
    for i in range(n):
        d_dot[i] = real_fma(d_dot[i], slope[i], d[i] * slope_dot[i])
        d[i] = d[i] * slope[i]


cdef void loss_slopes(loss_tangent_kernel f, bint is_pair, LossRows* own, const real* out_dot, real* d_dot) noexcept nogil:
    """d = scale * the slopes of all rows, and their tangents; as `element_rows`."""
    cdef TangentPiece piece
    cdef Py_ssize_t width = own.n_targets if is_pair else own.n
    cdef Py_ssize_t left = own.rows * width, count, i, row = 0, j = 0, at_row, at_j
    memset(&piece, 0, sizeof(piece))
    while left > 0:
        count = min(left, <Py_ssize_t>ELEMENT_PIECE)
        at_row = row
        at_j = j
        for i in range(count):
            piece.out[i] = own.out[row * own.ld + j]
            piece.out_dot[i] = out_dot[row * own.ld + j]
            piece.target[i] = element_target(own, row, j % own.n_targets)
            if is_pair:
                piece.column[i] = own.out[row * own.ld + width + j]
                piece.column_dot[i] = out_dot[row * own.ld + width + j]
            elif own.column != NULL:
                piece.column[i] = own.column[j]
            j += 1
            if j == width:
                j = 0
                row += 1
        f(&own.parameters, (count + BLOCK - 1) // BLOCK * BLOCK, &piece)
        for i in range(count):
            own.d[at_row * own.ld + at_j] = own.scale * piece.slope[i]
            d_dot[at_row * own.ld + at_j] = own.scale * piece.slope_dot[i]
            if is_pair:
                own.d[at_row * own.ld + width + at_j] = own.scale * piece.second[i]
                d_dot[at_row * own.ld + width + at_j] = own.scale * piece.second_dot[i]
            at_j += 1
            if at_j == width:
                at_j = 0
                at_row += 1
        left -= count

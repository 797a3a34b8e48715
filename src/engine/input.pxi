# What Python hands over, as the kernels can read it. Twin: the functions of the same names in backend/numpy/engine.py.

import sys

import numpy

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer

cdef object ARRAY = numpy.ndarray
cdef object EMPTY = numpy.empty
cdef object REAL = numpy.dtype("f4" if sizeof(real) == 4 else "f8")
cdef object INT32 = numpy.dtype("i4")
cdef object INT64 = numpy.dtype("i8")
cdef bint IS_LITTLE_ENDIAN = sys.byteorder == "little"

cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX

# What the buffer protocol calls the two types.
cdef int KIND = c"f" if sizeof(real) == 4 else c"d"
cdef int OTHER_KIND = c"d" if sizeof(real) == 4 else c"f"

cdef enum:
    SHORT_SCAN = 1 << 14    # numbers: read in less than a microsecond, too short to let others use the interpreter

# Where the numbers of an array lie; strides in bytes.
cdef struct Rows:
    const char* at
    Py_ssize_t n_rows
    Py_ssize_t n_columns
    Py_ssize_t row
    Py_ssize_t column
    bint is_one         # a row (n_columns,)


def accept(x, Py_ssize_t n_columns, bint check_finite):
    """x as the kernels can read it, or None where it needs a closer look (which will say what is wrong with it, if any).

    That is x itself, a plain array (n > 0, n_columns) of this build's type, in any order of strides, or its copy where it is
    of the other real type.  None too where a number is nan or infinite, unless `check_finite` is off and none was converted.
    """
    cdef Rows rows
    return accepted(x, 1, PY_SSIZE_T_MAX, n_columns, check_finite, False, &rows)


cdef object accepted(x, Py_ssize_t least, Py_ssize_t most, Py_ssize_t n_columns, bint check_finite, bint takes_row,
                     Rows* rows):
    """See `accept`; least..most rows, and with `takes_row` one of (n_columns,) too.  `rows` OUT: where they lie."""
    cdef int kind = find_rows(x, takes_row, rows) if type(x) is ARRAY else 0
    if kind == 0 or not least <= rows.n_rows <= most or rows.n_columns != n_columns or n_columns == 0:
        return None
    if kind == OTHER_KIND:
        if not whole(rows, sizeof(other_real)):
            return None
        x = converted(rows)
        check_finite = True             # what was finite may have overflowed
    elif kind != KIND or not whole(rows, sizeof(real)):
        return None
    return None if check_finite and nonfinite_place(rows) >= 0 else x


cdef int find_rows(x, bint takes_row, Rows* rows):
    """Where the numbers of an array (n, m) lie, or of (m,) with `takes_row`; returns their kind, 0 for none that is known.

    A typed memoryview would say the same in three times as long: 0.2 us, of 0.8 that a call for one row takes.
    """
    cdef Py_buffer view
    cdef int kind
    try:
        PyObject_GetBuffer(x, &view, PyBUF_FORMAT | PyBUF_STRIDES)
    except (ValueError, BufferError):   # dates, for one, are not for others to read
        return 0
    kind = view.format[0] if view.format[1] == 0 else 0
    rows.at = <const char*>view.buf
    rows.n_rows = 1
    rows.row = 0
    rows.is_one = view.ndim == 1
    if view.ndim == 2:
        rows.n_rows = view.shape[0]
        rows.row = view.strides[0]
    elif not (rows.is_one and takes_row):
        kind = 0
    if kind:
        rows.n_columns = view.shape[view.ndim - 1]
        rows.column = view.strides[view.ndim - 1]
    PyBuffer_Release(&view)
    return kind


cdef inline bint whole(const Rows* rows, size_t size) noexcept:
    """Whether every element lies where one of its size should."""
    return (<size_t>rows.at | <size_t>rows.row | <size_t>rows.column) % size == 0


cdef object converted(Rows* rows):
    """A copy in C order of numbers of the other real type, rounded as NumPy does; `rows` (IN and OUT) becomes that."""
    cdef real[:, ::1] result
    cdef Py_ssize_t i, j, n = rows.n_columns, column = rows.column // <Py_ssize_t>sizeof(other_real)
    cdef const other_real* p
    cdef real* out
    found = EMPTY((rows.n_rows, n), REAL)
    result = found
    with nogil:
        for i in range(rows.n_rows):
            p = <const other_real*>(rows.at + i * rows.row)
            out = &result[i, 0]
            if column == 1:
                for j in range(n):
                    out[j] = <real>p[j]
            else:
                for j in range(n):
                    out[j] = <real>p[j * column]
    rows.at = <const char*>&result[0, 0]
    rows.row = n * <Py_ssize_t>sizeof(real)
    rows.column = sizeof(real)
    return found


cdef bint overlap(const Rows* rows, const char* begin, const char* end) noexcept:
    """Whether any of the rows may lie between two addresses."""
    cdef Py_ssize_t down = (rows.n_rows - 1) * rows.row, along = (rows.n_columns - 1) * rows.column
    cdef const char* first = rows.at + min(down, <Py_ssize_t>0) + min(along, <Py_ssize_t>0)
    cdef const char* last = rows.at + max(down, <Py_ssize_t>0) + max(along, <Py_ssize_t>0) + sizeof(real)
    return first < end and begin < last


def class_index(y, Py_ssize_t n_classes, bint check_finite):
    """y (n,), a plain array of int64 or int32, as int32: y itself or the low halves of its numbers where they lie.

    None for any other, where an index is out of range, and where halves do not lie so (a strided y of int64, big endian).
    `check_finite` is that of `accept`, and idle.  Another thread may write to y meanwhile: the kernels check each again.
    """
    cdef const int[:] small
    cdef const long long[:] wide
    cdef const char* p
    cdef Py_ssize_t i, stride, n
    cdef long long value
    cdef bint is_wide
    if type(y) is not ARRAY or y.ndim != 1 or not y.flags.aligned or not (y.dtype is INT64 or y.dtype is INT32):
        return None
    n = y.shape[0]
    is_wide = y.dtype is INT64
    if n == 0 or is_wide and not (IS_LITTLE_ENDIAN and y.flags.c_contiguous):
        return None
    if is_wide:
        wide = y
        p = <const char*>&wide[0]
        stride = wide.strides[0]
    else:
        small = y
        p = <const char*>&small[0]
        stride = small.strides[0]
    for i in range(n):
        value = (<const long long*>p)[0] if is_wide else (<const int*>p)[0]
        if not 0 <= value < n_classes:
            return None
        p += stride
    return y.view(INT32)[::2] if is_wide else y


def first_nonfinite(const real[:, :] x):
    """The flat index (row-major) of the first element of x that is nan or infinite, or -1."""
    cdef Rows rows
    if x.shape[0] == 0 or x.shape[1] == 0:
        return -1
    rows.at = <const char*>&x[0, 0]
    rows.n_rows = x.shape[0]
    rows.n_columns = x.shape[1]
    rows.row = x.strides[0]
    rows.column = x.strides[1]
    return nonfinite_place(&rows)


def first_unknown(const real[:, :] x, const long long[:, ::1] categories):
    """The flat index (row-major) of the first element that is no category of its column, or -1.

    A row of `categories` is a column and n: its categories are the integers 0..n-1.
    """
    cdef Rows rows
    cdef Py_ssize_t i, place
    if x.shape[0] == 0 or categories.shape[0] == 0:
        return -1
    for i in range(categories.shape[0]):
        if not 0 <= categories[i, 0] < x.shape[1]:
            raise ValueError(f"there is no column {categories[i, 0]}")
    rows.at = <const char*>&x[0, 0]
    rows.n_rows = x.shape[0]
    rows.n_columns = x.shape[1]
    rows.row = x.strides[0]
    rows.column = x.strides[1]
    with nogil:
        place = unknown_place(&rows, categories.shape[0], &categories[0, 0])
    return place


cdef Py_ssize_t unknown_place(const Rows* rows, Py_ssize_t n, const long long* categories) noexcept nogil:
    """The same of n pairs (column, number of categories)."""
    cdef Py_ssize_t r, i
    cdef real x
    for r in range(rows.n_rows):
        for i in range(n):
            x = (<const real*>(rows.at + r * rows.row + categories[2 * i] * rows.column))[0]
            if not 0 <= x < <real>categories[2 * i + 1] or <real><Py_ssize_t>x != x:
                return r * rows.n_columns + categories[2 * i]
    return -1


cdef Py_ssize_t nonfinite_place(const Rows* rows) noexcept:
    """The same of at least one number; where they are many, other threads may use the interpreter meanwhile."""
    cdef Py_ssize_t place
    if rows.n_rows * rows.n_columns <= SHORT_SCAN:
        return scan(rows)
    with nogil:
        place = scan(rows)
    return place


cdef Py_ssize_t scan(const Rows* rows) noexcept nogil:
    cdef Py_ssize_t i, j, n = rows.n_columns, row = rows.row // <Py_ssize_t>sizeof(real)
    cdef Py_ssize_t column = rows.column // <Py_ssize_t>sizeof(real)
    cdef const real* p = <const real*>rows.at
    if row == n and column == 1 and all_finite(rows.n_rows * n, p):
        return -1
    for i in range(rows.n_rows):
        if column != 1 or not all_finite(n, p + i * row):
            for j in range(n):
                if not p[i * row + j * column] - p[i * row + j * column] == 0:
                    return i * n + j
    return -1

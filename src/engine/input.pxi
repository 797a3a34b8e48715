# What Python hands over, as the kernels can read it. Twin: the functions of the same names in backend/numpy/engine.py.

import sys

import numpy

cdef object ARRAY = numpy.ndarray
cdef object EMPTY = numpy.empty
cdef object REAL = numpy.dtype("f4" if sizeof(real) == 4 else "f8")
cdef object OTHER_REAL = numpy.dtype("f8" if sizeof(real) == 4 else "f4")
cdef object INT32 = numpy.dtype("i4")
cdef object INT64 = numpy.dtype("i8")
cdef bint IS_LITTLE_ENDIAN = sys.byteorder == "little"


def accept(x, Py_ssize_t n_columns, bint check_finite):
    """x as the kernels can read it, or None where it needs a closer look (which will say what is wrong with it, if any).

    That is x itself, a plain array (n > 0, n_columns) of this build's type, in any order of strides, or its copy where it is
    of the other real type.  None too where a number is nan or infinite, unless `check_finite` is off and none was converted.
    """
    return accepted(x, -1, n_columns, check_finite)


cdef object accepted(x, Py_ssize_t n_rows, Py_ssize_t n_columns, bint check_finite):
    """See `accept`; `n_rows` -1 for any number but none."""
    cdef const real[:, :] own
    if type(x) is not ARRAY or x.ndim != 2:
        return None
    if x.dtype is OTHER_REAL:
        x = converted(x, n_rows, n_columns)
        check_finite = True             # what was finite may have overflowed
    elif x.dtype is not REAL:
        return None
    if x is None:
        return None
    own = x
    if not fits(own.shape, n_rows, n_columns) or not whole(<size_t>&own[0, 0], own.strides, sizeof(real)):
        return None
    return None if check_finite and nonfinite_place(own) >= 0 else x


cdef inline bint fits(const Py_ssize_t* shape, Py_ssize_t n_rows, Py_ssize_t n_columns) noexcept:
    return shape[0] > 0 and shape[1] > 0 and shape[1] == n_columns and (n_rows < 0 or shape[0] == n_rows)


cdef inline bint whole(size_t address, const Py_ssize_t* strides, size_t size) noexcept:
    """Whether every element lies where one of its size should."""
    return (address | <size_t>strides[0] | <size_t>strides[1]) % size == 0


cdef object converted(x, Py_ssize_t n_rows, Py_ssize_t n_columns):
    """A copy in C order of an array of the other real type, rounded as NumPy does, or None."""
    cdef const other_real[:, :] source = x
    cdef real[:, ::1] result
    cdef Py_ssize_t i, j, rows = source.shape[0], n = source.shape[1]
    cdef Py_ssize_t column = source.strides[1] // <Py_ssize_t>sizeof(other_real)
    cdef const other_real* p
    cdef real* out
    if not fits(source.shape, n_rows, n_columns) or not whole(<size_t>&source[0, 0], source.strides, sizeof(other_real)):
        return None
    found = EMPTY((rows, n), REAL)
    result = found
    with nogil:
        for i in range(rows):
            p = &source[i, 0]
            out = &result[i, 0]
            if column == 1:
                for j in range(n):
                    out[j] = <real>p[j]
            else:
                for j in range(n):
                    out[j] = <real>p[j * column]
    return found


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
    return nonfinite_place(x)


cdef Py_ssize_t nonfinite_place(const real[:, :] x) noexcept:
    cdef Py_ssize_t i, j, rows = x.shape[0], n = x.shape[1]
    cdef Py_ssize_t row = x.strides[0] // <Py_ssize_t>sizeof(real), column = x.strides[1] // <Py_ssize_t>sizeof(real)
    cdef const real* p
    cdef bint is_run = row == n and column == 1
    if rows == 0 or n == 0:
        return -1
    p = &x[0, 0]
    with nogil:
        if is_run and all_finite(rows * n, p):
            return -1
        for i in range(rows):
            if column == 1 and all_finite(n, p + i * row):
                continue
            for j in range(n):
                if not p[i * row + j * column] - p[i * row + j * column] == 0:
                    return i * n + j
    return -1

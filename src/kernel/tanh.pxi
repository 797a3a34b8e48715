# tanh's own kernel: real_tanh of function.pxi, to the bit, whose choices are whole vectors'.
#
# With AVX-512 GCC makes a mask and a choice by it of the formula's minimum, which is one instruction: a vector of 16 numbers
# took 8.7 cycles in the formula's loop and takes 6.6.

cdef enum:
    TANH_BLOCKS = 4


cdef inline void tanh_piece(const int n, const real* z, real* a) noexcept nogil:
    """a = tanh(z), n numbers, whole vectors and a literal."""
    cdef real size[TANH_BLOCKS * BLOCK]
    cdef int i
    for i in range(n // LANES):
        vstore(size + i * LANES, vmin(vabs(vload(z + i * LANES)), vset(<real>20.0)))
    for i in range(n):
        size[i] = tanh_of_size(size[i])
    for i in range(n // LANES):
        vstore(a + i * LANES, vcopysign(vload(size + i * LANES), vload(z + i * LANES)))


cdef void tanh_blocks(real alpha, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, real* z, real* a) noexcept nogil:
    """The forward kernel; rows * ld a multiple of BLOCK, or few numbers of a test."""
    cdef Py_ssize_t left = rows * ld
    while left >= TANH_BLOCKS * BLOCK:
        tanh_piece(TANH_BLOCKS * BLOCK, z, a)
        z += TANH_BLOCKS * BLOCK
        a += TANH_BLOCKS * BLOCK
        left -= TANH_BLOCKS * BLOCK
    while left >= BLOCK:
        tanh_piece(BLOCK, z, a)
        z += BLOCK
        a += BLOCK
        left -= BLOCK
    if left:
        forward_run(tanh_of, 0, left, z, a)

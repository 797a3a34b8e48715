# The order of the rows of an epoch: Philox4x64-10 (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011), the
# stream of numpy.random.Philox with the same key, and Fisher-Yates.  Twin: fastbp/random.py.

cdef extern from *:
    """
    #if defined(__SIZEOF_INT128__)
    static inline unsigned long long wide_product(unsigned long long a, unsigned long long b, unsigned long long *low) {
        unsigned __int128 product = (unsigned __int128)a * b;
        *low = (unsigned long long)product;
        return (unsigned long long)(product >> 64);
    }
    #else
    static inline unsigned long long wide_product(unsigned long long a, unsigned long long b, unsigned long long *low) {
        unsigned long long a0 = (unsigned int)a, a1 = a >> 32, b0 = (unsigned int)b, b1 = b >> 32;
        unsigned long long middle = a1 * b0 + ((a0 * b0) >> 32);
        unsigned long long other = a0 * b1 + (unsigned int)middle;
        *low = a * b;
        return a1 * b1 + (middle >> 32) + (other >> 32);
    }
    #endif
    """
    unsigned long long wide_product(unsigned long long a, unsigned long long b, unsigned long long* low) noexcept nogil


cdef enum:
    SHUFFLE_STREAM = 1
    SHUFFLE_BLOCKS = 8


cdef inline void philox(unsigned long long counter, unsigned long long seed, unsigned long long stream,
                        unsigned long long* out) noexcept nogil:
    """Four 64-bit numbers for the counter (counter, 0, 0, 0) and the key (seed, stream)."""
    cdef unsigned long long c0 = counter, c1 = 0, c2 = 0, c3 = 0, high0, high1, low0, low1
    cdef int i
    for i in range(10):
        high0 = wide_product(0xD2E7470EE14C6C93ULL, c0, &low0)
        high1 = wide_product(0xCA5A826395121157ULL, c2, &low1)
        c0 = high1 ^ c1 ^ seed
        c1 = low1
        c2 = high0 ^ c3 ^ stream
        c3 = low0
        seed += 0x9E3779B97F4A7C15ULL
        stream += 0xBB67AE8584CAA73BULL
    out[0] = c0
    out[1] = c1
    out[2] = c2
    out[3] = c3


cdef void shuffle(Py_ssize_t n, unsigned long long seed, unsigned long long epoch, long long* order) noexcept nogil:
    """order (OUT) = a permutation of 0..n-1 that depends on n, seed and epoch alone.

    Words are drawn SHUFFLE_BLOCKS blocks ahead: the blocks do not depend on each other, so their latencies overlap.
    """
    cdef unsigned long long word[4 * SHUFFLE_BLOCKS]
    cdef unsigned long long low, counter = 0, stream = (<unsigned long long>SHUFFLE_STREAM << 32) + epoch
    cdef Py_ssize_t i, j
    cdef long long held
    cdef int block, used = 4 * SHUFFLE_BLOCKS
    for i in range(n):
        order[i] = i
    for i in range(n - 1, 0, -1):
        if used == 4 * SHUFFLE_BLOCKS:
            for block in range(SHUFFLE_BLOCKS):
                counter += 1
                philox(counter, seed, stream, word + 4 * block)
            used = 0
        j = <Py_ssize_t>wide_product(word[used], <unsigned long long>i + 1, &low)
        used += 1
        held = order[i]
        order[i] = order[j]
        order[j] = held

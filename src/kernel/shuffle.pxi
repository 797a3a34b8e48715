# The order of the rows of an epoch: Philox 4x32-10 (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011) and
# Fisher-Yates.  Twin: fastbp/random.py.

cdef enum:
    SHUFFLE_STREAM = 1
    SHUFFLE_LANES = 32      # counters side by side, WIDE_VECTORS vectors; more would be wasted on short epochs
    SHUFFLE_WORDS = 128


cdef inline void low_halves(const vwide* wide, unsigned int* out) noexcept nogil:
    cdef unsigned long long lane[SHUFFLE_LANES]
    cdef int i
    memcpy(lane, wide, sizeof(lane))
    for i in range(SHUFFLE_LANES):
        out[i] = <unsigned int>lane[i]


cdef void philox_words(unsigned int block, unsigned int second, unsigned int third, unsigned int fourth,
                       unsigned long long seed, unsigned int* out) noexcept nogil:
    """SHUFFLE_WORDS words (OUT): the first ones of SHUFFLE_LANES counters in a row, then the second ones, and so on.

    The counters are (SHUFFLE_LANES block + i, second, third, fourth).

    A word is the low half of 64 bits; what a product leaves in the high half never comes back into a low one.
    """
    cdef vwide c0[WIDE_VECTORS]
    cdef vwide c1[WIDE_VECTORS]
    cdef vwide c2[WIDE_VECTORS]
    cdef vwide c3[WIDE_VECTORS]
    cdef unsigned long long lane[SHUFFLE_LANES]
    cdef vwide product0, product2
    cdef unsigned int key0 = <unsigned int>seed, key1 = <unsigned int>(seed >> 32)
    cdef int i, v
    for i in range(SHUFFLE_LANES):
        lane[i] = block * SHUFFLE_LANES + i
    memcpy(c0, lane, sizeof(c0))
    for v in range(WIDE_VECTORS):
        c1[v] = wide_set(second)
        c2[v] = wide_set(third)
        c3[v] = wide_set(fourth)
    for i in range(10):
        for v in range(WIDE_VECTORS):
            product0 = wide_product(c0[v], wide_set(0xD2511F53U))
            product2 = wide_product(c2[v], wide_set(0xCD9E8D57U))
            c0[v] = (product2 >> 32) ^ c1[v] ^ wide_set(key0)
            c1[v] = product2
            c2[v] = (product0 >> 32) ^ c3[v] ^ wide_set(key1)
            c3[v] = product0
        key0 += 0x9E3779B9U
        key1 += 0xBB67AE85U
    low_halves(c0, out)
    low_halves(c1, out + SHUFFLE_LANES)
    low_halves(c2, out + 2 * SHUFFLE_LANES)
    low_halves(c3, out + 3 * SHUFFLE_LANES)


cdef void shuffle(Py_ssize_t n, unsigned long long seed, unsigned long long epoch, unsigned int* order) noexcept nogil:
    """order (OUT) = a permutation of 0..n-1 that depends on n, seed and epoch alone; n < 2^32.

    Word t draws the place of element i = n - 1 - t: floor(word (i + 1) / 2^32), each place within n / 2^32 of its chance.
    """
    cdef unsigned int word[SHUFFLE_WORDS]
    cdef unsigned int held, block = 0
    cdef Py_ssize_t i, t, left = n - 1
    for i in range(n):
        order[i] = <unsigned int>i
    while left > 0:
        philox_words(block, <unsigned int>epoch, SHUFFLE_STREAM, 0, seed, word)
        block += 1
        for t in range(SHUFFLE_WORDS):
            word[t] = <unsigned int>(<unsigned long long>word[t] * <unsigned int>(left + 1 - t) >> 32)
        for t in range(min(left, <Py_ssize_t>SHUFFLE_WORDS)):
            held = order[left - t]
            order[left - t] = order[word[t]]
            order[word[t]] = held
        left -= SHUFFLE_WORDS

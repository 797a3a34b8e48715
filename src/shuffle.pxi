# The order of the rows of an epoch: Philox 4x32-10 (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011) and
# Fisher-Yates.  Twin: fastbp/random.py.

cdef enum:
    SHUFFLE_STREAM = 1
    SHUFFLE_LANES = 32      # counters side by side, enough for vectors; more would be wasted on short epochs
    SHUFFLE_WORDS = 128


cdef void shuffle_words(unsigned int block, unsigned int epoch, unsigned long long seed, unsigned int* out) noexcept nogil:
    """SHUFFLE_WORDS words (OUT): the first ones of SHUFFLE_LANES counters in a row, then the second ones, and so on."""
    cdef unsigned int c0[SHUFFLE_LANES]
    cdef unsigned int c1[SHUFFLE_LANES]
    cdef unsigned int c2[SHUFFLE_LANES]
    cdef unsigned int c3[SHUFFLE_LANES]
    cdef unsigned int key0 = <unsigned int>seed, key1 = <unsigned int>(seed >> 32), kept
    cdef unsigned long long product0, product2
    cdef int i, lane
    for lane in range(SHUFFLE_LANES):
        c0[lane] = block * SHUFFLE_LANES + lane
        c1[lane] = epoch
        c2[lane] = SHUFFLE_STREAM
        c3[lane] = 0
    for i in range(10):
        for lane in range(SHUFFLE_LANES):
            product0 = <unsigned long long>c0[lane] * 0xD2511F53U
            product2 = <unsigned long long>c2[lane] * 0xCD9E8D57U
            kept = c3[lane]
            c0[lane] = <unsigned int>(product2 >> 32) ^ c1[lane] ^ key0
            c1[lane] = <unsigned int>product2
            c2[lane] = <unsigned int>(product0 >> 32) ^ kept ^ key1
            c3[lane] = <unsigned int>product0
        key0 += 0x9E3779B9U
        key1 += 0xBB67AE85U
    memcpy(out, c0, sizeof(c0))
    memcpy(out + SHUFFLE_LANES, c1, sizeof(c1))
    memcpy(out + 2 * SHUFFLE_LANES, c2, sizeof(c2))
    memcpy(out + 3 * SHUFFLE_LANES, c3, sizeof(c3))


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
        shuffle_words(block, <unsigned int>epoch, seed, word)
        block += 1
        for t in range(SHUFFLE_WORDS):
            word[t] = <unsigned int>(<unsigned long long>word[t] * <unsigned int>(left + 1 - t) >> 32)
        for t in range(min(left, <Py_ssize_t>SHUFFLE_WORDS)):
            held = order[left - t]
            order[left - t] = order[word[t]]
            order[word[t]] = held
        left -= SHUFFLE_WORDS

# Random numbers of a layer, one for each element of a batch: Philox 4x32-10 once more.  Twin: fastbp/random.py.
#
# The key is the seed, the counters are (element / 4, step, purpose and layer, step / 2^32): a number depends on neither tile
# nor thread.  Elements are counted through the batch, row * n + column.

cdef enum:
    LAYER_STREAM = 6

# Where the random numbers of a pass come from; of a tile, `row` is its first.
cdef struct Draw:
    unsigned long long seed
    unsigned long long step
    unsigned long long row
    bint is_on

ctypedef void (*draw_kernel)(double level, const unsigned int* word, real* out) noexcept nogil


cdef void keep_or_drop(double rate, const unsigned int* word, real* out) noexcept nogil:
    """out[i] = 0 with a chance of `rate`, to within 2^-32, else 1 / (1 - rate)"""
    cdef unsigned int least = <unsigned int>min(rate * 4294967296.0 + 0.5, 4294967295.0)
    cdef real kept = <real>(1 / (1 - rate))
    cdef int i
    for i in range(SHUFFLE_WORDS):
        out[i] = kept if word[i] >= least else 0


cdef void normal_numbers(double deviation, const unsigned int* word, real* out) noexcept nogil:
    """out[i] and out[i + half]: deviation sqrt(-2 log u) (cos, sin)(2 pi v), u of word[i] and v of word[i + half].

    v is the nearest quarter turn and a rest of at most an eighth; both of 31 bits, which all builds convert alike.
    """
    cdef int i, quarter, half = SHUFFLE_WORDS // 2
    cdef real radius, angle, square, cosine, sine, other
    cdef real scale = <real>deviation
    for i in range(half):
        radius = (<real><int>(word[i] >> 1) + <real>0.5) * <real>4.656612873077393e-10      # 2^-31
        radius = scale * real_sqrt(real_max(<real>-2 * real_log(radius), 0))
        angle = <real><int>(word[half + i] << 2) * <real>3.657295198167899e-10             # pi / 2 / 2^32
        quarter = <int>((word[half + i] + 0x20000000U) >> 30)
        square = angle * angle
        cosine = real_fma(square, <real>-1.1470745597729725e-11, <real>2.08767569878681e-09)
        cosine = real_fma(square, cosine, <real>-2.755731922398589e-07)
        cosine = real_fma(square, cosine, <real>2.48015873015873e-05)
        cosine = real_fma(square, cosine, <real>-0.001388888888888889)
        cosine = real_fma(square, cosine, <real>0.041666666666666664)
        cosine = real_fma(square, cosine, <real>-0.5)
        cosine = real_fma(square, cosine, 1)
        sine = real_fma(square, <real>-7.647163731819816e-13, <real>1.6059043836821613e-10)
        sine = real_fma(square, sine, <real>-2.505210838544172e-08)
        sine = real_fma(square, sine, <real>2.7557319223985893e-06)
        sine = real_fma(square, sine, <real>-0.0001984126984126984)
        sine = real_fma(square, sine, <real>0.008333333333333333)
        sine = real_fma(square, sine, <real>-0.16666666666666666)
        sine = real_fma(square * angle, sine, angle)
        other = real_select(quarter & 1, sine, cosine)
        sine = real_select(quarter & 1, cosine, sine)
        out[i] = radius * real_select(quarter == 1 or quarter == 2, -other, other)
        out[half + i] = radius * real_select(quarter >= 2, -sine, sine)


cdef void draw_rows(draw_kernel kernel, double level, const Draw* draw, unsigned int stream, Py_ssize_t rows, Py_ssize_t n,
                    real* out, Py_ssize_t ld) noexcept nogil:
    """out (rows, ld) OUT = the numbers of `rows` rows of n elements, zero in the padding."""
    cdef unsigned int word[SHUFFLE_WORDS]
    cdef real value[SHUFFLE_WORDS]
    cdef unsigned long long first = draw.row * <unsigned long long>n
    cdef unsigned int group = <unsigned int>(first // SHUFFLE_WORDS)
    cdef Py_ssize_t at = <Py_ssize_t>(first % SHUFFLE_WORDS), r, j, k, m
    cdef bint is_drawn = False
    for r in range(rows):
        j = 0
        while j < n:
            if not is_drawn or at == SHUFFLE_WORDS:
                philox_words(group, <unsigned int>draw.step, LAYER_STREAM | stream << 8, <unsigned int>(draw.step >> 32),
                             draw.seed, word)
                kernel(level, word, value)
                at = 0 if is_drawn else at
                group += 1
                is_drawn = True
            m = min(n - j, SHUFFLE_WORDS - at)
            for k in range(m):
                out[j + k] = value[at + k]
            j += m
            at += m
        for j in range(n, ld):
            out[j] = 0
        out += ld

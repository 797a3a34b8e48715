/* One machine vector of reals, as a GCC vector type, so that the kernels can be written in Cython.
 *
 * Included after real.h (the type `real`).  The width follows the flags of the build: 64 bytes with AVX-512, 32 with
 * AVX2, 16 with SSE2 or NEON, and a single number in the portable build, which any compiler takes.  vfma is one rounding
 * where the target has fused multiply-add; x86-64-v2 has none and rounds twice.
 */
#ifndef FASTBP_VECTOR_H
#define FASTBP_VECTOR_H

#include <stddef.h>
#include <string.h>

#if !defined(FASTBP_PORTABLE) && !defined(__GNUC__) /* clang-cl is none either */
#error "this build has vectors of GCC and clang: MSVC takes FASTBP_BUILD=portable alone"
#endif

#if defined(FASTBP_PORTABLE)
#define VECTOR_BYTES 0 /* one number */
typedef real vreal;
typedef unsigned long long vwide;
#else
#if defined(__AVX512F__) && defined(__FMA__)
#include <immintrin.h>
#define VECTOR_BYTES 64
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define VECTOR_BYTES 32
#else
#if defined(__SSE2__)
#include <emmintrin.h>
#endif
#define VECTOR_BYTES 16
#endif
typedef real vreal __attribute__((vector_size(VECTOR_BYTES), may_alias));
#if defined(FASTBP_FLOAT32)
typedef int vmask __attribute__((vector_size(VECTOR_BYTES)));
#else
typedef long long vmask __attribute__((vector_size(VECTOR_BYTES)));
#endif
typedef unsigned long long vwide __attribute__((vector_size(VECTOR_BYTES), may_alias));
#endif

/* A register tile of the products: MICRO_TILE_ROWS rows of MICRO_TILE_BLOCKS blocks of 64 bytes, chosen so that accumulators and
 * operands fill the register file (32 vector registers with AVX-512 and NEON, 16 with the others).  Tiles of one or two
 * blocks are higher, MICRO_TILE_ROWS_1 and MICRO_TILE_ROWS_2; a single row takes WIDE_BLOCKS, for enough independent
 * chains. */
#if VECTOR_BYTES == 64 && defined(__clang__) /* which leaves the sums of more than 12 rows in memory */
enum { MICRO_TILE_ROWS_1 = 12, MICRO_TILE_ROWS_2 = 12, MICRO_TILE_ROWS = 8, MICRO_TILE_BLOCKS = 3, WIDE_BLOCKS = 8 };
#elif VECTOR_BYTES == 64
enum { MICRO_TILE_ROWS_1 = 14, MICRO_TILE_ROWS_2 = 12, MICRO_TILE_ROWS = 8, MICRO_TILE_BLOCKS = 3, WIDE_BLOCKS = 8 };
#elif VECTOR_BYTES == 32
enum { MICRO_TILE_ROWS_1 = 6, MICRO_TILE_ROWS_2 = 6, MICRO_TILE_ROWS = 6, MICRO_TILE_BLOCKS = 1, WIDE_BLOCKS = 4 };
#elif VECTOR_BYTES == 16 && defined(__aarch64__)
enum { MICRO_TILE_ROWS_1 = 6, MICRO_TILE_ROWS_2 = 6, MICRO_TILE_ROWS = 6, MICRO_TILE_BLOCKS = 1, WIDE_BLOCKS = 4 };
#elif VECTOR_BYTES == 16 && defined(__clang__) /* which leaves a sum of three rows in memory: a third slower */
enum { MICRO_TILE_ROWS_1 = 2, MICRO_TILE_ROWS_2 = 2, MICRO_TILE_ROWS = 2, MICRO_TILE_BLOCKS = 1, WIDE_BLOCKS = 2 };
#elif VECTOR_BYTES == 16
enum { MICRO_TILE_ROWS_1 = 3, MICRO_TILE_ROWS_2 = 3, MICRO_TILE_ROWS = 3, MICRO_TILE_BLOCKS = 1, WIDE_BLOCKS = 2 };
#else
enum { MICRO_TILE_ROWS_1 = 4, MICRO_TILE_ROWS_2 = 4, MICRO_TILE_ROWS = 4, MICRO_TILE_BLOCKS = 1, WIDE_BLOCKS = 1 };
#endif

enum {
    LANES = (int)(sizeof(vreal) / sizeof(real)), /* numbers in one vector */
    BLOCK = 64 / (int)sizeof(real),               /* numbers in 64 bytes: rows are padded to it, whatever the build */
    BLOCK_VECTORS = 64 / (int)sizeof(vreal),      /* vectors in such a block */
    UP_TO_FOUR = LANES < 4 ? LANES : 4,           /* lanes */
    ROW_VECTORS = LANES < 4 ? 4 / LANES : 1,      /* vectors of a row of up to four numbers */
    OUTPUT_BLOCKS = VECTOR_BYTES == 64 ? 4 : 1,   /* of a single output's kernel, taken together (outputs.pxi) */
    WIDE_VECTORS = 32 * 8 / (int)sizeof(vwide),   /* vectors of 32 lanes of 64 bits */
    MICRO_TILE_ACCUMULATORS = 64,                       /* room for any tile, of the scalar build too */
#if defined(__clang__)
    IN_PLACE_APART = 1, /* clang takes an array for one that overlaps itself: a loop in place is written apart */
#else
    IN_PLACE_APART = 0,
#endif
};

#if defined(FASTBP_PORTABLE)
static inline vreal vload(const real *p) { return *p; }
static inline void vstore(real *p, vreal v) { *p = v; }
static inline vreal vset(real x) { return x; }
static inline vreal vheld(vreal v) { return v; }
static inline vreal vfma(vreal a, vreal b, vreal c) { return real_fma(a, b, c); }
static inline vreal vmax(vreal a, vreal b) { return a > b ? a : b; }
static inline vreal vmin(vreal x, vreal bound) { return real_min(x, bound); }
static inline vreal vabs(vreal x) { return real_abs(x); }
static inline vreal vcopysign(vreal x, vreal sign) { return real_copysign(x, sign); }
static inline vreal vpower(vreal t) { return real_power(t); }
static inline vreal vbetween(int begin, int end, vreal v) { return begin <= 0 && end > 0 ? v : 0; }
static inline vreal vwhere_equal(vreal a, vreal b, vreal x) { return a == b ? x : 0; }
static inline vreal vquotient(vreal a, vreal b) { return a / b; }
CYTHON_INLINE static void vturn_columns(const real *const *row, ptrdiff_t at, vreal *column) { column[0] = row[0][at]; }
CYTHON_INLINE static void vturn_rows(const real *p, ptrdiff_t ld, vreal *column) { column[0] = *p; }
static inline vwide wide_set(unsigned int x) { return x; }
static inline vwide wide_product(vwide a, vwide b) {
#if defined(__GNUC__)
    __asm__("" : "+r"(a)); /* left to vectors of 64 bits without such a product, it would take twice as long */
#endif
    return (a & 0xFFFFFFFFU) * (b & 0xFFFFFFFFU);
}
#else
static inline vreal vload(const real *p) {
    vreal v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void vstore(real *p, vreal v) { memcpy(p, &v, sizeof v); }
static inline vreal vset(real x) { return x - (vreal){0}; }

/* v in a register, where there are 32: else GCC loads it anew for each use, and loads take longer than multiply-adds. */
static inline vreal vheld(vreal v) {
#if VECTOR_BYTES == 64
    __asm__("" : "+v"(v));
#endif
    return v;
}

static inline vreal vfma(vreal a, vreal b, vreal c) {
#if VECTOR_BYTES == 64 && defined(FASTBP_FLOAT32)
    return (vreal)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif VECTOR_BYTES == 64
    return (vreal)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif VECTOR_BYTES == 32 && defined(FASTBP_FLOAT32)
    return (vreal)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif VECTOR_BYTES == 32
    return (vreal)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
    vreal r;
    int i;
    for (i = 0; i < LANES; i++) r[i] = real_fma(a[i], b[i], c[i]);
    return r;
#endif
}

/* The larger of two numbers, b where either is nan: loops that keep a maximum in memory GCC leaves to scalars. */
static inline vreal vmax(vreal a, vreal b) {
#if VECTOR_BYTES == 64 && defined(FASTBP_FLOAT32)
    return (vreal)_mm512_max_ps((__m512)a, (__m512)b);
#elif VECTOR_BYTES == 64
    return (vreal)_mm512_max_pd((__m512d)a, (__m512d)b);
#elif VECTOR_BYTES == 32 && defined(FASTBP_FLOAT32)
    return (vreal)_mm256_max_ps((__m256)a, (__m256)b);
#elif VECTOR_BYTES == 32
    return (vreal)_mm256_max_pd((__m256d)a, (__m256d)b);
#else
    vreal r;
    int i;
    for (i = 0; i < LANES; i++) r[i] = a[i] > b[i] ? a[i] : b[i];
    return r;
#endif
}

/* The smaller of x and a bound, x where that is nan: with AVX-512 GCC makes a mask and a choice of a loop's real_min. */
static inline vreal vmin(vreal x, vreal bound) {
#if VECTOR_BYTES == 64 && defined(FASTBP_FLOAT32)
    return (vreal)_mm512_min_ps((__m512)bound, (__m512)x);
#elif VECTOR_BYTES == 64
    return (vreal)_mm512_min_pd((__m512d)bound, (__m512d)x);
#elif VECTOR_BYTES == 32 && defined(FASTBP_FLOAT32)
    return (vreal)_mm256_min_ps((__m256)bound, (__m256)x);
#elif VECTOR_BYTES == 32
    return (vreal)_mm256_min_pd((__m256d)bound, (__m256d)x);
#else
    vreal r;
    int i;
    for (i = 0; i < LANES; i++) r[i] = real_min(x[i], bound[i]);
    return r;
#endif
}

/* Of real.h, in each lane. */
static inline vreal vabs(vreal x) { return (vreal)((vmask)x & ~(vmask)vset((real)-0.0)); }
static inline vreal vcopysign(vreal size, vreal sign) { /* of a size, which has no sign of its own */
    return (vreal)(((vmask)sign & (vmask)vset((real)-0.0)) | (vmask)size);
}
static inline vreal vpower(vreal t) { return (vreal)((vmask)t << REAL_FRACTION_BITS); }

/* x where a = b, 0 elsewhere. */
static inline vreal vwhere_equal(vreal a, vreal b, vreal x) { return (vreal)((vmask)x & (vmask)(a == b)); }

/* Lanes begin..end of v, without `end`, and 0 in the others. */
static inline vreal vbetween(int begin, int end, vreal v) {
    vmask lane;
    int i;
    for (i = 0; i < LANES; i++) lane[i] = i;
    return (vreal)((vmask)v & (lane >= begin - (vmask){0}) & (lane < end - (vmask){0}));
}

/* a / b to the bit, where denormal numbers are zero, for a normal b > 0 up to 2**125, infinite or NaN: where the vectors are
 * of 64 bytes without the divider.
 *
 * y is 1/b correctly rounded: two corrections of an approximation to 2**-14.  The first rounds upwards, or the one divisor
 * whose significand is all ones would be missed: 1/(2 - 2**-23) became 1/2.  q = a y is then within 3/2 of the last place, and
 * its remainder, which is exact, decides rightly at every midpoint: Markstein, Computation of elementary functions on the
 * IBM RISC System/6000 processor, 1990, and a test over all significands for what his theorem leaves open.
 *
 * a is multiplied by 2**64, so that no remainder underflows; what is too small in the end is so in the quotient too.  A
 * zero keeps its sign because the remainder is b q - a.  Overflow on the way, infinities and NaN give no finite q: then
 * the divider is asked after all. */
static inline vreal vquotient(vreal a, vreal b) {
#if VECTOR_BYTES == 64 && defined(FASTBP_FLOAT32)
    const __m512 one = _mm512_set1_ps(1), x = (__m512)b, dividend = _mm512_mul_ps((__m512)a, _mm512_set1_ps(0x1p64F));
    __m512 y = _mm512_rcp14_ps(x), q;
    y = _mm512_fmadd_round_ps(_mm512_fnmadd_ps(x, y, one), y, y, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
    y = _mm512_fmadd_ps(_mm512_fnmadd_ps(x, y, one), y, y);
    q = _mm512_mul_ps(dividend, y);
    q = _mm512_fnmadd_ps(_mm512_fmsub_ps(x, q, dividend), y, q);
    if (__builtin_expect(_mm512_fpclass_ps_mask(q, 0x99) == 0, 1)) return (vreal)_mm512_mul_ps(q, _mm512_set1_ps(0x1p-64F));
#endif
    return a / b;
}

/* The products of the low halves of lanes of 64 bits, whole. */
static inline vwide wide_set(unsigned int x) { return x - (vwide){0}; }
static inline vwide wide_product(vwide a, vwide b) {
#if VECTOR_BYTES == 64
    return (vwide)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif VECTOR_BYTES == 32
    return (vwide)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
    return (vwide)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
    return (a & 0xFFFFFFFFU) * (b & 0xFFFFFFFFU);
#endif
}

/* lane i of `low` and `high`: what a pair of vectors gives its first and its second member where the off-diagonal halves
 * of their groups of 2 * step lanes are exchanged.  Lanes from LANES on are the second member's. */
#if defined(__clang__)
#define LOW_LANE(i, step) ((i) & (step) ? LANES + (i) - (step) : (i))
#define HIGH_LANE(i, step) ((i) & (step) ? LANES + (i) : ((i) + (step)) % (2 * LANES))
#define LANES_2(lane, i, step) lane(i, step), lane(i + 1, step)
#define LANES_4(lane, i, step) LANES_2(lane, i, step), LANES_2(lane, i + 2, step)
#define LANES_8(lane, i, step) LANES_4(lane, i, step), LANES_4(lane, i + 4, step)
#if VECTOR_BYTES == 64 && defined(FASTBP_FLOAT32)
#define EACH_LANE(lane, step) LANES_8(lane, 0, step), LANES_8(lane, 8, step)
#elif VECTOR_BYTES == 64 || (VECTOR_BYTES == 32 && defined(FASTBP_FLOAT32))
#define EACH_LANE(lane, step) LANES_8(lane, 0, step)
#elif VECTOR_BYTES == 32 || defined(FASTBP_FLOAT32)
#define EACH_LANE(lane, step) LANES_4(lane, 0, step)
#else
#define EACH_LANE(lane, step) LANES_2(lane, 0, step)
#endif
#define EXCHANGE(step)                                                                        \
    case step:                                                                                \
        *first = __builtin_shufflevector(upper, lower, EACH_LANE(LOW_LANE, step));            \
        *second = __builtin_shufflevector(upper, lower, EACH_LANE(HIGH_LANE, step));          \
        break;
#endif
CYTHON_INLINE static void vexchange_pair(vreal *first, vreal *second, const int step) {
    vreal upper = *first, lower = *second;
#if defined(__clang__) /* which takes literal lanes alone */
    switch (step) { EXCHANGE(1) EXCHANGE(2) EXCHANGE(4) EXCHANGE(8) }
#else
    vmask low, high;
    int i;
    for (i = 0; i < LANES; i++) {
        low[i] = i & step ? LANES + i - step : i;
        high[i] = i & step ? LANES + i : i + step;
    }
    *first = __builtin_shuffle(upper, lower, low);
    *second = __builtin_shuffle(upper, lower, high);
#endif
}

/* The same for every pair of rows `step` apart: one stage of a transpose. */
CYTHON_INLINE static void vexchange(vreal *row, const int step) {
    int i;
    for (i = 0; i < LANES; i++)
        if (!(i & step)) vexchange_pair(row + i, row + i + step, step);
}

/* Four numbers each at a, b, c and d, or at as many of them as a vector has room for. */
static inline vreal vfours(const real *a, const real *b, const real *c, const real *d) {
#if VECTOR_BYTES == 64 && defined(FASTBP_FLOAT32)
    __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(a));
    v = _mm512_insertf32x4(v, _mm_loadu_ps(b), 1);
    v = _mm512_insertf32x4(v, _mm_loadu_ps(c), 2);
    return (vreal)_mm512_insertf32x4(v, _mm_loadu_ps(d), 3);
#elif VECTOR_BYTES == 64
    return (vreal)_mm512_insertf64x4(_mm512_castpd256_pd512(_mm256_loadu_pd(a)), _mm256_loadu_pd(b), 1);
#elif VECTOR_BYTES == 32 && defined(FASTBP_FLOAT32)
    return (vreal)_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(a)), _mm_loadu_ps(b), 1);
#else
    return vload(a);
#endif
}

/* column[j][i] = p_i[j] for LANES rows and UP_TO_FOUR numbers of each, from rows i, i + 4, i + 8, ... in column[i]. */
CYTHON_INLINE static void vturn_fours(vreal *column) {
    int i;
    for (i = 0; i < UP_TO_FOUR; i += 2) vexchange_pair(column + i, column + i + 1, 1);
    for (i = 0; i < UP_TO_FOUR - 2; i++) vexchange_pair(column + i, column + i + 2, 2);
}

/* column[j][i] = row[i][at + j] for LANES rows and UP_TO_FOUR of their numbers; four of a row are loaded together. */
CYTHON_INLINE static void vturn_columns(const real *const *row, ptrdiff_t at, vreal *column) {
    int i;
    for (i = 0; i < UP_TO_FOUR; i++)
        column[i] = vfours(row[i] + at, row[(i + 4) % LANES] + at, row[(i + 8) % LANES] + at, row[(i + 12) % LANES] + at);
    vturn_fours(column);
}

/* The same of rows `ld` apart, of which the first begins at p. */
CYTHON_INLINE static void vturn_rows(const real *p, ptrdiff_t ld, vreal *column) {
    int i;
    for (i = 0; i < UP_TO_FOUR; i++, p += ld) column[i] = vfours(p, p + 4 * ld, p + 8 * ld, p + 12 * ld);
    vturn_fours(column);
}

/* Of rows i and i + step, i < step, half the lanes each: row[i] becomes their sums by halves.  With no more rows than `step`
 * row i alone, in both halves. */
CYTHON_INLINE static void vhalve(vreal *row, const int count, const int step) {
    int i;
    for (i = 0; i < step && i < count; i++) {
        vreal other = step < count ? row[i + step] : row[i];
        vexchange_pair(row + i, &other, step);
        row[i] = row[i] + other;
    }
}
#endif

/* Whether vquotient beats the divider here: with vectors of 64 bytes on Intel's processors; AMD's divider is fast. */
static inline int has_slow_divider(void) {
#if VECTOR_BYTES == 64 && defined(FASTBP_FLOAT32)
    __builtin_cpu_init();
    return __builtin_cpu_is("intel") != 0;
#else
    return 0;
#endif
}

/* The same pointer, of which the compiler no longer knows where it came from. */
static inline const real *opaque(const real *p) {
#if defined(__GNUC__)
    __asm__("" : "+r"(p));
#endif
    return p;
}

/* p, from which a loop loads number by number: clang would make gathers of its loads, which are slower. */
static inline const real *loaded_singly(const real *p) {
#if defined(__clang__)
    __asm__ volatile("" : "+r"(p)); /* volatile, so that it stays in the loop, which then has no vectors */
#endif
    return p;
}

/* Row r of a tile at c, the one after `row`.  GCC would work out all addresses first and keep them in memory; clang would
 * keep the tile's sums there if each followed from the one before. */
static inline const real *tile_row(const real *c, const real *row, int r, ptrdiff_t ld) {
#if defined(__clang__)
    (void)row;
    return c + r * ld;
#else
    return r > 0 ? opaque(row + ld) : c;
#endif
}

/* Ask for the 64 bytes around p, which may be read soon; it never faults.  The empty assembly keeps GCC from dropping calls
 * of functions that do nothing else. */
static inline void prefetch(const void *p) {
#if defined(__GNUC__)
    __builtin_prefetch(p);
    __asm__ volatile("" : : "r"(p));
#else
    (void)p;
#endif
}

/* What is written before this is computed before what is written after it. */
static inline void in_order(void) {
#if defined(__GNUC__)
    __asm__ volatile("" : : "r"(0));
#endif
}

/* One padded row of up to four numbers, BLOCK numbers in whole vectors: a vector load soon after would have to wait for
 * the cache if it met single numbers in the store buffer. */
static inline void store_row(real *p, real a, real b, real c, real d) {
#if VECTOR_BYTES == 0
    int i;
    p[0] = a, p[1] = b, p[2] = c, p[3] = d;
    for (i = 4; i < BLOCK; i++) p[i] = 0;
#elif VECTOR_BYTES == 16 && !defined(FASTBP_FLOAT32)
    vstore(p, (vreal){a, b});
    vstore(p + LANES, (vreal){c, d});
    vstore(p + 2 * LANES, (vreal){0});
    vstore(p + 3 * LANES, (vreal){0});
#else
    int i;
    vstore(p, (vreal){a, b, c, d});
    for (i = 1; i < BLOCK_VECTORS; i++) vstore(p + i * LANES, (vreal){0});
#endif
}

/* row[i][j] <-> row[j][i] for LANES vectors, in registers. */
CYTHON_INLINE static void vtranspose(vreal *row) {
#if VECTOR_BYTES
    vexchange(row, 1);
    if (LANES > 2) vexchange(row, 2);
    if (LANES > 4) vexchange(row, 4);
    if (LANES > 8) vexchange(row, 8);
#else
    (void)row;
#endif
}

/* Lane i of row[0] becomes the sum of the lanes of row[i], i < count, a power of two; the other rows are used up. */
CYTHON_INLINE static void vreduce(vreal *row, const int count) {
#if VECTOR_BYTES
    if (LANES > 8) vhalve(row, count, 8);
    if (LANES > 4) vhalve(row, count, 4);
    if (LANES > 2) vhalve(row, count, 2);
    vhalve(row, count, 1);
#else
    (void)row, (void)count;
#endif
}

#endif

/* Rows of up to four numbers, where a vector of the build has as many.
 *
 * They stay that short: a load of 64 bytes would have to wait for the cache if it met one of these stores in the store
 * buffer.  Included after vector.h.
 */
#ifndef FASTBP_FOUR_H
#define FASTBP_FOUR_H

#include "vector.h"

#if VECTOR_BYTES && (defined(FASTBP_FLOAT32) || VECTOR_BYTES > 16)
enum { HAS_FOUR = 1 };
typedef real vfour __attribute__((vector_size(4 * sizeof(real)), may_alias));
#if defined(__clang__)
#define four_shuffle(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#elif defined(FASTBP_FLOAT32)
#define four_shuffle(a, b, i, j, k, l) __builtin_shuffle(a, b, (int __attribute__((vector_size(16)))){i, j, k, l})
#else
#define four_shuffle(a, b, i, j, k, l) __builtin_shuffle(a, b, (long long __attribute__((vector_size(32)))){i, j, k, l})
#endif
static inline vfour four_load(const real *p) {
    vfour v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void four_store(real *p, vfour v) { memcpy(p, &v, sizeof v); }
static inline vfour four_set(real x) { return x - (vfour){0}; }
static inline vfour four_of(real a, real b, real c, real d) { return (vfour){a, b, c, d}; }
static inline vfour four_fma(vfour a, vfour b, vfour c) {
#if VECTOR_BYTES > 16 && defined(FASTBP_FLOAT32)
    return (vfour)_mm_fmadd_ps((__m128)a, (__m128)b, (__m128)c);
#elif VECTOR_BYTES > 16
    return (vfour)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
    vfour r;
    int i;
    for (i = 0; i < 4; i++) r[i] = real_fma(a[i], b[i], c[i]);
    return r;
#endif
}
static inline void four_store_row(real *p, vfour v) { store_row(p, v[0], v[1], v[2], v[3]); }
static inline real four_at(vfour v, int i) { return v[i]; }
static inline vfour four_root(vfour v) {
#if VECTOR_BYTES > 16 && !defined(FASTBP_FLOAT32)
    return (vfour)_mm256_sqrt_pd((__m256d)v);
#elif defined(__SSE2__) && defined(FASTBP_FLOAT32)
    return (vfour)_mm_sqrt_ps((__m128)v);
#else
    vfour r;
    int i;
    for (i = 0; i < 4; i++) r[i] = real_sqrt(v[i]);
    return r;
#endif
}

static inline vfour four_min(vfour x, vfour bound) { /* as vmin */
#if VECTOR_BYTES > 16 && !defined(FASTBP_FLOAT32)
    return (vfour)_mm256_min_pd((__m256d)bound, (__m256d)x);
#elif defined(__SSE2__) && defined(FASTBP_FLOAT32)
    return (vfour)_mm_min_ps((__m128)bound, (__m128)x);
#else
    vfour r;
    int i;
    for (i = 0; i < 4; i++) r[i] = real_min(x[i], bound[i]);
    return r;
#endif
}

/* Lane i, a literal, in every lane. */
static inline vfour four_lane(vfour v, const int i) { return (vfour){v[i], v[i], v[i], v[i]}; }

/* row[i][j] <-> row[j][i] */
static inline void four_turn(vfour *row) {
    const vfour low = four_shuffle(row[0], row[1], 0, 4, 1, 5), high = four_shuffle(row[0], row[1], 2, 6, 3, 7);
    const vfour low2 = four_shuffle(row[2], row[3], 0, 4, 1, 5), high2 = four_shuffle(row[2], row[3], 2, 6, 3, 7);
    row[0] = four_shuffle(low, low2, 0, 1, 4, 5);
    row[1] = four_shuffle(low, low2, 2, 3, 6, 7);
    row[2] = four_shuffle(high, high2, 0, 1, 4, 5);
    row[3] = four_shuffle(high, high2, 2, 3, 6, 7);
}
#else
enum { HAS_FOUR = 0 };
typedef real vfour;
static inline vfour four_load(const real *p) { return *p; }
static inline void four_store(real *p, vfour v) { *p = v; }
static inline vfour four_set(real x) { return x; }
static inline vfour four_of(real a, real b, real c, real d) { return a + 0 * (b + c + d); }
static inline vfour four_fma(vfour a, vfour b, vfour c) { return real_fma(a, b, c); }
static inline void four_store_row(real *p, vfour v) { *p = v; }
static inline real four_at(vfour v, int i) { return i ? 0 : v; }
static inline vfour four_root(vfour v) { return real_sqrt(v); }
static inline vfour four_min(vfour x, vfour bound) { return real_min(x, bound); }
static inline vfour four_lane(vfour v, const int i) { return i ? 0 : v; }
static inline void four_turn(vfour *row) { (void)row; }
#endif

#endif

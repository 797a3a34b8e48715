/* The number type of one build and what the kernels do to it that Cython cannot say.
 *
 * Define FASTBP_FLOAT32 before the first include for float; otherwise real is double. Every function is one or two
 * machine instructions, branch-free and the same in each lane, so that a loop over it vectorises.
 */
#ifndef FASTBP_REAL_H
#define FASTBP_REAL_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

#if defined(FASTBP_FLOAT32)
typedef float real;
typedef uint32_t real_bits; /* unsigned: shifts of any bit are defined */
#define REAL_FRACTION_BITS 23
#define REAL_EXPONENT_BIAS 127
#define REAL_HALF_BITS 12 /* dropping these leaves a number whose square is exact */
#define REAL_SMALLEST FLT_MIN
#define REAL_LARGEST FLT_MAX
#define REAL_ROUND 12582912.0f /* 1.5 * 2**23: adding it leaves no bit for a fraction */
#else
typedef double real;
typedef uint64_t real_bits;
#define REAL_FRACTION_BITS 52
#define REAL_EXPONENT_BIAS 1023
#define REAL_HALF_BITS 27
#define REAL_SMALLEST DBL_MIN
#define REAL_LARGEST DBL_MAX
#define REAL_ROUND 6755399441055744.0 /* 1.5 * 2**52 */
#endif

/* Parameters of functions whose arrays do not overlap, so that loops over them need not look. */
typedef const real *__restrict in_array;
typedef real *__restrict out_array;

#define REAL_INFINITY ((real)INFINITY)
#define REAL_NAN ((real)NAN)
#define REAL_ONE_BITS ((real_bits)REAL_EXPONENT_BIAS << REAL_FRACTION_BITS)

/* a*b + c, rounded once where the target has the instruction. x86-64-v2 has none, and the fma of libm, which
 * emulates one, is far too slow: there the product is rounded too. */
static inline real real_fma(real a, real b, real c) {
#if defined(FASTBP_FLOAT32) && (defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__FP_FAST_FMAF))
    return __builtin_fmaf(a, b, c);
#elif !defined(FASTBP_FLOAT32) && (defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__FP_FAST_FMA))
    return __builtin_fma(a, b, c);
#else
    real product = a * b;
    return product + c;
#endif
}

static inline real_bits real_to_bits(real x) {
    real_bits bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline real real_from_bits(real_bits bits) {
    real x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#if defined(FASTBP_FLOAT32)
static inline real real_sqrt(real x) { return sqrtf(x); }
static inline real real_abs(real x) { return fabsf(x); }
static inline real real_copysign(real x, real sign) { return copysignf(x, sign); }
#else
static inline real real_sqrt(real x) { return sqrt(x); }
static inline real real_abs(real x) { return fabs(x); }
static inline real real_copysign(real x, real sign) { return copysign(x, sign); }
#endif

/* The larger and the smaller of two. A NaN in x is returned; a NaN in bound is not noticed. */
static inline real real_max(real x, real bound) { return x < bound ? bound : x; }
static inline real real_min(real x, real bound) { return x > bound ? bound : x; }

/* A macro: a condition that is an argument is a number first, and compilers make more of a choice by a comparison. */
#define real_select(condition, x, y) ((condition) ? (x) : (y))

/* 1 or -1 for a normal number, whose product with the largest is at least 1; a zero and a NaN are returned. */
static inline real real_sign(real x) { return real_max(real_min(x * REAL_LARGEST, 1), -1); }

/* x > 0, or the smallest normal number where x was rounded to less. */
static inline real real_positive(real x) { return real_max(x, REAL_SMALLEST); }

/* The nearest whole number, ties to even; |x| < 2**21 (float), 2**50 (double). */
static inline real real_round(real x) { return (x + REAL_ROUND) - REAL_ROUND; }

/* The first half of the significand: its square is exact, and so is x - real_head(x). */
static inline real real_head(real x) { return real_from_bits(real_to_bits(x) >> REAL_HALF_BITS << REAL_HALF_BITS); }

/* 2**n for the number n that was rounded as t = n + REAL_ROUND + REAL_EXPONENT_BIAS. The bits of t end in the biased
 * exponent; n outside the range of normal numbers gives rubbish. */
#define REAL_POWER_ROUND (REAL_ROUND + REAL_EXPONENT_BIAS)
static inline real real_power(real t) { return real_from_bits(real_to_bits(t) << REAL_FRACTION_BITS); }

/* The exponent k of x = 2**k m, as a number, where m lies in [threshold, 2 threshold), 1/2 < threshold <= 1. For
 * positive normal x; the exponent is read from bits that are made the end of a number's fraction. */
static inline real real_exponent(real x, real threshold) {
    real_bits steps = (real_to_bits(x) - real_to_bits(threshold) + REAL_ONE_BITS) >> REAL_FRACTION_BITS;
    return real_from_bits(real_to_bits(REAL_ROUND) + steps) - (REAL_ROUND + REAL_EXPONENT_BIAS);
}

/* x 2**-k for such a k. */
static inline real real_unscaled(real x, real k) {
    return real_from_bits(real_to_bits(x) - (real_to_bits(k + REAL_ROUND) << REAL_FRACTION_BITS));
}

#endif

/* What the three networks written by hand share: vectors of 16 numbers, exp and tanh, Adam.  With GCC's vector
 * types; GCC turns them into whatever registers there are, and contracts a * b + c. */
#ifndef LANES_H
#define LANES_H

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "task.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#define ALIGNED __attribute__((aligned(64)))
enum { LANES = 16 };
typedef float lanes __attribute__((vector_size(64), aligned(4), may_alias));
typedef int whole __attribute__((vector_size(64)));

INLINE lanes load(const float *p) { return *(const lanes *)p; }
INLINE void store(float *p, lanes x) { *(lanes *)p = x; }
INLINE lanes all(float x) { return x - (lanes){0}; }
INLINE lanes larger(lanes x, lanes y) { whole w = x > y; return (lanes)((w & (whole)x) | (~w & (whole)y)); }
INLINE lanes smaller(lanes x, lanes y) { whole w = x < y; return (lanes)((w & (whole)x) | (~w & (whole)y)); }

/* exp(x) = 2^n exp(r), the Taylor polynomial of exp(r) for |r| <= log(2)/2: 2e-7 relative, -87 <= x <= 87. */
INLINE lanes exp_lanes(lanes x)
{
    const float round = 0x1.8p23f + 127; /* adding it leaves n + 127 in the last bits */
    x = larger(smaller(x, all(87)), all(-87));
    lanes t = x * 1.44269504f + round, n = t - round;
    lanes r = x - n * 0.693359375f + n * 2.12194440e-4f;
    lanes p = r * (1.0f / 720) + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = r * r * p + r;
    lanes power = (lanes)((whole)t << 23);
    return power * p + power;
}

/* 1 - 2/(exp(2x) + 1): 2e-7 absolute. */
INLINE lanes tanh_lanes(lanes x)
{
    return 1 - 2 / (exp_lanes(larger(smaller(x, all(10)), all(-10)) * 2) + 1);
}

/* Rows become columns, by four perfect shuffles of the 16. */
INLINE void transpose(lanes a[LANES])
{
    const whole low = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23}, high = low + 8;
    UNROLL
    for (int round = 0; round < 4; round++) {
        lanes b[LANES];
        UNROLL
        for (int i = 0; i < LANES / 2; i++) {
            b[2 * i] = __builtin_shuffle(a[i], a[i + LANES / 2], low);
            b[2 * i + 1] = __builtin_shuffle(a[i], a[i + LANES / 2], high);
        }
        UNROLL
        for (int i = 0; i < LANES; i++) a[i] = b[i];
    }
}

/* The sum of each of 16 vectors, in its lane. */
INLINE lanes sums(lanes a[LANES])
{
    const whole even = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30}, odd = even + 1;
    for (int n = LANES / 2; n; n /= 2)
        UNROLL
        for (int i = 0; i < n; i++)
            a[i] = __builtin_shuffle(a[2 * i], a[2 * i + 1], even) + __builtin_shuffle(a[2 * i], a[2 * i + 1], odd);
    return a[0];
}

struct adam { double power1, power2; };

/* A step of n parameters, a multiple of 16. */
INLINE void adam_step(struct adam *s, const struct task *task, float *restrict w, const float *restrict g,
                      float *restrict m, float *restrict v, int n)
{
    s->power1 *= task->beta1;
    s->power2 *= task->beta2;
    double root = sqrt(1 - s->power2);
    float scale = task->learning_rate * root / (1 - s->power1), epsilon = task->epsilon * root;
    float beta1 = task->beta1, beta2 = task->beta2, rest1 = 1 - task->beta1, rest2 = 1 - task->beta2;
    UNROLL
    for (int i = 0; i < n; i++) {
        m[i] = beta1 * m[i] + rest1 * g[i];
        v[i] = beta2 * v[i] + rest2 * g[i] * g[i];
        w[i] -= scale * m[i] / (sqrtf(v[i]) + epsilon);
    }
}

#endif

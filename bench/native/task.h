/* What fastbp/benchmark/peer/native.py hands to a peer in C or C++, and the four functions it calls. */
#ifndef TASK_H
#define TASK_H

#ifndef REAL
#define REAL float
#endif
typedef REAL real;

enum { RELU, TANH };
enum { MSE, CROSS_ENTROPY };
enum { SGD, ADAM };

struct task {
    int n_layers, batch, n_batches, activation, loss, optimizer, threads;
    const int *sizes;        /* n_layers + 1 */
    const real *X;           /* (n_batches * batch, sizes[0]) */
    const void *y;           /* reals (n_batches * batch, last size), or int classes (n_batches * batch) */
    const real *weights;     /* W1 (n_in, n_out), b1, W2, ... */
    double learning_rate, beta1, beta2, epsilon;
};

#ifdef __cplusplus
extern "C" {
#endif
const char *version(void);
void *start(const struct task *task);          /* NULL for a task that it is not written for */
double train(void *state, long epochs);        /* batches in order; mean loss of the last epoch */
void parameters(void *state, real *out);       /* W1, b1, W2, ... */
#ifdef __cplusplus
}
#endif

/* Subnormal numbers are zero within `train`, as in fastbp; its caller's mode comes back. */
#ifdef __SSE__
#include <xmmintrin.h>
static inline unsigned flush_subnormals(void)
{
    unsigned mode = _mm_getcsr();
    _mm_setcsr(mode | 0x8040);
    return mode;
}
static inline void restore_mode(unsigned mode) { _mm_setcsr(mode); }
#else
static inline unsigned flush_subnormals(void) { return 0; }
static inline void restore_mode(unsigned mode) { (void)mode; }
#endif

#endif

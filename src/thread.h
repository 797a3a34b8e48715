/* What the training loop needs of the machine beside arithmetic: a barrier, a stop flag and the flush-to-zero mode. */
#ifndef FASTBP_THREAD_H
#define FASTBP_THREAD_H

#if defined(__GNUC__)
#define FASTBP_HAS_THREADS 1
#if !defined(_WIN32)
#include <sched.h>
#define fastbp_yield() sched_yield()
#else
#define fastbp_yield() ((void)0)
#endif
#define flag_load(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define flag_store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define flag_add(p, v) __atomic_add_fetch((p), (v), __ATOMIC_ACQ_REL)
#else
#define FASTBP_HAS_THREADS 0
#define fastbp_yield() ((void)0)
#define flag_load(p) (*(p))
#define flag_store(p, v) (*(p) = (v))
#define flag_add(p, v) (*(p) += (v))
#endif

#if defined(__x86_64__) || defined(__i386__)
#define cpu_relax() __builtin_ia32_pause()
#else
#define cpu_relax() ((void)0)
#endif

/* A barrier for threads that live for one call: the last to arrive starts the next round, the others spin for a few
 * microseconds and then give up their time slice, so that more threads than cores still make progress.  Returns whether
 * this thread did, which may have cost it milliseconds. */
typedef struct {
    int arrived;
    int round;
} barrier_t;

static inline int barrier_wait(barrier_t *b, int n_threads) {
    int round, spin = 0;
    if (n_threads == 1) return 0;
    round = flag_load(&b->round);
    if (flag_add(&b->arrived, 1) == n_threads) {
        flag_store(&b->arrived, 0);
        flag_store(&b->round, round + 1);
        return 0;
    }
    while (flag_load(&b->round) == round) {
        if (++spin < 2000)
            cpu_relax();
        else
            fastbp_yield();
    }
    return spin >= 2000;
}

/* Denormal numbers cost up to a hundred times a normal one: results are flushed and operands read as zero inside the
 * engine alone.  float_mode_flush returns the mode to give back to float_mode_restore. */
#if defined(__SSE2__)
#include <xmmintrin.h>
static inline unsigned long float_mode_flush(void) {
    unsigned int mode = _mm_getcsr();
    _mm_setcsr(0x9fc0u); /* flush, operands too; every exception masked, nearest even: whatever the host has set */
    return mode;
}
static inline void float_mode_restore(unsigned long mode) { _mm_setcsr((unsigned int)mode); }
#elif defined(__aarch64__) && defined(__GNUC__)
static inline unsigned long float_mode_flush(void) {
    unsigned long mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    __asm__ volatile("msr fpcr, %0" : : "r"(mode | (1ul << 24)));
    return mode;
}
static inline void float_mode_restore(unsigned long mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
static inline unsigned long float_mode_flush(void) { return 0; }
static inline void float_mode_restore(unsigned long mode) { (void)mode; }
#endif

#endif

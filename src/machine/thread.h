/* What the training loop needs of the machine beside arithmetic: work shared by threads, and the flush-to-zero mode. */
#ifndef FASTBP_THREAD_H
#define FASTBP_THREAD_H

#if defined(__GNUC__) && __SIZEOF_POINTER__ >= 8
#define FASTBP_HAS_THREADS 1
#define flag_load(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define flag_store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define flag_add(p, v) __atomic_add_fetch((p), (v), __ATOMIC_ACQ_REL)
#else
#define FASTBP_HAS_THREADS 0
#define flag_load(p) (*(p))
#define flag_store(p, v) (*(p) = (v))
#define flag_add(p, v) (*(p) += (v))
#endif

#if FASTBP_HAS_THREADS && !defined(_WIN32)
#include <sched.h>
#include <time.h>
static inline void fastbp_yield(void) { sched_yield(); }
static inline void nap(int microseconds) {
    struct timespec time = {0, microseconds * 1000};
    nanosleep(&time, NULL);
}
static inline double monotonic_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + 1e-9 * now.tv_nsec;
}
#else
static inline void fastbp_yield(void) {}
static inline void nap(int microseconds) { (void)microseconds; }
static inline double monotonic_seconds(void) { return 0; }
#endif

#if defined(__x86_64__) || defined(__i386__)
#define cpu_relax() __builtin_ia32_pause()
#elif defined(__aarch64__) && defined(__GNUC__)
#define cpu_relax() __asm__ volatile("isb" : : : "memory") /* as long as a pause; a yield takes one cycle */
#else
#define cpu_relax() ((void)0)
#endif

/* How often a thread that waits looks without a pause, some microseconds long, and how often then in between others. */
enum { SPINS = 300, YIELDS = 300 };

/* Where a worker stands: it is there, between two calls; a call counts on it; there is none.  A call takes the first two
 * for granted, so that a worker leaves only from between two calls. */
enum { ABSENT = 0, PRESENT = 1, CLAIMED = 2 };
static inline int flag_exchange(int *flag, int expected, int value) {
#if FASTBP_HAS_THREADS
    return __atomic_compare_exchange_n(flag, &expected, value, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
#else
    return *flag == expected ? (*flag = value, 1) : 0;
#endif
}

/* `left` holds the number of a phase in its upper half and in its lower how many pieces of it nobody has taken.  `offer`
 * makes them known together with all that was written before; `take` gets one and returns how many there were, or 0 where
 * none are left or the call `mine` is over: `number` is read between the look and the exchange, which fails if another
 * phase has begun meanwhile. */
static inline void offer(unsigned long long *left, unsigned long long value) { flag_store(left, value); }
static inline int take(unsigned long long *left, int *number, int mine) {
#if FASTBP_HAS_THREADS
    unsigned long long found = flag_load(left);
    while ((unsigned int)found && flag_load(number) == mine) {
        if (__atomic_compare_exchange_n(left, &found, found - 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return (int)(unsigned int)found;
    }
#else
    (void)left, (void)number, (void)mine;
#endif
    return 0;
}

/* Denormal numbers cost up to a hundred times a normal one: results are flushed and operands read as zero inside the
 * engine alone.  float_mode_flush returns the mode to give back to float_mode_restore. */
#if defined(__SSE2__) || defined(_M_X64) /* of MSVC */
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
    __asm__ volatile("msr fpcr, %0" : : "r"(1ul << 24)); /* and nearest even, no traps, as above */
    return mode;
}
static inline void float_mode_restore(unsigned long mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
static inline unsigned long float_mode_flush(void) { return 0; }
static inline void float_mode_restore(unsigned long mode) { (void)mode; }
#endif

#endif

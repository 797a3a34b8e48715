"""Which instruction sets this processor and its operating system support: read without executing any of them."""

cdef extern from *:
    """
    static int instruction_level(void) {
    #if defined(__x86_64__) && defined(__GNUC__)
        __builtin_cpu_init(); /* __builtin_cpu_supports also asks whether the system saves the wider registers */
        if (!(__builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt")))
            return 1;
        if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
              __builtin_cpu_supports("bmi2")))
            return 2;
        if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vl")))
            return 3;
        return 4;
    #elif defined(__aarch64__)
        return 5;
    #else
        return 0;
    #endif
    }
    """
    int instruction_level()


def instruction_sets():
    """Names of the builds that may run here, best first: ("v4", "v3", "v2", "portable") or a tail of it; on arm64
    ("neon", "portable").

    vN is the x86-64-vN level of the System V ABI supplement: v2 has SSE4.2, v3 AVX2 and FMA, v4 AVX-512 (F, BW, CD, DQ, VL).
    """
    level = instruction_level()
    return ("neon", "portable") if level == 5 else ("v4", "v3", "v2", "portable")[4 - max(1, level):]

# What this core can do: loops of one kind of work, for the caller to time.  `fastbp bench` compares a training step with
# them.  `a` and `b` are arguments so that no compiler knows their values; results are returned so that none drops the work.

cdef enum:
    CHAINS = 12         # independent vectors: two units with a latency of four cycles need eight
    STREAMS = 8         # vectors of one turn through an array
    PROBED = 512        # numbers in an array that stays in the nearest cache


def probe_arithmetic(str kind, Py_ssize_t n, double a, double b):
    """Do `kind` n times, and return a number that depends on all of it.

    "fma", "mixed": on 12 vectors, or on 12 with as many additions beside them.  "divide", "quotient": a/x, or
    a/(sqrt(x) + b) as Adam has it, on each of 512 numbers.  "fma_chain", "divide_chain", "sqrt_chain": on one number that
    depends on the one before.  "integer_chain": a multiplication and an addition of 64-bit integers, each waiting for
    the one before: 3 + 1 cycles on x86-64, for the clock.
    """
    cdef vreal x[CHAINS]
    cdef vreal y[CHAINS]
    cdef real numbers[PROBED]
    cdef vreal va = vset(<real>a), vb = vset(<real>b)
    cdef real ra = <real>a, rb = <real>b, value = <real>a
    cdef unsigned long long integer = <unsigned long long>n
    cdef Py_ssize_t i, j
    for j in range(CHAINS):
        x[j] = y[j] = va
    for i in range(PROBED):
        numbers[i] = ra
    if kind == "fma":
        with nogil:
            for i in range(n):
                for j in range(CHAINS):
                    x[j] = vfma(x[j], va, vb)
    elif kind == "mixed":
        with nogil:
            for i in range(n):
                for j in range(CHAINS):
                    x[j] = vfma(x[j], va, vb)
                    y[j] = y[j] + vb
    elif kind == "divide":
        with nogil:
            for i in range(n):
                for j in range(PROBED):
                    numbers[j] = ra / numbers[j]
    elif kind == "quotient":
        with nogil:
            for i in range(n):
                for j in range(PROBED):
                    numbers[j] = ra / (real_sqrt(numbers[j]) + rb)
    elif kind == "fma_chain":
        with nogil:
            for i in range(n):
                value = real_fma(value, ra, rb)
    elif kind == "divide_chain":
        with nogil:
            for i in range(n):
                value = ra / value
    elif kind == "sqrt_chain":
        with nogil:
            for i in range(n):
                value = real_sqrt(value)
    elif kind == "integer_chain":
        with nogil:
            for i in range(n):
                integer = integer * 6364136223846793005ULL + 1442695040888963407ULL
    else:
        raise ValueError(f"unknown kind {kind!r}")
    for j in range(CHAINS):
        vstore(numbers + j * LANES, x[j] + y[j])
    for i in range(PROBED):
        value += numbers[i]
    return value + <double>integer


def probe_stream(real[::1] x, Py_ssize_t passes, double a, bint write=False):
    """Read all of x `passes` times, or with `write` multiply it by `a`; returns the sum of what was read.

    x (n,) IN, or IN and OUT, n a multiple of 8 vectors.  Raises ValueError for another n.
    """
    cdef Py_ssize_t i, j, k, n = x.shape[0]
    cdef vreal total[STREAMS]
    cdef real numbers[STREAMS * LANES]
    cdef vreal va = vset(<real>a)
    cdef real* block
    cdef double found = 0
    if n == 0 or n % (STREAMS * LANES):
        raise ValueError(f"x must have a multiple of {STREAMS * LANES} elements, got {n}")
    for j in range(STREAMS):
        total[j] = vset(<real>0)
    with nogil:
        for k in range(passes):
            if write:
                for i in range(n // (STREAMS * LANES)):
                    block = &x[i * STREAMS * LANES]
                    for j in range(STREAMS):
                        vstore(block + j * LANES, vload(block + j * LANES) * va)
            else:
                for i in range(n // (STREAMS * LANES)):
                    block = &x[i * STREAMS * LANES]
                    for j in range(STREAMS):
                        total[j] = total[j] + vload(block + j * LANES)
    for j in range(STREAMS):
        vstore(numbers + j * LANES, total[j])
    for i in range(STREAMS * LANES):
        found += numbers[i]
    return found

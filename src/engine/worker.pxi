# Workers: threads beside the calling one, from when a call first wants them until a while after the last that did.
#
# To start one takes it 25 to 50 us, and the calling thread 10.  So it stays for SECONDS_LINGERING, for the next call.  Where
# short calls follow each other by less than SECONDS_APART, workers are started even for those that would be over before.
# Nobody waits for a worker to begin or to end: it may be without a processor or without the interpreter for longer than a
# call takes.

import os
from _thread import start_new_thread

cdef extern from *:
    """
    #define SECONDS_LINGERING 2e-4
    #define SECONDS_APART 1e-4
    """
    const double SECONDS_LINGERING
    const double SECONDS_APART

cdef int processes = 0      # how often this one was forked


def _count_process():
    """In a child, which has no thread but one."""
    global processes
    processes += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_process)


cdef int claim_workers(Engine engine, int n_threads, bint starts) except -1:
    """Begin a call that up to n_threads - 1 workers take part in: those that are there, and where it `starts` some or the
    last call ended just now, new ones.
    """
    cdef int thread
    cdef Call* call = &engine.call
    if call.process != processes:
        for thread in range(<int>engine.sizes.n_workers):
            call.shares[thread].standing = ABSENT
        call.process = processes
    for thread in range(<int>engine.sizes.n_workers):
        call.shares[thread].done = 0
    flag_store(&call.number, call.number + 1 | 1)
    starts = starts or monotonic_seconds() - call.ended < SECONDS_APART
    # No threading.Thread: its start and join are Python code, where a signal handler may raise and leave a worker.
    for thread in range(1, n_threads):
        if not flag_exchange(&call.shares[thread].standing, PRESENT, CLAIMED):
            if not starts:
                return 0
            flag_store(&call.shares[thread].standing, CLAIMED)
            try:
                start_new_thread(engine.work, (thread,))
            except BaseException as error:
                flag_store(&call.shares[thread].standing, ABSENT)
                if isinstance(error, (RuntimeError, MemoryError)):
                    return 0
                raise
        call.n_threads = thread + 1
    return 0


cdef void release_workers(Call* call, int n_threads) noexcept:
    """End a call: no worker touches anything but its standing, until the next call claims it."""
    cdef int thread
    flag_store(&call.number, (call.number + 1) & ~1)
    for thread in range(1, n_threads):
        flag_exchange(&call.shares[thread].standing, CLAIMED, PRESENT)
    call.ended = monotonic_seconds()


cdef void work_along(Engine engine, Call* call, int thread) noexcept nogil:
    """What a worker does: pieces of the calls that count on it.  Where it finds none, it looks more and more seldom while a
    call is under way, and leaves SECONDS_LINGERING after the last piece while none is.
    """
    cdef Share* own = &call.shares[thread]
    cdef int number, idle = 0
    cdef double since = 0
    cdef unsigned long mode = float_mode_flush()
    while True:
        number = flag_load(&call.number)
        if number & 1 and flag_load(&own.standing) == CLAIMED and take_piece(engine, call, thread, number):
            flag_add(&own.done, 1)
            idle = 0
            continue
        idle += 1
        if idle < SPINS:
            cpu_relax()
        elif idle == SPINS:
            since = monotonic_seconds()
        elif not number & 1:
            if monotonic_seconds() - since > SECONDS_LINGERING and flag_exchange(&own.standing, PRESENT, ABSENT):
                break
            fastbp_yield()
        elif idle < SPINS + YIELDS:
            fastbp_yield()
        else:
            nap(min(idle - SPINS - YIELDS + 1, 20) * 50)
    float_mode_restore(mode)

# The phases of a call, and which thread does what of them.
#
# A phase is a number of units of work that do not depend on each other: the tiles or blocks of a step's rows, the parts of
# its update, or the tiles of a prediction.  The calling thread alone goes from phase to phase.  Every thread has an even
# share of the units, the same in every step, so that its cache keeps what they need; it takes them piece by piece, and when
# its own are gone those that others have not begun.  So a worker that comes late, or is kept from a processor, keeps nobody
# waiting but for the piece it is at; where other processes make that happen often, the calling thread does without workers
# for a while.  No number depends on who does what.

# The calling thread watches what waiting for its workers costs, in periods of SECONDS_WATCHED.  When it has lost more than
# SECONDS_LOST and more than PART_LOST of the period, it works alone: for SHORTEST_ALONE at first, and for twice as long as
# the last time, up to LONGEST_ALONE, where it comes to that again soon.  So a process that is always busy costs little, and
# one that is busy now and then does not keep the workers away for long.
cdef extern from *:
    """
    #define SECONDS_LOST 5e-4
    #define PART_LOST 0.2
    #define SECONDS_WATCHED 5e-3
    #define SHORTEST_ALONE 0.02
    #define LONGEST_ALONE 0.32
    """
    const double SECONDS_LOST
    const double PART_LOST
    const double SECONDS_WATCHED
    const double SHORTEST_ALONE
    const double LONGEST_ALONE

cdef enum:
    TRAIN = 0       # a call of two phases a step, ROWS and UPDATE
    PREDICT = 1     # calls of one phase
    EVALUATE = 2
    ROWS = 3
    UPDATE = 4
    LAYER = 5       # instead of the last, one a layer, where a plan is layered
    CLIP = 6        # between the two, where a gradient is clipped
    STAGE = 7       # instead of the first, several a step, where a plan has stages

# What one thread has to do in the phase under way; 64 bytes, for a cache line of its own.
cdef struct Share:
    unsigned long long left         # number of the phase << 32 | its pieces that nobody has taken
    int done                        # pieces that this thread has finished in the call, of whatever share
    int standing                    # of the thread, a worker: ABSENT, PRESENT or CLAIMED
    int padding[12]

# The optimizer step under way.
cdef struct Step:
    const unsigned int* order       # of its rows, or NULL
    Py_ssize_t first                # its first row where there is no order
    Py_ssize_t rows
    real scale                      # of the loss's gradient
    real scalar[MOST_NUMBERS]       # of the optimizer's formula

# Early stopping: what is asked for, and how it stands.  All of them doubles: Python hands over an array.
cdef struct Watch:
    double column           # of the figures of an epoch: 0 the loss, then the columns of `record`
    double sign             # 1 where less is better, -1 where more is
    double min_delta
    double patience
    double baseline         # nan for none
    double best             # IN and OUT, as what follows; nan for none
    double wait             # epochs without an improvement
    double best_epoch       # counted within the call, -1 for none in it

# Targets as an array has them, of the real type or class indices.
cdef struct Targets:
    const real* y
    Py_ssize_t y_row
    Py_ssize_t y_column
    const int* label            # or NULL
    Py_ssize_t label_step

# The data and the progress of one call, shared by its threads.
cdef struct Call:
    const real* x
    Py_ssize_t x_row
    Py_ssize_t x_column
    Targets targets                 # of one output; of several each head has its own
    const real* weight              # of elements, or of rows (a column step of 0); or NULL
    Py_ssize_t weight_row
    Py_ssize_t weight_column
    const double* row_weight        # what a row adds to the divisor of its batch's mean, or NULL: 1
    double batch_weight             # their sum over the batch under way
    double total_weight             # and over all rows
    Metric* metric
    int n_metrics
    bint looks_closer               # there are weights or metrics, or outputs are kept
    double* metric_sum              # of the epoch
    Py_ssize_t n_rows
    bint checks_finite              # a prediction stops at a tile with a number that is nan or infinite
    Py_ssize_t batch_size
    const unsigned int* batch_rows  # explicit order of rows, or NULL
    const long long* batch_offsets  # and the first position of each batch in it
    Py_ssize_t epoch_rows           # from one epoch's order to the next, or 0: all have one
    Py_ssize_t n_batches
    unsigned int* shuffled          # the epoch's order of rows where it is shuffled, or NULL
    unsigned long long seed
    Py_ssize_t epochs
    Py_ssize_t first_epoch
    Py_ssize_t max_steps            # stop after this many steps, or -1
    bint guarded                    # keep and restore the state of the last good epoch
    bint keeps                      # the next update is the first after that state, and keeps what it overwrites
    bint careful                    # keep it after every epoch (epoch.pxi)
    Py_ssize_t kept_epoch           # the epoch at whose beginning it was kept last, and the steps before that
    Py_ssize_t kept_steps
    Py_ssize_t since_kept           # rows since then, and some for each step
    double* losses                  # one an epoch (OUT)
    double* total                   # of an epoch in parts: sum, weight and sums of metrics so far (IN and OUT), or NULL
    double left_at[2]               # sum and weight of the epoch that was interrupted
    real* outputs                   # of each row's last step (OUT), before the loss's own activation, or NULL
    const double* rates             # learning rates, one a step, or NULL
    double* record                  # further figures of each epoch (OUT), n_columns of them, or NULL
    Py_ssize_t n_columns
    bint validates                  # among them those of validation data
    Watch* watch                    # early stopping, or NULL
    real* best                      # the parameters of the best epoch (OUT), or NULL
    unsigned long host_mode         # the calling thread's float mode outside the engine
    int status
    Py_ssize_t epoch                # where the call stands, or stopped
    Py_ssize_t batch
    Py_ssize_t steps
    double seconds_to_check
    Step step
    Py_ssize_t layer                # of the phase LAYER, an index among the gradients
    Py_ssize_t stage                # of the phase STAGE
    # the phase under way
    int kind
    Py_ssize_t n_units
    Py_ssize_t together             # units in a piece
    unsigned long long phase        # counts them, so that no late thread takes a piece of another one
    int number                      # odd while a call is under way, another one for each
    int process                     # how often the process had been forked when its workers were begun
    double ended                    # when the last call of several threads did
    int n_threads
    unsigned int helped             # pieces that workers have taken in the call
    Share* shares                   # one a thread
    double watched_since            # when the period of watching the workers began, or will begin
    double seconds_lost             # waiting for them in this period
    double alone_for                # seconds that the calling thread last worked alone
    double alone_until              # when it came back, or will


cdef inline Py_ssize_t share(Py_ssize_t n, int part, int parts) noexcept nogil:
    """Where part `part` of `parts` begins when n things are dealt out evenly."""
    return n * part // parts if parts > 1 else n * part


cdef inline Py_ssize_t pieces(Py_ssize_t n, Py_ssize_t size) noexcept nogil:
    """How many pieces of `size` n things make; a small step has one and is spared the division."""
    return 1 if n <= size else (n + size - 1) // size


cdef void run_units(Engine engine, Call* call, int thread, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Units begin..end of the phase under way, by this thread."""
    if call.kind == ROWS:
        row_units(engine, call, thread, begin, end)
    elif call.kind == UPDATE:
        update_unit(engine, call, thread, begin)
    elif call.kind == LAYER:
        update_kernel(engine, call, thread, call.layer, <int>begin)
    elif call.kind == CLIP:
        clip_unit(engine, begin, pieces(call.step.rows, engine.sizes.block_rows))
    elif call.kind == STAGE:
        stage_units(engine, call, thread, begin, end)
    else:
        forward_units(engine, call, thread, begin, end)


cdef void run_phase(Engine engine, Call* call, int kind, Py_ssize_t n_units, Py_ssize_t together) noexcept nogil:
    """Have all units done, on the calling thread and whichever workers come."""
    cdef Py_ssize_t begin = 0, total = 0, count
    cdef int thread, own = 0
    call.kind = kind
    call.n_units = n_units
    call.together = together
    if is_alone(call):
        while begin < n_units:
            run_units(engine, call, 0, begin, min(begin + together, n_units))
            begin += together
        return
    call.phase += 1
    for thread in range(call.n_threads - 1, -1, -1):
        count = n_pieces(call, thread)
        total += count
        offer(&call.shares[thread].left, call.phase << 32 | <unsigned long long>count)
    while take_piece(engine, call, 0, call.number):
        own += 1
    call.helped += <unsigned int>(total - own)
    wait_for_workers(call)
    if (kind == ROWS or kind == STAGE) and own == 0:    # this thread alone hears Ctrl-C
        poll(engine, call, call.step.rows)


cdef inline Py_ssize_t n_pieces(Call* call, int home) noexcept nogil:
    """In how many pieces the share of thread `home` is taken."""
    cdef Py_ssize_t n = share(call.n_units, home + 1, call.n_threads) - share(call.n_units, home, call.n_threads)
    return (n + call.together - 1) // call.together


cdef bint take_piece(Engine engine, Call* call, int thread, int number) noexcept nogil:
    """One piece of call `number`, of this thread's share or else of another's; False where nobody has any left.

    A late worker looks at the share of every thread that the engine can have, however many the next call uses.
    """
    cdef int i, home = thread
    cdef Py_ssize_t left, begin
    for i in range(<int>engine.sizes.n_workers):
        left = take(&call.shares[home].left, &call.number, number)
        if left > 0:
            begin = share(call.n_units, home, call.n_threads) + (n_pieces(call, home) - left) * call.together
            run_units(engine, call, thread, begin,
                      min(begin + call.together, share(call.n_units, home + 1, call.n_threads)))
            return True
        home = home + 1 if home + 1 < engine.sizes.n_workers else 0
    return False


cdef void wait_for_workers(Call* call) noexcept nogil:
    """Until the pieces that they have taken are done; a long wait counts as time since the last look for Ctrl-C."""
    cdef unsigned int done
    cdef int thread, idle = 0
    cdef double begin = 0
    while True:
        done = 0
        for thread in range(1, call.n_threads):
            done += <unsigned int>flag_load(&call.shares[thread].done)
        if done == call.helped:
            break
        if idle < SPINS:
            idle += 1
            cpu_relax()
            continue
        if begin == 0:
            begin = monotonic_seconds()
        fastbp_yield()
    if begin > 0:
        call.seconds_to_check = 0
        consider_working_alone(call, monotonic_seconds() - begin)


cdef void consider_working_alone(Call* call, double lost) noexcept nogil:
    """Work alone for a while where this thread mostly waits for its workers: other processes use their processors."""
    cdef double now = monotonic_seconds()
    call.seconds_lost += lost
    if call.seconds_lost > SECONDS_LOST and call.seconds_lost > PART_LOST * (now - call.watched_since):
        if now - call.alone_until < call.alone_for:     # it came back less than that ago
            call.alone_for = min(2 * call.alone_for, <double>LONGEST_ALONE)
        else:
            call.alone_for = SHORTEST_ALONE
        call.watched_since = call.alone_until = now + call.alone_for
        call.seconds_lost = 0
    elif now - call.watched_since > SECONDS_WATCHED:
        call.watched_since = now
        call.seconds_lost = 0


cdef inline bint is_alone(Call* call) noexcept nogil:
    return call.n_threads == 1 or (call.alone_for > 0 and monotonic_seconds() < call.watched_since)

# The update of the parameters from their gradients, and what may come between the two: clipping, the average of parameters.
#
# The average of parameters is exponential and corrected for its start as Adam's moments are, in a form that is an average at
# every step t = 1, 2, ...:
#     average = average + (1 - decay) / (1 - decay^t) * (w - average)

# Clipping needs the whole gradient: the phase CLIP adds the row blocks' gradients and the penalties, a unit of the
# parameters at a time, and sums squares in float64; the units and the order of their sums follow from the sizes alone.
cdef enum:
    CLIP_NUMBERS = 8192     # of a unit: a fraction of a second-level cache, with the gradients of its row blocks
    AVERAGE_POWER = MOST_POWERS - 1     # where decay^t stands among the running powers

cdef struct ClipUnit:
    Py_ssize_t segment
    Py_ssize_t at           # first number
    Py_ssize_t n

cdef struct Clip:
    double value            # bound of each number, or 0
    double norm             # of the gradient of each tensor, or 0
    double global_norm      # of the whole gradient, or 0
    ClipUnit* units
    Py_ssize_t n_units
    double* sums            # of squares, one a unit
    real* factors           # one a segment

cdef extern from *:
    """
    #define NORM_EPSILON 1e-6
    """
    const double NORM_EPSILON   # PyTorch's and Keras's


cdef void clip_unit(Engine engine, Py_ssize_t index, Py_ssize_t n_blocks) noexcept nogil:
    """The gradient of one unit, whole and clipped by value, or the sum of its squares."""
    cdef ClipUnit* unit = &engine.clip.units[index]
    cdef const Segment* segment = &engine.segments[unit.segment]
    cdef real* g = engine.gradient + unit.at
    block_sum(unit.n, g, engine.n_parameters, n_blocks)
    if segment.l1 != 0 or segment.l2 != 0:
        penalise(unit.n, <real>(engine.penalty_scale * segment.l1), <real>(engine.penalty_scale * segment.l2),
                 engine.w + unit.at, g)
    if engine.clip.value > 0:
        bound_values(unit.n, <real>engine.clip.value, g)
    else:
        engine.clip.sums[index] = sum_of_squares(unit.n, g) if segment.rate != 0 else 0


cdef void find_clip_factors(Engine engine) noexcept nogil:
    """What a segment's gradient is multiplied by: min(1, c / (norm + 1e-6)) of all, or c / max(c, norm) of its tensor."""
    cdef Clip* clip = &engine.clip
    cdef Py_ssize_t i, segment
    cdef double total = 0, factor = 1
    for segment in range(engine.n_segments):
        clip.factors[segment] = 1
    if clip.global_norm > 0:
        for i in range(clip.n_units):
            total += clip.sums[i]
        factor = min(1.0, clip.global_norm / (sqrt(total) + NORM_EPSILON))
        for segment in range(engine.n_segments):
            clip.factors[segment] = <real>factor
    elif clip.norm > 0:
        for i in range(clip.n_units):
            segment = clip.units[i].segment
            total = total + clip.sums[i] if i > 0 and segment == clip.units[i - 1].segment else clip.sums[i]
            clip.factors[segment] = <real>(clip.norm / max(clip.norm, sqrt(total)))


cdef void update_segments(Engine engine, int part, int parts, Py_ssize_t n_blocks,
                          const real* scalar) noexcept nogil:
    """The update of one part of every segment, from the sum of the row blocks' gradients."""
    cdef Py_ssize_t i, begin, end, at, unit, n_units
    cdef const Segment* segment
    for i in range(engine.n_segments):
        segment = &engine.segments[i]
        unit, n_units = segment.ld, segment.rows
        if n_units == 1 and segment.transpose < 0:      # else a copy is made of whole rows
            unit, n_units = BLOCK, segment.ld // BLOCK
        begin = share(n_units, part, parts)
        end = share(n_units, part + 1, parts)
        at = segment.offset + begin * unit
        if end > begin:
            if not engine.clips:
                block_sum((end - begin) * unit, engine.gradient + at, engine.n_parameters, n_blocks)
            elif engine.clip.factors[i] != 1:
                multiply((end - begin) * unit, engine.clip.factors[i], engine.gradient + at)
            step_range(engine, segment, at, (end - begin) * unit, engine.gradient + at, scalar)
            if segment.transpose >= 0:
                transpose_rows(engine, segment, begin, end)


cdef void step_range(Engine engine, const Segment* segment, Py_ssize_t at, Py_ssize_t n, const real* g,
                     const real* scalar) noexcept nogil:
    """The optimizer's step of n parameters from `at` on, and their average."""
    cdef Update update
    cdef real own[MOST_NUMBERS]
    if segment.rate != 1:
        scaled_scalars(engine, segment.rate, own)
        scalar = own
    update.n = n
    update.w = engine.w + at
    update.g = g
    update.state = engine.state + at
    update.stride = engine.n_parameters
    update.scalar = scalar
    update.l1 = 0 if engine.clips else <real>(engine.penalty_scale * segment.l1)    # else in the gradient already
    update.l2 = 0 if engine.clips else <real>(engine.penalty_scale * segment.l2)
    update.decays = segment.decays != 0
    update.fetches = engine.sizes.fetches
    if segment.rate != 0:
        engine.optimizer.step(&update)
    if engine.average > 0:
        approach(n, <real>((1 - engine.average) / (1 - engine.power[AVERAGE_POWER])), engine.w + at,
                 engine.state + engine.optimizer.n_slots * engine.n_parameters + at)


cdef double penalties(Engine engine) noexcept nogil:
    """l2 / 2 |w|^2 + l1 |w|, in float64, segment after segment."""
    cdef Py_ssize_t i, n
    cdef const Segment* segment
    cdef double sum = 0
    for i in range(engine.n_segments):
        segment = &engine.segments[i]
        n = segment.rows * segment.ld
        if segment.l2 != 0:
            sum += 0.5 * segment.l2 * sum_of_squares(n, engine.w + segment.offset)
        if segment.l1 != 0:
            sum += segment.l1 * sum_of_sizes(n, engine.w + segment.offset)
    return sum


cdef void scaled_scalars(Engine engine, double rate, real* scalar) noexcept nogil:
    """The scalars of the step under way for `rate` times its learning rate."""
    cdef double number[MOST_NUMBERS]
    memcpy(number, engine.number, sizeof(number))
    number[engine.rate_index] = rate * number[engine.rate_index]
    engine.optimizer.scalars(number, engine.power, scalar)


cdef void keep_and_step_range(Engine engine, Call* call, const Segment* segment, Py_ssize_t at, Py_ssize_t n,
                              const real* g) noexcept nogil:
    """The same; where the epoch's first update overwrites the state to come back to, that is kept while it is in cache."""
    cdef Py_ssize_t done = 0, part = n
    while done < n:
        if call.keeps:
            part = min(n - done, <Py_ssize_t>KEPT_AT_ONCE)
            keep_range(engine, at + done, part)
        step_range(engine, segment, at + done, part, g + done, call.step.scalar)
        done += part


cdef inline void next_scalars(Engine engine, const double* power, double* next_power, real* scalar) noexcept nogil:
    """The running powers after one more step, and its scalars; `next_power` (OUT) may be `power`."""
    cdef int i
    for i in range(MOST_POWERS):
        next_power[i] = power[i] * engine.base[i]
    engine.optimizer.scalars(engine.number, next_power, scalar)


cdef void keep_range(Engine engine, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """The parameters and the optimizer state to come back to."""
    cdef Py_ssize_t i
    memcpy(engine.last_good + at, engine.w + at, n * sizeof(real))
    for i in range(engine.sizes.n_states):
        memcpy(engine.last_good + (i + 1) * engine.n_parameters + at, engine.state + i * engine.n_parameters + at,
               n * sizeof(real))


cdef void transpose_rows(Engine engine, const Segment* segment, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Stored rows begin..end of a kernel into its transposed copy."""
    cdef const real* w = engine.w + segment.offset + begin * segment.ld
    cdef real* t = engine.transposes + segment.transpose + begin
    if end == segment.rows and begin + (end - begin + BLOCK - 1) // BLOCK * BLOCK <= segment.ld_transpose:
        transpose_padded(end - begin, segment.columns, w, segment.ld, t, segment.ld_transpose)
    else:       # what follows is another thread's
        transpose(end - begin, segment.columns, w, segment.ld, t, segment.ld_transpose)

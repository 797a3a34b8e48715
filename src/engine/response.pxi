# A prediction at once: from an array as it comes to the array of the outputs, with as little else as can be.

cdef object response(Engine engine, x, str transform, int n_threads):
    """See `Engine.respond`."""
    cdef Rows rows, out
    cdef Call* call = &engine.call
    cdef Py_ssize_t most = PY_SSIZE_T_MAX if n_threads > 0 else engine.most_rows
    found = engine.bound
    x = accepted(x, engine.least_rows, most, engine.sizes.n_features, False, engine.bound_row is not None, &rows)
    if x is None:
        check_call(engine, engine.predicts, "respond", 0)
        return None
    if found is None:
        found = EMPTY((rows.n_rows, engine.sizes.n_outputs), REAL)
    find_rows(found, False, &out)
    if rows.n_rows > engine.sizes.tile_rows and overlap(&rows, out.at, out.at + out.n_rows * out.row):
        return None
    if engine.is_responding or engine.writers:
        return None
    engine.set_rows(&rows)
    engine.set_transform(transform)
    call.checks_finite = True
    engine.out = <real*>out.at
    engine.ld_out = engine.sizes.n_outputs
    if rows.n_rows <= engine.brief_rows:
        call.status = RUNNING
        call.n_threads = 1
        call.seconds_to_check = SECONDS_PER_CHECK
        run_task(engine, call, PREDICT, None)
    else:
        respond_long(engine, n_threads if n_threads > 0 else engine.bound_threads)
    if call.status != RUNNING:
        return None
    return engine.bound_row if rows.is_one else found


cdef int respond_long(Engine engine, int n_threads) except -1:
    """The same while other threads use the interpreter, unless one of them has begun to train."""
    engine.call.status = INTERRUPTED    # before it has begun
    try:
        engine.readers.add(engine)      # before the look: a writer does both the other way round
        if engine.writers:
            return 0
        engine.is_responding = True
        engine.run_call(PREDICT, n_threads, None)
    finally:
        engine.is_responding = False
        engine.readers.discard(engine)
    if engine.pending is not None:
        raise engine.take_pending()
    return 0

# The kernels one by one, for tests and benchmarks: typed memoryviews in, the same pointers the engine uses inside.

def matrix_product(const real[:, :] a, const real[:, ::1] b, real[:, ::1] c, *, int start=START_ZERO,
                   const real[::1] bias=None, real[::1] packing=None, Py_ssize_t panel_depth=256,
                   Py_ssize_t packed_block=0):
    """c = start + a b with start 0, `bias` (n,) or c itself for start = 0, 1, 2.

    Shapes: a (m, depth) IN, any strides; b (depth, n) IN; c (m, n) OUT or IN and OUT; n a multiple of 64 bytes; `packing`
    SCRATCH, memory for copies of panels of at most `panel_depth` rows and blocks of at most `packed_block` numbers.
    Raises ValueError for shapes that do not fit.
    """
    cdef Py_ssize_t m = a.shape[0], depth = a.shape[1], n = b.shape[1]
    cdef Py_ssize_t row = a.strides[0] // <Py_ssize_t>sizeof(real), column = a.strides[1] // <Py_ssize_t>sizeof(real)
    cdef Packing room
    if b.shape[0] != depth or c.shape[0] != m or c.shape[1] != n or n % BLOCK:
        raise ValueError(f"shapes do not fit: {m}x{depth}, {b.shape[0]}x{n}, {c.shape[0]}x{c.shape[1]}, block {BLOCK}")
    if start == START_BIAS and (bias is None or bias.shape[0] != n):
        raise ValueError("start = 1 needs a bias of n numbers")
    if m == 0 or n == 0:
        return
    if packing is not None:
        if packed_block < panel_depth + BLOCK or packing.shape[0] < panel_depth * MICRO_TILE_BLOCKS * BLOCK + packed_block:
            raise ValueError("packing needs a panel and a block of at least one row")
        room.at = &packing[0]
        room.panel_depth = panel_depth
        room.block = packed_block
        room.from_numbers = 1
    gemm(m, n, depth, start, &a[0, 0] if depth else NULL, row, column, &b[0, 0] if depth else NULL, n, &c[0, 0], n,
         &bias[0] if bias is not None else NULL, &room if packing is not None else NULL)


def column_product(const real[:, :] a, const real[:, ::1] w, real[:, ::1] c, *, const real[::1] bias=None):
    """c[i, o] = bias[o] + sum_k a[i, k] w[o, k] for a (m, depth), w (n <= 4, ldw >= depth), c (m, 64 bytes).

    The rest of c is zeroed.  For n = 1 c may be (m + 64 bytes, 1), of which m numbers are the result.  Raises ValueError for
    shapes that do not fit.
    """
    cdef Py_ssize_t m = a.shape[0], depth = a.shape[1], n = w.shape[0]
    cdef bint is_column = n == 1 and c.shape[0] == m + BLOCK and c.shape[1] == 1
    if n > 4 or w.shape[1] < depth or (bias is not None and bias.shape[0] < n):
        raise ValueError("shapes do not fit")
    if not is_column and (c.shape[0] != m or c.shape[1] != BLOCK):
        raise ValueError("shapes do not fit")
    if m and depth and n:
        dot_columns(m, n, depth, &a[0, 0], a.strides[0] // <Py_ssize_t>sizeof(real),
                    a.strides[1] // <Py_ssize_t>sizeof(real), depth, &w[0, 0], w.shape[1],
                    &bias[0] if bias is not None else NULL, &c[0, 0], c.shape[1])


def lane_kernels(const real[:, :] x, const unsigned int[::1] order, const real[:, :] w, const real[::1] bias,
                 const real[:, ::1] dz, real[:, ::1] turned, real[:, ::1] z, real[:, ::1] dx, real[:, ::1] g,
                 real[::1] sums, *, int start=START_ZERO):
    """With rows in the lanes: turned = x[order]^T, z = bias + w^T turned, dx = w dz, g = turned dz^T, sums of dz.

    Shapes: x (any, n_in), order (rows,) or None for all of x, w (n_in, n_out), bias (n_out,), dz (n_out + 16, ld) IN with
    ld lanes, the rows in whole blocks; turned and dx (n_in + 16, ld), z (n_out, ld), g (n_in, n_out) and sums (n_out,) OUT,
    the last two IN too with start 2.  Raises ValueError for shapes that do not fit.
    """
    cdef Py_ssize_t rows = x.shape[0] if order is None else order.shape[0]
    cdef Py_ssize_t n_in = w.shape[0], n_out = w.shape[1], ld = dz.shape[1]
    cdef Py_ssize_t w_row = w.strides[0] // <Py_ssize_t>sizeof(real), w_column = w.strides[1] // <Py_ssize_t>sizeof(real)
    cdef Py_ssize_t x_row = x.strides[0] // <Py_ssize_t>sizeof(real), x_column = x.strides[1] // <Py_ssize_t>sizeof(real)
    if (turned.shape[1], dx.shape[1], z.shape[1], lane_count(rows)) != (ld, ld, ld, ld) or x.shape[1] != n_in:
        raise ValueError("shapes do not fit")
    if turned.shape[0] < n_in + 16 or dx.shape[0] < n_in + 16 or dz.shape[0] < n_out + 16 or z.shape[0] < n_out:
        raise ValueError("shapes do not fit")
    gather_lanes(rows, n_in, &order[0] if order is not None else NULL, &x[0, 0], x_row, x_column,
                 (x.shape[0] - 1) * x_row + n_in, &turned[0, 0], ld)
    panels(n_out, ld, n_in, START_ROW_BIAS, &w[0, 0], w_column, w_row, &turned[0, 0], ld, &z[0, 0], ld, &bias[0])
    panels(n_in, ld, n_out, START_ZERO, &w[0, 0], w_row, w_column, &dz[0, 0], ld, &dx[0, 0], ld, NULL)
    lane_gradient(n_in, n_out, ld, &turned[0, 0], ld, &dz[0, 0], ld, start, &g[0, 0], n_out)
    lane_sums(n_out, ld, &dz[0, 0], ld, start, &sums[0])


def output_kernels(const real[:, ::1] dz, const real[:, ::1] x, const real[:, ::1] w, real[:, ::1] d, real[:, ::1] g,
                   real[::1] b, real[::1] s, *, bint is_tanh, int start=START_ZERO):
    """Of a layer of up to four outputs: g = dz^T x, b = sums of dz, d = dz w, with tanh times 1 - x^2 and its sums s.

    Shapes: dz (rows, 64 bytes), zero from column n on, or (rows, 1) for n = 1, x (rows, ld) and w (n, ld) IN; d (rows, ld)
    OUT; g (n, ld), b (64 bytes) and s (ld,) OUT, IN too with start 2; ld whole blocks.  Raises ValueError for shapes that
    do not fit.
    """
    cdef Outputs own
    cdef Py_ssize_t rows = dz.shape[0], n = w.shape[0], ld = w.shape[1]
    if not 1 <= n <= 4 or rows == 0 or ld == 0 or ld % BLOCK or b.shape[0] != BLOCK:
        raise ValueError("shapes do not fit")
    if dz.shape[1] != BLOCK and not n == dz.shape[1] == 1:
        raise ValueError("shapes do not fit")
    if (x.shape[0], d.shape[0], g.shape[0]) != (rows, rows, n) or (x.shape[1], d.shape[1], g.shape[1]) != (ld, ld, ld):
        raise ValueError("shapes do not fit")
    own.rows = rows
    own.start = start
    own.dz = &dz[0, 0]
    own.lddz = dz.shape[1]
    own.x = &x[0, 0]
    own.w = &w[0, 0]
    own.d = &d[0, 0]
    own.ldx = own.ldw = own.ldd = ld
    own.g = &g[0, 0]
    own.b = &b[0]
    own.s = &s[0]
    if is_tanh:
        outputs_of_tanh(<int>n, &own)
    else:
        outputs_of_any(<int>n, &own)


def apply_activation(str name, const real[::1] z, real[::1] a, double alpha=1):
    """a = f(z), element by element; z and a of one length, may be the same array."""
    cdef Activation f = find_activation(name, alpha, False)
    if z.shape[0] != a.shape[0] or f.forward in (softmax_forward, log_softmax_forward):
        raise ValueError("z and a must have one length, and softmax needs rows")
    if z.shape[0]:
        f.forward(f.alpha, 1, z.shape[0], z.shape[0], <real*>&z[0], &a[0])


def apply_derivative(str name, real[::1] z, real[::1] a, real[::1] d, double alpha=1):
    """a = f(z) and d = d * f'(z), as a step takes them; all of one length.  z may be lost to what is kept of the slope."""
    cdef Activation f = find_activation(name, alpha, True)
    if z.shape[0] != a.shape[0] or z.shape[0] != d.shape[0] or f.forward in (softmax_forward, log_softmax_forward):
        raise ValueError("z, a and d must have one length, and softmax needs rows")
    if z.shape[0]:
        f.forward(f.alpha, 1, z.shape[0], z.shape[0], &z[0], &a[0])
    if z.shape[0] and f.backward != NULL:
        f.backward(f.alpha, 1, z.shape[0], z.shape[0], &z[0], &a[0], &d[0])


def apply_step(str formula, numbers, const double[::1] power, real[::1] w, const real[::1] g, real[:, ::1] state, *,
               double l1=0, double l2=0, bint decays=True, str kernel="found"):
    """One step of an optimizer's formula on w with gradient g; `state` (n_slots, n) its slots; whole blocks of 64 bytes.

    `power` are the running powers after the step.  `kernel` is "found", as for an engine, or "formula", its loop, whatever
    kernel there is; of Adam "divider" or "reciprocal", whatever the processor.  Denormal numbers are zero, as in a call.
    """
    cdef StepKernel own = optimizer_formula(formula) if kernel == "formula" else find_step(formula)
    cdef unsigned long mode
    cdef double number[MOST_NUMBERS]
    cdef real scalar[MOST_NUMBERS]
    cdef Update u
    if not w.shape[0] == g.shape[0] == state.shape[1] or state.shape[0] != own.n_slots:
        raise ValueError(f"w, g and each of {own.n_slots} slots must have one length")
    if w.shape[0] % BLOCK:
        raise ValueError(f"w must have a multiple of {BLOCK} elements, got {w.shape[0]}")
    if power.shape[0] < own.n_powers:
        raise ValueError(f"power must have {own.n_powers} elements, got {power.shape[0]}")
    for i, value in enumerate(checked(numbers, own.n_numbers, formula)):
        number[i] = value
    own.scalars(number, &power[0] if power.shape[0] else NULL, scalar)
    if w.shape[0] == 0:
        return
    u.n = u.stride = w.shape[0]
    u.w = &w[0]
    u.g = &g[0]
    u.state = &state[0, 0] if own.n_slots else NULL
    u.scalar = scalar
    u.l1 = <real>l1
    u.l2 = <real>l2
    u.decays = decays
    u.fetches = True            # which changes no bit
    if kernel in ("divider", "reciprocal"):
        own.step = grouped_adam_step if kernel == "divider" else reciprocal_adam_step
    mode = float_mode_flush()
    own.step(&u)
    float_mode_restore(mode)


def quotients(const real[::1] a, const real[::1] b, real[::1] out):
    """out = a / b by vquotient: whole vectors of one length, denormal numbers being zero."""
    cdef Py_ssize_t i
    cdef unsigned long mode
    if not a.shape[0] == b.shape[0] == out.shape[0] or a.shape[0] % LANES:
        raise ValueError("a, b and out must have one length, whole vectors")
    mode = float_mode_flush()
    for i in range(a.shape[0] // LANES):
        vstore(&out[i * LANES], vquotient(vload(&a[i * LANES]), vload(&b[i * LANES])))
    float_mode_restore(mode)


def shuffled(Py_ssize_t n, unsigned long long seed, unsigned long long epoch, unsigned int[::1] order):
    """order (n,) OUT = the permutation of an epoch."""
    if order.shape[0] != n:
        raise ValueError(f"order must have {n} elements, got {order.shape[0]}")
    if n:
        shuffle(n, seed, epoch, &order[0])


def gathered(const real[:, :] x, const unsigned int[::1] order, real[:, ::1] out):
    """out[r] OUT = x[order[r]] (n numbers), then zeros up to its width, n or whole blocks of 64 bytes; row r if no order."""
    cdef Py_ssize_t rows = out.shape[0], n = x.shape[1], ld = out.shape[1]
    if n == 0 or (ld != n and (ld < n or ld % BLOCK)) or rows != (order.shape[0] if order is not None else x.shape[0]):
        raise ValueError("shapes do not fit")
    if rows:
        gather(rows, n, &order[0] if order is not None else NULL, &x[0, 0], x.strides[0] // <Py_ssize_t>sizeof(real),
               x.strides[1] // <Py_ssize_t>sizeof(real), &out[0, 0], ld)


def sizes():
    """Numbers a 64-byte block holds, rows and blocks of a register tile: edge cases.

    "lanes" of a vector, and what the probes work on: "probe_chains" vectors, "probed" numbers.
    """
    return {"block": <int>BLOCK, "tile_rows": <int>MICRO_TILE_ROWS, "tile_blocks": <int>MICRO_TILE_BLOCKS,
            "wide_blocks": <int>WIDE_BLOCKS, "lanes": <int>LANES,
            "probe_chains": <int>CHAINS, "probed": <int>PROBED}

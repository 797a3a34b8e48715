# Optimizer steps over a run [begin, end) of the flat parameter vector.  The codes are those of fastbp/optimizer/__init__.py.
#
# g is the gradient of the loss, the sum over row blocks in their order where there are several.  The penalty joins it here:
#     g = g + l2 * w + l1 * sign(w)
# Element by element: no order of summation beside that of the blocks; square root and division correctly rounded.
#
# n is a multiple of BLOCK everywhere, and none of the arrays overlap.  A loop over the numbers of a block inside a loop over
# blocks compiles to whole vectors alone, without a tail and without a look at n.

cdef enum:
    SGD = 0
    MOMENTUM = 1
    NESTEROV = 2
    ADAM = 3
    ADAMW = 4
    ADAM_BLOCKS = 4

# What a step needs beside the arrays; `correction1` = learning_rate / (1 - beta1^t), `correction2` = 1 / sqrt(1 - beta2^t).
cdef struct StepScalar:
    int code
    real learning_rate
    real momentum
    real beta1
    real beta2
    real rest1              # 1 - beta1, rounded once from double
    real rest2
    real epsilon
    real correction1
    real correction2
    real decay              # learning_rate * weight_decay of AdamW


cdef inline real penalised(real g, real w, real l1, real l2) noexcept nogil:
    return real_fma(l2, w, g) + l1 * (<real>1 if w > 0 else (<real>-1 if w < 0 else <real>0))


cdef void block_sum(Py_ssize_t n, real* g, Py_ssize_t stride, Py_ssize_t n_blocks) noexcept nogil:
    """g[i] = g[i] + g[i + stride] + g[i + 2 stride] + ...: the gradient blocks in their order; g IN and OUT."""
    cdef Py_ssize_t i, block
    for block in range(1, n_blocks):
        for i in range(n):
            g[i] += g[i + block * stride]


cdef inline void sgd_step(Py_ssize_t n, StepScalar* s, real l1, real l2, out_array w, in_array g) noexcept nogil:
    """w = w - learning_rate * g"""
    cdef Py_ssize_t block, i
    cdef real rate = s.learning_rate
    if l1 == 0 and l2 == 0:
        for block in range(n // BLOCK):
            for i in range(block * BLOCK, block * BLOCK + BLOCK):
                w[i] = real_fma(-rate, g[i], w[i])
    else:
        for block in range(n // BLOCK):
            for i in range(block * BLOCK, block * BLOCK + BLOCK):
                w[i] = real_fma(-rate, penalised(g[i], w[i], l1, l2), w[i])


cdef inline void momentum_step(Py_ssize_t n, StepScalar* s, real l1, real l2, out_array w, in_array g,
                               out_array v) noexcept nogil:
    """v = momentum v + g;  w = w - learning_rate * v, or with Nesterov w - learning_rate * (g + momentum v)

    Sutskever et al., On the importance of initialization and momentum in deep learning, 2013, with the learning rate
    outside the velocity.
    """
    cdef Py_ssize_t block, i
    cdef real gradient, rate = s.learning_rate, mu = s.momentum
    cdef bint nesterov = s.code == NESTEROV
    for block in range(n // BLOCK):
        for i in range(block * BLOCK, block * BLOCK + BLOCK):
            gradient = penalised(g[i], w[i], l1, l2)
            v[i] = real_fma(mu, v[i], gradient)
            w[i] = real_fma(-rate, real_fma(mu, v[i], gradient) if nesterov else v[i], w[i])


cdef inline real adam_moments(StepScalar* s, real gradient, real* m, real* v) noexcept nogil:
    """sqrt(v), with m and v of one parameter IN and OUT."""
    m[0] = real_fma(s.beta1, m[0], s.rest1 * gradient)
    v[0] = real_fma(s.beta2, v[0], s.rest2 * gradient * gradient)
    return real_sqrt(v[0])


cdef inline void adam_step(Py_ssize_t n, StepScalar* s, real l1, real l2, real decay,
                           out_array w, in_array g, out_array m, out_array v) noexcept nogil:
    """m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
    w = w - decay w - learning_rate m_hat / (sqrt(v_hat) + epsilon)

    m_hat = m / (1 - beta1^t), v_hat = v / (1 - beta2^t).  Kingma & Ba, Adam, 2015, algorithm 1; `decay` is AdamW's
    (Loshchilov & Hutter, Decoupled Weight Decay Regularization, 2019), zero for Adam.

    Square roots of up to ADAM_BLOCKS blocks, then their divisions: a divider that takes turns loses two cycles each time.
    """
    cdef Py_ssize_t block, blocks, i, left = n // BLOCK
    cdef StepScalar local = s[0]
    cdef real root[ADAM_BLOCKS * BLOCK]
    while left > 0:
        blocks = min(left, <Py_ssize_t>ADAM_BLOCKS)
        if l1 == 0 and l2 == 0 and decay == 0:
            for block in range(blocks):
                for i in range(block * BLOCK, block * BLOCK + BLOCK):
                    root[i] = adam_moments(&local, g[i], &m[i], &v[i])
        else:
            for block in range(blocks):
                for i in range(block * BLOCK, block * BLOCK + BLOCK):
                    root[i] = adam_moments(&local, penalised(g[i], w[i], l1, l2), &m[i], &v[i])
                    w[i] = real_fma(-decay, w[i], w[i])
        for block in range(blocks):
            for i in range(block * BLOCK, block * BLOCK + BLOCK):
                w[i] = w[i] - local.correction1 * m[i] / (root[i] * local.correction2 + local.epsilon)
        w += ADAM_BLOCKS * BLOCK
        g += ADAM_BLOCKS * BLOCK
        m += ADAM_BLOCKS * BLOCK
        v += ADAM_BLOCKS * BLOCK
        left -= blocks


cdef void optimizer_step(Py_ssize_t n, StepScalar* s, real l1, real l2, bint decays,
                         real* w, const real* g, real* m, real* v) noexcept nogil:
    if s.code == SGD:
        sgd_step(n, s, l1, l2, w, g)
    elif s.code <= NESTEROV:
        momentum_step(n, s, l1, l2, w, g, m)
    else:
        adam_step(n, s, l1, l2, s.decay if decays else <real>0, w, g, m, v)


# The optimizer's numbers, in the order in which Runtime hands them over.
cdef struct Hyper:
    int code
    double learning_rate
    double momentum
    double beta1
    double beta2
    double epsilon
    double weight_decay


cdef void fill_hyper(Hyper* own, const double[::1] values):
    own.code = <int>values[0]
    own.learning_rate = values[1]
    own.momentum = values[2]
    own.beta1 = values[3]
    own.beta2 = values[4]
    own.epsilon = values[5]
    own.weight_decay = values[6]


cdef void step_scalar(Hyper* h, const double* power, StepScalar* s) noexcept nogil:
    """The numbers of one step, rounded once from double; power = beta1^t, beta2^t after this step's factor."""
    s.code = h.code
    s.learning_rate = <real>h.learning_rate
    s.momentum = <real>h.momentum
    s.beta1 = <real>h.beta1
    s.beta2 = <real>h.beta2
    s.rest1 = <real>(1 - h.beta1)
    s.rest2 = <real>(1 - h.beta2)
    s.epsilon = real_max(<real>h.epsilon, REAL_SMALLEST)    # 0 / 0 where a gradient is 0 and epsilon rounds to 0
    s.correction1 = <real>(h.learning_rate / (1 - power[0]))
    s.correction2 = <real>(1 / sqrt(1 - power[1]))
    s.decay = <real>(h.learning_rate * h.weight_decay)

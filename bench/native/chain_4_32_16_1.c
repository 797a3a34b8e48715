/* 4-32-16-1, tanh, mse, Adam, batch 32: every size literal, units in the lanes. */
#include "lanes.h"

enum { B = 32, N0 = 4, N1 = 32, N2 = 16, W1 = 0, B1 = W1 + N0 * N1, W2 = B1 + N1, B2 = W2 + N1 * N2,
       W3 = B2 + N2, B3 = W3 + N2, N = B3 + 1, PADDED = B3 + LANES };

struct state {
    float w[PADDED], g[PADDED], m[PADDED], v[PADDED];
    float h[B][N1], q[B][N2], dq[B][N2], transposed[N2][N1], d[B];
    struct task task;
    struct adam adam;
} ALIGNED;

const char *version(void) { return "gcc " __VERSION__; }

void *start(const struct task *task)
{
    const int *n = task->sizes;
    if (sizeof(real) != 4 || task->n_layers != 3 || n[0] != N0 || n[1] != N1 || n[2] != N2 || n[3] != 1 ||
        task->batch != B || task->activation != TANH || task->loss != MSE || task->optimizer != ADAM)
        return NULL;
    struct state *s = aligned_alloc(64, sizeof *s);
    memset(s, 0, sizeof *s);
    memcpy(s->w, task->weights, N * sizeof(float));
    s->task = *task;
    s->adam = (struct adam){1, 1};
    return s;
}

INLINE void forward(struct state *s, const float *x)
{
    lanes w[N0][2], b[2] = {load(s->w + B1), load(s->w + B1 + LANES)};
    UNROLL
    for (int i = 0; i < N0; i++)
        UNROLL
        for (int u = 0; u < 2; u++) w[i][u] = load(s->w + W1 + i * N1 + u * LANES);
    for (int r = 0; r < B; r++)
        UNROLL
        for (int u = 0; u < 2; u++) {
            lanes z = b[u];
            UNROLL
            for (int i = 0; i < N0; i++) z += x[r * N0 + i] * w[i][u];
            store(&s->h[r][u * LANES], tanh_lanes(z));
        }
    for (int begin = 0; begin < B; begin += 16) {
        lanes z[16];
        UNROLL
        for (int r = 0; r < 16; r++) z[r] = load(s->w + B2);
        for (int i = 0; i < N1; i++) {
            lanes row = load(s->w + W2 + i * N2);
            UNROLL
            for (int r = 0; r < 16; r++) z[r] += s->h[begin + r][i] * row;
        }
        UNROLL
        for (int r = 0; r < 16; r++) store(s->q[begin + r], tanh_lanes(z[r]));
    }
}

/* The loss, and its derivatives by the outputs into d. */
INLINE float outputs(struct state *s, const float *y)
{
    lanes squares = {0}, w3 = load(s->w + W3);
    for (int begin = 0; begin < B; begin += 16) {
        lanes product[LANES];
        UNROLL
        for (int r = 0; r < 16; r++) product[r] = load(s->q[begin + r]) * w3;
        lanes e = sums(product) + s->w[B3] - load(y + begin);
        squares += e * e;
        store(s->d + begin, e * (2.0f / B));
    }
    float total = 0;
    UNROLL
    for (int i = 0; i < LANES; i++) total += squares[i];
    return total / B;
}

INLINE void backward(struct state *s, const float *x)
{
    lanes w3 = load(s->w + W3), g3 = {0}, gb2 = {0};
    float gb3 = 0;
    for (int r = 0; r < B; r++) {
        lanes q = load(s->q[r]), z = s->d[r] * w3 * (1 - q * q);
        g3 += s->d[r] * q;
        gb2 += z;
        gb3 += s->d[r];
        store(s->dq[r], z);
    }
    store(s->g + W3, g3);
    store(s->g + B2, gb2);
    s->g[B3] = gb3;
    UNROLL
    for (int u = 0; u < 2; u++) {
        lanes rows[LANES];
        UNROLL
        for (int i = 0; i < LANES; i++) rows[i] = load(s->w + W2 + (u * LANES + i) * N2);
        transpose(rows);
        UNROLL
        for (int j = 0; j < N2; j++) store(&s->transposed[j][u * LANES], rows[j]);
    }
    for (int begin = 0; begin < N1; begin += 16) {
        lanes g[16] = {{0}};
        for (int r = 0; r < B; r++) {
            lanes dq = load(s->dq[r]);
            UNROLL
            for (int i = 0; i < 16; i++) g[i] += s->h[r][begin + i] * dq;
        }
        UNROLL
        for (int i = 0; i < 16; i++) store(s->g + W2 + (begin + i) * N2, g[i]);
    }
    lanes g1[N0][2] = {{{0}}}, gb1[2] = {{0}};
    for (int begin = 0; begin < B; begin += 8) {
        lanes z[8][2] = {{{0}}};
        UNROLL
        for (int j = 0; j < N2; j++)
            UNROLL
            for (int r = 0; r < 8; r++)
                UNROLL
                for (int u = 0; u < 2; u++)
                    z[r][u] += s->dq[begin + r][j] * load(&s->transposed[j][u * LANES]);
        UNROLL
        for (int r = 0; r < 8; r++)
            UNROLL
            for (int u = 0; u < 2; u++) {
                lanes h = load(&s->h[begin + r][u * LANES]), dz = z[r][u] * (1 - h * h);
                gb1[u] += dz;
                UNROLL
                for (int i = 0; i < N0; i++) g1[i][u] += x[(begin + r) * N0 + i] * dz;
            }
    }
    UNROLL
    for (int u = 0; u < 2; u++) {
        store(s->g + B1 + u * LANES, gb1[u]);
        UNROLL
        for (int i = 0; i < N0; i++) store(s->g + W1 + i * N1 + u * LANES, g1[i][u]);
    }
}

double train(void *state, long epochs)
{
    unsigned mode = flush_subnormals();
    struct state *s = state;
    double total = 0;
    for (long epoch = 0; epoch < epochs; epoch++) {
        total = 0;
        for (int k = 0; k < s->task.n_batches; k++) {
            const float *x = s->task.X + k * B * N0;
            forward(s, x);
            total += outputs(s, (const float *)s->task.y + k * B);
            backward(s, x);
            adam_step(&s->adam, &s->task, s->w, s->g, s->m, s->v, PADDED);
        }
    }
    restore_mode(mode);
    return total / s->task.n_batches;
}

void parameters(void *state, real *out) { memcpy(out, ((struct state *)state)->w, N * sizeof(float)); }

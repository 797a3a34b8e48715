/* 64-32-10, relu, cross-entropy, Adam, batch 32: every size literal, units in the lanes, W2 and b2 padded to 16. */
#include "lanes.h"

enum { B = 32, N0 = 64, N1 = 32, N2 = 10, W1 = 0, B1 = W1 + N0 * N1, W2 = B1 + N1, B2 = W2 + N1 * LANES,
       PADDED = B2 + LANES };

struct state {
    float w[PADDED], g[PADDED], m[PADDED], v[PADDED];
    float h[B][N1], dh[B][N1], d[B][LANES], transposed[LANES][N1];
    struct task task;
    struct adam adam;
} ALIGNED;

const char *version(void) { return "gcc " __VERSION__; }

void *start(const struct task *task)
{
    const int *n = task->sizes;
    if (sizeof(real) != 4 || task->n_layers != 2 || n[0] != N0 || n[1] != N1 || n[2] != N2 || task->batch != B ||
        task->activation != RELU || task->loss != CROSS_ENTROPY || task->optimizer != ADAM)
        return NULL;
    struct state *s = aligned_alloc(64, sizeof *s);
    memset(s, 0, sizeof *s);
    memcpy(s->w, task->weights, W2 * sizeof(float));
    for (int i = 0; i <= N1; i++) memcpy(s->w + W2 + i * LANES, task->weights + W2 + i * N2, N2 * sizeof(float));
    s->task = *task;
    s->adam = (struct adam){1, 1};
    return s;
}

INLINE void hidden(struct state *s, const float *x)
{
    for (int begin = 0; begin < B; begin += 8) {
        lanes z[8][2];
        UNROLL
        for (int r = 0; r < 8; r++)
            UNROLL
            for (int u = 0; u < 2; u++) z[r][u] = load(s->w + B1 + u * LANES);
        for (int i = 0; i < N0; i++)
            UNROLL
            for (int r = 0; r < 8; r++)
                UNROLL
                for (int u = 0; u < 2; u++) z[r][u] += x[(begin + r) * N0 + i] * load(s->w + W1 + i * N1 + u * LANES);
        UNROLL
        for (int r = 0; r < 8; r++)
            UNROLL
            for (int u = 0; u < 2; u++) store(&s->h[begin + r][u * LANES], larger(z[r][u], all(0)));
    }
}

/* The loss; its derivatives by the outputs into d.  The sums of a row's exponentials lie between 1 and 10, so
 * that the product of 32 is a number, and one logarithm is enough. */
INLINE double outputs(struct state *s, const int *y)
{
    float chosen = 0;
    double product = 1;
    for (int begin = 0; begin < B; begin += 16) {
        lanes z[LANES];
        UNROLL
        for (int r = 0; r < 16; r++) z[r] = load(s->w + B2);
        for (int i = 0; i < N1; i++) {
            lanes row = load(s->w + W2 + i * LANES);
            UNROLL
            for (int r = 0; r < 16; r++) z[r] += s->h[begin + r][i] * row;
        }
        transpose(z); /* rows in the lanes */
        lanes most = z[0], sum = {0};
        UNROLL
        for (int j = 1; j < N2; j++) most = larger(z[j], most);
        UNROLL
        for (int j = 0; j < N2; j++) z[j] -= most;
        UNROLL
        for (int r = 0; r < 16; r++) chosen += ((float *)&z[y[begin + r]])[r];
        UNROLL
        for (int j = 0; j < N2; j++) sum += z[j] = exp_lanes(z[j]);
        lanes factor = (1.0f / B) / sum;
        UNROLL
        for (int j = 0; j < N2; j++) z[j] *= factor;
        for (int j = N2; j < LANES; j++) z[j] = all(0);
        UNROLL
        for (int r = 0; r < 16; r++) product *= sum[r];
        transpose(z);
        UNROLL
        for (int r = 0; r < 16; r++) {
            store(s->d[begin + r], z[r]);
            s->d[begin + r][y[begin + r]] -= 1.0f / B;
        }
    }
    return (log(product) - chosen) / B;
}

INLINE void backward(struct state *s, const float *x)
{
    UNROLL
    for (int u = 0; u < 2; u++) {
        lanes rows[LANES];
        UNROLL
        for (int i = 0; i < LANES; i++) rows[i] = load(s->w + W2 + (u * LANES + i) * LANES);
        transpose(rows);
        UNROLL
        for (int j = 0; j < N2; j++) store(&s->transposed[j][u * LANES], rows[j]);
    }
    lanes gb1[2] = {{0}}, gb2 = {0};
    for (int begin = 0; begin < B; begin += 8) {
        lanes z[8][2] = {{{0}}};
        UNROLL
        for (int j = 0; j < N2; j++)
            UNROLL
            for (int r = 0; r < 8; r++)
                UNROLL
                for (int u = 0; u < 2; u++)
                    z[r][u] += s->d[begin + r][j] * load(&s->transposed[j][u * LANES]);
        UNROLL
        for (int r = 0; r < 8; r++) {
            gb2 += load(s->d[begin + r]);
            UNROLL
            for (int u = 0; u < 2; u++) {
                lanes dz = (lanes)((load(&s->h[begin + r][u * LANES]) > 0) & (whole)z[r][u]);
                gb1[u] += dz;
                store(&s->dh[begin + r][u * LANES], dz);
            }
        }
    }
    store(s->g + B2, gb2);
    UNROLL
    for (int u = 0; u < 2; u++) store(s->g + B1 + u * LANES, gb1[u]);
    for (int begin = 0; begin < N1; begin += 16) {
        lanes g[16] = {{0}};
        for (int r = 0; r < B; r++) {
            lanes d = load(s->d[r]);
            UNROLL
            for (int i = 0; i < 16; i++) g[i] += s->h[r][begin + i] * d;
        }
        UNROLL
        for (int i = 0; i < 16; i++) store(s->g + W2 + (begin + i) * LANES, g[i]);
    }
    UNROLL
    for (int begin = 0; begin < N0; begin += 8) {
        lanes g[8][2] = {{{0}}};
        for (int r = 0; r < B; r++)
            UNROLL
            for (int i = 0; i < 8; i++)
                UNROLL
                for (int u = 0; u < 2; u++) g[i][u] += x[r * N0 + begin + i] * load(&s->dh[r][u * LANES]);
        UNROLL
        for (int i = 0; i < 8; i++)
            UNROLL
            for (int u = 0; u < 2; u++) store(s->g + W1 + (begin + i) * N1 + u * LANES, g[i][u]);
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
            hidden(s, x);
            total += outputs(s, (const int *)s->task.y + k * B);
            backward(s, x);
            adam_step(&s->adam, &s->task, s->w, s->g, s->m, s->v, PADDED);
        }
    }
    restore_mode(mode);
    return total / s->task.n_batches;
}

void parameters(void *state, real *out)
{
    struct state *s = state;
    memcpy(out, s->w, W2 * sizeof(float));
    for (int i = 0; i <= N1; i++) memcpy(out + W2 + i * N2, s->w + W2 + i * LANES, N2 * sizeof(float));
}

/* FANN, the float32 library: gradient descent, tanh between the layers, squared errors.  A batch of one row
 * is its incremental training, a larger one its batch training. */
#include <floatfann.h>
#include <stdlib.h>
#include "task.h"

struct state {
    struct task task;
    struct fann *network;
    struct fann_train_data **batches;
};

const char *version(void) { return "2"; } /* its headers do not say more */

/* Its weights, neuron by neuron, a neuron's bias behind its weights: `get` from W1, b1, ..., or back. */
static void exchange(struct state *s, real *flat, int get)
{
    const int *sizes = s->task.sizes;
    fann_type *w = s->network->weights;
    for (int i = 0; i < s->task.n_layers; i++) {
        int in = sizes[i], out = sizes[i + 1];
        for (int j = 0; j < out; j++)
            for (int k = 0; k <= in; k++, w++) {
                real *one = flat + (long)k * out + j;
                if (get) *w = *one; else *one = *w;
            }
        flat += (in + 1L) * out;
    }
}

void *start(const struct task *task)
{
    if (task->activation != TANH || task->loss != MSE || task->optimizer != SGD) return NULL;
    struct state *s = malloc(sizeof *s);
    int n_in = task->sizes[0], n_out = task->sizes[task->n_layers];
    s->task = *task;
    s->network = fann_create_standard_array(task->n_layers + 1, (const unsigned *)task->sizes);
    fann_set_activation_function_hidden(s->network, FANN_SIGMOID_SYMMETRIC);
    fann_set_activation_function_output(s->network, FANN_LINEAR);
    fann_set_activation_steepness_hidden(s->network, 1);
    fann_set_activation_steepness_output(s->network, 1);
    fann_set_train_error_function(s->network, FANN_ERRORFUNC_LINEAR);
    fann_set_training_algorithm(s->network, task->batch == 1 ? FANN_TRAIN_INCREMENTAL : FANN_TRAIN_BATCH);
    /* its error is half the square, summed over the outputs */
    fann_set_learning_rate(s->network, (float)(task->learning_rate * 2 / n_out));
    exchange(s, (real *)task->weights, 1);
    /* rows of a set are trained on in their order: online, one set has them all */
    int online = task->batch == 1, n = online ? 1 : task->n_batches;
    int rows = online ? task->n_batches : task->batch;
    s->batches = malloc(n * sizeof *s->batches);
    for (int k = 0; k < n; k++) {
        s->batches[k] = fann_create_train(rows, n_in, n_out);
        for (int r = 0; r < rows; r++) {
            long row = (long)k * rows + r;
            for (int i = 0; i < n_in; i++) s->batches[k]->input[r][i] = task->X[row * n_in + i];
            for (int j = 0; j < n_out; j++)
                s->batches[k]->output[r][j] = ((const real *)task->y)[row * n_out + j];
        }
    }
    return s;
}

double train(void *state, long epochs)
{
    unsigned mode = flush_subnormals();
    struct state *s = state;
    int n = s->task.batch == 1 ? 1 : s->task.n_batches;
    double total = 0;
    for (long epoch = 0; epoch < epochs; epoch++) {
        total = 0;
        for (int k = 0; k < n; k++) total += fann_train_epoch(s->network, s->batches[k]);
    }
    restore_mode(mode);
    return total / n;
}

void parameters(void *state, real *out) { exchange(state, out, 0); }

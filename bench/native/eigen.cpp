// A chain of dense layers of any sizes as one writes it with Eigen: dynamic matrices, rows are
// samples, every array allocated once, all parameters in one vector, so that Adam is three
// expressions however many layers there are.
#include <Eigen/Dense>
#include <cmath>
#include <string>
#include <vector>
#include "task.h"

using Matrix = Eigen::Matrix<real, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Row = Eigen::Matrix<real, 1, Eigen::Dynamic>;
using Flat = Eigen::Array<real, Eigen::Dynamic, 1>;

struct Layer {
    Eigen::Map<Matrix> W, dW;
    Eigen::Map<Row> b, db;
    Matrix a, d;  // output, and derivative by the pre-activation
};

struct Trainer {
    task about;
    Flat w, g, m, v;
    std::vector<Layer> layers;
    Eigen::Matrix<real, Eigen::Dynamic, 1> sums;
    double power1 = 1, power2 = 1;

    explicit Trainer(const task &given) : about(given) {
        long n = 0;
        for (int i = 0; i < about.n_layers; i++) n += (about.sizes[i] + 1L) * about.sizes[i + 1];
        w = Eigen::Map<const Flat>(about.weights, n);
        g = m = v = Flat::Zero(n);
        layers.reserve(about.n_layers);
        for (long i = 0, at = 0; i < about.n_layers; i++) {
            const long in = about.sizes[i], out = about.sizes[i + 1], bias = at + in * out;
            layers.push_back({{w.data() + at, in, out}, {g.data() + at, in, out},
                              {w.data() + bias, out}, {g.data() + bias, out},
                              Matrix(about.batch, out), Matrix(about.batch, out)});
            at = bias + out;
        }
    }

    template <class Input> void forward(const Input &x, Layer &layer, bool is_last) {
        layer.a.noalias() = x * layer.W;
        layer.a.rowwise() += layer.b;
        if (is_last) return;
        if (about.activation == TANH) layer.a = layer.a.array().tanh();
        else layer.a = layer.a.array().max(real(0));
    }

    // The mean loss of batch k; its derivative by the outputs into the last d.
    double loss(int k) {
        Layer &last = layers.back();
        const long rows = about.batch, out = last.a.cols();
        if (about.loss == MSE) {
            Eigen::Map<const Matrix> y((const real *)about.y + k * rows * out, rows, out);
            last.d = last.a - y;
            const double found = last.d.squaredNorm() / (rows * out);
            last.d *= real(2) / (rows * out);
            return found;
        }
        const int *y = (const int *)about.y + k * rows;
        double found = 0;
        last.a.colwise() -= last.a.rowwise().maxCoeff().eval();
        last.d = last.a.array().exp();
        sums = last.d.rowwise().sum();
        last.d.array().colwise() *= (sums.array() * rows).inverse();
        for (long r = 0; r < rows; r++) {
            found -= last.a(r, y[r]);
            last.d(r, y[r]) -= real(1) / rows;
        }
        found += sums.array().log().sum();
        return found / rows;
    }

    template <class Input> void gradient(const Input &x, Layer &layer) {
        layer.dW.noalias() = x.transpose() * layer.d;
        layer.db = layer.d.colwise().sum();
    }

    double step(int k) {
        Eigen::Map<const Matrix> x(about.X + (long)k * about.batch * about.sizes[0], about.batch,
                                   about.sizes[0]);
        const int last = about.n_layers - 1;
        forward(x, layers[0], last == 0);
        for (int i = 1; i <= last; i++) forward(layers[i - 1].a, layers[i], i == last);
        const double found = loss(k);
        for (int i = last; i > 0; i--) {
            Layer &before = layers[i - 1];
            gradient(before.a, layers[i]);
            before.d.noalias() = layers[i].d * layers[i].W.transpose();
            if (about.activation == TANH) before.d.array() *= real(1) - before.a.array().square();
            else before.d.array() *= (before.a.array() > real(0)).template cast<real>();
        }
        gradient(x, layers[0]);
        update();
        return found;
    }

    void update() {
        const real rate = about.learning_rate, beta1 = about.beta1, beta2 = about.beta2;
        if (about.optimizer == SGD) {
            w -= rate * g;
            return;
        }
        power1 *= about.beta1;
        power2 *= about.beta2;
        const double root = std::sqrt(1 - power2);
        const real scale = about.learning_rate * root / (1 - power1), epsilon = about.epsilon * root;
        m = beta1 * m + real(1 - about.beta1) * g;
        v = beta2 * v + real(1 - about.beta2) * g.square();
        w -= scale * m / (v.sqrt() + epsilon);
    }
};

const char *version() {
    static const std::string text = std::to_string(EIGEN_WORLD_VERSION) + "." +
        std::to_string(EIGEN_MAJOR_VERSION) + "." + std::to_string(EIGEN_MINOR_VERSION);
    return text.c_str();
}

void *start(const task *about) {
    Eigen::setNbThreads(about->threads);
    return new Trainer(*about);
}

double train(void *state, long epochs) {
    unsigned mode = flush_subnormals();
    Trainer &trainer = *(Trainer *)state;
    double total = 0;
    for (long epoch = 0; epoch < epochs; epoch++) {
        total = 0;
        for (int k = 0; k < trainer.about.n_batches; k++) total += trainer.step(k);
    }
    restore_mode(mode);
    return total / trainer.about.n_batches;
}

void parameters(void *state, real *out) {
    const Flat &w = ((Trainer *)state)->w;
    Eigen::Map<Flat>(out, w.size()) = w;
}

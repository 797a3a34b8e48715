"""BatchNorm: values by hand, gradients, running statistics, what leaves them alone, PyTorch."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from support.kernels import needs_kernels
from support.network_state import digest
from support.tolerance import assert_near, depth, eps

import fastbp as fb

EXACT = {"optimizer": fb.SGD(0.0), "seed": 0}


def alone(width, backend, dtype="float64", *, norm=None, **options):
    """A network that gives what BatchNorm does, and takes no step by its gradient."""
    layers = [fb.Input(width), norm or fb.BatchNorm(0.75, epsilon=3.0)]
    layers.append(fb.Dense(width, weights=np.eye(width), use_bias=False))
    return fb.Network(layers, dtype=dtype, backend=backend, **EXACT | options)


def stack(sizes, backend, **options):
    """First of all layers, before an activation, in a residual block and in branches."""
    n, hidden, out = sizes
    around = [fb.Dense(hidden), fb.BatchNorm(scale=False), fb.Activation("tanh"), fb.Dense(hidden)]
    layers = [
        fb.Input(n), fb.BatchNorm(0.8, epsilon=0.1), fb.Dense(hidden), fb.BatchNorm(0.9),
        fb.Activation("gelu"), fb.Residual(around),
        fb.Branch([[fb.Dense(3), fb.BatchNorm(center=False)], [fb.BatchNorm()]]), fb.Dense(out),
    ]  # fmt: skip
    return fb.Network(layers, backend=backend, **{"seed": 1} | options)


def data(n, out, rows, seed=0):
    rng = np.random.default_rng(seed)
    return 3 * rng.normal(size=(rows, n)) + 1, rng.normal(size=(rows, out))


SIZES = [(5, 7, 2), (9, 20, 3), (20, 64, 3), (20, 130, 5), (1, 1, 1)]


def test_by_hand(backend, dtype):
    """The columns (1, 3), of mean 2 and variance 1, and (5, 5), of variance 0; sqrt(1 + 3) = 2."""
    net = alone(2, backend, dtype)
    x = [[1, 5], [3, 5]]
    assert net.forward(x).tolist() == [[-0.5, 0], [0.5, 0]]
    # 3/4 (0, 1) + 1/4 (mean, variance)
    assert net.parameters["batch_norm_1/moving_mean"].tolist() == [0.5, 1.25]
    assert net.parameters["batch_norm_1/moving_variance"].tolist() == [1, 0.75]
    dX = net.backward([[4, 4], [0, 0]])
    assert net.gradients["batch_norm_1/gamma"].tolist() == [-2, 0]
    assert net.gradients["batch_norm_1/beta"].tolist() == [4, 4]
    # (d - mean(d) - y mean(d y)) / 2 = (4 - 2 - (-1/2)(-1)) / 2 and its opposite; d - mean(d) by
    # sqrt(3)
    assert dX[:, 0].tolist() == [0.75, -0.75]
    assert_near(dX[:, 1], [2 / 3**0.5, -2 / 3**0.5], dtype=dtype, length=4)


def test_by_running_statistics(backend):
    """(x - 1) / sqrt(1 + 3) * 4 + 3, in every call that does not train."""
    net = alone(1, backend)
    net.set_weights([[4.0], [3.0], [1.0], [1.0], np.eye(1)])
    before = digest(net)
    x, y = np.array([[1.0], [2.0]]), [[3.0], [5.0]]
    assert net.predict(x).tolist() == net(x).tolist() == y
    assert net.predict(x[1:]).tolist() == y[1:] == [net.predictor()(x[1]).tolist()]
    assert net.evaluate(x, y)["loss"] == 0
    assert net.forward(x, training=False).tolist() == y
    assert net.backward([[1.0], [10.0]]).tolist() == [[2], [20]]  # 4 / sqrt(1 + 3)
    assert net.gradients["batch_norm_1/gamma"].tolist() == [5]  # of 0 and 1/2
    assert net.gradients["batch_norm_1/beta"].tolist() == [11]
    assert digest(net) == before
    history = net.fit(x, y, epochs=1, validation_data=(x, y), verbose=False)
    moved = net.predict(x)
    assert history.history["val_loss"] == [np.mean((moved - y) ** 2)]
    assert history.history["loss"][0] != history.history["val_loss"][0]


def test_trace_goes_by_the_batch_and_moves_nothing(backend):
    net = alone(2, backend)
    before = digest(net)
    found = net.trace([[1, 5], [3, 5]], np.zeros((2, 2)))
    assert found["batch_norm_1/a"].tolist() == [[-0.5, 0], [0.5, 0]] == found["output"].tolist()
    assert found["loss"] == 0.125
    assert not {name for name in found if "moving" in name}
    assert digest(net) == before
    layers = [fb.Input(2), fb.Dense(3), fb.BatchNorm(), fb.Activation("softmax")]
    net = fb.Network(layers, loss="cross_entropy", seed=0, backend=backend)
    out = net.trace([[1, 5], [3, 5], [0, 1]], [0, 1, 2])["output"]
    assert_near(out, net.forward([[1, 5], [3, 5], [0, 1]]), dtype="float32", length=9)


def test_the_names_in_the_order_of_keras():
    net = fb.Network([fb.Input(2), fb.BatchNorm(name="bn"), fb.Dense(1)], seed=0)
    names = ["bn/gamma", "bn/beta", "bn/moving_mean", "bn/moving_variance"]
    assert list(net.parameters)[:4] == names
    assert [w.tolist() for w in net.get_weights()[:4]] == [[1, 1], [0, 0], [0, 0], [1, 1]]
    plain = fb.BatchNorm(center=False, scale=False)
    net = fb.Network([fb.Input(2), plain, fb.Dense(1, use_bias=False)], seed=0)
    names = ["batch_norm_1/moving_mean", "batch_norm_1/moving_variance", "dense_1/kernel"]
    assert list(net.parameters) == names
    net.trace([[1, 2]], [[0]])
    assert list(net.gradients) == ["dense_1/kernel"]


def test_one_row(backend, dtype):
    """Its variance is 0: the output is beta, no gradient passes, the running variance shrinks."""
    net = alone(2, backend, dtype, norm=fb.BatchNorm(0.5))
    net.parameters["batch_norm_1/beta"][:] = 7, 8
    assert net.forward([[3, -4]]).tolist() == [[7, 8]]
    assert net.backward([[1, 2]]).tolist() == [[0, 0]]
    assert net.gradients["batch_norm_1/gamma"].tolist() == [0, 0]
    assert net.parameters["batch_norm_1/moving_variance"].tolist() == [0.5, 0.5]
    net.train_on_batch([[3, -4]], [[0, 0]])
    assert net.parameters["batch_norm_1/moving_mean"].tolist() == [2.25, -3]
    net.fit(np.ones((3, 2)), np.zeros((3, 2)), batch_size=2, epochs=2, verbose=False)  # 2 and 1


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("rows", [1, 2, 7, 40, 300])
def test_a_step_takes_the_gradient(sizes, rows, backend):
    """What trace and a difference quotient find; the running statistics move by one batch."""
    n, _, out = sizes
    x, y = data(n, out, rows)
    net = stack(sizes, backend, dtype="float64", optimizer=fb.SGD(1.0))
    before = {name: w.copy() for name, w in net.parameters.items()}
    net.trace(x, y)
    wanted = {name: g.copy() for name, g in net.gradients.items()}
    net.train_on_batch(x, y)
    length = depth([n, *sizes], rows) + 50
    for name, old in before.items():
        own = {"dtype": "float64", "length": length, "name": name}
        if name in wanted:
            size = np.abs(old).max() + np.abs(wanted[name]).max() + 4
            assert_near(net.parameters[name], old - wanted[name], magnitude=size, **own)
    mean, variance = (net.parameters[f"batch_norm_1/moving_{k}"] for k in ("mean", "variance"))
    assert_near(mean, 0.2 * x.mean(axis=0), dtype="float64", length=length, magnitude=9)
    assert_near(variance, 0.8 + 0.2 * x.var(axis=0), dtype="float64", length=length, magnitude=99)


@pytest.mark.parametrize("sizes", SIZES[:2])
@pytest.mark.parametrize("rows", [3, 20])
def test_differences(sizes, rows, backend):
    """The gradient goes through the statistics."""
    net = stack(sizes, backend)
    rng = np.random.default_rng(0)
    net.set_weights([np.abs(w + 0.2 * rng.normal(size=w.shape)) for w in net.get_weights()])
    before = digest(net)
    x, y = data(sizes[0], sizes[2], rows)
    assert net.check_gradients(x, y) < eps("float64") ** (1 / 3)
    assert digest(net) == before


def test_far_from_zero(backend):
    """A million and some noise, in float32."""
    x = np.random.default_rng(0).normal(size=(300, 64)).astype(np.float32) + np.float32(1e6)
    exact = x.astype(float) - x.astype(float).mean(axis=0)
    want = exact / np.sqrt((exact**2).mean(axis=0) + 1e-3)
    net = alone(64, backend, "float32", norm=fb.BatchNorm(0.0))
    assert_near(net.forward(x), want, dtype="float32", length=10, magnitude=9)
    variance = net.parameters["batch_norm_1/moving_variance"]
    assert_near(variance, (exact**2).mean(axis=0), dtype="float32", length=10)
    assert np.abs(net.predict(x) - want).max() < 0.1  # of a mean that is rounded to 1/16


def test_large_and_constant(backend, dtype):
    net = alone(3, backend, dtype)
    x = np.array([[1e15, 7, 0], [-1e15, 7, 0], [0, 7, 0]])
    assert np.isfinite(net.forward(x)).all() and np.isfinite(net.backward(np.ones((3, 3)))).all()
    assert net.forward(x)[:, 1:].tolist() == np.zeros((3, 2)).tolist()


def test_weights_leave_the_statistics_alone(backend):
    x, y = data(4, 1, 30)
    nets = []
    for weight in (None, np.linspace(0, 9, 30)):
        net = alone(4, backend, loss="half_sse")
        net.fit(x, np.zeros((30, 4)), sample_weight=weight, epochs=2, batch_size=30, verbose=False)
        nets.append(net)
    for name in ("mean", "variance"):
        one, other = (net.parameters[f"batch_norm_1/moving_{name}"] for net in nets)
        assert_near(one, other, dtype="float64", length=40, magnitude=9)


def test_what_leaves_the_running_statistics_alone(backend):
    """An optimizer with decay and bounds moves them as one without: only the batches do."""
    x, y = data(4, 1, 32)
    found = []
    optimizers = [
        fb.SGD(0.0), fb.SGD(0.0, momentum=0.9, clipnorm=1e-3), fb.Adam(0.0, clipvalue=1e-3),
        fb.AdamW(0.0, weight_decay=0.5, decay_bias=True, ema=0.9), fb.RMSprop(0.0),
    ]  # fmt: skip
    for optimizer in optimizers:
        net = alone(4, backend, optimizer=optimizer)
        net.fit(x, np.zeros((32, 4)), batch_size=8, epochs=2, shuffle=False, verbose=False)
        found.append(np.concatenate(net.get_weights()[2:4]).tolist())
    assert found[1:] == found[:-1]
    loss = fb.Loss("mse", with_penalties=True)
    net = alone(4, backend, loss=loss, optimizer=fb.SGD(0.0, weight_decay=0.5, decay_bias=True))
    other = alone(4, backend, loss=loss, optimizer=fb.SGD(0.0, weight_decay=0.5, decay_bias=True))
    other.parameters["batch_norm_1/moving_variance"][:] = 100
    target = np.zeros((32, 4))
    assert net.train_on_batch(x, target) == other.train_on_batch(x, target)


def test_not_trainable(backend):
    """It trains by the running statistics, and keeps all that it has."""
    x, y = data(4, 1, 32)
    norm = fb.BatchNorm(trainable=False)
    layers = [fb.Input(4), norm, fb.Dense(8), norm, fb.Activation("tanh"), fb.Dense(1)]
    net = fb.Network(layers, seed=0, backend=backend, dtype="float64", optimizer=fb.SGD(0.1))
    net.parameters["batch_norm_1/moving_mean"][:] = 1
    net.parameters["batch_norm_2/moving_variance"][:] = 4
    kept = {name: w.copy() for name, w in net.parameters.items() if "norm" in name}
    assert_near(net.forward(x), net.predict(x), dtype="float64", length=50, magnitude=4)
    assert net.check_gradients(x, y) < eps("float64") ** (1 / 3)
    first = net.fit(x, y, batch_size=8, epochs=20, verbose=False).history["loss"]
    assert first[-1] < first[0]
    for name, value in kept.items():
        assert net.parameters[name].tobytes() == value.tobytes()


def trained(backend, **options):
    x, y = data(5, 2, 60)
    net = stack((5, 7, 2), backend, **options)
    net.fit(x, y, batch_size=16, epochs=3, verbose=False)
    return net, x, y


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_goes_on_from_anywhere(suffix, tmp_path, backend):
    """A file, a copy, a pickle, a snapshot and one fit: the same to the bit."""
    options = {"optimizer": fb.Adam(0.01, ema=0.9)}
    net, x, y = trained(backend, **options)
    path = tmp_path / f"net.{suffix}"
    net.save(path)
    others = [fb.Network.load(path, backend=backend), net.copy(), pickle.loads(pickle.dumps(net))]
    for one in (net, *others):
        one.fit(x, y, batch_size=16, epochs=2, verbose=False)
    whole = stack((5, 7, 2), backend, **options)
    whole.fit(x, y, batch_size=16, epochs=5, verbose=False)
    assert {digest(one) for one in (net, *others)} == {digest(whole)}
    assert others[0].predict(x).tobytes() == whole.predict(x).tobytes()
    average = net.get_weights(ema=True)
    assert average[2].tolist() != net.get_weights()[2].tolist()
    assert np.isfinite(net.predict(x, ema=True)).all() and average[3].min() > 0


def test_weights_go_from_one_to_another(backend):
    net, x, y = trained(backend)
    other = stack((5, 7, 2), backend, seed=5)
    other.set_weights(net.get_weights())
    assert other.predict(x).tobytes() == net.predict(x).tobytes()
    third = stack((5, 7, 2), backend, seed=5)
    third.update_from(net)
    assert third.predict(x).tobytes() == net.predict(x).tobytes()
    net.reset()
    assert net.parameters["batch_norm_1/moving_mean"].tolist() == [0] * 5


def test_early_stopping_restores(backend):
    net, x, y = trained(backend)
    seen = {}

    class Keep(fb.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen[logs["val_loss"]] = self.model.predict(x).tobytes()

    stop = fb.EarlyStopping(patience=2, restore_best_weights=True)
    history = net.fit(
        x, y, batch_size=16, epochs=30, validation_data=(x[:9], y[:9] * 3), verbose=False,
        callbacks=[stop, Keep()],
    )  # fmt: skip
    best = min(history.history["val_loss"])
    assert net.predict(x).tobytes() == seen[best]


def test_a_divergence_leaves_the_last_good_epoch(backend):
    net, x, y = trained(backend, optimizer=fb.SGD(0.01))
    before = digest(net)
    bad = x.copy()
    bad[40] = 1e30  # whose square no float32 holds
    with pytest.raises(fb.DivergenceError, match="parameters unchanged"):
        net.train_on_batch(bad, y)
    assert digest(net) == before
    with pytest.raises(fb.DivergenceError, match="batch 3"):
        net.fit(bad, y, shuffle=False, batch_size=16, epochs=2, verbose=False)
    assert digest(net) == before


def test_parts_of_a_step_are_the_step(backend):
    """forward moves the running statistics, step does the rest."""
    x, y = data(5, 2, 20)
    options = {"dtype": "float64", "loss": "half_sse", "optimizer": fb.SGD(0.1)}
    nets = [stack((5, 7, 2), backend, **options) for _ in range(2)]
    for _ in range(3):
        out = nets[0].forward(x)
        nets[0].backward((out - y) / 20)
        nets[0].step()
        nets[1].train_on_batch(x, y)
    for one, other in zip(*(net.get_weights() for net in nets), strict=True):
        assert_near(one, other, dtype="float64", length=5000, magnitude=np.abs(other).max() + 1)
    nets[0].forward(x)
    nets[0].backward(y)
    total = {name: g.copy() for name, g in nets[0].gradients.items()}
    nets[0].forward(x)
    nets[0].backward(y, accumulate=True)
    for name, g in nets[0].gradients.items():
        assert_near(g, 2 * total[name], dtype="float64", length=1)


@needs_kernels
@pytest.mark.parametrize("sizes", SIZES)
def test_threads(sizes, dtype):
    n, _, out = sizes
    x, y = data(n, out, 700)
    found = set()
    for n_threads in (1, 2, 3):
        net = stack(sizes, "cython", dtype=dtype)
        net.fit(x, y, epochs=2, batch_size=290, n_threads=n_threads, verbose=False)
        found.add(digest(net) + str(net.history.history["loss"]))
    assert len(found) == 1


def test_description(tmp_path, capsys):
    net, x, _ = trained("numpy")
    assert [type(layer).__name__ for layer in net.layers[1:4]] == [
        "BatchNorm",
        "Dense",
        "BatchNorm",
    ]
    assert repr(net.layers[1]).startswith("BatchNorm(momentum=0.8, epsilon=0.1, center=True")
    net.summary()
    text = capsys.readouterr().out
    assert "batch_norm_1" in text and "(58 of them running statistics)" in text
    assert "5-bn-7-bn-gelu-" in repr(net)
    plan = net.plan(16)
    assert plan.regime == "staged" and "statistics of all its rows" in repr(plan)


def test_columns_of_different_size_need_no_warning(recwarn):
    x, y = data(3, 1, 40)
    net = fb.Network([fb.Input(3), fb.BatchNorm(), fb.Dense(1)], seed=0)
    net.fit(x * [1, 1e4, 1e-4], y, epochs=1, verbose=False)
    assert not recwarn.list


def test_learns(backend):
    """Columns far from zero, of very different size, through a deep network."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(600, 4))
    x = z * [1, 100, 1e4, 1e-3] + [5, -1000, 1e5, 2]
    hidden = [part for _ in range(3) for part in
              (fb.Dense(16), fb.BatchNorm(0.9), fb.Activation("relu"))]  # fmt: skip
    net = fb.Network([fb.Input(4), fb.BatchNorm(0.9), *hidden, fb.Dense(1)], seed=0,
                     loss="binary_cross_entropy", optimizer=fb.Adam(0.01), metrics=["accuracy"],
                     backend=backend)  # fmt: skip
    y = z[:, 0] * z[:, 1] + z[:, 2] > z[:, 3]
    net.fit(x, y, epochs=40, batch_size=32, verbose=False)
    assert net.evaluate(x, y)["accuracy"] > 0.9


@pytest.mark.parametrize("rows", [2, 30])
def test_against_pytorch(rows, backend):
    """Steps with momentum, running statistics included, and a prediction after them."""
    torch = pytest.importorskip("torch")
    layers = [
        fb.Input(6),
        fb.Dense(9),
        fb.BatchNorm(0.9, epsilon=1e-2),
        fb.Activation("tanh"),
        fb.Dense(2),
    ]
    net = fb.Network(layers, dtype="float64", seed=0, backend=backend,
                     optimizer=fb.SGD(0.1, momentum=0.9))  # fmt: skip
    norm = torch.nn.BatchNorm1d(9, eps=1e-2, momentum=0.1)
    first, last = torch.nn.Linear(6, 9), torch.nn.Linear(9, 2)
    peer = torch.nn.Sequential(first, norm, torch.nn.Tanh(), last).double()
    with torch.no_grad():
        for own, name in ((first, "dense_1"), (last, "dense_2")):
            own.weight[:] = torch.tensor(net.parameters[f"{name}/kernel"].T.copy())
            own.bias[:] = torch.tensor(net.parameters[f"{name}/bias"])
    trainer = torch.optim.SGD(peer.parameters(), lr=0.1, momentum=0.9)
    for step in range(8):
        x, y = data(6, 2, rows, seed=step)
        trainer.zero_grad()
        loss = torch.nn.functional.mse_loss(peer(torch.tensor(x)), torch.tensor(y))
        loss.backward()
        trainer.step()
        got = net.train_on_batch(x, y)
        assert_near(got, loss.item(), dtype="float64", length=9000, magnitude=9)
    own = {"dtype": "float64", "length": 9000, "magnitude": 9}
    assert_near(net.parameters["batch_norm_1/gamma"], norm.weight.detach().numpy(), **own)
    assert_near(net.parameters["batch_norm_1/beta"], norm.bias.detach().numpy(), **own)
    mean, variance = (net.parameters[f"batch_norm_1/moving_{k}"] for k in ("mean", "variance"))
    assert_near(mean, norm.running_mean.numpy(), **own)
    stays = 0.9**8  # of the first, 1; PyTorch's share of batches is n / (n - 1) times as large
    theirs = stays + (norm.running_var.numpy() - stays) * (rows - 1) / rows
    assert_near(variance, theirs, **own)
    with torch.no_grad():
        norm.running_var[:] = torch.tensor(theirs)
        want = peer.eval()(torch.tensor(x)).numpy()
    assert_near(net.predict(x), want, **own)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: fb.BatchNorm(1), ValueError, "BatchNorm momentum must be in [0, 1), got 1"),
        (lambda: fb.BatchNorm("0.9"), TypeError, "BatchNorm momentum must be a number"),
        (lambda: fb.BatchNorm(epsilon=0), ValueError,
         "BatchNorm epsilon must be finite and > 0, got 0"),
        (lambda: fb.BatchNorm(center=1), TypeError, "center must be True or False, got 1"),
        (lambda: fb.BatchNorm(scale=None), TypeError, "scale must be True or False, got None"),
        (lambda: fb.BatchNorm(trainable="no"), TypeError, "trainable must be True or False"),
        (lambda: fb.BatchNorm(name="a/b"), ValueError,
         "name of BatchNorm must not be empty or contain '/', got 'a/b'"),
        (lambda: fb.Network([fb.Input(2), fb.BatchNorm]), TypeError, "got <class"),
    ],
)  # fmt: skip
def test_bad_layer(make, error, text):
    with pytest.raises(error) as raised:
        make()
    assert text in str(raised.value)


def test_a_negative_variance_is_refused(tmp_path):
    net = fb.Network([fb.Input(2), fb.BatchNorm(), fb.Dense(1)], seed=0)
    before, text = digest(net), r"batch_norm_1/moving_variance must be >= 0, got -2 at \[1\]"
    weights = net.get_weights()
    weights[3] = np.array([1.0, -2.0])
    for given in (weights, [w.tolist() for w in weights]):
        with pytest.raises(ValueError, match=text):
            net.set_weights(given)
    assert digest(net) == before
    net.parameters["batch_norm_1/moving_variance"][1] = -2
    net.save(tmp_path / "net.npz")
    with pytest.raises(fb.ModelFormatError, match=text):
        fb.Network.load(tmp_path / "net.npz")

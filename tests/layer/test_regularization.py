"""Dropout and noise: what is drawn, when, and that only seed, step, layer and row decide it."""

from __future__ import annotations

import numpy as np
import pytest
from support import oracle
from support.kernels import needs_kernels
from support.network_state import digest
from support.tolerance import assert_near, assert_rounded, depth, difference_bound, eps
from test_random import philox

import fastbp as fb
from fastbp import random


def words(seed, step, layer, row, n_rows, n):
    """By the paper's formulas: the words of elements row * n + column, in groups of 32 counters."""
    found = []
    for element in range(row * n, (row + n_rows) * n):
        group, at = divmod(element, 128)
        counter = 32 * group + at % 32, step % 2**32, 6 + 256 * layer, step >> 32
        found.append(philox((seed % 2**32, seed >> 32), counter, 32)[at // 32])
    return np.array(found).reshape(n_rows, n)


def mask(rate, *place):
    return np.where(words(*place) >= round(rate * 2**32), 1 / (1 - rate), 0)


def seen(layer, X, backend, dtype="float64", seed=0, **options):
    """What a network with the layer alone hands on in training."""
    layers = [fb.Input(X.shape[1]), layer, fb.Dense(X.shape[1], weights=np.eye(X.shape[1]))]
    net = fb.Network(layers, seed=seed, dtype=dtype, backend=backend, **options)
    return net, net.forward(X)


@pytest.mark.parametrize(("seed", "n"), [(0, 1), (7, 5), (2**64 - 1, 33), (12345, 130)])
def test_masks_are_those_of_the_paper(seed, n, backend, dtype):
    net, out = seen(fb.Dropout(0.3), np.ones((9, n)), backend, dtype, seed)
    assert out.tolist() == mask(0.3, seed, 0, 0, 0, 9, n).astype(dtype).tolist()
    want = random.dropout((9, n), 0.3, seed=seed, step=0, row=0, layer=0)
    assert out.tolist() == want.astype(dtype).tolist()


def test_words_of_later_steps_rows_and_layers():
    place = {"seed": 3, "step": 2**33 + 5, "row": 77, "layer": 4}
    found = random.dropout((5, 7), 0.5, **place)
    assert found.tolist() == mask(0.5, 3, 2**33 + 5, 4, 77, 5, 7).tolist()
    noise = random.layer_noise((5, 7), **place)
    whole = random.layer_noise((82, 7), **place | {"row": 0})
    assert noise.tolist() == whole[77:].tolist()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_fairness(rate, backend):
    """Shares and pairs of neighbours (in a row, of rows, of steps) within 5 standard deviations."""
    net, first = seen(fb.Dropout(rate), np.ones((300, 100)), backend, optimizer=fb.SGD(0.0))
    net.train_on_batch(np.ones((1, 100)), np.ones((1, 100)))
    kept = np.stack([first, net.forward(np.ones((300, 100)))]) > 0
    deviation = np.sqrt(rate * (1 - rate) / kept.size)
    assert abs(kept.mean() - (1 - rate)) < 5 * deviation
    part = kept - kept.mean()
    for near in (part[..., 1:] * part[..., :-1], part[:, 1:] * part[:, :-1], part[0] * part[1]):
        assert abs(near.mean()) < 5 * rate * (1 - rate) / np.sqrt(near.size)
    assert abs(kept.mean(axis=(0, 1)) - (1 - rate)).max() < 5 * deviation * 10


def test_noise_is_normal(backend, dtype):
    _, out = seen(fb.GaussianNoise(2.0), np.zeros((400, 100)), backend, dtype)
    z = np.sort(out.ravel() / 2)
    assert abs(z.mean()) < 5 / 200 and abs(z.var() - 1) < 5 * np.sqrt(2) / 200
    cdf = np.array([oracle.normal_cdf(np.array([v]))[0] for v in z[::97]])
    assert np.abs(cdf - np.arange(z.size)[::97] / z.size).max() < 1.95 / np.sqrt(z.size)
    assert np.abs(z).max() < 6.7 and np.abs(z).max() > 3.5


def test_noise_of_both_backends(dtype):
    X = np.random.default_rng(0).normal(size=(70, 31))
    one, other = (seen(fb.GaussianNoise(0.5), X, own, dtype, 9)[1] for own in ("cython", "numpy"))
    assert_near(one, other, dtype=dtype, length=40, magnitude=4)
    want = X + 0.5 * random.layer_noise((70, 31), seed=9, step=0, row=0, layer=0)
    assert_near(one, want, dtype=dtype, length=40, magnitude=4)


def dropping(backend, **options):
    """Dropout of inputs and of hidden units, noise, and a branch that has its own."""
    branch = fb.Branch([[fb.Dropout(0.3), fb.Dense(5, "tanh")], [fb.GaussianNoise(0.2)]])
    layers = [fb.Input(4), fb.Dropout(0.1), fb.Dense(6, "tanh"), fb.Dropout(0.5), branch]
    layers += [fb.Residual([fb.Dense(11), fb.Dropout(0.2)]), fb.Dense(2)]
    return fb.Network(layers, seed=4, backend=backend, **options)


def plain(net):
    """The same network without what acts in training alone."""
    layers = [fb.Input(4), fb.Dense(6, "tanh"), fb.Branch([[fb.Dense(5, "tanh")], []])]
    layers += [fb.Residual([fb.Dense(11)]), fb.Dense(2)]
    other = fb.Network(layers, seed=0, dtype=net.dtype, backend=net.backend)
    other.set_weights(net.get_weights())
    return other


X, Y = np.random.default_rng(5).normal(size=(2, 40, 4))
Y = Y[:, :2]


def test_nothing_is_random_outside_of_training(backend, dtype):
    net = dropping(backend, dtype=dtype)
    net.fit(X, Y, epochs=2, batch_size=8, verbose=False)
    other = plain(net)
    assert net.predict(X).tobytes() == other.predict(X).tobytes() == net(X).tobytes()
    assert net.evaluate(X, Y) == other.evaluate(X, Y)
    traced, expected = net.trace(X, Y), other.trace(X, Y)
    assert traced.keys() == expected.keys()
    assert all(np.array_equal(traced[name], expected[name]) for name in traced)
    calm = net.forward(X, training=False)
    assert_near(calm, other.forward(X), dtype=dtype, length=100, magnitude=np.abs(calm).max())
    assert np.abs(net.forward(X) - calm).max() > 0.01
    assert net.check_gradients(X[:3], Y[:3]) < eps("float64") ** (1 / 3)


def test_validation_is_not_random(backend):
    net = dropping(backend)
    history = net.fit(X, Y, epochs=3, validation_data=(X, Y), verbose=False).history
    assert_rounded(
        history["val_loss"][-1], net.evaluate(X, Y)["loss"], dtype="float32", roundings=16
    )
    assert abs(history["loss"][-1] - history["val_loss"][-1]) > 1e-3


def test_gradients_are_those_of_the_step_s_own_masks(backend):
    """A difference quotient of `forward`, whose masks stay those of the step until it is taken."""
    net = dropping(backend, dtype="float64", optimizer=fb.SGD(1.0))
    loss = lambda: float(np.mean((net.forward(X) - Y) ** 2))  # noqa: E731
    before = [w.copy() for w in net.get_weights()]
    names, h = list(net.parameters), 1e-6
    wanted = []
    for name in names:
        view = net.parameters[name]
        place = tuple(n // 2 for n in view.shape)
        kept, values = view[place], []
        for value in (kept + h, kept - h):
            view[place] = value
            values.append(loss())
        view[place] = kept
        wanted.append((values[0] - values[1]) / (2 * h))
    value = loss()
    assert_rounded(net.train_on_batch(X, Y), value, dtype="float64", roundings=256)
    for name, old, want in zip(names, before, wanted, strict=True):
        place = tuple(n // 2 for n in old.shape)
        error = abs(old[place] - net.parameters[name][place] - want)
        assert error < difference_bound(h, order=2, value=value)
    assert float(np.mean((net.forward(X) - Y) ** 2)) != value  # the next step draws anew


@pytest.mark.parametrize(("sizes", "rows"), [((5, 7), 3), ((9, 20), 40), ((20, 64), 40),
                                             ((20, 130), 40), ((40, 200), 300)])  # fmt: skip
def test_a_step_against_the_oracle(sizes, rows, backend):
    """Each regime, with masks by the formulas of the paper: SGD at rate 1 takes the gradient."""
    n, hidden = sizes
    layers = [fb.Input(n), fb.Dropout(0.25), fb.Dense(hidden, "tanh"), fb.Dropout(0.5), fb.Dense(2)]
    options = {"loss": fb.Loss("half_sse"), "dtype": "float64", "optimizer": fb.SGD(1.0)}
    net = fb.Network(layers, seed=11, backend=backend, **options)
    rng = np.random.default_rng(rows)
    x, y = rng.normal(size=(rows, n)), rng.normal(size=(rows, 2))
    w1, b1, w2, b2 = (w.copy() for w in net.get_weights())
    first = random.dropout((rows, n), 0.25, seed=11, step=0, row=0, layer=0)
    second = random.dropout((rows, hidden), 0.5, seed=11, step=0, row=0, layer=1)
    a = np.tanh((x * first) @ w1 + b1)
    e = (a * second @ w2 + b2 - y) / rows
    d = (e @ w2.T) * second * (1 - a * a)
    wanted = [(x * first).T @ d, d.sum(axis=0), (a * second).T @ e, e.sum(axis=0)]
    loss = net.train_on_batch(x, y)
    assert_near(loss, (e * e).sum() * rows / 2, dtype="float64", length=depth([n, hidden], rows))
    for old, new, want in zip((w1, b1, w2, b2), net.get_weights(), wanted, strict=True):
        length, size = depth([n, hidden], rows), np.abs(old) + np.abs(want).max() + 1
        assert_near(new, old - want, dtype="float64", length=length, magnitude=size)


def test_a_run_goes_on_from_a_file_to_the_bit(backend, tmp_path):
    whole, halves = dropping(backend), dropping(backend)
    losses = whole.fit(X, Y, epochs=4, batch_size=7, verbose=False).history["loss"]
    first = halves.fit(X, Y, epochs=2, batch_size=7, verbose=False).history["loss"]
    halves.save(tmp_path / "net.fbp")
    again = fb.Network.load(tmp_path / "net.fbp", backend=backend)
    second = again.fit(X, Y, epochs=2, batch_size=7, verbose=False).history["loss"]
    assert losses == first + second and digest(whole) == digest(again)


def test_ways_of_training_draw_alike(backend):
    """`fit`, in one call and part by part, `train_steps` and `train_on_batch`, step by step."""
    options = {"batch_size": 8, "shuffle": False}
    nets = [dropping(backend) for _ in range(4)]
    nets[0].fit(X, Y, epochs=2, verbose=False, **options)
    nets[1].train_steps(X, Y, steps=10, **options)
    for i in range(10):
        nets[2].train_on_batch(X[i % 5 * 8 :][:8], Y[i % 5 * 8 :][:8])
    watch = fb.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    nets[3].fit(X, Y, epochs=2, verbose=False, callbacks=[watch], **options)
    assert len({b"".join(w.tobytes() for w in net.get_weights()) for net in nets}) == 1


def test_batches_for_one_step_draw_as_one(backend):
    """forward and backward of two halves: the masks of one batch of all rows."""
    halves, whole = dropping(backend, dtype="float64"), dropping(backend, dtype="float64")
    out = [halves.forward(X[:15])]
    halves.backward(out[0])
    out.append(halves.forward(X[15:]))
    halves.backward(out[1], accumulate=True)
    together = whole.forward(X)
    assert_near(np.vstack(out), together, dtype="float64", length=50, magnitude=9)
    whole.backward(together)
    for name, gradient in whole.gradients.items():
        size = np.abs(gradient).max() + 1
        assert_near(halves.gradients[name], gradient, dtype="float64", length=99, magnitude=size)
    halves.step()
    whole.step()
    assert_near(halves.forward(X), whole.forward(X), dtype="float64", length=99, magnitude=9)


@needs_kernels
@pytest.mark.parametrize("sizes", [(5, 7), (20, 64), (20, 130)])
def test_threads_and_batch_parts(sizes, dtype):
    """Masks and noise do not depend on who draws them, or with which rows."""
    n, hidden = sizes
    x, y = np.random.default_rng(1).normal(size=(2, 300, n))
    found = set()
    for n_threads in (1, 2, 3):
        layers = [fb.Input(n), fb.Dropout(0.2), fb.Dense(hidden, "gelu"), fb.GaussianNoise(0.1)]
        net = fb.Network([*layers, fb.Dropout(0.5), fb.Dense(n)], seed=3, dtype=dtype)
        net.fit(x, y, epochs=2, batch_size=130, n_threads=n_threads, verbose=False)
        found.add(digest(net))
    assert len(found) == 1


def test_no_rate_is_no_layer():
    layers = [fb.Input(3), fb.Dropout(0), fb.Dense(4, "relu"), fb.GaussianNoise(0.0), fb.Dense(1)]
    net, other = fb.Network(layers, seed=0), fb.Network([3, 4, 1], seed=0)
    for one in (net, other):
        one.fit(X[:, :3], Y[:, :1], epochs=2, verbose=False)
    assert digest(net) == digest(other)
    assert net._state.architecture.of("predict") is net._state.graph


def test_reset_draws_the_same_again(backend):
    net = dropping(backend)
    found = []
    for _ in range(2):
        net.fit(X, Y, epochs=1, batch_size=8, verbose=False)
        found.append(digest(net))
        net.reset()
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: fb.Dropout(1), ValueError, "Dropout rate must be in [0, 1), got 1"),
        (lambda: fb.Dropout(-0.1), ValueError, "Dropout rate must be in [0, 1), got -0.1"),
        (lambda: fb.Dropout("half"), TypeError, "Dropout rate must be a number"),
        (lambda: fb.Dropout(True), TypeError, "Dropout rate must be a number"),
        (lambda: fb.GaussianNoise(-1), ValueError, "GaussianNoise stddev must be finite and >= 0"),
        (lambda: fb.Network([fb.Input(2), fb.Dense(2), fb.Dropout(0.5)]), ValueError,
         "Dropout and GaussianNoise need a layer after them: they change no output"),
        (lambda: fb.Network([2, 1]).forward([[1, 2]], training="yes"), TypeError,
         "training must be True or False, got 'yes'"),
    ],
)  # fmt: skip
def test_bad_input(make, error, text):
    with pytest.raises(error) as raised:
        make()
    assert text in str(raised.value)

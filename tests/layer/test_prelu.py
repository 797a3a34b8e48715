"""PReLU: values by hand, gradients in every regime, bits, PyTorch; and log_softmax beside it."""

from __future__ import annotations

import numpy as np
import pytest
from support import oracle
from support.kernels import needs_kernels
from support.network_state import digest
from support.refusal import refuses
from support.tolerance import assert_near, assert_same_training, depth, eps

import fastbp as fb


def alone(width, backend, dtype="float64", **options):
    """A network that gives what PReLU does."""
    layers = [fb.Input(width), fb.PReLU(**options), fb.Dense(width, weights=np.eye(width))]
    return fb.Network(layers, dtype=dtype, backend=backend, seed=0)


def test_by_hand(backend):
    net = alone(2, backend)
    assert net.predict([[2, -4], [-1, 0]]).tolist() == [[2, -1], [-0.25, 0]]
    net.set_weights([[0.5, -1.0], np.eye(2), [0, 0]])
    assert net.predict([[2, -4], [-1, 0]]).tolist() == [[2, 4], [-0.5, 0]]
    net.forward([[2, -4], [-1, 0]])
    dX = net.backward([[1.0, 3.0], [5.0, 7.0]])
    assert dX.tolist() == [[1, -3], [2.5, -7]]  # the slope at 0 is alpha
    assert net.gradients["prelu_1/alpha"].tolist() == [-5, -12]


def stack(sizes, backend, **options):
    n, hidden, out = sizes
    layers = [fb.Input(n), fb.PReLU(0.1), fb.Dense(hidden), fb.PReLU(), fb.Activation("tanh")]
    layers += [fb.Residual([fb.PReLU(), fb.Dense(hidden, "tanh")]), fb.Dense(hidden)]
    return fb.Network([*layers, fb.PReLU(), fb.Dense(out)], backend=backend, seed=1, **options)


SIZES = [(5, 7, 2), (9, 20, 3), (20, 64, 3), (20, 130, 5), (3, 9, 1)]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("rows", [1, 7, 40, 300])
def test_a_step_takes_the_gradient(sizes, rows, backend):
    """Each regime sums what trace and the oracle find."""
    n, _, out = sizes
    rng = np.random.default_rng(rows)
    x, y = rng.normal(size=(rows, n)), rng.normal(size=(rows, out))
    net = stack(sizes, backend, dtype="float64", optimizer=fb.SGD(1.0))
    net.set_weights([w + 0.2 * rng.normal(size=w.shape) for w in net.get_weights()])
    net.trace(x, y)
    before, wanted = [w.copy() for w in net.get_weights()], dict(net.gradients)
    exact = oracle.gradient(net.layers, fb.Loss("mse"), before, x, y)[2].gradients
    net.train_on_batch(x, y)
    length = depth([n, *sizes], rows) + 50
    for old, new, (name, want), other in zip(
        before, net.get_weights(), wanted.items(), exact, strict=True
    ):
        size = np.abs(old).max() + np.abs(want).max() + 4
        assert_near(new, old - want, dtype="float64", length=length, magnitude=size, name=name)
        assert_near(want, other, dtype="float64", length=length, magnitude=size, name=name)


@pytest.mark.parametrize("sizes", SIZES[:2])
def test_differences(sizes, backend):
    rng = np.random.default_rng(0)
    net = stack(sizes, backend)
    x, y = rng.normal(size=(6, sizes[0])), rng.normal(size=(6, sizes[2]))
    assert net.check_gradients(x, y) < eps("float64") ** (1 / 3)


@pytest.mark.parametrize("width", [1, 3, 8, 15, 16, 17, 33, 100])
@pytest.mark.parametrize("rows", [1, 5, 40])
def test_widths(width, rows, backend, dtype):
    rng = np.random.default_rng(width)
    x, d = (rng.normal(size=(rows, width)).astype(dtype) for _ in range(2))
    net = alone(width, backend, dtype)
    assert_near(net.forward(x), np.where(x > 0, x, 0.25 * x), dtype=dtype, length=width)
    dX = net.backward(d)
    assert_near(dX, np.where(x > 0, d, 0.25 * d), dtype=dtype, length=width)
    terms = (d * np.minimum(x, 0)).astype(np.float64)
    assert_near(net.gradients["prelu_1/alpha"], terms.sum(axis=0), dtype=dtype, length=rows + width,
                magnitude=np.abs(terms).sum(axis=0) + 1)  # fmt: skip


@needs_kernels
@pytest.mark.parametrize("sizes", SIZES)
def test_threads(sizes, dtype):
    n, _, out = sizes
    x, y = np.random.default_rng(0).normal(size=(300, n)), np.zeros((300, out))
    found = set()
    for n_threads in (1, 2, 3):
        net = stack(sizes, "cython", dtype=dtype)
        net.fit(x, y, epochs=2, batch_size=130, n_threads=n_threads, verbose=False)
        found.add(digest(net))
    assert len(found) == 1


def test_as_torch_does(backend):
    torch = pytest.importorskip("torch")
    layers = [torch.nn.PReLU(5, init=0.1), torch.nn.Linear(5, 7), torch.nn.PReLU(7)]
    other = torch.nn.Sequential(*layers).double()
    own = fb.Network(
        [fb.Input(5), fb.PReLU(0.1), fb.Dense(7), fb.PReLU()], dtype="float64", seed=0,
        optimizer=fb.SGD(0.1), backend=backend,
    )  # fmt: skip
    with torch.no_grad():
        for tensor, value in zip(other.parameters(), own.get_weights(), strict=True):
            tensor.copy_(torch.tensor(value.T))
    optimizer = torch.optim.SGD(other.parameters(), 0.1)
    x, y = np.random.default_rng(0).normal(size=(9, 5)), np.ones((9, 7))
    x[0] = 0  # where slopes jump
    for _ in range(3):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(other(torch.tensor(x)), torch.tensor(y)).backward()
        optimizer.step()
        own.train_on_batch(x, y)
    for tensor, value in zip(other.parameters(), own.get_weights(), strict=True):
        assert_same_training(value, tensor.detach().numpy().T, dtype="float64")


def test_what_trains(backend, tmp_path):
    x, y = np.random.default_rng(0).normal(size=(2, 40, 4))
    for trainable in (True, False):
        layer = fb.PReLU(0.5, trainable=trainable, name="bend")
        net = fb.Network([fb.Input(4), layer, fb.Dense(4)], seed=0, backend=backend)
        net.fit(x, y, epochs=2, verbose=False)
        assert (net.parameters["bend/alpha"] != 0.5).any() == trainable
    options = {"optimizer": fb.AdamW(0.1, weight_decay=0.5), "backend": backend}
    zeros = fb.Dense(1, weights=np.zeros((4, 1)))
    net = fb.Network([fb.Input(4), fb.PReLU(), zeros], **options)
    net.train_on_batch(x, np.zeros((40, 1)))  # no gradient but the bias's
    assert net.parameters["prelu_1/alpha"].tolist() == [0.25] * 4
    net.save(tmp_path / "net.npz")
    again = fb.Network.load(tmp_path / "net.npz", backend=backend)
    assert again.layers[1] == net.layers[1] and (again.predict(x) == net.predict(x)).all()


def test_starts_as_before_a_leaky_relu():
    one = fb.Network([fb.Input(4), fb.Dense(8), fb.PReLU(), fb.Dense(1)], seed=0)
    other = fb.Network([fb.Input(4), fb.Dense(8, "leaky_relu"), fb.Dense(1)], seed=0)
    assert one.layers[1].kernel_initializer == other.layers[1].kernel_initializer


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"alpha": "0.25"}, TypeError, "PReLU alpha must be a number, finite, got '0.25'"),
        ({"alpha": np.nan}, ValueError, "PReLU alpha must be finite, got nan"),
        ({"trainable": 1}, TypeError, "trainable must be True or False, got 1"),
    ],
)
def test_refuses(given, error, text):
    with refuses(error, text):
        fb.PReLU(**given)


# ---- log_softmax --------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 3, 16, 17, 40, 200])
def test_log_softmax(width, backend, dtype):
    """As an output and behind one; far from 0, where exp alone would overflow."""
    rng = np.random.default_rng(width)
    x = (10 * rng.normal(size=(9, width))).astype(dtype)
    x[1] += 1000
    x[2] = -3000
    layers = [fb.Input(width), fb.Activation("log_softmax"), fb.Dense(width, weights=np.eye(width))]
    net = fb.Network(layers, dtype=dtype, backend=backend)
    exact = x.astype(np.float64)
    exact -= exact.max(axis=1, keepdims=True)
    exact -= np.log(np.exp(exact).sum(axis=1, keepdims=True))
    size = np.abs(exact) + np.abs(x).max(axis=1, keepdims=True) + 1
    found = net.forward(x)
    assert_near(found, exact, dtype=dtype, length=width, magnitude=size)
    d = rng.normal(size=x.shape)
    want = d - np.exp(exact) * d.sum(axis=1, keepdims=True)
    size = np.abs(d) + np.exp(exact) * np.abs(d).sum(axis=1, keepdims=True) * np.abs(x).max()
    assert_near(net.backward(d), want, dtype=dtype, length=2 * width, magnitude=size + 1)


def test_log_softmax_in_training(backend):
    rng = np.random.default_rng(0)
    net = fb.Network(
        [fb.Input(4), fb.Dense(7, "log_softmax"), fb.Dense(3, "log_softmax")],
        loss="mse", dtype="float64", seed=0, backend=backend,
    )  # fmt: skip
    x, y = rng.normal(size=(20, 4)), rng.normal(size=(20, 3))
    assert net.check_gradients(x, y) < eps("float64") ** (1 / 3)
    alone = np.concatenate([net.predict(row[None]) for row in x])
    if backend == "cython":
        assert (alone == net.predict(x)).all()
    history = net.fit(x, y, epochs=200, verbose=False)
    assert history["loss"][-1] < history["loss"][0]

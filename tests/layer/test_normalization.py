"""LayerNorm: values by hand, gradients, sizes around registers, PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from support.kernels import needs_kernels
from support.network_state import digest
from support.tolerance import assert_near, depth, eps

import fastbp as fb


def alone(width, backend, dtype="float64", epsilon=1e-3, **options):
    """A network that gives what LayerNorm does."""
    norm = fb.LayerNorm(epsilon)
    layers = [fb.Input(width), norm, fb.Dense(width, weights=np.eye(width), use_bias=False)]
    return fb.Network(layers, dtype=dtype, backend=backend, seed=0, **options)


def test_by_hand(backend):
    """The rows (1, 3), of mean 2 and variance 1, and (5, 5), of variance 0."""
    net = alone(2, backend, epsilon=3.0)  # sqrt(1 + 3) = 2
    assert net.predict([[1, 3], [5, 5]]).tolist() == [[-0.5, 0.5], [0, 0]]
    net.set_weights([[4.0, 2.0], [1.0, -1.0], np.eye(2)])
    assert net.predict([[1, 3], [5, 5]]).tolist() == [[-1, 0], [1, -1]]
    # by gamma: xhat; by beta: 1; by x, of 4 xhat_0 alone: 4 / 2 (1 - 1/2 - xhat_0^2 / 2 ...)
    net.forward([[1, 3]])
    dX = net.backward([[1.0, 0.0]])
    assert net.gradients["layer_norm_1/gamma"].tolist() == [-0.5, 0]
    assert net.gradients["layer_norm_1/beta"].tolist() == [1, 0]
    # xhat_0 = (x_0 - x_1) / 2 / sqrt((x_0 - x_1)^2 / 4 + 3): its slope is 3 / (2 * 8)
    assert dX.tolist() == [[0.75, -0.75]]


@pytest.mark.parametrize("width", [2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 1024])
@pytest.mark.parametrize("rows", [1, 5, 40])
def test_widths(width, rows, backend, dtype):
    """Output, and the gradient by x from the projection that it is."""
    rng = np.random.default_rng(width)
    x, d = (rng.normal(size=(rows, width)).astype(dtype) for _ in range(2))
    x += 3
    net = alone(width, backend, dtype, epsilon=1e-5)
    exact = x.astype(np.float64)
    deviation = np.sqrt(exact.var(axis=1, keepdims=True) + np.asarray(1e-5, dtype))
    normal = (exact - exact.mean(axis=1, keepdims=True)) / deviation
    length = depth([width], 1) + 10
    assert_near(net.forward(x), normal, dtype=dtype, length=length, magnitude=8)
    dX = net.backward(d)
    along = (d * normal).mean(axis=1, keepdims=True)
    want = (d - d.mean(axis=1, keepdims=True) - normal * along) / deviation
    size = np.abs(want).max() + 8 / deviation.min()
    assert_near(dX, want, dtype=dtype, length=length, magnitude=size)
    gamma, beta = (net.gradients[f"layer_norm_1/{name}"] for name in ("gamma", "beta"))
    length = depth([width], rows) + 10
    assert_near(gamma, (d * normal).sum(axis=0), dtype=dtype, length=length, magnitude=8 * rows)
    assert_near(beta, d.sum(axis=0, dtype=float), dtype=dtype, length=length, magnitude=4 * rows)


def stack(sizes, backend, **options):
    n, hidden, out = sizes
    layers = [fb.Input(n), fb.LayerNorm(1e-2), fb.Dense(hidden), fb.LayerNorm()]
    layers += [fb.Activation("gelu"), fb.Residual([fb.LayerNorm(), fb.Dense(hidden, "tanh")])]
    return fb.Network([*layers, fb.Dense(out)], backend=backend, seed=1, **options)


SIZES = [(5, 7, 2), (9, 20, 3), (20, 64, 3), (20, 130, 5), (3, 9, 1)]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("rows", [1, 7, 40, 300])
def test_a_step_takes_the_gradient(sizes, rows, backend):
    """Each regime sums what trace and a difference quotient find."""
    n, _, out = sizes
    rng = np.random.default_rng(rows)
    x, y = rng.normal(size=(rows, n)), rng.normal(size=(rows, out))
    net = stack(sizes, backend, dtype="float64", optimizer=fb.SGD(1.0))
    net.set_weights([w + 0.2 * rng.normal(size=w.shape) for w in net.get_weights()])
    net.trace(x, y)
    before, wanted = [w.copy() for w in net.get_weights()], dict(net.gradients)
    net.train_on_batch(x, y)
    length = depth([n, *sizes], rows) + 50
    for old, new, (name, want) in zip(before, net.get_weights(), wanted.items(), strict=True):
        size = np.abs(old).max() + np.abs(want).max() + 4
        assert_near(new, old - want, dtype="float64", length=length, magnitude=size, name=name)


@pytest.mark.parametrize("sizes", SIZES[:2])
def test_differences(sizes, backend):
    rng = np.random.default_rng(0)
    net = stack(sizes, backend)
    net.set_weights([w + 0.2 * rng.normal(size=w.shape) for w in net.get_weights()])
    x, y = rng.normal(size=(6, sizes[0])), rng.normal(size=(6, sizes[2]))
    assert net.check_gradients(x, y) < eps("float64") ** (1 / 3)


def test_far_from_zero(backend):
    """Two passes: the variance keeps its digits beside a mean a thousand times as large."""
    x = np.random.default_rng(0).normal(size=(20, 64)).astype(np.float32) + np.float32(1000)
    exact = x.astype(float) - x.astype(float).mean(axis=1, keepdims=True)
    want = exact / np.sqrt((exact**2).mean(axis=1, keepdims=True) + 1e-3)
    found = alone(64, backend, "float32").predict(x)
    assert_near(found, want, dtype="float32", length=64, magnitude=1000)
    assert np.abs(found - want).max() < 1e-3


def test_constant_rows_and_large_numbers(backend, dtype):
    net = alone(5, backend, dtype)
    assert net.predict(np.full((2, 5), 7)).tolist() == np.zeros((2, 5)).tolist()
    x = np.array([[1e15, -1e15, 0, 0, 0]])
    assert np.isfinite(net.predict(x)).all()
    net.forward(x)
    assert np.isfinite(net.backward(np.ones((1, 5)))).all()


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


def test_what_trains(backend):
    """No weight decay, no step where it is not trainable; the file holds gamma and beta."""
    x, y = np.random.default_rng(0).normal(size=(2, 40, 4))
    for trainable in (True, False):
        norm = fb.LayerNorm(trainable=trainable, name="norm")
        net = fb.Network([fb.Input(4), norm, fb.Dense(4)], seed=0, backend=backend)
        net.fit(x, y, epochs=2, verbose=False)
        assert (net.parameters["norm/gamma"] != 1).any() == trainable
    options = {"optimizer": fb.AdamW(0.1, weight_decay=0.5), "backend": backend}
    net = fb.Network(
        [fb.Input(4), fb.LayerNorm(), fb.Dense(1, weights=np.zeros((4, 1)))], **options
    )
    net.train_on_batch(x, np.zeros((40, 1)))  # no gradient but the bias's
    assert net.parameters["layer_norm_1/gamma"].tolist() == [1, 1, 1, 1]


def test_description(tmp_path, capsys):
    net = stack((5, 7, 2), "cython")
    net.save(tmp_path / "net.fbp")
    again = fb.Network.load(tmp_path / "net.fbp")
    x = np.ones((3, 5))
    assert again.layers == net.layers and again.predict(x).tobytes() == net.predict(x).tobytes()
    net.summary()
    assert "layer_norm_1" in capsys.readouterr().out and "5-norm-7-norm-gelu-" in repr(net)
    assert "layer_norm_2" in repr(net.plan(8))
    assert {"layer_norm_1/a", "layer_norm_1/da"} <= net.trace(x, np.ones((3, 2))).keys()


def test_learns_what_it_should(backend):
    """Rows of very different size, told apart by their shape alone."""
    rng = np.random.default_rng(0)
    shape = rng.normal(size=(2, 8))
    kind = rng.integers(2, size=400)
    x = shape[kind] * np.exp(rng.uniform(-3, 3, size=(400, 1))) + 100 * rng.normal(size=(400, 1))
    layers = [fb.Input(8), fb.LayerNorm(), fb.Dense(1)]
    net = fb.Network(layers, loss="binary_cross_entropy", optimizer=fb.Adam(0.05), seed=0,
                     backend=backend, metrics=["accuracy"])  # fmt: skip
    net.fit(x, kind, epochs=30, verbose=False)
    assert net.evaluate(x, kind)["accuracy"] > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("width", [2, 17, 100])
def test_against_pytorch(width, dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(width)
    x, d = (rng.normal(size=(9, width)).astype(dtype) for _ in range(2))
    gamma, beta = rng.normal(size=(2, width)).astype(dtype)
    net = alone(width, "cython", dtype, epsilon=1e-5)
    net.set_weights([gamma, beta, np.eye(width)])
    peer = torch.nn.LayerNorm(width, eps=1e-5, dtype=getattr(torch, dtype))
    with torch.no_grad():
        peer.weight[:], peer.bias[:] = torch.tensor(gamma), torch.tensor(beta)
    given = torch.tensor(x, requires_grad=True)
    out = peer(given)
    out.backward(torch.tensor(d))
    options = {"dtype": dtype, "length": 9 * width, "magnitude": 60}
    assert_near(net.forward(x), out.detach().numpy(), **options)
    assert_near(net.backward(d), given.grad.numpy(), **options)
    assert_near(net.gradients["layer_norm_1/gamma"], peer.weight.grad.numpy(), **options)
    assert_near(net.gradients["layer_norm_1/beta"], peer.bias.grad.numpy(), **options)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: fb.LayerNorm(0), ValueError, "LayerNorm epsilon must be finite and > 0, got 0"),
        (lambda: fb.LayerNorm("1"), TypeError, "LayerNorm epsilon must be a number"),
        (lambda: fb.LayerNorm(name="a/b"), ValueError,
         "name of LayerNorm must not be empty or contain '/', got 'a/b'"),
        (lambda: fb.LayerNorm(trainable=1), TypeError, "trainable must be True or False, got 1"),
        (lambda: fb.Network([fb.Input(1), fb.LayerNorm(), fb.Dense(1)]), ValueError,
         "LayerNorm needs at least 2 columns: a single one is always 0 after it"),
    ],
)  # fmt: skip
def test_bad_layer(make, error, text):
    with pytest.raises(error) as raised:
        make()
    assert text in str(raised.value)

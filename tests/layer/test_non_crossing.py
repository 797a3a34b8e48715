"""NonCrossing: outputs that ascend, whatever the parameters; gradients; shares below each level."""

from __future__ import annotations

import numpy as np
import pytest
from support.kernels import needs_kernels
from support.network_state import digest
from support.refusal import refuses
from support.tolerance import CALIBRATED_SHARE, assert_near, eps

import fastbp as fb

LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]


def network(backend, n_targets=1, hidden=8, **options):
    layers = [fb.Input(3), fb.Dense(hidden, "tanh"), fb.NonCrossing(len(LEVELS), n_targets)]
    loss = fb.Loss("quantile", q=LEVELS)
    return fb.Network(layers, loss=loss, seed=1, backend=backend, **options)


def test_by_hand(backend):
    layers = [fb.Input(1), fb.NonCrossing(3)]
    net = fb.Network(layers, loss=fb.Loss("quantile", q=[0.1, 0.5, 0.9]), backend=backend,
                     dtype="float64")  # fmt: skip
    net.set_weights([[[2.0]], [1.0], [[1.0]], [0.0], [[-1.0]], [0.0]])
    steps = np.log1p(np.exp([3.0, -3.0]))  # softplus of z = 3 and -3
    want = [7, 7 + steps[0], 7 + steps[0] + steps[1]]
    assert_near(net.predict([[3.0]])[0], want, dtype="float64", length=3)


@pytest.mark.parametrize("n_targets", [1, 2])
@pytest.mark.parametrize("hidden", [4, 40, 200])
def test_levels_never_cross(n_targets, hidden, backend, dtype):
    """At the start, after training on few rows, and with parameters of any size."""
    rng = np.random.default_rng(hidden)
    X, y = rng.normal(size=(400, 3)), rng.normal(size=(400, n_targets))
    net = network(backend, n_targets, hidden, dtype=dtype, optimizer=fb.Adam(0.05))
    for _ in range(3):
        found = net.predict(10 * X).reshape(len(X), len(LEVELS), n_targets)
        assert (np.diff(found, axis=1) >= 0).all()
        net.fit(X[:25], y[:25], epochs=40, verbose=False)
    net.set_weights([30 * rng.normal(size=w.shape) for w in net.get_weights()])
    assert (np.diff(net.predict(X)[:, ::n_targets]) >= 0).all()


def test_others_do_cross(backend):
    """What it is for: five outputs of a Dense layer do after the same training."""
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(400, 3)), rng.normal(size=(400, 1))
    net = fb.Network([3, 4, 5], activation="tanh", loss=fb.Loss("quantile", q=LEVELS), seed=1,
                     optimizer=fb.Adam(0.05), backend=backend)  # fmt: skip
    net.fit(X[:25], y[:25], epochs=40, verbose=False)
    assert (np.diff(net.predict(X)) < 0).any()


def test_shares_below_each_level(backend):
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(8000, 3))
    y = X[:, 0] + (1.2 + X[:, 1]) * rng.normal(size=8000)
    net = network(backend, hidden=16, optimizer=fb.Adam(fb.CosineDecay(0.01, 125 * 30)))
    net.fit(X[:4000], y[:4000], epochs=30, verbose=False)
    shares = (y[4000:, None] < net.predict(X[4000:])).mean(axis=0)
    assert np.abs(shares - LEVELS).max() < CALIBRATED_SHARE


@pytest.mark.parametrize("n_targets", [1, 2])
def test_differences(n_targets, backend):
    rng = np.random.default_rng(0)
    net = network(backend, n_targets)
    X, y = rng.normal(size=(6, 3)), rng.normal(size=(6, n_targets))
    assert net.check_gradients(X, y) < eps("float64") ** (1 / 3)


@needs_kernels
@pytest.mark.parametrize("hidden", [8, 100])
def test_threads(hidden, dtype):
    X, y = np.random.default_rng(0).normal(size=(300, 3)), np.zeros((300, 1))
    found = set()
    for n_threads in (1, 2, 3):
        net = network("cython", hidden=hidden, dtype=dtype)
        net.fit(X, y, epochs=2, batch_size=130, n_threads=n_threads, verbose=False)
        found.add(digest(net))
    assert len(found) == 1


def test_description(backend, tmp_path, capsys):
    net = network(backend, 2)
    net.save(tmp_path / "net.npz")
    again = fb.Network.load(tmp_path / "net.npz", backend=backend)
    X = np.ones((3, 3))
    assert again.layers == net.layers and (again.predict(X) == net.predict(X)).all()
    assert digest(fb.Network.from_config(net.get_config(), backend=backend)) == digest(net)
    assert repr(net).startswith("<Network 3-8-10<, ")
    net.summary()
    assert "non-crossing" in capsys.readouterr().out
    with refuses(ValueError, "NonCrossing n_levels must be >= 1, got 0"):
        fb.NonCrossing(0)
    with refuses(
        ValueError, "loss 'quantile' needs 5 outputs for each target, one for each level, got 4"
    ):
        layers = [fb.Input(3), fb.NonCrossing(4)]
        fb.Network(layers, loss=fb.Loss("quantile", q=LEVELS))

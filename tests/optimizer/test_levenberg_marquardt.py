"""Levenberg-Marquardt: its steps by the equations, its minima beside SciPy's, and what it keeps."""

from __future__ import annotations

import copy
import pickle
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from numpy.typing import NDArray
from support import oracle
from support.network_state import digest
from support.refusal import bad_input, refused, refuses
from support.resume_case import Counter, Stop, Stopped, result
from support.tolerance import (
    COMPLEX_STEP,
    ESTIMATOR_LBFGS,
    assert_agrees,
    assert_near,
    assert_same_training,
)

import fastbp as fb
from fastbp.runtime.full_batch import Objective
from fastbp.runtime.levenberg_marquardt import DampedLeastSquares
from fastbp.runtime.rows import checked_rows

Array = NDArray[Any]
rng = np.random.default_rng(0)
X = rng.standard_normal((60, 4))
Y = np.stack([np.sin(X[:, 0]) + X[:, 1] ** 2, X[:, 2] * X[:, 3]], axis=1)
WEIGHT = np.arange(60) % 4 * 0.5
EPOCHS = 12


def make(
    backend: str | None = None, dtype: str = "float64", loss: Any = "mse", **options: Any
) -> fb.Network:
    layers = [fb.Input(4), fb.Dense(8, "tanh", l2=1e-3), fb.LayerNorm(), fb.Dense(2)]
    return fb.Network(
        layers, loss=loss, optimizer=fb.LevenbergMarquardt(**options), dtype=dtype, seed=2,
        backend=backend,
    )  # fmt: skip


def fit(network: fb.Network, epochs: int = EPOCHS, **options: Any) -> fb.History:
    given: dict[str, Any] = {"sample_weight": WEIGHT, "initial_epoch": network.epochs}
    return network.fit(X, Y, epochs=epochs, **given | options)


# the step


def test_a_line_by_hand(backend: str) -> None:
    """mean (w x - 3 x)^2 over x = 1, 2: J^T J = 5, so that w += 15 / (5 + damping) from 0."""
    layers = [fb.Input(1), fb.Dense(1, use_bias=False, weights=[[0.0]])]
    optimizer = fb.LevenbergMarquardt(damping=5.0)
    network = fb.Network(layers, optimizer=optimizer, dtype="float64", backend=backend)
    x = np.array([[1.0], [2.0]])
    network.fit(x, 3 * x, epochs=1)
    assert_near(network.get_weights()[0], [[1.5]], dtype="float64", length=4)
    network.fit(x, 3 * x, epochs=1)  # and now by a tenth of the damping
    want = [[1.5 + 7.5 / 5.5]]
    assert_near(network.get_weights()[0], want, dtype="float64", length=4)


LOSSES = [
    fb.Loss("mse"), fb.Loss("half_sse"), fb.Loss("mse", sum_outputs=True),
    fb.Loss("mse", with_penalties=True),
]  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_the_equations(loss: fb.Loss, weighted: bool, backend: str) -> None:
    """(J^T J + damping I) d = -gradient, J by complex steps of the oracle."""
    network = make(backend, loss=loss, damping=0.5)
    w, layers = network.get_weights(), list(network.layers)
    columns = []
    for i, own in enumerate(w):
        for place in np.ndindex(own.shape):
            moved: list[Array] = [part.astype(complex) for part in w]
            moved[i][place] += 1j * COMPLEX_STEP
            columns.append(oracle.run(layers, moved, X)[0].imag.ravel() / COMPLEX_STEP)
    J = np.stack(columns, axis=1)
    weight = WEIGHT if weighted else np.ones(60)
    total = weight.sum()
    scale = {"half_sse": 1 / total}.get(loss.name, 2 / (total * loss.divisor(2)))
    l2 = np.concatenate([np.full(part.size, 1e-3 * (i == 0)) for i, part in enumerate(w)])
    l2 /= total if loss.with_penalties else 1
    each = np.repeat(weight, 2)[:, None]
    flat = np.concatenate([part.ravel() for part in w])
    residual = (network(X) - Y).reshape(-1, 1)
    gradient = scale * (J * each * residual).sum(axis=0) + l2 * flat
    matrix = scale * (J * each).T @ J + np.diag(l2)
    want = flat - np.linalg.solve(matrix + 0.5 * np.eye(len(flat)), gradient)
    fit(network, 1, sample_weight=weight)
    found = np.concatenate([part.ravel() for part in network.get_weights()])
    assert_same_training(found, want, dtype="float64")
    assert network._state.powers[0] == 0.1


def test_targets_that_are_missing(backend: str) -> None:
    y = Y.copy()
    y[::3, 1] = np.nan
    y[5] = np.nan
    network = make(backend)
    history = network.fit(X, y, epochs=30, ignore_nan=True)
    assert history["loss"][-1] < 0.2 * history["loss"][0]
    zeros = make(backend)
    kept = ~np.isnan(y).all(axis=1)
    zeros.fit(X[kept], y[kept], epochs=30, ignore_nan=True)
    for got, want in zip(network.get_weights(), zeros.get_weights(), strict=True):
        assert_agrees(got, want, within=1e-4)


def test_a_step_that_does_not_help_is_not_taken(backend: str) -> None:
    network = make(backend, damping=1e-12, learning_rate=50.0)  # far too long
    losses = []
    for _ in range(6):
        fit(network, network.epochs + 1)
        losses.append(network.history["loss"][-1])
    assert losses == sorted(losses, reverse=True)
    assert network._state.powers[0] > 1e3
    stuck = make(backend, damping_max=1e-2, learning_rate=1e6)
    before = stuck.get_weights()
    history = fit(stuck, 20)
    assert history.stopped == "damping" and len(history.epoch) == 1
    assert history.reason == (
        "no step makes the loss smaller with a damping up to 0.01, after epoch 1 of 20"
    )
    for got, want in zip(stuck.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, want)


# where it leads


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_sine_far_below_adam(dtype: str, backend: str) -> None:
    """1-10-1 with tanh, 50 epochs each: the loss is smaller by more than four orders."""
    x = np.linspace(-3, 3, 200)[:, None]
    losses = []
    for optimizer in (fb.LevenbergMarquardt(), fb.Adam(0.03)):
        network = fb.Network(
            [1, 10, 1], activation="tanh", optimizer=optimizer, dtype=dtype, seed=0,
            backend=backend,
        )  # fmt: skip
        network.fit(x, np.sin(x), epochs=50, batch_size=200)
        losses.append(network.evaluate(x, np.sin(x))["loss"])
    assert losses[0] < 1e-4 * losses[1]


def test_the_minimum_of_scipy(backend: str) -> None:
    """MINPACK's Levenberg-Marquardt on the same residuals, the penalties among them."""
    optimize = pytest.importorskip("scipy.optimize")
    layers = [
        fb.Input(4), fb.Dense(5, "tanh", l2=2e-2, regularize_bias=True),
        fb.Dense(2, l2=2e-2, regularize_bias=True),
    ]  # fmt: skip
    network = fb.Network(
        layers, optimizer=fb.LevenbergMarquardt(tolerance_grad=1e-12, tolerance_change=0.0),
        dtype="float64", seed=3, backend=backend,
    )  # fmt: skip
    shapes = [w.shape for w in network.get_weights()]
    edges = np.cumsum([np.prod(shape) for shape in shapes])[:-1]

    def output(x: Array) -> Array:
        parts = zip(np.split(x, edges), shapes, strict=True)
        a, b, c, d = (part.reshape(shape) for part, shape in parts)
        return np.asarray(np.tanh(X @ a + b) @ c + d)

    def residuals(x: Array) -> Array:
        each = np.sqrt(2 / Y.size) * (output(x) - Y)
        return np.concatenate([each.ravel(), np.sqrt(2e-2) * x])

    start = np.concatenate([w.ravel() for w in network.get_weights()])
    exact = {"ftol": 1e-14, "xtol": 1e-12, "gtol": 1e-12}
    found = optimize.least_squares(residuals, start, method="lm", **exact)
    history = network.fit(X, Y, epochs=300)
    assert history.stopped in ("converged", "damping")
    x = np.concatenate([w.ravel() for w in network.get_weights()])
    value = 0.5 * float(residuals(x) @ residuals(x))
    assert abs(value - found.cost) <= ESTIMATOR_LBFGS * found.cost
    assert_agrees(network(X), output(found.x), within=ESTIMATOR_LBFGS)  # its units in any order


def test_ends_where_it_has_converged(backend: str) -> None:
    x = np.linspace(-1, 1, 20)[:, None]
    network = fb.Network(
        [1, 1], optimizer=fb.LevenbergMarquardt(), dtype="float64", seed=0, backend=backend
    )
    history = network.fit(x, 3 * x + 2, epochs=50)
    assert history.stopped == "converged" and len(history.epoch) < 10
    assert [round(w.item(), 6) for w in network.get_weights()] == [3.0, 2.0]


# what it keeps


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_goes_on_to_the_bit(dtype: str, backend: str, tmp_path: Any) -> None:
    whole = make(backend, dtype)
    fit(whole, callbacks=[Counter()])
    assert whole._state.powers[0] != 1
    for epochs in (1, 4, 11):
        network = make(backend, dtype)
        fit(network, epochs, callbacks=[Counter()])
        network.save(tmp_path / "net.npz")
        network = fb.Network.load(tmp_path / "net.npz", backend=backend)
        fit(network, callbacks=[Counter()])
        assert result(network) == result(whole), epochs
    for how in ("interrupt", "error", "stop_training"):
        network = make(backend, dtype)
        try:
            fit(network, callbacks=[Stop(how, 6), Counter()])
        except (KeyboardInterrupt, Stopped):
            pass
        network = pickle.loads(pickle.dumps(network))
        fit(network, callbacks=[Counter()])
        assert result(network) == result(whole), how
    for twin in (make(backend, dtype).copy(), copy.deepcopy(make(backend, dtype))):
        fit(twin, n_threads=2, callbacks=[Counter()])
        assert digest(twin) == digest(whole)
    whole.reset()
    assert whole._state.powers[0] == 1


def test_an_interrupted_step_changes_nothing(backend: str) -> None:
    network = make(backend)
    fit(network, 3)
    before = digest(network)
    with (
        patch.object(DampedLeastSquares, "_try", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        fit(network)
    assert digest(network) == before


def test_frozen_layers_and_small_parts(backend: str) -> None:
    """A layer that is not trained has no equation; rows are taken part by part."""
    layers = [fb.Input(4), fb.Dense(8, "tanh", trainable=False), fb.Dense(2)]
    network = fb.Network(
        layers, optimizer=fb.LevenbergMarquardt(), dtype="float64", seed=0, backend=backend
    )
    other = network.copy()
    before = network.get_weights()
    network.fit(X, Y, epochs=5)
    with patch("fastbp.runtime.levenberg_marquardt._MOST_NUMBERS", 7 * 18):
        other.fit(X, Y, epochs=5)
    after = network.get_weights()
    assert (before[0] == after[0]).all() and (before[2] != after[2]).any()
    for got, want in zip(other.get_weights(), after, strict=True):
        assert_same_training(got, want, dtype="float64")


def test_a_damping_of_a_file_that_is_none(backend: str) -> None:
    """A power of 0, NaN or infinity ends the search; it does not go on for ever."""
    for power in (0.0, np.nan, np.inf, -1.0):
        network = make(backend)
        network._state.powers[0] = power
        fit(network, 2)


def test_validation_and_callbacks(backend: str) -> None:
    network = make(backend)
    stopping = fb.EarlyStopping("val_loss", patience=2)
    history = fit(
        network, 60, validation_data=(X[:20], Y[:20]), callbacks=[stopping], sample_weight=None
    )
    assert len(history["val_loss"]) == len(history["loss"])
    before = network.evaluate(X, Y)["loss"]
    again = network.fit(X, Y, epochs=1)
    assert_same_training(again["loss"][0], before, dtype="float64")
    network.learning_rate = 0.5
    assert network.optimizer.learning_rate == 0.5


def test_description() -> None:
    network = fb.Network([2, 2], optimizer=fb.LevenbergMarquardt(damping=0.1), seed=0)
    again = fb.Network.from_config(network.get_config())
    assert again.optimizer == network.optimizer
    assert fb.Network([2, 2], optimizer="levenberg_marquardt").optimizer == fb.LevenbergMarquardt()
    text = "LevenbergMarquardt(learning_rate=1.0, damping=0.1, damping_increase=10.0"
    assert repr(network.optimizer).startswith(text)


UNKNOWN = [
    ({"damping": 0}, ValueError, "damping must be finite and > 0, got 0"),
    ({"damping_increase": 1}, ValueError, "damping_increase must be finite and > 1, got 1"),
    ({"damping_decrease": 1.0}, ValueError, "damping_decrease must be in (0, 1), got 1"),
    ({"mu": 0.1}, TypeError, "LevenbergMarquardt got mu; write damping=0.1"),
    ({"ema": 0.9}, ValueError, "LevenbergMarquardt takes no ema, got 0.9"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "error", "text"), UNKNOWN, ids=str)
def test_refuses(given: Any, error: Any, text: str) -> None:
    with refuses(error, text):
        fb.LevenbergMarquardt(**given)


@bad_input("least squares")
@pytest.mark.parametrize(
    ("layers", "loss", "text"),
    [
        ([fb.Dense(3)], "cross_entropy", "needs a loss 'mse' or 'half_sse', got 'cross_entropy'$"),
        ([fb.Dense(3)], "huber", "needs a loss 'mse' or 'half_sse', got 'huber'$"),
        ([fb.Dense(3, l1=0.1)], "mse", "takes no l1, which is no square$"),
        ([fb.Dense(2500), fb.Dense(3)], "mse",
         "solves as many equations as parameters, 20003, limit 10000: take LBFGS$"),
    ],
)  # fmt: skip
def test_refuses_problems(layers: Any, loss: str, text: str, backend: str) -> None:
    network = fb.Network(
        [fb.Input(4), *layers], loss=loss, optimizer="levenberg_marquardt", seed=0, backend=backend
    )
    y = [0, 1, 2, 0, 1, 2] if loss == "cross_entropy" else np.zeros((6, 3))
    refused(network, lambda: network.fit(X[:6], y), ValueError, f"^LevenbergMarquardt {text}")


@bad_input("least squares")
def test_refuses_a_function(backend: str) -> None:
    """Whatever its name."""

    def mse(y: Array, output: Array) -> tuple[float, Array]:
        return float(((output - y) ** 2).mean()), 2 * (output - y) / output.size

    network = fb.Network([4, 2], loss=mse, optimizer="levenberg_marquardt", seed=0, backend=backend)
    refused(network, lambda: network.fit(X, Y), ValueError, "'half_sse', got 'function mse'$")


@bad_input("optimizer of all rows")
def test_refuses_batches(backend: str) -> None:
    network = make(backend)
    for call, error in (
        (lambda: network.fit(X, Y, batch_size=32), ValueError),
        (lambda: network.fit([(X, Y)]), ValueError),
        (lambda: network.train_on_batch(X, Y), TypeError),
    ):
        refused(network, call, error, "LevenbergMarquardt")


def test_the_matrix_is_that_of_the_objective(backend: str) -> None:
    """J^T J of a linear model is its Hessian, which `hessian_vector_product` finds."""
    network = fb.Network(
        [4, 2], optimizer=fb.LevenbergMarquardt(), dtype="float64", seed=0, backend=backend
    )
    state = network._state
    method = DampedLeastSquares(state, Objective(state, checked_rows(state, X, Y), n_threads=1))
    matrix = method._matrix()
    for i in range(len(matrix)):
        unit = np.eye(len(matrix))[i]
        v = [unit[:8].reshape(4, 2), unit[8:]]
        column = np.concatenate([g.ravel() for g in network.hessian_vector_product(X, Y, v)])
        assert_near(matrix[i], column, dtype="float64", length=80, magnitude=4)

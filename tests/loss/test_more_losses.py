"""Losses beside the first six: extreme inputs, parts of targets, weights, gaps, ways of rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support import oracle
from support.random_network import EACH_LOSS
from support.refusal import bad_input, refuses
from support.tolerance import assert_near, assert_same_training

import fastbp as fb

Array = NDArray[Any]

MORE = [loss for loss in EACH_LOSS if loss.formula not in (
    "mse", "half_sse", "mae", "huber", "binary_cross_entropy", "cross_entropy")]  # fmt: skip
each_loss = pytest.mark.parametrize("loss", MORE, ids=repr)


def data(loss: fb.Loss, n: int, k: int, seed: int = 0) -> tuple[Array, Array]:
    """Outputs and targets of the loss's domain."""
    rng = np.random.default_rng(seed)
    out = rng.normal(size=(n, k)).astype(np.float32).astype(float)
    y = rng.normal(size=(n, loss.n_targets(k)))
    if loss.domain == "class":
        return out, rng.dirichlet(np.ones(k), size=n)
    if loss.domain in ("interval", "sign", "count"):
        y = (y > 0).astype(float)
    return out, np.abs(y) + 0.1 if loss.domain == "positive" else y


def identity(loss: fb.Loss, k: int, dtype: str, backend: str, **options: Any) -> fb.Network:
    layers = [fb.Input(k), fb.Dense(k, weights=np.eye(k), bias=np.zeros(k))]
    return fb.Network(layers, loss=loss, dtype=dtype, backend=backend, seed=0, **options)


SIDE = 1 / (1 + math.exp(10))
# loss, output, target, value, slope: where a plain formula overflows, cancels or divides 0 by 0
EXTREME: list[tuple[fb.Loss, list[float], list[float], float, list[float]]] = [
    (fb.Loss("log_cosh"), [1e30], [0], 1e30, [1]),
    (fb.Loss("log_cosh"), [-1000], [0], 1000 - math.log(2), [-1]),
    (fb.Loss("log_cosh"), [1e-8], [0], 5e-17, [1e-8]),
    (fb.Loss("log_cosh"), [0.74], [0], math.log(math.cosh(0.74)), [math.tanh(0.74)]),
    (fb.Loss("log_cosh"), [0.76], [0], math.log(math.cosh(0.76)), [math.tanh(0.76)]),
    (fb.Loss("quantile", q=0.9), [1e30], [-1e30], 2e29, [0.1]),
    (fb.Loss("gaussian_nll"), [5, -1000], [5], -500, [0, 0.5]),
    (fb.Loss("gaussian_nll"), [5, 1000], [-1e4], 500, [0, 0.5]),
    (fb.Loss("gaussian_nll"), [1e-15, -69], [0], -34.5 + 0.5e-30 * math.exp(69),
     [1e-15 * math.exp(69), 0.5 - 0.5e-30 * math.exp(69)]),
    (fb.Loss("poisson"), [-1000], [0], 0, [0]),
    (fb.Loss("poisson"), [-1e4], [3], 3e4, [-3]),
    (fb.Loss("gamma"), [1e4], [3], 1e4, [1]),
    (fb.Loss("tweedie"), [-1e4], [0], 0, [0]),
    (fb.Loss("tweedie"), [20], [0], 2 * math.exp(10), [math.exp(10)]),
    (fb.Loss("cosine"), [1e-30, 0], [0, 1e30], 1, [0, -1e30]),
    (fb.Loss("cosine"), [1e30, 1e30], [1e-30, 1e-30], 0, [0, 0]),
    (fb.Loss("cosine"), [0, 0], [1, 2], 1, [0, 0]),
    (fb.Loss("cosine"), [1, 1e-4], [1, 0], 0.5e-8 - 0.375e-16,
     [-1e-8 * (1 - 1.5e-8), 1e-4 * (1 - 1.5e-8)]),
    (fb.Loss("hinge"), [1e30], [-1], 1e30, [1]),
    (fb.Loss("squared_hinge"), [1e15], [1], 0, [0]),
    (fb.Loss("binary_cross_entropy", pos_weight=3), [-1e4], [1], 3e4, [-3]),
    (fb.Loss("binary_cross_entropy", pos_weight=3), [20], [1], 3 * math.log1p(math.exp(-20)),
     [-3 / (1 + math.exp(20))]),
    (fb.Loss("binary_cross_entropy", pos_weight=3), [-20], [0], math.log1p(math.exp(-20)),
     [1 / (1 + math.exp(20))]),
    (fb.Loss("binary_cross_entropy", label_smoothing=0.2), [1e4], [1], 1e3, [0.1]),
    (fb.Loss("binary_focal_cross_entropy"), [1e4], [1], 0, [0]),
    (fb.Loss("binary_focal_cross_entropy"), [-1e4], [1], 1e4, [-1]),
    (fb.Loss("binary_focal_cross_entropy", gamma=0.5), [1e4], [1], 0, [0]),
    (fb.Loss("binary_focal_cross_entropy"), [10], [1],
     math.log1p(math.exp(-10)) / (1 + math.exp(10)) ** 2,
     [-(SIDE**3) - 2 * SIDE**2 * (1 - SIDE) * math.log1p(math.exp(-10))]),
    (fb.Loss("cross_entropy", label_smoothing=0.2), [1e4, -1e4], [1, 0], 2e3, [0.1, -0.1]),
    (fb.Loss("focal_cross_entropy"), [1e4, -1e4], [1, 0], 0, [0, 0]),
    (fb.Loss("focal_cross_entropy"), [1e4, -1e4], [0, 1], 2e4, [1, -1]),
    (fb.Loss("focal_cross_entropy"), [20, 0], [1, 0],
     math.log1p(math.exp(-20)) / (1 + math.exp(20)) ** 2, [0, 0]),
    (fb.Loss("kl_divergence"), [1e4, -1e4], [1, 0], 0, [0, 0]),
    (fb.Loss("kl_divergence"), [20, 0], [1, 0], math.log1p(math.exp(-20)),
     [-1 / (1 + math.exp(20)), 1 / (1 + math.exp(20))]),
    (fb.Loss("kl_divergence"), [1e4, -1e4], [0, 1], 2e4, [1, -1]),
]  # fmt: skip


@pytest.mark.parametrize("index", range(len(EXTREME)))
def test_extreme_inputs(index: int, backend: str, dtype: str) -> None:
    """Value and slope are those of the formula, to the type's digits of each."""
    loss, out, target, value, slope = EXTREME[index]
    network = identity(loss, len(out), dtype, backend)
    traced = network.trace([out], [target])
    assert_near(traced["loss"], value, dtype=dtype, length=30)
    assert_near(traced["loss"], network.evaluate([out], [target])["loss"], dtype=dtype, length=4)
    times = loss.divisor(len(out))
    size = np.abs(slope) + (1e-6 if len(out) > 1 else 0)
    assert_near(traced["dense_1/dz"] * times, [slope], dtype=dtype, length=30, magnitude=size)


@each_loss
@pytest.mark.parametrize("k", [6, 24])
def test_all_ways_of_rows_are_one(loss: fb.Loss, k: int, backend: str, dtype: str) -> None:
    """Rows in the lanes, wide layers, few rows: training is the oracle's; weights are copies."""
    for width, n in ((8, 70), (40, 37), (8, 5)):
        out, y = data(loss, n, k)
        X = out[:, :4]
        weight = np.random.default_rng(1).integers(0, 3, n).astype(float)
        weight[0] = 1
        layers = [fb.Input(4), fb.Dense(width, "tanh"), fb.Dense(k)]
        made = [
            fb.Network(layers, loss=loss, optimizer=fb.SGD(0.1), dtype=dtype, seed=2,
                       backend=backend) for _ in range(2)
        ]  # fmt: skip
        start = [w.astype(float) for w in made[0].get_weights()]
        X = X.astype(dtype).astype(float)
        made[0].fit(X, y, batch_size=n, epochs=2, shuffle=False, verbose=False)
        copies = np.repeat(np.arange(n), weight.astype(int))
        made[1].fit(
            X, y, batch_size=n, epochs=2, shuffle=False, sample_weight=weight, verbose=False
        )
        for network, rows in ((made[0], np.arange(n)), (made[1], copies)):
            want, _ = oracle.train(
                network.layers, loss, network.optimizer, start, X, y, [rows, rows]
            )
            for got, value in zip(network.get_weights(), want, strict=True):
                assert_same_training(got, value, dtype=dtype)


@each_loss
@pytest.mark.parametrize("n_targets", [1, 4])
def test_summed_outputs_and_penalties(
    loss: fb.Loss, n_targets: int, backend: str, dtype: str
) -> None:
    """One target too, whose rows lie side by side; penalties are divided by the rows."""
    n, l2, k = 37, 0.7, max(2 if loss.link == "softmax" else 1, n_targets * loss.outputs_per_target)
    _, y = data(loss, n, k)
    X = np.random.default_rng(2).normal(size=(n, 4)).astype(dtype).astype(float)
    network = fb.Network(
        [fb.Input(4), fb.Dense(40, "tanh", l2=l2), fb.Dense(k)], dtype=dtype, seed=2,
        loss=fb.Loss(**{**loss.to_config(), "sum_outputs": True, "with_penalties": True}),
        optimizer=fb.SGD(1.0), backend=backend,
    )  # fmt: skip
    start = [w.astype(float) for w in network.get_weights()]
    value, _, tape = oracle.gradient(network.layers, loss, start, X, y)
    times = loss.divisor(k)
    assert times == 1 or network.loss.divisor(k) == 1
    total = times * value + l2 / 2 * (start[0] ** 2).sum() / n
    found = network.train_on_batch(X, y)
    assert_near(found, total, dtype=dtype, length=n + 40, magnitude=abs(value) * times + total)
    for i, (got, w) in enumerate(zip(network.get_weights(), start, strict=True)):
        g = times * np.asarray(tape.gradients[i]) + (l2 * w / n if i == 0 else 0)
        assert_near(got, w - g, dtype=dtype, length=n + 40, magnitude=1 + np.abs(g).max(), name="w")


@each_loss
def test_one_target_left_out(loss: fb.Loss, backend: str) -> None:
    """NaN in a target: loss and gradient are those of what is there."""
    k = 6
    out, y = data(loss, 9, k)
    gaps = y.copy()
    gaps[2, 0] = np.nan
    by_row = loss.domain in ("class", "direction")
    network = identity(loss, k, "float64", backend)
    got = network.evaluate(out, gaps, ignore_nan=True)["loss"]
    if by_row:
        keep = np.arange(9) != 2
        want = network.evaluate(out[keep], y[keep])["loss"]
    else:
        there = np.delete(np.arange(9 * y.shape[1]), 2 * y.shape[1])
        alone = identity(loss, loss.outputs_per_target, "float64", backend)
        if isinstance(loss.pos_weight, tuple):
            return
        outs = out.reshape(9, loss.outputs_per_target, -1).transpose(0, 2, 1)
        outs = outs.reshape(-1, loss.outputs_per_target)
        want = alone.evaluate(outs[there], y.reshape(-1, 1)[there])["loss"]
    assert_near(got, want, dtype="float64", length=40, magnitude=abs(want) + 1)


@each_loss
def test_threads_and_batches_keep_the_bits(loss: fb.Loss) -> None:
    k = 6
    out, y = data(loss, 300, k)
    found = set()
    for n_threads in (1, 2, 3, 4):
        network = fb.Network([k, 12, k], loss=loss, seed=0, backend="cython")
        losses = network.fit(out, y, batch_size=128, epochs=2, n_threads=n_threads, verbose=False)
        found.add((tuple(losses.history["loss"]), network.get_weights()[0].tobytes()))
    assert len(found) == 1


def test_response(backend: str) -> None:
    """Rates of the losses with a logarithm, declared or not; quantiles and means as they are."""
    X = np.array([[0.0, math.log(2)]])
    for final in ("linear", "exponential"):
        layers = [fb.Input(2), fb.Dense(2, final, weights=np.eye(2), bias=np.zeros(2))]
        for name in ("poisson", "gamma", "tweedie"):
            network = fb.Network(layers, loss=name, seed=0, dtype="float64", backend=backend)
            assert_near(network.predict(X), [[1, 2]], dtype="float64", length=2)
            assert_near(network.evaluate(X, [[1, 2]])["loss"],
                        oracle.loss_value(network.loss, X, np.array([[1.0, 2.0]])),
                        dtype="float64", length=4)  # fmt: skip
    assert (identity(fb.Loss("gaussian_nll"), 2, "float64", backend).predict(X) == X).all()


def test_metrics_are_of_what_foretells_the_target(backend: str) -> None:
    """The means, the median of the levels, the rate."""
    X, y = np.array([[1.0, 2.0, 3.0, 0.0]]), np.array([[3.0, 2.0]])
    network = identity(fb.Loss("gaussian_nll"), 4, "float64", backend, metrics=["mae"])
    assert network.evaluate(X, y)["mae"] == 1.0
    levels = fb.Loss("quantile", q=[0.1, 0.5])
    network = identity(levels, 4, "float64", backend, metrics=["mae"], optimizer=fb.SGD(0.0))
    assert network.evaluate(X, y)["mae"] == 1.0
    assert network.fit(X, y, verbose=False, validation_data=(X, y)).history["val_mae"] == [1.0]
    network = identity(fb.Loss("poisson"), 4, "float64", backend, metrics=["mse"])
    assert network.evaluate(np.zeros((1, 4)), np.full((1, 4), 3.0))["mse"] == 4.0


def test_quantiles_are_learned(backend: str) -> None:
    """A constant that minimises the loss is the quantile of the targets."""
    y = np.arange(101.0)
    network = fb.Network(
        [fb.Input(1), fb.Dense(3)], loss=fb.Loss("quantile", q=[0.1, 0.5, 0.9]), seed=0,
        optimizer=fb.Adam(1.0), dtype="float64", backend=backend,
    )  # fmt: skip
    network.fit(np.zeros((101, 1)), y, batch_size=101, epochs=400, verbose=False)
    assert np.abs(network.predict(np.zeros(1)) - [10, 50, 90]).max() < 2


@bad_input("target of another domain")
def test_targets_outside_of_the_domain(backend: str) -> None:
    X = np.zeros((2, 1))
    for name, y, text in (
        ("poisson", [1, -2], "y[1] = -2 is negative: this loss is about counts or amounts >= 0"),
        ("tweedie", [-1, 2], "y[0] = -1 is negative: this loss is about counts or amounts >= 0"),
        ("gamma", [1, 0], "y[1] = 0 is not positive, as this loss needs"),
        ("hinge", [1, 2], "y[1] = 2 is no label of two classes: -1 or 0, and 1"),
        ("gaussian_nll", [[1, 2], [3, 4]], "y has 2 columns, network has 1 target"),
    ):
        network = fb.Network([1, fb.Loss(name).outputs_per_target], loss=name, backend=backend)
        with refuses(ValueError, text):
            network.fit(X, np.array(y))
        assert network.steps == 0

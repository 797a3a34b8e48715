"""Losses: values by hand, stability, targets of every kind, and gradients of what is reported."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from support import oracle
from support.tolerance import assert_near, difference_bound

import fastbp as fb
from fastbp.loss import LOSSES

Array = NDArray[Any]

# e = X - Y = [[1, 2, 2], [4, 0, -3]]
X = np.array([[1.0, 3.0, 2.0], [5.0, 0.5, -1.0]])
Y = np.array([[0.0, 1.0, 0.0], [1.0, 0.5, 2.0]])
LOG2, LOG3 = math.log(2), math.log(3)
# loss, X, y, value, gradient by X; (n, k) = (2, 3) for the first four
HAND: list[tuple[fb.Loss, Any, Any, float, Any]] = [
    (fb.Loss("mse"), X, Y, 34 / 6, [[2 / 6, 4 / 6, 4 / 6], [8 / 6, 0, -1]]),
    (fb.Loss("half_sse"), X, Y, 34 / 4, [[0.5, 1, 1], [2, 0, -1.5]]),
    (fb.Loss("mae"), X, Y, 2.0, [[1 / 6, 1 / 6, 1 / 6], [1 / 6, 0, -1 / 6]]),
    (fb.Loss("huber", delta=1.5), X, Y, 12.5 / 6, [[1 / 6, 0.25, 0.25], [0.25, 0, -0.25]]),
    (fb.Loss("huber"), X, Y, (0.5 + 1.5 + 1.5 + 3.5 + 2.5) / 6,
     [[1 / 6, 1 / 6, 1 / 6], [1 / 6, 0, -1 / 6]]),
    (fb.Loss("binary_cross_entropy"), [[0.0, LOG3], [-LOG3, LOG3]], [[1, 0], [0, 1]],
     (LOG2 + math.log(4) + 2 * math.log(4 / 3)) / 4, [[-1 / 8, 3 / 16], [1 / 16, -1 / 16]]),
    (fb.Loss("binary_cross_entropy"), [[LOG3]], [0.25], math.log(4) - 0.25 * LOG3, [[0.5]]),
    (fb.Loss("cross_entropy"), [[0, LOG2, math.log(5)], [0, 0, LOG2]], [2, 0],
     (math.log(8 / 5) + math.log(4)) / 2, [[1 / 16, 1 / 8, -3 / 16], [-3 / 8, 1 / 8, 1 / 4]]),
    (fb.Loss("cross_entropy"), [[0, LOG3]], [[0.5, 0.5]], math.log(4) - LOG3 / 2, [[-0.25, 0.25]]),
    # cosh log 2 = 5 / 4, tanh log 2 = 3 / 5
    (fb.Loss("log_cosh"), [[LOG2, 0], [1, -LOG2]], [[0, 0], [1, 0]], math.log(5 / 4) / 2,
     [[3 / 20, 0], [0, -3 / 20]]),
    (fb.Loss("quantile", q=0.75), X, Y, (0.25 * 9 + 0.75 * 3) / 6,
     [[1 / 24, 1 / 24, 1 / 24], [1 / 24, 0, -1 / 8]]),
    (fb.Loss("quantile", q=[0.25, 0.75]), [[1, 3], [5, 0]], [2, 2],
     (0.25 * 1 + 0.25 * 1 + 0.75 * 3 + 0.75 * 2) / 4, [[-1 / 16, 1 / 16], [3 / 16, -3 / 16]]),
    # e = 2 and -1, variances 4 and 1
    (fb.Loss("gaussian_nll"), [[3, 2 * LOG2], [0, 0]], [1, 1], (2 * LOG2 + 1 + 1) / 4,
     [[1 / 4, 0], [-1 / 2, 0]]),
    (fb.Loss("poisson"), [[0, LOG2], [LOG3, 0]], [[1, 0], [3, 2]], (1 + 2 + 3 - 3 * LOG3 + 1) / 4,
     [[0, 1 / 2], [0, -1 / 4]]),
    (fb.Loss("gamma"), [[0, LOG2]], [[1, 4]], (1 + LOG2 + 2) / 2, [[0, -1 / 2]]),
    (fb.Loss("tweedie"), [[0, 2 * LOG2]], [[1, 0]], (2 + 2 + 4) / 2, [[0, 1]]),
    (fb.Loss("cosine"), [[3, 4], [2, 0]], [[4, 3], [0, 5]], (1 / 25 + 1) / 2,
     [[-14 / 625, 21 / 1250], [0, -1 / 4]]),
    (fb.Loss("hinge"), [[0.5, -2], [3, 0.5]], [[1, 1], [1, -1]], (0.5 + 3 + 1.5) / 4,
     [[-1 / 4, -1 / 4], [0, 1 / 4]]),
    (fb.Loss("squared_hinge"), [[0.5, -2], [3, 0.5]], [[1, 1], [1, 0]], (0.25 + 9 + 2.25) / 4,
     [[-1 / 4, -3 / 2], [0, 3 / 4]]),
    (fb.Loss("binary_cross_entropy", pos_weight=[2, 3]), [[0, LOG3], [-LOG3, LOG3]],
     [[1, 0], [0, 1]], (2 * LOG2 + math.log(4) + 4 * math.log(4 / 3)) / 4,
     [[-1 / 4, 3 / 16], [1 / 16, -3 / 16]]),
    (fb.Loss("binary_cross_entropy", label_smoothing=0.5), [[LOG3]], [1], math.log(4) - 0.75 * LOG3,
     [[0]]),
    # p = 1/4 of what y says: (3/4)^2 log 4, and of its other side
    (fb.Loss("binary_focal_cross_entropy"), [[-LOG3]], [1], 9 / 16 * math.log(4),
     [[-27 / 64 - 2 * 9 / 64 * math.log(4)]]),
    (fb.Loss("binary_focal_cross_entropy", gamma=1, alpha=0.25), [[0, 0]], [[1, 0]], LOG2 / 4,
     [[-(1 + LOG2) / 32, 3 * (1 + LOG2) / 32]]),
    (fb.Loss("cross_entropy", label_smoothing=0.5), [[0, LOG3]], [1], math.log(4) - 0.75 * LOG3,
     [[0, 0]]),
    (fb.Loss("focal_cross_entropy"), [[0, LOG3]], [0], 9 / 16 * math.log(4),
     [[-27 / 64 - 18 / 64 * math.log(4), 27 / 64 + 18 / 64 * math.log(4)]]),
    (fb.Loss("kl_divergence"), [[0, LOG3]], [[0.5, 0.5]], math.log(4) - LOG3 / 2 - LOG2,
     [[-0.25, 0.25]]),
]  # fmt: skip
# what a final activation of the same name must not change
FINAL = {name: ["linear", last] for name, last in oracle.FUSED.items()}


def identity(
    n: int, loss: fb.Loss | str, dtype: str, backend: str, *, final: str = "linear", **options: Any
) -> fb.Network:
    """A network whose pre-activations are X."""
    layers = [fb.Input(n), fb.Dense(n, final, weights=np.eye(n), bias=np.zeros(n))]
    return fb.Network(layers, loss=loss, dtype=dtype, backend=backend, seed=0, **options)


def targets(
    rng: np.random.Generator, name: str, rows: int, outputs: int, dtype: str = "float64"
) -> Array:
    """Random ones of the loss's domain."""
    loss = fb.Loss(name)
    if loss.domain == "class":
        return rng.integers(outputs, size=rows)
    target = rng.random((rows, loss.n_targets(outputs))).astype(dtype).astype(float)
    return target.round() if loss.domain == "sign" else target


@pytest.mark.parametrize("index", range(len(HAND)))
def test_value_and_gradient_by_hand(index: int, backend: str, dtype: str) -> None:
    loss, rows, target, value, gradient = HAND[index]
    rows, target = np.array(rows, float), np.array(target)
    for final in FINAL.get(loss.name, ["linear"]):
        network = identity(rows.shape[1], loss, dtype, backend, final=final)
        traced = network.trace(rows, target)
        for got in (traced["loss"], network.evaluate(rows, target)["loss"]):
            assert_near(got, value, dtype=dtype, length=rows.size, magnitude=value + 2)
        assert_near(traced["dense_1/dz"], gradient, dtype=dtype, length=2, magnitude=1)
        stepped = identity(rows.shape[1], loss, dtype, backend, final=final, optimizer=fb.SGD(1.0))
        assert_near(
            stepped.train_on_batch(rows, target),
            value,
            dtype=dtype,
            length=rows.size,
            magnitude=value + 2,
        )
        bias = -np.sum(gradient, axis=0)
        assert_near(stepped.parameters["dense_1/bias"], bias, dtype=dtype, length=4, magnitude=1)


def test_every_loss_is_checked_by_hand() -> None:
    assert {loss.name for loss, *_ in HAND} == set(LOSSES)


@pytest.mark.parametrize("size", [30.0, 100.0, 1e4])
def test_logits_of_any_size(size: float, backend: str, dtype: str) -> None:
    """Neither overflow nor clipping: loss and gradient of logits +-1e4 are those of the formula."""
    z = np.array([[size], [size], [-size], [-size]])
    target = np.array([0.0, 1.0, 0.0, 1.0])
    traced = identity(1, "binary_cross_entropy", dtype, backend).trace(z, target)
    small = math.log1p(math.exp(-size))
    assert_near(traced["loss"], size / 2 + small, dtype=dtype, length=0)
    tail = math.exp(-size) / (1 + math.exp(-size)) / 4
    want = np.array([[0.25 - tail], [-tail], [tail], [tail - 0.25]])
    assert_near(traced["dense_1/dz"], want, dtype=dtype, length=1, magnitude=0.25)
    z = np.array([[size, -size, 0.0], [-size, size, -size]])
    traced = identity(3, "cross_entropy", dtype, backend).trace(z, [1, 1])
    first = np.exp(-size * np.array([0.0, 2.0, 1.0]))
    assert_near(traced["loss"], (2 * size + math.log(first.sum())) / 2, dtype=dtype, length=3)
    gradient = np.array([first / first.sum() - [0, 1, 0], [0, 0, 0]]) / 2
    assert_near(traced["dense_1/dz"], gradient, dtype=dtype, length=3, magnitude=1)
    response = identity(3, "cross_entropy", dtype, backend).predict(z)
    assert (response >= 0).all()
    assert_near(response.sum(axis=1), [1, 1], dtype=dtype, length=3)


@pytest.mark.parametrize(("logit", "target"), [(-20.0, 0.0), (20.0, 1.0)])
def test_small_losses_keep_their_digits(
    logit: float, target: float, backend: str, dtype: str
) -> None:
    """A confident right answer costs exp(-20), to the last digits of that, on either side."""
    network = identity(1, "binary_cross_entropy", dtype, backend)
    want = math.log1p(math.exp(-20))
    for loss in (network.evaluate([[logit]], [target]), network.trace([[logit]], [target])):
        assert_near(loss["loss"], want, dtype=dtype, length=0)


@pytest.mark.parametrize("final", ["linear", "softmax"])
def test_labels_are_rows_of_one_and_zero(
    final: str, backend: str, dtype: str, rng: np.random.Generator
) -> None:
    z, label = rng.normal(size=(37, 5)) * 3, rng.integers(5, size=37)
    network = identity(5, "cross_entropy", dtype, backend, final=final)
    by_label, by_row = network.trace(z, label), network.trace(z, np.eye(5)[label])
    assert_near(by_row["loss"], by_label["loss"], dtype=dtype, length=42, magnitude=5)
    assert_near(
        by_row["dense_1/dz"], by_label["dense_1/dz"], dtype=dtype, length=5, magnitude=1 / 37
    )


def test_soft_labels_are_mixtures(backend: str, dtype: str, rng: np.random.Generator) -> None:
    """Loss and gradient are linear in the target's rows."""
    z, p = rng.normal(size=(9, 4)), rng.dirichlet(np.ones(4), size=9)
    network = identity(4, "cross_entropy", dtype, backend)
    traced = network.trace(z, p)
    parts = [identity(4, "cross_entropy", dtype, backend).trace(z, np.full(9, k)) for k in range(4)]
    want = sum(p[:, k : k + 1] * parts[k]["dense_1/dz"] for k in range(4))
    assert_near(traced["dense_1/dz"], want, dtype=dtype, length=4, magnitude=1 / 9)
    assert_near(
        traced["loss"], oracle.loss_value(network.loss, z, p), dtype=dtype, length=20, magnitude=5
    )


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_that_of_the_reported_loss(
    name: str, backend: str, rng: np.random.Generator
) -> None:
    """Central differences of evaluate() itself."""
    z = rng.normal(size=(13, 4))
    e = rng.choice([-1, 1], (13, 4)) * rng.uniform(0.05, 0.9, (13, 4)) * rng.choice([1, 3], (13, 4))
    target = z + e
    if fb.Loss(name).domain not in ("real", "direction"):
        target = targets(rng, name, 13, 4)
    target = target[:, :2] if name == "gaussian_nll" else target
    network = identity(4, name, "float64", backend)
    network.trace(z, target)
    gradient, bias, h = network.gradients["dense_1/bias"], network.parameters["dense_1/bias"], 1e-4
    assert np.abs(gradient).max() > 1e-3
    for j in range(4):
        losses = []
        for shift in (h, -h):
            bias[j] = shift
            losses.append(network.evaluate(z, target)["loss"])
        bias[j] = 0
        difference = (losses[0] - losses[1]) / (2 * h)
        assert abs(difference - gradient[j]) <= difference_bound(h, order=2, value=losses[0])


@pytest.mark.parametrize("name", LOSSES)
def test_short_last_batch_counts_by_its_rows(
    name: str, backend: str, dtype: str, rng: np.random.Generator
) -> None:
    """The epoch's loss weighs batches by rows; a batch's gradient is the mean over its own."""
    rows = rng.normal(size=(10, 4)).astype(dtype).astype(float)
    target = targets(rng, name, 10, 4, dtype)
    still = identity(4, name, dtype, backend, optimizer=fb.SGD(0.0))
    history = still.fit(rows, target, batch_size=4, epochs=2, verbose=False)
    whole = still.evaluate(rows, target)["loss"]
    assert_near(
        history.history["loss"], [whole, whole], dtype=dtype, length=30, magnitude=whole + 1
    )
    batches = [[3, 1, 2, 9], [0, 4, 5, 6], [8, 7]]
    moving = identity(4, name, dtype, backend, optimizer=fb.SGD(0.5))
    start = moving.get_weights()
    history = moving.fit(rows, target, batches=batches, verbose=False)
    want, losses = oracle.train(
        moving.layers, moving.loss, moving.optimizer, start, rows, target, batches
    )
    mean = np.dot(losses, [4, 4, 2]) / 10
    assert_near(history.history["loss"][0], mean, dtype=dtype, length=30, magnitude=mean + 1)
    for got, value in zip(moving.get_weights(), want, strict=True):
        assert_near(got, value, dtype=dtype, length=30, magnitude=np.abs(value) + 1)


def summed(values: Array, block: int) -> Any:
    """The sum of (rows, n) values in the order of src/kernel/loss.pxi."""
    rows, n = values.shape
    part = np.zeros(block, values.dtype)
    for r in range(rows):
        for j in range(n):
            part[r % (block - 3) + j if n <= 4 else j % block] += values[r, j]
    while len(part) > 1:
        part = part[: len(part) // 2] + part[len(part) // 2 :]
    return part[0]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 16, 17, 150])
@pytest.mark.parametrize("rows", [1, 2, 4, 5, 12, 13, 14, 51, 52, 53, 70])
def test_order_of_the_sum_over_a_batch(
    n: int, rows: int, dtype: str, rng: np.random.Generator
) -> None:
    """To the bit, with targets by rows and by columns; partial sums of different sizes tell."""
    network = identity(n, "mae", dtype, "cython")
    block = 64 // np.dtype(dtype).itemsize
    out = (rng.normal(size=(rows, n)) * 10.0 ** rng.integers(-3, 4, (rows, n))).astype(dtype)
    target = rng.normal(size=(rows, n)).astype(dtype)
    for y in (target, np.asfortranarray(target)):
        traced = network.trace(out, y)
        want = float(summed(np.abs(out - y), block)) * (1.0 / (rows * n))
        assert traced["loss"] == want
        slope = np.sign(out - y) * np.dtype(dtype).type(1.0 / (rows * n))
        np.testing.assert_array_equal(traced["dense_1/dz"], slope)


@given(
    n=st.integers(1, 40),
    k=st.integers(2, 40),
    seed=st.integers(0, 2**32),
    name=st.sampled_from(list(LOSSES)),
)
def test_loss_of_any_shape(backend: str, dtype: str, n: int, k: int, seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    z = (rng.normal(size=(n, k)) * 4).astype(dtype).astype(float)
    k += k % fb.Loss(name).outputs_per_target
    z = (rng.normal(size=(n, k)) * 4).astype(dtype).astype(float)
    target = targets(rng, name, n, k, dtype)
    network = identity(k, name, dtype, backend)
    traced = network.trace(z, target)
    value = float(oracle.loss_value(network.loss, z, target))
    assert_near(traced["loss"], value, dtype=dtype, length=n + k, magnitude=value + 4)
    slope = oracle.loss_slope(network.loss, z, target)
    size = np.abs(slope) + (2 / n if network.loss.domain == "class" else 8 / (n * k))
    assert_near(traced["dense_1/dz"], slope, dtype=dtype, length=k, magnitude=size)

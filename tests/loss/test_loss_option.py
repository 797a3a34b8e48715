"""Losses whose outputs are summed, and losses with the penalties of the layers in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support import oracle
from support.refusal import refuses
from support.tolerance import (
    ESTIMATOR_SINGLE,
    assert_agrees,
    assert_different,
    assert_near,
)

import fastbp as fb

Array = NDArray[Any]
L1, L2, RATE = 0.03, 0.7, 1.0
# sizes, rows of a batch, threads, options: rows in lanes, the latency path, few units, kernels that
# threads share, layer by layer and not, several row blocks, clipping
CASES: dict[str, tuple[list[int], int, int, dict[str, Any]]] = {
    "lanes": ([5, 8, 3], 20, 1, {}),
    "latency": ([5, 8, 3], 4, 1, {}),
    "few": ([3, 4, 2], 2, 1, {}),
    "one row": ([3, 4, 2], 1, 1, {}),
    "kernels": ([70, 300, 3], 12, 2, {}),
    "blocks": ([40, 50, 3], 300, 2, {}),
    "clipped": ([5, 8, 3], 20, 1, {"clipvalue": 0.01}),
    "norm": ([70, 300, 3], 12, 1, {"global_clipnorm": 0.5}),
}


def layers_of(sizes: list[int]) -> list[Any]:
    return [
        fb.Input(sizes[0]),
        fb.Dense(sizes[1], "tanh", l2=L2),
        fb.Dense(sizes[2], l1=L1, l2=L2, regularize_bias=True),
    ]


@pytest.mark.parametrize("weighted", [False, True], ids=["rows", "weights"])
@pytest.mark.parametrize("name", ["mse", "binary_cross_entropy"])
@pytest.mark.parametrize("case", CASES)
def test_a_step_against_the_definition(
    case: str, name: str, weighted: bool, backend: str, dtype: str
) -> None:
    """w - rate (sum of gradients + l2 w + l1 sign(w)) / weight, and the loss before it."""
    sizes, n, threads, clip = CASES[case]
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(n, sizes[0])), rng.integers(2, size=(n, sizes[2])).astype(float)
    weight = rng.integers(1, 4, n).astype(float) if weighted else np.ones(n)
    network = fb.Network(
        layers_of(sizes), loss=fb.Loss(name, sum_outputs=True, with_penalties=True), seed=1,
        optimizer=fb.SGD(RATE, **clip), dtype=dtype, backend=backend,
    )  # fmt: skip
    network.set_weights([
        rng.choice([-1, 1], w.shape) * rng.uniform(0.1, 0.4, w.shape)
        for w in network.get_weights()
    ])  # fmt: skip
    start = [w.astype(np.float64) for w in network.get_weights()]
    one = fb.Loss(name)
    value, sums = 0.0, [np.zeros_like(w) for w in start]
    for r in range(n):  # each row alone, and its mean over the outputs times their number
        loss, _, tape = oracle.gradient(network.layers, one, start, X[r : r + 1], y[r : r + 1])
        value += weight[r] * loss * sizes[2]
        for i, total in enumerate(sums):
            total += weight[r] * sizes[2] * np.asarray(tape.gradients[i])
    for i, (l1, l2, _) in enumerate(oracle.penalties(network.layers)):
        value += l2 / 2 * (start[i] ** 2).sum() + l1 * np.abs(start[i]).sum()
        sums[i] += l2 * start[i] + l1 * np.sign(start[i])
    gradients = oracle.clipped(network.optimizer, [total / weight.sum() for total in sums])
    given = weight if weighted else None
    history = network.fit(
        X, y, batch_size=n, sample_weight=given, shuffle=False, n_threads=threads, verbose=False
    )
    size = value / weight.sum()
    assert_near(history["loss"], [size], dtype=dtype, length=n + 40, magnitude=size, name="loss")
    for got, w, g in zip(network.get_weights(), start, gradients, strict=True):
        assert_near(got, w - RATE * g, dtype=dtype, length=n + 40, magnitude=1, name="w")
    if not clip:
        assert_different(network.get_weights()[0], start[0], dtype=dtype, length=n, magnitude=1)


@pytest.mark.parametrize("rows", [64, 50], ids=["equal batches", "a shorter last one"])
def test_the_loss_is_the_same_however_an_epoch_is_run(rows: int, backend: str) -> None:
    """Whole, batch by batch for a callback, from chunks, and in single steps."""
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(rows, 4)), rng.normal(size=rows)

    def network() -> fb.Network:
        return fb.Network(
            [fb.Input(4), fb.Dense(6, "tanh", l2=0.5), fb.Dense(1)], seed=2, backend=backend,
            loss=fb.Loss("mse", with_penalties=True),
        )  # fmt: skip

    options: dict[str, Any] = {"batch_size": 16, "shuffle": False, "verbose": False}
    whole, parted, chunked, steps = (network() for _ in range(4))
    expected = whole.fit(X, y, **options)["loss"]
    callback = fb.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    assert_agrees(
        parted.fit(X, y, callbacks=[callback], **options)["loss"], expected, within=ESTIMATOR_SINGLE
    )
    assert_agrees(chunked.fit([(X, y)], **options)["loss"], expected, within=ESTIMATOR_SINGLE)
    found = [steps.train_on_batch(X[i : i + 16], y[i : i + 16]) for i in range(0, rows, 16)]
    sizes = [min(16, rows - i) for i in range(0, rows, 16)]
    assert_agrees([np.average(found, weights=sizes)], expected, within=ESTIMATOR_SINGLE)
    for other in (parted, chunked, steps):
        for a, b in zip(whole.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    assert whole.evaluate(X, y)["loss"] < expected[0]  # without penalties


def test_a_batch_that_weighs_nothing_changes_nothing(backend: str) -> None:
    network = fb.Network(
        [fb.Input(2), fb.Dense(1, l2=1.0)], loss=fb.Loss("mse", with_penalties=True), seed=0,
        optimizer=fb.SGD(0.1), backend=backend,
    )  # fmt: skip
    network.set_weights([[[1.0], [2.0]], [0.5]])
    weight = [0.0, 0.0, 1.0, 1.0]
    loss = network.fit(
        np.zeros((4, 2)), np.full(4, 0.5), batch_size=2, shuffle=False, sample_weight=weight,
        verbose=False,
    )["loss"]  # fmt: skip
    assert_near(loss, [5 / 2 / 2], dtype="float32", length=9)
    assert_near(network.get_weights()[0], [[0.95], [1.9]], dtype="float32", length=9)


def test_by_hand(backend: str) -> None:
    """Rows x = 1, 2, y = x, w = 2: loss (1 + 4 + 3 / 2 w^2) / 2 = 5.5; slope (2 + 8 + 3 w) / 2."""
    network = fb.Network(
        [fb.Input(1), fb.Dense(1, use_bias=False, weights=[[2.0]], l2=3.0)], backend=backend,
        loss=fb.Loss("mse", with_penalties=True), optimizer=fb.SGD(0.1),
    )  # fmt: skip
    loss = network.train_on_batch([[1.0], [2.0]], [1.0, 2.0])
    assert_near(loss, 5.5, dtype="float32", length=9)
    assert_near(network.get_weights()[0], [[2 - 0.1 * 8]], dtype="float32", length=9)


def test_description() -> None:
    loss = fb.Loss("bce", sum_outputs=True, with_penalties=True)
    assert repr(loss) == "Loss('binary_cross_entropy', sum_outputs=True, with_penalties=True)"
    assert fb.Loss(**loss.to_config()) == loss != fb.Loss("bce")
    assert fb.Loss("bce").to_config() == {"name": "binary_cross_entropy"}
    assert loss.divisor(3) == 1 and fb.Loss("bce").divisor(3) == 3
    network = fb.Network([2, 3], loss=loss, seed=0)
    assert network.copy().loss == loss
    for name in ("sum_outputs", "with_penalties"):
        with refuses(TypeError, f"{name} must be True or False, got 1"):
            fb.Loss("mse", **{name: 1})

"""What a training call finds after each epoch by itself: metrics, validation, early stopping."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.tolerance import assert_near

import fastbp as fb
from fastbp.backend.numpy import watch as place
from fastbp.runtime import engine_cache

Array = NDArray[Any]
EPOCHS, BATCH = 4, 24

# widths for the latency path (with batches of 3), rows in the lanes, either regime
SIZES = [([4, 5], 3), ([4, 9], BATCH), ([4, 40], BATCH), ([4, 130], BATCH)]
LOSSES = {
    "mse": ("mae", "mse"),
    "huber": ("mse", "mae"),
    "binary_cross_entropy": ("accuracy", "mae", "mse"),
    "cross_entropy": ("accuracy", "mae", "mse"),
    "cross_entropy of probabilities": ("mse", "accuracy", "mae"),
}
every_size = pytest.mark.parametrize(("sizes", "batch"), SIZES, ids=str)
every_loss = pytest.mark.parametrize("name", LOSSES)


def network_of(name: str, sizes: list[int], n_outputs: int, **options: Any) -> fb.Network:
    return fb.Network(
        [*sizes, n_outputs], activation="tanh", loss=name.split()[0], seed=5,
        optimizer=fb.Adam(0.02), **options,
    )  # fmt: skip


def data(name: str, rows: int, n_outputs: int, dtype: str) -> tuple[Array, Array]:
    rng = np.random.default_rng(11)
    X = rng.normal(size=(rows, 4)).astype(dtype)
    if name == "cross_entropy":
        return X, rng.integers(0, n_outputs, rows).astype(np.int32)
    if name == "cross_entropy of probabilities":
        return X, rng.dirichlet(np.ones(n_outputs), rows).astype(dtype)
    if name == "binary_cross_entropy":
        return X, rng.integers(0, 2, (rows, n_outputs)).astype(dtype)
    return X, rng.normal(size=(rows, n_outputs)).astype(dtype)


def figure(metric: str, response: Array, y: Array, weight: Array) -> float:
    """By its definition, in float64."""
    response, total = response.astype(np.float64), weight.sum()
    if y.ndim == 1 or metric == "accuracy" and abs(y.sum(axis=1) - 1).max() < 1e-3:
        labels = y if y.ndim == 1 else y.argmax(axis=1)
        if metric == "accuracy":
            return float((weight * (response.argmax(axis=1) == labels)).sum() / total)
        y = np.eye(response.shape[1])[labels]
    error = (response >= 0.5) == (y >= 0.5) if metric == "accuracy" else response - y
    error = np.abs(error) if metric != "mse" else error**2
    return float((weight[:, np.newaxis] * error).sum() / total / y.shape[1])


def train(network: fb.Network, X: Array, y: Array, batch: int, **asked: Any) -> Array:
    """The losses of EPOCHS epochs in order, one thread."""
    state = network._state
    engine, _, _ = engine_cache.take_trainer(state, batch, 1, 1)
    losses = np.full(EPOCHS, np.nan)
    engine.train(X, y, batch_size=batch, epochs=EPOCHS, losses=losses, **asked)
    network.progress = engine.take_progress(state)  # type: ignore[attr-defined]
    return losses


@every_size
@pytest.mark.parametrize(
    ("name", "n_outputs"),
    [(name, n) for name in LOSSES for n in (1, 2, 6) if n > 1 or name[0] != "c"],  # no single class
)
@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_of_the_steps(
    name: str,
    sizes: list[int],
    batch: int,
    n_outputs: int,
    weighted: bool,
    backend: str,
    dtype: str,
) -> None:
    """Those of the outputs before each update, weighted; the training is the same without them."""
    rows, metrics = 53, LOSSES[name]
    X, y = data(name, rows, n_outputs, dtype)
    weight = np.random.default_rng(3).integers(0, 3, rows).astype(np.float64) if weighted else None
    given: dict[str, Any] = {}
    if weight is not None:
        own = np.broadcast_to(weight.astype(dtype)[:, np.newaxis], (rows, n_outputs))
        given = {"weight": own, "row_weight": weight}
    network = network_of(name, sizes, n_outputs, dtype=dtype, backend=backend)
    record = np.full((EPOCHS, len(metrics)), np.nan)
    losses = train(network, X, y, batch, metrics=metrics, record=record, **given)
    plain = network_of(name, sizes, n_outputs, dtype=dtype, backend=backend)
    assert np.array_equal(train(plain, X, y, batch, **given), losses)
    weights = np.ones(rows) if weight is None else weight
    twin = network_of(name, sizes, n_outputs, dtype=dtype, backend=backend)
    for epoch in range(EPOCHS):
        response = np.empty((rows, n_outputs))
        for begin in range(0, rows, batch):
            part = slice(begin, begin + batch)
            response[part] = twin.predict(X[part])
            own_weights = {key: value[part] for key, value in given.items()}
            engine_cache.engine(twin._state, "train", len(X[part]))[0].train_batch(
                X[part], y[part], **own_weights
            )
        for m, metric in enumerate(metrics):
            want = figure(metric, response, y, weights)
            if metric == "accuracy":
                assert abs(record[epoch, m] - want) < 0.5 / rows
            else:
                assert_near(record[epoch, m], want, dtype=dtype, length=2**9, magnitude=want + 1)


@every_loss
@pytest.mark.parametrize("weighted", [False, True])
def test_validation_is_that_of_evaluate(
    name: str, weighted: bool, backend: str, dtype: str
) -> None:
    """To the bit, and neither changes the training."""
    X, y = data(name, 53, 3, dtype)
    Xv, yv = data(name, 300, 3, dtype)
    metrics = LOSSES[name]
    weight = np.random.default_rng(3).integers(0, 3, 300).astype(np.float64) if weighted else None
    given: dict[str, Any] = {}
    if weight is not None:
        given["weight"] = np.broadcast_to(weight.astype(dtype)[:, np.newaxis], (300, 3))
    network, twin = (network_of(name, [4, 40], 3, dtype=dtype, backend=backend) for _ in range(2))
    validator = engine_cache.take_predictor(network._state, 1)
    own = given if weight is None else given | {"row_weight": weight}
    validator.bind_validation(Xv, yv, metrics=metrics, **own)
    record = np.full((EPOCHS, 1 + len(metrics)), np.nan)
    losses = train(network, X, y, BATCH, record=record, validator=validator)
    for epoch in range(EPOCHS):
        state = twin._state
        one = np.zeros(1)
        engine = engine_cache.take_trainer(state, BATCH, 1, 1)[0]
        engine.train(X, y, batch_size=BATCH, epochs=1, losses=one)
        engine.take_progress(state)
        assert one[0] == losses[epoch]
        found = np.zeros(1 + len(metrics))
        engine_cache.take_predictor(state, 1).evaluate(Xv, yv, found, metrics=metrics, **given)
        response, total = twin.predict(Xv), float(300 if weight is None else weight.sum())
        assert record[epoch, 0] == found[0] / (total * state.loss.divisor(3))
        for m, metric in enumerate(metrics):
            weights = np.ones(300) if weight is None else weight
            want = figure(metric, response, yv, weights)
            assert_near(record[epoch, 1 + m], want, dtype=dtype, length=2**9, magnitude=want + 1)
    assert network.get_weights()[0].tobytes() == twin.get_weights()[0].tobytes()


def watch_of(column: int, *, sign: float = 1.0, min_delta: float = 0.0, patience: int = 2) -> Array:
    return np.array([column, sign, min_delta, patience, np.nan, sign * np.inf, 0, -1])


def test_stops_and_keeps_the_best(backend: str, dtype: str) -> None:
    """With a rate of 0 no epoch is better than the first: it stops `patience` epochs later."""
    X, y = data("mse", 53, 2, dtype)
    network = network_of("mse", [4, 9], 2, dtype=dtype, backend=backend)
    watch, best = watch_of(0), np.zeros_like(network._state.parameters)
    losses = train(network, X, y, BATCH, rates=np.zeros(3 * EPOCHS), watch=watch, best=best)
    assert network.progress[:2] == (4, 3) and np.isnan(losses[3])  # type: ignore[attr-defined]
    assert watch[place.BEST] == losses[0] and watch[place.BEST_EPOCH] == 0
    assert watch[place.WAIT] == 2 and np.array_equal(best, network._state.parameters)
    assert network._state.epochs == 3


def test_best_epoch_of_a_metric(backend: str) -> None:
    """Of a column of `record`, larger being better."""
    X, y = data("cross_entropy", 53, 3, "float32")
    network = network_of("cross_entropy", [4, 9], 3, backend=backend)
    record = np.zeros((EPOCHS, 1))
    watch, best = watch_of(1, sign=-1.0, patience=9), np.zeros_like(network._state.parameters)
    train(network, X, y, BATCH, metrics=("accuracy",), record=record, watch=watch, best=best)
    assert watch[place.BEST] == record.max()
    assert watch[place.BEST_EPOCH] == record[:, 0].argmax()


def test_min_delta_and_baseline(backend: str) -> None:
    """Keras's rule: what is better by less does not count; a baseline never reached ends it."""
    X, y = data("mse", 53, 2, "float64")
    for changes, epochs in (({"min_delta": 1e9}, 3), ({"baseline": -1.0}, 2)):
        network = network_of("mse", [4, 9], 2, dtype="float64", backend=backend)
        watch = watch_of(0, min_delta=changes.get("min_delta", 0.0))
        watch[place.BASELINE] = changes.get("baseline", np.nan)
        if "min_delta" in changes:
            watch[place.BEST] = 1e12
        train(network, X, y, BATCH, rates=np.zeros(3 * EPOCHS), watch=watch)
        assert network._state.epochs == epochs


def test_what_does_not_fit_is_refused(backend: str) -> None:
    X, y = data("mse", 53, 2, "float32")
    network = network_of("mse", [4, 9], 2, backend=backend)
    if backend == "cython":
        with pytest.raises(ValueError, match="watch does not name a column"):
            train(network, X, y, BATCH, watch=watch_of(1))
        with pytest.raises(ValueError, match="record is too small"):
            train(network, X, y, BATCH, metrics=("mae",), record=np.zeros((1, 1)))
    with pytest.raises(ValueError, match="unknown metric 'accuracy'"):
        train(network, X, y, BATCH, metrics=("accuracy",), record=np.zeros((EPOCHS, 1)))


@every_size
@every_loss
@pytest.mark.parametrize("shuffles", [False, True])
def test_outputs_of_the_steps(
    name: str, sizes: list[int], batch: int, shuffles: bool, backend: str, dtype: str
) -> None:
    """Of the last epoch, in the order of the rows; before the update, and without the activation
    that belongs to the loss.
    """
    rows = 53
    X, y = data(name, rows, 3, dtype)
    network, twin = (network_of(name, sizes, 3, dtype=dtype, backend=backend) for _ in range(2))
    outputs = np.full((rows, 3), np.nan, dtype)
    given: dict[str, Any] = {"shuffled": np.empty(rows, np.uint32)} if shuffles else {}
    train(network, X, y, batch, outputs=outputs, **given)
    state, order = twin._state, np.arange(rows)
    for epoch in range(EPOCHS):
        if shuffles:
            order = fb.random.permutation(rows, seed=0, epoch=epoch)
        for begin in range(0, rows, batch):
            part = order[begin : begin + batch]
            want = np.empty((len(part), 3), dtype)
            predictor = engine_cache.take_predictor(state, 1)
            predictor.predict(X[part], want, "linear", 1)
            engine_cache.give_back(state, predictor)
            own = np.empty_like(want)
            engine = engine_cache.engine(state, "train", len(part))[0]
            engine.train_batch(X[part], y[part], outputs=own)
            engine.take_progress(state)
            for got in (own, *([outputs[part]] if epoch == EPOCHS - 1 else [])):
                size = np.abs(want) + 1
                assert_near(got, want, dtype=dtype, length=2**7, magnitude=size)


@pytest.mark.parametrize("weighted", [False, True])
def test_an_epoch_in_parts_has_the_figures_of_the_whole(
    weighted: bool, backend: str, dtype: str
) -> None:
    """To the bit: the sums go on where the part before ended."""
    rows, metrics = 53, ("accuracy", "mae")
    X, y = data("cross_entropy", rows, 3, dtype)
    given: dict[str, Any] = {}
    if weighted:
        weight = np.random.default_rng(3).uniform(0.1, 3, rows)
        own = np.broadcast_to(weight.astype(dtype)[:, np.newaxis], (rows, 3))
        given = {"weight": own, "row_weight": weight}
    whole, parted = (
        network_of("cross_entropy", [4, 40], 3, dtype=dtype, backend=backend) for _ in range(2)
    )
    engine = engine_cache.engine(whole._state, "train", 5)[0]
    loss, record = np.zeros(1), np.zeros((1, 2))
    engine.train(X, y, batch_size=5, epochs=1, losses=loss, metrics=metrics, record=record, **given)
    engine = engine_cache.engine(parted._state, "train", 5)[0]
    part_loss, part_record, total = np.zeros(1), np.zeros((1, 2)), np.zeros(4)
    for begin, end in ((0, 15), (15, 20), (20, 53)):
        part = slice(begin, end)
        engine.train(
            X[part], y[part], batch_size=5, epochs=1, losses=part_loss, metrics=metrics,
            record=part_record, total=total, **{key: value[part] for key, value in given.items()},
        )  # fmt: skip
    assert np.array_equal(loss, part_loss) and np.array_equal(record, part_record)
    assert_near(total[1], given["row_weight"].sum() if weighted else rows, dtype=dtype, length=rows)

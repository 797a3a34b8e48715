"""What the engine finds of each epoch by itself is what is found by leaving it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.tolerance import assert_near

import fastbp as fb
from fastbp.runtime import fit

RNG = np.random.default_rng(8)
X, XV = RNG.normal(size=(90, 5)), RNG.normal(size=(40, 5))
Y, YV = (X[:, 0] > 0).astype(int) + (X[:, 1] > 1), (XV[:, 0] > 0).astype(int) + (XV[:, 1] > 1)


class ByHand(fb.EarlyStopping):
    """The same, which the engine leaves alone because its class is another."""


def make(backend: str, dtype: str = "float64", **options: Any) -> fb.Network:
    options = {"metrics": ["accuracy", "mae"], "optimizer": fb.Adam(0.1)} | options
    return fb.Network(
        [5, 7, 3], activation="tanh", loss="cross_entropy", dtype=dtype, backend=backend, seed=6,
        **options,
    )  # fmt: skip


def weights(network: fb.Network) -> bytes:
    return b"".join(w.tobytes() for w in network.get_weights())


STOPS: list[dict[str, Any]] = [
    {"monitor": "loss", "patience": 2, "min_delta": 0.05},
    {"monitor": "val_loss", "patience": 1},
    {"monitor": "val_loss", "patience": 0},
    {"monitor": "val_loss", "patience": 3, "start_from_epoch": 6},
    {"monitor": "val_accuracy", "patience": 3},
    {"monitor": "accuracy", "patience": 4, "mode": "max"},
    {"monitor": "val_mae", "patience": 3, "restore_best_weights": False},
    {"monitor": "val_loss", "patience": 5, "baseline": 0.01},
    {"monitor": "loss", "patience": 100},
]


@pytest.mark.parametrize("options", STOPS, ids=str)
@pytest.mark.parametrize("verbose", [0, 2])
def test_early_stopping(options: dict[str, Any], verbose: int, backend: str, dtype: str) -> None:
    """History, weights and what the callback says of itself, whoever decides."""
    found = []
    for kind in (fb.EarlyStopping, ByHand):
        network, stop = make(backend, dtype), kind(**options)
        past = network.fit(
            X, Y, epochs=40, batch_size=16, validation_data=(XV, YV), callbacks=[stop],
            verbose=verbose,
        )  # fmt: skip
        said = stop.best, stop.best_epoch, stop.wait, stop.stopped_epoch, stop.best_weights
        why = str(past.reason).replace("ByHand", "EarlyStopping")
        found.append((past.history, past.epoch, past.stopped, why, said, weights(network)))
    served, by_hand = found
    assert served == by_hand
    assert (served[2] == "early stopping") == (options["patience"] < 100)


def test_whole_epochs_run_in_one_call(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    run = fit.Epochs.run

    def counted(self: fit.Epochs, epochs: int, **options: Any) -> Any:
        calls.append(epochs)
        return run(self, epochs, **options)

    monkeypatch.setattr(fit.Epochs, "run", counted)
    make(backend).fit(
        X, Y, epochs=30, validation_data=(XV, YV), callbacks=[fb.EarlyStopping(patience=99)]
    )
    assert calls == [30]
    make(backend, metrics=["f1"]).fit(X, Y, epochs=3, validation_data=(XV, YV))
    assert calls == [30, 1, 1, 1]


def test_stopped_fit_goes_on(backend: str) -> None:
    """A callback can be used again, and the network trained on."""
    network, stop = make(backend), fb.EarlyStopping(monitor="val_loss", patience=1)
    for _ in range(2):
        past = network.fit(X, Y, epochs=50, validation_data=(XV, YV), callbacks=[stop])
        assert past.stopped == "early stopping" and len(past) < 50
        assert stop.stopped_epoch == past.epoch[-1]
    assert network.history.reason.startswith("EarlyStopping after epoch")


@pytest.mark.parametrize("metrics", [["accuracy", "mae", "mse"], ["f1", "accuracy", "roc_auc"]])
@pytest.mark.parametrize("weighted", [False, True])
def test_parts_have_the_figures_of_whole_epochs(
    metrics: list[str], weighted: bool, backend: str, dtype: str
) -> None:
    """With a callback between batches, and of data that are converted in parts."""
    weight = np.arange(90) % 3 if weighted else None

    class Batches(fb.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            pass

    options = {"epochs": 4, "batch_size": 16, "sample_weight": weight}
    whole, parted = make(backend, dtype, metrics=metrics), make(backend, dtype, metrics=metrics)
    past = whole.fit(X, Y, validation_data=(XV, YV), **options).history
    other = parted.fit(X, Y, validation_data=(XV, YV), callbacks=[Batches()], **options).history
    assert past == other and weights(whole) == weights(parted)


def test_figures_of_chunks(backend: str) -> None:
    """Those that are sums."""
    whole, chunks = make(backend), make(backend)
    past = whole.fit(X, Y, epochs=3, batch_size=16, shuffle=False).history
    parts = [(X[:50], Y[:50]), (X[50:], Y[50:])]
    assert chunks.fit(parts, epochs=3, batch_size=16, shuffle=False).history == past


def test_metrics_are_those_of_the_steps(backend: str, dtype: str) -> None:
    """Each from the outputs before its update; by name what the functions say."""
    metrics = ["accuracy", "mae", "f1", "log_loss"]
    network, twin = (make(backend, dtype, metrics=metrics) for _ in range(2))
    batches = [list(range(i, min(i + 16, 80))) for i in range(0, 80, 16)]  # ten rows are left out
    past = network.fit(X, Y, batches=batches).history
    response = np.zeros((80, 3))
    for rows in batches:
        response[rows] = twin.predict(X[rows])
        twin.train_on_batch(X[rows], Y[rows])
    response = response.astype(dtype)
    for name in metrics:
        want = fb.metric.metric(name, loss=network.loss)(response, Y[:80].astype(np.int32))
        assert_near(past[name][0], want, dtype=dtype, length=2**10, magnitude=1 + want)


@pytest.mark.parametrize("n_threads", [2, 3, 4])
def test_threads_change_no_bit(n_threads: int) -> None:
    found = []
    for threads in (1, n_threads):
        network = fb.Network(
            [5, 300, 3], loss="cross_entropy", metrics=["accuracy", "mae"], seed=6, backend="cython"
        )
        past = network.fit(
            X, Y, epochs=5, batch_size=90, n_threads=threads, validation_data=(XV, YV),
            callbacks=[fb.EarlyStopping(monitor="val_loss", patience=2)],
        )  # fmt: skip
        found.append((past.history, weights(network)))
    assert found[0] == found[1]


def test_divergence_keeps_the_figures_of_what_was_done(backend: str) -> None:
    network = fb.Network(
        [5, 7, 1], optimizer=fb.SGD(fb.PiecewiseConstantDecay([12], [0.01, 1e300])), seed=6,
        metrics=["mae"], dtype="float64", backend=backend,
    )  # fmt: skip
    with pytest.raises(fb.DivergenceError):
        network.fit(X, X[:, 0], epochs=9, batch_size=15, validation_data=(XV, XV[:, 0]))
    past = network.history
    assert past.epoch == [0, 1] and past.stopped == "diverged"
    assert {len(own) for own in past.history.values()} == {2}


@pytest.mark.parametrize("shuffle", [False, True])
def test_metrics_of_an_epoch_that_ended_early(shuffle: bool, backend: str) -> None:
    """Those of the batches that came, as the loss is: here they are the same number."""

    class Stops(fb.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = batch == 2

    network = fb.Network([5, 1], metrics=["mse", "rmse"], seed=0, dtype="float64", backend=backend)
    history = network.fit(X, X[:, 0], batch_size=8, shuffle=shuffle, callbacks=[Stops()])
    assert_near(history["rmse"][0] ** 2, history["loss"][0], dtype="float64", length=90)
    assert_near(history["mse"], history["loss"], dtype="float64", length=90)


@pytest.mark.parametrize("loss", ["mse", "half_sse"])
def test_errors_of_the_targets_that_are_there(loss: str, backend: str) -> None:
    T = np.where(np.random.default_rng(0).random((90, 3)) < 0.3, np.nan, X[:, :3])
    network = fb.Network(
        [5, 3], loss=loss, metrics=["mae", "mse"], optimizer=fb.SGD(0.0), seed=0, dtype="float64",
        backend=backend,
    )  # fmt: skip
    error = (network.predict(X) - T)[~np.isnan(T)]
    expected = [np.abs(error).mean(), (error**2).mean()]
    found = network.evaluate(X, T, ignore_nan=True)
    history = network.fit(X, T, ignore_nan=True)
    assert_near([found["mae"], found["mse"]], expected, dtype="float64", length=270)
    assert_near([history["mae"][0], history["mse"][0]], expected, dtype="float64", length=270)


def test_no_average_after_reset(backend: str) -> None:
    network = fb.Network([5, 1], optimizer=fb.Adam(ema=0.9), seed=0, backend=backend)
    network.fit(X, X[:, 0])
    network.evaluate(X, X[:, 0], ema=True)
    network.reset(1)
    with pytest.raises(RuntimeError, match="no average of parameters before the first step"):
        network.evaluate(X, X[:, 0], ema=True)

"""When training ends, and with which weights."""

import json
import math

import numpy as np
import pytest
from support.keras_peer import keras_result, needs_keras
from support.network_state import classification
from support.refusal import Bad, bad_input, refused

import fastbp as fb
from fastbp.callback.monitor import Patience

LOSSES = {
    "falls": [5, 4, 3, 2, 1, 0.5],
    "rises": [1, 2, 3, 4, 5, 6],
    "valley": [5, 3, 2, 4, 6, 7, 8, 9],
    "two valleys": [5, 3, 4, 4, 2, 3, 3, 3, 3, 1],
    "slow": [5, 4.9, 4.8, 4.7, 4.6, 4.5, 4.4, 4.3],
    "flat": [1, 1, 1, 1, 1, 1],
}
OPTIONS = [
    {"patience": 0},
    {"patience": 1},
    {"patience": 3},
    {"patience": 2, "min_delta": 0.15},
    {"patience": 2, "baseline": 2.5},
    {"patience": 2, "start_from_epoch": 3},
    {"patience": 2, "mode": "max"},
    {"patience": 1, "restore_best_weights": False},
]


class Model:
    """Its weights are the number of the epoch that it has trained."""

    stop_training = False
    epoch: int

    def get_weights(self):
        return [np.array([self.epoch])]

    def set_weights(self, weights):
        self.epoch = int(weights[0][0])


def _trained(callback, losses):
    """[epochs run, the epoch of the weights, stopped, best, wait]."""
    model = Model()
    callback.set_params({"metrics": ["loss"]})
    callback.set_model(model)
    callback.on_train_begin()
    epoch = 0
    for epoch, loss in enumerate(losses):
        model.epoch = epoch
        callback.on_epoch_end(epoch, {"loss": loss})
        if model.stop_training:
            break
    callback.on_train_end()
    return [epoch, model.epoch, callback.stopped_epoch, callback.best_epoch, callback.wait]


KERAS = """
found = []
for options in OPTIONS:
    for losses in LOSSES.values():
        callback, model = keras.callbacks.EarlyStopping("loss", **options), Model()
        callback.set_model(model)
        callback.on_train_begin()
        for epoch, loss in enumerate(losses):
            model.epoch = epoch
            callback.on_epoch_end(epoch, {"loss": loss})
            if model.stop_training:
                break
        callback.on_train_end()
        best_epoch = callback.best_epoch
        found.append([epoch, model.epoch, callback.stopped_epoch, best_epoch, callback.wait])
print(json.dumps(found))
"""


@needs_keras
@pytest.mark.slow
def test_as_keras_does():
    def option(options):
        return {"restore_best_weights": True} | options

    cases = [(option(options), losses) for options in OPTIONS for losses in LOSSES.values()]
    own = [_trained(fb.EarlyStopping("loss", **options), losses) for options, losses in cases]
    code = KERAS.replace("OPTIONS", repr([option(options) for options in OPTIONS]))
    theirs = keras_result(code.replace("LOSSES", json.dumps(LOSSES)))
    for case, a, b in zip(cases, own, theirs, strict=True):
        assert a == b, case


def test_by_hand():
    found = _trained(fb.EarlyStopping(patience=2), LOSSES["valley"])
    assert found == [4, 2, 4, 2, 2]  # 4, 6 are no improvement on 2 at epoch 2
    found = _trained(fb.EarlyStopping(patience=2, restore_best_weights=False), LOSSES["valley"])
    assert found[:2] == [4, 4]
    assert _trained(fb.EarlyStopping(patience=9), LOSSES["valley"])[:3] == [7, 2, 0]


def test_nan_is_never_the_best():
    patience = Patience(patience=3)
    ends = [patience.ends(epoch, x) for epoch, x in enumerate([math.nan, 2.0, math.nan, 3.0, 3.0])]
    assert ends == [False, False, False, False, True] and patience.best == 2.0


def _case(backend: str):
    X, y = classification(60, 4, 3)
    options = {"loss": "cross_entropy", "optimizer": fb.Adam(0.05), "seed": 1, "backend": backend}
    return fb.Network([4, 16, 3], **options), X[:40], y[:40], (X[40:], y[40:])


@pytest.mark.parametrize("metrics", [(), ("accuracy",)])
def test_the_network_is_that_of_the_best_epoch(metrics, backend):
    """Labels by chance: the loss of rows that are not trained on soon rises."""
    network, X, y, validation_data = _case(backend)
    network.metrics = metrics
    reference = network.copy()
    stop = fb.EarlyStopping(patience=4)
    history = network.fit(X, y, epochs=200, validation_data=validation_data, callbacks=[stop])
    losses = history["val_loss"]
    assert stop.best == min(losses) == losses[stop.best_epoch]
    assert stop.stopped_epoch == stop.best_epoch + 4 == history.epoch[-1] < 199
    assert history.stopped == "early stopping"
    where = f"of epoch {stop.best_epoch + 1} for 4 epochs"  # from 1, as "after epoch 12 of 200"
    assert f"has not improved on {stop.best:.6g} {where}" in history.reason
    assert f"after epoch {stop.stopped_epoch + 1} of 200" in history.reason
    reference.fit(X, y, epochs=stop.best_epoch + 1)
    for a, b in zip(network.get_weights(), reference.get_weights(), strict=True):
        assert np.array_equal(a, b)
    assert network.evaluate(*validation_data)["loss"] == stop.best


def test_loss_where_there_is_no_validation_data(backend):
    network, X, y, _ = _case(backend)
    stop = fb.EarlyStopping(patience=1, min_delta=0.5)
    history = network.fit(X, y, epochs=50, callbacks=[stop])
    assert stop.monitored == "loss" and stop.best == history["loss"][stop.best_epoch]
    assert history.stopped == "early stopping"


def test_epochs_without_validation_do_not_count(backend):
    network, X, y, validation_data = _case(backend)
    stop = fb.EarlyStopping(patience=2, min_delta=100)
    history = network.fit(
        X, y, epochs=50, validation_data=validation_data, validation_freq=3, callbacks=[stop]
    )
    assert stop.best_epoch == 2 and history.epoch[-1] == 8 and len(history["val_loss"]) == 3


def test_used_again(backend):
    network, X, y, _ = _case(backend)
    stop = fb.EarlyStopping(patience=1, min_delta=100)
    for _ in range(2):
        history = network.fit(X, y, epochs=50, callbacks=[stop])
        assert len(history) == 2 and stop.stopped_epoch == 1


@pytest.mark.parametrize(
    "bad",
    [
        Bad("monitor", lambda: fb.EarlyStopping(monitor=3), TypeError, "monitor must be a name"),
        Bad("monitor", lambda: fb.EarlyStopping(mode="up"), ValueError, "mode must be one of auto"),
        Bad("monitor", lambda: fb.EarlyStopping(patience=1.5), TypeError, "patience must be an in"),
        Bad("monitor", lambda: fb.EarlyStopping(patience=-1), ValueError, "patience must be an in"),
        Bad("monitor", lambda: fb.EarlyStopping(baseline="a"), TypeError, "baseline must be"),
        Bad("monitor", lambda: fb.ReduceLROnPlateau(factor=1), ValueError, r"factor must be in \["),
        Bad("monitor", lambda: fb.ReduceLROnPlateau(cooldown=-1), ValueError, "cooldown must be"),
    ],
)
def test_options(bad):
    with pytest.raises(bad.error, match=bad.text):
        bad.call()


@bad_input("monitor")
@pytest.mark.parametrize(
    ("callback", "text"),
    [
        (fb.EarlyStopping("val_loss"), "EarlyStopping: 'val_loss' needs validation data"),
        (fb.ReduceLROnPlateau("val_accuracy"), "'val_accuracy' needs validation data"),
        (fb.ModelCheckpoint("{val_loss:.2f}.npz"), "ModelCheckpoint: 'val_loss' needs validation"),
        (fb.EarlyStopping("size"), "mode must be 'min' or 'max' for monitor 'size'"),
    ],
)
def test_refused_before_training(callback, text, backend):
    network, X, y, _ = _case(backend)
    network.fit(X, y)
    refused(network, lambda: network.fit(X, y, epochs=2, callbacks=[callback]), ValueError, text)


@bad_input("monitor")
def test_a_number_that_nobody_reports(backend):
    network, X, y, _ = _case(backend)
    stop = fb.EarlyStopping("accuracy")
    with pytest.raises(ValueError, match="monitor 'accuracy' is not among loss"):
        network.fit(X, y, epochs=2, callbacks=[stop])
    assert len(network.history) == 1 and network.history.stopped == "error"

    class Measure(fb.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["size"] = epoch

    stop = fb.EarlyStopping("size", mode="min", patience=2)
    history = network.fit(X, y, epochs=9, callbacks=[Measure(), stop])
    assert history["size"] == [0, 1, 2] and stop.best == 0


@pytest.mark.parametrize("by_hand", [False, True])
def test_best_weights_after_a_divergence(by_hand, backend):
    """They are those of the best epoch, where the engine decides too."""
    X, y = classification(64, 4, 3)
    network = fb.Network(
        [4, 8, 3], loss="cross_entropy", seed=0, backend=backend,
        optimizer=fb.SGD(lambda step: 0.1 if step < 40 else 1e30),
    )  # fmt: skip
    stop, reference = fb.EarlyStopping("loss", patience=1000), network.copy()
    others = [fb.LambdaCallback(on_epoch_end=lambda epoch, logs: None)] if by_hand else []
    history = network.fit(X, y, epochs=60, callbacks=[stop, fb.TerminateOnNaN(), *others])
    assert history.stopped == "diverged"
    assert (stop.best, stop.best_epoch) == (min(history["loss"]), np.argmin(history["loss"]))
    reference.fit(X, y, epochs=stop.best_epoch + 1)
    for a, b in zip(network.get_weights(), reference.get_weights(), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("served", [False, True])
def test_a_first_number_that_is_infinite(served, backend):
    class ByHand(fb.EarlyStopping):
        pass

    X, y = np.full((8, 1), 1e30), np.zeros(8)
    network = fb.Network([1, 1], seed=0, backend=backend, optimizer=fb.SGD(0.0))
    network.set_weights([[[1.0]], [0.0]])
    stop = (fb.EarlyStopping if served else ByHand)("val_loss", patience=2)
    history = network.fit(X * 0, y, epochs=9, validation_data=(X, y), callbacks=[stop])
    assert history["val_loss"] == [math.inf] * 3 and stop.best == math.inf


def test_changed_instances_are_called(backend):
    network, X, y, _ = _case(backend)
    stop, seen = fb.EarlyStopping("loss"), []
    stop.on_epoch_end = lambda epoch, logs=None: seen.append(epoch)  # type: ignore[method-assign]
    network.fit(X, y, epochs=3, callbacks=[stop])
    assert seen == [0, 1, 2]

"""Rates that follow the epochs, beside Keras's own."""

import json

import numpy as np
import pytest
from support.keras_peer import keras_result, needs_keras
from support.refusal import Bad

import fastbp as fb

NOISE = (1 + np.random.default_rng(0).standard_normal(40) / np.sqrt(1 + np.arange(40))).tolist()
LOSSES = {
    "flat": [1.0] * 20,
    "noise": NOISE,
    "slow": (1 - 1e-5 * np.arange(30)).tolist(),
    "valley": [5.0, 4.0, 3.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1.0, 1.0, 1.0, 1.0, 1.0],
}
OPTIONS = [
    {"patience": 0},
    {"patience": 2},
    {"patience": 2, "factor": 0.5, "cooldown": 3},
    {"patience": 1, "factor": 0.5, "min_lr": 0.1},
    {"patience": 2, "min_delta": 0.5, "cooldown": 1},
    {"patience": 2, "mode": "max"},
]
needs_rate = pytest.mark.skipif(
    not hasattr(fb.Network, "learning_rate"), reason="Network has no learning_rate"
)


class Model:
    learning_rate = 1.0


def _rates(callback, losses):
    """The rate after each epoch."""
    model, found = Model(), []
    callback.set_params({"metrics": ["loss"]})
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, loss in enumerate(losses):
        callback.on_epoch_begin(epoch, {})
        callback.on_epoch_end(epoch, {"loss": loss})
        found.append(model.learning_rate)
    return found


KERAS = """
found = []
for options in OPTIONS:
    for losses in LOSSES.values():
        callback, model = keras.callbacks.ReduceLROnPlateau("loss", **options), Model()
        callback.set_model(model)
        callback.on_train_begin()
        found.append([])
        for epoch, loss in enumerate(losses):
            callback.on_epoch_end(epoch, {"loss": np.float64(loss)})
            found[-1].append(float(model.learning_rate))
print(json.dumps(found))
"""


@needs_keras
@pytest.mark.slow
def test_plateaus_as_keras_does():
    own = [
        _rates(fb.ReduceLROnPlateau("loss", **options), losses)
        for options in OPTIONS
        for losses in LOSSES.values()
    ]
    code = KERAS.replace("OPTIONS", repr(OPTIONS)).replace("LOSSES", json.dumps(LOSSES))
    assert own == keras_result(code)


def test_plateau_by_hand():
    reduce = fb.ReduceLROnPlateau(patience=2, factor=0.5, cooldown=1, min_lr=0.2)
    rates = _rates(reduce, [3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0])
    assert rates == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2]


def test_schedules_of_one_and_two_arguments():
    assert _rates(fb.LearningRateScheduler(lambda epoch, rate: rate / 2), [1, 1]) == [0.5, 0.25]
    assert _rates(fb.LearningRateScheduler(lambda epoch: 1 / (1 + epoch)), [1, 1]) == [1, 0.5]


@pytest.mark.parametrize(
    "bad",
    [
        Bad(
            "function of epochs",
            lambda: fb.LearningRateScheduler(0.1),
            TypeError,
            "schedule must be call",
        ),
        Bad(
            "function of epochs",
            lambda: _rates(fb.LearningRateScheduler(lambda epoch: None), [1]),
            TypeError,
            "what schedule returns must be a number",
        ),
        Bad(
            "function of epochs",
            lambda: _rates(fb.LearningRateScheduler(lambda epoch: -1.0), [1]),
            ValueError,
            "what schedule returns must be finite and >= 0, got -1",
        ),
    ],
)
def test_bad_schedule(bad):
    with pytest.raises(bad.error, match=bad.text):
        bad.call()


@needs_rate
def test_a_network_follows(backend):
    """The rates are those of the history, and training with them is training with each alone."""
    X = np.random.default_rng(0).standard_normal((40, 3))
    y = X[:, :1]
    network = fb.Network([3, 4, 1], optimizer=fb.Adam(0.1), seed=0, backend=backend)
    reference = network.copy()
    halve = fb.LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    history = network.fit(X, y, epochs=4, callbacks=[halve])
    assert history["learning_rate"] == [0.1, 0.05, 0.025, 0.0125]
    losses = []
    for rate in history["learning_rate"]:
        reference.learning_rate = rate
        losses += reference.fit(X, y)["loss"]
    assert history["loss"] == losses


@needs_rate
def test_a_rate_that_changes_later_is_in_the_history_from_the_first_epoch(backend):
    X = np.random.default_rng(0).standard_normal((40, 3))
    network = fb.Network([3, 1], optimizer=fb.SGD(0.1), seed=0, backend=backend)

    class Drop(fb.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                self.model.learning_rate = 0.01

    history = network.fit(X, X[:, 0], epochs=4, callbacks=[Drop()])
    assert history["learning_rate"] == [0.1, 0.1, 0.01, 0.01]
    assert "learning_rate" not in network.fit(X, X[:, 0], epochs=4)

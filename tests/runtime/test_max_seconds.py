"""A fit with a limit of time."""

import time

import numpy as np
import pytest
from support.network_state import digest, values

import fastbp as fb
from fastbp.runtime.epoch_rate import Stretch
from fastbp.runtime.pace import Pace


class Clock:
    """Time that only steps take: each `seconds`, which may change."""

    def __init__(self, network: fb.Network, seconds: float) -> None:
        self.network, self.seconds = network, seconds

    def __call__(self) -> float:
        return 1000 + self.network.steps * self.seconds


@pytest.fixture
def fit(monkeypatch):
    """Fit by such a clock; n rows, one a step."""

    def call(n, backend, *, step=0.01, network=None, **options):
        network = network or fb.Network([1, 1], seed=0, optimizer="sgd", backend=backend)
        X = np.linspace(-1, 1, n)[:, None]
        with monkeypatch.context() as patch:
            patch.setattr(time, "perf_counter", Clock(network, step))
            history = network.fit(X, X, batch_size=1, **options)
        return network, history

    return call


@pytest.mark.parametrize(
    ("n", "seconds", "steps"), [(10, 1.0, 100), (10, 0.55, 55), (1000, 0.5, 50), (10, 0.001, 1)]
)
def test_it_ends_in_time(n, seconds, steps, fit, backend):
    network, history = fit(n, backend, epochs=10**6, max_seconds=seconds)
    assert network.steps == steps and history.stopped == "max_seconds"
    assert len(history) == -(-steps // n) and network.epochs == steps // n
    part = f"{steps % n} of {n} batches of " if steps % n else ""
    assert history.reason == f"max_seconds are over after {part}epoch {len(history)} of 1000000"


def test_the_bits_are_those_of_a_plain_fit(fit, backend):
    for shuffle in (True, False):
        network, history = fit(300, backend, epochs=10**6, max_seconds=10.0, shuffle=shuffle)
        reference = fb.Network([1, 1], seed=0, optimizer="sgd", backend=backend)
        X = np.linspace(-1, 1, 300)[:, None]
        reference.train_steps(X, X, steps=network.steps, batch_size=1, shuffle=shuffle)
        assert network.steps == 1000 and values(network) == values(reference)
        assert history.epoch == [0, 1, 2, 3]


def test_of_explicit_batches(fit, backend):
    batches = [[0, 1, 2], [5], [3, 4], [7, 6, 8, 9]]
    network = fb.Network([1, 1], seed=0, optimizer="sgd", backend=backend)
    reference = network.copy()
    X = np.linspace(-1, 1, 10)[:, None]
    fit(10, backend, network=network, epochs=10**6, max_seconds=0.065, batches=batches)
    assert network.steps in (6, 7)
    for rows in (batches * 2)[: network.steps]:
        reference.fit(X, X, batches=[rows])
    for a, b in zip(network.get_weights(), reference.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_the_epochs_may_end_before(fit, backend):
    network, history = fit(10, backend, epochs=3, max_seconds=100.0)
    assert len(history) == 3 and history.stopped is None


def test_back_at_the_last_good_epoch(fit, backend):
    """A divergence in a later part of an epoch."""
    network = fb.Network([1, 1], seed=0, optimizer="sgd", backend=backend)
    reference = network.copy()
    X = np.ones((100, 1), np.float32)
    reference.fit(X, X, batch_size=1)
    network.fit(X, X, batch_size=1)
    X[70] = 1e30
    batches = [[i] for i in range(100)]
    with pytest.raises(fb.DivergenceError, match="loss is inf at epoch 1, batch 71 .*before the"):
        network.fit(X, np.ones(100), batches=batches, max_seconds=1e-3 + 1e3, verbose=0)
    with pytest.raises(fb.DivergenceError, match="loss is inf at epoch 1, batch 71 .*before the"):
        network.fit(X, np.ones(100), batches=batches, callbacks=[_EachBatch()])
    assert digest(network) == digest(reference) and network.history.stopped == "diverged"


class _EachBatch(fb.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


def test_the_time_of_callbacks_and_validation_counts(backend):
    X = np.linspace(-1, 1, 100)[:, None]
    network = fb.Network([1, 1], seed=0, optimizer="sgd", backend=backend)

    class Slow(fb.Callback):
        def on_epoch_end(self, epoch, logs=None):
            time.sleep(0.02)

    begin = time.perf_counter()
    history = network.fit(
        X, X, epochs=10**6, max_seconds=0.2, validation_data=(X, X), callbacks=[Slow()]
    )
    assert time.perf_counter() - begin < 5 and len(history) <= 11
    assert len(history["val_loss"]) == len(history)


def test_pace():
    pace = Pace()
    assert pace.fits(1.0) == 0
    pace.measured(10, 1.0)
    assert pace.fits(1.0) == 10 and pace.step == 0.1
    pace.measured(1000, 10.0)
    assert 0.01 < pace.step < 0.011


class Relative:
    """Stands for a schedule with a length."""

    def __init__(self, total=100):
        self.total, self.asked = total, []

    def stretched(self, total):
        self.asked.append(total)
        return Relative(total)


def test_a_schedule_is_stretched_and_put_back(monkeypatch):
    class State:
        class optimizer:
            learning_rate = Relative()

    schedule = State.optimizer.learning_rate
    stretch = Stretch(State)
    monkeypatch.setattr(
        stretch, "_assign",
        lambda found: (setattr(State.optimizer, "learning_rate", found),
                       setattr(stretch, "in_force", found)),
    )  # fmt: skip
    stretch.to(50)
    stretch.to(70)
    assert schedule.asked == [50, 70] and State.optimizer.learning_rate.total == 70
    stretch.undo()
    assert State.optimizer.learning_rate is schedule


@pytest.mark.skipif(not hasattr(fb, "CosineDecay"), reason="no schedules")
def test_a_schedule_ends_where_the_time_does(fit, backend):
    optimizer = fb.SGD(fb.CosineDecay(0.1, 37))
    network = fb.Network([1, 1], seed=0, optimizer=optimizer, backend=backend)
    _, history = fit(10, backend, network=network, epochs=10**6, max_seconds=2.0)
    rates = history["learning_rate"]
    assert len(rates) == 20 and rates == sorted(rates, reverse=True)
    assert 0.04 < rates[9] < 0.06 and rates[-1] < 1e-3
    assert network.optimizer == optimizer

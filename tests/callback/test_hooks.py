"""Who is called when; how a fit ends; what a callback may do."""

import threading
import time
from contextlib import suppress

import numpy as np
import pytest
from support.keras_peer import keras_result, needs_keras
from support.network_state import classification, digest, values
from support.refusal import Bad, bad_input, refused

import fastbp as fb

# A class as one writes it for Keras, with a state of its own; its base is not named.
PORTED = '''
class ProgressLogger(BASE):
    """Prints every so many batches and keeps the best epoch."""

    def __init__(self, every=2):
        super().__init__()
        self.every = every
        self.lines = []
        self.seen = 0
        self.best = None
        self.best_weights = None

    def on_train_begin(self, logs=None):
        self.seen = 0
        self.lines.append(f"training {self.params['epochs']} epochs of {self.params['steps']}")

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        logs = logs or {}
        self.seen += 1
        self.losses.append(float(logs["loss"]))
        if self.seen % self.every == 0:
            self.lines.append(f"epoch {self.epoch} batch {batch}: {'loss' in logs}")

    def on_test_begin(self, logs=None):
        self.lines.append("validation")

    def on_epoch_end(self, epoch, logs=None):
        logs = dict(logs or {})
        assert abs(self.losses[-1] - float(logs["loss"])) < 1e-6  # the mean so far
        current = float(logs["val_loss"])
        if self.best is None or current < self.best:
            self.best = current
            self.best_weights = [w.copy() for w in self.model.get_weights()]
        self.lines.append(f"epoch {epoch}: {sorted(logs)} {len(self.losses)} batches")
        if epoch == 2:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)
        self.lines.append(f"done after {self.seen} batches, {sorted(logs or {})}")
'''

KERAS_FIT = """
np.random.seed(0)
X, y = np.random.rand(50, 4).astype("float32"), np.random.rand(50, 1).astype("float32")
model = keras.Sequential([keras.layers.Dense(1)])
model.compile("sgd", "mse")
"""


def _data():
    random = np.random.default_rng(0)
    return random.random((50, 4)), random.random((50, 1))


@needs_keras
@pytest.mark.slow
def test_a_keras_class_ports_by_its_base_alone(backend):
    code = (
        PORTED.replace("BASE", "keras.callbacks.Callback")
        + KERAS_FIT
        + """
logger = ProgressLogger()
model.fit(X, y, epochs=5, batch_size=16, validation_data=(X, y), callbacks=[logger], verbose=0)
print(json.dumps(logger.lines))
"""
    )
    assert _ported(backend) == keras_result(code)


def _ported(backend: str) -> list[str]:
    names: dict = {"BASE": fb.Callback}
    exec(PORTED, names)
    network = fb.Network([4, 1], optimizer="sgd", seed=0, backend=backend)
    X, y = _data()
    logger = names["ProgressLogger"]()
    network.fit(X, y, epochs=5, batch_size=16, validation_data=(X, y), callbacks=[logger])
    assert network.evaluate(X, y)["loss"] == logger.best
    return logger.lines


def test_a_ported_class(backend):
    lines = _ported(backend)
    assert lines[0] == "training 5 epochs of 4"
    assert lines[1:5] == ["epoch 0 batch 1: True", "epoch 0 batch 3: True", "validation"] + [
        "epoch 0: ['loss', 'val_loss'] 4 batches"
    ]
    assert lines[-1] == "done after 12 batches, ['loss', 'val_loss']"


NOTES = """
HOOKS = ["train_begin", "train_end", "epoch_begin", "epoch_end", "train_batch_begin",
         "train_batch_end", "test_begin", "test_end"]

class Notes(BASE):
    def __init__(self, stop):
        super().__init__()
        self.calls, self.stop = [], stop

def note(name):
    def hook(self, *args, logs=None):
        number = [x for x in args if isinstance(x, int)]
        self.calls.append([name, *number])
        if self.calls[-1] == self.stop:
            self.model.stop_training = True
    return hook

for name in HOOKS:
    setattr(Notes, "on_" + name, note(name))
"""
STOPS = [None, ["train_batch_end", 1], ["epoch_end", 1], ["epoch_begin", 1], ["test_end"]]


def _calls(stop, backend):
    names: dict = {"BASE": fb.Callback}
    exec(NOTES, names)
    network = fb.Network([4, 1], optimizer="sgd", seed=0, backend=backend)
    X, y = _data()
    notes = names["Notes"](stop)
    history = network.fit(
        X, y, epochs=4, batch_size=16, validation_data=(X, y), validation_freq=2, callbacks=[notes]
    )
    assert history.stopped == ("stop_training" if stop else None)
    return notes.calls


@needs_keras
@pytest.mark.slow
def test_called_in_the_order_of_keras(backend):
    code = (
        NOTES.replace("BASE", "keras.callbacks.Callback")
        + KERAS_FIT
        + f"""
found = []
for stop in {STOPS}:
    notes = Notes(stop)
    model.fit(X, y, epochs=4, batch_size=16, validation_data=(X, y), validation_freq=2,
              callbacks=[notes], verbose=0)
    found.append(notes.calls)
print(json.dumps(found))
"""
    )
    for stop, theirs in zip(STOPS, keras_result(code), strict=True):
        assert _calls(stop, backend) == theirs, stop


def test_called_in_this_order(backend):
    calls = _calls(["train_batch_end", 1], backend)
    assert calls == [
        ["train_begin"], ["epoch_begin", 0],
        ["train_batch_begin", 0], ["train_batch_end", 0],
        ["train_batch_begin", 1], ["train_batch_end", 1],
        ["epoch_end", 0], ["train_end"],
    ]  # fmt: skip


# the same bits, whoever is called


class EachEpoch(fb.Callback):
    def on_epoch_end(self, epoch, logs=None):
        pass


class EachBatch(fb.Callback):
    def on_batch_end(self, batch, logs=None):
        pass


@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"batches": True}])
@pytest.mark.parametrize("layers", [[4, 8, 3], [4, 160, 130, 3]])
def test_the_same_bits_in_one_call_or_in_many(layers, options, dtype, backend):
    """Batch sizes of a power of two: the mean over an epoch is then free of other roundings."""
    X, y = classification(40, 4, 3)
    if "batches" in options:
        order = np.random.default_rng(1).permutation(40)
        options = {"batches": [order[:16], order[16:24], order[24:]]}
    found = []
    for callbacks in ([], [EachEpoch()], [EachBatch()], [EachEpoch(), EachBatch()]):
        network = fb.Network(layers, loss="cross_entropy", seed=3, dtype=dtype, backend=backend)
        history = network.fit(X, y, epochs=3, batch_size=16, callbacks=callbacks, **options)
        found.append([digest(network), history.history, history.epoch, network.steps])
    assert all(one == found[0] for one in found)


def test_of_any_number_of_threads(backend):
    X, y = classification(256, 64, 3)
    found = []
    for n_threads in (1, 2, 4):
        network = fb.Network([64, 128, 128, 3], loss="cross_entropy", seed=3, backend=backend)
        network.fit(X, y, epochs=2, batch_size=64, n_threads=n_threads, callbacks=[EachBatch()])
        found.append(digest(network))
    network = fb.Network([64, 128, 128, 3], loss="cross_entropy", seed=3, backend=backend)
    network.fit(X, y, epochs=2, batch_size=64)
    assert set(found) == {digest(network)}


def test_an_epoch_that_was_left(backend):
    """The next fit goes on with it; where its batches are others, with the second epoch."""
    X, y = classification(40, 4, 3)
    network = fb.Network([4, 3], loss="cross_entropy", seed=3, backend=backend)
    reference = network.copy()

    class Stop(fb.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    history = network.fit(X, y, epochs=3, batch_size=8, callbacks=[Stop()])
    assert len(history) == 1 and network.steps == 2
    assert history.reason == "Stop set stop_training after 2 of 5 batches of epoch 1 of 3"
    whole, rest = reference.copy(), network.copy()
    assert rest.fit(X, y, batch_size=8)["loss"] == whole.fit(X, y, batch_size=8)["loss"]
    assert digest(rest) == digest(whole) and rest.steps == 5
    reference.train_steps(X, y, steps=2, batch_size=8)
    assert values(network) == values(reference) and (network.epochs, reference.epochs) == (0, 1)
    assert network.fit(X, y)["loss"] == reference.fit(X, y)["loss"]
    assert digest(network) == digest(reference)


def test_compiled_code_is_left_only_as_often_as_asked(backend, monkeypatch):
    from fastbp.runtime.train import Epochs

    runs, run = [], Epochs.run

    def counted(self, epochs, **options):
        runs.append(epochs)
        return run(self, epochs, **options)

    monkeypatch.setattr(Epochs, "run", counted)
    X, y = classification(40, 4, 3)
    network = fb.Network([4, 3], loss="cross_entropy", seed=3, backend=backend)

    class Ends(fb.Callback):
        def on_train_end(self, logs=None):
            pass

    class Sometimes(EachEpoch):
        epochs_per_call = 3

    cases = [
        ([], {}, [10]), ([Ends(), fb.Callback(), fb.TerminateOnNaN()], {}, [10]),
        ([EachEpoch()], {}, [1] * 10), ([Sometimes()], {}, [3, 3, 3, 1]),
        ([], {"validation_data": (X, y), "validation_freq": 4}, [4, 4, 2]),
        ([Sometimes()], {"validation_data": (X, y), "validation_freq": 4}, [3, 1, 2, 2, 1, 1]),
    ]  # fmt: skip
    for callbacks, options, expected in cases:
        runs.clear()
        network.fit(X, y, epochs=10, callbacks=callbacks, **options)
        assert runs == expected


def test_what_a_callback_may_do(backend, tmp_path):
    """All that can be done between two calls; another thread is refused while steps are made."""
    X, y = classification(40, 4, 3)
    network = fb.Network([4, 3], loss="cross_entropy", seed=3, backend=backend)
    threads = []

    def ask():
        with suppress(fb.ModelBusyError):  # where it comes after the hook
            network.predict(X)

    class Curious(fb.Callback):
        def on_epoch_end(self, epoch, logs=None):
            model = self.model
            self.seen = model.evaluate(X, y)["loss"], model.predict(X).shape, model(X).shape
            model.save(tmp_path / "model.npz")
            model.copy()
            if epoch == 1:
                model.set_weights([np.zeros_like(w) for w in model.get_weights()])

        def on_train_batch_begin(self, batch, logs=None):
            threads.append(threading.Thread(target=ask))
            threads[-1].start()

    curious = Curious()
    history = network.fit(X, y, epochs=3, callbacks=[curious])
    for thread in threads:
        thread.join()
    assert history["loss"][2] > history["loss"][1]
    assert curious.seen == (network.evaluate(X, y)["loss"], (40, 3), (40, 3))
    assert not network._state.guard.readers and not network._state.guard.writers


@bad_input("busy")
def test_other_threads_during_a_callback(backend):
    """One that reads is waited for; one that trains is an error when the fit goes on."""
    X, y = classification(40, 4, 3)
    network = fb.Network([4, 3], loss="cross_entropy", seed=3, backend=backend)
    guard, ended = network._state.guard, []

    def read():
        time.sleep(0.05)
        ended.append(network.steps)
        guard.readers.discard("other")

    class Reads(fb.Callback):
        def on_epoch_end(self, epoch, logs=None):
            guard.begin_reading("other")
            threading.Thread(target=read).start()

    network.fit(X, y, epochs=2, batch_size=8, callbacks=[Reads()])
    assert ended == [5, 10]

    class Trains(fb.Callback):
        def on_epoch_end(self, epoch, logs=None):
            guard.begin_writing("other")

    with pytest.raises(fb.ModelBusyError, match="by another call during a callback"):
        network.fit(X, y, epochs=2, callbacks=[Trains()])
    assert guard.writers == {"other"} and len(network.history) == 1
    guard.writers.clear()
    network.fit(X, y)


def test_a_callback_that_trains(backend):
    X, y = classification(40, 4, 3)
    network = fb.Network([4, 3], loss="cross_entropy", seed=3, backend=backend)

    class Trains(fb.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.train_on_batch(X, y)

    history = network.fit(X, y, epochs=3, callbacks=[Trains()])
    assert network.steps == 3 * 2 + 3 and len(history) == 3


# ends


class Broken(fb.Callback):
    def __init__(self, hook, error):
        self.hook, self.error, self.ended = hook, error, False
        setattr(self, hook, self.fail)

    def fail(self, number=None, logs=None):
        if number in (None, 1) or isinstance(number, dict):
            raise self.error

    def on_train_end(self, logs=None):
        self.ended = True


@bad_input("callback that raises")
@pytest.mark.parametrize("error", [ZeroDivisionError("no"), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize(
    ("hook", "steps", "epochs"),
    [
        ("on_train_begin", 0, 0), ("on_epoch_begin", 5, 1), ("on_epoch_end", 10, 2),
        ("on_train_batch_begin", 1, 1), ("on_train_batch_end", 2, 1), ("on_test_end", 5, 1),
    ],
)  # fmt: skip
def test_a_callback_that_raises(hook, steps, epochs, error, backend):
    X, y = classification(40, 4, 3)
    network = fb.Network([4, 3], loss="cross_entropy", seed=3, backend=backend)
    reference = network.copy()
    broken = Broken(hook, error)
    with pytest.raises(type(error)):
        network.fit(X, y, epochs=4, batch_size=8, validation_data=(X, y), callbacks=[broken])
    history = network.history
    assert not broken.ended  # as in Keras
    assert network.steps == steps and history.epoch == [*range(epochs)]
    assert history.stopped == ("interrupted" if isinstance(error, KeyboardInterrupt) else "error")
    assert type(error).__name__ in history.reason and str(error) in history.reason
    if steps:
        reference.train_steps(X, y, steps=steps, batch_size=8)
    for a, b in zip(network.get_weights(), reference.get_weights(), strict=True):
        assert np.array_equal(a, b)
    network.fit(X, y)
    assert network.history.stopped is None


@bad_input("no memory")
@pytest.mark.parametrize("callback", [EachEpoch(), EachBatch()])
def test_an_allocation_that_fails(callback, backend, monkeypatch):
    """In the third call of an engine; nothing that was done is lost."""
    from fastbp.runtime import engine_cache

    X, y = classification(40, 4, 3)
    network = fb.Network([4, 3], loss="cross_entropy", seed=3, backend=backend)
    reference = network.copy()
    take, calls = engine_cache.take_trainer, []

    def fails(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise MemoryError("cannot allocate 9 GiB for activations and gradients")
        return take(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(engine_cache, "take_trainer", fails)
        with pytest.raises(MemoryError):
            network.fit(X, y, epochs=4, batch_size=40, callbacks=[callback])
    history = network.history
    assert history.epoch == [0, 1] and history.stopped == "error"
    assert history.reason == (
        "MemoryError after epoch 2 of 4: cannot allocate 9 GiB for activations and gradients"
    )
    assert reference.fit(X, y, epochs=2, batch_size=40).history == history.history
    assert digest(network) == digest(reference)
    assert network.fit(X, y)["loss"] == reference.fit(X, y)["loss"]


@pytest.mark.parametrize("callback", [EachEpoch(), EachBatch()])
def test_divergence(callback, backend):
    """The same error, the same state, whether epochs are run whole or batch by batch."""
    random = np.random.default_rng(0)
    X, y = random.standard_normal((20, 3)), random.standard_normal((20, 2))
    found = []
    for callbacks in ([], [callback]):
        network = fb.Network([3, 2], optimizer=fb.SGD(200.0), seed=1, backend=backend)
        with pytest.raises(fb.DivergenceError) as caught:
            network.fit(X, y, epochs=1000, batch_size=6, callbacks=callbacks)
        assert network.history.stopped == "diverged"
        assert network.history.reason == str(caught.value)
        found.append([str(caught.value), digest(network), network.history.epoch])
    assert found[0] == found[1] and len(found[0][2]) > 1


def test_a_divergence_that_is_expected(backend):
    random = np.random.default_rng(0)
    X, y = random.standard_normal((20, 3)), random.standard_normal((20, 2))
    network = fb.Network([3, 2], optimizer=fb.SGD(200.0), seed=1, backend=backend)
    history = network.fit(X, y, epochs=1000, batch_size=6, callbacks=[fb.TerminateOnNaN()])
    assert history.stopped == "diverged" and "parameters restored" in history.reason
    assert np.isfinite(history["loss"]).all()
    with pytest.raises(fb.DivergenceError):
        network.fit(1e30 * X, y, callbacks=[fb.TerminateOnNaN(raise_error=True)])


def test_stopped_before_it_began(backend):
    X, y = classification(40, 4, 3)
    network = fb.Network([4, 3], loss="cross_entropy", seed=3, backend=backend)

    class Never(fb.Callback):
        def on_train_begin(self, logs=None):
            self.model.stop_training = True

    assert len(network.fit(X, y, epochs=3, callbacks=[Never()])) == 0
    assert len(network.fit(X, y, epochs=3)) == 3  # the wish does not last


def test_counting_goes_on(backend):
    X, y = classification(40, 4, 3)
    together = fb.Network([4, 3], loss="cross_entropy", seed=3, backend=backend)
    apart = together.copy()
    losses = together.fit(X, y, epochs=5)["loss"]
    first = apart.fit(X, y, epochs=2)
    second = apart.fit(X, y, initial_epoch=2, epochs=5)
    assert second.epoch == [2, 3, 4] and first["loss"] + second["loss"] == losses
    assert digest(apart) == digest(together)
    assert len(apart.fit(X, y, initial_epoch=5, epochs=5)) == 0


@pytest.mark.parametrize(
    "bad",
    [
        Bad("callbacks", {"callbacks": 3}, TypeError, "callbacks must be a list of fastbp.Callb"),
        Bad("callbacks", {"callbacks": [fb.EarlyStopping]}, TypeError, r"did you mean EarlyStopp"),
        Bad("callbacks", {"callbacks": [print]}, TypeError, r"callbacks\[0\] must be a fastbp.Cal"),
        Bad("epochs of a fit", {"initial_epoch": 2}, ValueError, r"initial_epoch .* 0\.\.epochs"),
        Bad("epochs of a fit", {"initial_epoch": -1}, ValueError, "initial_epoch must be an int"),
        Bad("epochs of a fit", {"validation_freq": 0}, ValueError, "validation_freq must be an"),
        Bad("epochs of a fit", {"validation_freq": 1.5}, TypeError, "validation_freq must be an"),
        Bad("max_seconds", {"max_seconds": 0}, ValueError, "max_seconds must be finite and > 0"),
        Bad("max_seconds", {"max_seconds": float("nan")}, ValueError, "max_seconds must be finite"),
        Bad("max_seconds", {"max_seconds": "1"}, TypeError, "max_seconds must be a number"),
    ],
)
def test_bad_options(bad, backend):
    X, y = classification(40, 4, 3)
    network = fb.Network([4, 3], loss="cross_entropy", seed=3, backend=backend)
    refused(network, lambda: network.fit(X, y, **bad.call), bad.error, bad.text)


def test_an_epoch_that_a_hook_ends_with_an_exception_is_in_the_history(backend):
    class Fails(fb.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                raise OSError("no space")

    X, y = classification(64, 4, 3)
    network = fb.Network([4, 3], loss="cross_entropy", seed=0, backend=backend)
    with pytest.raises(OSError, match="no space"):
        network.fit(X, y, epochs=2, batch_size=8, callbacks=[Fails()])
    history = network.history
    assert len(history) == 1 and network.steps == 4
    assert history.reason == "OSError after 4 of 8 batches of epoch 1 of 2: no space"


def test_an_epoch_that_a_hook_ends_has_finite_parameters(backend):
    class Stops(fb.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 0

    X, y = classification(64, 4, 3)
    network = fb.Network(
        [4, 8, 3], loss="half_sse", seed=0, backend=backend, optimizer=fb.SGD(3e38)
    )
    before = digest(network)
    with pytest.raises(fb.DivergenceError, match="restored to before the call"):
        network.fit(1e3 * X, np.eye(3)[y], batch_size=8, callbacks=[Stops()])
    assert digest(network) == before


def test_logs_after_a_divergence_are_those_of_the_last_epoch(backend):
    X, y = classification(64, 4, 3)
    network = fb.Network(
        [4, 8, 3], loss="half_sse", seed=0, backend=backend,
        optimizer=fb.SGD(lambda step: 1e-3 if step < 10 else 1e30),
    )  # fmt: skip
    ends: list[dict[str, float]] = []
    end = fb.LambdaCallback(on_train_end=lambda logs: ends.append(dict(logs)))
    history = network.fit(X, np.eye(3)[y], epochs=30, callbacks=[fb.TerminateOnNaN(), end])
    assert ends[0]["loss"] == history["loss"][-1]

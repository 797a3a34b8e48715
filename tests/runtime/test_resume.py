"""A run that is stopped, saved and gone on with in a new process: the bits of one that is not."""

from __future__ import annotations

import json
import pickle
import sys
from unittest.mock import patch

import pytest
from support import child
from support.kernels import needs_kernels
from support.mark import slow_but
from support.resume_case import CASES, Counter, Stop, fit, go_on, make, result

import fastbp as fb

EPOCHS, BATCHES = 10, 6  # of each case
# The twin in NumPy has nothing of its own but the account of an epoch that is interrupted.
PAIRS = [(name, "cython") for name in CASES] + [
    (name, "numpy")
    for name in ("adam", "stops", "outputs", "converted", "draws", "draws in chunks", "everything")
]
QUICK = [(name, "cython") for name in ("adam", "stops", "draws")] + [("adam", "numpy")]

# Stops a case, and goes on with it in another process: by other means, to the same numbers.
GO_ON = """
import json, sys
from support.resume_case import result, go_on
print(json.dumps([go_on(*one, n_threads=N_THREADS) for one in json.loads(WORK)]))
"""


@pytest.fixture(scope="module")
def whole():
    """The numbers of each case that nobody stops."""
    found = {}

    def of(name, backend):
        key = name, backend
        if key not in found:
            network, data = make(name, backend)
            fit(name, network, data)
            found[key] = result(network)
        return found[key]

    return of


def _stopped(name, backend, path, **stop):
    """The file of a run that was stopped so."""
    network, data = make(name, backend)
    fit(name, network, data, **stop)
    network.save(path)
    return str(path)


def _elsewhere(work, *, n_threads=2, **environment):
    code = GO_ON.replace("WORK", repr(json.dumps(work))).replace("N_THREADS", str(n_threads))
    return child.result(code, timeout=300, **environment)


@pytest.mark.parametrize("pair", slow_but(QUICK, PAIRS), ids="-".join)
def test_after_each_epoch(pair, tmp_path, whole):
    (name, backend), work = pair, []
    for epochs in range(1, EPOCHS):
        path = _stopped(name, backend, tmp_path / f"{epochs}.npz", epochs=epochs)
        work.append([name, backend, path])
    assert _elsewhere(work) == [whole(name, backend)] * len(work)


HOWS = ["interrupt", "error", "stop_training", "max_seconds", "saved in a hook"]
STRETCHED = "schedule", "one cycle"  # by a limit of time: another training


@pytest.mark.parametrize("pair", slow_but(QUICK, PAIRS), ids="-".join)
def test_within_an_epoch(pair, tmp_path, whole):
    """At five places of different epochs, the first batch and the last one too."""
    (name, backend), work = pair, []
    for how in HOWS:
        for step in (1, 2 * BATCHES + 3, 4 * BATCHES - 1, 6 * BATCHES + 1, 9 * BATCHES + 5):
            if how == "max_seconds" and name in STRETCHED:
                continue
            path = tmp_path / f"{how} {step}.npz"
            stop = Stop(how, step)
            if how == "saved in a hook":
                stop.path = str(path)
                network, data = make(name, backend)
                fit(name, network, data, stop=stop)
            else:
                _stopped(name, backend, path, stop=stop)
            network = fb.Network.load(path)
            assert (network.epochs, network.steps) == (step // BATCHES, step)
            work.append([name, backend, str(path)])
    assert _elsewhere(work) == [whole(name, backend)] * len(work)


@needs_kernels
@pytest.mark.slow
@pytest.mark.parametrize("isa", ["v3", "v4"])
def test_on_another_build(isa, tmp_path, whole):
    from fastbp.backend import compiled_modules

    own = fb.Network([1, 1], seed=0).instruction_set
    if (isa, "float32") not in compiled_modules() or own not in ("v3", "v4"):
        pytest.skip(f"{isa} does not run here, or has other bits than {own}")
    work = []
    for i, name in enumerate(CASES):
        path = _stopped(name, "cython", tmp_path / f"{i}.npz", stop=Stop("error", 21))
        work.append([name, "cython", path])
    found = _elsewhere(work, n_threads=4, FASTBP_ISA=isa)
    assert found == [whole(name, "cython") for name in CASES]


def test_stopped_twice(backend, tmp_path, whole):
    """Within one epoch, and in another; both formats."""
    network, data = make("everything", backend)
    for step, suffix in ((2, "npz"), (4, "safetensors"), (11, "npz"), (30, "safetensors")):
        fit("everything", network, data, stop=Stop("stop_training", step))
        network.save(tmp_path / f"net.{suffix}")
        network = fb.Network.load(tmp_path / f"net.{suffix}", backend=backend)
    fit("everything", network, data)
    assert result(network) == whole("everything", backend)


@pytest.mark.parametrize("name", ["everything", "draws, converted"])
@pytest.mark.parametrize("freq", ["epoch", 5])
def test_from_checkpoints(name, freq, backend, tmp_path, whole):
    """Written in hooks, by the first of the callbacks."""
    network, data = make(name, backend)
    save = fb.ModelCheckpoint(tmp_path / "{epoch}.npz", save_freq=freq)
    fit(name, network, data, stop=save)
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == 10
    for path in paths:
        if path.name == "10.npz":
            continue  # of the last epoch: nothing is left but the end of the fit
        found = go_on(name, backend, str(path), n_threads=1)
        assert found == whole(name, backend), path.name


def test_a_hook_that_trains(backend, tmp_path):
    """It does not go on with the epoch under way, which stays the place of the fit around it."""
    network, (X, y) = make("adam", backend)
    seen = []

    class Trains(fb.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                before = self.model.steps
                self.model.fit(X, y, batch_size=8)
                seen.append(self.model.steps - before)
                self.model.save(tmp_path / "net.npz")

    network.fit(X, y, epochs=2, batch_size=8, callbacks=[Trains(), Counter()])
    assert seen == [BATCHES, BATCHES] and network.steps == 4 * BATCHES
    found = fb.Network.load(tmp_path / "net.npz")
    assert found._state.unfinished.batches == 3
    assert [name for name, _ in found._state.standing.callbacks] == ["Counter"]


def test_in_the_same_process(backend, whole):
    """With the callbacks of before, or others; copies and pickles go on too."""
    network, data = make("everything", backend)
    callbacks = CASES["everything"]["callbacks"]()
    with patch.dict(CASES["everything"], {"callbacks": lambda: callbacks}):
        for epochs in (2, 2, 5):
            fit("everything", network, data, epochs=epochs)
    fit("everything", network, data, stop=Stop("interrupt", 35))
    copies = [network.copy(), pickle.loads(pickle.dumps(network))]
    copies[0].history = network.history.copy()
    for one in (network, *copies):
        fit("everything", one, data)
        assert result(one) == whole("everything", backend)


def test_a_callback_that_another_network_has_had_since(backend):
    network, (X, y) = make("own", backend)
    counter, other = Counter(), Counter()
    network.fit(X, y, epochs=2, callbacks=counter)
    make("own", backend)[0].fit(X, y, epochs=3, callbacks=counter)
    network.fit(X, y, epochs=3, initial_epoch=2, callbacks=other)
    assert counter.called == [0, 1, 0, 1, 2] and other.called == [0, 1, 2]


CTRL_C = """
import io, json, os, signal, threading, time
import numpy as np
import fastbp as fb
from support.network_state import digest

signal.signal(signal.SIGINT, signal.default_int_handler)
rng = np.random.default_rng(0)
X, y = rng.normal(size=(3000, 30)).astype("float32"), rng.integers(0, 4, 3000)
def make():
    metrics = ["accuracy", "f1_macro"][:n_metrics]
    return fb.Network([30, WIDTH, WIDTH, 4], loss="cross_entropy", metrics=metrics, seed=0,
                      backend=BACKEND)
found = []
for n_metrics, delay in ((1, 0.0), (1, 0.03), (1, 0.09), (2, 0.03), (2, 0.1)):
    net, file = make(), io.BytesIO()
    options = dict(batch_size=30, verbose=0)
    try:
        threading.Timer(delay + 0.02, os.kill, (os.getpid(), signal.SIGINT)).start()
        net.fit(X, y, epochs=10**6, **options)
    except KeyboardInterrupt:
        pass
    left, reason = net._state.unfinished, net.history.reason
    if left is not None and 0 < left.batches < 100:
        text = f"after {left.batches} of 100 batches of epoch {left.number + 1} of 1000000"
        assert reason == "KeyboardInterrupt " + text, reason
    net.save(file)
    file.seek(0)
    steps, net = net.steps, fb.Network.load(file, backend=BACKEND)
    epochs = net.epochs + 2
    net.fit(X, y, epochs=epochs, initial_epoch=net.epochs, n_threads=2, **options)
    whole = make()
    whole.fit(X, y, epochs=epochs, n_threads=1, **options)
    same = digest(net) == digest(whole) and net.history.history == whole.history.history
    found.append([steps % 100, same])
print(json.dumps(found))
"""


def test_ctrl_c(backend):
    """Wherever it comes, in compiled code too."""
    width = "160" if backend == "cython" else "16"
    code = CTRL_C.replace("BACKEND", repr(backend)).replace("WIDTH", width)
    found = child.result(code, timeout=120)
    assert all(same for _, same in found), found
    assert any(batch for batch, _ in found)


def test_ctrl_c_between_any_two_calls_of_the_twin(whole):
    """Python handles a signal after a call: here after each of them in turn."""
    from fastbp.backend.numpy.loop import Loop

    code, left = Loop.train.__code__, 0

    def interrupt(frame, event, argument):
        nonlocal left
        if event == "c_return" and frame.f_code is code:
            left -= 1
            if left == 0:
                raise KeyboardInterrupt

    steps = set()
    for name in ("outputs", "draws"):
        for k in range(1, 240, 13):
            network, data = make(name, "numpy")
            left = k
            sys.setprofile(interrupt)
            try:
                fit(name, network, data, epochs=4)
            finally:
                sys.setprofile(None)
            steps.add(network.steps)
            fit(name, network, data)
            assert result(network) == whole(name, "numpy"), k
    assert len(steps) > 10

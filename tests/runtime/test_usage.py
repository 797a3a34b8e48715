"""One network, many threads: readers together, a writer alone, nobody waits or is harmed."""

import copy
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support import child
from support.network_state import classification, digest
from support.refusal import bad_input

import fastbp as fb


def _network(backend: str) -> fb.Network:
    return fb.Network([20, 64, 32, 3], loss="cross_entropy", seed=1, backend=backend)


def _until(condition, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the other thread did not begin"
        time.sleep(1e-4)


class Training:
    """A fit in another thread, under way when this is made."""

    def __init__(self, network: fb.Network, epochs: int) -> None:
        self.X, self.y = classification(400, 20, 3)
        self.error = None

        def work():
            try:
                network.fit(self.X, self.y, epochs=epochs)
            except Exception as error:
                self.error = error

        self.thread = threading.Thread(target=work)
        self.thread.start()
        _until(lambda: bool(network._state.guard.writers))


@bad_input("busy")
@pytest.mark.slow
def test_everything_else_is_refused_while_fit_runs(backend):
    network, reference = _network(backend), _network(backend)
    epochs = 1500 if backend == "cython" else 40
    training = Training(network, epochs)
    X, y = training.X, training.y
    calls = {
        "fit": lambda: network.fit(X, y),
        "train_on_batch": lambda: network.train_on_batch(X, y),
        "train_steps": lambda: network.train_steps(X, y, steps=1),
        "predict": lambda: network.predict(X),
        "call": lambda: network(X),
        "evaluate": lambda: network.evaluate(X, y),
        "forward": lambda: network.forward(X),
        "trace": lambda: network.trace(X, y),
        "observation": lambda: network(X[0]),
        "reset": network.reset,
        "update_from": lambda: network.update_from(reference),
        "be followed": lambda: reference.update_from(network),
        "set_weights": lambda: network.set_weights(network.get_weights()),
    }
    for name, call in calls.items():
        with pytest.raises(fb.ModelBusyError, match="in use by"):
            call()
            pytest.fail(f"{name} went through")
    assert training.thread.is_alive(), "the fit is too short for this test"
    training.thread.join()
    assert training.error is None
    reference.fit(X, y, epochs=epochs)
    assert digest(network) == digest(reference)
    network.fit(X, y)  # free again


@bad_input("busy")
def test_writers_are_refused_while_readers_run(backend):
    network = _network(backend)
    X, y = classification(400, 20, 3)
    before = digest(network)
    network._state.guard.begin_reading("one")
    network._state.guard.begin_reading("another")
    for call in (lambda: network.fit(X, y), lambda: network.train_on_batch(X, y)):
        with pytest.raises(fb.ModelBusyError, match="model is in use by 2 calls"):
            call()
    network.predict(X)
    assert digest(network) == before
    assert network._state.guard.readers == {"one", "another"} and not network._state.guard.writers
    network._state.guard.readers.clear()
    network.fit(X, y)


def test_concurrent_predictions(backend):
    network = _network(backend)
    parts = [classification(n, 20, 3, seed=n) for n in (1, 10, 100, 300, 555, 700, 2, 64)]
    expected = [
        [network.predict(X).tobytes(), network.evaluate(X, y), network(X).tobytes()]
        for X, y in parts
    ]

    def work(index: int) -> int:
        wrong = 0
        for turn in range(25):
            i = (index + turn) % len(parts)
            X, y = parts[i]
            n = 1 + turn % 2
            found = [network.predict(X, n_threads=n).tobytes(), network.evaluate(X, y, n_threads=n)]
            wrong += [*found, network(X).tobytes()] != expected[i]
        return wrong

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [0] * 8


class Freed(set):
    """Tokens of writers; as soon as none is left, another call gets through."""

    def __init__(self, call) -> None:
        super().__init__()
        self.call = call
        self.calls = 0

    def discard(self, token) -> None:
        super().discard(token)
        if self.calls == 0:
            self.calls = 1
            self.call()


@pytest.mark.parametrize("output", ["linear", "softmax"])
def test_trace_reads_nothing_once_the_network_is_free(backend, output):
    """The next call may use the same memory, as another trace does, or change the parameters."""
    layers = [fb.Input(20), fb.Dense(30, "tanh"), fb.Dense(3, output)]
    options = {"loss": "cross_entropy", "seed": 1, "backend": backend}
    X, y = classification(40, 20, 3)
    expected = fb.Network(layers, **options).trace(X, y)
    network = fb.Network(layers, **options)

    def other_call():
        network.train_on_batch(X, y)
        network.trace(-X, y)

    network._state.guard.writers = freed = Freed(other_call)
    found = network.trace(X, y)
    assert freed.calls == 1 and not freed and network.steps == 1
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.array_equal(found[name], value), name


def test_networks_train_side_by_side(backend):
    """Networks share nothing: eight trainings at once give the bits of eight in turn."""
    X, y = classification(200, 20, 3)

    def train(seed: int) -> str:
        network = fb.Network([20, 30, 3], loss="cross_entropy", seed=seed, backend=backend)
        network.fit(X, y, epochs=5, n_threads=1 + seed % 2)
        return digest(network)

    in_turn = [train(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(train, range(8))) == in_turn


def test_free_after_an_error(backend):
    network = _network(backend)
    X, y = classification(40, 20, 3)
    for bad in (X[:, :3], np.full_like(X, np.nan)):
        for call in (network.predict, network.forward, lambda bad: network.fit(bad, y)):
            with pytest.raises(ValueError):
                call(bad)
    network.fit(X, y)


class Stop(Exception):
    """What a signal handler raises."""


class SignalAt:
    """Raises Stop at the `number`-th moment at which CPython might run a signal handler in one of
    the functions that hold a token: as the function begins, or as a call of a C function from it
    returns.  In what else they call it may come too, but that ends in the same calls.
    """

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, frame, event, argument):
        if event in ("call", "c_return") and "token" in frame.f_code.co_varnames:
            self.left -= 1
            if self.left < 0:
                raise Stop

    def interrupts(self, call) -> bool:
        before = sys.getprofile()
        sys.setprofile(self)
        try:
            call()
        except Stop:
            return True
        finally:
            sys.setprofile(before)
        return False


def test_no_moment_of_a_signal_leaves_a_token(backend, tmp_path):
    network = fb.Network([4, 5, 3], loss="cross_entropy", seed=1, backend=backend)
    X, y = classification(7, 4, 3)
    output_gradient = np.ones((7, 3), np.float32)
    other = network.copy()
    network.forward(X)
    network.backward(output_gradient)
    calls = {
        "fit": lambda: network.fit(X, y),
        "train_on_batch": lambda: network.train_on_batch(X, y),
        "train_steps": lambda: network.train_steps(X, y, steps=1),
        "forward": lambda: network.forward(X),
        "backward": lambda: network.backward(output_gradient),
        "step": network.step,
        "trace": lambda: network.trace(X, y),
        "call": lambda: network(X.tolist()),  # which no engine answers at once
        "predict": lambda: network.predict(X.tolist()),
        "evaluate": lambda: network.evaluate(X, y),
        "observation": lambda: network(X[0].tolist()),
        "accumulate": lambda: network.backward(output_gradient, accumulate=True),
        "reset": network.reset,
        "update_from": lambda: network.update_from(other, tau=0.5),
        "follow": lambda: other.update_from(network),
        "set_weights": lambda: network.set_weights(network.get_weights()),
        "save": lambda: network.save(tmp_path / "model.npz"),
        "copy": network.copy,
        "deepcopy": lambda: copy.deepcopy(network),
    }
    interrupted = Counter()
    for name, call in calls.items():
        call()  # engines are made once
        while SignalAt(interrupted[name]).interrupts(call):
            for guard in (network._state.guard, other._state.guard):
                assert not guard.readers and not guard.writers, (name, interrupted[name])
            interrupted[name] += 1
        assert interrupted[name] >= 4, name  # it begins, so does Guard, the token is set, is gone


SIGNALS = """
import json, signal
import numpy as np
import fastbp as fb

class Stop(Exception):
    pass

def stop(number, frame):
    raise Stop

signal.signal(signal.SIGALRM, stop)
random = np.random.default_rng(0)
network = fb.Network([4, 5, 3], seed=1, backend=BACKEND)
X, y = np.ones((7, 4), np.float32), np.ones((7, 3), np.float32)
left = 0
for call in (lambda: network.train_on_batch(X, y), lambda: network.predict(X)):
    for _ in range(600):
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 2e-4))
            while True:
                call()
        except Stop:
            left += len(network._state.guard.readers) + len(network._state.guard.writers)
print(json.dumps(left))
"""


@pytest.mark.slow
def test_signals_leave_no_token(backend):
    """The same with real ones, wherever they hit."""
    assert child.result(SIGNALS.replace("BACKEND", repr(backend))) == 0


@pytest.mark.parametrize("verb", ["step", "set_weights", "update_from", "accumulate"])
def test_a_signal_leaves_the_state_before_or_after(verb):
    """Of the compiled engine: all of it, the number of steps included."""
    pytest.importorskip("fastbp.backend._cpu", reason="no compiled kernels here")
    X, output_gradient = np.ones((7, 4), np.float32), np.ones((7, 3), np.float32)
    other = fb.Network([4, 5, 3], seed=2)
    weights = other.get_weights()
    calls = {
        "step": lambda net: net.step(),
        "set_weights": lambda net: net.set_weights(weights),
        "update_from": lambda net: net.update_from(other, tau=0.25),
        "accumulate": lambda net: net.backward(output_gradient, accumulate=True),
    }

    def prepared() -> fb.Network:
        net = fb.Network([4, 5, 3], seed=1)
        net.forward(X)
        net.backward(output_gradient)
        return net

    def found(net: fb.Network) -> list[bytes]:
        gradients = net._state.gradient
        return [digest(net).encode(), b"" if gradients is None else gradients.tobytes()]

    finished = prepared()
    before = found(finished)
    calls[verb](finished)
    allowed = [before, found(finished)]
    if verb == "accumulate":
        allowed.append([before[0], b""])  # none, rather than a part of the sum
    number = 0
    while True:
        net = prepared()
        if not SignalAt(number).interrupts(lambda net=net: calls[verb](net)):
            break
        assert found(net) in allowed, number
        number += 1
    assert number > 4 and found(net) == allowed[1]

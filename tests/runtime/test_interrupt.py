"""Ctrl-C: at once, between two steps, and nothing is lost."""

import pytest
from support import child
from support.kernels import needs_kernels
from support.mark import slow_but
from support.refusal import bad_input

# Seconds of the calling thread's processor time, which what else runs on the machine does not count
# into, and a limit of the time on the wall for a thread that would sleep through a signal.
_USUAL, _WORST, _ON_THE_WALL = 0.2, 1.5, 30

PRELUDE = """
import json, os, signal, sys, threading, time
import numpy as np
import fastbp as fb
from support.network_state import digest

# A shell has its background jobs ignore Ctrl-C, and they hand that on to their children.
signal.signal(signal.SIGINT, signal.default_int_handler)

NETS = {
    "tiny": dict(layers=[1, 1], batch_size=1, n=64, optimizer=fb.SGD(1e-4)),
    "small": dict(layers=[4, 32, 16, 1], batch_size=32, n=1000, optimizer=fb.Adam(1e-4)),
    "big": dict(layers=[512, 768, 768, 10], batch_size=256, n=300,
                optimizer=fb.SGD(1e-4, momentum=0.9)),
}

def make(name):
    net = NETS[name]
    random = np.random.default_rng(0)
    X = random.standard_normal((net["n"], net["layers"][0])).astype(np.float32)
    y = random.standard_normal((net["n"], net["layers"][-1])).astype(np.float32)
    network = fb.Network(net["layers"], optimizer=net["optimizer"], seed=0, backend=BACKEND)
    return network, X, y, net["batch_size"]

CLOCK = time.pthread_getcpuclockid(threading.main_thread().ident)

def now():
    # of the calling thread: its processor time, which any thread may read, and the wall's
    return time.clock_gettime(CLOCK), time.perf_counter()

class Signal:
    # sent once the calling thread has been at work for so many seconds, however long that takes
    def __init__(self, delay, number=signal.SIGINT):
        self.delay, self.number, self.begin = delay, number, now()[0]
        self.thread = threading.Thread(target=self.send)
        self.thread.start()

    def send(self):
        while now()[0] - self.begin < self.delay:
            time.sleep(2e-4)
        Signal.sent = now()
        os.kill(os.getpid(), self.number)

def latency(delay, call, number=signal.SIGINT, error=KeyboardInterrupt):
    try:
        Signal(delay, number)
        call()
        end = time.perf_counter() + 5
        while time.perf_counter() < end:
            pass
        raise SystemExit("the call ended before the signal")
    except error:
        return [after - before for before, after in zip(Signal.sent, now())]
"""

FIT = """
found = []
for name in NAMES:
    for n_threads in THREADS:
        for delay in (0.002, 0.01, 0.05, 0.15):
            network, X, y, batch_size = make(name)
            reference = network.copy()
            options = dict(batch_size=batch_size, n_threads=n_threads)
            took = latency(delay, lambda: network.fit(X, y, epochs=10**7, **options))
            finite = all(np.isfinite(w).all() for w in network.get_weights())
            n_steps = network.steps
            if n_steps:
                reference.train_steps(X, y, steps=n_steps, batch_size=batch_size, n_threads=1)
            vectors = [
                [own.parameters.tobytes(), own.optimizer_state.tobytes(), own.powers.tobytes()]
                for own in (network._state, reference._state)
            ]
            same = vectors[0] == vectors[1]
            before = digest(network)
            losses = network.fit(X, y, epochs=1, batch_size=batch_size).history["loss"]
            goes_on = np.isfinite(losses).all()
            goes_on &= np.isfinite(network.predict(X)).all() and digest(network) != before
            state = [bool(finite), bool(same), bool(goes_on)]
            found.append([name, n_threads, delay, n_steps, took, *state])
print(json.dumps(found))
"""


def _check_latency(found):
    """Of each signal: seconds of the calling thread's processor time, and on the wall."""
    took, waited = zip(*found, strict=True)
    assert sorted(took)[len(took) // 2] < _USUAL
    assert max(took) < _WORST
    assert max(waited) < _ON_THE_WALL


@bad_input("Ctrl-C")
@pytest.mark.parametrize("name", slow_but(["small"], ["tiny", "small", "big"]))
def test_fit(name, backend):
    code = PRELUDE + FIT
    threads = (1, 2) if backend == "cython" else (1,)
    code = code.replace("BACKEND", repr(backend)).replace("NAMES", repr([name]))
    code = code.replace("THREADS", repr(threads))
    found = child.result(code, timeout=120)
    assert len(found) == 4 * len(threads)
    for *_, finite, same, goes_on in found:
        assert finite and same and goes_on, found
    assert name == "big" or any(n_steps for _, _, _, n_steps, *_ in found)
    _check_latency([took for _, _, _, _, took, *_ in found])


SHORT_CALLS = """
# The signal comes at any moment of many short calls; what they did counts all the same.
n_kept = 0
for attempt in range(40):
    network, X, y, _ = make("small")
    reference = network.copy()

    def train():
        while True:
            network.train_on_batch(X, y)

    latency(0.001 + attempt * 2e-4, train)
    for _ in range(network.steps):
        reference.train_on_batch(X, y)
    n_kept += digest(network) == digest(reference)
print(json.dumps(n_kept))
"""


@bad_input("Ctrl-C")
@pytest.mark.slow
def test_many_short_calls(backend):
    code = (PRELUDE + SHORT_CALLS).replace("BACKEND", repr(backend))
    assert child.result(code, timeout=120) == 40


PREDICT = """
took = []
network, _, _, _ = make("big")
X = np.zeros((20_000, 512), np.float32)
y = np.zeros((20_000, 10), np.float32)
respond = network.predictor(batch_size=20_000)
before = digest(network)
calls = {
    "predict": lambda n: network.predict(X, n_threads=n),
    "predictor": lambda n: respond(X),
    "evaluate": lambda n: network.evaluate(X, y, n_threads=n),
}
for name, call in calls.items():
    for n_threads in (1, 2):
        def repeat():
            while True:
                call(n_threads)
        took.append(latency(0.1, repeat))
assert digest(network) == before
network.predict(X[:10])
print(json.dumps(took))
"""


@bad_input("Ctrl-C")
@pytest.mark.slow
def test_predict_and_evaluate(backend):
    _check_latency(child.result((PRELUDE + PREDICT).replace("BACKEND", repr(backend)), timeout=120))


HANDLER = """
class Overrun(Exception):
    pass

def handler(number, frame):
    raise Overrun("out of time")

signal.signal(signal.SIGUSR1, handler)
found = []
for n_threads in (1, 2):
    network, X, y, batch_size = make("small")
    reference = network.copy()
    try:
        Signal(0.05, signal.SIGUSR1)
        network.fit(X, y, epochs=10**7, batch_size=batch_size, n_threads=n_threads)
    except Overrun as error:
        reference.train_steps(X, y, steps=network.steps, batch_size=batch_size)
        same = network._state.parameters.tobytes() == reference._state.parameters.tobytes()
        found.append([str(error), same])
calls = []
signal.signal(signal.SIGUSR2, lambda number, frame: calls.append(number))
one = Signal(0.02, signal.SIGUSR2)
network.fit(X, y, epochs=3000, batch_size=batch_size)
one.thread.join()
found.append(len(calls))
print(json.dumps(found))
"""


@bad_input("Ctrl-C")
@pytest.mark.slow
def test_another_handler(backend):
    """What it raises comes out of fit; where it raises nothing, training goes on."""
    code = (
        (PRELUDE + HANDLER)
        .replace("BACKEND", repr(backend))
        .replace("epochs=3000", "epochs=EPOCHS")
    )
    code = code.replace("EPOCHS", "3000" if backend == "cython" else "60")
    assert child.result(code, timeout=120) == [["out of time", True], ["out of time", True], 1]


@needs_kernels
@pytest.mark.slow
def test_two_signals():
    """The second one, while the first is being dealt with, finds no broken network either."""
    code = (
        PRELUDE
        + """
network, X, y, batch_size = make("big")
n = 0
try:
    try:
        signals = Signal(0.05), Signal(0.0505)
        network.fit(X, y, epochs=10**7, batch_size=batch_size, n_threads=2)
    except KeyboardInterrupt:
        n += 1
    while signals[1].thread.is_alive():  # at work, for it waits for that
        pass
    time.sleep(0.05)
except KeyboardInterrupt:
    n += 1
network.fit(X, y, epochs=1, batch_size=batch_size)
print(json.dumps(bool(n and np.isfinite(network.predict(X)).all())))
"""
    )
    assert child.result(code.replace("BACKEND", "None"), timeout=60)


MORE_THREADS_THAN_TILES = (
    PRELUDE
    + """
class Stop(Exception):
    pass
seen = []
def handler(number, frame):
    smallest = 5e-324
    seen.append(smallest * 1.0 > 0)  # a handler runs in the host's float mode
    raise Stop
signal.signal(signal.SIGALRM, handler)
random = np.random.default_rng(0)
X = random.standard_normal((320, 256)).astype(np.float32)
y = random.standard_normal((320, 64)).astype(np.float32)
network = fb.Network([256, 256, 64], seed=0, backend="cython")
network.fit(X, y, batch_size=32, n_threads=2)
took = latency(
    0.1,
    lambda: network.fit(X, y, epochs=10**6, batch_size=32, n_threads=2),
    signal.SIGALRM,
    Stop,
)
print(json.dumps([seen, took]))
"""
)


@needs_kernels
@pytest.mark.slow
def test_more_threads_than_tiles():
    """The thread that hears signals has no tile of its own, and runs the handler unflushed."""
    seen, took = child.result(MORE_THREADS_THAN_TILES, timeout=60)
    assert seen == [True]
    _check_latency([took])


VALIDATION = """
rng = np.random.default_rng(0)
X, V = rng.normal(size=(32, 64)), rng.normal(size=(30000, 64)).astype(np.float32)
network = fb.Network([64, 128, 128, 1], seed=0, backend=BACKEND)
data = V, V[:, :1].copy()
fit = lambda: network.fit(X, X[:, 0], epochs=10**6, validation_data=data, n_threads=1)
print(json.dumps(latency(0.3, fit)))
"""


@bad_input("Ctrl-C")
def test_validation_inside_of_a_fit(backend):
    """It takes most of the time, and the look for signals with it."""
    code = (PRELUDE + VALIDATION).replace("BACKEND", repr(backend))
    took, waited = child.result(code, timeout=120)
    assert took < _WORST and waited < _ON_THE_WALL

"""The host never notices: floating-point mode, signals, environment, error state, threads, fork."""

import ctypes
import mmap
import os
import platform
import signal
import sys
import threading
import time
import warnings

import numpy as np
import pytest
from support import child
from support.kernels import needs_kernels
from support.network_state import classification, digest
from support.refusal import bad_input
from support.training_case import train

import fastbp as fb
from fastbp.backend import engine_module

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")


class FloatMode:
    """Reads the control bits of MXCSR: rounding, masks, flush to zero, denormals are zero."""

    def __init__(self) -> None:
        if platform.machine() not in ("x86_64", "AMD64") or sys.platform != "linux":
            pytest.skip("reads MXCSR of Linux on x86-64")
        try:
            self._page = mmap.mmap(
                -1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
            )
        except OSError:
            pytest.skip("no executable memory to be had")
        self._page.write(b"\x0f\xae\x1f\xc3")  # stmxcsr [rdi]; ret
        self._first = ctypes.c_char.from_buffer(self._page)
        read = ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_uint32))
        self._read = read(ctypes.addressof(self._first))

    def __call__(self) -> int:
        found = ctypes.c_uint32()
        self._read(ctypes.byref(found))
        return found.value & ~0x3F


def _calls(backend: str):
    """Every public call that computes, ready to be made."""
    X, y = classification(300, 6, 3)
    network = fb.Network([6, 40, 3], loss="cross_entropy", seed=1, backend=backend)
    wild = fb.Network([6, 40, 1], optimizer=fb.SGD(1e30), seed=1, backend=backend)

    def diverge():
        with pytest.raises(fb.DivergenceError):
            wild.fit(X, y, epochs=3)

    return {
        "fit": lambda: network.fit(X, y, epochs=2, n_threads=2, validation_data=(X, y)),
        "train_on_batch": lambda: network.train_on_batch(X, y),
        "train_steps": lambda: network.train_steps(X, y, steps=5, n_threads=2),
        "predict": lambda: network.predict(X, n_threads=2),
        "call": lambda: network(X),
        "evaluate": lambda: network.evaluate(X, y),
        "forward": lambda: network.forward(X),
        "backward": lambda: network.backward(np.ones((300, 3))),
        "step": lambda: network.step(),
        "trace": lambda: network.trace(X, y),
        "check_gradients": lambda: network.check_gradients(X[:3], y[:3]),
        "copy": lambda: network.copy(),
        "diverging fit": diverge,
    }


def _handlers() -> list:
    return [signal.getsignal(number) for number in signal.valid_signals()]


def test_the_reader_sees_a_changed_mode():
    read = FloatMode()
    assert read() & 0x8040 == 0  # neither flush to zero nor denormals are zero
    library = ctypes.CDLL("libm.so.6")
    up = 0x800  # FE_UPWARD
    try:
        library.fesetround(up)
        changed = read()
    finally:
        library.fesetround(0)
    assert changed & 0x6000 == 0x4000
    assert read() & 0x6000 == 0


def test_float_mode_is_given_back(backend):
    read = FloatMode()
    before = read()
    for name, call in _calls(backend).items():
        call()
        assert read() == before, name


def test_subnormals_of_the_host_live(backend):
    tiny = np.full(64, 1e-39, np.float32)
    smaller = np.full(64, 5e-310)
    for name, call in _calls(backend).items():
        call()
        assert (tiny * np.float32(0.5) != 0).all(), name
        assert (smaller * 0.5 != 0).all(), name


def test_float_mode_of_another_thread(backend):
    read = FloatMode()
    found = []

    def work():
        before = read()
        for call in _calls(backend).values():
            call()
            found.append(read() == before)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(found) > 10 and all(found)


def test_process_state_is_unchanged(backend):
    with np.errstate(over="raise", invalid="raise", divide="raise", under="ignore"):
        before = np.geterr(), dict(os.environ), _handlers(), threading.active_count()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for call in _calls(backend).values():
                call()
        assert before == (np.geterr(), dict(os.environ), _handlers(), threading.active_count())


@bad_input("subnormal")
@needs_kernels
def test_subnormal_data_is_not_slow():
    """Unflushed, a product of subnormals takes about a hundred times as long."""
    random = np.random.default_rng(0)
    y = random.standard_normal((256, 8)).astype(np.float32)
    took = {}
    for scale in (1.0, 1e-39):
        X = (random.standard_normal((256, 256)) * scale).astype(np.float32)
        network = fb.Network([256, 128, 8], seed=0, optimizer=fb.SGD(1e-3))
        network.train_steps(X, y, steps=2, batch_size=256, n_threads=1)
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            network.train_steps(X, y, steps=5, batch_size=256, n_threads=1)
            times.append(time.perf_counter() - begin)
        took[scale] = min(times)
    assert took[1e-39] < 8 * took[1.0]


@needs_kernels
@pytest.mark.parametrize("n_threads", [1, 2])
def test_subnormals_are_flushed_on_every_thread(n_threads):
    X = np.full((200, 40), 1e-39, np.float32)
    kernel = np.ones((40, 300), np.float32)
    network = fb.Network([fb.Input(40), fb.Dense(300, weights=kernel)], seed=0)
    out = network.predict(np.vstack([X] * 10), n_threads=n_threads)
    assert (out == 0).all()


# threads


@needs_kernels
def test_threads_are_started_and_do_without(monkeypatch):
    """n_threads is heeded, and where no thread can be started the call runs on those it has."""
    module = engine_module("cython", np.dtype(np.float32))
    started, start = [], module.start_new_thread
    monkeypatch.setattr(
        module, "start_new_thread", lambda *call: started.append(call) or start(*call)
    )
    expected = digest(train("four blocks", "float32", n_threads=3))
    assert len(started) == 2

    def refuse(*call):
        if len(started) % 2:
            raise RuntimeError("can't start new thread")
        started.append(call)
        return start(*call)

    started.clear()
    monkeypatch.setattr(module, "start_new_thread", refuse)
    assert digest(train("four blocks", "float32", n_threads=4)) == expected
    assert len(started) == 1
    assert digest(train("four blocks", "float32", n_threads=4)) == expected


FORK = """
import json, os, sys, threading, time
import numpy as np
from support.network_state import digest
from support.training_case import CASES, train

def child_result(own):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, own().encode())
        finally:
            os._exit(0)
    os.close(writer)
    found = os.read(reader, 100).decode()
    os.close(reader)
    os.waitpid(pid, 0)
    return found

import warnings
warnings.simplefilter("ignore", DeprecationWarning)
use = lambda: digest(train("four blocks", "float32", n_threads=2, backend=sys.argv[1]))
expected = use()
found = [child_result(use) for _ in range(5)]

case = CASES["four blocks"]
X, y = case.data(600)
busy, stop = case.network("float32", sys.argv[1]), False

def keep_training():
    while not stop:
        busy.train_steps(X, y, steps=20, batch_size=300, n_threads=2)

thread = threading.Thread(target=keep_training)
thread.start()
time.sleep(0.05)
found += [child_result(use) for _ in range(5)]
stop = True
thread.join()

shown = lambda: busy.predict(X, n_threads=2).tobytes().hex()[:80]
expected, here = shown(), found.count(expected)
found += [child_result(shown) for _ in range(5)]  # whose engine's workers are the parent's
print(json.dumps([here + found.count(expected), len(found)]))
"""


@bad_input("fork")
@needs_fork
@pytest.mark.slow
def test_fork_after_use(backend):
    code = FORK.replace("sys.argv[1]", repr(backend))
    equal, n = child.result(code, timeout=60)
    assert equal == n == 15


@bad_input("exit")
@needs_kernels
@pytest.mark.slow
def test_exit_while_a_daemon_thread_trains():
    code = """
import threading, time
from support.training_case import CASES
case = CASES["four blocks"]
X, y = case.data(600)
network = case.network("float32")
work = lambda: network.train_steps(X, y, steps=10**9, n_threads=2)
threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
"""
    done = child.run(code, timeout=30)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""

"""Workers that come late, or never, or exceed the processors: nobody waits, the bits are equal."""

import _thread
import threading
import time

import numpy as np
import pytest
from support.kernels import needs_kernels
from support.mark import slow_but
from support.network_state import classification, digest

import fastbp as fb
from fastbp.backend import engine_module
from fastbp.plan import threshold

pytestmark = [needs_kernels, pytest.mark.usefixtures("eager_threads")]

SIZES = {"data-parallel": [20, 24, 3], "weight-parallel": [20, 300, 300, 3], "latency": [5, 8, 3]}
each_size = pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)


def _network(sizes: list[int], dtype: str = "float32") -> fb.Network:
    return fb.Network(sizes, loss="cross_entropy", seed=1, dtype=dtype, backend="cython")


def _bits(network: fb.Network, n_threads: int, *, epochs: int = 4) -> str:
    X, y = classification(700, network.layers[0].units, 3)
    batch_size = 300 if network.layers[1].units > 8 else 8
    fit = network.fit(X, y, epochs=epochs, batch_size=batch_size, n_threads=n_threads)
    loss = network.evaluate(X, y, n_threads=n_threads)["loss"]
    rows = network.predict(X, n_threads=n_threads).tobytes()
    return digest(network) + repr(fit.history["loss"]) + repr(loss) + str(hash(rows))


@pytest.fixture
def workers(monkeypatch):
    """What the engine wanted to start: kept instead."""
    kept = []
    for dtype in ("float32", "float64"):
        module = engine_module("cython", np.dtype(dtype))
        monkeypatch.setattr(module, "start_new_thread", lambda *given: kept.append(given))
    return kept


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@each_size
def test_workers_that_begin_after_the_call(sizes, dtype, workers):
    expected = _bits(_network(sizes, dtype), 1)
    network = _network(sizes, dtype)
    assert _bits(network, 3) == expected
    assert len(workers) >= 2
    state = digest(network)
    for work, thread in workers:
        work(*thread)
    assert digest(network) == state


@each_size
@pytest.mark.parametrize("delay", slow_but([0, 1e-3], [0, 1e-4, 1e-3, 5e-3, 2e-2]))
@pytest.mark.slow
def test_workers_that_come_in_the_midst(sizes, delay, monkeypatch):
    expected = _bits(_network(sizes), 1, epochs=60)
    threads = []

    def start_late(work, thread):
        def run():
            time.sleep(delay)
            work(*thread)

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    module = engine_module("cython", np.dtype(np.float32))
    monkeypatch.setattr(module, "start_new_thread", start_late)
    assert _bits(_network(sizes), 3, epochs=60) == expected
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


@each_size
def test_many_more_threads_than_processors(sizes):
    """The calling thread waits for some without a processor, and does without them for a while."""
    most = 4 * fb.show_config("dict")["threads"]
    assert _bits(_network(sizes), most, epochs=60) == _bits(_network(sizes), 1, epochs=60)


@each_size
@pytest.mark.slow
def test_calls_in_close_succession(sizes):
    """The workers of one call may still be leaving when the next one begins."""
    networks = [_network(sizes) for _ in range(2)]
    X, y = classification(64, sizes[0], 3)
    for network, n_threads in zip(networks, (1, 3), strict=True):
        for step in range(200):
            steps, rows = 1 + step % 2, 32 + step % 3
            network.train_steps(X, y, steps=steps, batch_size=rows, n_threads=n_threads)
            network.predict(X, n_threads=1 + step % n_threads)
    assert digest(networks[0]) == digest(networks[1])


def _started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The workers that float32 engines begin from now on, which they do as ever."""
    module, started = engine_module("cython", np.dtype(np.float32)), []

    def start(work, thread):
        started.append(thread[0])
        _thread.start_new_thread(work, thread)

    monkeypatch.setattr(module, "start_new_thread", start)
    return started


def test_workers_stay_for_the_next_call(monkeypatch):
    started = _started(monkeypatch)
    network = _network(SIZES["data-parallel"])
    X, y = classification(600, 20, 3)
    for _ in range(200):
        network.train_steps(X, y, steps=2, batch_size=300, n_threads=3)
    assert set(started) == {1, 2}
    assert len(started) < 300  # 400 if none stayed


def test_short_predictions_start_workers_in_close_succession_alone(monkeypatch):
    monkeypatch.setattr(threshold.PREDICT_THREAD_WORK, "value", 2**40)
    started = _started(monkeypatch)
    network = _network(SIZES["data-parallel"])
    X = classification(3000, 20, 3)[0]
    expected = network.predict(X, n_threads=1).tobytes()
    for _ in range(20):
        assert network.predict(X, n_threads=2).tobytes() == expected
        time.sleep(1e-3)
    assert not started
    for _ in range(1000):
        network.predict(X, n_threads=2)
    assert started and set(started) == {1}
    assert network.predict(X, n_threads=2).tobytes() == expected


class Denial(Exception):
    """What an audit hook raises."""


def test_no_worker_stays_after_a_failed_start(monkeypatch):
    """One has begun when the next is denied: it leaves, and a later call has its memory alone."""
    sizes = SIZES["data-parallel"]
    module = engine_module("cython", np.dtype(np.float32))

    def until(condition):
        end = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < end
            time.sleep(1e-3)

    counts = []
    for _ in range(50):  # an earlier test's workers may still be leaving
        counts.append(_thread._count())
        time.sleep(1e-3)
    before = min(counts)

    def deny_second(work, thread):
        if thread[0] == 2:
            raise Denial
        _thread.start_new_thread(work, thread)
        until(lambda: _thread._count() > before)

    monkeypatch.setattr(module, "start_new_thread", deny_second)
    network = _network(sizes)
    state = digest(network)
    with pytest.raises(Denial):
        _bits(network, 3)
    assert digest(network) == state
    until(lambda: _thread._count() == before)
    monkeypatch.undo()
    assert _bits(network, 3) == _bits(_network(sizes), 1)

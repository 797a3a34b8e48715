"""Training allocates nothing, relies on no content of its scratch memory and stays inside it."""

import platform
import shutil
import subprocess
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support import child
from support.kernels import needs_kernels
from support.network_state import digest
from support.training_case import CASES, each_case

import fastbp as fb
from fastbp.backend import compiled_modules
from fastbp.plan.parameter import row_length
from fastbp.runtime import engine_cache, state

ONE_OF_EACH = ["one block", "four blocks", "graph", "parameters"]


def _train_arguments(network: fb.Network, X, y, batch_size: int, **options) -> dict:
    """What `Epochs.run` hands to the engine, for a call as often as one likes."""
    X, y = network._state.checked_pair(X, y)
    return {
        "x": X, "y": y, "batch_size": batch_size, "epochs": 10**6, "losses": np.zeros(10**6),
        "shuffled": np.empty(len(X), np.uint32), **options,
    }  # fmt: skip


def malloc_calls(name: str, steps: list[int], counter) -> list[int]:
    """How often engine.train of so many steps calls malloc; needs the counter preloaded."""
    case = CASES[name]
    network = case.network("float32")
    X, y = case.data(5 * case.batch_size // 2 + 1)
    engine, _, _ = engine_cache.engine(network._state, "train", case.batch_size)
    arguments = _train_arguments(network, X, y, case.batch_size)
    found = []
    for n in [1, *steps]:
        arguments["max_steps"] = n
        before = counter.value
        engine.train(**arguments)
        found.append(counter.value - before)
        engine.take_progress(state := SimpleNamespace(steps=0, epochs=0))
        assert state.steps == n
    return found[1:]


CHILD = """
import ctypes, json
import numpy as np
from engine import test_memory
counter = ctypes.c_long.in_dll(ctypes.CDLL(None), "malloc_calls")
count = test_memory.malloc_calls
found = {name: count(name, [1, 1000, 1], counter) for name in test_memory.ONE_OF_EACH}
before = counter.value
for i in range(1000):
    np.empty(100 + i)
found["an array a step"] = counter.value - before
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def counted(tmp_path_factory) -> dict:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or platform.libc_ver()[0] != "glibc" or not compiled_modules():
        pytest.skip("needs a C compiler, glibc and compiled kernels")
    told = subprocess.run([compiler, "-dumpmachine"], capture_output=True, text=True, timeout=60)
    if not told.stdout.startswith(platform.machine()):  # in an emulator
        pytest.skip(f"{compiler} is not one for {platform.machine()}")
    library = tmp_path_factory.mktemp("counter") / "malloc_counter.so"
    source = child.TESTS / "support" / "malloc_counter.c"
    subprocess.run(
        [compiler, "-O1", "-fPIC", "-shared", "-fno-builtin", source, "-o", library],
        check=True, timeout=60,
    )  # fmt: skip
    own = Path(__file__).parent
    return child.result(CHILD, path=own, LD_PRELOAD=str(library), PYTHONMALLOC="malloc")


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_second_step_allocates_nothing(name, counted):
    one, thousand, again = counted[name]
    assert one == thousand == again


def test_the_counter_notices_an_allocation(counted):
    assert counted["an array a step"] >= 1000


@needs_kernels
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_training_makes_no_python_object_a_step(name):
    case = CASES[name]
    network = case.network("float32")
    X, y = case.data(5 * case.batch_size // 2 + 1)
    engine, _, _ = engine_cache.engine(network._state, "train", case.batch_size)
    peaks = []
    for steps in (1, 1, 1000):
        arguments = _train_arguments(network, X, y, case.batch_size, max_steps=steps)
        tracemalloc.start()
        engine.train(**arguments)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] <= peaks[1] + 64
    assert peaks[2] < 4096


def _traced_peak(call) -> int:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@needs_kernels
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_fit_copies_no_data(loss, shuffle):
    """An order of 4 bytes a row is all that grows with the rows."""
    n = 50_000
    X = np.zeros((n, 20), np.float32)
    y = np.zeros(n, np.int64) if fb.Loss(loss).domain == "class" else np.zeros((n, 3), np.float32)
    network = fb.Network([20, 8, 3], loss=loss, seed=0)
    network.fit(X[:256], y[:256], batch_size=256)  # the plan and its memory
    peak = _traced_peak(lambda: network.fit(X, y, batch_size=256, shuffle=shuffle))
    assert peak < 4 * n * shuffle + 2**16


@needs_kernels
def test_one_conversion_of_another_type():
    n = 50_000
    X, y = np.zeros((n, 20)), np.zeros((n, 1), np.float32)
    network = fb.Network([20, 8, 1], seed=0)
    network.fit(X[:256], y[:256], batch_size=256)
    peak = _traced_peak(lambda: network.fit(X, y, batch_size=256, shuffle=False))
    assert X.nbytes // 2 <= peak < X.nbytes // 2 + 2**16


@needs_kernels
def test_memory_of_train_steps_does_not_grow_with_the_steps():
    network = fb.Network([2, 2, 1], seed=0)
    X, y = np.zeros((1, 2), np.float32), np.zeros((1, 1), np.float32)
    network.train_steps(X, y, steps=1)
    assert _traced_peak(lambda: network.train_steps(X, y, steps=300_000)) < 2**19


def test_engines_of_several_batch_sizes_are_kept(backend, monkeypatch):
    network = fb.Network([3, 4, 1], seed=0, backend=backend)
    made, make = [], engine_cache._make

    def counted(*args):
        made.append(args)
        return make(*args)

    monkeypatch.setattr(engine_cache, "_make", counted)
    for _ in range(2):
        for rows in range(1, 9):
            network.train_on_batch(np.zeros((rows, 3)), np.zeros((rows, 1)))
    assert len(made) == 8


def test_large_engines_are_not_kept(backend, monkeypatch):
    network = fb.Network([3, 4, 1], seed=0, backend=backend)
    scratch = engine_cache.engine(network._state, "train", 8)[2].nbytes
    monkeypatch.setattr(engine_cache, "_KEPT_BYTES", 3 * scratch)
    for rows in range(8, 0, -1):
        network.train_on_batch(np.zeros((rows, 3)), np.zeros((rows, 1)))
    held = [kept.nbytes for _, _, kept in network._state.engines.values()]
    assert sum(held[:-1]) <= 3 * scratch and len(held) < 8


# the content of scratch memory


def _poison(monkeypatch: pytest.MonkeyPatch, byte: int) -> None:
    """Fill scratch memory when it is made, and again whenever a call takes it up."""
    make, take = engine_cache._make, engine_cache.engine

    def filled(found):
        found[2].view(np.uint8)[:] = byte
        return found

    monkeypatch.setattr(engine_cache, "_make", lambda *args: filled(make(*args)))
    monkeypatch.setattr(engine_cache, "engine", lambda *args: filled(take(*args)))

    def fresh_predictor(own, *args, **options):
        own.idle_predictors.clear()
        own.idle_averages.clear()
        return take_predictor(own, *args, **options)

    take_predictor = engine_cache.take_predictor
    monkeypatch.setattr(engine_cache, "take_predictor", fresh_predictor)


def _everything(name: str, dtype: str, backend: str) -> list[bytes]:
    """The bits of all that uses scratch memory, a short tile and a short batch at every end."""
    case = CASES[name]
    network = case.network(dtype, backend)
    X, y = case.data(5 * case.batch_size // 2 + 1)
    found = []
    for n_threads in (1, 2):
        network.fit(X, y, epochs=2, batch_size=case.batch_size, n_threads=n_threads)
        found.append(digest(network).encode())
    network.train_on_batch(X[:3], y[:3])
    values = [network.predict(X), network.predict(X, n_threads=2), network(X)]
    values += [network.evaluate(X, y)["loss"], network.forward(X)]
    values += [network.backward(np.ones((len(X), network.n_outputs)))]
    network.step()
    values += [*network.gradients.values(), *network.trace(X, y).values()]
    return [
        *found,
        *(np.ascontiguousarray(value).tobytes() for value in values),
        digest(network).encode(),
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@each_case
@pytest.mark.slow
def test_poisoned_scratch(name, dtype, backend, monkeypatch):
    plain = _everything(name, dtype, backend)
    for byte in (0x00, 0xFF):
        with monkeypatch.context() as patch:
            _poison(patch, byte)
            assert _everything(name, dtype, backend) == plain


# the ends of memory

_MARGIN = 512  # bytes at each end, whole cache lines


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@each_case
def test_canaries(name, dtype, backend, monkeypatch):
    """Nothing is written outside the memory of parameters, state and scratch."""
    blocks = []

    def guarded(size, dtype, *, purpose, zero=False):
        raw = np.full(size * dtype.itemsize + 2 * _MARGIN + 64, 0xA5, np.uint8)
        start = _MARGIN + -raw.ctypes.data % 64
        blocks.append((raw, start, start + size * dtype.itemsize))
        if zero:
            raw[start : start + size * dtype.itemsize] = 0
        return raw[start : start + size * dtype.itemsize].view(dtype)

    plain = _everything(name, dtype, backend)
    for module in (engine_cache, state):
        monkeypatch.setattr(module, "allocate", guarded)
    assert _everything(name, dtype, backend) == plain
    assert len(blocks) >= 4
    for raw, start, end in blocks:
        assert (raw[:start] == 0xA5).all()
        assert (raw[end:] == 0xA5).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 7, 33, 300])
def test_data_at_the_end_of_its_memory(n, dtype, backend):
    network = fb.Network([5, 19, 3], dtype=dtype, seed=0, backend=backend)
    random = np.random.default_rng(n)
    raw_X, raw_out = np.full(n * 5 + 64, np.nan, dtype), np.full(n * 3 + 64, 7, dtype)
    X, out = raw_X[32:-32].reshape(n, 5), raw_out[32:-32].reshape(n, 3)
    X[...] = random.standard_normal((n, 5))
    y = random.standard_normal((n, 3))
    assert network.predict(X, out=out) is out
    assert out.tobytes() == network.predict(X.copy()).tobytes()
    assert np.isfinite(out).all()
    assert (raw_out[:32] == 7).all() and (raw_out[-32:] == 7).all()
    history = network.fit(X, y, epochs=2, batch_size=8)
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_do_not_share_cache_sets(dtype: str) -> None:
    """Whole blocks of 64 bytes, at most one to spare, never a multiple of 4096 bytes."""
    size = np.dtype(dtype).itemsize
    for n in (1, 16, 500, 511, 512, 513, 1000, 1024, 1025, 2048, 4096):
        n_bytes = row_length(n, np.dtype(dtype)) * size
        assert n_bytes % 64 == 0 and n_bytes % 4096, n
        assert n * size <= n_bytes < n * size + 128, n
    network = fb.Network([3, 1024, 1], dtype=dtype)
    for name, part in network.parameters.items():
        assert part.strides[0] % 4096 or part.ndim == 1 or part.shape[1] == 1, name

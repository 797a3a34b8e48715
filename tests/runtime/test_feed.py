"""Arrays that are converted part by part: the bits of a whole epoch in memory, in any ending."""

import threading
import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest
from support.mark import slow_but
from support.network_state import classification, digest, values
from support.refusal import NAN
from support.tolerance import assert_near
from support.weight import BACKENDS

import fastbp as fb
from fastbp.runtime import feed, rows
from fastbp.runtime.train import Epochs

KINDS = ["uint8", "int64", "bool", "float16", "float64", ">f4", "memmap"]


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch):
    """Call it: from now on every array is large, and a part is a few batches."""

    def begin(part_bytes: int = 2000) -> None:
        monkeypatch.setattr(rows, "MOST_BYTES", 0)
        monkeypatch.setattr("fastbp.runtime.held_out.MOST_BYTES", 0)
        monkeypatch.setattr("fastbp.check.array._is_mapped", lambda array: True)
        monkeypatch.setattr("fastbp.runtime.predict.MOST_BYTES", 0)
        monkeypatch.setattr("fastbp.runtime.predict.PART_NUMBERS", 1000)
        monkeypatch.setattr(rows, "_GATHER", 50)
        monkeypatch.setattr(feed, "PART_BYTES", part_bytes)

    return begin


def table(kind: str, tmp_path, n: int = 203) -> tuple[np.ndarray, np.ndarray]:
    X, y = classification(n, 6, 3)
    X = np.round(10 * X)
    if kind == "memmap":
        held = np.memmap(tmp_path / "X", np.int16, "w+", shape=X.shape)
        held[:] = X
        return held, y
    return np.abs(X).astype(kind) if kind in ("uint8", "bool") else X.astype(kind), y


def classifier(backend: str, **options) -> fb.Network:
    return fb.Network(
        [6, 8, 3], activation="tanh", loss="cross_entropy", seed=2, backend=backend,
        metrics=["accuracy"], **options,
    )  # fmt: skip


BATCHES = [list(range(i, min(203, i + 1 + i % 30))) for i in range(0, 203, 9)]
CALLS = {
    "shuffled": lambda net, X, y: net.fit(X, y, epochs=3, batch_size=16, validation_data=(X, y)),
    "in order": lambda net, X, y: net.fit(X, y, epochs=2, batch_size=7, shuffle=False),
    "explicit": lambda net, X, y: net.fit(X, y, epochs=2, batches=BATCHES),
    "accumulated": lambda net, X, y: net.fit(X, y, epochs=2, batch_size=8, accumulate=3),
    "one batch": lambda net, X, y: net.fit(X, y, epochs=2, batch_size=999),
    "steps": lambda net, X, y: net.train_steps(X, y, steps=20, batch_size=16),
    "held out": lambda net, X, y: net.fit(X, y, epochs=2, batch_size=16, validation_split=0.2),
    "threads": lambda net, X, y: net.fit(X, y, epochs=2, batch_size=16, n_threads=2),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", slow_but(["uint8", "memmap"], KINDS))
def test_bits_are_those_of_a_whole_epoch(kind, call, backend, in_parts, tmp_path):
    X, y = table(kind, tmp_path)
    whole, parts = classifier(backend), classifier(backend)
    expected = CALLS[call](whole, X, y)
    figures, answer = whole.evaluate(X, y), whole.predict(X).tobytes()
    in_parts()
    found = CALLS[call](parts, X, y)
    assert digest(whole) == digest(parts)
    assert (whole.steps, whole._state.epochs) == (parts.steps, parts._state.epochs)
    assert parts.predict(X).tobytes() == answer
    for name, value in parts.evaluate(X, y).items():
        assert_near(value, figures[name], dtype="float64", length=64)
    assert not [t for t in threading.enumerate() if t.name == "fastbp-prefetch"]
    if isinstance(expected, float):
        assert found == expected
        return
    assert found.history.keys() == expected.history.keys()
    assert found.history["loss"] == expected.history["loss"]
    for name, past in expected.history.items():  # figures of validation are sums of sums of parts
        assert_near(found.history[name], past, dtype="float64", length=64)


@pytest.mark.parametrize("backend", BACKENDS)
def test_targets_and_weights_go_with_their_rows(backend, in_parts):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 9, (120, 5)).astype(np.uint8)
    y = X[:, :2].astype(np.float16)
    weight = rng.integers(0, 3, 120)
    nets = [fb.Network([5, 4, 2], seed=0, backend=backend) for _ in range(2)]
    past = nets[0].fit(X, y, sample_weight=weight, epochs=2, batch_size=9).history["loss"]
    in_parts()
    found = nets[1].fit(X, y, sample_weight=weight, epochs=2, batch_size=9).history["loss"]
    assert digest(nets[0]) == digest(nets[1]) and found == past


def test_the_other_may_be_read_in_place(backend, in_parts):
    X = np.random.default_rng(0).standard_normal((90, 4)).astype(np.float32)
    nets = [fb.Network([4, 4], seed=0, backend=backend) for _ in range(2)]
    nets[0].fit(X, np.float16(X), epochs=2)
    in_parts()
    nets[1].fit(X, np.float16(X), epochs=2)
    assert digest(nets[0]) == digest(nets[1])


@pytest.mark.parametrize("epoch", [1, 3])
def test_divergence_restores_the_whole_epoch(epoch, backend, in_parts):
    """In the last part, parts after the beginning of the epoch."""
    in_parts(part_bytes=600)
    rng = np.random.default_rng(0)
    X, y = np.float16(rng.standard_normal((60, 3))), rng.standard_normal((60, 2))
    net = fb.Network([3, 2], optimizer=fb.Adam(0.01), seed=0, backend=backend)
    net.fit(X, y, epochs=epoch - 1, batch_size=5, shuffle=False)
    before = digest(net), net.steps
    y[57] = 3e38
    text = r"^loss is inf at epoch 1, batch 12 .* restored to before the call$"
    with pytest.raises(fb.DivergenceError, match=text):
        net.fit(X, y, epochs=3, batch_size=5, shuffle=False)
    assert (digest(net), net.steps) == before
    assert not [t for t in threading.enumerate() if t.name == "fastbp-prefetch"]


def test_divergence_tells_the_last_good_epoch(backend, in_parts):
    in_parts(part_bytes=600)
    rng = np.random.default_rng(0)
    X, y = np.float16(rng.standard_normal((60, 3))), rng.standard_normal((60, 2))
    net = fb.Network([3, 4, 2], optimizer=fb.SGD(200.0), seed=0, backend=backend)
    reference = net.copy()
    with pytest.raises(fb.DivergenceError) as caught:
        net.fit(X, y, epochs=100, batch_size=5)
    with pytest.raises(fb.DivergenceError) as expected:
        reference.fit(np.float32(X), np.float32(y), epochs=100, batch_size=5)
    assert str(caught.value) == str(expected.value)
    assert digest(net) == digest(reference)
    losses = (past.history.get("loss", []) for past in (net.history, reference.history))
    assert_near(*losses, dtype="float64", length=64)


def test_an_epoch_batch_by_batch(backend, in_parts):
    """As callbacks between batches need it: the bits of the epoch, and its loss."""
    X, y = table("uint8", None)
    in_parts()
    for kwargs in ({"batch_size": 16}, {"batch_size": 16, "batches": BATCHES}):
        whole, parts = classifier(backend), classifier(backend)
        options = {"shuffle": True, "n_threads": 1} | kwargs
        losses = Epochs(whole._state, X, y, **options).run(2)
        call = Epochs(parts._state, X, y, **options).feed()
        for i, n in enumerate((1, 4)):
            epoch = feed.FedEpoch(call, first=i)
            done = 0
            while not epoch.is_complete:
                assert epoch.done == done and parts.steps == i * call.n_batches + done
                epoch.run(n)
                done = min(done + n, call.n_batches)
            epoch.end()
            assert epoch.done == call.n_batches
            assert_near(epoch.loss, losses[i], dtype="float64", length=64)
        assert digest(parts) == digest(whole)


def test_an_epoch_that_is_left(backend, in_parts):
    X, y = table("uint8", None)
    in_parts()
    net, expected = classifier(backend), classifier(backend)
    options = {"batch_size": 16, "shuffle": True, "n_threads": 1}
    epoch = feed.FedEpoch(Epochs(net._state, X, y, **options).feed(), first=0)
    epoch.run(3)
    epoch.end()
    expected.train_steps(X, y, steps=3, batch_size=16)
    assert values(net) == values(expected)
    assert net.epochs == 0 and net._state.unfinished.batches == 3
    assert not [t for t in threading.enumerate() if t.name == "fastbp-prefetch"]


def test_checks_find_the_place_in_large_arrays(in_parts):
    in_parts()
    net = fb.Network([2, 1], seed=0)
    X = np.zeros((300_000, 2), np.float16)
    X[200_123, 1] = NAN
    text = r"^Input X contains NaN \(first at \[200123, 1\]\); values are missing in 1 of 300000 ro"
    refused_by = (lambda: net.fit(X, X[:, :1]), lambda: net.predict(X))
    for call in refused_by:
        with pytest.raises(ValueError, match=text):
            call()
    X = X.astype(np.float64)
    X[200_123, 1] = -1e300
    with pytest.raises(ValueError, match=r"^X\[200123, 1\] = -1e\+300 does not fit float32$"):
        net.fit(X, X[:, :1])
    assert net.steps == 0


def test_arrays_in_other_orders(backend, in_parts):
    """Gathered by other means than rows that lie one behind the other."""
    X = np.random.default_rng(0).integers(0, 9, (200, 8)).astype(np.uint8)
    y = X[:, 0]
    nets = [fb.Network([4, 1], seed=0, backend=backend) for _ in range(4)]
    nets[0].fit(np.float32(X[:, ::2]), y)
    in_parts()
    for net, held in zip(
        nets[1:], (X[:, ::2], np.asfortranarray(X[:, ::2]), X[:, ::2].copy()), strict=True
    ):
        net.fit(held, y)
        assert digest(net) == digest(nets[0])


@pytest.mark.parametrize("order", ["<", ">"])
def test_every_half_number(dtype, order):
    net = fb.Network([4, 1], dtype=dtype, seed=0)
    bits = np.arange(2**16, dtype=np.uint16).view(np.float16).reshape(-1, 4)
    given = bits.astype(f"{order}f2")
    expected = bits.astype(dtype)
    for part in (slice(None), slice(5, 99), np.array([3, 1, 2])):
        found = rows.converted(given, part, net._state)
        assert found.dtype == dtype and np.array_equal(found, expected[part], equal_nan=True)


def test_small_arrays_and_those_as_large_as_their_copy_are_converted_once():
    def fed(X):
        checked = rows.checked_rows(net._state, X, np.zeros(len(X)))
        return not checked.is_direct

    net = fb.Network([1000, 1], seed=0)
    assert not fed(np.zeros((1000, 1000), np.uint8))  # 4 MB
    assert fed(np.zeros((20_000, 1000), np.uint8))  # 80 MB
    assert not fed(np.zeros((20_000, 1000), np.float32))
    assert not fed(np.zeros((20_000, 1000), np.float64))
    assert not fed(np.zeros((20_000, 1000), np.int32))


@contextmanager
def traced():
    """A list whose one number, after the block, is the most bytes held at once in it."""
    peak = []
    tracemalloc.start()
    try:
        yield peak
        peak.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


def test_no_whole_copy(in_parts):
    """What NumPy allocates at most, of a uint8 array whose copy has 40 MB."""
    in_parts(part_bytes=2**20)
    X = np.ones((100_000, 100), np.uint8)
    y = np.zeros(100_000, np.float32)
    net = fb.Network([100, 2, 1], seed=0)
    with traced() as peak:
        net.fit(X, y, batch_size=1000, validation_data=(X, y))
    assert peak[0] < 10e6


def test_memory_map_of_the_networks_type_is_read_in_place(tmp_path):
    X = np.memmap(tmp_path / "X", np.float32, "w+", shape=(100_000, 50))
    y = np.memmap(tmp_path / "y", np.float32, "w+", shape=(100_000, 1))
    net = fb.Network([50, 2, 1], seed=0)
    with traced() as peak:
        net.fit(X, y, batch_size=1000, validation_data=(X, y))
    assert peak[0] < 2e6


def test_no_copy_of_the_rows_held_out(in_parts, tmp_path):
    in_parts(part_bytes=2**18)
    X = np.memmap(tmp_path / "X", np.float32, "w+", shape=(100_000, 100))
    y = np.zeros(100_000, np.float32)
    net = fb.Network([100, 2, 1], metrics=["mae"], seed=0)
    with traced() as peak:
        past = net.fit(X, y, batch_size=100, validation_split=0.5).history
    assert peak[0] < 15e6 and set(past) == {"loss", "mae", "val_loss", "val_mae"}


RATES = {
    "number": 0.01,
    "formula": fb.ExponentialDecay(0.02, 7, 0.5),
    "function a step": lambda step: 0.02 / (1 + step),
    "function an epoch": fb.CallableSchedule(lambda step: 0.02 / (1 + step), per="epoch"),
}


@pytest.mark.parametrize("rate", RATES)
def test_learning_rates_of_steps(rate, backend, in_parts):
    X, y = table("uint8", None)
    nets = [classifier(backend, optimizer=fb.Adam(RATES[rate])) for _ in range(3)]
    nets[0].fit(X, y, epochs=3, batch_size=16)
    nets[2].fit(X, y, epochs=3, batch_size=16, shuffle=False)
    in_parts()
    nets[1].fit(X, y, epochs=3, batch_size=16)
    assert digest(nets[1]) == digest(nets[0])
    chunked = classifier(backend, optimizer=fb.Adam(RATES[rate]))
    cuts = [50, 111]
    pairs = list(zip(np.split(X, cuts), np.split(y, cuts), strict=True))
    chunked.fit(pairs, epochs=3, batch_size=16, shuffle=False)
    assert digest(chunked) == digest(nets[2])


def test_callbacks_between_batches(backend, in_parts):
    X, y = table("uint8", None)
    in_parts()

    class Count(fb.Callback):
        def __init__(self) -> None:
            self.seen: list[int] = []

        def on_train_batch_end(self, batch, logs) -> None:
            self.seen.append(batch)
            if len(self.seen) == 20:
                self.model.stop_training = True

    net, expected, count = classifier(backend), classifier(backend), Count()
    past = net.fit(X, y, epochs=3, batch_size=16, callbacks=[count], verbose=0)
    expected.train_steps(X, y, steps=20, batch_size=16)
    assert values(net) == values(expected)
    assert count.seen == [*range(13), *range(7)] and len(past) == 2
    count.seen = []
    pairs = [(X[:100], y[:100]), (X[100:], y[100:])]
    net.fit(pairs, epochs=3, batch_size=16, callbacks=[count], verbose=0)
    assert count.seen == [*range(13), *range(7)]
    assert not [t for t in threading.enumerate() if t.name == "fastbp-prefetch"]

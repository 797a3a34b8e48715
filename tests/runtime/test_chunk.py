"""`fit` of chunks: batches are the same wherever they are cut; sources that end, fail or block."""

import threading

import numpy as np
import pytest
from support import child
from support.network_state import classification, digest
from support.refusal import NAN, Bad, bad_input
from support.weight import BACKENDS

import fastbp as fb

X, Y = classification(101, 5, 3)
CUTS = [[], [50], [7, 8, 8, 40, 100], list(range(1, 101))]


def network(backend: str = "numpy", **options) -> fb.Network:
    return fb.Network(
        [5, 8, 3], activation="tanh", loss="cross_entropy", seed=1, backend=backend, **options
    )


def chunks(cut, *arrays):
    return list(zip(*(np.split(array, cut) for array in arrays), strict=True))


def no_thread() -> bool:
    return not [t for t in threading.enumerate() if t.name == "fastbp-prefetch"]


@pytest.mark.parametrize("cut", CUTS, ids=len)
def test_batches_go_on_over_the_cuts(cut, backend):
    net, expected = network(backend), network(backend)
    data = chunks(cut, X, Y)
    past = net.fit(data, epochs=3, batch_size=8, shuffle=False).history["loss"]
    whole = expected.fit(X, Y, epochs=3, batch_size=8, shuffle=False).history["loss"]
    assert digest(net) == digest(expected)
    assert (net.steps, net._state.epochs) == (39, 3)
    assert past == whole
    assert no_thread()


@pytest.mark.parametrize("cut", CUTS, ids=len)
@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_and_gaps_in_chunks(cut, backend):
    weight = np.random.default_rng(0).integers(0, 3, 101)
    holed = Y.astype(float)
    holed[::10] = NAN
    options = {
        "epochs": 2, "batch_size": 8, "shuffle": False, "ignore_nan": True,
        "class_weight": {1: 2.0},
    }  # fmt: skip
    net, expected = network(backend), network(backend)
    past = net.fit(chunks(cut, X, holed, weight), **options).history["loss"]
    whole = expected.fit(X, holed, sample_weight=weight, **options).history["loss"]
    assert digest(net) == digest(expected)
    assert past == whole


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_in_some_chunks(backend):
    net, expected = network(backend), network(backend)
    net.fit([(X[:10], Y[:10]), (X[10:], Y[10:], np.full(91, 2))], batch_size=8, shuffle=False)
    weight = np.repeat([1, 2], [10, 91])
    expected.fit(X, Y, sample_weight=weight, batch_size=8, shuffle=False)
    assert digest(net) == digest(expected)


def test_sources():
    """A list, an iterable class, a function, a generator for one epoch: one and the same."""
    data = chunks([30, 60], X, Y)

    class Source:
        def __iter__(self):
            return iter(data)

    seen = []
    for source in (data, Source(), lambda: iter(data), lambda: (pair for pair in data)):
        net = network()
        net.fit(source, epochs=2)
        seen.append(digest(net))
    assert len(set(seen)) == 1
    one, other = network(), network()
    one.fit(pair for pair in data)
    other.fit(data)
    assert digest(one) == digest(other)


def test_rows_are_shuffled_within_a_chunk():
    net, again, ordered = network(), network(), network()
    data = chunks([40], X, Y)
    net.fit(data, epochs=2, batch_size=8)
    again.fit(data, batch_size=8)
    again.fit(data, batch_size=8)  # the order follows from the epochs so far
    ordered.fit(data, epochs=2, batch_size=8, shuffle=False)
    assert digest(net) == digest(again) != digest(ordered)
    same_order = fb.random.chunk_order(40, seed=1, epoch=0, chunk=0)
    assert not np.array_equal(same_order, fb.random.chunk_order(40, seed=1, epoch=1, chunk=0))
    assert not np.array_equal(same_order, fb.random.chunk_order(40, seed=1, epoch=0, chunk=1))
    assert not np.array_equal(same_order, fb.random.chunk_order(40, seed=2, epoch=0, chunk=0))


def test_types_and_validation():
    data = chunks([40], np.round(X).astype(np.int8), Y.astype(np.uint8))
    net, expected = network(metrics=["accuracy"]), network(metrics=["accuracy"])
    pair = X[:20], Y[:20]
    past = net.fit(data, shuffle=False, validation_data=pair).history
    whole = expected.fit(np.round(X), Y, shuffle=False, validation_data=pair).history
    assert digest(net) == digest(expected)
    assert past == whole and set(past) == {"loss", "accuracy", "val_loss", "val_accuracy"}


BAD_CHUNKS = [
    Bad(
        "chunks", 3, TypeError, r"^without y, X must be an iterable of chunks \(X, y\) or a functi"
    ),
    Bad("chunks", X, TypeError, r"^fit needs y: fit\(X, y\), or fit\(chunks\) of pairs \(X, y\)$"),
    Bad("chunks", iter([(X, Y)]), ValueError, "^the chunks are an iterator, .* epochs is 2: pass"),
    Bad("chunks", [], ValueError, "^there are no chunks in epoch 1$"),
    Bad("chunks", [[0.5] * 5], TypeError, r"^chunk 0 must be \(X, y\) or \(X, y, sample_weight\)"),
    Bad("chunks", [(X,)], TypeError, r"^chunk 0 must be \(X, y\)"),
    Bad("chunks", [(X, Y[:3])], ValueError, "^chunk 0: X has 101 rows, y has 3$"),
    Bad("chunks", [(X[:, :2], Y)], ValueError, "^chunk 0: X has 2 features, but Network is"),
    Bad("chunks", [(X, Y, -np.ones(101))], ValueError, r"^chunk 0: sample_weight\[0\] = -1 is neg"),
]


@bad_input("chunks")
@pytest.mark.parametrize("bad", BAD_CHUNKS, ids=lambda bad: bad.text[:40])
def test_bad_chunks(bad):
    net = network()
    before = digest(net)
    with pytest.raises(bad.error, match=bad.text):
        net.fit(bad.call, epochs=2)
    assert digest(net) == before and no_thread()


@bad_input("chunks")
def test_options_that_need_arrays():
    net, data = network(), [(X, Y)]
    for options, text in {
        "sample_weight": ({"sample_weight": np.ones(101)}, "^pass the weights with each chunk"),
        "batches": ({"batches": [[0]]}, "^batches are row numbers of arrays"),
        "validation_split": ({"validation_split": 0.1}, "^validation_split needs arrays"),
        "balanced": ({"class_weight": "balanced"}, "^class_weight 'balanced' needs all labels at"),
    }.values():
        with pytest.raises(ValueError, match=text):
            net.fit(data, **options)
    assert net.steps == 0


@bad_input("chunks")
def test_a_later_bad_chunk():
    net, expected = network(), network()
    data = [*chunks([32], X, Y), (X[:, :1], Y)]
    with pytest.raises(ValueError, match="^chunk 2: X has 1 feature, but Network"):
        net.fit(data, batch_size=16, shuffle=False)
    expected.fit(X[:96], Y[:96], batch_size=16, shuffle=False)
    assert net.steps == 6 and net._state.epochs == 0
    assert all(
        np.array_equal(a, b) for a, b in zip(net.get_weights(), expected.get_weights(), strict=True)
    )
    net.fit(data[:2])
    assert no_thread()


@bad_input("source that fails")
def test_source_that_fails(backend):
    closed = []

    def source():
        try:
            yield X[:32], Y[:32]
            raise OSError("the disk is gone")
        finally:
            closed.append(True)

    net = network(backend)
    with pytest.raises(OSError, match="^the disk is gone$"):
        net.fit(source, epochs=3, batch_size=16)
    assert net.steps == 2 and closed == [True] and no_thread()
    assert net.fit([(X, Y)]).epoch == [0]


def test_source_is_closed_when_training_ends_early(backend):
    closed = []

    def source():
        try:
            for _ in range(1000):
                yield X, np.where(np.arange(101) == 50, 1e30, 0.0)
        finally:
            closed.append(True)

    net = fb.Network([5, 1], optimizer=fb.SGD(1e30), seed=0, backend=backend)
    before = digest(net)
    with pytest.raises(fb.DivergenceError, match="restored to before the call$"):
        net.fit(source)
    assert digest(net) == before and closed == [True] and no_thread()


def test_empty_chunks_are_passed_over():
    net, expected = network(), network()
    net.fit([(X[:0], Y[:0]), (X, Y), (X[:0], Y[:0])], shuffle=False)
    expected.fit(X, Y, shuffle=False)
    assert digest(net) == digest(expected)


INTERRUPT = """
import json, os, signal, threading, time
import numpy as np
import fastbp as fb

signal.signal(signal.SIGINT, signal.default_int_handler)
X, y = np.ones((640, 4), np.float32), np.ones((640, 1), np.float32)

def source():
    while True:
        yield X, y
        time.sleep(SLEEP)

net = fb.Network([4, 32, 1], seed=0, optimizer=fb.SGD(1e-6))
threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
begin = time.perf_counter()
try:
    net.fit(source, batch_size=64)
    ended = "by itself"
except KeyboardInterrupt:
    ended = "by Ctrl-C"
took = time.perf_counter() - begin
time.sleep(SLEEP)  # what the source was asked for before
names = [t.name for t in threading.enumerate()]
steps = net.steps
net.fit(X, y)
print(json.dumps([ended, took, "fastbp-prefetch" in names, steps, net.steps]))
"""


@pytest.mark.parametrize("sleep", [0.0, 0.3])
def test_interrupt(sleep):
    """While the engine trains, and while it waits for a chunk."""
    ended, took, left, steps, then = child.result(INTERRUPT.replace("SLEEP", str(sleep)))
    assert ended == "by Ctrl-C" and took < 2 and not left
    assert steps > 0 and then == steps + 20


def test_a_source_may_fill_its_arrays_anew(backend):
    def source(is_new):
        x, y = np.empty((20, 5), np.float32), np.empty(20, np.int64)
        for i in range(0, 100, 20):
            if is_new:
                x, y = x.copy(), y.copy()
            x[:], y[:] = X[i : i + 20], Y[i : i + 20]
            yield x, y

    net, expected = network(backend), network(backend)
    net.fit(source(False), batch_size=8, shuffle=False)
    expected.fit(source(True), batch_size=8, shuffle=False)
    assert digest(net) == digest(expected)


@pytest.mark.parametrize("options", [{}, {"max_seconds": 5.0}])
def test_chunks_without_rows(options, backend):
    net = network(backend)
    with pytest.raises(ValueError, match="there are no rows in epoch 1"):
        net.fit([(X[:0], Y[:0])], epochs=2, **options)
    assert net.steps == 0


def test_errors_whose_class_takes_more_than_a_text(backend):
    class Rows:
        def __array__(self, dtype=None, copy=None):
            raise UnicodeDecodeError("utf-8", b"x", 0, 1, "bad")

    with pytest.raises(ValueError, match="chunk 0: .*bad"):
        network(backend).fit([(Rows(), Y)])


def test_frame_names_stay_where_the_first_chunk_is_refused(backend):
    pandas = pytest.importorskip("pandas")
    net = network(backend)
    net.fit(pandas.DataFrame(X, columns=list("abcde")), Y)
    with pytest.raises(ValueError, match="chunk 0"):
        net.fit([(X[:, :4], Y)])
    assert net.feature_names == tuple("abcde")

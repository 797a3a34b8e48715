"""The same bits whatever the threads, the instruction set, the batch and the memory layout."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import child
from support.kernels import needs_kernels
from support.mark import slow_but
from support.network_state import classification, digest
from support.optimizer_case import MORE_OPTIMIZERS
from support.tolerance import assert_rounded, assert_same_training
from support.training_case import CASES, each_case, train

import fastbp as fb
from fastbp.activation import ACTIVATIONS, OF_ROWS
from fastbp.backend import compiled_modules
from fastbp.layer import architecture
from fastbp.loss import LOSSES
from fastbp.plan import cache, threshold, tiling
from fastbp.runtime import engine_cache

DTYPES = ["float32", "float64"]


@needs_kernels
@each_case
def test_the_cases_exercise_both_regimes(name):
    case = CASES[name]
    _, plan, _ = engine_cache.engine(case.network("float32")._state, "train", case.batch_size)
    assert plan.weight_parallel == case.weight_parallel
    assert plan.rows_in_lanes == name.startswith("lanes")
    if not case.weight_parallel:
        assert -(-case.batch_size // plan.block_rows) == case.n_blocks


@needs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@each_case
def test_threads(name, dtype):
    trained = [digest(train(name, dtype, n_threads=n)) for n in (1, 2, 3, 4)]
    assert len(set(trained)) == 1


@needs_kernels
def test_losses_of_tiles_taken_together(dtype):
    """More rows than one thread takes at a time."""
    X, y = classification(1200, 900, 3)
    losses = []
    for n in (1, 2, 3, 4):
        network = fb.Network([900, 40, 3], loss="cross_entropy", seed=0, dtype=dtype)
        assert network.plan(1100).regime == "weight-parallel"
        history = network.fit(X, y, epochs=2, batch_size=1100, n_threads=n).history
        losses.append((history["loss"], digest(network)))
    assert all(found == losses[0] for found in losses[1:])


@needs_kernels
@each_case
@pytest.mark.usefixtures("eager_threads")
def test_threads_of_predict_and_evaluate(name):
    case, network = CASES[name], train(name, "float32")
    X, y = case.data(1000)
    one = [network.predict(X, n_threads=1), network.evaluate(X, y, n_threads=1)["loss"]]
    for n in (2, 3, 4):
        other = [network.predict(X, n_threads=n), network.evaluate(X, y, n_threads=n)["loss"]]
        assert one[0].tobytes() == other[0].tobytes()
        assert one[1] == other[1]


@pytest.mark.slow
def test_instruction_sets():
    runs = [name for name in ("v3", "v4") if (name, "float32") in compiled_modules()]
    if len(runs) < 2:
        pytest.skip(f"this processor and build have {runs}")
    code = "import json; from support.training_case import digests; print(json.dumps(digests()))"
    first, second = (child.result(code, FASTBP_ISA=name) for name in runs)
    assert first == second
    assert len(set(first.values())) == 2 * len(CASES)


def test_same_seed_same_bits(backend):
    X, y = classification(50, 6, 3)
    trained = {}
    for seed in (0, 0, 1, 2**64 - 1):
        network = fb.Network([6, 9, 3], loss="cross_entropy", seed=seed, backend=backend)
        network.fit(X, y, epochs=2, batch_size=7)
        trained.setdefault(seed, set()).add(digest(network))
    assert all(len(found) == 1 for found in trained.values())
    assert len(set.union(*trained.values())) == 3


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["tiny", "two blocks", "graph", "parameters"])
def test_train_on_batch_is_fit_of_explicit_batches(name, dtype, backend):
    case = CASES[name]
    n = 2 * case.batch_size + 3
    X, y = case.data(n)
    rows = np.random.default_rng(3).permutation(n)
    batches = [rows[: case.batch_size], rows[case.batch_size :][: case.batch_size], rows[-3:]]
    together, one_by_one = case.network(dtype, backend), case.network(dtype, backend)
    history = together.fit(X, y, epochs=2, batches=batches)
    losses = [one_by_one.train_on_batch(X[part], y[part]) for part in 2 * batches]
    sizes = [len(part) for part in batches]
    means = [np.average(losses[:3], weights=sizes), np.average(losses[3:], weights=sizes)]
    assert_rounded(history.history["loss"], means, dtype="float64", roundings=16)
    if backend == "cython":
        for a, b in zip(together.get_weights(), one_by_one.get_weights(), strict=True):
            assert a.tobytes() == b.tobytes()
    else:  # a plan of three rows sums in another order there
        for a, b in zip(together.get_weights(), one_by_one.get_weights(), strict=True):
            assert_same_training(a, b, dtype=dtype)
    assert together.steps == one_by_one.steps == 6


@pytest.mark.parametrize("optimizer", ["sgd", fb.SGD(0.01, momentum=0.9), "adam", "adamw"], ids=str)
def test_two_fits_are_one_of_as_many_epochs(optimizer, backend):
    X, y = classification(70, 6, 3)
    networks = [
        fb.Network([6, 9, 3], loss="cross_entropy", optimizer=optimizer, seed=3, backend=backend)
        for _ in range(2)
    ]
    losses = networks[0].fit(X, y, epochs=6, batch_size=16).history["loss"]
    halves = [networks[1].fit(X, y, epochs=3, batch_size=16).history["loss"] for _ in range(2)]
    assert losses == halves[0] + halves[1]
    assert digest(networks[0]) == digest(networks[1])


def test_train_steps_is_fit(backend):
    X, y = classification(70, 6, 3)
    networks = [
        fb.Network([6, 9, 3], loss="cross_entropy", seed=3, backend=backend) for _ in range(2)
    ]
    losses = networks[0].fit(X, y, epochs=3, batch_size=32).history["loss"]  # 3 steps each
    mean = networks[1].train_steps(X, y, steps=9, batch_size=32)
    assert digest(networks[0]) == digest(networks[1])
    assert_rounded(mean, np.mean(losses), dtype="float64", roundings=16)


# a row alone and in any batch

widths = st.lists(st.integers(1, 40), min_size=2, max_size=4)
activations = st.sampled_from(["relu", "tanh", "gelu", "softplus", "elu", "sigmoid"])
losses = st.sampled_from(["mse", "cross_entropy", "binary_cross_entropy"])


@needs_kernels
@settings(max_examples=60, deadline=None)
@given(
    widths=widths, activation=activations, loss=losses, dtype=st.sampled_from(DTYPES),
    n=st.integers(1, 600), n_threads=st.integers(1, 3), data=st.data(),
)  # fmt: skip
@pytest.mark.usefixtures("eager_threads")
def test_row_of_any_batch(widths, activation, loss, dtype, n, n_threads, data):
    widths[-1] += fb.Loss(loss).domain == "class"
    network = fb.Network(widths, activation=activation, loss=loss, dtype=dtype, seed=1)
    X = np.random.default_rng(n).standard_normal((n, widths[0])).astype(dtype)
    whole = network.predict(X, n_threads=n_threads)
    begin = data.draw(st.integers(0, n - 1))
    end = data.draw(st.integers(begin + 1, n))
    assert network.predict(X[begin:end]).tobytes() == whole[begin:end].tobytes()
    assert network.predict(X[begin : begin + 1]).tobytes() == whole[begin : begin + 1].tobytes()
    assert network.predict(X, batch_size=begin + 1).tobytes() == whole.tobytes()


LATENCY_OPTIMIZERS = [
    fb.Adam(0.01), fb.AdamW(0.01), fb.AdamW(0.01, weight_decay=0.3, decay_bias=True), fb.SGD(0.05)
]  # fmt: skip
OTHERS = [fb.Adam(0.01, ema=0.9), fb.SGD(0.05, momentum=0.9, nesterov=True), *MORE_OPTIMIZERS]
optimizers = st.one_of(st.sampled_from(LATENCY_OPTIMIZERS), st.sampled_from(OTHERS))


@needs_kernels
@settings(max_examples=150, deadline=None)
@given(
    widths=st.sampled_from([4, 8]).flatmap(
        lambda most: st.lists(st.integers(1, most), min_size=2, max_size=4)
    ),
    rows=st.sampled_from([1, 1, 1, 2, 3, 4, 5, 6, 7, 8]),
    activation=st.sampled_from(sorted(set(ACTIVATIONS) - {*OF_ROWS})),
    last=st.sampled_from(sorted(ACTIVATIONS)),
    loss=st.sampled_from(sorted(LOSSES)), dtype=st.sampled_from(DTYPES), optimizer=optimizers,
    l2=st.sampled_from([0.0, 0.0, 0.01]), rate=st.sampled_from([1.0, 1.0, 0.5]),
    use_bias=st.booleans(), shuffle=st.booleans(),
)  # fmt: skip
def test_latency_path(
    widths, rows, activation, last, loss, dtype, optimizer, l2, rate, use_bias, shuffle
):
    """The short ways of latency.pxi and few.pxi, and the general one: the same bits."""
    is_class = fb.Loss(loss).domain == "class"
    last = fb.Loss(loss).response or last
    widths[-1] += is_class
    widths[-1] += widths[-1] % fb.Loss(loss).outputs_per_target
    layers = [fb.Dense(n, activation, l2=l2, use_bias=use_bias) for n in widths[1:-1]]
    layers.append(fb.Dense(widths[-1], last, l2=l2, learning_rate_multiplier=rate))
    random = np.random.default_rng(rows)
    X = random.standard_normal((3 * rows + 1, widths[0])).astype(dtype)
    y = random.random((len(X), fb.Loss(loss).n_targets(widths[-1])))
    if is_class:
        y = y.argmax(axis=1)
    if fb.Loss(loss).domain == "sign":
        y = y.round()
    found = []
    for most, n_threads in ((8, 1), (8, 2), (0, 1)):
        network = fb.Network(
            [fb.Input(widths[0]), *layers], loss=loss, optimizer=optimizer, dtype=dtype, seed=3
        )
        narrow = max(widths) <= (16 if dtype == "float32" else 8)
        narrow = narrow and (last not in OF_ROWS or is_class)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(threshold.LATENCY_ROWS, "value", most + 1)
            plan = engine_cache.engine(network._state, "train", rows, n_threads)[1]
            assert plan.latency_rows == (most if narrow else 0)
            try:
                history = network.fit(
                    X, y, epochs=3, batch_size=rows, shuffle=shuffle, n_threads=n_threads,
                    verbose=False,
                )  # fmt: skip
                said = history.history["loss"]
            except fb.DivergenceError as error:  # exponentials of exponentials
                said = str(error)
        found.append((digest(network), said))
    assert found[0] == found[1] == found[2]


# what a plan chooses by the machine

_WIDE = [name for name, case in CASES.items() if case.weight_parallel]
_GRAPHS = {f"parameters, {kind}" for kind in ("graph", "layers", "embeddings")}  # and no chains
_CACHES = {"tiny": (2**13, 0), "huge": (2**40, 0), "unpacked": (2**13, 2**50)}


@needs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", slow_but(set(_WIDE) - {"longer rows, cross-entropy"}, _WIDE))
def test_caches(name, dtype, monkeypatch):
    """Chunks of one vector and of a whole kernel, products from copies and from where they lie."""
    case, found = CASES[name], set()
    X, y = case.data(100)
    for level_2, packing in _CACHES.values():
        monkeypatch.setattr(cache.machine, "level_2", level_2)
        monkeypatch.setattr(threshold.PACKING_CACHE, "value", packing)
        plan = engine_cache.training_plan(case.network(dtype)._state, case.batch_size, 1)[0]
        assert (plan.packed_block > 0) == (level_2 == 2**13 and packing == 0)
        for n_threads in (1, 2):
            network = train(name, dtype, n_threads=n_threads)
            seen = [network.predict(X), network.forward(X), network.backward(network.forward(X))]
            found.add((digest(network), *(value.tobytes() for value in seen)))
    assert len(found) == 1


@needs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", slow_but(set(_WIDE) - {"longer rows, cross-entropy"}, _WIDE))
def test_layer_after_layer(name, dtype, monkeypatch):
    """Backward and update in one pass over each kernel of a chain, or from transposed copies."""
    found = {}
    for is_chain in (True, False):
        if not is_chain:
            monkeypatch.setattr(tiling, "_is_chain", lambda graph: False)
            monkeypatch.setattr(architecture, "_known", {})  # with their plans
        plan = engine_cache.training_plan(
            CASES[name].network(dtype)._state, CASES[name].batch_size, 1
        )[0]
        assert plan.layered == (is_chain and name not in _GRAPHS)
        assert not (plan.layered and plan.segments.transpose)
        found[is_chain] = {digest(train(name, dtype, n_threads=n)) for n in (1, 2, 3)}
    assert found[True] == found[False] and len(found[True]) == 1


@needs_kernels
def test_many_rows(dtype, monkeypatch):
    """Gradients passed on in chunks, at once from turned panels, and from transposed copies."""
    X, y = classification(401, 300, 10)
    found = set()
    for level_2, packing, is_chain in ((2**13, 0, True), (2**40, 2**50, True), (2**40, 0, False)):
        monkeypatch.setattr(cache.machine, "level_2", level_2)
        monkeypatch.setattr(threshold.PACKING_CACHE, "value", packing)
        if not is_chain:
            monkeypatch.setattr(tiling, "_is_chain", lambda graph: False)
            monkeypatch.setattr(architecture, "_known", {})  # with their plans
        for n_threads in (1, 2, 3):
            network = fb.Network(
                [300, 200, 100, 10], loss="cross_entropy", activation="gelu", seed=0, dtype=dtype
            )
            plan = engine_cache.training_plan(network._state, 401, 1)[0]
            assert plan.layered == is_chain and plan.weight_parallel
            network.fit(X, y, epochs=3, batch_size=401, n_threads=n_threads, verbose=False)
            found.add(digest(network))
    assert len(found) == 1


@needs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_inputs", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("rows", [1, 2, 5, 11, 16, 37])
def test_few_inputs(rows, n_inputs, dtype, monkeypatch):
    """A gradient passed on by dots with the kernel, or from its transposed copy."""
    random = np.random.default_rng(rows)
    X, y = random.standard_normal((2 * rows + 3, 6)), random.standard_normal((2 * rows + 3, 70))
    found = []
    for few in (5, 0):
        monkeypatch.setattr(threshold.FEW_INPUTS, "value", few)
        monkeypatch.setattr(architecture, "_known", {})  # with their plans
        network = fb.Network([6, n_inputs, 70], activation="elu", loss="mse", seed=0, dtype=dtype)
        plan = engine_cache.training_plan(network._state, rows, 1)[0]
        assert bool(plan.segments.dots) == (n_inputs < few) != bool(plan.segments.transpose)
        network.fit(X, y, epochs=3, batch_size=rows, verbose=False)
        found.append(digest(network))
    assert found[0] == found[1]


# memory layouts


@needs_kernels
@pytest.mark.parametrize("n_outputs", [1, 2, 3, 4])
@pytest.mark.parametrize("n_inputs", [3, 7, 16, 20, 32, 33, 64])
def test_few_outputs_of_rows_where_they_lie(n_inputs, n_outputs, dtype):
    """Rows of x that are whole blocks are read in place, others from a padded copy."""
    random = np.random.default_rng(n_inputs)
    X = random.standard_normal((101, n_inputs)).astype(dtype)
    y = random.standard_normal((101, n_outputs)).astype(dtype)
    found = []
    for x in (X, np.asfortranarray(X)):
        network = fb.Network([n_inputs, n_outputs], seed=0, dtype=dtype)
        network.fit(x, y, epochs=2, batch_size=37, shuffle=False)
        found.append((digest(network), network.predict(x).tobytes()))
    alone = b"".join(network.predict(X[i : i + 1]).tobytes() for i in range(len(X)))
    assert found[0] == found[1] and found[0][1] == alone


def _unaligned(a: np.ndarray) -> np.ndarray:
    raw = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    raw[...] = a
    assert not raw.flags.aligned
    return raw


def _strided(a: np.ndarray) -> np.ndarray:
    wide = np.full((2 * a.shape[0], 3 * a.shape[1]), np.nan, a.dtype)
    wide[::2, ::3] = a
    return wide[::2, ::3]


def _read_only(a: np.ndarray) -> np.ndarray:
    own = a.copy()
    own.flags.writeable = False
    return own


def _field(a: np.ndarray) -> np.ndarray:
    record = np.zeros(a.shape, [("tag", "u1"), ("x", a.dtype)])
    record["x"] = a
    return record["x"]


LAYOUTS = {
    "F order": np.asfortranarray,
    "strided": _strided,
    "negative strides": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "transposed": lambda a: a.T.copy().T,
    "unaligned": _unaligned,
    "read-only": _read_only,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "field of a record": _field,
    "list": lambda a: a.tolist(),
}


def _everything(network: fb.Network, X, y, Z) -> str:
    """One hash of what training and every use of a network give."""
    out = [network.fit(X, y, epochs=2, batch_size=8, validation_data=(X, y)).history["val_loss"]]
    out += [network.train_on_batch(X, y), network.train_steps(X, y, steps=3, shuffle=False)]
    out += [network.predict(Z), network(Z), network.evaluate(X, y)["loss"], network.forward(Z)]
    out += [network.backward(network(Z))]
    sha = hashlib.sha256()
    for value in out:
        sha.update(np.ascontiguousarray(value).tobytes())
    return sha.hexdigest() + digest(network)


@needs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_outputs", [2, 37])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout, n_outputs, dtype):
    random = np.random.default_rng(5)
    X, Z = (random.standard_normal((20, 6)).astype(dtype) for _ in range(2))
    y = random.standard_normal((20, n_outputs)).astype(dtype)
    given = [LAYOUTS[layout](array) for array in (X, y, Z)]
    kept = [np.array(array).tobytes() for array in given]
    networks = [fb.Network([6, 11, n_outputs], dtype=dtype, seed=2) for _ in range(2)]
    assert _everything(networks[0], X, y, Z) == _everything(networks[1], *given)
    assert kept == [np.array(array).tobytes() for array in given]


@needs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
def test_broadcast_rows(dtype):
    row = np.linspace(-1, 1, 6, dtype=dtype)
    X, y = np.broadcast_to(row, (20, 6)), np.broadcast_to(np.ones(2, dtype), (20, 2))
    networks = [fb.Network([6, 11, 2], dtype=dtype, seed=2) for _ in range(2)]
    assert _everything(networks[0], X.copy(), y.copy(), X.copy()) == _everything(
        networks[1], X, y, X
    )


def test_layouts_of_labels(backend):
    X, y = classification(20, 6, 3)
    forms = [y, y.astype(">i8"), y.astype(np.int8), y.tolist(), y[:, None], y.astype(float),
             np.repeat(y, 2)[::2], y[::-1].copy()[::-1]]  # fmt: skip
    trained = set()
    for form in forms:
        network = fb.Network([6, 9, 3], loss="cross_entropy", seed=2, backend=backend)
        network.fit(X, form, epochs=2)
        trained.add(digest(network))
    assert len(trained) == 1

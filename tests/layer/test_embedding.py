"""Embeddings of an Input: values by hand, sizes, every way for X to come, files, PyTorch."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from support import oracle
from support.kernels import needs_kernels
from support.network_state import digest
from support.random_network import with_categories
from support.tolerance import assert_near, assert_same_training, depth, eps

import fastbp as fb
from fastbp.runtime import engine_cache

CITY = fb.Input(4, categorical={2: 5, 0: 3}, embedding_units=[2, 3])
SLOT = fb.Input(4, categorical={2: 5, 0: 3}, embedding_units=[2, 3], handle_unknown="slot")


def shown(layer, backend, dtype="float64", **options):
    """A network that gives what the Input does."""
    end = fb.Dense(layer.width, weights=np.eye(layer.width), use_bias=False)
    return fb.Network([layer, end], dtype=dtype, backend=backend, seed=0, **options)


def data(layer, n=40, seed=0):
    rng = np.random.default_rng(seed)
    X = with_categories(rng, layer, rng.normal(size=(n, layer.units)))
    return X, rng.normal(size=(n, 2))


def network(layer, backend="cython", dtype="float32", **options):
    layers = [layer, fb.Dense(6, "tanh"), fb.Dense(2)]
    return fb.Network(layers, dtype=dtype, backend=backend, seed=1, **options)


# ---- what it computes ---------------------------------------------------------------------------


def test_by_hand(backend, dtype):
    """Numeric columns, then embeddings in the order of the dict; gradients where rows were read."""
    net = shown(CITY, backend, dtype)
    city, month = np.arange(10).reshape(5, 2), -np.arange(9).reshape(3, 3)
    net.set_weights([city, month, np.eye(7)])
    X = np.array([[2, 0.5, 4, 0.25], [0, -0.5, 1, 8], [2, 1, 4, 1]])
    want = [[0.5, 0.25, 8, 9, -6, -7, -8], [-0.5, 8, 2, 3, 0, -1, -2], [1, 1, 8, 9, -6, -7, -8]]
    assert net.predict(X).tolist() == want == net(X).tolist() == net.forward(X).tolist()
    d = np.arange(21).reshape(3, 7)
    dX = net.backward(d)
    assert dX.tolist() == [[0, 0, 0, 1], [0, 7, 0, 8], [0, 14, 0, 15]]
    assert net.gradients["embedding_1/embeddings"].tolist() == [
        [0, 0], [9, 10], [0, 0], [0, 0], [2 + 16, 3 + 17],
    ]  # fmt: skip
    assert net.gradients["embedding_2/embeddings"].tolist() == [
        [11, 12, 13], [0, 0, 0], [4 + 18, 5 + 19, 6 + 20],
    ]  # fmt: skip


def test_a_slot_by_hand(backend, dtype):
    net = shown(SLOT, backend, dtype)
    assert net.parameters["embedding_1/embeddings"].shape == (6, 2)
    net.set_weights([np.arange(12).reshape(6, 2), np.zeros((4, 3)), np.eye(7)])
    for odd in (5, 6, -1, 2.5, np.nan, np.inf, -np.inf, 1e30):
        X = np.array([[0, 1, odd, 2], [0, 1, 4, 2]])
        for found in (net.predict(X), net.forward(X), net(X)):
            assert found[:, 2:4].tolist() == [[10, 11], [8, 9]]
        net.backward(np.ones((2, 7)))
        assert net.gradients["embedding_1/embeddings"][:, 0].tolist() == [0, 0, 0, 0, 1, 1]
    assert net.predictor()(np.array([0, 1, np.nan, 2])).tolist()[2:4] == [10, 11]


def test_columns_alone_and_all(backend):
    """No numeric column, one embedding; categorical columns at both ends."""
    for categorical in ({0: 3}, {0: 3, 1: 4}, {1: 4, 0: 3}):
        layer = fb.Input(len(categorical), categorical=categorical, embedding_units=2)
        net = shown(layer, backend)
        X = np.array([[2, 1], [0, 3]])[:, : layer.units]
        tables = list(net.parameters.values())
        want = [tables[i][X[:, c]] for i, c in enumerate(categorical)]
        np.testing.assert_array_equal(net.predict(X), np.hstack(want))
        net.forward(X)
        assert not net.backward(np.ones((2, layer.width))).any()
    layer = fb.Input(3, categorical={0: 3, 2: 2}, embedding_units=1)
    net = shown(layer, backend)
    net.forward([[2, 7, 1]])
    assert net.backward([[5.0, 1, 1]]).tolist() == [[0, 5, 0]]


@pytest.mark.parametrize("units", [1, 3, 8, 16, 17, 200])
@pytest.mark.parametrize("n", [1, 7, 1000])
def test_sizes_around_stored_rows(n, units, backend, dtype):
    """One step of SGD at rate 1 takes the gradient of the oracle from every table."""
    layer = fb.Input(3, categorical={1: n}, embedding_units=units)
    takes_the_gradient(network(layer, backend, dtype, optimizer=fb.SGD(1.0)))


@pytest.mark.parametrize("numbers", [0, 8, 20, 40, 41])
@pytest.mark.parametrize("outputs", [1, 2])
def test_what_is_passed_on_to_tables(numbers, outputs, backend, dtype):
    """Whichever columns behind the numbers they are, and whoever else reads them."""
    layer = fb.Input(numbers + 2, categorical={0: 9, numbers + 1: 5}, embedding_units=8)
    twice = fb.Branch([[fb.Dense(6, "tanh")], [], [fb.Dense(20, "tanh")]])
    for inner in ([fb.Dense(6, "tanh")], [twice], []):
        layers = [layer, *inner, fb.Dense(outputs)]
        takes_the_gradient(
            fb.Network(layers, dtype=dtype, backend=backend, optimizer=fb.SGD(1.0), seed=1)
        )


def takes_the_gradient(net):
    """One step of SGD at rate 1 takes the gradient of the oracle from every tensor."""
    X, y = data(net.layers[0], 50)
    dtype, outputs = net.dtype, net.get_weights()[-1].size
    X, y = X.astype(dtype).astype(float), y[:, :outputs].astype(dtype).astype(float)
    before = [w.astype(float) for w in net.get_weights()]
    _, _, tape = oracle.gradient(net.layers, net.loss, before, X, y)
    net.train_on_batch(X, y)
    length = depth([*tape.layers_in, 50], 50)
    for old, new, g in zip(before, net.get_weights(), tape.gradients, strict=True):
        assert_near(new, old - g, dtype=dtype, length=length, magnitude=np.abs(old).max() + 1)


@pytest.mark.parametrize(
    "numbers, units, found",
    [(8, 16, (8, 16)), (8, 17, (0, 32)), (20, 20, (16, 32)), (0, 9, (0, 16)), (3, 9, (0, 16))],
)
def test_columns_of_numbers_are_left_out(numbers, units, found):
    """What a step passes on is whole blocks of 64 bytes, of an input's gradient all."""
    layer = fb.Input(numbers + 1, categorical={0: 9}, embedding_units=units)
    net = network(layer)
    for purpose, want in (("train", found), ("manual", (0, -(-(numbers + units) // 16) * 16))):
        plan = engine_cache.engine(net._state, purpose, 50)[0].plan
        (own,) = (op for op in plan.backward.operations if op.kind == "dense_input" and op.lda == 16
                  and op.n_c == numbers + units)  # fmt: skip
        assert (own.column_c, own.n_y) == want


def test_differences(backend):
    for layer in (CITY, SLOT):
        net = network(layer, backend, optimizer="sgd")
        assert net.check_gradients(*data(layer, 9)) < eps("float64") ** (1 / 3)


def test_initial_values_and_units():
    net = network(fb.Input(3, categorical={0: 1000, 1: 12}), dtype="float64")
    table, small = list(net.parameters.values())[:2]
    assert table.shape == (1000, round(1.6 * 1000**0.56)) == (1000, 77) and small.shape == (12, 6)
    assert np.abs(table).max() <= 0.05 and abs(table.std() - 0.05 / 3**0.5) < 1e-3
    assert fb.Input(1, categorical={0: 10**6}).embedding_units == (600,)
    assert fb.Input(2, categorical={0: 3, 1: 4}, embedding_units={1: 7, 0: 5}).embedding_units == (
        5, 7,
    )  # fmt: skip
    own = {layer.units: layer for layer in net.layers[1:]}[6]
    assert own.kernel_initializer.scale == 1 / 4  # of a layer that reads the inputs


def test_rows_that_no_batch_names(backend):
    """Adam moves rows on that it has met, and weight decay all of them, as with dense gradients."""
    layer = fb.Input(2, categorical={0: 4}, embedding_units=3)
    net = network(layer, backend, "float64")
    y = np.ones((2, 2))
    met = net.parameters["embedding_1/embeddings"].copy()
    net.train_on_batch([[1, 0.5], [1, 0.1]], y)
    after = net.parameters["embedding_1/embeddings"].copy()
    assert (after != met).any(axis=1).tolist() == [False, True, False, False]
    net.train_on_batch([[3, 0.5], [3, 0.1]], y)
    again = net.parameters["embedding_1/embeddings"]
    assert (again != after).any(axis=1).tolist() == [False, True, False, True]
    decayed = network(layer, backend, "float64", optimizer=fb.AdamW(0.1, weight_decay=0.1))
    start = decayed.parameters["embedding_1/embeddings"].copy()
    decayed.train_on_batch([[1, 0.5]], [[0, 0]])
    rows = [0, 2, 3]
    assert_near(
        decayed.parameters["embedding_1/embeddings"][rows], 0.99 * start[rows],
        dtype="float64", length=4,
    )  # fmt: skip


@needs_kernels
@pytest.mark.parametrize("layer", [CITY, SLOT], ids=["error", "slot"])
def test_however_x_comes(layer, dtype, tmp_path):
    """The same bits from arrays of any type and strides, a frame, a memory map, in chunks."""
    pandas = pytest.importorskip("pandas")
    X, y = data(layer, 60)
    X = X.astype("float32").astype("float64")
    np.save(tmp_path / "x.npy", X)
    frame = pandas.DataFrame(X, columns=list("abcd"))
    if layer is CITY:
        frame = frame.astype({"a": "int64", "c": "int8"})
    ways = [X, X.astype("float32"), np.asfortranarray(X), X.tolist(), frame, X[::-1][::-1],
            np.load(tmp_path / "x.npy", mmap_mode="r")]  # fmt: skip
    found, answers = set(), set()
    for way in ways:
        net = network(layer, dtype=dtype)
        net.fit(way, y, epochs=2, batch_size=16, verbose=False)
        found.add(digest(net))
        answers.add(net.predict(way).tobytes() + net.forward(way).tobytes())
    assert len(found) == len(answers) == 1
    net = network(layer, dtype=dtype)
    net.fit([(X[:7], y[:7]), (X[7:], y[7:])], epochs=2, batch_size=16, shuffle=False, verbose=False)
    whole = network(layer, dtype=dtype)
    whole.fit(X, y, epochs=2, batch_size=16, shuffle=False, verbose=False)
    assert digest(net) == digest(whole)


@needs_kernels
@pytest.mark.parametrize("layer", [CITY, SLOT], ids=["error", "slot"])
def test_a_row_alone(layer, dtype):
    net = network(layer, dtype=dtype)
    X, _ = data(layer, 300)
    X = X.astype(dtype)
    together, respond = net.predict(X), net.predictor()
    for x, row in zip(X, together, strict=True):
        assert net.predict(x).tobytes() == row.tobytes() == respond(x).tobytes()


@needs_kernels
def test_kernels_stay_in_the_table(dtype):
    """Whatever numbers reach them: checks are passed by, as by a thread that writes to X."""
    net = network(CITY, dtype=dtype)
    engine_rows = np.full((4, 4), 1e30, dtype)
    engine_rows[1:, 2] = np.nan, -1e30, 0.5
    out = np.empty((4, 2), dtype)
    engine_cache.take_predictor(net._state, 1).predict(engine_rows, out, "linear", 1)
    engine = engine_cache.engine(net._state, "train", 4)[0]
    engine.train_batch(engine_rows, np.zeros((4, 2), dtype))
    assert net._state.module.first_unknown(engine_rows, np.array([[2, 5]])) == 2
    with pytest.raises(ValueError, match="there is no column 4"):
        net._state.module.first_unknown(engine_rows, np.array([[4, 5]]))


# ---- beside training ----------------------------------------------------------------------------


def test_description(tmp_path, capsys):
    names = ["month", "a", "city", "b"]
    layer = fb.Input(4, categorical={"city": 5, 0: 3}, embedding_units={0: 3, "city": 2},
                     handle_unknown="slot", feature_names=names)  # fmt: skip
    assert (layer.categorical, layer.embedding_units) == (SLOT.categorical, SLOT.embedding_units)
    net = network(layer)
    X, y = data(layer)
    net.fit(X, y, epochs=2, verbose=False)
    net.save(tmp_path / "net.npz")
    ways = [fb.Network.load(tmp_path / "net.npz"), net.copy(), copy.deepcopy(net),
            pickle.loads(pickle.dumps(net))]  # fmt: skip
    for again in ways:
        assert again.layers == net.layers and again.feature_names == tuple(names)
        assert again.predict(X).tobytes() == net.predict(X).tobytes()
        again.fit(X, y, epochs=1, verbose=False)
    assert len({digest(again) for again in ways}) == 1
    again = fb.Network.from_config(net.get_config())
    assert again.layers == net.layers and again.n_parameters == net.n_parameters
    net.summary()
    out = capsys.readouterr().out
    assert "embedding_1 (city)" in out and "embedding_2 (month)" in out
    assert "embedding_1" in repr(net.plan(8)) and net.n_parameters == 12 + 12 + 7 * 6 + 6 + 14
    assert "embedding_1/embeddings" in net.trace(X, y) and "<svg" in net.plot()._repr_html_()
    assert repr(fb.Input(3)) == "Input(units=3)" and "categorical" not in fb.Input(3).to_config()


def test_names(backend):
    """A frame with other columns is refused from the beginning, arrays pass."""
    pandas = pytest.importorskip("pandas")
    names = ["month", "a", "city", "b"]
    layer = fb.Input(4, categorical={"city": 5, "month": 3}, embedding_units=2,
                     feature_names=pandas.Index(names))  # fmt: skip
    net = network(layer, backend)
    assert net.feature_names == tuple(names)
    X, y = data(layer)
    frame = pandas.DataFrame(X, columns=names)
    for call in (net.predict, lambda X: net.fit(X, y, verbose=False)):
        with pytest.raises(ValueError, match="feature names should match"):
            call(frame[["a", "month", "city", "b"]])
    net.fit(X, y, epochs=1, verbose=False)
    assert net.feature_names == tuple(names)
    net.reset()
    net.fit(frame, y, epochs=1, verbose=False)
    assert net.feature_names == tuple(names) and net.predict(frame).shape == (40, 2)
    chunks = [(frame[:20], y[:20]), (frame[20:], y[20:])]
    net.fit(chunks, epochs=1, verbose=False)
    with pytest.raises(ValueError, match=r"^chunk 0: The feature names should match"):
        net.fit([(frame.rename(columns={"a": "c"}), y)], epochs=1, verbose=False)


def test_no_warning_of_uneven_columns(backend, recwarn):
    """A column of categories up to 5000 is no column of large numbers."""
    layer = fb.Input(3, categorical={1: 5000}, embedding_units=2)
    X, y = data(layer, 100)
    network(layer, backend).fit(X, y, epochs=1, verbose=False)
    assert not recwarn.list


def test_learns_what_it_should(backend):
    """An effect of each of 30 categories, which no straight line through their numbers has."""
    rng = np.random.default_rng(0)
    effect = rng.normal(size=30)
    X = np.column_stack([rng.normal(size=600), rng.integers(30, size=600)])
    y = X[:, 0] + effect[X[:, 1].astype(int)]
    first = fb.Input(2, categorical={1: 30}, embedding_units=4)
    net = fb.Network(
        [first, fb.Dense(16, "relu"), fb.Dense(1)], optimizer=fb.Adam(0.01), seed=0, backend=backend
    )
    net.fit(X, y, epochs=40, verbose=False)
    assert net.evaluate(X, y)["loss"] < 0.02


@needs_kernels
def test_a_large_table_costs_predictions_nothing():
    """What a row costs does not grow with the tables; what a step costs does."""
    small, large = (
        network(fb.Input(2, categorical={0: n}, embedding_units=4))._state.layout
        for n in (2, 10**6)
    )
    assert small.work_per_row == large.work_per_row
    assert large.work_per_step > 1e5 * small.work_per_step


@pytest.mark.slow
@pytest.mark.parametrize("n", [7, 4000])
def test_against_pytorch(n, dtype):
    """Ten steps of Adam, in both regimes of training."""
    torch = pytest.importorskip("torch")
    layer = fb.Input(5, categorical={3: n, 0: 4}, embedding_units=[6, 3])
    rng = np.random.default_rng(0)
    X = with_categories(rng, layer, rng.normal(size=(320, 5))).astype(dtype)
    y = rng.normal(size=(320, 2)).astype(dtype)
    layers = [layer, fb.Dense(16, "tanh"), fb.Dense(2)]
    net = fb.Network(layers, optimizer=fb.Adam(0.01), dtype=dtype, seed=0)
    assert (net.plan(32).regime == "weight-parallel") == (n == 4000)
    real = getattr(torch, dtype)
    tables = [torch.nn.Embedding(n, 6, dtype=real), torch.nn.Embedding(4, 3, dtype=real)]
    dense = [torch.nn.Linear(12, 16, dtype=real), torch.nn.Linear(16, 2, dtype=real)]
    own = [tables[0].weight, tables[1].weight]
    own += [part for one in dense for part in (one.weight, one.bias)]
    with torch.no_grad():
        for to, value in zip(own, net.get_weights(), strict=True):
            to[:] = torch.tensor(value.T if value.ndim == 2 and len(to) != len(value) else value)
    optimizer = torch.optim.Adam(own, 0.01)
    for at in range(0, 320, 32):
        x = torch.tensor(X[at : at + 32])
        parts = [x[:, [1, 2, 4]], tables[0](x[:, 3].long()), tables[1](x[:, 0].long())]
        out = dense[1](torch.tanh(dense[0](torch.cat(parts, 1))))
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(out, torch.tensor(y[at : at + 32])).backward()
        optimizer.step()
    net.fit(X, y, epochs=1, batch_size=32, shuffle=False, verbose=False)
    for (name, got), want in zip(net.parameters.items(), own, strict=True):
        peer = want.detach().numpy()
        peer = peer if peer.shape == got.shape else peer.T
        assert_same_training(got, peer, dtype=dtype, name=name)

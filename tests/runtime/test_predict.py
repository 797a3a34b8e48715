"""Predictions have one set of bits: of a row alone, in any batch, by any call, tile and thread."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support.kernels import needs_kernels
from support.mark import slow_but
from support.refusal import bad_input

import fastbp as fb
from fastbp.plan import threshold
from fastbp.runtime import engine_cache

NETWORKS = {
    "narrow": ([4, 32, 16, 1], "tanh", "mse"),
    "classes": ([64, 100, 10], "relu", "cross_entropy"),
    "wide": ([300, 260, 40, 20], "relu", "cross_entropy"),
}
each_network = pytest.mark.parametrize("name", NETWORKS)


def _network(name: str, dtype: str = "float32") -> fb.Network:
    sizes, activation, loss = NETWORKS[name]
    return fb.Network(sizes, activation=activation, loss=loss, seed=3, dtype=dtype)


def _rows(name: str, n: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(5).standard_normal((n, NETWORKS[name][0][0])).astype(dtype)


def _tile_rows(network: fb.Network) -> int:
    engine = engine_cache.take_predictor(network._state, 1)
    engine_cache.give_back(network._state, engine)
    return engine.plan.tile_rows


def _around_tiles(tile: int) -> list[int]:
    """Numbers of rows where the number of tiles changes, and those beside them."""
    edges = {1, 8, 32, tile, 2 * tile, 3 * tile, 7 * tile}
    return sorted({max(1, edge + by) for edge in edges for by in (-1, 0, 1, 2)})


@needs_kernels
@each_network
def test_bits_where_tiles_change(name, dtype):
    network = _network(name, dtype)
    tile = _tile_rows(network)
    X = _rows(name, 7 * tile + 2, dtype)
    respond = network.predictor()
    alone = np.concatenate([respond(X[i : i + 1]).copy() for i in range(len(X))])
    for n in _around_tiles(tile):
        expected = alone[:n].tobytes()
        assert network.predict(X[:n]).tobytes() == expected
        assert network.predict(X[:n], n_threads=1).tobytes() == expected
        assert network.predict(X[:n], out=np.empty_like(alone[:n])).tobytes() == expected
        assert network.predictor(batch_size=n)(X[:n]).tobytes() == expected


@needs_kernels
@each_network
@pytest.mark.usefixtures("eager_threads")
def test_bits_of_two_threads(name, dtype, monkeypatch):
    """In `predict`, and in a predictor that is long enough for them."""
    network = _network(name, dtype)
    tile = _tile_rows(network)
    X = _rows(name, 7 * tile + 2, dtype)
    expected = network.predict(X, n_threads=1)
    for rule in (threshold.THREAD_STEP_WORK, threshold.THREAD_CALL_WORK, threshold.BRIEF_WORK):
        monkeypatch.setattr(rule, "value", 0)
    monkeypatch.setattr(engine_cache, "check_n_threads", lambda n: 2 if n == "auto" else n)
    assert engine_cache.threads_to_predict(network._state, 1, "auto") == 2
    for n in _around_tiles(tile):
        assert network.predict(X[:n], n_threads=2).tobytes() == expected[:n].tobytes()
        assert network.predictor(batch_size=n)(X[:n]).tobytes() == expected[:n].tobytes()


@needs_kernels
def test_bits_with_and_without_the_interpreter(monkeypatch):
    """A brief call keeps it; no limit of work changes a bit."""
    X = _rows("classes", 700)
    expected = _network("classes").predict(X).tobytes()
    for brief in (0, 2**60):
        monkeypatch.setattr(threshold.BRIEF_WORK, "value", brief)
        for limit in (0, 2**60):
            monkeypatch.setattr(threshold.PREDICT_THREAD_WORK, "value", limit)
            monkeypatch.setattr(threshold.PREDICT_SHARE_WORK, "value", limit)
            network = _network("classes")
            assert network.predict(X).tobytes() == expected
            assert network.predictor(batch_size=700)(X).tobytes() == expected


@pytest.mark.parametrize("outputs", slow_but([3, 16, 17], [1, 2, 3, 15, 16, 17, 33]))
@pytest.mark.parametrize("rows", [1, 2, 5, 6, 40, 600])
def test_nothing_is_written_beside_the_result(rows, outputs, dtype, backend):
    network = fb.Network([5, outputs], seed=0, dtype=dtype, backend=backend)
    X = np.random.default_rng(0).standard_normal((rows, 5)).astype(dtype)
    whole = np.full((rows + 20, outputs), 7, dtype)
    out = whole[8 : 8 + rows]
    network.predict(X, out=out)
    assert out.tobytes() == network.predict(X).tobytes()
    assert (whole[:8] == 7).all() and (whole[8 + rows :] == 7).all()


def test_results_are_independent(backend):
    network = fb.Network([3, 8, 2], seed=0, backend=backend)
    X = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
    first = network.predict(X)
    kept = first.copy()
    network.predict(-X)
    assert first.tobytes() == kept.tobytes() and first.flags.owndata


@pytest.mark.parametrize("rows", [40, 900])
def test_own_result_turned_as_input(rows, backend):
    """Rows of several tiles: what one tile puts out is not what a later one reads."""
    network = fb.Network([3, 90, 3], seed=0, backend=backend)
    respond = network.predictor(batch_size=rows)
    X = np.random.default_rng(0).standard_normal((rows, 3)).astype(np.float32)
    expected = network.predict(network.predict(X)[::-1])
    assert respond(respond(X)[::-1]).tobytes() == expected.tobytes()


def test_long_predictor_while_another_call_trains(backend):
    network = fb.Network([64, 100, 10], seed=0, backend=backend)
    guard, X = network._state.guard, _rows("classes", 600)
    respond = network.predictor(batch_size=600)
    expected = network.predict(X).tobytes()
    guard.begin_writing("a call")
    with pytest.raises(fb.ModelBusyError):
        respond(X)
    with pytest.raises(fb.ModelBusyError):
        network.predict(X)
    assert not guard.readers
    guard.writers.clear()
    assert respond(X).tobytes() == expected
    assert not guard.readers


def test_one_long_predictor_in_several_threads(backend):
    """That is not allowed, but has to stay within the memory: all take the same rows here."""
    network = fb.Network([64, 100, 10], seed=0, backend=backend)
    X = _rows("classes", 600)
    respond = network.predictor(batch_size=600)
    expected = network.predict(X).tobytes()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(3) as pool:
            for done in [pool.submit(respond, X.copy()) for _ in range(60)]:
                done.result()
    finally:
        sys.setswitchinterval(interval)
    assert respond(X).tobytes() == expected
    assert not network._state.guard.readers


@pytest.mark.parametrize("rows", [1, 20, 600])
@pytest.mark.parametrize("place", [(0, 0), (-1, -1)])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_numbers_are_found_wherever_they_are(rows, place, bad, dtype, backend):
    network = fb.Network([37, 4], seed=0, dtype=dtype, backend=backend)
    X = np.zeros((rows, 37), dtype)
    respond = network.predictor(batch_size=rows)
    respond(X)
    X[place] = bad
    for call in (respond, network.predict):
        for given in (X, np.asfortranarray(X), X.astype("f8")):
            with pytest.raises(ValueError, match="Input X contains"):
                call(given)
    assert np.isnan(network.predict(X, check_finite=False)[place[0]]).all()


# one observation


@bad_input("one observation")
@pytest.mark.parametrize("loss", ["mse", "cross_entropy", "binary_cross_entropy"])
def test_one_observation(loss, dtype, backend):
    net = fb.Network([3, 4, 2], loss=loss, dtype=dtype, seed=0, backend=backend)
    x = np.array([0.5, -1, 2])
    for given in (x, x.astype(dtype), x.tolist(), tuple(x), x[::-1][::-1]):
        for verb in (net, net.predict):
            found = verb(given)
            assert found.shape == (2,) and found.dtype == dtype
            assert found.tobytes() == verb(x[np.newaxis]).tobytes()
    assert net.predict(x, check_finite=False, n_threads=2).tobytes() == net.predict(x).tobytes()
    out = np.zeros(2, dtype)
    assert net.predict(x, out=out) is out and out.tobytes() == net.predict(x).tobytes()
    with pytest.raises(ValueError, match=r"^out must have shape \(2,\), got \(1, 2\)$"):
        net.predict(x, out=np.zeros((1, 2), dtype))
    chosen = net.predict_classes(x)
    assert type(chosen) is np.int64 and chosen == net.predict_classes([x])[0]


def test_one_observation_of_one_output(backend):
    net = fb.Network([3, 1], loss="binary_cross_entropy", seed=0, backend=backend)
    for bias, expected in ((0.0, 1), (-0.1, 0)):
        net.set_weights([np.zeros((3, 1)), np.array([bias])])
        chosen = net.predict_classes([1.0, 2, 3])
        assert type(chosen) is np.int64 and chosen == expected


@bad_input("one observation", "X not 2-D")
def test_one_observation_has_the_networks_features_exactly(backend):
    net = fb.Network([3, 2], seed=0, backend=backend)
    told = r"may have shape \(3,\) too\.$"
    for bad in (np.zeros(4, np.float32), np.zeros(6), [1.0], np.zeros(0)):
        for verb in (net, net.predict, net.predict_classes):
            with pytest.raises(ValueError, match="^Expected 2D array, got 1D array.*" + told):
                verb(bad)
    with pytest.raises(
        ValueError, match=r"^Input X contains NaN \(first at \[0, 1\]\); values are"
    ):
        net([1, np.nan, 2])
    one = fb.Network([1, 2], seed=0, backend=backend)
    assert one([0.5]).shape == (2,)
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        one([0.5, 0.6])  # rows of one feature, or a mistake
    for verb in (net.forward, lambda x: net.evaluate(x, [1, 2])):
        with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
            verb(np.zeros(3, np.float32))

"""Network.predictor: the bits and refusals of predict, into an array of its own."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support.network_state import classification

import fastbp as fb

X, Y = classification(40, 5, 3)
X = X.astype(np.float32)


def _network(backend: str, **options) -> fb.Network:
    return fb.Network([5, 8, 3], loss="cross_entropy", seed=2, backend=backend, **options)


FORMS = {
    "rows in C order": lambda rows: rows,
    "rows in Fortran order": np.asfortranarray,
    "float64": lambda rows: rows.astype(np.float64),
    "every other column": lambda rows: np.repeat(rows, 2, axis=1)[:, ::2],
    "backwards": lambda rows: rows[::-1].copy()[::-1],
    "read-only": lambda rows: np.frombuffer(rows.tobytes(), rows.dtype).reshape(rows.shape),
    "big-endian": lambda rows: rows.astype(">f4"),
    "integers": lambda rows: rows.astype(np.int64),
    "list": lambda rows: rows.tolist(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rows", [1, 7, 40])
def test_bits_of_predict(rows, form, dtype, backend):
    network = _network(backend, dtype=dtype)
    given = FORMS[form](X[:rows])
    respond = network.predictor(batch_size=rows)
    found = respond(given)
    assert found.shape == (rows, 3) and found.dtype == network.dtype
    assert found.tobytes() == network.predict(given).tobytes()


@pytest.mark.parametrize("loss", ["mse", "cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("form", FORMS)
def test_one_row_alone(form, loss, backend):
    network = fb.Network([5, 4], loss=loss, seed=0, backend=backend)
    respond = network.predictor()
    row = FORMS[form](X[:1])[0]
    found = respond(row)
    assert found.shape == (4,)
    assert found.tobytes() == network.predict(np.asarray(row)[np.newaxis]).tobytes()


def test_large_network_and_batch(backend):
    """Calls that let go of the interpreter, and rows in more than one tile."""
    wide = fb.Network([5, 700, 700, 3], seed=0, backend=backend)
    assert wide.predictor()(X[0]).tobytes() == wide.predict(X[:1]).tobytes()
    many = np.tile(X, (20, 1))
    tall = fb.Network([5, 3], seed=0, backend=backend)
    assert tall.predictor(batch_size=800)(many).tobytes() == tall.predict(many).tobytes()


def test_result_is_kept_until_the_next_call(backend):
    respond = _network(backend).predictor(batch_size=2)
    first = respond(X[:2])
    before = first.copy()
    assert respond(X[2:4]) is first
    assert not np.array_equal(first, before)
    with pytest.raises(ValueError):
        first.resize((1, 3), refcheck=False)  # the engine writes there


def test_own_result_as_input(backend):
    network = fb.Network([3, 8, 3], seed=0, backend=backend)
    respond = network.predictor(batch_size=40)
    assert respond(respond(X[:, :3])).tobytes() == (
        network.predict(network.predict(X[:, :3])).tobytes()
    )


def test_follows_the_parameters(backend):
    network, other = _network(backend), _network(backend)
    respond = network.predictor()
    other.fit(X, Y)
    network.fit(X, Y)
    assert respond(X[:1]).tobytes() == other.predict(X[:1]).tobytes()
    other.parameters["dense_1/kernel"][...] = 0.5
    network.set_weights(other.get_weights())
    assert respond(X[:1]).tobytes() == other.predict(X[:1]).tobytes()
    network.parameters["dense_2/bias"][0] = np.nan
    assert np.isnan(respond(X[:1])).all()


REFUSED = {
    "width": (X[:1, :4], ValueError, "X has 4 features, but Network is expecting 5"),
    "rows": (X[:2], ValueError, "X has 2 rows, the predictor takes 1"),
    "no rows": (X[:0], ValueError, "Found array with 0 sample"),
    "scalar": (np.float32(1), ValueError, "Expected 2D array, got scalar array"),
    "3-D": (X[np.newaxis, :1], ValueError, "X must be 2-D"),
    "NaN": (np.full((1, 5), np.nan, np.float32), ValueError, "Input X contains NaN"),
    "infinite row": (np.full(5, np.inf, np.float32), ValueError, "Input X contains infinity"),
    "overflow": (np.full((1, 5), 1e300), ValueError, "does not fit float32"),
    "complex": (X[:1].astype(complex), ValueError, "Complex data not supported"),
    "text": ([["a"] * 5], ValueError, "could not convert X"),
    "None": (None, ValueError, "Expected 2D array"),
    "masked": (np.ma.array(X[:1], mask=True), ValueError, "X has 5 masked values"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name, backend):
    given, error, message = REFUSED[name]
    respond = _network(backend).predictor()
    before = respond(X[0]).copy()
    with pytest.raises(error, match=message):
        respond(given)
    assert respond(X[0]).tobytes() == before.tobytes()


def test_a_row_alone_needs_a_batch_size_of_one(backend):
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        _network(backend).predictor(batch_size=2)(X[0])


@pytest.mark.parametrize("bad, error", [(0, ValueError), (2.0, TypeError), (True, TypeError)])
def test_batch_size(bad, error, backend):
    with pytest.raises(error, match="^batch_size must be an integer >= 1"):
        _network(backend).predictor(batch_size=bad)


def test_busy(backend):
    network = _network(backend)
    respond = network.predictor()
    network._state.guard.begin_writing("a call")
    with pytest.raises(fb.ModelBusyError, match="in use by a call that"):
        respond(X[:1])
    with pytest.raises(fb.ModelBusyError, match="in use by a call that"):
        network(X[:1])
    network._state.guard.writers.clear()
    network._state.guard.begin_reading("a call")
    respond(X[:1])


def test_a_predictor_for_each_thread(backend):
    network = _network(backend)
    expected = [network.predict(row[np.newaxis]).tobytes() for row in X]

    def work(_: int) -> bool:
        respond = network.predictor()
        return all(respond(X[i]).tobytes() == expected[i] for i in list(range(40)) * 20)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(work, range(4)))
    finally:
        sys.setswitchinterval(interval)

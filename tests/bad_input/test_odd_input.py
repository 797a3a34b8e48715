"""What is odd but accepted, and what shows only after the checks."""

import numpy as np
import pytest
from support.network_state import digest
from support.refusal import NAN, P, bad_input, data, with_value

import fastbp as fb


@bad_input("no memory")
def test_batch_that_fits_no_memory(backend):
    """What is allocated after the checks may fail as well: then nothing has changed either."""
    net = fb.Network([1, 2**18], seed=0, backend=backend)
    X = np.broadcast_to(np.float32(0), (2**25, 1))
    before = digest(net)
    with pytest.raises(MemoryError, match="^cannot allocate .* GiB for activations and gradients$"):
        net.forward(X)
    with pytest.raises(MemoryError):
        net.predict(X)
    assert digest(net) == before
    net.predict(X[:2])


@bad_input(
    "accepted kinds", "batch larger than the data", "epochs", "learning rate", "not a distribution",
    "threads",
)  # fmt: skip
def test_accepted(network, backend):
    X, y = data()
    rows = X.round(2)
    as_list = network.predict(rows.tolist())
    assert as_list.tobytes() == network.predict(rows).tobytes()
    for kind in (np.int8, np.uint16, bool, np.float16):
        given = (np.abs(X) * 3).astype(kind)
        assert (
            network.predict(given).tobytes()
            == network.predict(given.astype(network.dtype)).tobytes()
        )
    network.fit(X, y, batch_size=100)
    before = digest(network)
    history = network.fit(X, y, epochs=0)
    assert history.history == {} and len(history) == 0 and digest(network) == before
    rate_zero = fb.Network(
        [4, 3], loss="cross_entropy", optimizer=fb.SGD(0), seed=1, backend=backend
    )
    start = rate_zero.get_weights()
    rate_zero.fit(X, y)
    assert all((a == b).all() for a, b in zip(start, rate_zero.get_weights(), strict=True))
    network.fit(X, P + 1e-4)
    network.fit(X, y, n_threads=-1)
    with pytest.warns(RuntimeWarning, match="n_threads = 100000 is more than 4 times"):
        network.predict(X, n_threads=100_000)


@bad_input("X not finite")
def test_unchecked_values_do_not_crash(network):
    X, y = data()
    bad = with_value(X, (1, 1), NAN)
    assert np.isnan(network.predict(bad, check_finite=False)[1]).all()
    before = digest(network)
    with pytest.raises(fb.DivergenceError):
        network.fit(bad, y, check_finite=False)
    assert digest(network) == before


@bad_input("seed")
def test_seeds():
    assert 0 <= fb.Network([1, 1], seed=None).seed < 2**64
    assert fb.Network([1, 1], seed=2**64 - 1).seed == 2**64 - 1
    assert fb.Network([1, 1], seed=np.int8(3)).seed == 3
    drawn = [fb.Network([1, 1], seed=np.random.default_rng(0)).seed for _ in range(2)]
    assert drawn[0] == drawn[1]


@bad_input("weights", "out")
def test_own_views(network):
    """Weights may be views of the parameters, out may overlap X."""
    kernel = network.parameters["dense_1/kernel"]
    expected = kernel[::-1].copy()
    network.set_weights([kernel[::-1], *list(network.parameters.values())[1:]])
    assert (network.parameters["dense_1/kernel"] == expected).all()
    square = fb.Network([4, 4], dtype=network.dtype, seed=0, backend=network.backend)
    X = np.ascontiguousarray(data()[0], network.dtype)
    expected = square.predict(X)
    assert square.predict(X, out=X) is X
    assert (X == expected).all()


@bad_input("NaN in a parameter")
def test_nan_in_a_view(network):
    """The next fit refuses it, predict shows it."""
    X, y = data()
    network.parameters["dense_1/kernel"][0, 3] = NAN
    text = r"^parameter dense_1/kernel contains NaN at \[0, 3\]$"
    for call in (lambda: network.fit(X, y), lambda: network.train_steps(X, y, steps=1)):
        with pytest.raises(ValueError, match=text):
            call()
    assert np.isnan(network.predict(X)).any()


@bad_input("subnormal")
def test_subnormal_data(network):
    X, y = data()
    tiny = np.finfo(network.dtype).tiny / 8
    assert np.isfinite(network.fit(np.full_like(X, tiny), y).history["loss"]).all()

"""A loss that is no longer finite: where it happened, and back to the last good epoch."""

import re

import numpy as np
import pytest
from support.network_state import digest
from support.refusal import bad_input

import fastbp as fb

# Each lets the parameters grow by a factor a step, whatever the data.
OPTIMIZERS = {
    "sgd": fb.SGD(200.0),
    "momentum": fb.SGD(100.0, momentum=0.9),
    "nesterov": fb.SGD(50.0, momentum=0.5, nesterov=True),
    "adamw": fb.AdamW(3.0, weight_decay=10.0),
}
PLACE = re.compile(r"(loss is (inf|nan)|a parameter is not finite) at epoch (\d+), batch (\d+) ")


def _case(name: str, dtype: str, backend: str):
    random = np.random.default_rng(0)
    X, y = random.standard_normal((20, 3)), random.standard_normal((20, 2))
    layers = (
        [fb.Input(3), fb.Dense(4), fb.Dense(2)] if name != "sgd" else [fb.Input(3), fb.Dense(2)]
    )
    network = fb.Network(
        layers, optimizer=OPTIMIZERS[name], metrics=["mse"], dtype=dtype, seed=1, backend=backend
    )
    return network, X, y


@bad_input("divergence")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_back_at_the_last_good_epoch(name, dtype, backend):
    if dtype == "float64" and name == "adamw":
        pytest.skip("takes too many epochs to show")
    network, X, y = _case(name, dtype, backend)
    reference = network.copy()
    with pytest.raises(fb.DivergenceError, match="learning_rate=") as caught:
        network.fit(X, y, epochs=1000, batch_size=6)
    found = PLACE.match(str(caught.value))
    assert found, caught.value
    epoch, batch = int(found[3]), int(found[4])
    assert 1 <= batch <= 4
    if epoch == 1:
        assert str(caught.value).endswith("parameters restored to before the call")
    else:
        assert str(caught.value).endswith(f"parameters restored to the end of epoch {epoch - 1}")
    losses = reference.fit(X, y, epochs=epoch - 1, batch_size=6).history.get("loss", [])
    assert np.isfinite(losses).all()
    assert digest(network) == digest(reference)
    assert network.steps == 4 * (epoch - 1)
    assert all(np.isfinite(weight).all() for weight in network.get_weights())
    assert np.isfinite(network.predict(1e-3 * X[:2])).all()


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.slow
def test_where_kernels_are_shared(n_threads, dtype, backend):
    """The state to come back to is kept by an epoch's first update; any of its batches diverges."""
    random = np.random.default_rng(0)
    X, y = random.standard_normal((20, 128)), random.standard_normal((20, 70))
    batches = set()
    for rate in (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0):
        optimizer = fb.SGD(rate, momentum=0.5)
        network = fb.Network([128, 70], optimizer=optimizer, seed=1, dtype=dtype, backend=backend)
        assert network.plan(6).regime == "weight-parallel"
        reference = network.copy()
        with pytest.raises(fb.DivergenceError) as caught:
            network.fit(X, y, epochs=1000, batch_size=6, n_threads=n_threads)
        found = PLACE.match(str(caught.value))
        assert found
        batches.add(found[4])
        reference.fit(X, y, epochs=int(found[3]) - 1, batch_size=6)
        assert digest(network) == digest(reference)
    assert len(batches) > 1 and "1" in batches


@pytest.mark.parametrize("metrics", [[], ["mse"]])
def test_the_finished_epochs_stay_in_the_history(metrics, backend):
    random = np.random.default_rng(0)
    X, y = random.standard_normal((20, 3)), random.standard_normal((20, 2))
    network = fb.Network(
        [3, 2], optimizer=OPTIMIZERS["sgd"], metrics=metrics, seed=1, backend=backend
    )
    reference = network.copy()
    with pytest.raises(fb.DivergenceError) as caught:
        network.fit(X, y, epochs=1000, batch_size=6)
    found = PLACE.match(str(caught.value))
    assert found and int(found[3]) > 1
    past = reference.fit(X, y, epochs=int(found[3]) - 1, batch_size=6)
    assert network.history.history["loss"] == past.history["loss"]
    assert network.history.epoch == past.epoch


def test_some_of_them_diverge_after_a_good_epoch(backend):
    epochs = set()
    for name in OPTIMIZERS:
        network, X, y = _case(name, "float32", backend)
        with pytest.raises(fb.DivergenceError) as caught:
            network.fit(X, y, epochs=1000, batch_size=6)
        epochs.add(int(PLACE.match(str(caught.value))[3]))
    assert max(epochs) > 2


@pytest.mark.parametrize("n_threads", [1, 2])
def test_epoch_by_epoch_is_the_same(n_threads, backend):
    """With figures after each epoch the engine is called once an epoch."""
    together, X, y = _case("momentum", "float32", backend)
    apart = together.copy()
    for network, options in ((together, {}), (apart, {"validation_data": (1e-9 * X, y)})):
        network.metrics = ()
        with pytest.raises(fb.DivergenceError) as caught:
            network.fit(X, y, epochs=1000, batch_size=6, n_threads=n_threads, **options)
        network.message = str(caught.value)
    assert together.message == apart.message
    assert digest(together) == digest(apart)


def test_exact_batch(backend):
    """Rows of 1e30 come in the third batch: its loss is the first that overflows."""
    X, y = np.ones((8, 1), np.float32), np.ones((8, 1), np.float32)
    X[5] = 1e30
    network = fb.Network([1, 1], optimizer="sgd", seed=0, backend=backend)
    with pytest.raises(fb.DivergenceError, match="loss is inf at epoch 1, batch 3 "):
        network.fit(X, y, batches=[[0, 1], [2, 3], [4, 5], [6, 7]])
    assert network.steps == 0


def test_parameters_that_overflow_in_the_last_step(backend):
    """The loss of every batch was finite; the step after the last one was not."""
    network = fb.Network([1, 1], optimizer=fb.SGD(1e30), seed=0, backend=backend)
    X, y = np.full((2, 1), 1e5, np.float32), np.full((2, 1), 1e10, np.float32)
    before = digest(network)
    with pytest.raises(fb.DivergenceError, match="a parameter is not finite at epoch 1, batch 1 "):
        network.fit(X, y, batch_size=2)
    assert digest(network) == before


@bad_input("divergence")
def test_train_on_batch_changes_nothing(backend):
    network, X, y = _case("momentum", "float32", backend)
    network.train_on_batch(X, y)
    network.set_weights([np.full_like(weight, 1e30) for weight in network.get_weights()])
    before = digest(network)
    with pytest.raises(fb.DivergenceError, match="loss is (inf|nan) .*parameters unchanged"):
        network.train_on_batch(X, y)
    assert digest(network) == before


def test_train_steps(backend):
    network, X, y = _case("momentum", "float32", backend)
    reference = network.copy()
    with pytest.raises(fb.DivergenceError) as caught:
        network.train_steps(X, y, steps=10**6, batch_size=6)
    epoch = int(PLACE.match(str(caught.value))[3])
    reference.fit(X, y, epochs=epoch - 1, batch_size=6)
    assert digest(network) == digest(reference)


def test_goes_on_with_a_smaller_rate(backend):
    network, X, y = _case("sgd", "float32", backend)
    with pytest.raises(fb.DivergenceError):
        network.fit(X, y, epochs=1000, batch_size=6, shuffle=False)
    again = fb.Network(network.layers, optimizer=fb.SGD(0.01), seed=1, backend=backend)
    again.set_weights(network.get_weights())
    assert np.isfinite(again.fit(1e-9 * X, y, epochs=2).history["loss"]).all()


def test_it_is_a_floating_point_error():
    assert issubclass(fb.DivergenceError, FloatingPointError)

"""Learning rates that change: each step gets its own, however the steps are dealt out in calls."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from support.network_state import classification, digest
from support.refusal import Bad, bad_input, refuses
from support.tolerance import assert_near

import fastbp as fb
from fastbp.runtime import rate

BACKENDS = ["cython", "numpy"]
N, BATCH, PER_EPOCH = 22, 5, 5  # the last batch has two rows
X, Y = classification(N, 4, 3)
ORDER = [list(range(i, min(i + BATCH, N))) for i in range(0, N, BATCH)]

SCHEDULES = [
    fb.CosineDecay(0.01, 15, warmup_target=0.1, warmup_steps=4),
    fb.PiecewiseConstantDecay([3, 9], [0.1, 0.02, 0.2]),
    fb.ExponentialDecay(0.1, 7, 0.5),
    fb.OneCycle(0.2, 20),
]
OPTIMIZERS = [
    fb.SGD, lambda lr: fb.SGD(lr, momentum=0.9), lambda lr: fb.SGD(lr, momentum=0.9, nesterov=True),
    fb.Adam, lambda lr: fb.AdamW(lr, weight_decay=0.1),
]  # fmt: skip


def hyperbola(step):
    return 0.1 / (1 + step)


class Triangle(fb.Schedule):
    def values(self, steps):
        return 0.1 * np.abs(np.asarray(steps) % 6 - 3.0)


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


@pytest.fixture(params=["float32", "float64"])
def make(request, backend):
    """A network of this optimizer."""

    def made(optimizer, **options):
        return fb.Network(
            [4, 6, 3], loss="cross_entropy", optimizer=optimizer, seed=1, backend=backend,
            dtype=request.param, **options,
        )  # fmt: skip

    return made


def one_step_at_a_time(network, rate_at, steps):
    """Plain numbers set before each step, over the batches of ORDER."""
    for step in range(steps):
        network.learning_rate = rate_at(step)
        rows = ORDER[step % PER_EPOCH]
        network.train_on_batch(X[rows], Y[rows])
    return network


# ---- the right rate at the right step ------------------------------------------------------------


def named(schedule: object) -> str:
    """Without an address, which is another in each process of pytest-xdist."""
    text = repr(schedule)
    return getattr(schedule, "__name__", type(schedule).__name__) if " at 0x" in text else text


@pytest.mark.parametrize("schedule", [*SCHEDULES, hyperbola, Triangle()], ids=named)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_each_step_has_its_rate(make, optimizer, schedule):
    expected = one_step_at_a_time(make(optimizer(0.5)), schedule, 3 * PER_EPOCH)
    network = make(optimizer(schedule))
    network.fit(X, Y, epochs=3, batches=ORDER)
    assert digest_of_numbers(network) == digest_of_numbers(expected)
    assert network.learning_rate == schedule(3 * PER_EPOCH)
    constant = make(optimizer(0.5))
    constant.fit(X, Y, epochs=3, batches=ORDER)
    assert digest_of_numbers(network) != digest_of_numbers(constant)


def digest_of_numbers(network):
    """Without the epochs, which single steps are not."""
    return [a.tobytes() for a in [*network.get_weights(), *network.optimizer_state.values()]]


def test_a_step_by_hand(backend):
    """w = 1, x = 1, y = 0: half_sse has the gradient w, so that w is multiplied by 1 - rate."""
    network = fb.Network(
        [fb.Input(1), fb.Dense(1, weights=[[1.0]], use_bias=False)], loss="half_sse",
        optimizer=fb.SGD(fb.PiecewiseConstantDecay([0, 1], [0.5, 0.25, 0.125])),
        dtype="float64", backend=backend,
    )  # fmt: skip
    x, y = np.ones((4, 1)), np.zeros((4, 1))
    network.fit(x, y, batch_size=1)
    assert network.get_weights()[0].item() == 0.5 * 0.75 * 0.875 * 0.875
    network.forward(x[:1])
    network.backward(network(x[:1]))
    network.learning_rate = 0.5
    network.step()
    assert network.get_weights()[0].item() == 0.5 * 0.75 * 0.875 * 0.875 * 0.5


# ---- however the steps are dealt out -------------------------------------------------------------


@pytest.mark.parametrize("schedule", [*SCHEDULES, hyperbola, Triangle()], ids=named)
def test_same_bits_in_one_call_and_in_several(make, schedule, tmp_path):
    once = make(fb.Adam(schedule))
    once.fit(X, Y, epochs=4, batch_size=BATCH)
    several = make(fb.Adam(schedule))
    several.fit(X, Y, epochs=1, batch_size=BATCH)
    several.train_steps(X, Y, steps=PER_EPOCH, batch_size=BATCH)
    several = pickle.loads(pickle.dumps(several)).copy()
    if schedule in SCHEDULES:
        several.save(tmp_path / "model")
        several = fb.Network.load(tmp_path / "model", backend=several.backend)
        assert several.optimizer == once.optimizer
    several = copy.deepcopy(several)
    for _ in range(2):
        several.fit(X, Y, batch_size=BATCH)
    assert digest(several) == digest(once)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_steps_alone_are_those_of_fit(make, schedule):
    """`train_on_batch`, and `forward`, `backward` and `step`."""
    whole, alone, apart = (make(fb.SGD(schedule, momentum=0.5)) for _ in range(3))
    whole.fit(X, Y, epochs=2, batches=ORDER)
    for step in range(2 * PER_EPOCH):
        rows = ORDER[step % PER_EPOCH]
        assert alone.learning_rate == schedule(step)
        alone.train_on_batch(X[rows], Y[rows])
        apart.trace(X[rows], Y[rows])
        apart.step()
    assert digest_of_numbers(alone) == digest_of_numbers(whole)
    for a, b in zip(apart.get_weights(), whole.get_weights(), strict=True):
        assert_near(a, b, dtype=whole.dtype, length=2**9, magnitude=1.0)


@pytest.mark.parametrize("at_once", [1, 7, 10])
def test_a_long_call_has_a_table_of_part_of_its_steps(make, monkeypatch, at_once):
    networks = [make(fb.Adam(SCHEDULES[0])) for _ in range(2)]
    asked = []

    def rates(state, n_steps, **options):
        asked.append(n_steps)
        return own(state, n_steps, **options)

    own = rate.rates
    monkeypatch.setattr("fastbp.runtime.train.rates", rates)
    history = [networks[0].fit(X, Y, epochs=5, batch_size=BATCH).history]
    mean = [networks[0].train_steps(X, Y, steps=17, batch_size=BATCH)]
    assert asked == [25, 17]
    monkeypatch.setattr("fastbp.runtime.train.STEPS_AT_ONCE", at_once)
    history.append(networks[1].fit(X, Y, epochs=5, batch_size=BATCH).history)
    mean.append(networks[1].train_steps(X, Y, steps=17, batch_size=BATCH))
    assert max(asked[2:]) == max(5, 5 * (at_once // 5)) and sum(asked[2:]) == 25 + 17
    assert digest(networks[0]) == digest(networks[1])
    assert history[0] == history[1] and mean[0] == mean[1]


def test_a_plain_number_has_no_table(make):
    network = make(fb.Adam(0.1))
    assert rate.rates(network._state, 10**12) is None


# ---- functions of the user's ---------------------------------------------------------------------


@pytest.mark.parametrize(("per", "expected"), [("step", range(12)), ("epoch", [0, 5, 10])])
def test_when_a_function_is_asked(make, per, expected):
    asked = []

    def function(step):
        asked.append(step)
        return hyperbola(step)

    network = make(fb.SGD(fb.CallableSchedule(function, per=per)))
    network.train_steps(X, Y, steps=12, batch_size=BATCH, shuffle=False)
    assert asked == [*expected]
    first = [hyperbola(step if per == "step" else step // 5 * 5) for step in range(12)]
    plain = one_step_at_a_time(make(fb.SGD(0.5)), first.__getitem__, 12)
    assert digest_of_numbers(network) == digest_of_numbers(plain)
    network.train_on_batch(X, Y)
    assert asked[-1] == 12


def test_once_an_epoch_in_one_call_and_in_several(make):
    networks = [make(fb.Adam(fb.CallableSchedule(hyperbola, per="epoch"))) for _ in range(2)]
    networks[0].fit(X, Y, epochs=4, batch_size=BATCH)
    for _ in range(4):
        networks[1].fit(X, Y, batch_size=BATCH)
    assert digest(networks[0]) == digest(networks[1])


class TooShort(fb.Schedule):
    def values(self, steps):
        return np.ones(1)


def raises(step):
    raise KeyError(step)


BAD = [
    Bad("learning rate of a function", lambda step: 0.3 - step / 10, ValueError,
        "learning_rate must be finite and >= 0, CallableSchedule(<lambda>) gives -0.1 for step 4"),
    Bad("learning rate of a function", lambda step: float("nan"), ValueError,
        "learning_rate must be finite and >= 0, CallableSchedule(<lambda>) gives nan for step 0"),
    Bad("learning rate of a function", lambda step: "0.1", TypeError,
        "learning_rate must return a number, <lambda> returned '0.1' for step 0"),
    Bad("learning rate of a function", raises, KeyError, "0"),
    Bad("learning rate of a function", fb.ExponentialDecay(1, 1, 1e300), ValueError,
        "learning_rate must be finite and >= 0, ExponentialDecay(initial_learning_rate=1.0, "
        "decay_steps=1, decay_rate=1e+300) gives inf for step 2"),
    Bad("learning rate of a function", TooShort(), ValueError, "TooShort() returned values of "
        "shape (1,) for steps of shape (5,)"),
]  # fmt: skip


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.text[-30:])
def test_bad_rates_are_refused_before_the_first_step(make, case, monkeypatch):
    monkeypatch.setattr(TooShort, "__repr__", lambda self: "TooShort()")
    network = make(fb.SGD(case.call))
    before, history = digest(network), network.history
    with refuses(case.error, case.text):
        network.fit(X, Y, batch_size=BATCH)
    assert digest(network) == before and network.history.history == {} == history.history
    network.learning_rate = 0.1
    network.fit(X, Y)


@bad_input("learning rate of a function")
@pytest.mark.parametrize("at_once", [5, 2**20])
def test_epochs_before_a_bad_rate_count(make, monkeypatch, capsys, at_once):
    """Where each epoch is a call of its own, or a part of one."""
    monkeypatch.setattr("fastbp.runtime.train.STEPS_AT_ONCE", at_once)
    network = make(fb.SGD(lambda step: 0.1 if step < 12 else -1))
    each = [fb.LambdaCallback(on_epoch_end=lambda epoch, logs: None)] if at_once > 5 else []
    with pytest.raises(ValueError, match="gives -1 for step 12"):
        network.fit(X, Y, epochs=5, batch_size=BATCH, callbacks=each)
    assert network.steps == 10 and len(network.history.history["loss"]) == 2


@bad_input("learning rate of a function")
def test_bad_rate_of_a_step_alone(make):
    network = make(fb.SGD(lambda step: -step))
    network.train_on_batch(X, Y)
    before = digest(network)
    text = "learning_rate must be finite and >= 0, CallableSchedule(<lambda>) gives -1 for step 1"
    with refuses(ValueError, text):
        network.train_on_batch(X, Y)
    network.trace(X, Y)
    with refuses(ValueError, text):
        network.step()
    with refuses(ValueError, text):
        print(network.learning_rate)
    assert digest(network) == before


@bad_input("function in a file")
def test_a_function_in_a_file(make, tmp_path):
    network = make(fb.Adam(hyperbola))
    network.fit(X, Y)
    network.save(tmp_path / "model")
    loaded = fb.Network.load(tmp_path / "model", backend=network.backend)
    assert np.array_equal(loaded.predict(X), network.predict(X))
    assert repr(loaded) == repr(network) and "CallableSchedule(hyperbola)" in repr(loaded)
    loaded.save(tmp_path / "again")
    before = digest(loaded)
    for call in (
        lambda: loaded.fit(X, Y), lambda: loaded.train_on_batch(X, Y), lambda: loaded.learning_rate,
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match="was the function hyperbola, of which a file keeps"):
            call()
    assert digest(loaded) == before == digest(network)
    loaded.learning_rate = hyperbola
    loaded.fit(X, Y)
    network.fit(X, Y)
    assert digest(loaded) == digest(network)
    own = make(fb.Adam(Triangle()))
    own.save(tmp_path / "own")
    with pytest.raises(RuntimeError, match="was the function Triangle"):
        fb.Network.load(tmp_path / "own").fit(X, Y)


def test_functions_are_copied_and_pickled(make):
    network = make(fb.Adam(hyperbola))
    for twin in (network.copy(), copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert twin.optimizer == network.optimizer
    anonymous = make(fb.Adam(lambda step: 0.1))
    assert anonymous.copy().optimizer == copy.deepcopy(anonymous).optimizer == anonymous.optimizer
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(anonymous)


# ---- set between calls ---------------------------------------------------------------------------


def test_a_new_rate_keeps_the_optimizer_state(make, tmp_path):
    """Engines of every kind are there before, and follow."""
    network, plain = make(fb.Adam(0.05)), make(fb.Adam(0.05))
    for one in (network, plain):
        one.fit(X, Y, epochs=2, batch_size=BATCH)
        one.train_on_batch(X, Y)
        one.backward(one.forward(X))
        one.step()
    moments = {name: vector.copy() for name, vector in network.optimizer_state.items()}
    network.learning_rate = 0.01
    for name, vector in network.optimizer_state.items():
        assert np.array_equal(vector, moments[name])
    assert network.learning_rate == network.optimizer.learning_rate == 0.01
    assert network.optimizer == fb.Adam(0.01) and "Adam(learning_rate=0.01," in repr(network)
    assert json.loads(json.dumps(network.get_config()))["optimizer"]["learning_rate"] == 0.01
    network.save(tmp_path / "model")
    twins = [
        fb.Network.load(tmp_path / "model", backend=network.backend), network.copy(),
        copy.deepcopy(network), pickle.loads(pickle.dumps(network)), network,
    ]  # fmt: skip
    for twin in twins:
        assert twin.learning_rate == 0.01
        twin.fit(X, Y, batch_size=BATCH)
        twin.train_on_batch(X, Y)
        twin.backward(twin.forward(X))
        twin.step()
    assert len({digest(twin) for twin in twins}) == 1
    plain.fit(X, Y, batch_size=BATCH)
    assert digest_of_numbers(plain) != digest_of_numbers(network)


def test_rate_zero_changes_no_parameter(make):
    network = make(fb.SGD(0.5))
    network.fit(X, Y)
    network.learning_rate = 0
    before = [weights.tobytes() for weights in network.get_weights()]
    network.fit(X, Y, epochs=3, batch_size=BATCH)
    assert [weights.tobytes() for weights in network.get_weights()] == before


def test_a_schedule_that_is_set_goes_on_from_the_steps_taken(make):
    network = make(fb.SGD(0.1))
    network.fit(X, Y, epochs=2, batch_size=BATCH)
    network.learning_rate = schedule = fb.CosineDecay(0.1, 20)
    assert network.steps == 10 and network.learning_rate == schedule(10) == 0.05
    assert network.optimizer.learning_rate == schedule
    network.learning_rate = hyperbola
    assert network.learning_rate == hyperbola(10)
    assert network.optimizer.learning_rate == fb.CallableSchedule(hyperbola)


def test_a_gradient_of_before_is_taken_with_the_new_rate(make):
    networks = [make(fb.SGD(rate)) for rate in (0.5, 0.125)]
    for network in networks:
        network.backward(network.forward(X))
    networks[0].learning_rate = 0.125
    for network in networks:
        network.step()
    assert digest_of_numbers(networks[0]) == digest_of_numbers(networks[1])


@bad_input("learning rate", "busy")
def test_what_cannot_be_set(make):
    network = make(fb.Adam(0.1))
    network.fit(X, Y)
    before, optimizer = digest(network), network.optimizer
    expected = (
        "learning_rate must be a number, finite and >= 0, a Schedule or a function of the step"
    )
    for value, error, text in (
        (-1, ValueError, "learning_rate must be finite and >= 0, got -1"),
        (float("nan"), ValueError, "learning_rate must be finite and >= 0, got nan"),
        (None, TypeError, f"{expected}, got None"),
        ("0.1", TypeError, f"{expected}, got '0.1'"),
        (fb.CosineDecay, TypeError, f"{expected}, got the class CosineDecay: write "
         "fb.CosineDecay(...)"),
    ):  # fmt: skip
        with refuses(error, text):
            network.learning_rate = value
    for begin in ("begin_reading", "begin_writing"):
        token = object()
        getattr(network._state.guard, begin)(token)
        with pytest.raises(fb.ModelBusyError, match="model is in use by 1 call"):
            network.learning_rate = 0.2
        assert network.learning_rate == 0.1  # it may be read
        network._state.guard.readers.discard(token)
        network._state.guard.writers.discard(token)
    assert network.optimizer is optimizer and digest(network) == before
    network.learning_rate = 0.2


# ---- beside other things -------------------------------------------------------------------------


def test_a_divergence_tells_the_rate_of_its_step(backend):
    network = fb.Network(
        [4, 6, 3], optimizer=fb.SGD(fb.PiecewiseConstantDecay([6], [1e-3, 1e30])), seed=1,
        backend=backend,
    )  # fmt: skip
    target = np.eye(3)[Y]
    with pytest.raises(fb.DivergenceError, match=r"epoch 2, batch 4 \(learning_rate=1e\+30\)"):
        network.fit(X, target, epochs=3, batch_size=BATCH)
    assert network.steps == PER_EPOCH and len(network.history.history["loss"]) == 1
    again = fb.Network([4, 6, 3], optimizer=fb.SGD(lambda step: 1e30), seed=1, backend=backend)
    again.train_on_batch(X, target)
    with pytest.raises(fb.DivergenceError, match=r"\(learning_rate=1e\+30\)"):
        again.train_on_batch(X, target)


def test_what_a_divergence_in_a_later_part_leaves(backend, monkeypatch):
    monkeypatch.setattr("fastbp.runtime.train.STEPS_AT_ONCE", PER_EPOCH)
    network = fb.Network(
        [4, 6, 3], optimizer=fb.SGD(fb.PiecewiseConstantDecay([11], [1e-3, 1e30])), seed=1,
        backend=backend,
    )  # fmt: skip
    with pytest.raises(fb.DivergenceError, match=r"epoch 3, .*restored to the end of epoch 2"):
        network.fit(X, np.eye(3)[Y], epochs=5, batch_size=BATCH)
    assert network.steps == 2 * PER_EPOCH and len(network.history.history["loss"]) == 2


def test_a_constant_schedule_is_the_number(make):
    networks = [make(fb.Adam(0.05)), make(fb.Adam(fb.ConstantSchedule(0.05)))]
    for network in networks:
        network.fit(X, Y, epochs=3, batch_size=BATCH)
    assert digest(networks[0]) == digest(networks[1])


@pytest.mark.parametrize("batch_size", [1, 4, 16])
def test_weight_decay_of_a_rate_that_begins_at_0(batch_size):
    """The latency path too, whose kernels are chosen while the rate is 0."""
    found = []
    for backend in BACKENDS:
        optimizer = fb.AdamW(fb.CosineDecay(0.0, 50, warmup_target=0.1, warmup_steps=10))
        net = fb.Network([4, 3], seed=0, dtype="float64", backend=backend, optimizer=optimizer)
        net.fit(X, np.eye(3)[Y], epochs=3, batch_size=batch_size)
        found.append(net._state.parameters)
    assert_near(*found, dtype="float64", length=N)


def test_rates_of_the_epochs_before_an_exception(backend):
    """Steps of the epoch that was not finished belong to none of them."""
    rates = [1e-3] * (2 * PER_EPOCH) + [1e-2] * (2 * PER_EPOCH) + [1e30] * PER_EPOCH
    net = fb.Network(
        [4, 3], loss="half_sse", seed=0, backend=backend,
        optimizer=fb.SGD(lambda step: rates[min(step, len(rates) - 1)]),
    )  # fmt: skip
    with pytest.raises(fb.DivergenceError):
        net.fit(X, np.eye(3)[Y], epochs=9, batch_size=BATCH)
    n = len(net.history)
    assert 4 <= n < 9
    assert net.history["learning_rate"][:4] == [1e-3, 1e-3, 1e-2, 1e-2]


def test_history_has_the_rate_an_epoch_was_trained_with(backend):
    """Whichever callback changes it, and however many tell of it."""
    net = fb.Network([4, 3], seed=0, backend=backend, optimizer=fb.SGD(1e-9))
    used = []
    begin = fb.LambdaCallback(on_epoch_begin=lambda epoch, logs: used.append(net.learning_rate))
    callbacks = [
        fb.ReduceLROnPlateau(patience=1, factor=0.5), begin,
        fb.LearningRateScheduler(lambda epoch, rate: rate),
    ]  # fmt: skip
    history = net.fit(X, np.eye(3)[Y], epochs=6, callbacks=callbacks)
    assert used == history["learning_rate"] and used[-1] < used[0]

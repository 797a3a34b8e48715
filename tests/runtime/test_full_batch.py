"""`fit` with an optimizer that takes all rows: what it goes on with, and what it refuses."""

from __future__ import annotations

import copy
import pickle
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from support import child
from support.kernels import needs_kernels
from support.network_state import classification, digest
from support.refusal import bad_input, refused
from support.resume_case import Counter, Stop, Stopped, result
from support.tolerance import assert_same_training, difference_bound

import fastbp as fb
from fastbp.runtime.full_batch import Objective
from fastbp.runtime.rows import checked_rows

X, Y = classification(60, 5, 3)
WEIGHT = np.arange(60) % 4 * 0.5
EPOCHS = 12


def make(backend: str | None = None, dtype: str = "float64", **options: Any) -> fb.Network:
    layers = [fb.Input(5), fb.Dense(8, "tanh", l2=1e-3), fb.Dense(3, l1=1e-5)]
    given = {"optimizer": fb.LBFGS(history_size=4), "metrics": ["accuracy"]} | options
    return fb.Network(
        layers, loss=given.pop("loss", "cross_entropy"), dtype=dtype, seed=2, backend=backend,
        **given,
    )  # fmt: skip


def fit(network: fb.Network, epochs: int = EPOCHS, **options: Any) -> fb.History:
    given: dict[str, Any] = {
        "sample_weight": WEIGHT, "validation_data": (X[:20], Y[:20]),
        "initial_epoch": network.epochs,
    }  # fmt: skip
    return network.fit(X, Y, epochs=epochs, **given | options)


def assert_slopes(objective: Objective, at: np.ndarray, places: Any) -> None:
    """The gradient at some places is that of the value, by differences."""
    found = objective(at.copy())
    for place in places:
        values = []
        for step in (1e-6, -1e-6):
            there = at.copy()
            there[place] += step
            values.append(objective(there).value)
        difference = (values[0] - values[1]) / 2e-6
        limit = difference_bound(1e-6, order=2, value=found.value)
        assert abs(difference - found.gradient[place]) <= limit


@pytest.mark.parametrize("loss", ["cross_entropy", fb.Loss("cross_entropy", with_penalties=True)])
def test_the_gradient_is_that_of_the_value(loss: Any, backend: str) -> None:
    """Penalties and weights in it, in one part and in several."""
    network = make(backend, loss=loss)
    state = network._state
    objective = Objective(state, checked_rows(state, X, Y, sample_weight=WEIGHT), n_threads=1)
    at, found = state.parameters, objective(state.parameters.copy())
    assert_slopes(objective, at, np.flatnonzero(found.gradient)[::7])
    objective.at_once = 13
    parted = objective(at.copy())
    assert_same_training(parted.gradient, found.gradient, dtype="float64")
    assert_same_training(parted.sums[0], found.sums[0], dtype="float64")
    assert_same_training(parted.value, found.value, dtype="float64")


def test_the_loss_reported_is_that_before_the_step(backend: str) -> None:
    network = make(backend, metrics=["accuracy", "f1_macro"])
    for _ in range(4):
        before = network.evaluate(X, Y, sample_weight=WEIGHT)
        history = fit(network, network.epochs + 1)
        for name, value in before.items():
            assert_same_training(history[name][-1], value, dtype="float64")
    assert network.steps == network.epochs == 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_goes_on_to_the_bit(dtype: str, backend: str, tmp_path: Any) -> None:
    """After each epoch, by a file; within a fit that was stopped in three ways."""
    whole = make(backend, dtype)
    fit(whole, callbacks=[Counter(), fb.EarlyStopping(patience=9)])
    for epochs in (1, 2, 5, 11):
        network = make(backend, dtype)
        fit(network, epochs, callbacks=[Counter(), fb.EarlyStopping(patience=9)])
        network.save(tmp_path / "net.npz")
        network = fb.Network.load(tmp_path / "net.npz", backend=backend)
        fit(network, callbacks=[Counter(), fb.EarlyStopping(patience=9)])
        assert result(network) == result(whole), epochs
    for how in ("interrupt", "error", "stop_training"):
        network = make(backend, dtype)
        own = [Stop(how, 6), Counter(), fb.EarlyStopping(patience=9)]
        try:
            fit(network, callbacks=own)
        except (KeyboardInterrupt, Stopped):
            pass
        network = pickle.loads(pickle.dumps(network))
        fit(network, callbacks=[Counter(), fb.EarlyStopping(patience=9)])
        assert result(network) == result(whole), how


def test_a_backup(backend: str, tmp_path: Any) -> None:
    whole, network = make(backend), make(backend)
    fit(whole)
    keep = fb.Backup(tmp_path / "run.npz", every_seconds=1e-9)
    with pytest.raises(Stopped):
        fit(network, callbacks=[Stop("error", 7)], backup=keep)
    again = make(backend)
    fit(again, backup=keep)
    assert digest(again) == digest(whole) and not list(tmp_path.iterdir())


def test_an_interrupted_search_changes_nothing(backend: str) -> None:
    network = make(backend)
    fit(network, 3)
    before, own = digest(network), Objective.__call__
    passes = []

    def call(self: Any, at: Any) -> Any:
        passes.append(at)
        if len(passes) == 2:
            raise KeyboardInterrupt
        return own(self, at)

    with patch.object(Objective, "__call__", call), pytest.raises(KeyboardInterrupt):
        fit(network)
    assert digest(network) == before
    assert network.history.stopped == "interrupted"


def test_other_ways_to_the_same_bits(backend: str) -> None:
    whole = make(backend)
    fit(whole)
    weights = digest(whole)
    for options in (
        {"batch_size": 60}, {"batch_size": 1000}, {"batch_size": 30, "accumulate": 2},
        {"shuffle": False}, {"n_threads": 3}, {"callbacks": [fb.LambdaCallback(
            on_train_batch_end=lambda batch, logs: None)]},
    ):  # fmt: skip
        network = make(backend)
        fit(network, **options)  # type: ignore[arg-type]
        assert digest(network) == weights, options
    for twin in (make(backend).copy(), copy.deepcopy(make(backend))):
        fit(twin)
        assert digest(twin) == weights


def test_rows_that_are_converted_in_parts(backend: str) -> None:
    """Of another type, and read in place as little as others are."""
    whole, network = make(backend), make(backend)
    half = X.astype(np.float16)
    fit(whole, validation_data=None, epochs=5)
    whole = make(backend)
    whole.fit(half.astype(np.float64), Y, epochs=5)
    with patch("fastbp.runtime.rows.MOST_BYTES", 0):
        network.fit(half, Y, epochs=5)
    assert digest(network) == digest(whole)


def test_frozen_layers_stay(backend: str) -> None:
    layers = [fb.Input(5), fb.Dense(8, "tanh", trainable=False), fb.Dense(3)]
    network = fb.Network(
        layers, loss="cross_entropy", optimizer=fb.LBFGS(), seed=0, backend=backend
    )
    before = network.get_weights()
    network.fit(X, Y, epochs=5)
    after = network.get_weights()
    assert (before[0] == after[0]).all() and (before[2] != after[2]).any()


def test_ends(backend: str) -> None:
    network = make(backend, optimizer=fb.LBFGS(tolerance_grad=1e-3))
    history = fit(network, 500, validation_data=None)
    assert history.stopped == "converged" and len(history.epoch) < 500
    again = fit(network, 500, validation_data=None)
    assert again.stopped == "converged" and len(again.epoch) == 1
    network = make(backend)
    stopping = fb.EarlyStopping("val_accuracy", patience=2)
    assert fit(network, 500, callbacks=[stopping]).stopped == "early stopping"
    network = make(backend)
    with patch("time.perf_counter", lambda: 1e3 + 0.5 * network.steps):
        history = fit(network, 500, max_seconds=3)
    assert history.stopped == "max_seconds" and 1 < len(history.epoch) < 9
    network = make(backend, optimizer=fb.LBFGS(fb.StepDecay(1.0, 2, 0.5)))
    assert fit(network)["learning_rate"][:4] == [1.0, 1.0, 0.5, 0.5]


def test_a_start_that_is_not_finite(backend: str) -> None:
    network = make(backend, loss="mse", metrics=[])
    before = digest(network)
    with np.errstate(over="ignore"), pytest.raises(fb.DivergenceError, match="loss is inf"):
        network.fit(X, np.full((60, 3), 1e300), epochs=3)
    assert digest(network) == before


REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda net: net.fit(X, Y, batch_size=32), ValueError,
     "^batch_size must be all 60 rows for LBFGS, got 32: leave it out$"),
    (lambda net: net.fit(X, Y, batches=[[0, 1]]), ValueError, "^LBFGS takes all rows in each step"),
    (lambda net: net.fit([(X, Y)]), ValueError, "^LBFGS .*: pass arrays X and y, no chunks$"),
    (lambda net: net.train_on_batch(X, Y), TypeError, "^LBFGS takes its steps in fit alone"),
    (lambda net: net.train_on_batch(X, Y, sample_weight=WEIGHT), TypeError, "^LBFGS takes its"),
    (lambda net: net.train_steps(X, Y, steps=2), TypeError, "^LBFGS takes its steps in fit alone"),
]  # fmt: skip


@bad_input("optimizer of all rows")
@pytest.mark.parametrize(("call", "error", "text"), REFUSED, ids=[text for *_, text in REFUSED])
def test_refuses(call: Any, error: type[Exception], text: str, backend: str) -> None:
    network = make(backend)
    fit(network, 2)
    before, history = digest(network), network.history
    with pytest.raises(error, match=text):
        call(network)
    assert digest(network) == before and network.history is history


@bad_input("optimizer of all rows")
def test_refuses_layers_and_steps(backend: str) -> None:
    drawn = fb.Network(
        [fb.Input(4), fb.Dropout(0.5), fb.Dense(3)], loss="cross_entropy", optimizer="lbfgs",
        seed=0, backend=backend,
    )  # fmt: skip
    A, y = X[:6, :4], [0, 1, 2, 0, 1, 2]
    refused(
        drawn, lambda: drawn.fit(A, y), ValueError, "^LBFGS compares the loss at several points"
    )
    slow = fb.Network(
        [fb.Input(4), fb.Dense(3, learning_rate_multiplier=0.5)], loss="cross_entropy",
        optimizer="lbfgs", seed=0, backend=backend,
    )  # fmt: skip
    text = "^LBFGS takes no learning_rate_multiplier, got 0.5$"
    refused(slow, lambda: slow.fit(A, y), ValueError, text)
    out = slow.forward(A)
    slow.backward(out)  # a gradient can be had all the same
    refused(slow, slow.step, TypeError, "^LBFGS takes its steps in fit alone, each of all rows$")


FIT = """
import json
from runtime.test_full_batch import fit, make
from support.network_state import digest

network = make("cython", DTYPE)
fit(network)
print(json.dumps(digest(network)))
"""


@needs_kernels
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_on_other_builds(dtype: str) -> None:
    from fastbp.backend import compiled_modules

    builds = [isa for isa in ("v3", "v4") if (isa, dtype) in compiled_modules()]
    if len(builds) < 2:
        pytest.skip(f"this processor and build have {builds}")
    code = FIT.replace("DTYPE", repr(dtype))
    assert len({child.result(code, FASTBP_ISA=isa) for isa in builds}) == 1

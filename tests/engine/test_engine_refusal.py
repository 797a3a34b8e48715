"""An engine refuses every call for which its plan is not made, before it touches anything."""

from types import SimpleNamespace

import numpy as np
import pytest
from support.tolerance import assert_rounded

import fastbp as fb
from fastbp.runtime import engine_cache

ROWS = 300  # more than a tile
ALLOWED = {
    "train": {"train", "train_batch"},
    "predict": {"predict", "bind", "respond", "evaluate"},
    "manual": {"forward", "backward", "step"},
    "trace": {"forward", "loss_gradient", "backward", "step"},
}
CALLS = sorted(set().union(*ALLOWED.values()))
each_purpose = pytest.mark.parametrize("purpose", ALLOWED)


def _engine(backend: str, purpose: str, rows: int = ROWS) -> tuple:
    """(network, engine, scratch memory)"""
    network = fb.Network([4, 9, 3], seed=0, backend=backend)
    engine, _, scratch = engine_cache.engine(network._state, purpose, rows)
    scratch.fill(0.5)
    return network, engine, scratch


def _call(engine, name: str, rows: int = ROWS, **options):
    x, y = np.ones((rows, 4), np.float32), np.zeros((rows, 3), np.float32)
    arguments = {
        "train": (x, y), "train_batch": (x, y), "predict": (x, np.empty_like(y), "linear", 1),
        "bind": (np.empty_like(y), None), "respond": (x, "linear"),
        "evaluate": (x, y, np.empty(1)), "forward": (x,), "loss_gradient": (y,),
        "backward": (), "step": (),
    }  # fmt: skip
    if name == "train":
        options = {"batch_size": rows, "epochs": 1, "losses": np.zeros(1)} | options
    if name == "bind":
        tokens = {"readers": set(), "writers": set()}
        options = {**tokens, "most_rows": rows, "brief_rows": rows, "n_threads": 1} | options
    return getattr(engine, name)(*arguments[name], **options)


def _numbers(network: fb.Network, scratch) -> bytes:
    own = network._state
    return b"".join(x.tobytes() for x in (own.parameters, own.optimizer_state, own.powers, scratch))


@each_purpose
def test_calls_of_another_purpose(backend, purpose):
    network, engine, scratch = _engine(backend, purpose)
    before = _numbers(network, scratch)
    for name in sorted(set(CALLS) - ALLOWED[purpose]):
        with pytest.raises(RuntimeError, match=f"no {name} with a plan made for '{purpose}': only"):
            _call(engine, name)
            pytest.fail(f"{name} went through")
    assert _numbers(network, scratch) == before
    counter = SimpleNamespace(steps=0, epochs=0)
    assert engine.take_progress(counter) == (0, 0, 0)
    assert (counter.steps, counter.epochs) == (0, 0)


@each_purpose
def test_calls_of_its_own(backend, purpose):
    network, engine, _ = _engine(backend, purpose)
    for name in [name for name in CALLS if name in ALLOWED[purpose] and name != "forward"]:
        if "forward" in ALLOWED[purpose]:
            engine.forward(np.ones((ROWS, 4), np.float32))
        _call(engine, name)
    assert np.isfinite(network._state.parameters).all()


@pytest.mark.parametrize("name, purpose", [
    ("train", "train"), ("train_batch", "train"), ("forward", "manual"), ("forward", "trace"),
])  # fmt: skip
def test_more_rows_than_the_plan_has_room_for(backend, name, purpose):
    network, engine, scratch = _engine(backend, purpose, 20)
    before = _numbers(network, scratch)
    with pytest.raises(ValueError, match=f"^{name} of 21 rows with a plan .* with up to 20$"):
        _call(engine, name, 21)
    assert _numbers(network, scratch) == before
    _call(engine, name, 20)
    _call(engine, name, 7)


def test_batches_of_given_rows(backend):
    """The largest counts, wherever it is."""
    _, engine, _ = _engine(backend, "train", 20)
    given = np.arange(ROWS, dtype=np.uint32)
    for largest, end in ((20, 43), (21, 44)):
        limits = np.array([0, 3, 3 + largest, end])
        options = {"batch_rows": given, "batch_offsets": limits, "batch_size": 3}
        if largest == 20:
            _call(engine, "train", **options)
        else:
            with pytest.raises(ValueError, match="^train of 21 rows"):
                _call(engine, "train", **options)


def test_a_prediction_has_any_number_of_rows(backend):
    network, engine, _ = _engine(backend, "predict", 8)
    for rows in (1, 8, ROWS):
        x, out = np.ones((rows, 4), np.float32), np.empty((rows, 3), np.float32)
        engine.predict(x, out, "linear", 1)
        assert_rounded(out, network.predict(x), dtype="float32", roundings=8)


def test_regime_and_memory_are_two_facts():
    """Parts of a step keep all rows without being weight-parallel."""
    large = fb.Network([784, 256, 10], seed=0)._state
    small = fb.Network([4, 9, 3], seed=0)._state
    for state, regime in ((large, True), (small, False)):
        plans = {purpose: engine_cache.engine(state, purpose, ROWS)[1] for purpose in ALLOWED}
        assert {purpose for purpose in plans if plans[purpose].weight_parallel} == (
            {"train"} if regime else set()
        )
        kept = {"manual", "trace"} | ({"train"} if regime else set())
        assert {purpose for purpose in plans if plans[purpose].keeps_batch} == kept

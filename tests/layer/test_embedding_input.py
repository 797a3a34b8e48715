"""What an Input with categorical columns refuses, in its arguments and in X."""

from __future__ import annotations

import numpy as np
import pytest
from layer.test_embedding import CITY, SLOT, data, network
from support.network_state import digest
from support.refusal import bad_input

import fastbp as fb

VERBS = {
    "fit": lambda net, X, y: net.fit(X, y, verbose=False),
    "fit unchecked": lambda net, X, y: net.fit(X, y, check_finite=False, verbose=False),
    "train_on_batch": lambda net, X, y: net.train_on_batch(X, y),
    "weighted": lambda net, X, y: net.train_on_batch(X, y, sample_weight=np.ones(len(X))),
    "train_steps": lambda net, X, y: net.train_steps(X, y, steps=2),
    "predict": lambda net, X, y: net.predict(X),
    "predict unchecked": lambda net, X, y: net.predict(X, check_finite=False),
    "predict out": lambda net, X, y: net.predict(X, out=np.empty((len(X), 2), net.dtype)),
    "predictor": lambda net, X, y: net.predictor(batch_size=len(X))(X),
    "call": lambda net, X, y: net(X),
    "evaluate": lambda net, X, y: net.evaluate(X, y),
    "forward": lambda net, X, y: net.forward(X),
    "trace": lambda net, X, y: net.trace(X, y),
}


@bad_input("category outside")
@pytest.mark.parametrize("kind", ["own", "float64", "list"])
@pytest.mark.parametrize("verb", VERBS)
def test_unknown_categories(verb, kind, backend):
    """A negative, too large, or broken number, with its row and column; nothing has changed."""
    net = network(CITY, backend)
    X, y = data(CITY, 30)
    net.fit(X, y, epochs=1, verbose=False)
    before = digest(net)
    for odd in (-1.0, 5.0, 2.5, np.nan):
        own = X.copy()
        own[17, 2] = odd
        given = {"own": own.astype("float32"), "float64": own, "list": own.tolist()}[kind]
        with pytest.raises(ValueError) as raised:
            VERBS[verb](net, given, y)
        text = str(raised.value)
        if np.isnan(odd) and "unchecked" not in verb:
            assert "Input X contains NaN (first at [17, 2])" in text
        else:
            shown = "NaN" if np.isnan(odd) else f"{odd:g}"
            assert text == (
                f"X[17, 2] = {shown} is no category of column 2, which are the integers 0..4; "
                "with handle_unknown='slot' of the Input others have a row of their own"
            )
        assert digest(net) == before
    net.predict(X)


@bad_input("category outside")
def test_unknown_categories_elsewhere(backend):
    """In validation data, in a chunk, in a frame by name, in one observation."""
    net = network(CITY, backend)
    X, y = data(CITY, 30)
    bad = X.copy()
    bad[3, 0] = 3
    with pytest.raises(ValueError, match=r"^validation_data: X\[3, 0\] = 3 is no category"):
        net.fit(X, y, validation_data=(bad, y))
    with pytest.raises(ValueError, match=r"^chunk 1: X\[3, 0\] = 3 is no category"):
        net.fit([(X, y), (bad, y)], verbose=False)
    with pytest.raises(ValueError, match=r"^X\[0, 0\] = 3 is no category of column 0,"):
        net.predict(bad[3])
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(bad, columns=["month", "a", "city", "b"])
    with pytest.raises(ValueError, match=r"no category of column 0 \('month'\), which are the int"):
        net.predict(frame)


def test_other_columns_stay_finite(backend):
    net = network(SLOT, backend)
    X, y = data(SLOT, 30)
    X[2, 2] = np.nan
    net.fit(X, y, epochs=1, verbose=False)
    X[4, 1] = np.nan
    for verb in ("fit", "predict", "forward", "evaluate", "predictor", "train_on_batch"):
        with pytest.raises(ValueError, match=r"NaN \(first at \[4, 1\]\), in column 1"):
            VERBS[verb](net, X, y)
    assert np.isnan(net.predict(X, check_finite=False)[4]).all()


@bad_input("categorical columns")
@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: fb.Input(4, categorical={4: 3}), ValueError,
         "categorical names column 4, outside 0..3"),
        (lambda: fb.Input(4, categorical={-1: 3}), ValueError,
         "categorical names column -1, outside 0..3"),
        (lambda: fb.Input(4, categorical={"city": 3}), ValueError,
         "categorical names the column 'city': pass the names of all 4 columns too, "
         "feature_names=[...]"),
        (lambda: fb.Input(1, categorical={"city": 3}, feature_names=["town"]), ValueError,
         "categorical names the column 'city', which is none of feature_names"),
        (lambda: fb.Input(1, categorical={"a": 3, 0: 3}, feature_names=["a"]), ValueError,
         "categorical names column 0 twice, the second time as 0"),
        (lambda: fb.Input(4, categorical={0.0: 3}), TypeError,
         "a column in categorical must be an index or a name, got 0"),
        (lambda: fb.Input(4, categorical={0: 0}), ValueError,
         "categories of column 0 must be >= 1, got 0"),
        (lambda: fb.Input(4, categorical={0: "many"}), TypeError,
         "categories of column 0 must be an integer >= 1, got 'many'"),
        (lambda: fb.Input(4, categorical=[0, 1]), TypeError,
         "categorical must be a dict {column: n}, got [0, 1]"),
        (lambda: fb.Input(4, categorical={0: 3}, embedding_units=0), ValueError,
         "embedding_units must be >= 1, got 0"),
        (lambda: fb.Input(4, categorical={0: 3}, embedding_units={1: 3}), ValueError,
         "embedding_units must have the columns of categorical, each once; extra or missing: 0, 1"),
        (lambda: fb.Input(4, categorical={0: 3}, embedding_units=[1, 2]), ValueError,
         "embedding_units has 2 widths for 1 categorical column"),
        (lambda: fb.Input(4, embedding_units=8), ValueError,
         "embedding_units go with categorical, which is missing"),
        (lambda: fb.Input(4, handle_unknown="ignore"), ValueError,
         "unknown handle_unknown 'ignore'; known: error, slot"),
        (lambda: fb.Input(2, feature_names=["a"]), ValueError,
         "feature_names has 1 name, Input 2 columns"),
        (lambda: fb.Input(2, feature_names=["a", "a"]), ValueError, "feature_names has 'a' twice"),
        (lambda: fb.Input(2, feature_names="ab"), TypeError,
         "feature_names must be a list of names, got 'ab'"),
        (lambda: fb.Network([fb.Input(2, categorical={0: 2**24 + 1}), fb.Dense(1)]), ValueError,
         "column 0 has 16777217 categories, but float32 holds integers up to 16777216 only; "
         "float64 holds them up to 2^53"),
        (lambda: fb.Network([CITY]), ValueError, "a network needs at least one Dense layer"),
        (lambda: fb.Network([fb.Input(4), CITY, fb.Dense(1)]), TypeError, "layers[1] must be a"),
    ],
)  # fmt: skip
def test_bad_input_layer(make, error, text):
    with pytest.raises(error) as raised:
        make()
    assert text in str(raised.value)


def test_large_arrays_are_checked_part_by_part(backend, monkeypatch):
    monkeypatch.setattr("fastbp.runtime.rows.MOST_BYTES", 0)
    monkeypatch.setattr("fastbp.runtime.feed.PART_BYTES", 500)
    monkeypatch.setattr("fastbp.check.array._BLOCK", 64)
    X, y = data(CITY, 60)
    net, whole = network(CITY, backend), network(CITY, backend)
    half = X.astype(np.float16)
    net.fit(half, y, epochs=2, batch_size=16, verbose=False)
    monkeypatch.undo()
    whole.fit(half, y, epochs=2, batch_size=16, verbose=False)
    assert digest(net) == digest(whole)
    monkeypatch.setattr("fastbp.runtime.rows.MOST_BYTES", 0)
    monkeypatch.setattr("fastbp.check.array._BLOCK", 64)
    half[41, 2] = 5
    before = digest(net)
    for verb in (lambda: net.fit(half, y), lambda: net.predict(half)):
        with pytest.raises(ValueError, match=r"^X\[41, 2\] = 5 is no category of column 2"):
            verb()
    assert digest(net) == before
    slot = network(SLOT, backend)
    half[3, 2], half[4, 1] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"contains infinity \(first at \[4, 1\]\), in column 1"):
        slot.fit(half, y)

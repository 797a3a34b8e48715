"""`validation_split`: which rows are held out; and `accumulate`."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.network_state import classification, digest
from support.refusal import NAN, Bad, bad_input, refused
from support.tolerance import assert_same_training
from support.weight import BACKENDS

import fastbp as fb
from fastbp.runtime.held_out import split_rows

X, Y = classification(60, 4, 3)


def network(backend: str = "numpy", loss: str = "cross_entropy") -> fb.Network:
    return fb.Network([4, 3], loss=loss, seed=5, backend=backend)


@given(
    st.lists(st.integers(0, 5), min_size=2, max_size=80),
    st.floats(0.01, 0.99),
    st.integers(0, 2**64 - 1),
)
def test_split_is_a_stratified_division(labels, share, seed):
    labels = np.array(labels)
    n = len(labels)
    trained, held = split_rows(n, share=share, seed=seed, labels=labels)
    assert sorted([*trained, *held]) == list(range(n))
    assert (np.diff(trained) > 0).all() and (np.diff(held) > 0).all()
    count = np.bincount(labels, minlength=6)
    for label in range(6):
        inside = int((labels[held] == label).sum())
        if count[label] >= 2:
            assert 1 <= inside <= count[label] - 1
            assert abs(inside - share * count[label]) < 2
        else:
            assert inside == 0


@given(st.integers(2, 200), st.floats(0.001, 0.999), st.integers(0, 100))
def test_split_without_classes(n, share, seed):
    trained, held = split_rows(n, share=share, seed=seed)
    assert len(held) == min(max(1, round(share * n)), n - 1)
    assert sorted([*trained, *held]) == list(range(n))


def test_split_is_of_the_seed():
    first = split_rows(100, share=0.2, seed=1)[1]
    assert np.array_equal(first, split_rows(100, share=0.2, seed=1)[1])
    assert not np.array_equal(first, split_rows(100, share=0.2, seed=2)[1])


def test_fit_is_that_of_the_parts(backend):
    net, expected = network(backend), network(backend)
    trained, held = split_rows(60, share=0.25, seed=5, labels=Y)
    past = net.fit(X, Y, epochs=2, validation_split=0.25).history
    pair = X[held], Y[held]
    assert past == expected.fit(X[trained], Y[trained], epochs=2, validation_data=pair).history
    assert digest(net) == digest(expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_are_divided_too(backend):
    weight = np.arange(60) + 1.0
    net, expected = network(backend), network(backend)
    trained, held = split_rows(60, share=0.25, seed=5, labels=Y)
    past = net.fit(X, Y, sample_weight=weight, validation_split=0.25).history
    parts = [(X[rows], Y[rows], weight[rows]) for rows in (trained, held)]
    a, b, w = parts[0]
    assert past == expected.fit(a, b, sample_weight=w, validation_data=parts[1]).history
    assert digest(net) == digest(expected)


def test_regression_and_lists():
    net, expected = network(loss="mse"), network(loss="mse")
    y = np.random.default_rng(0).random((60, 3))
    trained, held = split_rows(60, share=0.1, seed=5)
    past = net.fit(X.tolist(), y.tolist(), validation_split=0.1).history
    assert past == expected.fit(X[trained], y[trained], validation_data=(X[held], y[held])).history


def test_classes_in_other_forms():
    for y in (Y.reshape(-1, 1), np.eye(3)[Y], Y.astype(float)):
        net = network()
        net.fit(X, y, validation_split=0.25)
        other = network()
        other.fit(X, Y, validation_split=0.25)
        for a, b in zip(net.get_weights(), other.get_weights(), strict=True):
            assert_same_training(a, b, dtype="float32")
    binary = fb.Network([4, 1], loss="binary_cross_entropy", seed=5)
    y = np.zeros(60)
    y[:2] = 1  # both parts have a row of it
    past = binary.fit(X, y, validation_split=0.1).history
    assert set(past) == {"loss", "val_loss"}


BAD = [
    Bad("validation_split", 0.0, ValueError, r"^validation_split must be in \(0, 1\), got 0$"),
    Bad("validation_split", 1, ValueError, r"^validation_split must be in \(0, 1\), got 1$"),
    Bad("validation_split", NAN, ValueError, r"^validation_split must be in \(0, 1\), got nan$"),
    Bad("validation_split", True, TypeError, "^validation_split must be a number, in"),
    Bad("validation_split", "10 %", TypeError, "^validation_split must be a number, in"),
]


@bad_input("validation_split")
@pytest.mark.parametrize("bad", BAD, ids=lambda bad: str(bad.call))
def test_bad_share(bad):
    net = network()
    refused(net, lambda: net.fit(X, Y, validation_split=bad.call), bad.error, bad.text)


@bad_input("validation_split")
def test_bad_company():
    net = network()
    for arguments, options, text in [
        (
            (X, Y),
            {"validation_data": (X, Y)},
            "^pass validation_split or validation_data, not both$",
        ),
        (
            (X, Y),
            {"batches": [[0]]},
            "^batches number the rows before a validation_split: pass one",
        ),
        ((X[:1], Y[:1]), {}, "^validation_split needs at least 2 rows, X has 1$"),
        ((X, Y[:9]), {}, "^X has 60 rows, y has 9$"),
        ((X, Y), {"sample_weight": np.ones(3)}, "^X has 60 rows, sample_weight has 3$"),
        ((X, 3), {}, "^y must be 1-D .*, got 3$"),
    ]:
        refused(
            net, lambda a=arguments, o=options: net.fit(*a, validation_split=0.5, **o),
            ValueError, text,
        )  # fmt: skip


def test_accumulated_batches_are_one(backend):
    net, expected = network(backend), network(backend)
    net.fit(X, Y, epochs=2, batch_size=8, accumulate=3)
    expected.fit(X, Y, epochs=2, batch_size=24)
    assert digest(net) == digest(expected) and net.steps == 6
    net, expected = network(backend), network(backend)
    net.fit(X, Y, epochs=2, batches=[[0, 1], [2], [3, 4], [5], [6]], accumulate=2)
    expected.fit(X, Y, epochs=2, batches=[[0, 1, 2], [3, 4, 5], [6]])
    assert digest(net) == digest(expected) and net.steps == 6


@bad_input("number or switch")
def test_bad_accumulate():
    net = network()
    text = "^accumulate must be an integer >= 1, got 0$"
    refused(net, lambda: net.fit(X, Y, accumulate=0), ValueError, text)
    refused(net, lambda: net.fit(X, Y, accumulate=2.0), TypeError, "^accumulate must be an integ")
    refused(net, lambda: net.fit(X, Y, accumulate=0, batches=[[0]]), ValueError, text)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"sample_weight": np.where(np.arange(60) == 45, -1.0, 1.0)}, "sample_weight[45] = -1"),
        ({"X": np.where(np.arange(60)[:, None] == 45, np.nan, X)}, "first at [45, 0]"),
        ({"y": np.where(np.arange(60) == 45, 7, Y)}, "y[45] = 7"),
        ({"y": ["a", "b"] * 30}, "class labels as numbers"),
    ],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_places_are_those_of_what_was_passed(change, text, seed, backend):
    net = fb.Network([4, 3], loss="cross_entropy", seed=seed, backend=backend)
    data = {"X": X, "y": Y} | change
    refused(net, lambda: net.fit(**data, validation_split=0.3), ValueError, re.escape(text))

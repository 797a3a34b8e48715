"""Explicit batches: what is accepted, and type and message of each refusal."""

from __future__ import annotations

import numpy as np
import pytest
from support.refusal import refuses

from fastbp.check import input


@pytest.mark.parametrize(
    "batches",
    [
        [[0, 1], [2]],
        ((0, 1), np.array([2], np.int8)),
        (range(2), [2]),
        iter([[0, 1], [2]]),
        [iter([0, 1]), [2]],
    ],
    ids=["lists", "tuples", "range", "iterator", "inner iterator"],
)
def test_batches(batches):
    order, offsets = input.check_batches(batches, n_rows=3)
    assert (order.dtype, offsets.dtype) == (np.uint32, np.int64)
    assert order.tolist() == [0, 1, 2] and offsets.tolist() == [0, 2, 3]


def test_batches_are_copied():
    given = np.array([[0, 1], [1, 0]])
    order, _ = input.check_batches(given, n_rows=2)
    assert not np.shares_memory(order, given) and order.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("batches", "error", "text"),
    [
        (3, TypeError, "batches must be a sequence of sequences of row numbers, got 3"),
        ("ab", TypeError, "batches must be a sequence of sequences of row numbers, got 'ab'"),
        ([0, 1], TypeError, "batches[0] must be a 1-D sequence of row numbers, got 0"),
        ([[0], [[1]]], TypeError, "batches[1] must be a 1-D sequence of row numbers, got [[1]]"),
        ([[0, [1]]], TypeError, "batches[0] must be a 1-D sequence of row numbers, got [0, [1]]"),
        ([], ValueError, "batches must hold at least one batch, got 0"),
        ([[0], []], ValueError, "batches[1] is empty"),
        ([[0], [1, 4]], ValueError, "batches[1][1] = 4 is outside 0..3"),
        ([[-1]], ValueError, "batches[0][0] = -1 is outside 0..3"),
        ([[0, 1.5]], ValueError, "batches[0][1] = 1.5 is not a row number"),
        ([[True, False]], ValueError, "batches[0][0] = True is not a row number"),
        ([[2**70]], ValueError, "batches[0][0] = 1180591620717411303424 is outside 0..3"),
    ],
)
def test_bad_batches(batches, error, text):
    with refuses(error, text):
        input.check_batches(batches, n_rows=4)

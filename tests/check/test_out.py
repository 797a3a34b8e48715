"""`out`: what is accepted, and type and message of each refusal."""

from __future__ import annotations

import numpy as np
import pytest
from support.array import frozen
from support.refusal import refuses

from fastbp.check import input


def test_out():
    X, out = np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32)
    check = input.check_out
    assert check(out, shape=(3, 2), dtype="float32", others=[X]) is out
    assert check(None, shape=(3, 2), dtype="float32").shape == (3, 2)
    other = check(X, shape=(3, 2), dtype="float32", others=[X])
    assert not np.shares_memory(other, X) and other.shape == X.shape


@pytest.mark.parametrize(
    ("out", "error", "text"),
    [
        ([[0.0]], TypeError, "out must be a numpy.ndarray, got list"),
        (np.zeros((2, 3)), ValueError, "out must have shape (3, 2), got (2, 3)"),
        (np.zeros((3, 2), np.float32), ValueError, "out must have dtype float64, got <f4"),
        (np.zeros((3, 2), ">f8"), ValueError, "out must have dtype float64, got >f8"),
        (frozen(np.zeros((3, 2))), ValueError, "out must be writable, got a read-only array"),
        (np.zeros((2, 3)).T, ValueError,
         "out must be C-contiguous and aligned, got strides (8, 24)"),
    ],
)  # fmt: skip
def test_bad_out(out, error, text):
    with refuses(error, text):
        input.check_out(out, shape=(3, 2), dtype=np.float64)

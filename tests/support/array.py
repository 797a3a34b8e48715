"""Arrays that tests of checks are given."""

from typing import Any

import numpy as np

FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
DTYPES = [FLOAT32, FLOAT64]


class Sparse:
    """What a sparse array looks like from outside."""

    def toarray(self) -> Any:
        raise AssertionError("must not be called")


def numbers(shape: tuple[int, ...] = (6, 4)) -> np.ndarray:
    """No two of them are the same."""
    X = np.arange(np.prod(shape), dtype=np.float64).reshape(shape) - 7
    assert np.unique(X).size == X.size
    return X


def frozen(X: np.ndarray) -> np.ndarray:
    """A copy that cannot be written to."""
    X = X.copy()
    X.flags.writeable = False
    return X

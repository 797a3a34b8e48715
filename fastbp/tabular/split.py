"""Which rows train and which rows test."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp import random

# The purpose number of the random stream; shuffling and initial values have 1 and 2.
SPLIT = 3

Rows = NDArray[np.int64]


def split_rows(
    n_rows: int, *, test_size: float, seed: int, labels: ArrayLike | None = None
) -> tuple[Rows, Rows]:
    """Divide the rows 0..n_rows-1 at random into training and test rows, both ascending.

    Args:
        test_size: the share of the test rows, 0 <= test_size < 1; the number is rounded.
        seed: the same seed gives the same division, on every machine.
        labels: (n_rows,) integers; take the share from each class. A class always leaves at least
            one row for training.

    Raises:
        ValueError: `test_size` is out of range or leaves no row for training.

    >>> train, test = split_rows(8, test_size=0.25, seed=0, labels=[0, 0, 0, 0, 1, 1, 1, 1])
    >>> len(train), len(test), int((test < 4).sum())
    (6, 2, 1)
    """
    if not 0.0 <= test_size < 1.0:
        raise ValueError(f"test_size is {test_size}, expected 0 <= test_size < 1")
    order = np.argsort(random.raw(seed, SPLIT, 0, n_rows), kind="stable")
    group = np.zeros(n_rows, np.int64) if labels is None else np.asarray(labels)[order]
    chosen = []
    for value in np.unique(group):
        members = order[group == value]
        count = min(round(test_size * len(members)), len(members) - 1)
        chosen.append(members[:count])
    test = np.sort(np.concatenate(chosen)) if chosen else order[:0]
    train = np.setdiff1d(np.arange(n_rows), test)
    if not len(train):
        raise ValueError(f"{n_rows} rows leave none for training")
    return train, test

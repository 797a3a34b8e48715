"""Rows of sparse matrices, which the kernels read densified, some at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from fastbp.check.array import Array
from fastbp.check.weight import UNWEIGHTED, check_sample_weight, combined
from fastbp.network import Network
from fastbp.runtime.feed import PART_BYTES, Feed, Part
from fastbp.runtime.rows import MOST_BYTES, Rows
from fastbp.runtime.state import State
from fastbp.runtime.train import Epochs


def readable(X: Any, dtype: Any) -> Any:
    """X dense where that takes no more bytes than a copy in another type may, else by rows."""
    if not issparse(X):
        return X
    if X.shape[0] * X.shape[1] * np.dtype(dtype).itemsize <= MOST_BYTES:
        return X.astype(dtype).toarray()
    return X.tocsr()


def parts(X: Any, dtype: Any, at_once: int = 0) -> Iterator[tuple[slice, Any]]:
    """Runs of rows, of `at_once` where that is given, each as an array."""
    n_rows, n_columns = X.shape
    if at_once == 0:
        at_once = n_rows
        if issparse(X):
            at_once = max(1, PART_BYTES // (n_columns * np.dtype(dtype).itemsize))
    for begin in range(0, n_rows, at_once):
        run = slice(begin, min(begin + at_once, n_rows))
        yield run, X[run].astype(dtype).toarray() if issparse(X) else X[run]


def respond(network: Network, X: Any, *, n_threads: int | str, ema: bool) -> Array:
    """The response for each row of X, an array or a sparse matrix."""
    if not issparse(X):
        return network.predict(X, n_threads=n_threads, ema=ema)
    X = X.tocsr()
    out = np.empty((X.shape[0], network.n_outputs), network.dtype)
    for run, block in parts(X, network.dtype):
        out[run] = network.predict(block, n_threads=n_threads, ema=ema)
    return out


class SparseFeed(Feed):
    """The epochs of a sparse matrix whose dense copy would be large: a thread densifies the rows of
    the next batches while the engine trains.

    Attributes:
        batch_rows: the order of the rows, or None.
    """

    def __init__(
        self, state: State, X: Any, y: Array, *, batch_size: int, n_threads: int | str,
        sample_weight: Array | None,
    ) -> None:  # fmt: skip
        self.n_rows, n_columns = X.shape
        n_batches = -(-self.n_rows // batch_size)
        super().__init__(state, batch_size=batch_size, n_threads=n_threads, n_batches=n_batches)
        self.sparse = X
        weights = UNWEIGHTED
        if sample_weight is not None:
            weight = check_sample_weight(sample_weight, n_rows=self.n_rows, dtype=state.dtype)
            weights = combined(
                weight, None, n_rows=self.n_rows, n_out=state.n_outputs,
                divisor=state.loss.divisor(state.n_outputs), dtype=state.dtype, normalize=True,
            )  # fmt: skip
        self.targets = Rows(y, y, weights)  # what `take` needs of them
        self.batch_rows: NDArray[np.uint32] | None = None
        self.order = {}  # of the estimator, which goes on with no epoch that it has left
        row_bytes = n_columns * state.dtype.itemsize
        self.at_once = max(1, PART_BYTES // (row_bytes * batch_size)) * batch_size

    def begun(self) -> None:
        """Nothing is to be done."""

    def parts(self, epoch: int, first: int) -> Iterator[Part]:
        order, dtype = self.batch_rows, self.state.dtype
        for begin in range(0, self.n_rows, self.at_once):
            run = slice(begin, min(begin + self.at_once, self.n_rows))
            rows = np.arange(run.start, run.stop) if order is None else order[run].astype(np.intp)
            X = self.sparse[rows].astype(dtype).toarray()
            yield Part(Rows(X, self.targets.y[rows], self.targets.weights.take(rows)))


def epochs_of(
    state: State, X: Any, y: Array, *, batch_size: int, n_threads: int | str,
    sample_weight: Array | None, shuffle: bool,
) -> Epochs | SparseFeed:  # fmt: skip
    """The epochs of rows in an order of the caller's, who fills `batch_rows` where they are to be
    shuffled.
    """
    options: dict[str, Any] = {
        "batch_size": batch_size, "n_threads": n_threads, "sample_weight": sample_weight,
    }  # fmt: skip
    if issparse(X):
        return SparseFeed(state, X, y, **options)
    epochs = Epochs(state, X, y, shuffle=False, **options)
    if shuffle:
        starts = np.arange(0, len(y), batch_size)
        epochs.batch_offsets = np.append(starts, len(y)).astype(np.int64)
    return epochs

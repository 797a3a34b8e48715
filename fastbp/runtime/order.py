"""What the batches of an epoch follow from: by this a fit knows whether it can go on with one."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from fastbp.runtime.figure import summed_metrics
from fastbp.runtime.rows import Rows
from fastbp.runtime.state import State

_SAMPLE = 64  # rows by which data are known again


def order_of(
    state: State,
    *,
    batch_size: int,
    shuffle: bool,
    rows: Rows | None = None,
    batch_rows: NDArray[np.uint32] | None = None,
    batch_offsets: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """See `Unfinished.order`; as JSON can hold it.  Of chunks there are no rows."""
    batches = None
    if batch_rows is not None and batch_offsets is not None:
        batches = crc32(batch_offsets.tobytes(), crc32(batch_rows.tobytes()))
    return {
        "rows": None if rows is None else len(rows.X),
        "data": None if rows is None else _sample(rows, state),
        "batch_size": batch_size,
        "shuffle": shuffle,
        "batches": batches,
        "seed": state.seed,
        "metrics": [*summed_metrics(state, rows)],
    }


def _sample(rows: Rows, state: State) -> int:
    """Of some rows, their targets and weights."""
    chosen = np.unique(np.linspace(0, len(rows.X) - 1, _SAMPLE).astype(np.int64))
    X, y, weights, _ = rows.take(chosen, state)
    value = crc32(y.tobytes(), crc32(X.tobytes()))
    return value if weights.weight is None else crc32(weights.weight.tobytes(), value)


def drop_unfinished(state: State) -> None:
    """The next epoch has an order of its own: no row of one that was left comes twice."""
    if state.unfinished is not None or state.left_at is not None:
        state.epochs += 1
        state.unfinished = state.left_at = None

"""What `fit` measures after its epochs: `validation_data`, or a share of the rows it was given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp import random
from fastbp.check.array import Array, as_numeric, is_costly
from fastbp.check.frame import check_feature_names, column_names
from fastbp.check.message import counted, placed, shown
from fastbp.check.scalar import check_real
from fastbp.runtime.chunk import ChunkFeed
from fastbp.runtime.rows import MOST_BYTES, Picked, Rows, checked_rows
from fastbp.runtime.state import State
from fastbp.runtime.train import Epochs

Call = Epochs | ChunkFeed


class Split(NamedTuple):
    """What trains, X, y and sample_weight as a user passes them, and what is held out likewise."""

    X: Any
    y: Any
    sample_weight: Any
    validation_data: Any


def prepare(
    state: State,
    X: Any,
    y: Any,
    *,
    epochs: int,
    validation_data: object,
    validation_split: object,
    check_finite: bool,
    **options: Any,
) -> tuple[Call, Rows | None]:
    """What a call of `fit` trains on and what it measures after its epochs, all checked.

    Args:
        options: of `Epochs`, or of `ChunkFeed` where y is None.
    """
    ignore_nan = options.get("ignore_nan", False)
    call: Call
    if y is None:
        if state.optimizer.is_full_batch:
            kind = type(state.optimizer).__name__
            raise ValueError(f"{kind} takes all rows in each step: pass arrays X and y, no chunks")
        if validation_split is not None:
            raise ValueError("validation_split needs arrays; for chunks pass validation_data")
        call = ChunkFeed(state, X, epochs=epochs, check_finite=check_finite, **options)
        checked = check_validation(
            state, validation_data, check_finite=check_finite, ignore_nan=ignore_nan
        )
        return call, checked
    if validation_split is not None:
        if options.get("batches") is not None:
            raise ValueError("batches number the rows before a validation_split: pass one of both")
        return _prepare_split(
            state, X, y, validation_split=validation_split, validation_data=validation_data,
            check_finite=check_finite, **options,
        )  # fmt: skip
    call = _epochs_of(state)(state, X, y, check_finite=check_finite, any_names=True, **options)
    return call, check_validation(
        state, validation_data, X=X, check_finite=check_finite, ignore_nan=ignore_nan
    )


def _epochs_of(state: State) -> type[Epochs]:
    """The class for the epochs of a network."""
    if state.optimizer.is_full_batch:
        from fastbp.runtime.full_batch import FullBatchEpochs  # which few need

        return FullBatchEpochs
    return Epochs


def _prepare_split(
    state: State,
    X: Any,
    y: Any,
    *,
    validation_split: object,
    validation_data: object,
    sample_weight: Any = None,
    check_finite: bool,
    **options: Any,
) -> tuple[Call, Rows | None]:
    """The same of two parts of the rows.  What is wrong is told of the arrays that were passed."""
    ignore_nan = options.get("ignore_nan", False)
    try:
        parts = split(
            state, X, y, validation_split=validation_split, validation_data=validation_data,
            sample_weight=sample_weight,
        )  # fmt: skip
        call = _epochs_of(state)(
            state, parts.X, parts.y, sample_weight=parts.sample_weight, check_finite=check_finite,
            any_names=True, **options,
        )  # fmt: skip
        return call, check_validation(
            state, parts.validation_data, X=parts.X, check_finite=check_finite,
            ignore_nan=ignore_nan,
        )  # fmt: skip
    except (TypeError, ValueError) as error:
        failure = error
    checked_rows(
        state, X, y, sample_weight=sample_weight, class_weight=options.get("class_weight"),
        ignore_nan=ignore_nan, check_finite=check_finite, any_names=True,
    )  # fmt: skip
    raise failure


def check_validation(
    state: State,
    validation_data: object,
    *,
    X: object = None,
    check_finite: bool = True,
    ignore_nan: bool = False,
) -> Rows | None:
    """`validation_data`, (X, y) or (X, y, sample_weight), checked; None for None.

    `X` is what is trained on: if both are frames, their columns must agree.

    Raises TypeError, ValueError, with "validation_data: " before what is wrong with them.
    """
    if validation_data is None:
        return None
    if not isinstance(validation_data, list | tuple) or len(validation_data) not in (2, 3):
        raise TypeError(
            "validation_data must be a pair (X, y) or (X, y, sample_weight), got "
            f"{shown(validation_data)}"
        )
    held_X, held_y, weight = (*validation_data, None)[:3]
    try:
        check_feature_names(held_X, column_names(X))
        return checked_rows(
            state, held_X, held_y, sample_weight=weight, check_finite=check_finite,
            ignore_nan=ignore_nan, any_names=True,
        )  # fmt: skip
    except (TypeError, ValueError) as error:
        raise placed(error, "validation_data") from None


def split(
    state: State,
    X: ArrayLike,
    y: Any,
    *,
    validation_split: object,
    validation_data: object,
    sample_weight: ArrayLike | None = None,
) -> Split:
    """Divide the rows in those to train on and those to measure, in their order, by the seed; of
    each class the same share, at least a row in both parts where it has two.

    Raises:
        TypeError, ValueError: no number in (0, 1); beside `validation_data`; fewer than two rows;
            X and y of different lengths.
    """
    share = check_real(
        validation_split, name="validation_split", minimum=0, maximum=1, exclude_minimum=True,
        exclude_maximum=True,
    )  # fmt: skip
    if validation_data is not None:
        raise ValueError("pass validation_split or validation_data, not both")
    table = _indexable(X, "X", state)
    target = _indexable(y, "y", state) if state.heads is None else _dict(y, state)
    n_rows = len(table)
    if n_rows < 2:
        raise ValueError(f"validation_split needs at least 2 rows, X has {n_rows}")
    if len(target) != n_rows:
        raise ValueError(f"X has {counted(n_rows, 'row')}, y has {len(target)}")
    weight = None
    if sample_weight is not None:
        weight = _indexable(sample_weight, "sample_weight", state)
        if len(weight) != n_rows:
            raise ValueError(f"X has {counted(n_rows, 'row')}, sample_weight has {len(weight)}")
    label = _labels(state, target)
    trained, held = split_rows(n_rows, share=share, seed=state.seed, labels=label)
    if isinstance(table, np.ndarray) and _is_large(table, state):
        whole = table
        table = _Frame(whole, lambda rows: Picked(whole, rows))
    parts = [(table[rows], target[rows], None if weight is None else weight[rows])
             for rows in (trained, held)]  # fmt: skip
    return Split(*parts[0], parts[1])


def split_rows(
    n_rows: int, *, share: float, seed: int, labels: NDArray[Any] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows that train and those held out, both ascending.

    About `share` of each class is held out, round(share * n_rows) rows in all as far as each class
    of two rows or more can have one in both parts.

    >>> labels = np.array([0, 0, 0, 1, 1, 2])
    >>> [rows.tolist() for rows in split_rows(6, share=0.34, seed=0, labels=labels)]
    [[0, 2, 4, 5], [1, 3]]
    """
    order = np.argsort(random.raw(seed, random.HELD_OUT, 0, n_rows), kind="stable")
    group = np.zeros(n_rows, np.int64)
    if labels is not None:
        group = np.unique(labels, return_inverse=True)[1].reshape(-1)[order]
    size = np.bincount(group)
    # a class alone in its row trains; all the others leave a row in both parts
    least, most = np.minimum(size - 1, 1), np.maximum(size - 1, 0)
    wanted = size * share
    count = np.clip(np.floor(wanted).astype(np.int64), least, most)
    total = min(max(1, round(share * n_rows)), int(most.sum()))
    for place in np.argsort(count - wanted, kind="stable"):  # largest remainders first
        if count.sum() >= total:
            break
        count[place] += count[place] < most[place]
    # the rank of each row within its class
    by_class = np.argsort(group, kind="stable")
    rank = np.empty(n_rows, np.int64)
    rank[by_class] = np.arange(n_rows) - np.repeat(np.cumsum(size) - size, size)
    held = np.zeros(n_rows, bool)
    held[order] = rank < count[group]
    return np.flatnonzero(~held), np.flatnonzero(held)


def _is_large(table: Array, state: State) -> bool:
    """Whether copies of its rows are to be avoided: it lies in a file, or is converted in parts."""
    own = table.dtype
    return is_costly(table, own, MOST_BYTES) or (
        own != state.dtype and is_costly(table, state.dtype, MOST_BYTES)
    )


class _Frame:
    """Rows of a frame by their numbers, as frames of the same columns."""

    def __init__(self, frame: Any, take: Callable[[NDArray[np.int64]], Any]) -> None:
        self.frame, self._take = frame, take

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, rows: NDArray[np.int64]) -> Any:
        return self._take(rows)


def _indexable(values: Any, name: str, state: State) -> Any:
    """What rows can be taken of: a frame stays one, for the names of its columns."""
    if column_names(values) is not None:
        if hasattr(values, "iloc"):  # pandas
            return _Frame(values, lambda rows: values.iloc[rows])
        if hasattr(values, "take"):  # Arrow
            return _Frame(values, values.take)
        return _Frame(values, lambda rows: values[rows])  # polars
    array = as_numeric(values, name=name, dtype=state.dtype)
    if array.ndim == 0:
        raise ValueError(f"{name} must have rows, got {shown(values)}")
    return array


def _dict(y: Any, state: State) -> Any:
    """The same of targets of several heads."""
    assert state.heads is not None
    given = state.heads.check_names(y)
    parts = {name: _indexable(part, f"y[{name!r}]", state) for name, part in given.items()}
    lengths = {name: len(part) for name, part in parts.items()}
    if len(set(lengths.values())) > 1:
        text = ", ".join(f"y[{name!r}] has {counted(n, 'row')}" for name, n in lengths.items())
        raise ValueError(text)
    first = next(iter(parts.values()))
    return _Frame(first, lambda rows: {name: part[rows] for name, part in parts.items()})


def _labels(state: State, target: Any) -> NDArray[Any] | None:
    """The class of each row, or None for a regression."""
    if state.loss.domain not in ("class", "interval", "sign"):
        return None
    array: Array = np.asarray(target.frame if isinstance(target, _Frame) else target)
    columns = array.reshape(len(array), -1)
    if columns.shape[1] > 1:
        return columns.argmax(axis=1) if state.loss.domain == "class" else None
    flat = columns[:, 0]
    if flat.dtype.kind == "f":
        flat = np.where(np.isnan(flat), -1.0, flat)  # rows without a target are a class too
        whole = bool((flat == np.floor(flat)).all())
    else:
        whole = True
    return flat if whole else None

"""`Network.fit` of an iterable of chunks: batches that are the same wherever chunks are cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from fastbp.check.array import Array
from fastbp.check.frame import check_feature_names, column_names
from fastbp.check.input import check_parameters
from fastbp.check.message import placed, shown
from fastbp.check.scalar import check_bool, check_n_threads
from fastbp.check.weight import Weights
from fastbp.random import chunk_order
from fastbp.runtime.feed import Feed, Part
from fastbp.runtime.order import order_of
from fastbp.runtime.rows import Rows, checked_rows
from fastbp.runtime.state import State
from fastbp.runtime.train import check_batch_size

Chunks = Iterable[Any] | Callable[[], Iterable[Any]]
_ONCE = (
    "the chunks are an iterator, which can be read once, and epochs is {epochs}: pass a list, or "
    "a function that returns a new iterator for each epoch"
)


class ChunkFeed(Feed):
    """The epochs of chunks (X, y) or (X, y, sample_weight), checked one by one as they come.

    Raises:
        TypeError, ValueError: what `Network.fit` refuses of its arguments; `chunk 3: ...` of a
            chunk, in `run`.
    """

    X = y = None  # there are no arrays of all rows
    rows = None

    def __init__(
        self,
        state: State,
        chunks: Chunks,
        *,
        epochs: int,
        batch_size: int | None,
        shuffle: bool,
        n_threads: int | str,
        batches: object = None,
        check_finite: bool = True,
        sample_weight: object = None,
        class_weight: Mapping[int, float] | str | None = None,
        ignore_nan: bool = False,
        accumulate: int = 1,
    ) -> None:
        most_threads = check_n_threads(n_threads)
        super().__init__(
            state, batch_size=check_batch_size(batch_size, accumulate),
            n_threads="auto" if n_threads == "auto" else most_threads,
        )  # fmt: skip
        self.shuffle = check_bool(shuffle, name="shuffle")
        ignore_nan = check_bool(ignore_nan, name="ignore_nan")
        if batches is not None:
            raise ValueError("batches are row numbers of arrays: chunks have none")
        if sample_weight is not None:
            raise ValueError("pass the weights with each chunk: (X, y, sample_weight)")
        if isinstance(class_weight, str):
            raise ValueError(
                "class_weight 'balanced' needs all labels at once: for chunks pass a dict"
            )
        if hasattr(chunks, "__array__") or isinstance(chunks, str | bytes | Mapping):
            raise TypeError("fit needs y: fit(X, y), or fit(chunks) of pairs (X, y)")
        if not callable(chunks):
            if not isinstance(chunks, Iterable):
                raise TypeError(
                    "without y, X must be an iterable of chunks (X, y) or a function that returns "
                    f"one, got {shown(chunks)}"
                )
            if epochs > 1 and iter(chunks) is chunks:
                raise ValueError(_ONCE.format(epochs=epochs))
        self.chunks = chunks
        self.options: dict[str, Any] = {
            "class_weight": class_weight, "ignore_nan": ignore_nan, "check_finite": check_finite,
        }  # fmt: skip
        self.names: tuple[str, ...] | None = None
        self.order = order_of(state, batch_size=self.batch_size, shuffle=self.shuffle)
        check_parameters(state.parameter_views(), isfinite=state.scan)

    def begun(self) -> None:
        # those of the first chunk: it was right
        self.state.feature_names = self.names or self.state.declared_names

    def parts(self, epoch: int, first: int) -> Iterator[Part]:
        """As many whole batches as there are after each chunk; the rest with the next one."""
        rest: Rows | None = None
        source = iter(self.chunks() if callable(self.chunks) else self.chunks)
        try:
            n_chunks = n_rows = 0
            for i, chunk in enumerate(source):
                n_chunks = i + 1
                rows = self._checked(chunk, epoch, i, is_first=first == i == 0)
                if rows is None:
                    continue
                n_rows += len(rows.X)
                if rest is not None:  # only its batch is put together
                    need = min(self.batch_size - len(rest.X), len(rows.X))
                    rest = _joined(rest, rows.cut(0, need), i, self.state.n_targets)
                    if len(rest.X) < self.batch_size:
                        continue
                    yield Part(rest)
                    rows, rest = rows.cut(need, len(rows.X)), None
                whole = len(rows.X) // self.batch_size * self.batch_size
                if whole:
                    yield Part(rows.cut(0, whole))
                if whole < len(rows.X):
                    rest = rows.cut(whole, len(rows.X))
            if rest is not None:
                yield Part(rest)
            elif not n_rows:
                what = "rows" if n_chunks else "chunks"
                raise ValueError(f"there are no {what} in epoch {first + 1}")
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()

    def _checked(self, chunk: Any, epoch: int, index: int, *, is_first: bool) -> Rows | None:
        """One chunk as the kernels can read it; None for one without rows."""
        if not isinstance(chunk, tuple | list) or len(chunk) not in (2, 3):
            raise TypeError(
                f"chunk {index} must be (X, y) or (X, y, sample_weight), got {shown(chunk)}"
            )
        X, y, weight = (*chunk, None)[:3]
        try:
            if is_first:
                self.names = column_names(X)
            check_feature_names(X, self.names)
            if len(np.shape(X)) == 2 and not len(X):
                return None
            rows = checked_rows(
                self.state, X, y, sample_weight=weight, all_zero=True, any_names=True,
                most_bytes=0, **self.options,
            )  # fmt: skip
        except (TypeError, ValueError) as error:
            raise placed(error, f"chunk {index}") from None
        if self.shuffle:
            order = chunk_order(len(rows.X), seed=self.state.seed, epoch=epoch, chunk=index)
            return rows.take(order, self.state)
        if rows.is_direct and isinstance(self.chunks, list | tuple):
            return rows
        return rows.take(np.arange(len(rows.X)), self.state)  # a source may fill them anew


def _joined(a: Rows, b: Rows, index: int, n_targets: int) -> Rows:
    """The rows of both; those that came without weights count 1."""
    X, y = np.concatenate([a.X, b.X]), _joined_targets(a.y, b.y, index)
    if a.weights.weight is None and b.weights.weight is None:
        return Rows(X, y)
    held = [_explicit(part, n_targets) for part in (a, b)]
    weight = _joined_weights(*(own for own, _ in held))
    return Rows(X, y, Weights(weight, np.concatenate([own for _, own in held])))


def _joined_weights(a: Any, b: Any) -> Any:
    """Of elements, or of rows; of heads their own where one has such."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.concatenate([a, b])
    from fastbp.runtime.head import weights_by_head

    return weights_by_head(a, b).joined(weights_by_head(b, a))


def _joined_targets(a: Any, b: Any, index: int) -> Any:
    if not isinstance(a, np.ndarray):  # of several heads
        try:
            return a.joined(b)
        except ValueError as error:
            raise placed(error, f"chunk {index}") from None
    if a.ndim != b.ndim:
        raise ValueError(f"chunk {index}: y is of class indices or of probabilities, not of both")
    return np.concatenate([a, b])


def _explicit(rows: Rows, n_targets: int) -> tuple[Any, Array]:
    weight, row_weight = rows.weights
    if weight is None or row_weight is None:
        return np.ones((len(rows.X), n_targets), rows.X.dtype), np.ones(len(rows.X))
    return weight, row_weight

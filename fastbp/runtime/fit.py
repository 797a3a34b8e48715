"""`Network.fit`: epochs, and the figures after each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike, NDArray

from fastbp.check.input import check_batches, check_parameters
from fastbp.check.message import shown
from fastbp.check.scalar import check_bool, check_integer
from fastbp.history import History
from fastbp.runtime.epochs import Epochs, check_threads, warn_once
from fastbp.runtime.evaluate import measure
from fastbp.runtime.progress import Progress
from fastbp.runtime.state import State

Array = NDArray[Any]
_Pair = tuple[Array, Array]


def fit(
    state: State,
    X: ArrayLike,
    y: ArrayLike,
    *,
    epochs: int,
    batch_size: int,
    shuffle: bool,
    batches: Sequence[Sequence[int]] | None,
    validation_data: tuple[ArrayLike, ArrayLike] | None,
    n_threads: int | str,
    verbose: bool | int | str,
    check_finite: bool,
) -> History:
    """See `Network.fit`."""
    guard, token = state.guard, object()
    try:
        guard.begin_writing(token)
        epochs = check_integer(epochs, name="epochs", minimum=0)
        batch_size = check_integer(batch_size, name="batch_size", minimum=1)
        shuffle = check_bool(shuffle, name="shuffle")
        n_threads = check_threads(n_threads)
        progress = Progress(verbose, epochs)
        check_finite = check_bool(check_finite, name="check_finite")
        rows, target = state.checked_pair(X, y, check_finite=check_finite)
        validation = _check_validation(state, validation_data, check_finite)
        order = None if batches is None else check_batches(batches, n_rows=len(rows))
        check_parameters(state.parameter_views(), isfinite=state.scan)
        warn_once(state, rows, X)
        state.history = History()
        call = Epochs(
            state, rows, target,
            batch_size=batch_size, shuffle=shuffle, n_threads=n_threads, batches=order,
        )  # fmt: skip
        _run(call, epochs, validation, progress)
        return state.history
    finally:
        guard.writers.discard(token)


def _run(call: Epochs, epochs: int, validation: _Pair | None, progress: Progress) -> None:
    """All epochs; in one call of the engine where nobody asks for more than their losses."""
    state = call.state
    history = state.history
    losses_alone = validation is None and not state.description.metrics and not progress.enabled
    done = 0
    while done < epochs:
        try:
            losses = call.run(epochs - done if losses_alone else 1, first=done)
        except BaseException:
            for i, loss in enumerate(call.finished):  # the history tells what led here
                history.append(done + i, {"loss": float(loss)})
            raise
        for i, loss in enumerate(losses):
            figures = {"loss": float(loss)}
            if not losses_alone:
                figures |= _figures(call, validation)
            history.append(done + i, figures)
            progress.show(done + i, figures)
        done += len(losses)


def _figures(call: Epochs, validation: _Pair | None) -> dict[str, float]:
    """What an epoch reports beside its loss."""
    found: dict[str, float] = {}
    if call.state.description.metrics:
        found |= measure(call.state, call.X, call.y, call.n_threads)
        del found["loss"]
    if validation is not None:
        held_out = measure(call.state, *validation, call.n_threads)
        found |= {f"val_{name}": value for name, value in held_out.items()}
    return found


def _check_validation(state: State, validation_data: object, check_finite: bool) -> _Pair | None:
    if validation_data is None:
        return None
    if not isinstance(validation_data, list | tuple) or len(validation_data) != 2:
        raise TypeError(f"validation_data must be a pair (X, y), got {shown(validation_data)}")
    try:
        return state.checked_pair(*validation_data, check_finite=check_finite)
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation_data: {error}") from None

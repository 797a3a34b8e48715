"""`Network.fit`: epochs, and the figures after each."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from fastbp.check.array import Array
from fastbp.check.message import shown
from fastbp.check.scalar import check_bool, check_integer
from fastbp.history import History
from fastbp.runtime.guard import writing
from fastbp.runtime.predict import measure
from fastbp.runtime.state import State
from fastbp.runtime.train import Epochs, warn_once

_Pair = tuple[Array, Array]
_PRINT_SECONDS = 0.2  # on a terminal, a line at most so often


@writing
def fit(
    state: State,
    X: ArrayLike,
    y: ArrayLike,
    *,
    epochs: int,
    validation_data: tuple[ArrayLike, ArrayLike] | None,
    verbose: bool | int | str,
    check_finite: bool,
    **options: Any,
) -> History:
    """See `Network.fit`; the other options are those of `Epochs`."""
    epochs = check_integer(epochs, name="epochs", minimum=0)
    progress = _Progress(verbose, epochs)
    check_finite = check_bool(check_finite, name="check_finite")
    call = Epochs(state, X, y, check_finite=check_finite, **options)
    validation = _check_validation(state, validation_data, check_finite)
    warn_once(state, call.X, X)
    state.history = History()
    _run(call, epochs, validation, progress)
    return state.history


def _run(call: Epochs, epochs: int, validation: _Pair | None, progress: _Progress) -> None:
    """All epochs; in one call of the engine where nobody asks for more than their losses."""
    state = call.state
    history = state.history
    losses_alone = validation is None and not state.description.metrics and not progress.enabled
    done = 0
    while done < epochs:
        try:
            losses = call.run(epochs - done if losses_alone else 1, first=done)
        except BaseException:
            history.extend(done, call.finished)  # the history tells what led here
            raise
        if losses_alone:
            history.extend(done, losses)
        else:
            (loss,) = losses
            figures = {"loss": float(loss)} | _figures(call, validation)
            history.append(done, figures)
            progress.show(done, figures)
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


class _Progress:
    """One printed line an epoch; on a terminal under "auto" no more than a few a second.

    Raises ValueError for a `verbose` that is none.
    """

    def __init__(self, verbose: object, epochs: int) -> None:
        self.throttled = isinstance(verbose, str) and verbose == "auto"
        if not self.throttled and not (isinstance(verbose, int) and verbose in (0, 1, 2)):
            raise ValueError(f"verbose must be True, False or 'auto', got {shown(verbose)}")
        self.enabled = sys.stdout.isatty() if self.throttled else bool(verbose)
        self.epochs = epochs
        self.begin = time.perf_counter()
        self.shown_at = 0.0

    def show(self, epoch: int, figures: Mapping[str, float]) -> None:
        if not self.enabled:
            return
        now = time.perf_counter()
        last = epoch + 1 == self.epochs
        if self.throttled and not last and now - self.shown_at < _PRINT_SECONDS:
            return
        self.shown_at = now
        text = "  ".join(f"{name} {value:.6g}" for name, value in figures.items())
        print(f"epoch {epoch + 1}/{self.epochs}  {text}  {now - self.begin:.1f} s")

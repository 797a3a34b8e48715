"""`Network.fit`: epochs, and the figures after each."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from fastbp.check.frame import column_names
from fastbp.check.message import shown
from fastbp.check.scalar import check_bool, check_integer
from fastbp.history import History
from fastbp.runtime.guard import writing
from fastbp.runtime.held_out import Call, prepare
from fastbp.runtime.predict import measure
from fastbp.runtime.rows import Rows
from fastbp.runtime.state import State
from fastbp.runtime.train import warn_once

_PRINT_SECONDS = 0.2  # on a terminal, a line at most so often


@writing
def fit(
    state: State,
    X: Any,
    y: ArrayLike | None,
    *,
    epochs: int,
    validation_data: object,
    validation_split: float | None,
    verbose: bool | int | str,
    check_finite: bool,
    **options: Any,
) -> History:
    """See `Network.fit`; the other options are those of `Epochs`."""
    epochs = check_integer(epochs, name="epochs", minimum=0)
    progress = _Progress(verbose, epochs)
    check_finite = check_bool(check_finite, name="check_finite")
    call, validation = prepare(
        state, X, y, epochs=epochs, validation_data=validation_data,
        validation_split=validation_split, check_finite=check_finite, **options,
    )  # fmt: skip
    if call.X is not None:
        warn_once(state, call.X, X)
    state.feature_names = column_names(X)
    state.history = History()
    _run(call, epochs, validation, progress)
    return state.history


def _run(call: Call, epochs: int, validation: Rows | None, progress: _Progress) -> None:
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


def _figures(call: Call, validation: Rows | None) -> dict[str, float]:
    """What an epoch reports beside its loss."""
    found: dict[str, float] = {}
    if call.state.description.metrics and call.rows is not None:
        found |= measure(call.state, call.rows, call.n_threads)
        del found["loss"]
    if validation is not None:
        held_out = measure(call.state, validation, call.n_threads)
        found |= {f"val_{name}": value for name, value in held_out.items()}
    return found


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

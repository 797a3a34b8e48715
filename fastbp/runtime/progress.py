"""The lines that `fit` prints."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from fastbp.check.message import shown

_PRINT_SECONDS = 0.2  # on a terminal, a line at most so often


class Progress:
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

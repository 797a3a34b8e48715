"""What a fit shows while it runs: a bar, a line an epoch, or nothing."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from numbers import Real
from typing import Any

from fastbp.check.message import shown

Figures = Mapping[str, float]

REDRAW = 0.1  # seconds between two redraws, at least
_LINE = 0.2  # the same of lines that nobody asked for
_BAR = "epoch {n_fmt}/{total_fmt} |{bar:12}| {elapsed}<{remaining}{postfix}"


def check_verbose(verbose: object) -> int | str:
    """Raises ValueError for a `verbose` that is none."""
    if isinstance(verbose, str) and verbose == "auto":
        return verbose
    if isinstance(verbose, int) and verbose in (0, 1, 2):
        return int(verbose)
    expected = "verbose must be True, False, 0, 1, 2 or 'auto'"
    raise ValueError(f"{expected}, got {shown(verbose)}")


def progress(verbose: int | str, *, first: int, epochs: int) -> Progress:
    """The display that `verbose` means, for epochs `first` to `epochs`; a bar is drawn at once."""
    if verbose == 0:
        return _NOTHING
    if verbose == 2:
        return Lines(first, epochs)
    live = _is_notebook() or sys.stdout.isatty()
    make_bar = _bar() if live else None
    if make_bar is not None:
        return Bar(first, epochs, make_bar)
    if verbose == "auto":
        return SomeLines(first, epochs) if live else _NOTHING
    return Lines(first, epochs)


class Progress:
    """Nothing; and the base of those that show something.

    Attributes:
        interval: seconds after which it wants to be called again; None for never.
        shows_parts: whether that is so within a long epoch, too.
    """

    interval: float | None = None
    shows_parts = False

    def show(self, epoch: int, figures: Sequence[Figures]) -> None:
        """Of the epochs from this number on."""

    def show_part(self, epoch: int, part: float, loss: float) -> None:
        """Of this part of an epoch, from 0 to 1."""

    def close(self) -> None:
        """The fit has ended, however it did."""


_NOTHING = Progress()


class _Display(Progress):
    """What those that show something have in common."""

    interval = REDRAW

    def __init__(self, first: int, epochs: int) -> None:
        self.epochs = epochs
        self.begin = time.perf_counter()
        self.shown_at = -math.inf

    def _line(self, epoch: int, figures: Figures, seconds: float) -> str:
        text = "  ".join(f"{name} {value:.6g}" for name, value in _numbers(figures))
        took = f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"
        return f"epoch {epoch + 1}/{self.epochs}  {text}  {took}"


class Lines(_Display):
    """A line for every epoch, several at once where they come quickly."""

    def __init__(self, first: int, epochs: int) -> None:
        super().__init__(first, epochs)
        self.waiting: list[str] = []

    def show(self, epoch: int, figures: Sequence[Figures]) -> None:
        now = time.perf_counter()
        seconds = now - self.begin
        self.waiting += [self._line(epoch + i, f, seconds) for i, f in enumerate(figures)]
        if now - self.shown_at >= REDRAW:
            self.shown_at = now
            self._write()

    def close(self) -> None:
        self._write()

    def _write(self) -> None:
        if self.waiting:
            text, self.waiting = "\n".join(self.waiting), []
            print(text, flush=True)


class SomeLines(_Display):
    """A line an epoch, but no more than five a second; the first and the last in any case."""

    def __init__(self, first: int, epochs: int) -> None:
        super().__init__(first, epochs)
        self.last = ""

    def show(self, epoch: int, figures: Sequence[Figures]) -> None:
        now = time.perf_counter()
        self.last = self._line(epoch + len(figures) - 1, figures[-1], now - self.begin)
        if now - self.shown_at >= _LINE:
            self.shown_at = now
            self.close()

    def close(self) -> None:
        if self.last:
            print(self.last, flush=True)
            self.last = ""


class Bar(_Display):
    """A bar of tqdm's, with the figures of the last epoch."""

    shows_parts = True

    def __init__(self, first: int, epochs: int, make: Callable[..., Any]) -> None:
        super().__init__(first, epochs)
        self.done: float = first
        self.figures = ""
        # redraws are timed here
        self.bar = make(total=epochs, initial=first, unit="epoch", file=sys.stdout)
        self.shown_at = time.perf_counter()

    def show(self, epoch: int, figures: Sequence[Figures]) -> None:
        self._show(epoch + len(figures), figures[-1])

    def show_part(self, epoch: int, part: float, loss: float) -> None:
        if part < 1:
            self._show(round(epoch + part, 2), {"loss": loss})

    def _show(self, done: float, figures: Figures) -> None:
        self.done = done
        self.figures = ", ".join(f"{name}={value:.4g}" for name, value in _numbers(figures))
        now = time.perf_counter()
        if now - self.shown_at >= REDRAW:
            self.shown_at = now
            self._set()
            self.bar.refresh()

    def close(self) -> None:
        self._set()
        self.bar.close()  # which draws

    def _set(self) -> None:
        self.bar.n = self.done
        self.bar.set_postfix_str(self.figures, refresh=False)


def _numbers(figures: Figures) -> list[tuple[str, float]]:
    """Without what else a callback has put there."""
    return [(name, value) for name, value in figures.items() if isinstance(value, Real)]


def _is_notebook() -> bool:
    """Whether what is printed appears in a cell of Jupyter's: the shell then has a kernel."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


def _bar() -> Callable[..., Any] | None:
    """tqdm's bar for the place, None where tqdm is not installed."""
    try:
        from tqdm.std import tqdm
    except ImportError:
        return None
    if _is_notebook():
        try:
            import ipywidgets  # noqa: F401  (what tqdm.notebook needs, and misses too late)
            from tqdm.notebook import tqdm as drawn

            widget: Callable[..., Any] = drawn
            return widget
        except ImportError:
            pass
    return partial(tqdm, bar_format=_BAR, **_width())


def _width() -> dict[str, Any]:
    """How tqdm shall find the size of the terminal: it draws nothing where one tells of 0."""
    try:
        columns = os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError):  # stdout is something else
        columns = 0
    wide = 120 if _is_notebook() else 80
    return {"dynamic_ncols": True} if columns else {"ncols": wide, "nrows": 24}

"""What commands print, and how it ends where nobody can read it."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np


def show_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=_plain))


def check_output(option: str, path: str | None, *sources: str) -> None:
    """Raises ValueError where the file that `option` writes is one that the command reads."""
    if path is not None and os.path.exists(path):
        if any(os.path.exists(source) and os.path.samefile(source, path) for source in sources):
            raise ValueError(f"{option} {path} is the file to read")


def note(text: str) -> None:
    """A line on standard error."""
    if sys.stderr is not None:  # None where it is closed, which `print` takes for standard output
        print(f"fastbp: {text}", file=sys.stderr)


@contextmanager
def guarded() -> Iterator[None]:
    """Warnings are lines; text for people is never refused for a character.

    Raises OSError: standard output is closed.
    """
    if sys.stdout is None:
        raise OSError("standard output is closed")
    if hasattr(sys.stdout, "reconfigure") and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: note(f"note: {message}")
        try:
            yield
        finally:
            sys.stdout.flush()


def abandon_output() -> None:
    """Standard output takes no more: Python's own flush at exit must not fail again."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"no JSON for {type(value).__name__}")

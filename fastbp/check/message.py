"""What the messages of all checks are made of: values, counts and places as text."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np


def shown(value: object) -> str:
    """A value as a message shows it: 3.0 as 3, a NumPy scalar like its Python twin, not too long.

    >>> shown(np.float64(3)), shown(1e300), shown("abc")
    ('3', '1e+300', "'abc'")
    """
    if isinstance(value, np.longdouble):
        return np.format_float_scientific(value, precision=9, trim="-")
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return f"{value:.10g}"
    try:
        text = repr(value)
    except Exception:  # a foreign __repr__, or an int of more digits than Python prints
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 60 else text[:57] + "..."


def level_of_caller() -> int:
    """The `stacklevel`, where `warnings.warn` is called, of the first frame outside of fastbp."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None:
        if str(frame.f_globals.get("__name__")).partition(".")[0] != "fastbp":
            break
        frame, level = frame.f_back, level + 1
    return level


def placed(error: Exception, where: str) -> Exception:
    """A TypeError or ValueError of the same text, `where` before it."""
    kind = TypeError if isinstance(error, TypeError) else ValueError
    return kind(f"{where}: {error}")


def counted(number: int, noun: str) -> str:
    """Such as 1 row, 2 rows."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def place(shape: tuple[int, ...], flat: int) -> str:
    """The index of a flat position: '[3, 7]'."""
    return "[" + ", ".join(str(int(i)) for i in np.unravel_index(flat, shape)) + "]"


def nonfinite_kind(value: Any) -> str:
    """'NaN' or 'infinity'."""
    return "NaN" if np.isnan(value) else "infinity"


def differing(names: Sequence[str]) -> str:
    """Such as batch_size differs; rows, data differ."""
    return f"{', '.join(names)} {'differs' if len(names) == 1 else 'differ'}"

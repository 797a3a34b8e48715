"""What the messages of all checks are made of: values, counts and places as text."""

from __future__ import annotations

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


def counted(number: int, noun: str) -> str:
    """Such as 1 row, 2 rows."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def place(shape: tuple[int, ...], flat: int) -> str:
    """The index of a flat position: '[3, 7]'."""
    return "[" + ", ".join(str(int(i)) for i in np.unravel_index(flat, shape)) + "]"


def nonfinite_kind(value: Any) -> str:
    """'NaN' or 'infinity'."""
    return "NaN" if np.isnan(value) else "infinity"

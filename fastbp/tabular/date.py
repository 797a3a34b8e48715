"""Dates as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.tabular import frame
from fastbp.tabular.frame import Cells

DAY = 86400.0  # seconds
ISO = "ISO8601"
CYCLES = {"year": 365.25 * DAY, "week": 7 * DAY, "day": DAY}  # seconds
IN_WORDS = {"year": "time of year", "week": "day of the week", "day": "time of day"}

_DATES = (
    "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y",
    "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%Y",
)  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p")
_MONDAY = 4 * DAY  # 1970-01-05
_SWAPPED = {"%m/%d/%Y": "%d/%m/%Y", "%d-%m-%Y": "%m-%d-%Y"}
_LONGEST = 40  # characters of a date


def to_seconds(cells: Cells, format: str) -> NDArray[np.float64]:
    """Seconds since 1970 in UTC, NaN where a cell is no date of this format."""
    pd = frame.import_pandas()
    if frame.is_date_type(cells):
        stamps = cells
    elif frame.is_number_type(cells) or frame.is_boolean_type(cells):
        return np.full(len(cells), np.nan)
    else:
        text = cells.map(lambda cell: str(cell).strip(), na_action="ignore").astype(object)
        stamps = pd.to_datetime(text, format=format, errors="coerce", utc=True)
    if getattr(stamps.dt, "tz", None) is not None:
        stamps = stamps.dt.tz_convert("UTC").dt.tz_localize(None)
    counts = stamps.to_numpy().astype("datetime64[ms]")
    seconds = counts.astype(np.int64) / 1000.0
    seconds[np.isnat(counts)] = np.nan
    return np.asarray(seconds, np.float64)


def find_format(distinct: list[Any]) -> str | None:
    """The format that every one of these cells has, or None."""
    pd = frame.import_pandas()
    texts = [str(cell).strip() for cell in distinct]
    if not texts or max(map(len, texts)) > _LONGEST:
        return None
    if not all(any(c.isdigit() for c in text) and not text.isdigit() for text in texts):
        return None
    first, cells = pd.Series(texts[:1]), pd.Series(texts)
    for format in [ISO, *(day + time for day in _DATES for time in _TIMES)]:
        if not np.isnan(to_seconds(first, format)).any() and (
            not np.isnan(to_seconds(cells, format)).any()
        ):
            return format
    return None


def other_reading(format: str, distinct: list[Any]) -> str | None:
    """A format with day and month exchanged that fits as well, or None."""
    day, _, time = format.partition(" ")
    if day not in _SWAPPED:
        return None
    other = f"{_SWAPPED[day]} {time}".strip()
    cells = frame.import_pandas().Series([str(cell) for cell in distinct])
    seconds = to_seconds(cells, other)
    same = seconds == to_seconds(cells, format)
    return None if np.isnan(seconds).any() or same.all() else other


def cycles_of(seconds: NDArray[np.float64]) -> tuple[str, ...]:
    """The cycles of which these dates show enough to learn from."""
    seconds = seconds[~np.isnan(seconds)]
    span = seconds.max() - seconds.min()
    found = []
    if span >= CYCLES["year"] / 2:
        found.append("year")
    if span >= 2 * DAY and len(np.unique((seconds - _MONDAY) // DAY % 7)) > 1:
        found.append("week")
    if len(np.unique(seconds % DAY)) > 1:
        found.append("day")
    return tuple(found)


def cycle(name: str, seconds: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Sine and cosine of where in the cycle each date is; a week begins on Monday."""
    angle = 2 * np.pi * ((seconds - _MONDAY) / CYCLES[name] if name == "week" else
                         seconds / CYCLES[name])  # fmt: skip
    return np.sin(angle), np.cos(angle)

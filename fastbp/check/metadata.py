"""What JSON can hold, to be stored beside a network."""

from __future__ import annotations

import math
from typing import Any

from fastbp.check.message import shown


def check_metadata(metadata: object) -> dict[str, Any]:
    """A copy of a dict of what JSON gives back as it was.

    Raises:
        TypeError: something else, with its place.
        ValueError: a number that is not finite.

    >>> check_metadata({"unit": "mm", "limits": [0, 1.5]})
    {'unit': 'mm', 'limits': [0, 1.5]}
    """
    if not isinstance(metadata, dict):
        raise TypeError(f"metadata must be a dict, got {shown(metadata)}")
    try:
        found: dict[str, Any] = _checked(metadata, "metadata")
    except RecursionError:
        raise ValueError("metadata is nested too deeply") from None
    return found


def _checked(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"keys of {name} must be str, got {shown(key)}")
        return {key: _checked(one, f"{name}[{key!r}]") for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_checked(one, f"{name}[{i}]") for i, one in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {shown(value)}")
    if not isinstance(value, str | int | float | None):
        raise TypeError(
            f"{name} must be what JSON holds (dict, list, str, int, float, bool, None), "
            f"got {shown(value)}, a {type(value).__name__}"
        )
    return value

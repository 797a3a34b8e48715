"""Marks of some of a test's cases."""

from collections.abc import Container, Iterable
from typing import Any

import pytest


def slow_but(fast: Container[Any], cases: Iterable[Any]) -> list[Any]:
    """All cases, marked slow but for those in `fast`."""
    return [case if case in fast else pytest.param(case, marks=pytest.mark.slow) for case in cases]

"""Who uses a network right now: many readers or one writer, decided at once and never waited for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from fastbp.error import ModelBusyError


class Usage:
    """Counts the calls under way on one network."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._readers = 0
        self._writing = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """For calls that leave the parameters alone.

        Raises ModelBusyError during a call that changes them.
        """
        with self._lock:
            if self._writing:
                raise ModelBusyError("model is in use by a call that trains it")
            self._readers += 1
        try:
            yield
        finally:
            with self._lock:
                self._readers -= 1

    @contextmanager
    def writing(self) -> Iterator[None]:
        """For calls that change the parameters.  Raises ModelBusyError during any other call."""
        with self._lock:
            n_calls = self._readers + self._writing
            if n_calls:
                raise ModelBusyError(
                    f"model is in use by {n_calls} call{'s' if n_calls > 1 else ''}"
                )
            self._writing = True
        try:
            yield
        finally:
            with self._lock:
                self._writing = False

"""Who uses a network now: many readers or one writer, decided at once and never waited for."""

from __future__ import annotations

from threading import Lock

from fastbp.error import ModelBusyError


class Usage:
    """Counts the calls under way on one network.

    `with usage.reading:` is for calls that leave the parameters alone; it raises ModelBusyError
    during a call that changes them.  `with usage.writing:` is for those; it raises ModelBusyError
    during any other call.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.n_readers = 0
        self.is_written = False
        self.reading = _Reading(self)
        self.writing = _Writing(self)


class _Reading:
    """Made once a network and entered by any number of threads: entering must cost little."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage

    def __enter__(self) -> None:
        usage = self._usage
        with usage.lock:
            if usage.is_written:
                raise ModelBusyError("model is in use by a call that trains it")
            usage.n_readers += 1

    def __exit__(self, *exception: object) -> None:
        with self._usage.lock:
            self._usage.n_readers -= 1


class _Writing:
    def __init__(self, usage: Usage) -> None:
        self._usage = usage

    def __enter__(self) -> None:
        usage = self._usage
        with usage.lock:
            n_calls = usage.n_readers + usage.is_written
            if n_calls:
                raise ModelBusyError(
                    f"model is in use by {n_calls} call{'s' if n_calls > 1 else ''}"
                )
            usage.is_written = True

    def __exit__(self, *exception: object) -> None:
        with self._usage.lock:
            self._usage.is_written = False

"""Who uses a network now: many readers or one writer, decided at once and never waited for."""

from __future__ import annotations

from threading import Lock

from fastbp.error import ModelBusyError


class Usage:
    """Counts the calls under way on one network.

    `with usage.reading:` is for calls that leave the parameters alone; it raises ModelBusyError
    during a call that changes them.  `with usage.writing:` is for those; it raises ModelBusyError
    during any other call.  Where a reader and a writer begin in the same instant each can see the
    other and both be refused.
    """

    def __init__(self) -> None:
        self.readers: list[None] = []  # appending and popping are atomic, and cheaper than a lock
        self.writer = Lock()
        self.is_written = self.writer.locked
        self.reading = _Reading(self)
        self.writing = _Writing(self)


class _Reading:
    """Made once a network and entered by any number of threads: entering must cost little."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage

    def __enter__(self) -> None:
        usage = self._usage
        usage.readers.append(None)  # before the look: a writer does both the other way round
        if usage.is_written():
            usage.readers.pop()
            raise ModelBusyError("model is in use by a call that trains it")

    def __exit__(self, *exception: object) -> None:
        self._usage.readers.pop()


class _Writing:
    def __init__(self, usage: Usage) -> None:
        self._usage = usage

    def __enter__(self) -> None:
        usage = self._usage
        if not usage.readers and usage.writer.acquire(False):
            if not usage.readers:  # nor has one begun since
                return
            usage.writer.release()
        n_calls = max(1, len(usage.readers) + usage.is_written())  # the last may have just ended
        raise ModelBusyError(f"model is in use by {n_calls} call{'s' if n_calls > 1 else ''}")

    def __exit__(self, *exception: object) -> None:
        self._usage.writer.release()

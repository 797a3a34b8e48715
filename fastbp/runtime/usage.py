"""Who uses a network now: many readers or one writer, decided at once and never waited for."""

from __future__ import annotations

from fastbp.check.array import counted
from fastbp.error import ModelBusyError


class Usage:
    """The calls under way on one network, each by a mark of its own.

        usage, mark = network._usage, object()
        try:
            usage.begin_writing(mark)
            ...
        finally:
            usage.writers.discard(mark)

    `begin_reading` and `readers` are for calls that leave the parameters alone: refused with
    ModelBusyError during a call that changes them.  `begin_writing` and `writers` are for those:
    refused during any other call.  Without a global interpreter lock calls that begin in the same
    instant can see each other and all be refused.

    A signal handler may raise where CPython looks for signals: as a Python function begins, after
    a call, at the end of a turn of a loop.  Hence no `with`: its `__enter__` and `__exit__` leave
    such moments around the `try` that it stands for.  Here a call is marked inside `try`, and the
    mark gone with the first call that `finally` makes, of a C function which minds no missing one.
    """

    def __init__(self) -> None:
        self.readers: set[object] = set()
        self.writers: set[object] = set()
        self.is_written = self.writers.__len__

    def begin_reading(self, mark: object) -> None:
        self.readers.add(mark)  # before the look: a writer does both the other way round
        if self.writers:
            raise ModelBusyError("model is in use by a call that trains it")

    def begin_writing(self, mark: object) -> None:
        readers, writers = self.readers, self.writers
        if not readers and not writers:
            writers.add(mark)
            if not readers and len(writers) == 1:  # nor has one begun since
                return
        n_calls = max(1, len(readers) + len(writers - {mark}))  # the last may have just ended
        raise ModelBusyError(f"model is in use by {counted(n_calls, 'call')}")

"""Who uses a network now: many readers or one writer, decided at once and never waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from operator import attrgetter
from typing import Any, TypeVar, cast

from fastbp.check.message import counted
from fastbp.error import ModelBusyError


class Guard:
    """The calls under way on one network, each by a token of its own.

        guard, token = state.guard, object()
        try:
            guard.begin_writing(token)
            ...
        finally:
            guard.writers.discard(token)

    `begin_reading` and `readers` are for calls that leave the parameters alone: refused with
    ModelBusyError during a call that changes them.  `begin_writing` and `writers` are for those:
    refused during any other call.  Without a global interpreter lock calls that begin in the same
    instant can see each other and all be refused.

    A signal handler may raise where CPython looks for signals: as a Python function begins, after
    a call, at the end of a turn of a loop.  A `with` has such moments around the `try` that it
    stands for: in its `__enter__` and `__exit__`.  Here the token is set inside `try` and is gone
    with the first call that `finally` makes, of a C function which minds no missing one.

    `reading` and `writing` are the same as decorators.  They cost a microsecond, so that verbs
    which take no longer write the lines out.
    """

    def __init__(self) -> None:
        self.readers: set[object] = set()
        self.writers: set[object] = set()

    def begin_reading(self, token: object) -> None:
        self.readers.add(token)  # before the look: a writer does both the other way round
        if self.writers:
            raise ModelBusyError("model is in use by a call that trains it")

    def begin_writing(self, token: object) -> None:
        readers, writers = self.readers, self.writers
        if not readers and not writers:
            writers.add(token)
            if not readers and len(writers) == 1:  # nor has one begun since
                return
        n_calls = max(1, len(readers) + len(writers - {token}))  # the last may have just ended
        raise ModelBusyError(f"model is in use by {counted(n_calls, 'call')}")

    def go_on_writing(self, token: object) -> None:
        """Take back what `writers.discard(token)` had given free, as for a callback of the user's.

        Calls of other threads that have begun to read since are waited for, as they are short and
        no new ones begin; one that writes is an error here.
        """
        self.writers.add(token)
        if len(self.writers) > 1:
            self.writers.discard(token)
            raise ModelBusyError("model was trained or changed by another call during a callback")
        while self.readers:
            time.sleep(1e-4)


_Verb = TypeVar("_Verb", bound=Callable[..., Any])


def reading(verb: _Verb) -> _Verb:
    """A verb whose first argument is the state, which leaves the parameters alone."""
    return _guarded(verb, Guard.begin_reading, attrgetter("readers"))


def writing(verb: _Verb) -> _Verb:
    """A verb whose first argument is the state, which changes it."""
    return _guarded(verb, Guard.begin_writing, attrgetter("writers"))


def _guarded(verb: _Verb, begin: Callable[[Guard, object], None], users: attrgetter[Any]) -> _Verb:
    @wraps(verb)
    def guarded(state: Any, *args: Any, **kwargs: Any) -> Any:
        guard, token = state.guard, object()
        tokens = users(guard)
        try:
            begin(guard, token)
            return verb(state, *args, **kwargs)
        finally:
            tokens.discard(token)

    return cast(_Verb, guarded)

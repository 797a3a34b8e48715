"""The next items of an iterator are made by a thread while the last one is used."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_AHEAD = 1  # items that wait; one more is being made
_PATIENCE = 0.1  # seconds to wait for the end of the thread: a source may block for ever


class Prefetch(Generic[T]):
    """An iterator over `items`, which a thread of its own reads until the end or `close`.

    What the source raises is raised here, after the items before it.
    """

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._ready: deque[T] = deque()
        self._error: BaseException | None = None
        self._ended = self._stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="fastbp-prefetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            while not self._ready and not self._ended:
                self._changed.wait()
            if self._ready:
                item = self._ready.popleft()
                self._changed.notify_all()
                return item
        if self._error is not None:
            raise self._error
        raise StopIteration

    def close(self) -> None:
        """End the thread; what the source has yet to give is lost.  While the source is busy, the
        thread outlives this.
        """
        if self._stopped:
            return
        with self._changed:
            self._stopped = True
            self._ready.clear()
            self._changed.notify_all()
        self._thread.join(_PATIENCE)

    def _read(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                with self._changed:
                    while len(self._ready) >= _AHEAD and not self._stopped:
                        self._changed.wait()
                    if self._stopped:
                        break
                    self._ready.append(item)
                    self._changed.notify_all()
                del item  # not kept while the next is made
        except BaseException as caught:  # of the source: raised where the items are used
            error = caught
        finally:
            close: Any = getattr(self._items, "close", None)
            try:
                if close is not None:
                    close()
            except BaseException as caught:
                error = error or caught
            with self._changed:
                self._error, self._ended = error, True
                self._changed.notify_all()

"""Callbacks of a few lines: a log file, functions, the end of a fit that diverges."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fastbp.callback.base import Callback, Logs
from fastbp.check.message import shown
from fastbp.check.scalar import check_bool


class CSVLogger(Callback):
    """Write a line of `logs` to a CSV file after each epoch: its number from 0, then the names in
    their order.

    Args:
        filename: of the file; the line is on disk when training goes on.
        separator: between cells.
        append: True to go on with a file that exists, without another header.

    What an epoch did not measure is NA, as its validation with a `validation_freq`.

    >>> import os, tempfile, numpy as np, fastbp as fb
    >>> X, net = np.arange(8.0)[:, None], fb.Network([1, 1], seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = os.path.join(folder, "log.csv")
    ...     history = net.fit(X, X, epochs=2, callbacks=[fb.CSVLogger(log)])
    ...     with open(log) as file:
    ...         len(file.readlines())
    3
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        if not isinstance(separator, str) or len(separator) != 1:
            raise ValueError(f"separator must be one character, got {shown(separator)}")
        self.filename = os.fspath(filename)
        self.sep = separator
        self.append = check_bool(append, name="append")
        self.keys: list[str] | None = None
        self._needs_header = True

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.keys = None
        # a file that cannot be written is told before training
        with open(self.filename, "a" if self.append else "w", encoding="utf-8") as file:
            self._needs_header = file.tell() == 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        import csv

        logs = logs or {}
        if self.keys is None:
            later = [name for name in self.params.get("metrics", []) if name not in logs]
            self.keys = [*logs, *later]
        with open(self.filename, "a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=self.sep, lineterminator="\n")
            if self._needs_header:
                writer.writerow(["epoch", *self.keys])
                self._needs_header = False
            writer.writerow([epoch, *(logs.get(name, "NA") for name in self.keys)])


class LambdaCallback(Callback):
    """A callback made of functions, named as the hooks they are for.

    Training is left after each batch only where a function for batches is given.  Other keywords
    become attributes.

    >>> import numpy as np, fastbp as fb
    >>> X, seen = np.arange(8.0)[:, None], []
    >>> note = fb.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    >>> history = fb.Network([1, 1], seed=0).fit(X, X, epochs=3, callbacks=[note])
    >>> seen
    [0, 1, 2]
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **attributes: Any,
    ) -> None:
        hooks = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        for name, function in hooks.items():
            if function is not None and not callable(function):
                raise TypeError(f"{name} must be callable, got {shown(function)}")
        self.__dict__.update(attributes)
        self.__dict__.update({name: f for name, f in hooks.items() if f is not None})


class TerminateOnNaN(Callback):
    """Where the loss or a parameter is no longer finite, `fit` returns instead of raising
    `DivergenceError`.

    The network is at the end of the last good epoch in both cases, `history.stopped` is "diverged",
    and `history.reason` says where.

    Args:
        raise_error: True for the error all the same.

    >>> import numpy as np, fastbp as fb
    >>> X, net = np.arange(8.0)[:, None], fb.Network([1, 1], optimizer=fb.SGD(1e30), seed=0)
    >>> net.fit(X, X, epochs=9, callbacks=[fb.TerminateOnNaN()]).stopped
    'diverged'
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = check_bool(raise_error, name="raise_error")

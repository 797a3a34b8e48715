"""A file from which a fit goes on by itself after the process was killed."""

from __future__ import annotations

import os
import time
import warnings
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastbp.check.message import differing, level_of_caller, shown
from fastbp.check.scalar import check_bool, check_integer, check_real
from fastbp.description import Snapshot
from fastbp.error import ModelFormatError
from fastbp.optimizer import optimizer_from_config
from fastbp.runtime.rate import assign
from fastbp.runtime.snapshot import put, take
from fastbp.runtime.state import State

if TYPE_CHECKING:
    from fastbp.runtime.resume import Call


class Backup:
    """How `fit(backup=)` keeps a run: every so many seconds, between two batches.

    A fit that finds its file takes up the network as it stands there and goes on, to the bits of a
    run that nobody ended.  At the end of its epochs, or where a callback ends it, it deletes the
    file as Keras's `BackupAndRestore` does; after an exception, Ctrl-C or `max_seconds` it writes
    it once more, for the next.

    Args:
        path: of the file, which `Network.load` reads too.
        every_seconds: > 0.
        delete_checkpoint: False to write it at the end of the run as well: then a further fit has
            nothing left to do, or goes on where `epochs` is larger.

    Raises:
        TypeError, ValueError, OSError: `path` is none that can be written.

    >>> import os, tempfile, numpy as np, fastbp as fb
    >>> X = np.arange(8.0)[:, None]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keep = fb.Backup(os.path.join(folder, "run.npz"), every_seconds=10)
    ...     history = fb.Network([1, 1], seed=0).fit(X, X, epochs=5, backup=keep)
    ...     os.listdir(folder)
    []
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        every_seconds: float = 30.0,
        delete_checkpoint: bool = True,
    ) -> None:
        from fastbp.storage.checkpoint import check_destination

        check_destination(path)
        self.path = os.fspath(path)
        self.every_seconds = check_real(
            every_seconds, name="every_seconds", minimum=0, exclude_minimum=True
        )
        self.delete_checkpoint = check_bool(delete_checkpoint, name="delete_checkpoint")
        self._written = time.perf_counter()
        self._has_failed = False

    def find(self) -> Snapshot | None:
        """What an earlier fit has left, or None.

        Raises ModelFormatError that says which file it is.
        """
        from fastbp.storage.checkpoint import read

        try:
            return read(self.path)
        except FileNotFoundError:
            return None
        except ModelFormatError as error:
            raise ModelFormatError(f"backup {self.path!r}: {error}") from error

    def is_due(self) -> bool:
        return time.perf_counter() - self._written >= self.every_seconds

    def begin(self) -> None:
        """The time until the first."""
        self._written, self._has_failed = time.perf_counter(), False

    def write(self, state: State, call: Call) -> None:
        """Now; where it cannot be, training goes on with a warning, once."""
        from fastbp.storage.checkpoint import write

        self._written = time.perf_counter()
        held = take(state)
        held.order = call.order
        try:
            write(self.path, held)
        except (OSError, TypeError, ValueError) as error:
            if not self._has_failed:
                text = f"the backup could not be written, training goes on: {error}"
                warnings.warn(text, UserWarning, stacklevel=level_of_caller())
            self._has_failed = True

    def end(self, state: State, call: Call, *, is_over: bool) -> None:
        """Delete it, or write it for a further fit."""
        if is_over and self.delete_checkpoint:
            with suppress(FileNotFoundError):
                os.unlink(self.path)
        else:
            self.write(state, call)


def check_backup(backup: object) -> Backup | None:
    if backup is None or isinstance(backup, Backup):
        return backup
    if not isinstance(backup, str | os.PathLike):
        raise TypeError(f"backup must be a path or a fastbp.Backup, got {shown(backup)}")
    return Backup(backup)


class TakenUp:
    """The network as a backup has it, if there is one; as it was where what follows is refused.

    Attributes:
        options: of the fit, `initial_epoch` among them.
    """

    def __init__(self, state: State, backup: object, **options: Any) -> None:
        keep = check_backup(backup)
        assert keep is not None
        self.state, self.keep, self.options = state, keep, options
        self.held = keep.find()
        self.before, self.rate = take(state), state.optimizer.learning_rate

    def __enter__(self) -> TakenUp:
        if self.held is not None:
            epochs = check_integer(self.options["epochs"], name="epochs", minimum=0)
            first = check_integer(self.options["initial_epoch"], name="initial_epoch", minimum=0)
            path = self.keep.path
            self._check_description()
            found = _next_epoch(self.held)
            if not first <= found <= epochs:
                raise ValueError(
                    f"backup {path!r} stands at epoch {found}, initial_epoch and epochs are "
                    f"{first} and {epochs}"
                )
            self._take(self.held)
            self.options["initial_epoch"] = found
        return self

    def __exit__(self, kind: object, *others: object) -> None:
        if kind is not None and self.held is not None:
            assign(self.state, self.rate)
            self._put(self.before)

    def backup_of(self, call: Call) -> Backup:
        """That of a fit of `call`.

        Raises ValueError where it is of other rows, or in other batches.
        """
        order = (None if self.held is None else self.held.order) or {}
        odd = [name for name in order if name != "metrics" and order[name] != call.order.get(name)]
        if odd:
            raise ValueError(f"backup {self.keep.path!r} is of other data: {differing(odd)}")
        return self.keep

    def _check_description(self) -> None:
        assert self.held is not None
        own, found = self.state.description.to_config(), self.held.config
        odd = [name for name in ("layers", "loss", "dtype") if own[name] != found[name]]
        numbers = [{**config["optimizer"], "learning_rate": None} for config in (own, found)]
        odd += ["optimizer"] if numbers[0] != numbers[1] else []
        if odd:
            text = f"backup {self.keep.path!r} is of another network: {differing(odd)}"
            raise ValueError(text)

    def _take(self, held: Snapshot) -> None:
        own = self.state.description.to_config()["optimizer"].get("learning_rate")
        rate = held.config["optimizer"].get("learning_rate")
        # of a function there is the name alone, and a schedule is the one that is in force
        is_function = isinstance(rate, dict) and rate.get("name") == "callable"
        if rate != own and not is_function:
            assign(self.state, optimizer_from_config(held.config["optimizer"]).learning_rate)
        self._put(held)

    def _put(self, held: Snapshot) -> None:
        state = self.state
        put(state, held)
        state.seed = held.config["seed"]
        state.description = replace(state.description, seed=state.seed)


def _next_epoch(held: Snapshot) -> int:
    if held.unfinished is not None:
        return held.unfinished.number
    return held.history.epoch[-1] + 1 if held.history.epoch else int(held.state["epochs"][0])

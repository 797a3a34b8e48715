"""The callbacks of one `fit`: who wants to be called when, and the calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastbp.callback import Callback, EarlyStopping, TerminateOnNaN
from fastbp.callback.base import Logs, defines
from fastbp.check.message import shown
from fastbp.check.scalar import check_integer
from fastbp.error import DivergenceError
from fastbp.runtime.guard import Guard

_NAMES = (
    "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_test_begin",
    "on_test_end",
)  # fmt: skip
_BEFORE_BATCH = ("on_train_batch_begin", "on_batch_begin")
_AFTER_BATCH = ("on_train_batch_end", "on_batch_end")
_FOR_EPOCHS = {"on_epoch_begin", "on_epoch_end"}


class Hooks:
    """The hooks that callbacks define, each called while the network is free for them.

    Attributes:
        per_batch: whether someone wants to be called for each batch.
        together: epochs that can be run at once, for all that the callbacks mind; 0 for any number.
        asked: the callback that ended the fit.
    """

    def __init__(
        self,
        callbacks: list[Callback],
        *,
        model: Any,
        guard: Guard,
        token: object,
        params: Mapping[str, Any],
    ) -> None:
        self.callbacks = callbacks
        self.model = model
        self.guard, self.token = guard, token
        self.asked: Callback | None = None
        for callback in callbacks:
            callback.set_params(dict(params))
            callback.set_model(model)
        self.found = {name: self._who(name) for name in _NAMES}
        self.found["on_train_batch_begin"] = self._who(*_BEFORE_BATCH)
        self.found["on_train_batch_end"] = self._who(*_AFTER_BATCH)
        self.per_batch = bool(
            self.found["on_train_batch_begin"] or self.found["on_train_batch_end"]
        )
        # callbacks with hooks for epochs, and after how many
        self.periods = {
            id(callback): check_integer(
                callback.epochs_per_call,
                name=f"{type(callback).__name__}.epochs_per_call", minimum=1,
            )
            for name in _FOR_EPOCHS
            for callback, _ in self.found[name]
        }  # fmt: skip

    def _who(self, name: str, *others: str) -> list[tuple[Callback, Callable[..., None]]]:
        wanted = (name, *others)
        return [
            (callback, getattr(callback, name))
            for callback in self.callbacks
            if any(defines(callback, other) for other in wanted)
        ]

    @property
    def stops(self) -> bool:
        """Whether the fit was asked to end."""
        return bool(self.model.stop_training)

    def __call__(self, name: str, *arguments: Any) -> None:
        """Call all hooks of one name."""
        if self.found[name]:
            self._call(self.found[name], arguments)

    def _call(
        self, hooks: list[tuple[Callback, Callable[..., None]]], arguments: tuple[Any, ...]
    ) -> None:
        self.guard.writers.discard(self.token)  # and for good where a hook raises
        for callback, method in hooks:
            method(*arguments)
            if self.asked is None and self.model.stop_training:
                self.asked = callback
        self.guard.go_on_writing(self.token)

    # epochs, counted from the first of this fit

    def until_next(self, done: int) -> int | None:
        """Epochs until someone wants to be called; None for never."""
        return min((p - done % p for p in self.periods.values()), default=None)

    def epoch_begins(self, epoch: int, done: int) -> None:
        due = [found for found in self.found["on_epoch_begin"] if self._is_due(found[0], done)]
        if due:
            self._call(due, (epoch, {}))

    def epoch_ends(self, epoch: int, done: int, logs: Logs, *, is_last: bool) -> None:
        """`done` counts this epoch."""
        hooks = self.found["on_epoch_end"]
        due = [found for found in hooks if is_last or self._is_due(found[0], done)]
        if due:
            self._call(due, (epoch, logs))

    def _is_due(self, callback: Callback, done: int) -> bool:
        return done % self.periods[id(callback)] == 0

    # the end

    def forgive(self, error: DivergenceError) -> bool:
        """Whether someone wants `fit` to return all the same."""
        return any(isinstance(c, TerminateOnNaN) and not c.raise_error for c in self.callbacks)

    def reason(self, where: str) -> tuple[str, str]:
        """Of an end that was asked for: `History.stopped` and `reason`."""
        who = self.asked
        if isinstance(who, EarlyStopping):
            return "early stopping", f"EarlyStopping {where}, {who.stop_reason}"
        name = f"{type(who).__name__} set " if who else ""
        return "stop_training", f"{name}stop_training {where}"


def check_callbacks(callbacks: object) -> list[Callback]:
    """A list of callbacks; one alone and None will do.

    Raises TypeError.
    """
    if callbacks is None:
        return []
    given = [callbacks] if isinstance(callbacks, Callback) else callbacks
    if not isinstance(given, list | tuple):
        raise TypeError(f"callbacks must be a list of fastbp.Callback, got {shown(callbacks)}")
    for i, callback in enumerate(given):
        if isinstance(callback, type):
            hint = f"; did you mean {callback.__name__}()?"
        else:
            hint = "; a Keras class is ported by making fastbp.Callback its base"
        if not isinstance(callback, Callback):
            raise TypeError(
                f"callbacks[{i}] must be a fastbp.Callback, got {shown(callback)}{hint}"
            )
    return list(given)

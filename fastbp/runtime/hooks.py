"""The callbacks of one `fit`: who wants to be called when, and the calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

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
_PLAIN = {int, float, bool, str, type(None)}

_Hook = tuple[Callback, Callable[..., None]]


class Hooks:
    """The hooks that callbacks define, each called while the network is free for them.

    Attributes:
        per_batch: whether someone wants to be called for each batch.
        periods: of the callbacks with hooks for epochs, by their id: once in so many epochs.
        asked: the callback that ended the fit.
    """

    def __init__(
        self, callbacks: list[Callback], *, model: Any, guard: Guard, token: object
    ) -> None:
        self.callbacks = callbacks
        self.model = model
        self.guard, self.token = guard, token
        self.asked: Callback | None = None
        self.per_batch = self.for_tests = False
        self.periods: dict[int, int] = {}
        self.found: dict[str, list[_Hook]] = {}
        self.served: Callback | None = None  # by the engine, after whole epochs

    def begin(self, **params: Any) -> None:
        """Introduce the callbacks to the network; one may refuse the fit."""
        for callback in self.callbacks:
            callback.set_params(dict(params))
            callback.set_model(self.model)
        self.in_order = sorted(self.callbacks, key=lambda callback: callback.saves)
        self.found = {name: self._who(name) for name in _NAMES}
        self.found["on_train_batch_begin"] = before = self._who(*_BEFORE_BATCH)
        self.found["on_train_batch_end"] = after = self._who(*_AFTER_BATCH)
        self.per_batch = bool(before or after)
        self.for_tests = bool(self.found["on_test_begin"] or self.found["on_test_end"])
        for name in _FOR_EPOCHS:
            for callback, _ in self.found[name]:
                what = f"{type(callback).__name__}.epochs_per_call"
                period = check_integer(callback.epochs_per_call, name=what, minimum=1)
                self.periods[id(callback)] = period

    def _who(self, name: str, *others: str) -> list[_Hook]:
        return [
            (callback, getattr(callback, name))
            for callback in self.in_order
            if any(defines(callback, wanted) for wanted in (name, *others))
        ]

    # states

    def states(self) -> list[tuple[str, dict[str, Any]]]:
        """Class and state of each callback that has one: a copy, for what becomes of the callback
        in another fit is none of this network's.
        """
        found = ((type(callback).__name__, callback.get_state()) for callback in self.callbacks)
        return [(name, _copied(state)) for name, state in found if state]

    def set_states(self, states: list[tuple[str, dict[str, Any]]]) -> None:
        """Of each callback the first of its class that is left."""
        left = list(states)
        for callback in self.callbacks:
            name = type(callback).__name__
            place = next((i for i, (own, _) in enumerate(left) if own == name), None)
            if place is None:
                continue
            try:
                callback.set_state(_copied(left.pop(place)[1]))
            except Exception as error:
                error.add_note(f"{name}.set_state was to go on with what get_state had returned")
                raise

    def __call__(self, name: str, *arguments: Any) -> None:
        """Call all hooks of one name."""
        hooks = self.found.get(name)
        if hooks:
            self._call(hooks, arguments)

    def _call(
        self, hooks: list[_Hook], arguments: tuple[Any, ...], *, all_of_them: bool = False
    ) -> None:
        """Call these; where one raises, `all_of_them` calls the rest all the same, which a further
        fit would not tell of the epoch again.
        """
        self.guard.writers.discard(self.token)  # and for good where a hook raises
        failure = None
        for callback, method in hooks:
            try:
                method(*arguments)
            except BaseException as error:
                if not all_of_them:
                    raise
                failure = failure or error
            if self.asked is None and self.model.stop_training:
                self.asked = callback
        if failure is not None:
            raise failure
        self.guard.go_on_writing(self.token)

    # epochs, counted from the first of this fit

    def until_next(self, done: int) -> int:
        """Epochs until someone wants to be called, where there are such callbacks."""
        own = [period for who, period in self.periods.items() if who != id(self.served)]
        return min((period - done % period for period in own), default=sys.maxsize)

    def epoch_begins(self, epoch: int, done: int) -> None:
        due = [found for found in self.found["on_epoch_begin"] if self._is_due(found[0], done)]
        if due:
            self._call(due, (epoch, {}))

    def epoch_ends(
        self,
        epoch: int,
        done: int,
        logs: Logs,
        *,
        is_last: bool,
        is_whole: bool,
        take: Callable[[], None],
    ) -> None:
        """`done` counts this epoch; after a whole one the engine has served who it serves.  `take`
        is called when `logs` are complete, before the network is written.
        """
        hooks = self.found["on_epoch_end"]
        if is_whole and self.served is not None:
            hooks = [found for found in hooks if found[0] is not self.served]
            if self.asked is None and self.model.stop_training:
                self.asked = self.served
            if not hooks:
                return
        due = [found for found in hooks if is_last or self._is_due(found[0], done)]
        others = [found for found in due if not found[0].saves]
        savers = [found for found in due if found[0].saves]
        try:
            if others:
                self._call(others, (epoch, logs), all_of_them=True)
        finally:
            take()
            if savers:
                self._call(savers, (epoch, logs), all_of_them=True)

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


def _copied(value: Any) -> Any:
    """`deepcopy`, quick for what states are made of: every fit with callbacks does it."""
    if isinstance(value, dict):
        return {key: _copied(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_copied(one) for one in value]
    if isinstance(value, np.ndarray):
        return value.copy()
    return value if type(value) in _PLAIN else deepcopy(value)


def check_callbacks(callbacks: object) -> list[Callback]:
    """A list of callbacks; one alone and None will do.

    Raises TypeError.
    """
    if callbacks is None:
        return []
    given = [callbacks] if isinstance(callbacks, Callback | type) else callbacks
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

"""`Network.fit`: epochs, the figures after each, and who is called in between."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbp.callback.base import Logs
from fastbp.check.scalar import check_bool, check_integer
from fastbp.description import Unfinished
from fastbp.error import DivergenceError
from fastbp.history import History
from fastbp.loss import Loss
from fastbp.runtime import resume
from fastbp.runtime.clock import Clock
from fastbp.runtime.feed import MANY_STEPS, FedEpoch
from fastbp.runtime.figure import Figures
from fastbp.runtime.held_out import Call, prepare
from fastbp.runtime.hooks import Hooks, check_callbacks
from fastbp.runtime.order import drop_unfinished
from fastbp.runtime.pace import Budget
from fastbp.runtime.parted import PartedEpoch, parted_epoch
from fastbp.runtime.predict import measure
from fastbp.runtime.progress import Progress, check_verbose, progress
from fastbp.runtime.record import Columns, Record
from fastbp.runtime.rows import Rows
from fastbp.runtime.standing import Mark, Standing
from fastbp.runtime.state import State
from fastbp.runtime.stepped import SteppedEpoch
from fastbp.runtime.stopping import Stopping, served
from fastbp.runtime.train import Epochs, warn_once

if TYPE_CHECKING:
    from fastbp.runtime.backup import Backup

_NONE = np.zeros(0)
_OVER = (None, "early stopping", "stop_training", "converged", "line search", "damping")


def fit(state: State, X: Any, y: Any, *, backup: object = None, **options: Any) -> History:
    """See `Network.fit`; the options are those of `_prepared` and `Epochs`."""
    guard, token = state.guard, object()
    try:
        guard.begin_writing(token)
        if backup is None:
            return _prepared(state, token, X, y, **options).run()
        from fastbp.runtime.backup import TakenUp  # which few need

        with TakenUp(state, backup, **options) as found:
            fitting = _prepared(state, token, X, y, **found.options)
            fitting.keep_by(found.backup_of(fitting.call))
        return fitting.run()
    finally:
        guard.writers.discard(token)


def _prepared(
    state: State,
    token: object,
    X: Any,
    y: Any,
    *,
    model: Any,
    epochs: int,
    initial_epoch: int,
    max_seconds: float | None,
    validation_data: object,
    validation_split: float | None,
    validation_freq: int,
    callbacks: object,
    verbose: bool | int | str,
    check_finite: bool,
    **options: Any,
) -> _Fit:
    """Everything checked, nothing changed."""
    budget = None if max_seconds is None else Budget(max_seconds)
    epochs = check_integer(epochs, name="epochs", minimum=0)
    first = check_integer(initial_epoch, name="initial_epoch", minimum=0)
    if first > epochs:
        raise ValueError(f"initial_epoch must be an integer in 0..epochs, got {first} of {epochs}")
    validation_freq = check_integer(validation_freq, name="validation_freq", minimum=1)
    found = check_callbacks(callbacks)
    verbose = check_verbose(verbose)
    check_finite = check_bool(check_finite, name="check_finite")
    call, validation = prepare(
        state, X, y, epochs=epochs - first, validation_data=validation_data,
        validation_split=validation_split, check_finite=check_finite, **options,
    )  # fmt: skip
    unfinished = None
    if state.unfinished is not None and not callable(state.standing):  # of a fit under way
        unfinished = resume.unfinished_for(state, call, first)
    hooks = Hooks(found, model=model, guard=state.guard, token=token)
    if found:
        own = state.description.metrics
        names = ["loss", *(() if isinstance(state.loss, Loss) else state.loss.figures), *own]
        names += [f"val_{name}" for name in names if validation is not None]
        shows = 1 if isinstance(verbose, str) else verbose
        steps = None if call.n_batches == MANY_STEPS else call.n_batches
        hooks.begin(epochs=epochs, steps=steps, verbose=shows, metrics=names)
    if call.X is not None:
        warn_once(state, call.X, X)
        state.feature_names = state.names_of(X)
    display = progress(verbose, first=first, epochs=epochs)
    fitting = _Fit(call, hooks, display, budget, first, epochs)
    if first or unfinished is not None:
        fitting.go_on(unfinished)
    fitting.measure(validation, validation_freq)
    return fitting


class _Fit:
    """One call of `fit`, from epoch `first` to `epochs`."""

    figures: Figures
    validation: Rows | None = None
    validation_freq = 1
    validates_inside = False  # the engine does, after whole epochs
    clock: Clock | None = None  # where somebody looks at the time
    unfinished: Unfinished | None = None  # the epoch to go on with first
    backup: Backup | None = None
    goes_on = False  # with the history and the callbacks of another fit
    mark: Mark | None = None  # where training stands, before hooks that may change it

    def __init__(
        self, call: Call, hooks: Hooks, display: Progress, budget: Budget | None, first: int,
        epochs: int,
    ) -> None:  # fmt: skip
        self.call, self.hooks, self.progress = call, hooks, display
        self.state = call.state
        self.first = self.epoch = first
        self.epochs = epochs
        self.record = Record(self.state)
        self.logs: Logs = {}  # of the last epoch
        self.batches_done = call.n_batches  # in it
        if budget is not None or display.interval is not None:
            self.clock = Clock(call, budget, display, epochs - first)

    def measure(self, validation: Rows | None, validation_freq: int) -> None:
        """What is to be found of each epoch, and what of it the engine finds by itself."""
        call, hooks, state = self.call, self.hooks, self.state
        self.validation, self.validation_freq = validation, validation_freq
        self.figures = call.figures = figures = Figures(state, call.rows)
        if not isinstance(call, Epochs) or not call.serves_inside:
            return
        if call.rows.is_direct and not hooks.per_batch:
            if validation is not None and validation_freq == 1 and not hooks.for_tests:
                self.validates_inside = figures.validate_inside(validation, call.n_threads)
            callback = served(hooks.callbacks)
            if callback is not None and callback.monitored in ("loss", *figures.columns):
                call.stopping = Stopping(callback, state, figures.columns)
                hooks.served = callback

    def go_on(self, unfinished: Unfinished | None) -> None:
        """Where this fit goes on with another, with what that one left."""
        past = resume.past_of(self.state, self.first, unfinished)
        self.unfinished = unfinished
        self.goes_on = past is not None
        if past is not None:
            self.record.go_on(past)

    def keep_by(self, backup: Backup) -> None:
        self.backup = backup
        if self.clock is None:
            self.clock = Clock(self.call, None, self.progress, self.epochs - self.first)
        self.clock.every_seconds = backup.every_seconds

    def run(self) -> History:
        record, hooks, state = self.record, self.hooks, self.state
        standing, state.history, steps = state.standing, record.whole, state.steps
        hooks.model.stop_training = False
        if self.backup is not None:
            self.backup.begin()
        state.standing = self._standing if hooks.callbacks else None
        try:
            if hooks.callbacks:
                hooks("on_train_begin", {})
            if standing is not None or state.unfinished is not None or state.left_at is not None:
                self._begin(standing)
            self._run_to_the_end()
            if hooks.callbacks:
                self._set_mark()
                hooks("on_train_end", dict(self.logs))
            if self.backup is not None:
                is_over = record.history.stopped in _OVER
                self.backup.end(state, self.call, is_over=is_over)
        except BaseException as error:
            record.stopped(*self._ended_by(error))
            if self.backup is not None:
                self.backup.end(state, self.call, is_over=False)
            raise
        finally:
            if not callable(standing) and (self.epoch > self.first or state.steps != steps):
                standing = self._standing() if hooks.callbacks else None
            state.standing = standing
            if self.clock is not None:
                self.clock.stop()
            self.figures.close()
            self.progress.close()
        return record.history

    def _run_to_the_end(self) -> None:
        model = self.hooks.model
        try:
            while self.epoch < self.epochs:
                if model.stop_training:
                    return self.record.stopped(*self.hooks.reason(self._where()))
                if self.clock is not None and self.clock.is_over():
                    break
                self._take_epochs()
                if self.call.ended is not None:
                    kind, reason = self.call.ended
                    return self.record.stopped(kind, f"{reason}, {self._where()}")
            is_early = self.epoch < self.epochs or self.batches_done < self.call.n_batches
            if is_early and self.clock is not None and self.clock.budget is not None:
                self.record.stopped("max_seconds", f"max_seconds are over {self._where()}")
        except DivergenceError as error:
            if not self.hooks.forgive(error):
                raise
            self.record.stopped(*self._ended_by(error))

    def _begin(self, standing: Any) -> None:
        """With the epoch that was left, and the states of callbacks; or with a new epoch."""
        if self.epoch == self.epochs or callable(standing):
            return  # there is nothing to train, or it is a hook of another fit that trains
        if self.unfinished is None:
            drop_unfinished(self.state)
        if standing is not None and (self.goes_on or self.unfinished is not None):
            standing.put_back(self.state)
            if self.goes_on:
                self.hooks.set_states(standing.callbacks)

    def _set_mark(self) -> None:
        """Before hooks of an end: a fit that goes on from there shall not see what they do."""
        hooks = self.hooks
        if hooks.callbacks and self.mark is None:
            keeps = bool(hooks.found["on_train_end"] or hooks.periods)
            self.mark = Mark(self.state, hooks.states(), keeps=keeps)

    def _standing(self) -> Standing | None:
        """See `State.standing`."""
        if self.record.history.stopped == "early stopping":  # which is no place to go on from
            return None
        if self.mark is not None:
            return self.mark.standing(self.state)
        return Standing(self.hooks.states())

    def _where(self) -> str:
        """Where training stands, after at least one step."""
        done, of = self.batches_done, self.call.n_batches
        known = "" if of == MANY_STEPS else f"of {of} "
        inside = f"{done} {known}batches of " if done < of or not known else ""
        return f"after {inside}epoch {self.epoch} of {self.epochs}"

    def _ended_by(self, error: BaseException) -> tuple[str, str]:
        if isinstance(error, DivergenceError):
            return "diverged", str(error)
        kind = "interrupted" if isinstance(error, KeyboardInterrupt) else "error"
        text = f": {error}" if str(error) else ""
        return kind, f"{type(error).__name__} {self._where()}{text}"

    # epochs

    def _take_epochs(self) -> None:
        """As many epochs as nobody wants to be called in, and all that comes after them."""
        hooks, steps, begin = self.hooks, self.state.steps, self.epoch
        if self.unfinished is not None:
            steps = self.unfinished.first_step
        if hooks.periods:
            hooks.epoch_begins(begin, begin - self.first)
        is_whole = not (hooks.per_batch or self.unfinished is not None)
        if self.clock is not None and self.clock.epoch_is_too_long():
            is_whole = False
        found = self._whole_epochs(self._together()) if is_whole else self._parted_epoch()
        before = len(found["loss"]) - 1
        rates: list[float] = []
        if before or not self.record.rates.are_the_same():
            first = {name: own[:before] for name, own in found.items()}
            rates = self._append(first, steps, self.state.steps, 1)
        self.logs = logs = {name: own[before] for name, own in found.items()}
        if rates:
            logs["learning_rate"] = rates[-1]
        try:
            self._add_figures(logs, is_whole)
        except BaseException:
            self._reopen(self.epoch, {name: own[before] for name, own in found.items()})
            raise
        finally:
            self.record.add_last(self.epoch, logs)
            self.epoch += 1
        if self.batches_done < self.call.n_batches:
            self._set_mark()
        if hooks.periods:
            self._epoch_ends(logs, is_whole)
        if self.backup is not None and self.backup.is_due():
            self.backup.write(self.state, self.call)
        if self.progress.interval is not None:
            rows = [dict(zip(found, own, strict=True)) for own in zip(*found.values(), strict=True)]
            self.progress.show(begin, [*rows[:before], logs])

    def _epoch_ends(self, logs: Logs, is_whole: bool) -> None:
        """Call the hooks; what they add to `logs` joins the history, which one of them may save."""
        hooks, known = self.hooks, dict(logs)
        is_last = self.epoch == self.epochs or hooks.model.stop_training
        is_last = is_last or self._time_is_over()

        def take() -> None:
            if logs != known:
                self.record.amend(logs)

        hooks.epoch_ends(
            self.epoch - 1, self.epoch - self.first, logs, is_last=is_last, is_whole=is_whole,
            take=take,
        )  # fmt: skip

    def _append(self, found: Columns, begin: int, end: int, more: int = 0) -> list[float]:
        """See `Record.add`; of the next epochs."""
        rates = self.record.add(self.epoch, found, begin, end, more)
        self.epoch += len(found["loss"])
        return rates

    def _together(self) -> int:
        """Epochs until something has to be done between two of them."""
        if self.figures.others:
            return 1
        most: float = self.epochs - self.epoch
        stopping = None if self.call.rows is None else self.call.stopping
        if stopping is not None:
            most = min(most, stopping.most_epochs(self.epoch))
        if self.validation is not None and not self.validates_inside:
            most = min(most, self.validation_freq - self.epoch % self.validation_freq)
        if self.hooks.periods:
            most = min(most, self.hooks.until_next(self.epoch - self.first))
        if self.clock is not None and most > 1:
            most = min(most, self.clock.most_epochs())
        return int(most)

    def _whole_epochs(self, n: int) -> Columns:
        """What the engine finds of each."""
        self.call.finished = _NONE
        steps = self.state.steps
        begin = time.perf_counter() if self.clock is not None else 0.0
        try:
            losses = self.call.run(n, first=self.epoch)
            self.batches_done = self.call.n_batches
            if self.clock is not None:
                self.clock.measured(begin, steps)
            return {"loss": losses.tolist()} | self.figures.found(len(losses))
        except BaseException as error:
            losses = self.call.finished  # the history tells what led here
            found = {"loss": losses.tolist()} | self.figures.found(len(losses))
            self._append(found, steps, steps + len(losses) * self.call.n_batches)
            if len(losses):
                self.logs = {name: own[-1] for name, own in found.items()}
            if self.state.left_at is not None:
                self.batches_done = self.state.left_at[0]
                resume.leave(self.state, self.call, number=self.epoch, outputs=self.figures.outputs)
                self.epoch += 1  # that it stands in
            elif len(losses) and not isinstance(error, DivergenceError):
                self._reopen(self.epoch - 1, self.logs)
            raise

    def _reopen(self, number: int, logs: Logs) -> None:
        """What follows the batches of an epoch is left to a further fit, if there is something."""
        is_due = self.validation is not None and not self.validates_inside
        hooks = set(self.hooks.periods) - {id(self.hooks.served)}
        if self.state.unfinished is None and (is_due or hooks or self.figures.others):
            figures = {name: logs[name] for name in ("loss", *self.figures.metrics)}
            resume.reopen(
                self.state, self.call, number=number, figures=figures, outputs=self.figures.outputs
            )

    def _parted_epoch(self) -> Columns:
        """The next epoch batch by batch, or in pieces of a limited time."""
        hooks, steps = self.hooks, self.state.steps
        epoch = parted_epoch(
            self.call, first=self.epoch, step_by_step=hooks.per_batch, unfinished=self.unfinished
        )
        self.unfinished = None
        try:
            self._run_parts(epoch)
        except DivergenceError:  # which has undone the epoch
            raise
        except BaseException:
            if epoch.done:
                self.batches_done = epoch.done
                self._append(self._of_parts(epoch), steps, self.state.steps)
            raise
        finally:
            epoch.close()
        epoch.end()
        self.batches_done = epoch.done
        return self._of_parts(epoch)

    def _of_parts(self, epoch: PartedEpoch | FedEpoch | SteppedEpoch) -> Columns:
        metrics = zip(self.figures.metrics, epoch.metrics, strict=True)
        return {"loss": [epoch.loss]} | {name: [value] for name, value in metrics}

    def _run_parts(self, epoch: PartedEpoch | FedEpoch | SteppedEpoch) -> None:
        hooks, state = self.hooks, self.state
        while not epoch.is_complete:
            begin, steps, batch = time.perf_counter(), state.steps, epoch.done
            if hooks.per_batch:
                hooks("on_train_batch_begin", batch, {})
                epoch.run(1)
                hooks("on_train_batch_end", batch, {"loss": epoch.loss})
            else:
                epoch.run(MANY_STEPS if self.clock is None else self.clock.most_steps())
            if self.clock is not None:
                self.clock.measured(begin, steps)
                self.progress.show_part(self.epoch, epoch.done / self.call.n_batches, epoch.loss)
                if self.backup is not None and self.backup.is_due():
                    self.backup.write(state, self.call)
                if self._time_is_over():
                    break
            if hooks.model.stop_training:
                break

    def _time_is_over(self) -> bool:
        return self.clock is not None and self.clock.is_over()

    # figures

    def _add_figures(self, found: Logs, is_whole: bool) -> None:
        """What an epoch reports beside what the engine has found of it."""
        begin = time.perf_counter() if self.clock is not None else 0.0
        n_threads, call = self.call.n_threads, self.call
        if self.figures.outputs is not None and isinstance(call, Epochs):
            found |= self.figures.from_outputs(call.visited(self.batches_done))
        elif self.figures.others and call.rows is not None:  # read again, part by part
            own = measure(self.state, call.rows, n_threads)
            found |= {name: own[name] for name in self.figures.others}
        is_due = self.validation is not None and (self.epoch + 1) % self.validation_freq == 0
        if is_due and not (is_whole and self.validates_inside):
            assert self.validation is not None
            self.hooks("on_test_begin", {})
            held_out = measure(self.state, self.validation, n_threads)
            self.hooks("on_test_end", held_out)
            for name, value in held_out.items():
                found[f"val_{name}"] = value
        if self.clock is not None:
            self.clock.figures_took(time.perf_counter() - begin)

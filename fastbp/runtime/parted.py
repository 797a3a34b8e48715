"""An epoch that is trained part by part, to the same bits as at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastbp.description import Unfinished
from fastbp.runtime import engine_cache
from fastbp.runtime.feed import FedEpoch, Feed, Kept, begin_place, found_so_far, take_sums
from fastbp.runtime.figure import Figures
from fastbp.runtime.outcome import DIVERGED, INTERRUPTED, diverged
from fastbp.runtime.rate import rates
from fastbp.runtime.rows import row_order
from fastbp.runtime.stepped import SteppedEpoch, SteppedEpochs
from fastbp.runtime.train import Epochs
from fastbp.schedule import Schedule


def parted_epoch(
    call: Epochs | Feed,
    *,
    first: int,
    step_by_step: bool = False,
    unfinished: Unfinished | None = None,
) -> PartedEpoch | FedEpoch | SteppedEpoch:
    """The next epoch of `call`, a number of batches at a time; arguments as for `PartedEpoch`."""
    if isinstance(call, Feed):
        return FedEpoch(call, first=first, unfinished=unfinished)
    if isinstance(call, SteppedEpochs):
        return call.epoch_in_parts(first=first, unfinished=unfinished)
    if not call.rows.is_direct:
        return FedEpoch(call.feed(), first=first, unfinished=unfinished)
    return PartedEpoch(call, first=first, step_by_step=step_by_step, unfinished=unfinished)


class PartedEpoch:
    """The next epoch of `call`, a number of batches at a time: for callbacks between batches, and
    for a limit of time that a whole epoch would pass.

    The first part lets the engine draw the order of the rows, the others follow that order.  State
    and counters are kept here for the whole epoch, to which a divergence goes back.

    Args:
        first: the number of the epoch, for messages.
        step_by_step: whether every part is one batch, for which starting threads pays less.
        unfinished: the epoch to go on with, where it is not a new one.
    """

    def __init__(
        self,
        call: Epochs,
        *,
        first: int,
        step_by_step: bool = False,
        unfinished: Unfinished | None = None,
    ) -> None:
        state = call.state
        self.call, self.first = call, first
        self.steps_at_once = 1 if step_by_step else call.n_batches
        self.done = 0  # batches
        self.loss = 0.0  # the mean over the batches so far
        self.losses = np.zeros(1)
        self.inside = (call.figures or Figures(state, call.rows)).of_part()
        if call.figures is not None:
            self.inside["outputs"] = call.figures.outputs
        self.schedule: object = None  # of `table`, the learning rates of all steps
        self.table = np.zeros(0)
        self.steps, self.epochs, self.before = state.steps, state.epochs, state.unfinished
        self.kept = Kept(state)
        self.place = begin_place(call, self.inside["total"], first, unfinished)
        self.goes_on = unfinished is not None
        if unfinished is not None:
            self._go_on(unfinished)
        self.place.outputs = self.inside.get("outputs")

    def _go_on(self, unfinished: Unfinished) -> None:
        """With what the fit before had found."""
        call, inside, state = self.call, self.inside, self.call.state
        self.done, self.loss = unfinished.batches, found_so_far(state, inside, unfinished)
        if inside.get("outputs") is not None and unfinished.outputs is not None:
            inside["outputs"][:] = unfinished.outputs
        if call.shuffled is not None:
            call.shuffled[:] = row_order(state, len(call.shuffled), self.epochs)

    @property
    def is_complete(self) -> bool:
        return self.done == self.call.n_batches

    def run(self, n_batches: int) -> None:
        """The next so many batches, or those that are left.

        Raises as `Epochs.run`.
        """
        call, state = self.call, self.call.state
        begin, end = self.done, min(self.done + n_batches, call.n_batches)
        is_last = end == call.n_batches
        engine, _, threads = engine_cache.take_trainer(
            state, call.batch_size, call.n_threads, self.steps_at_once
        )
        order, before = self._order(begin, end), state.steps
        if state.draws:
            state.seed_draws(engine)
        try:
            engine.train(
                call.X, call.y, batch_size=call.batch_size, epochs=1, losses=self.losses,
                n_threads=threads, seed=state.seed, first_epoch=self.epochs,
                max_steps=end - begin, guarded=is_last, **order, **self._rates(begin, end),
                **call.weights.options(), **self.inside,
            )  # fmt: skip
        finally:
            # a signal handler may raise as soon as the call returns: what was done counts
            try:
                status, _, batch = engine.take_progress(state)
            finally:
                state.epochs = self.epochs
            if status != DIVERGED:
                take_sums(state, self.inside["total"])
                self._stands(begin + state.steps - before)
        if status == DIVERGED:
            self._restore()
            rate = self.table[begin + batch] if len(self.table) else state.rate[0]
            raise diverged(float(self.losses[0]), self.first, begin + batch, rate)
        if status == INTERRUPTED:
            raise engine.take_pending()
        self.loss = float(self.losses[0])

    def _stands(self, done: int) -> None:
        """After so many batches."""
        self.done = self.place.batches = done
        if done:
            self.call.state.unfinished = self.place

    def end(self) -> None:
        """Training ends here: where the epoch is not complete, a further fit goes on with it.

        Raises DivergenceError where a parameter is not finite.
        """
        state = self.call.state
        if not self.is_complete:
            if state.scan(state.parameters) >= 0:
                self._restore()
                rate = self.table[self.done - 1] if len(self.table) else state.rate[0]
                raise diverged(self.loss, self.first, self.done - 1, rate)
            return
        state.unfinished = None
        state.epochs = self.epochs + 1

    def close(self) -> None:
        """Nothing is left open."""

    @property
    def metrics(self) -> list[float]:
        """Of the batches so far, those that the engine sums."""
        found = self.inside.get("record")
        return [] if found is None else found[0].tolist()

    def _order(self, begin: int, end: int) -> dict[str, Any]:
        """What tells the engine which rows batches begin..end have."""
        call = self.call
        if call.batch_offsets is not None and call.batch_rows is not None:
            offsets = call.batch_offsets[begin : end + 1]
            rows = call.batch_rows[offsets[0] : offsets[-1]]
            return {"batch_rows": rows, "batch_offsets": offsets - offsets[0]}
        first, last = begin * call.batch_size, min(end * call.batch_size, len(call.X))
        if begin == 0:
            return {"shuffled": call.shuffled}
        if call.shuffled is not None:
            rows = call.shuffled[first:last]
        else:
            rows = np.arange(first, last, dtype=np.uint32)
        offsets = np.arange(end - begin + 1, dtype=np.int64) * call.batch_size
        offsets[-1] = last - first
        return {"batch_rows": rows, "batch_offsets": offsets}

    def _rates(self, begin: int, end: int) -> dict[str, Any]:
        """The learning rates of these steps, where a schedule gives them."""
        schedule = self.call.state.optimizer.learning_rate
        if not isinstance(schedule, Schedule):
            self.table = np.zeros(0)
            return {}
        if schedule is not self.schedule:
            n, state = self.call.n_batches, self.call.state
            if self.goes_on and schedule.per == "epoch":
                left = rates(state, n, steps_per_epoch=n, first=self.place.first_step)
                left = None if left is None else left[begin:]
            else:
                left = rates(state, n - begin, steps_per_epoch=n)
            self.goes_on = False
            assert left is not None
            self.schedule, self.table = schedule, np.append(np.zeros(begin), left)
        return {"rates": self.table[begin:end]}

    def _restore(self) -> None:
        state = self.call.state
        self.kept.restore()
        state.steps, state.epochs, state.unfinished = self.steps, self.epochs, self.before

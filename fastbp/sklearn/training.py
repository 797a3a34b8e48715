"""Epochs of adam and sgd, with scikit-learn's rule when to stop."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from fastbp.check.array import Array
from fastbp.history import History
from fastbp.runtime.hooks import Hooks, check_callbacks
from fastbp.runtime.order import drop_unfinished
from fastbp.runtime.parted import parted_epoch
from fastbp.runtime.rate import assign
from fastbp.runtime.train import Epochs
from fastbp.sklearn.held_out import HeldOut
from fastbp.sklearn.rows import epochs_of

_ORDERED_ROWS = 2**16  # whose orders are drawn at a time; a longer epoch hides its own call
_SMALLEST_RATE = 1e-6  # an adaptive one below that stops


def train(
    own: Any, X: Any, y: Array, target: Array, sample_weight: Array | None, *, incremental: bool
) -> None:
    """Train `own.network_` as scikit-learn would; of `partial_fit` one epoch."""
    state, held = own.network_._state, None
    if own.early_stopping:
        X, target, sample_weight, held = _split(own, X, y, target, sample_weight)
    n_rows = X.shape[0]
    batch_size = _batch_size(own.batch_size, n_rows)
    guard, token = state.guard, object()
    try:
        guard.begin_writing(token)
        epochs = epochs_of(
            state, X, target, batch_size=batch_size, n_threads=own.n_threads,
            sample_weight=sample_weight, shuffle=own.shuffle,
        )  # fmt: skip
        training = _Training(own, epochs, n_rows, held, token, incremental=incremental)
        training.least = own._least_loss(target, sample_weight)
        try:
            training.run()
        finally:
            drop_unfinished(state)  # orders of rows are the estimator's: no fit goes on with one
    finally:
        guard.writers.discard(token)


def _batch_size(given: Any, n_rows: int) -> int:
    if given == "auto":
        return min(200, n_rows)
    if given > n_rows:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
            stacklevel=2,
        )
    return int(np.clip(given, 1, n_rows))


def _split(
    own: Any, X: Any, y: Array, target: Array, sample_weight: Array | None
) -> tuple[Any, Array, Array | None, HeldOut]:
    """What trains, and what is held out: the rows that scikit-learn would draw."""
    stratify = y if own._stratifies and own.n_outputs_ == 1 else None
    rows, held = train_test_split(
        np.arange(X.shape[0]), random_state=own._random_state,
        test_size=own.validation_fraction, stratify=stratify,
    )  # fmt: skip
    if len(held) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your "
            "dataset."
        )
    parts = [None if sample_weight is None else sample_weight[some] for some in (rows, held)]
    out = HeldOut(own, X[held], target[held], parts[1])
    return X[rows], target[rows], parts[0], out


class _Training:
    """One call of `fit` or `partial_fit`."""

    def __init__(
        self, own: Any, epochs: Any, n_rows: int, held: HeldOut | None, token: object, *,
        incremental: bool,
    ) -> None:  # fmt: skip
        self.own, self.epochs, self.n_rows, self.held = own, epochs, n_rows, held
        self.network, self.state = own.network_, own.network_._state
        self.incremental = incremental
        self.order = np.arange(n_rows, dtype=np.uint32) if own.shuffle else None
        self.hooks = Hooks(
            check_callbacks(own.callbacks), model=self.network, guard=self.state.guard, token=token
        )
        self.schedule = own.learning_rate if own.solver == "sgd" else "constant"
        self.calls_back = bool(self.hooks.callbacks)
        self.best: tuple[Array, Array] | None = None
        self.least = 0.0  # what the engine leaves out of the loss

    def run(self) -> None:
        own, hooks = self.own, self.hooks
        self.state.history = History()
        self.network.stop_training = False
        own.n_iter_ = 0
        if self.calls_back:
            names = ["loss"] if self.held is None else ["loss", *self.held.names]
            hooks.begin(
                epochs=own.max_iter, steps=self.epochs.n_batches, verbose=int(own.verbose),
                metrics=names,
            )  # fmt: skip
            hooks("on_train_begin", {})
        try:
            while not self._take_epochs():
                pass
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=2)
        hooks("on_train_end", {})
        if self.schedule != "constant":  # for copies, which know the optimizer alone
            assign(self.state, float(self.state.rate[0]))
        if self.best is not None:
            self._restore()

    def _take_epochs(self) -> bool:
        """Some epochs and what follows from each; whether they were the last."""
        own, done = self.own, self.own.n_iter_
        together = self._together()
        if self.order is not None:
            self._shuffle(self.order, together)
        if self.calls_back:
            self.hooks.epoch_begins(done, done)
        for loss in self._losses(together):
            if self._ends(loss):
                return True
        return self.incremental or own.n_iter_ == own.max_iter

    def _shuffle(self, order: NDArray[np.uint32], n_epochs: int) -> None:
        """The orders of the next epochs, each the one before shuffled, as scikit-learn has them."""
        if n_epochs == 1:
            self.own._random_state.shuffle(order)
            self.epochs.batch_rows = order
            return
        orders = np.empty((n_epochs, self.n_rows), np.uint32)
        for i in range(n_epochs):
            self.own._random_state.shuffle(order)
            orders[i] = order
        self.epochs.batch_rows = orders.ravel()

    def _together(self) -> int:
        """Epochs in which nothing but their losses is asked for, and of which only the last can be
        the one after which training stops.
        """
        own = self.own
        if self.held is not None or self.calls_back:
            return 1
        if own.verbose or self.incremental or self.schedule == "invscaling":
            return 1
        left = own.max_iter - own.n_iter_
        if self.order is not None:
            direct = isinstance(self.epochs, Epochs) and self.epochs.rows.is_direct
            left = min(left, max(1, _ORDERED_ROWS // self.n_rows) if direct else 1)
        return int(min(left, max(1, own.n_iter_no_change + 1 - own._no_improvement_count)))

    def _losses(self, n_epochs: int) -> list[float]:
        """Of the next epochs, with the penalty of each batch before its step."""
        own, k = self.own, self.own.n_outputs_
        sums_outputs = k > 1 and self.state.loss.name == "half_sse"
        before = self._penalties() if sums_outputs else 0.0
        if self.hooks.per_batch:
            losses = [self._by_batches()]
        else:
            losses = self.epochs.run(n_epochs, first=own.n_iter_).tolist()
        if sums_outputs:  # scikit-learn reports the mean over the outputs, beside the penalty
            n = self.epochs.n_batches  # of which each begins where the one before has ended
            mean = before + (self._penalties() - before) * (n - 1) / (2 * n)
            penalty = mean * n / self.n_rows
            losses = [(loss - penalty) / k + penalty for loss in losses]
        return [loss + self.least for loss in losses]

    def _penalties(self) -> float:
        return self.state.layout.penalties(self.state.parameters)

    def _by_batches(self) -> float:
        """The loss of an epoch with calls between its batches."""
        hooks = self.hooks
        epoch = parted_epoch(self.epochs, first=self.own.n_iter_, step_by_step=True)
        try:
            while not (epoch.is_complete or self.network.stop_training):
                hooks("on_train_batch_begin", epoch.done, {})
                epoch.run(1)
                hooks("on_train_batch_end", epoch.done - 1, {"loss": epoch.loss})
        finally:
            epoch.close()
        epoch.end()
        return float(epoch.loss)

    def _ends(self, loss: float) -> bool:
        """Account for an epoch; whether training stops after it."""
        own = self.own
        own.n_iter_ += 1
        own.loss_ = loss
        own.t_ += self.n_rows
        own.loss_curve_.append(loss)
        if own.verbose:
            print(f"Iteration {own.n_iter_}, loss = {loss:.8f}")
        logs = {"loss": loss}
        if self.held is None:
            self._count(loss > own.best_loss_ - own.tol)
            own.best_loss_ = min(own.best_loss_, loss)
        else:
            logs |= self._validate(self.held)
        self.state.history.append(own.n_iter_ - 1, logs)
        if self.schedule == "invscaling":
            self._set_rate(own.learning_rate_init / (own.t_ + 1) ** own.power_t)
        stops = own._no_improvement_count > own.n_iter_no_change and self._is_over()
        if self.calls_back:
            self.hooks.epoch_ends(
                own.n_iter_ - 1, own.n_iter_, logs, is_whole=True,
                is_last=stops or own.n_iter_ == own.max_iter, take=lambda: None,
            )  # fmt: skip
            stops = stops or self.network.stop_training
        if not stops and not self.incremental and own.n_iter_ == own.max_iter:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({own.max_iter}) reached and the "
                "optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return stops

    def _count(self, is_no_improvement: bool) -> None:
        own = self.own
        own._no_improvement_count = own._no_improvement_count + 1 if is_no_improvement else 0

    def _validate(self, held: HeldOut) -> dict[str, float]:
        """The figures of the held-out rows; the parameters of the best are kept."""
        own, state = self.own, self.state
        score, logs = held.measure(state)
        own.validation_scores_.append(score)
        if own.verbose:
            print(f"Validation score: {score:f}")
        self._count(score < own.best_validation_score_ + own.tol)
        if self.best is None or score > own.best_validation_score_:
            average = state.average() if own.ema else state.parameters[:0]
            self.best = state.parameters.copy(), average.copy()
        if score > own.best_validation_score_:
            own.best_validation_score_ = score
        return logs

    def _restore(self) -> None:
        assert self.best is not None
        self.state.parameters[:] = self.best[0]
        if self.own.ema:
            self.state.average()[:] = self.best[1]

    def _is_over(self) -> bool:
        """After too many epochs without improvement: whether to stop, or go on slower."""
        own = self.own
        what = "Validation score" if own.early_stopping else "Training loss"
        said = (
            f"{what} did not improve more than tol={own.tol:f} for {own.n_iter_no_change} "
            "consecutive epochs."
        )
        rate = float(self.state.rate[0])
        over = self.schedule != "adaptive" or rate <= _SMALLEST_RATE
        if over:
            said += " Learning rate too small." if self.schedule == "adaptive" else ""
            said += " Stopping."
        else:
            self._set_rate(rate / 5)
            own._no_improvement_count = 0
            said += f" Setting learning rate to {rate / 5:f}"
        if own.verbose:
            print(said)
        return over

    def _set_rate(self, rate: float) -> None:
        """The learning rate of the steps to come, which every engine reads."""
        self.state.rate[0] = rate

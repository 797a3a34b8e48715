"""The verbs of `Network` that train or evaluate: checks, the engine's call, what came of it."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.check.array import shown
from fastbp.check.input import check_batches, check_parameters
from fastbp.check.scalar import check_bool, check_integer, check_n_threads
from fastbp.check.scale import unevenness
from fastbp.error import DivergenceError
from fastbp.history import History
from fastbp.metric import metric
from fastbp.runtime.predict import predict

if TYPE_CHECKING:
    from fastbp.network import Network

Array = NDArray[Any]

_INTERRUPTED, _DIVERGED = 1, 2
_EPOCHS_AT_ONCE = 2**14  # in `train_steps`, whose losses are kept until they are averaged
_PRINT_SECONDS = 0.2  # on a terminal, a line at most so often


def fit(
    network: Network,
    X: ArrayLike,
    y: ArrayLike,
    *,
    epochs: int,
    batch_size: int,
    shuffle: bool,
    batches: Sequence[Sequence[int]] | None,
    validation_data: tuple[ArrayLike, ArrayLike] | None,
    n_threads: int | str,
    verbose: bool | int | str,
    check_finite: bool,
) -> History:
    """See `Network.fit`."""
    usage, mark = network._usage, object()
    try:
        usage.begin_writing(mark)
        epochs = check_integer(epochs, name="epochs", minimum=0)
        batch_size = check_integer(batch_size, name="batch_size", minimum=1)
        shuffle = check_bool(shuffle, name="shuffle")
        n_threads = _check_threads(n_threads)
        lines = _Lines(_check_verbose(verbose), epochs)
        check_finite = check_bool(check_finite, name="check_finite")
        given = X
        X, y = network._checked_pair(X, y, check_finite=check_finite)
        validation = _check_validation(network, validation_data, check_finite)
        order = None if batches is None else check_batches(batches, n_rows=len(X))
        check_parameters(network.parameters, isfinite=network._runtime.scan)
        _warn_once(network, X, given)
        history = network.history = History()
        call = _Call(
            network, X, y, batch_size=batch_size, shuffle=shuffle, order=order, n_threads=n_threads
        )
        together = validation is None and not network.metrics and not lines.enabled
        done = 0
        while done < epochs:
            try:
                losses = call.run(epochs - done if together else 1, first=done)
            except BaseException:
                for i, loss in enumerate(call.finished):  # `network.history` tells what led here
                    history.append(done + i, {"loss": float(loss)})
                raise
            for i, loss in enumerate(losses):
                figures = {"loss": float(loss)}
                if not together:
                    figures |= _figures(network, X, y, validation, call.n_threads)
                history.append(done + i, figures)
                lines.show(done + i, figures)
            done += len(losses)
        return history
    finally:
        usage.writers.discard(mark)


def train_on_batch(network: Network, X: ArrayLike, y: ArrayLike) -> float:
    """See `Network.train_on_batch`."""
    usage, mark = network._usage, object()
    try:
        usage.begin_writing(mark)
        X, y = network._checked_pair(X, y)
        runtime = network._runtime
        engine, _, _ = runtime.engine("train", len(X), 1)
        try:
            loss: float = engine.train_batch(X, y)
        finally:
            # a signal handler may raise as soon as the call returns: what was done counts
            status, _, _, steps = engine.take_progress()
            runtime.steps += steps
        if status == _DIVERGED:
            rate = network.optimizer.learning_rate
            what = _non_finite(loss)
            raise DivergenceError(f"{what} (learning_rate={rate}); parameters unchanged")
        if status == _INTERRUPTED:
            raise engine.take_pending()
        return loss
    finally:
        usage.writers.discard(mark)


def train_steps(
    network: Network,
    X: ArrayLike,
    y: ArrayLike,
    *,
    steps: int,
    batch_size: int,
    shuffle: bool,
    n_threads: int | str,
) -> float:
    """See `Network.train_steps`."""
    usage, mark = network._usage, object()
    try:
        usage.begin_writing(mark)
        steps = check_integer(steps, name="steps", minimum=1)
        batch_size = check_integer(batch_size, name="batch_size", minimum=1)
        shuffle = check_bool(shuffle, name="shuffle")
        n_threads = _check_threads(n_threads)
        given = X
        X, y = network._checked_pair(X, y)
        check_parameters(network.parameters, isfinite=network._runtime.scan)
        _warn_once(network, X, given)
        call = _Call(network, X, y, batch_size=batch_size, shuffle=shuffle, n_threads=n_threads)
        epochs = -(-steps // call.n_batches)
        rows_at_last = min((steps - (epochs - 1) * call.n_batches) * call.batch_size, len(X))
        total, done = 0.0, 0
        while done < epochs:
            losses = call.run(
                min(epochs - done, _EPOCHS_AT_ONCE), first=done,
                max_steps=steps - done * call.n_batches,
            )  # fmt: skip
            total += float(losses.sum()) * len(X)
            done += len(losses)
        total -= float(losses[-1]) * (len(X) - rows_at_last)
        return total / ((epochs - 1) * len(X) + rows_at_last)
    finally:
        usage.writers.discard(mark)


def evaluate(network: Network, X: Array, y: Array, n_threads: int | str) -> dict[str, float]:
    """Loss and metrics of checked data."""
    runtime = network._runtime
    threads = runtime.threads_to_predict(len(X), n_threads)
    engine = runtime.take_predictor(threads)
    try:
        tile_loss = np.empty(-(-len(X) // engine.plan.tile_rows))
        if engine.evaluate(X, y, tile_loss, n_threads=threads):
            raise engine.take_pending()
    finally:
        runtime.give_back(engine)
    found = {"loss": float(tile_loss.sum() / (len(X) * engine.plan.loss_divisor))}
    if network.metrics:
        response = np.empty((len(X), network.n_outputs), network.dtype)
        predict(runtime, X, response, runtime.response_code, n_threads)
        with np.errstate(all="ignore"):  # a metric that overflows is infinite, as the loss would be
            for name in network.metrics:
                found[name] = metric(name, loss=network.loss)(response, y)
    return found


class _Call:
    """The arguments that stay the same over one call's epochs."""

    def __init__(
        self,
        network: Network,
        X: Array,
        y: Array,
        *,
        batch_size: int,
        shuffle: bool,
        n_threads: int | str,
        order: tuple[NDArray[np.uint32], NDArray[np.int64]] | None = None,
    ) -> None:
        self.network, self.X, self.y = network, X, y
        self.given: NDArray[np.uint32] | None = None
        self.limits: NDArray[np.int64] | None = None
        if order is not None:
            self.given, self.limits = order
            self.batch_size, self.n_batches = int(np.diff(self.limits).max()), len(self.limits) - 1
        else:
            self.batch_size = min(batch_size, len(X))
            self.n_batches = -(-len(X) // self.batch_size)
        shuffled = shuffle and order is None
        if (shuffled or order is not None) and len(X) >= 2**32:
            raise ValueError(f"X has {len(X)} rows: an order of rows takes at most {2**32 - 1}")
        self.order = np.empty(len(X), np.uint32) if shuffled else None
        self.n_threads = n_threads
        self.finished = np.zeros(0)  # losses of the last run's whole epochs

    def run(self, epochs: int, *, first: int = 0, max_steps: int = -1) -> NDArray[np.float64]:
        """The losses of `epochs` epochs; `first` is how many this call has done before."""
        network, runtime = self.network, self.network._runtime
        engine, _, threads = runtime.take_trainer(
            self.batch_size, self.n_threads, self.n_batches * epochs
        )
        losses = np.zeros(epochs)
        try:
            engine.train(
                self.X, self.y, batch_size=self.batch_size, epochs=epochs, losses=losses,
                n_threads=threads, order=self.order, given=self.given, limits=self.limits,
                seed=network.seed, first_epoch=runtime.epochs, max_steps=max_steps,
            )  # fmt: skip
        finally:
            # a signal handler may raise as soon as the call returns: what was done counts
            status, epoch, batch, steps = engine.take_progress()
            runtime.steps += epoch * self.n_batches if status == _DIVERGED else steps
            runtime.epochs += epoch
            self.finished = losses[:epoch]
        if status == _DIVERGED:
            self._diverged(losses[epoch], first + epoch, batch)
        if status == _INTERRUPTED:
            raise engine.take_pending()
        return losses

    def _diverged(self, loss: float, epoch: int, batch: int) -> None:
        rate = self.network.optimizer.learning_rate
        place = f"epoch {epoch + 1}, batch {batch + 1} (learning_rate={rate})"
        where = f"the end of epoch {epoch}" if epoch else "before the call"
        raise DivergenceError(f"{_non_finite(loss)} at {place}; parameters restored to {where}")


def _non_finite(loss: float) -> str:
    return "a parameter is not finite" if np.isfinite(loss) else f"loss is {loss}"


def _figures(
    network: Network,
    X: Array,
    y: Array,
    validation: tuple[Array, Array] | None,
    n_threads: int | str,
) -> dict[str, float]:
    """What an epoch reports beside its loss."""
    found: dict[str, float] = {}
    if network.metrics:
        found |= {k: v for k, v in evaluate(network, X, y, n_threads).items() if k != "loss"}
    if validation is not None:
        found |= {f"val_{k}": v for k, v in evaluate(network, *validation, n_threads).items()}
    return found


def _warn_once(network: Network, X: Array, given: object) -> None:
    """Of columns of very different size, where `fit` or `train_steps` of a network was called."""
    if network._scale_was_checked:
        return
    text = unevenness(X, given)
    if text:
        warnings.warn(text, UserWarning, stacklevel=4)
    network._scale_was_checked = True


def _check_threads(n_threads: object) -> int | str:
    """The number, capped, or "auto", which is decided when the work is known."""
    number = check_n_threads(n_threads)
    return "auto" if n_threads == "auto" else number


def _check_verbose(verbose: object) -> str:
    if isinstance(verbose, str) and verbose == "auto":
        return "auto"
    if isinstance(verbose, bool) or (isinstance(verbose, int) and verbose in (0, 1, 2)):
        return "always" if verbose else "never"
    raise ValueError(f"verbose must be True, False or 'auto', got {shown(verbose)}")


def _check_validation(
    network: Network, validation_data: object, check_finite: bool
) -> tuple[Array, Array] | None:
    if validation_data is None:
        return None
    if not isinstance(validation_data, list | tuple) or len(validation_data) != 2:
        raise TypeError(f"validation_data must be a pair (X, y), got {shown(validation_data)}")
    try:
        return network._checked_pair(*validation_data, check_finite=check_finite)
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation_data: {error}") from None


class _Lines:
    """One printed line an epoch; on a terminal under "auto" no more than a few a second."""

    def __init__(self, verbose: str, epochs: int) -> None:
        self.enabled = verbose == "always" or (verbose == "auto" and sys.stdout.isatty())
        self.throttled = verbose == "auto"
        self.epochs = epochs
        self.begin = time.perf_counter()
        self.shown_at = 0.0

    def show(self, epoch: int, figures: Mapping[str, float]) -> None:
        now = time.perf_counter()
        last = epoch + 1 == self.epochs
        if not self.enabled or (
            self.throttled and not last and now - self.shown_at < _PRINT_SECONDS
        ):
            return
        self.shown_at = now
        text = "  ".join(f"{name} {value:.6g}" for name, value in figures.items())
        print(f"epoch {epoch + 1}/{self.epochs}  {text}  {now - self.begin:.1f} s")

"""What every callback is: Keras's hooks, of which a class defines those it wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Logs = dict[str, Any]


class Callback:
    """Base of what `Network.fit` calls between epochs or batches; a Keras class ports by taking
    this base instead of its own.

    Training leaves compiled code only for the hooks that a class (or an instance) defines:
    `on_epoch_begin` and `on_epoch_end` after every epoch, `on_train_batch_begin` and
    `on_train_batch_end` after every step, which costs small networks most of their speed.  In a
    hook the network can be used as between two calls: `predict`, `evaluate`, `save`,
    `set_weights`, ...

    Attributes:
        model: the `Network` that is trained.  `model.stop_training = True` ends the fit after the
            running epoch, or batch where there are hooks for batches.
        params: "epochs", "steps" (batches of an epoch), "verbose", and "metrics", the names that
            `logs` will have.
        epochs_per_call: the hooks of epochs are called once for so many epochs, and after the last.

    `logs` maps names to numbers: "loss", the metrics, "val_loss", ...; of a batch "loss" alone, the
    mean over the epoch so far.  All callbacks get the same dict, in their order, and numbers that
    an `on_epoch_end` puts into it join the history.

    >>> import numpy as np, fastbp as fb
    >>> class Report(fb.Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print(epoch, sorted(logs))
    >>> X = np.arange(4.0)[:, None]
    >>> history = fb.Network([1, 1], seed=0).fit(X, X, epochs=2, callbacks=[Report()])
    0 ['loss']
    1 ['loss']
    """

    # Of the class, so that a subclass need not call __init__.
    model: Any = None
    params: Mapping[str, Any] = {}
    epochs_per_call: int = 1
    saves = False  # whether it writes the network: its hooks are called after those of the others

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Called before training, before anything changes."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Called before training, after `set_params`."""
        self.model = model

    def get_state(self) -> dict[str, Any]:
        """What another of the class needs to go on in this one's place: counters, best numbers, not
        its arguments.  JSON and NumPy arrays of numbers; files hold it.
        """
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` returned: called after `on_train_begin`, where a fit goes on
        where another one was stopped.
        """

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch, with its logs; not where an exception ends the fit."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before the epoch of this number, from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After it, and after its validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before the step of this number in its epoch, from 0; by default `on_batch_begin`."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After it; by default `on_batch_end`."""
        self.on_batch_end(batch, logs)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Another name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Another name of `on_train_batch_end`."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before a validation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After a validation, with its "loss" and metrics."""

    # Keras's others, which nothing here calls: a subclass may call them of its base.

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Never called: a validation is one compiled call."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Never called."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Never called: `predict` takes no callbacks."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Never called."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Never called."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Never called."""


def defines(callback: Callback, hook: str) -> bool:
    """Whether a class, or an instance as a `LambdaCallback`, has a hook of its own."""
    method = getattr(callback, hook)
    return getattr(method, "__func__", method) is not getattr(Callback, hook)

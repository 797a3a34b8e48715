"""What trains a network: `fit`, single steps, and what looks into one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from fastbp.check.array import FloatArray
from fastbp.history import History
from fastbp.runtime import step, train
from fastbp.runtime.state import State

if TYPE_CHECKING:
    from fastbp.callback import Callback
    from fastbp.runtime.backup import Backup


class Trainer:
    """The part of a `Network` that trains it, as in Keras; not made on its own."""

    _state: State

    stop_training: bool = False  # set by a callback, as in Keras: ends the running `fit`

    def fit(
        self,
        X: ArrayLike | Iterable[Sequence[ArrayLike]] | Callable[[], Iterable[Sequence[ArrayLike]]],
        y: ArrayLike | Mapping[str, ArrayLike] | None = None,
        *,
        epochs: int = 1,
        batch_size: int | None = None,
        shuffle: bool = True,
        batches: Sequence[Sequence[int]] | None = None,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | str | None = None,
        validation_data: Sequence[ArrayLike] | None = None,
        validation_split: float | None = None,
        validation_freq: int = 1,
        callbacks: Sequence[Callback] | Callback | None = (),
        initial_epoch: int = 0,
        backup: str | os.PathLike[str] | Backup | None = None,
        max_seconds: float | None = None,
        accumulate: int = 1,
        ignore_nan: bool = False,
        n_threads: int | str = "auto",
        verbose: bool | int | str = "auto",
        check_finite: bool = True,
    ) -> History:
        """Train for `epochs` passes over the rows; returns the figures of each epoch, also kept in
        `.history`.

        A fit that was stopped within an epoch (Ctrl-C, an exception, `max_seconds`,
        `stop_training`) is gone on with by the next one of the same rows and batches, in this
        process or in another after `save` and `load`: it begins with the batches that are left.
        With `initial_epoch=net.epochs` the result is that of a fit which was not stopped, to the
        bit.  A next fit of other rows or batches drops the rest of the epoch.

        Args:
            X: (n, n_features), anything NumPy can read, memory-mapped files and frames too. What is
                not of the network's dtype is converted: once, or batch by batch where the copy
                would be large, more than 64 MiB and than X itself has in memory.
                Without y: chunks (X, y) or (X, y, sample_weight), read by a thread ahead of the
                training; a list of them, any iterable, or for several epochs of an iterator a
                function that returns one.  A batch goes on from one chunk into the next.
            y: (n, n_outputs), or (n,) for one output; class indices (n,) or rows of probabilities
                for "cross_entropy".  Of several heads a dict of such arrays by their names, in
                chunks and `validation_data` too.
            batch_size: rows of a step; the last batch of an epoch may be shorter, its mean is over
                its own rows.  None is 32, or all rows for an optimizer that needs them, as
                `LBFGS`.
            shuffle: a new order each epoch, a function of the seed and the number of epochs trained
                before.  Chunks keep their order, their rows are shuffled within each.
            batches: an explicit order of mini-batches of row numbers, for every epoch, instead of
                the two before.
            sample_weight: (n,), >= 0.  Means are weighted ones: a row of weight 2 counts as two, a
                row of weight 0 is left out.
            class_weight: {class: weight} or "balanced", n / (number of classes * rows of the
                class): the weight of a row by its class, times `sample_weight`.  Not applied to
                validation data.
            validation_data: (X, y) or (X, y, sample_weight) to evaluate after each epoch:
                "val_loss" and "val_" metrics.
            validation_split: the share of the rows, in (0, 1), to hold out for that instead, chosen
                by the seed and of each class alike.
            validation_freq: evaluate them after every so many epochs.
            callbacks: `Callback`s to call in between; `net.stop_training = True` ends the fit.
            initial_epoch: the number of the first epoch, to go on where another fit ended or was
                stopped, with its history and the states of its callbacks; `epochs` is the number of
                all, as in Keras.  `net.epochs` where all its fits were one run.
            backup: of a file, or a `Backup`: the run is kept in it every 30 seconds, and goes on by
                itself where it is there.  It is deleted at the end.
            max_seconds: stop in time, within an epoch too, validation counted in; `epochs` is then
                the most there will be.  A learning rate schedule of a certain length is stretched
                over the steps that fit, for this fit.
            accumulate: so many consecutive batches make one step, by the mean over all their rows:
                as a `batch_size` so many times as large.  The last step of an epoch may have fewer.
            ignore_nan: targets that are NaN are left out, of every mean too.  Of several heads a
                row counts for those whose targets it has: of n rows a head with targets in m gives
                each of these the weight n / m.  No `class_weight` with several heads.
            n_threads: at most so many; "auto" (`fb.get_num_threads()`) only where they pay.  The
                result is the same to the bit.
            verbose: 0 or False shows nothing, 1 or True a bar, 2 a line for each epoch; "auto" the
                bar, but nothing in a pipe or file.  Without `tqdm`, and with 1 in a pipe, the bar
                is lines.
            check_finite: False skips the search for NaN and infinity.

        Returns:
            `History`; "loss" is the mean over the epoch's batches, weighted by rows or by their
            weights, without penalties; of several heads the weighted sum, with "class_loss" and so
            on for each.  Metrics of the training data come from the epoch's own
            steps, each before its update; of chunks only accuracy, mae and mse.  Of an X that is
            converted batch by batch the others are measured after the epoch.  "learning_rate" is
            there where it changes.  After an exception `net.history` says what was done.

        Warns:
            UserWarning: `initial_epoch` does not follow the last epoch; a backup cannot be written.
            UserWarning: columns of X differ more than a hundredfold in size; before anything is
                trained, and only in the network's first `fit` or `train_steps`.

        Raises:
            TypeError, ValueError: bad input; nothing has changed by then.  Chunks are checked as
                they come: the steps before a bad one are taken.
            DivergenceError: the loss or a parameter became non-finite; back at the end of the last
                good epoch.
            ModelBusyError: another call uses the network.
            KeyboardInterrupt: within 200 ms of Ctrl-C, at the end of a step.
            Exception: of a callback, between two steps; the network can be used and trained on.

        >>> import numpy as np, fastbp as fb
        >>> X, y = np.eye(4), np.array([0, 1, 0, 1])
        >>> net = fb.Network([4, 2], loss="cross_entropy", seed=0)
        >>> _ = net.fit(X, y, sample_weight=[1, 1, 2, 0], epochs=20)
        >>> _ = net.fit([(X[:3], y[:3]), (X[3:], y[3:])], epochs=20, batch_size=2)
        >>> net.predict_classes(X).tolist()
        [0, 1, 0, 1]
        """
        from fastbp.runtime.fit import fit  # with all that goes with it: not at every import

        return fit(
            self._state, X, y, epochs=epochs, batch_size=batch_size, shuffle=shuffle,
            batches=batches, sample_weight=sample_weight, class_weight=class_weight,
            validation_data=validation_data, validation_split=validation_split,
            validation_freq=validation_freq, accumulate=accumulate, ignore_nan=ignore_nan,
            callbacks=callbacks, initial_epoch=initial_epoch, backup=backup,
            max_seconds=max_seconds,
            n_threads=n_threads, verbose=verbose, check_finite=check_finite, model=self,
        )  # fmt: skip

    def train_on_batch(
        self,
        X: ArrayLike,
        y: ArrayLike | Mapping[str, ArrayLike],
        *,
        sample_weight: ArrayLike | None = None,
        normalize: bool = True,
        ignore_nan: bool = False,
    ) -> float:
        """Exactly one optimizer step on all rows; returns their mean loss before it.

        Args:
            sample_weight: (n,), as for `fit`; of weights that are all 0 the loss is 0 and its
                gradient too, the step is taken.
            normalize: divide the sum of the weighted losses by the sum of the weights, which are
                then >= 0; False divides by the number of rows (of targets that are there, with
                `ignore_nan`), for weights of any sign (returns and advantages of a policy
                gradient).
            ignore_nan: targets that are NaN are left out: those of the actions not taken, say; of
                several heads each for itself.

        Raises as `fit`; after a DivergenceError nothing has changed.

        >>> import numpy as np, fastbp as fb
        >>> net = fb.Network([2, 3], loss="cross_entropy", seed=0)
        >>> states, actions, advantage = np.eye(2), [0, 2], [1.5, -0.5]
        >>> loss = net.train_on_batch(states, actions, sample_weight=advantage, normalize=False)
        """
        if sample_weight is None and normalize is True and ignore_nan is False:
            return train.train_on_batch(self._state, X, y)
        return train.train_on_weighted_batch(
            self._state, X, y, sample_weight=sample_weight, normalize=normalize,
            ignore_nan=ignore_nan,
        )  # fmt: skip

    def train_steps(
        self,
        X: ArrayLike,
        y: ArrayLike | Mapping[str, ArrayLike],
        *,
        steps: int,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | str | None = None,
        ignore_nan: bool = False,
        n_threads: int | str = "auto",
    ) -> float:
        """`steps` optimizer steps over mini-batches, epoch after epoch, in one call; returns their
        mean loss by rows, or by their weights.

        Arguments, errors and warnings are those of `fit`.
        """
        return train.train_steps(
            self._state, X, y, steps=steps, batch_size=batch_size, shuffle=shuffle,
            sample_weight=sample_weight, class_weight=class_weight, ignore_nan=ignore_nan,
            n_threads=n_threads,
        )  # fmt: skip

    # bring your own loss

    def forward(self, X: ArrayLike, *, training: bool = True) -> Any:
        """What the declared layers output, (n, n_outputs), all activations kept for `backward`; of
        several heads a dict.

        Layers that act in training alone, as `Dropout`, do so unless `training` is False: what they
        draw is that of the next step, and until it is taken the same for the same row of a batch.
        Rows after a `backward` count on from its own, so that several batches for one step draw as
        one of all their rows would.  `BatchNorm` takes the statistics of these rows, which its
        running ones follow; with `training` False it goes by the latter, as constants.
        """
        return step.forward(self._state, X, training)

    def backward(self, dL_dout: Any, *, accumulate: bool = False) -> FloatArray:
        """From dL/doutput, (n, n_outputs), of the rows of the last `forward`: dL/dX, (n,
        n_features).  With one output (n,) will do; of several heads it is a dict with all of them.

        The gradients of the parameters are in `.gradients`, for `step`; sums over rows, as the
        chain rule gives them.  `accumulate` adds them to those that are there, for one step from
        several batches; otherwise they take their place.

        Raises:
            RuntimeError: no `forward` before.
            ValueError: another shape, NaN.

        >>> import numpy as np, fastbp as fb
        >>> net = fb.Network([2, 1], optimizer=fb.SGD(0.1), seed=0)
        >>> for accumulate, x in enumerate(([1, 0], [0, 1])):
        ...     out = net.forward([x])
        ...     dX = net.backward(out - 1, accumulate=bool(accumulate))
        >>> net.gradients["dense_1/kernel"].ravel().tolist()
        [-1.0, -1.0]
        >>> net.step()
        """
        return step.backward(self._state, dL_dout, accumulate=accumulate)

    def step(self) -> None:
        """One optimizer step from `.gradients`, which may have been changed (clipped, averaged)
        since `backward`.

        Raises RuntimeError without gradients.
        """
        step.step(self._state)

    def trace(self, X: ArrayLike, y: ArrayLike | Mapping[str, ArrayLike]) -> dict[str, Any]:
        """Every intermediate number of one forward and backward pass over all rows, without an
        update.

        Returns:
            For each Dense layer "name/z" pre-activation, "name/a" output, "name/da" dL/da (missing
            where the loss fuses the activation), "name/dz" dL/dz, "name/kernel" and "name/bias" the
            gradients; "output" what the declared layers output, a dict of several heads; "loss".
            Gradients carry the loss's
            division by the rows, penalties are left out.
        """
        from fastbp.inspection.trace import trace

        return trace(self._state, X, y)

    def check_gradients(self, X: ArrayLike, y: ArrayLike | Mapping[str, ArrayLike]) -> float:
        """The largest relative difference between backpropagation and central differences, over all
        parameters.

        Computed in float64 on a copy: about 1e-9 where all is well (a ReLU within 1e-6 of its kink
        can show more).
        """
        from fastbp.inspection.gradient_check import check_gradients

        return check_gradients(self._state, X, y)

"""The network: the verbs that train it and compute with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastbp.activation import Activation
from fastbp.check.array import shown
from fastbp.check.input import check_X
from fastbp.check.scalar import check_bool, check_integer, check_seed
from fastbp.check.target import check_y
from fastbp.history import History
from fastbp.initializer import (
    Initializer,
    resolve_bias_initializer,
    resolve_kernel_initializer,
)
from fastbp.inspection import trace as inspection
from fastbp.layer import Layer
from fastbp.layer.architecture import initialized, resolve_layers
from fastbp.loss import Loss, resolve_loss
from fastbp.metric import metric, resolve_metric
from fastbp.model import Model
from fastbp.optimizer import Optimizer, resolve_optimizer
from fastbp.random import draw_seed
from fastbp.runtime import fit as training
from fastbp.runtime import predict as prediction
from fastbp.runtime.predict import Predictor
from fastbp.runtime.state import Runtime
from fastbp.runtime.step import Manual

Array = NDArray[Any]


class Network(Model):
    """A dense network: y = f(x), trained by backpropagation.

    Args:
        layers: an `Input` followed by `Dense`, `Residual` and `Branch` layers, or a list of sizes
            [n_features, hidden, ..., n_outputs].
        activation: of the hidden layers of a list of sizes; the output is linear, its response what
            the loss implies.
        loss: a name or a `Loss`.  The cross-entropies work from the last layer's pre-activation: a
            final softmax (sigmoid) is fused with "cross_entropy" ("binary_cross_entropy"), a
            missing one implied by `predict`.
        optimizer: a name or an `SGD`, `Adam` or `AdamW`.
        metrics: names of what `evaluate` and `fit` report beside the loss: "accuracy", "mae",
            "mse".
        kernel_initializer, bias_initializer: of the layers that name none of their own; None for
            the defaults: kernels uniform of variance part / fan_in, biases 0.  The part is 1/3
            before a ReLU or leaky ReLU, 1 before linear, sigmoid and softmax, 1/2 before others;
            in layers that read the n inputs 1/8, 1/2 and 1/4 respectively, but at least 1 / n, and
            their biases are uniform of variance 1 / n.  A linear model (a single linear, sigmoid or
            softmax layer) starts at 0.
        dtype: "float32" or "float64", of parameters and arithmetic.
        seed: of initial values and shuffling, 0..2**64-1; None draws one and keeps it in `.seed`.
        backend: "cython", "numpy", or None for the one chosen at import.

    Raises:
        TypeError, ValueError: an argument of another type, unknown name, widths that do not fit.
        ImportError: backend "cython" without compiled kernels.
        MemoryError: the parameters do not fit.

    >>> import numpy as np, fastbp as fb
    >>> net = fb.Network([2, 8, 1], activation="tanh", loss="binary_cross_entropy",
    ...                  optimizer=fb.Adam(0.05), seed=1)
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> history = net.fit(X, [0, 1, 1, 0], epochs=500, batch_size=4)
    >>> net.predict_classes(X).tolist()
    [0, 1, 1, 0]
    """

    def __init__(
        self,
        layers: Sequence[int] | Sequence[Layer],
        *,
        activation: str | Activation | None = None,
        loss: str | Loss = "mse",
        optimizer: str | Optimizer = "adam",
        metrics: Sequence[str] = (),
        kernel_initializer: str | float | Initializer | None = None,
        bias_initializer: str | float | Initializer | None = None,
        dtype: DTypeLike = "float32",
        seed: object = None,
        backend: str | None = None,
    ) -> None:
        self._layers = initialized(
            resolve_layers(layers, activation),
            kernel=resolve_kernel_initializer(kernel_initializer),
            bias=resolve_bias_initializer(bias_initializer),
        )
        loss, optimizer = resolve_loss(loss), resolve_optimizer(optimizer)
        if not isinstance(metrics, list | tuple):
            raise TypeError(f"metrics must be a list of names, got {shown(metrics)}")
        self.metrics = tuple(resolve_metric(name) for name in metrics)
        for name in self.metrics:
            metric(name, loss=loss)
        self.seed = draw_seed() if seed is None else check_seed(seed)
        self.history = History()
        self._runtime = Runtime(
            self._layers,
            loss,
            optimizer,
            dtype=_dtype(dtype),
            seed=self.seed,
            backend=backend,
        )
        self._usage = self._runtime.usage
        self._gradient: Array | None = None
        self._manual = Manual(self._runtime)

    # training

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        epochs: int = 1,
        batch_size: int = 32,
        shuffle: bool = True,
        batches: Sequence[Sequence[int]] | None = None,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        n_threads: int | str = "auto",
        verbose: bool | int | str = "auto",
        check_finite: bool = True,
    ) -> History:
        """Train for `epochs` passes over the rows; returns the figures of each epoch, also kept in
        `.history`.

        Args:
            X: (n, n_features), anything NumPy can read; converted once if not of the network's
                dtype.
            y: (n, n_outputs), or (n,) for one output; class indices (n,) or rows of probabilities
                for "cross_entropy".
            batch_size: rows of a step; the last batch of an epoch may be shorter, its mean is over
                its own rows.
            shuffle: a new order each epoch, a function of the seed and the number of epochs trained
                before.
            batches: an explicit order of mini-batches of row numbers, for every epoch, instead of
                the two before.
            validation_data: (X, y) to evaluate after each epoch: "val_loss" and "val_" metrics.
            n_threads: at most so many; "auto" (all processors) only where they pay.  The result is
                the same to the bit.
            verbose: True prints a line an epoch, "auto" does on a terminal, False never.
            check_finite: False skips the search for NaN and infinity.

        Returns:
            `History`; "loss" is the mean over the epoch's batches, weighted by rows, without
            penalties.  Metrics of the training data are taken after each epoch.

        Warns:
            UserWarning: columns of X differ more than a hundredfold in size; before anything is
                trained, and only in the network's first `fit` or `train_steps`.

        Raises:
            TypeError, ValueError: bad input; nothing has changed by then.
            DivergenceError: the loss or a parameter became non-finite; back at the end of the last
                good epoch.
            ModelBusyError: another call uses the network.
            KeyboardInterrupt: within 200 ms of Ctrl-C, at the end of a step.
        """
        return training.fit(
            self, X, y, epochs=epochs, batch_size=batch_size, shuffle=shuffle, batches=batches,
            validation_data=validation_data, n_threads=n_threads, verbose=verbose,
            check_finite=check_finite,
        )  # fmt: skip

    def train_on_batch(self, X: ArrayLike, y: ArrayLike) -> float:
        """Exactly one optimizer step on all rows; returns their mean loss before it.

        Raises as `fit`; after a DivergenceError nothing has changed.
        """
        return training.train_on_batch(self, X, y)

    def train_steps(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        steps: int,
        batch_size: int = 32,
        shuffle: bool = True,
        n_threads: int | str = "auto",
    ) -> float:
        """`steps` optimizer steps over mini-batches, epoch after epoch, in one call; returns their
        mean loss by rows.

        Raises and warns as `fit`.
        """
        return training.train_steps(
            self, X, y, steps=steps, batch_size=batch_size, shuffle=shuffle, n_threads=n_threads
        )

    # bring your own loss

    def forward(self, X: ArrayLike) -> Array:
        """What the declared layers output, (n, n_outputs), all activations kept for `backward`."""
        usage, mark = self._usage, object()
        try:
            usage.begin_writing(mark)
            return self._manual.forward(self._checked(X))
        finally:
            usage.writers.discard(mark)

    def backward(self, dL_dout: ArrayLike) -> Array:
        """From dL/doutput, (n, n_outputs), of the rows of the last `forward`: dL/dX, (n,
        n_features).

        The gradients of the parameters are in `.gradients`, for `step`; sums over rows, as the
        chain rule gives them.

        Raises:
            RuntimeError: no `forward` before.
            ValueError: another shape, NaN.
        """
        usage, mark = self._usage, object()
        try:
            usage.begin_writing(mark)
            dX, self._gradient = self._manual.backward(dL_dout)
            return dX
        finally:
            usage.writers.discard(mark)

    def step(self) -> None:
        """One optimizer step from `.gradients`, which may have been changed (clipped, averaged)
        since `backward`.

        Raises RuntimeError without gradients.
        """
        usage, mark = self._usage, object()
        try:
            usage.begin_writing(mark)
            if self._gradient is None:
                raise RuntimeError("step needs a backward before it")
            self._manual.step(self._gradient)
        finally:
            usage.writers.discard(mark)

    def trace(self, X: ArrayLike, y: ArrayLike) -> dict[str, Any]:
        """Every intermediate number of one forward and backward pass over all rows, without an
        update.

        Returns:
            For each Dense layer "name/z" pre-activation, "name/a" output, "name/da" dL/da (missing
            where the loss fuses the activation), "name/dz" dL/dz, "name/kernel" and "name/bias" the
            gradients; "output" what the declared layers output; "loss".  Gradients carry the loss's
            division by the rows, penalties are left out.
        """
        return inspection.trace(self, X, y)

    def check_gradients(self, X: ArrayLike, y: ArrayLike) -> float:
        """The largest relative difference between backpropagation and central differences, over all
        parameters.

        Computed in float64 on a copy: about 1e-9 where all is well (a ReLU within 1e-6 of its kink
        can show more).
        """
        return inspection.check_gradients(self, X, y)

    # use

    def __call__(self, X: ArrayLike) -> Array:
        """What the declared layers output for each row, (n, n_outputs)."""
        return prediction.respond(self, X, self._runtime.declared_code)

    def predict(
        self,
        X: ArrayLike,
        *,
        batch_size: int | None = None,
        out: Array | None = None,
        n_threads: int | str = "auto",
        check_finite: bool = True,
    ) -> Array:
        """The response for each row, (n, n_outputs): probabilities for the cross-entropies.

        A row has the same bits alone, in any batch and on any number of threads.  `batch_size` is
        accepted and without effect.  `out` takes the result: (n, n_outputs), of the network's
        dtype, C order.
        """
        if batch_size is not None:
            check_integer(batch_size, name="batch_size", minimum=1)
        if check_finite is not True:
            check_finite = check_bool(check_finite, name="check_finite")
        return prediction.respond(
            self, X, self._runtime.response_code, out=out,
            check_finite=check_finite, n_threads=n_threads,
        )  # fmt: skip

    def predictor(self, *, batch_size: int = 1) -> Predictor:
        """`predict` for exactly `batch_size` rows a call, prepared once: a small network answers
        for one row within a microsecond.

        It follows later changes of the parameters.  The array it returns is its own, overwritten by
        its next call; each thread needs a predictor of its own.  With a `batch_size` of 1 it takes
        (n_features,) too and returns (n_outputs,).

        >>> import numpy as np, fastbp as fb
        >>> net = fb.Network([2, 4, 1], activation="tanh", seed=0)
        >>> respond, x = net.predictor(), np.array([0.5, -0.5], np.float32)
        >>> respond(x).shape
        (1,)
        >>> bool(respond(x) == net.predict(x[np.newaxis])[0])
        True
        """
        return Predictor(self, batch_size=batch_size)

    def predict_classes(self, X: ArrayLike) -> NDArray[np.int64]:
        """The class of each row, (n,): the largest response, or for one output whether it is at
        least 0.5.
        """
        response = self.predict(X)
        if self.n_outputs == 1:
            return (response[:, 0] >= 0.5).astype(np.int64)
        return response.argmax(axis=1)

    def evaluate(
        self, X: ArrayLike, y: ArrayLike, *, n_threads: int | str = "auto"
    ) -> dict[str, float]:
        """The mean loss over the rows (penalties left out) and the metrics, by name."""
        usage, mark = self._usage, object()
        try:
            usage.begin_reading(mark)
            X, y = self._checked_pair(X, y)
            return training.evaluate(self, X, y, n_threads)
        finally:
            usage.readers.discard(mark)

    def _checked(self, X: ArrayLike, *, minimum_rows: int = 1, check_finite: bool = True) -> Array:
        runtime = self._runtime
        found = runtime.accept(X, runtime.n_features, check_finite)
        if found is not None:
            return found
        return check_X(
            X, n_features=self.n_features, dtype=self.dtype, minimum_rows=minimum_rows,
            check_finite=check_finite, isfinite=runtime.scan,
        )  # fmt: skip

    def _checked_pair(
        self, X: ArrayLike, y: ArrayLike, *, check_finite: bool = True
    ) -> tuple[Array, Array]:
        runtime = self._runtime
        rows = runtime.accept(X, runtime.n_features, check_finite)
        if rows is None:
            rows = self._checked(X, check_finite=check_finite)
        target = runtime.accept_target(y, runtime.n_outputs, check_finite)
        if target is not None and len(target) == len(rows):
            return rows, target
        return rows, check_y(
            y, n_rows=len(rows), n_out=self.n_outputs, domain=self.loss.domain, dtype=self.dtype,
            check_finite=check_finite, isfinite=runtime.scan,
        )  # fmt: skip


def _dtype(dtype: DTypeLike) -> np.dtype[Any]:
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.name not in ("float32", "float64"):
        raise ValueError(f"unknown dtype {shown(dtype)}; known: float32, float64")
    return np.dtype(found.name)  # the very object that arrays carry

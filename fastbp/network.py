"""The network: the one public class, whose every verb is a call of the rooms below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastbp.activation import Activation
from fastbp.check.array import FloatArray
from fastbp.check.message import shown
from fastbp.check.scalar import check_bool, check_integer, check_seed
from fastbp.derivative import Differentiable
from fastbp.description import describe, metrics_of
from fastbp.history import History
from fastbp.initializer import Initializer
from fastbp.layer import Layer
from fastbp.loss import Loss
from fastbp.metric import Function, Metric
from fastbp.optimizer import Optimizer
from fastbp.runtime import rate, snapshot
from fastbp.runtime.predict import HeadPredictor, Predictor, evaluate, respond
from fastbp.runtime.state import State
from fastbp.saver import Saver
from fastbp.schedule import LearningRate
from fastbp.trainer import Trainer

if TYPE_CHECKING:
    from fastbp.inspection.explanation import PlanExplanation
    from fastbp.picture.drawing import Drawing

Metrics = Sequence[str | Metric | Function]


class Network(Trainer, Differentiable, Saver):
    """A dense network: y = f(x), trained by backpropagation.

    Args:
        layers: an `Input` followed by `Dense`, `Residual` and `Branch` layers, or a list of sizes
            [n_features, hidden, ..., n_outputs].  With `Heads` for the last, targets, outputs and
            predictions are dicts by the names of the heads.
        activation: of the hidden layers of a list of sizes; the output is linear, its response what
            the loss implies.
        loss: a name or a `Loss`; None is "mse", or those of the `Heads`.  The cross-entropies work
            from the last layer's pre-activation: a final softmax (sigmoid) is fused with
            "cross_entropy" ("binary_cross_entropy"), a missing one implied by `predict`.  Or a
            function (y, output) -> (loss, gradient), called once for each batch with arrays that it
            cannot write to: what the declared layers output, (n, n_outputs), and its rows of y,
            (n, 1) where y is (n,) and there is one output, else as they came, whole numbers as
            int64.  It returns the mean of the rows, a number, and its derivative by the output, of
            the output's shape.  With `sample_weight=` among its arguments it gets those, (n,),
            where there are weights.
        optimizer: a name or an optimizer, such as `SGD`, `Adam`, `AdamW` or `RMSprop`.
        metrics: what `evaluate` and `fit` report beside the loss: names ("accuracy", "roc_auc",
            "f1_macro"; `fb.Metric` lists them), `fb.Metric` with a parameter, and functions
            (y, prediction) -> float, reported by their `__name__`.  A function gets `y` as class
            indices (n,) or shaped as the prediction, (n, n_outputs), and what `predict` returns.
            With `Heads` a dict of lists of names, reported as "class_accuracy".
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
        loss: str | Loss | Function | None = None,
        optimizer: str | Optimizer = "adam",
        metrics: Metrics | Mapping[str, Metrics] = (),
        kernel_initializer: str | float | Initializer | None = None,
        bias_initializer: str | float | Initializer | None = None,
        dtype: DTypeLike = "float32",
        seed: object = None,
        backend: str | None = None,
    ) -> None:
        description = describe(
            layers, activation=activation, loss=loss, optimizer=optimizer, metrics=metrics,
            kernel_initializer=kernel_initializer, bias_initializer=bias_initializer, dtype=dtype,
            seed=seed,
        )  # fmt: skip
        self._state = State(description, backend=backend)
        if description.metrics:  # now that the number of outputs is known
            self.metrics = description.metrics

    _init = __init__

    # use

    def __call__(self, X: ArrayLike) -> Any:
        """What the declared layers output for each row, (n, n_outputs); for one observation
        (n_features,) it is (n_outputs,); of several heads a dict.
        """
        state = self._state
        found = respond(state, X, state.declared_activation)
        return found if state.heads is None else state.heads.split(found)

    def predict(
        self,
        X: ArrayLike,
        *,
        batch_size: int | None = None,
        out: FloatArray | None = None,
        n_threads: int | str = "auto",
        check_finite: bool = True,
        ema: bool = False,
    ) -> Any:
        """The response for each row, (n, n_outputs): probabilities for the cross-entropies.  Of
        several heads a dict of such arrays, views of one.

        A row has the same bits alone, in any batch and on any number of threads.  One observation
        (n_features,) will do too, and gives (n_outputs,).  `batch_size` is accepted and without
        effect.  `out` takes the result: of its shape and the network's dtype, C order; not of
        several heads.  `ema` answers by the average of the parameters that the optimizer keeps.
        """
        if batch_size is not None:
            check_integer(batch_size, name="batch_size", minimum=1)
        if check_finite is not True:
            check_finite = check_bool(check_finite, name="check_finite")
        if ema is not False:
            ema = check_bool(ema, name="ema")
        state = self._state
        if out is not None and state.heads is not None:
            raise ValueError("out is for a network of one output, this one ends in Heads")
        found = respond(
            state, X, state.response_activation,
            out=out, check_finite=check_finite, n_threads=n_threads, ema=ema,
        )  # fmt: skip
        return found if state.heads is None else state.heads.split(found)

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
        kind = Predictor if self._state.heads is None else HeadPredictor
        return kind(self._state, batch_size=batch_size)

    def predict_classes(self, X: ArrayLike) -> Any:
        """The class of each row, (n,): the largest response, or for one output whether it is at
        least 0.5.  Of one observation (n_features,), an np.int64.  Of several heads a dict of those
        with a cross-entropy; ValueError where there is none.
        """
        response = self.predict(X)
        if self._state.heads is not None:
            return self._state.heads.classes(response)
        if self.n_outputs == 1:
            return (response[..., 0] >= 0.5).astype(np.int64)
        return response.argmax(axis=-1)

    def evaluate(
        self,
        X: ArrayLike,
        y: ArrayLike | Mapping[str, ArrayLike],
        *,
        sample_weight: ArrayLike | None = None,
        ignore_nan: bool = False,
        n_threads: int | str = "auto",
        ema: bool = False,
    ) -> dict[str, float]:
        """The mean loss over the rows (penalties left out) and the metrics, by name; weighted by
        `sample_weight`, (n,), without the targets that are NaN under `ignore_nan`; with
        `ema` by the average of the parameters.  Of several heads "loss" is the weighted sum, and
        each has a loss of its own, as "class_loss".
        """
        ema = check_bool(ema, name="ema")
        return evaluate(
            self._state, X, y, sample_weight=sample_weight, ignore_nan=ignore_nan,
            n_threads=n_threads, ema=ema,
        )  # fmt: skip

    # parameters

    @property
    def parameters(self) -> dict[str, FloatArray]:
        """Writable views by name: "dense_1/kernel" (n_in, n_out), "dense_1/bias" (n_out,), ..."""
        return self._state.parameter_views()

    @property
    def gradients(self) -> dict[str, FloatArray]:
        """The same names, from the last `backward` or `trace`: the loss's gradient, without
        penalties.  Writable views, which the next `backward` may overwrite: copy what shall stay.

        Raises RuntimeError before the first of them.
        """
        return self._state.gradient_views()

    @property
    def optimizer_state(self) -> dict[str, FloatArray]:
        """Views by name: "m/dense_1/kernel", "v/dense_1/kernel", or "momentum/dense_1/kernel"."""
        return self._state.optimizer_state_views()

    def get_weights(self, *, ema: bool = False) -> list[FloatArray]:
        """Copies of all parameters, layer by layer, kernel (n_in, n_out) before bias; with `ema` of
        their average.
        """
        state = self._state
        flat = state.average() if check_bool(ema, name="ema") else state.parameters
        return [view.copy() for view in state.layout.views(flat).values()]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """All parameters, in the order of `get_weights`.

        Raises ValueError for wrong shapes and NaN, nothing set.
        """
        snapshot.set_weights(self._state, weights)

    def update_from(self, other: Network, *, tau: float = 1.0) -> None:
        """Parameters = tau times those of `other` + (1 - tau) times the own: a target network that
        follows another, at once (tau = 1) or slowly.

        Optimizer and counters stay as they are.

        Args:
            other: a network of the same dtype, with parameters of the same shapes.
            tau: in [0, 1].

        Raises:
            TypeError: `other` is no network, `tau` no number.
            ValueError: other shapes, another dtype, `tau` out of range.
            ModelBusyError: one of the two is in use.

        >>> import fastbp as fb
        >>> net, target = fb.Network([4, 8, 2], seed=0), fb.Network([4, 8, 2], seed=1)
        >>> target.update_from(net)
        >>> target.update_from(net, tau=0.005)
        """
        if not isinstance(other, Network):
            raise TypeError(f"other must be a Network, got {shown(other)}")
        snapshot.update_from(self._state, other._state, tau=tau)

    def reset(self, seed: object = None) -> None:
        """Back to the beginning: initial values, optimizer, steps, epochs and history as those of a
        new network of the same description, in a tenth of the time.  A learning rate that was set,
        by a callback too, belongs to the description.

        Args:
            seed: of initial values and shuffling, as for `Network`; None keeps `.seed`, and so
                gives the very values that the network started with.

        >>> import fastbp as fb
        >>> net = fb.Network([4, 8, 2], seed=0)
        >>> net.reset(seed=1)
        >>> net.seed, net.steps
        (1, 0)
        """
        snapshot.reset(self._state, seed=seed)

    # description

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, the `Input` first, with the initializers that the network chose for them."""
        return self._state.layers

    @property
    def loss(self) -> Any:
        """The loss; of several heads a dict of theirs."""
        loss = self._state.loss
        return loss if isinstance(loss, Loss) else dict(zip(loss.names, loss.losses, strict=True))

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer."""
        return self._state.optimizer

    @property
    def learning_rate(self) -> float:
        """Of the next step.  Setting it, to a number, a `Schedule` or a function of the number of
        steps taken, keeps the optimizer's state, and `optimizer` tells of it: so do `copy`, pickles
        and files.  A schedule goes on from `steps`, it does not begin anew.

        Raises:
            TypeError, ValueError: none of them, not finite, < 0; nothing has changed by then.
            ModelBusyError: set while another call uses the network.

        >>> import fastbp as fb
        >>> net = fb.Network([2, 4, 1], optimizer=fb.Adam(fb.CosineDecay(1e-3, 1000)), seed=0)
        >>> net.learning_rate
        0.001
        >>> net.learning_rate = 1e-4
        >>> net.optimizer.learning_rate
        0.0001
        """
        return rate.next_rate(self._state)

    @learning_rate.setter
    def learning_rate(self, value: LearningRate) -> None:
        rate.set_learning_rate(self._state, value)

    @property
    def metrics(self) -> tuple[str | Function, ...]:
        """What `evaluate` and `fit` report beside the loss: names, and functions of yours.

        Can be set, to what the argument takes.
        """
        return self._state.description.metrics

    @metrics.setter
    def metrics(self, metrics: Metrics | Mapping[str, Metrics]) -> None:
        state = self._state
        widths = state.n_outputs if state.heads is None else state.heads.widths
        found = metrics_of(state.loss, metrics, widths)
        state.description = replace(state.description, metrics=found)

    @property
    def seed(self) -> int:
        """Of initial values and shuffling; another one is that of later epochs."""
        return self._state.seed

    @seed.setter
    def seed(self, seed: object) -> None:
        self._state.seed = check_seed(seed)
        self._state.description = replace(self._state.description, seed=self._state.seed)

    @property
    def history(self) -> History:
        """What the last `fit` returned; where it went on with others, of all their epochs."""
        return self._state.history

    @history.setter
    def history(self, history: History) -> None:
        self._state.history = history

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """The names of the columns of X where the last `fit` was given a frame, else None.

        A frame with other columns, or in another order, is refused then; arrays pass.  Copies,
        pickles and files have them.
        """
        return self._state.feature_names

    @property
    def n_features(self) -> int:
        """Columns of X."""
        return self._state.n_features

    @property
    def n_outputs(self) -> int:
        """Columns of the output."""
        return self._state.n_outputs

    @property
    def n_parameters(self) -> int:
        """Numbers in all kernels and biases."""
        return self._state.layout.n_parameters

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of parameters and arithmetic."""
        return self._state.dtype

    @property
    def backend(self) -> str:
        """What computes: "cython" or "numpy"."""
        return self._state.backend

    @property
    def instruction_set(self) -> str:
        """The build of the kernels in use: "v4", "v3", "v2", "neon", "portable", or "numpy"."""
        return self._state.instruction_set

    @property
    def steps(self) -> int:
        """Optimizer steps taken so far."""
        return self._state.steps

    @property
    def epochs(self) -> int:
        """Epochs trained so far, those that were left between two batches not counted:
        `initial_epoch` to go on with all the fits before.
        """
        return self._state.epochs

    def summary(self) -> None:
        """Print the layers with their shapes and parameter counts."""
        from fastbp.inspection.summary import summary

        print(summary(self._state))

    def plot(self) -> Drawing:
        """The network drawn: a column of units for each layer, orange lines where numbers pass on
        unchanged.  A notebook shows it; `net.plot().save("net.svg")` writes it, without matplotlib.
        """
        from fastbp.inspection.diagram import diagram

        return diagram(self._state)

    def plan(self, batch_size: int, *, n_rows: int | None = None) -> PlanExplanation:
        """How training in batches of `batch_size` rows runs, and why: regime, tiles, storage,
        memory, arithmetic, and the threads of "auto" for an epoch of `n_rows` rows (one batch).

        Raises TypeError, ValueError for a batch size that `fit` would not take.

        >>> import fastbp as fb
        >>> plan = fb.Network([64, 32, 10], loss="cross_entropy", seed=0).plan(32)
        >>> plan.regime, plan.n_threads, [layer.storage for layer in plan.layers]
        ('data-parallel', 1, ['by rows', 'by rows'])
        """
        from fastbp.inspection.explanation import explain

        return explain(self._state, batch_size, n_rows)

    def __repr__(self) -> str:
        return repr(self._state)

    def _repr_html_(self) -> str:
        from fastbp.inspection.summary import summary_html

        return summary_html(self._state)

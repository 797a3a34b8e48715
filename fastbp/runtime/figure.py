"""What training calls find of each epoch beside its loss, without leaving compiled code.

Metrics of the training data come from the outputs of the epoch's own steps, each before its update,
as in Keras: the engine sums accuracy, mae and mse in the pass that computes the loss, and keeps the
outputs for metrics that are no sums.  Where it can do all of it, it measures validation data too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.backend.numpy.kernel import METRICS, response_of
from fastbp.check.array import Array
from fastbp.check.weight import UNWEIGHTED
from fastbp.loss import Loss
from fastbp.runtime import engine_cache
from fastbp.runtime.rows import Rows
from fastbp.runtime.state import State

# A validation within the training call is one thread's, and Ctrl-C waits for its end.
_MOST_WORK = 1e9  # of it, in the unit of `State.work_per_row`: some 20 ms


def summed_metrics(state: State, rows: Rows | None) -> tuple[str, ...]:
    """The metrics of a network that the engine sums: it divides by what the loss is divided by, and
    half_sse counts rows, whichever of their targets are there.  Of several heads also their losses.
    """
    weights = UNWEIGHTED if rows is None else rows.weights
    if state.heads is not None:
        return state.heads.summed(state.description.measures, weights)
    assert isinstance(state.loss, Loss)
    if not state.loss.is_measured_inside:
        return ()
    n_outputs = state.n_outputs
    counts_rows = weights.by_element and state.loss.divisor(n_outputs) != n_outputs
    own = ("accuracy",) if counts_rows else METRICS
    names = state.description.metrics
    return tuple(name for name in names if isinstance(name, str) and name in own)


def metric_divisor(state: State, name: str) -> int:
    """What the engine's sum of a metric is divided by, beside the rows: the outputs, where it is a
    mean over these too.
    """
    if state.heads is not None:
        return state.heads.divisor(name)
    is_of_rows = name == "accuracy" and state.loss.link == "softmax"
    return 1 if is_of_rows else state.n_outputs


class Figures:
    """The figures of the epochs of one call.

    Attributes:
        metrics: those that the engine sums.
        columns: what it finds after an epoch, by name, in the order of `record`.
        record: (epochs, columns) of the last run.
        others: metrics that are found from the outputs, by name.
        outputs: of each row, where there are others.
    """

    def __init__(self, state: State, rows: Rows | None) -> None:
        self.state, self.rows = state, rows
        self.metrics = summed_metrics(state, rows)
        self.columns = [*self.metrics]
        measures = state.description.measures
        self.others = {name: own for name, own in measures.items() if name not in self.metrics}
        self.record: NDArray[np.float64] = np.zeros((0, len(self.columns)))
        self.outputs: Array | None = None
        if self.others and rows is not None and rows.is_direct:
            self.outputs = np.zeros((len(rows.X), state.n_outputs), state.dtype)
        self.validator: Any = None
        self.held_out: Rows | None = None  # alive as long as the engine reads it

    def validate_inside(self, rows: Rows, n_threads: int | str) -> bool:
        """Have the engine measure these rows after each epoch; False where it had better not."""
        state, n_rows = self.state, len(rows.X)
        threads = engine_cache.threads_to_predict(state, n_rows, n_threads)
        is_long = n_rows * state.work_per_row / 3 > _MOST_WORK
        if state.loss.is_own or self.others or threads > 1 or is_long or not rows.is_direct:
            return False
        self.validator = engine_cache.take_predictor(state, 1)
        self.held_out = rows
        self.validator.bind_validation(
            rows.X, rows.y, metrics=self.metrics, **rows.weights.options()
        )
        self.columns += ["val_loss", *(f"val_{name}" for name in self.metrics)]
        return True

    def close(self) -> None:
        """Give the engine back."""
        if self.validator is not None:
            engine_cache.give_back(self.state, self.validator)
            self.validator = self.held_out = None

    # calls of the engine

    def begin(self, epochs: int) -> None:
        """A run of so many epochs."""
        self.record = np.zeros((epochs, len(self.columns)))

    def of_epochs(self, begin: int, end: int) -> dict[str, Any]:
        """Arguments of `Engine.train` for these epochs of the run."""
        if not self.columns and self.outputs is None:
            return {}
        return {
            "metrics": self.metrics, "record": self.record[begin:end], "outputs": self.outputs,
            "validator": self.validator,
        }  # fmt: skip

    def of_part(self) -> dict[str, Any]:
        """The same for parts of one epoch, without what comes at its end."""
        own: dict[str, Any] = {"total": np.zeros(2 + len(self.metrics))}
        if self.metrics:
            own |= {"metrics": self.metrics, "record": np.zeros((1, len(self.metrics)))}
        return own

    # what they found

    def found(self, n: int) -> dict[str, list[float]]:
        """The first n epochs of the run, by name."""
        values = self.record[:n].T.tolist()
        return dict(zip(self.columns, values, strict=True))

    def from_outputs(self, visited: NDArray[Any] | None) -> dict[str, float]:
        """The other metrics of the last epoch; of those rows alone where there are such."""
        rows, outputs = self.rows, self.outputs
        if outputs is None or rows is None:
            return {}
        chosen: Any = slice(None) if visited is None else visited
        held = rows.take(chosen, self.state)
        with np.errstate(all="ignore"):  # a metric that overflows is infinite, as the loss would be
            response = _response(self.state, outputs[chosen])
            weight = held.weights.of_elements()
            return {name: own(response, held.y, weight) for name, own in self.others.items()}


def _response(state: State, outputs: Array) -> Any:
    """What metrics are about; of several heads by their names."""
    if not isinstance(state.loss, Loss):
        assert state.heads is not None
        return state.heads.responses(outputs)
    return state.loss.point(response_of(state.loss.link)(outputs))

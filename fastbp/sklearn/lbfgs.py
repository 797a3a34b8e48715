"""L-BFGS by SciPy, over whole-batch losses and gradients of the engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.optimize
from sklearn.utils.optimize import _check_optimize_result

from fastbp.check.array import Array
from fastbp.network import Network
from fastbp.runtime import engine_cache
from fastbp.runtime.guard import writing
from fastbp.runtime.rows import Rows, checked_rows
from fastbp.runtime.state import State
from fastbp.sklearn.rows import parts

_ROWS_AT_ONCE = 2048


def minimize(own: Any, X: Any, target: Array, sample_weight: Array | None) -> None:
    """Fit `own.network_` to all rows."""
    network: Network = own.network_
    _minimize(network._state, own, X, target, sample_weight)


@writing
def _minimize(state: State, own: Any, X: Any, target: Array, sample_weight: Array | None) -> None:
    if state.graph.n_batched:
        raise ValueError(
            "solver 'lbfgs' needs a loss that is a sum over rows, which BatchNorm's is not: use "
            "'adam' or 'sgd'"
        )
    objective = _Objective(state, X, target, sample_weight, n_threads=own.n_threads)
    found = scipy.optimize.minimize(
        objective,
        objective.packed(state.parameters),
        method="L-BFGS-B",
        jac=True,
        options={"maxfun": own.max_fun, "maxiter": own.max_iter, "gtol": own.tol},
        callback=_told if own.verbose else None,
    )
    own.n_iter_ = _check_optimize_result("lbfgs", found, own.max_iter)
    objective.unpack(found.x)
    own.loss_ = float(found.fun) + own._least_loss(target, sample_weight)
    k = own.n_outputs_
    if k > 1 and state.loss.name == "half_sse":  # the mean over the outputs, as scikit-learn has it
        penalty = state.layout.penalties(state.parameters) / objective.total
        own.loss_ = (own.loss_ - penalty) / k + penalty
    for key in [key for key in state.engines if key[0] == "trace"]:
        del state.engines[key]  # with the activations of all rows
    if state.scan(state.parameters) >= 0:
        raise ValueError(
            "Solver produced non-finite parameter weights. The input data may contain large "
            "values and need to be preprocessed."
        )


def _told(intermediate_result: Any) -> None:
    print(f"loss = {intermediate_result.fun:.8f}")


class _Objective:
    """Loss with penalties, and its gradient, of all rows, as functions of the parameters: kernels,
    then biases, without padding.
    """

    def __init__(
        self, state: State, X: Any, target: Array, sample_weight: Array | None, *, n_threads: Any
    ) -> None:
        self.state, self.X, self.target, self.weight = state, X, target, sample_weight
        tensors = state.layout.tensors
        self.tensors = sorted(tensors, key=lambda tensor: len(tensor.shape) == 1)
        self.total = float(X.shape[0] if sample_weight is None else sample_weight.sum())
        self.whole: Rows | None = None
        if X.shape[0] <= _ROWS_AT_ONCE:
            ((_, rows),) = parts(X, state.dtype)
            self.whole = self._checked(slice(None), rows)

    def packed(self, flat: Array) -> Array:
        """The numbers of a vector laid out like the parameters."""
        return np.concatenate([tensor.view(flat).ravel() for tensor in self.tensors])

    def unpack(self, x: Array) -> None:
        begin = 0
        for tensor in self.tensors:
            n = tensor.n_parameters
            tensor.view(self.state.parameters)[...] = x[begin : begin + n].reshape(tensor.shape)
            begin += n

    def __call__(self, x: Array) -> tuple[float, Array]:
        state = self.state
        self.unpack(x)
        gradient, loss = np.zeros(state.layout.size, state.dtype), 0.0
        for rows in self._rows():
            weight = rows.total()
            if weight == 0:
                continue
            engine, plan, scratch = engine_cache.engine(state, "trace", len(rows.X))
            engine.forward(rows.X)
            loss += weight * engine.loss_gradient(rows.y, **rows.weights.options())
            engine.backward()
            found = scratch[plan.arena.gradient :][: state.layout.size]
            gradient += state.dtype.type(weight) * found
        gradient /= state.dtype.type(self.total)
        for tensor in self.tensors:
            if tensor.l1 or tensor.l2:
                w = tensor.view(state.parameters)
                grown = tensor.l2 * w + tensor.l1 * np.sign(w)
                tensor.view(gradient)[...] += (grown / self.total).astype(state.dtype)
            if tensor.rate == 0:
                tensor.view(gradient)[...] = 0
        value = (loss + state.layout.penalties(state.parameters)) / self.total
        return value, self.packed(gradient).astype(np.float64)

    def _rows(self) -> Any:
        if self.whole is not None:
            yield self.whole
            return
        for run, X in parts(self.X, self.state.dtype, _ROWS_AT_ONCE):
            yield self._checked(run, X)

    def _checked(self, run: slice, X: Any) -> Rows:
        weight = None if self.weight is None else self.weight[run]
        rows = checked_rows(
            self.state, X, self.target[run], sample_weight=weight, all_zero=True, any_names=True
        )
        return rows if rows.is_direct else rows.take(slice(None), self.state)

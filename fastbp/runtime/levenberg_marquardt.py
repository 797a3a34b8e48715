"""The step of `fb.LevenbergMarquardt`: damped normal equations of all residuals."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastbp.check.array import Array
from fastbp.runtime.full_batch import Move, Objective, Point, Vector, converged
from fastbp.runtime.state import State
from fastbp.runtime.tile import Tile, unit

_LEAST_DAMPING = 1e-20
_MOST_NUMBERS, _MOST_ROWS = 2**22, 2**12  # of a Jacobian at a time


class DampedLeastSquares:
    """See `fastbp.runtime.full_batch.Method`; the first of the powers is the damping, divided by
    that of the beginning.
    """

    def __init__(self, state: State, objective: Objective) -> None:
        self.state, self.objective = state, objective
        self.own: Any = state.optimizer
        layout = state.layout
        self.trained = [tensor for tensor in layout.tensors if tensor.rate]
        flat = np.arange(layout.size)
        parts = [tensor.view(flat).ravel() for tensor in self.trained]
        # where the unknowns lie in a vector laid out like the parameters
        self.places = np.concatenate(parts) if parts else flat[:0]

    @np.errstate(all="ignore")  # what overflows is too far
    def step(self, here: Point, rate: float) -> Move:
        """From here, with nothing changed."""
        own, gradient = self.own, here.gradient[self.places]
        slope = float(np.abs(gradient).max(initial=0))
        if slope <= own.tolerance_grad:
            return Move(None, ended=converged(slope, own.tolerance_grad))
        matrix, diagonal = self._matrix(), np.arange(len(gradient))
        first = max(own.damping * float(self.state.powers[0]), _LEAST_DAMPING)
        damping = first
        while True:
            damped = matrix.copy()
            damped[diagonal, diagonal] += damping
            found = self._try(here, damped, gradient, rate)
            if found is not None:
                break
            damping *= own.damping_increase
            if not damping <= own.damping_max:
                text = f"no step makes the loss smaller with a damping up to {own.damping_max:g}"
                return Move(None, ended=("damping", text))
        kept = max(damping * own.damping_decrease, _LEAST_DAMPING) / own.damping
        move = Move(found, power=kept)
        slope = float(np.abs(found.gradient[self.places]).max(initial=0))
        decrease = here.value - found.value
        if slope <= own.tolerance_grad:
            move.ended = converged(slope, own.tolerance_grad)
        elif damping == first and decrease <= own.tolerance_change * here.value:
            text = f"the last step made the loss smaller by {decrease:.2g}"
            move.ended = "converged", f"{text}, tolerance_change={own.tolerance_change:g}"
        return move

    def _try(self, here: Point, damped: Array, gradient: Vector, rate: float) -> Point | None:
        """Where the step leads, if that is down."""
        try:
            change = np.linalg.solve(damped, -gradient)
        except np.linalg.LinAlgError:
            return None
        target = here.at.astype(np.float64)
        target[self.places] += rate * change
        at = target.astype(self.state.dtype)
        if not np.isfinite(at).all():
            return None
        found = self.objective(at)
        return found if found.value < here.value else None

    def _matrix(self) -> Array:
        """J^T J at the network's parameters, in float64, J the derivatives of residuals of which
        the loss is half the sum of squares, the roots of the penalties l2 among them.
        """
        state, rows, n = self.state, self.objective.rows, len(self.places)
        found = np.zeros((n, n))
        scale = (2.0 if state.loss.name == "mse" else 1.0) / (
            self.objective.total * state.loss.divisor(state.n_outputs)
        )
        step = max(1, min(len(rows.X), _MOST_ROWS, _MOST_NUMBERS // max(1, n)))
        tile, jacobian = Tile(state, step), np.empty((step, n), state.dtype)
        for begin in range(0, len(rows.X), step):
            part = rows.take(slice(begin, begin + step), state)
            tile.forward(part.X)
            weight = part.weights.weight
            for output in range(state.n_outputs):
                tile.back(unit(state, tile.n, output))
                tile.row_gradients(self._columns(jacobian[: tile.n]))
                own = jacobian[: tile.n].astype(np.float64)
                if weight is not None:
                    own *= np.sqrt(weight[:, output : output + 1].astype(np.float64))
                found += own.T @ own
        found *= scale
        curvature = np.zeros(state.layout.size)
        for tensor in self.trained:
            tensor.view(curvature)[...] = tensor.l2
        if state.loss.with_penalties:
            curvature /= self.objective.total
        found[np.arange(n), np.arange(n)] += curvature[self.places]
        return found

    def _columns(self, jacobian: Array) -> dict[int, Array]:
        """The columns of each tensor, (rows, *shape), by its offset."""
        found, begin = {}, 0
        for tensor in self.trained:
            end = begin + tensor.n_parameters
            found[tensor.offset] = jacobian[:, begin:end].reshape(len(jacobian), *tensor.shape)
            begin = end
        return found

"""A plan run in dual numbers: the gradient of a loss, and its derivative along a direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastbp.backend.numpy.dual import Dual
from fastbp.backend.numpy.kernel import find_activation, find_loss
from fastbp.backend.numpy.operation import Operations
from fastbp.check.array import Array
from fastbp.plan import Plan


class TangentEngine(Operations):
    """The pass of `backend.numpy.engine` for a plan for derivatives in float64.

    Attributes:
        gradient: flat, of all tiles so far; its tangent is H v for parameters with the tangent v.
    """

    def __init__(self, plan: Plan, parameters: Dual) -> None:
        arena = plan.arena
        self.plan, self.draw = plan, None
        self.w: Any = parameters
        self.transposes: Any = Dual.zeros(arena.activations - arena.transposes)
        self.activations: Any = Dual.zeros(arena.chunk - arena.activations)
        self.gradient = Dual.zeros(len(parameters))
        programs = (plan.forward, plan.backward)
        self.activation_kernels = {
            id(op.activation): find_activation(op.activation.name, op.activation.alpha, plan.dtype)
            for program in programs for op in program.operations
        }  # fmt: skip
        # of each output its loss, what multiplies that, and where it and its gradient lie
        self._ends = [
            (find_loss(own.loss, own.n, plan.dtype), own.weight / own.loss.divisor(own.n),
             own.output, own.gradient, own.ld, own.n)
            for own in plan.heads
        ]  # fmt: skip
        if not plan.heads:
            loss = find_loss(plan.loss, plan.n_outputs, plan.dtype)
            places = plan.output, plan.output_gradient, plan.ld_output, plan.n_outputs
            self._ends = [(loss, 1.0, *places)]
        self._is_first = True
        self.refresh()

    def add(self, x: Array, y: Sequence[Array], scale: float) -> None:
        """The gradient of `scale` times the sum of the losses of some rows; targets of each head,
        or of the one output.
        """
        plan, n = self.plan, len(x)
        with np.errstate(all="ignore"):  # what overflows is infinite or nan, as in any pass
            self._run(plan.forward, x)
            for (loss, factor, at, to, ld, columns), target in zip(self._ends, y, strict=True):
                out, d = (self._rows(place, ld, columns, n, 0) for place in (at, to))
                loss(out, target, scale * factor, d, None)
            self._run(plan.backward, x)
            gradient: Any = self.gradient
            self._run(plan.row_gradient, x, 0, gradient, self._is_first)
        self._is_first = False

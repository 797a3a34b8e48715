"""A plan run in dual numbers: the gradient of a loss, and its derivative along a direction."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from fastbp.backend.numpy.dual import Dual
from fastbp.backend.numpy.kernel import Backward, Forward, LossRows, find_activation, find_loss
from fastbp.backend.numpy.operation import GRADIENTS, Operations
from fastbp.check.array import Array
from fastbp.plan import Plan
from fastbp.plan.arena import allocate
from fastbp.plan.operation import Operation


class TangentEngine(Operations):
    """The pass of `backend.numpy.engine` for a plan for derivatives in float64.

    Attributes:
        w: the parameters and the direction, which is their tangent, for the caller to set.
        gradient: flat, of all rows since `begin`; its tangent is H v.
    """

    def __init__(self, plan: Plan, n_parameters: int) -> None:
        arena = plan.arena
        self.plan, self.draw = plan, None
        self.w: Any = Dual.zeros(n_parameters)
        self.gradient: Any = Dual.zeros(n_parameters)
        self.scratch = Dual(
            *(allocate(arena.size, plan.dtype, purpose="tangents", zero=True) for _ in range(2))
        )
        self.transposes: Any = self.scratch[arena.transposes : arena.activations]
        self.activations: Any = self.scratch[arena.activations : arena.chunk]
        self.programs = tuple(
            program.operations for program in (plan.forward, plan.backward, plan.row_gradient)
        )
        self._is_first = True

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""
        vectors = self.w, self.gradient, self.scratch
        return sum(int(own.value.nbytes) for own in vectors) * 2

    @cached_property
    def activation_kernels(self) -> dict[int, tuple[Forward, Forward, Backward]]:  # type: ignore[override]
        return {
            id(op.activation): find_activation(
                op.activation.name, op.activation.alpha, self.plan.dtype
            )
            for program in self.programs for op in program
        }  # fmt: skip

    @cached_property
    def _loss_rows(self) -> LossRows:
        return find_loss(self.plan.loss, self.plan.n_outputs, self.plan.dtype)

    def begin(self) -> None:
        """By the parameters as they are now; the first rows come next."""
        self._is_first = True
        self.refresh()

    def add(self, x: Array, y: Array, scale: float) -> None:
        """The gradient of `scale` times the sum of the losses of some rows, of any real type."""
        x = np.asarray(x, self.plan.dtype)
        if y.ndim == 2:  # else labels
            y = np.asarray(y, self.plan.dtype)
        with np.errstate(all="ignore"):  # what overflows is infinite or nan, as in any pass
            for index in range(len(self.programs)):
                self._run_program(index, x)
                if index == 0:
                    self._add_loss(y, scale)
        self._is_first = False

    def _run_program(self, index: int, x: Array) -> None:
        for op in self.programs[index]:
            self._run_one(op, x)

    def _run_one(self, op: Operation, x: Array) -> None:
        """Unless it finds the gradient by the network's input, which nobody reads."""
        if op.c != self.plan.input_gradient or op.kind in GRADIENTS:
            self._run_operation(op, x, 0, self.gradient, self._is_first)

    def _add_loss(self, y: Array, scale: float) -> None:
        plan, n = self.plan, len(y)
        out = self._rows(plan.output, plan.ld_output, plan.n_outputs, n, 0)
        d = self._rows(plan.output_gradient, plan.ld_output, plan.n_outputs, n, 0)
        self._loss_rows(out, y, scale, d, None)

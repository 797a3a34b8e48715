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
    def _ends(self) -> list[tuple[LossRows, float, int, int, int, int]]:
        """Of each output its loss, what multiplies that, where it and its gradient lie, numbers of
        a row and columns.
        """
        plan, dtype = self.plan, self.plan.dtype
        if not plan.heads:
            loss = find_loss(plan.loss, plan.n_outputs, dtype)
            return [(loss, 1, plan.output, plan.output_gradient, plan.ld_output, plan.n_outputs)]
        return [
            (find_loss(own.loss, own.n, dtype), own.weight / own.loss.divisor(own.n), own.output,
             own.gradient, own.ld, own.n)
            for own in plan.heads
        ]  # fmt: skip

    def begin(self) -> None:
        """By the parameters as they are now; the first rows come next."""
        self._is_first = True
        self.refresh()

    def add(self, x: Array, y: Any, scale: float) -> None:
        """The gradient of `scale` times the sum of the losses of some rows, of any real type; those
        of several heads have their targets in `y.parts`.
        """
        x = np.asarray(x, self.plan.dtype)
        targets = [
            own if own.ndim == 1 else np.asarray(own, self.plan.dtype)  # or labels
            for own in getattr(y, "parts", (y,))
        ]
        with np.errstate(all="ignore"):  # what overflows is infinite or nan, as in any pass
            for index in range(len(self.programs)):
                self._run_program(index, x)
                if index == 0:
                    self._add_loss(targets, scale)
        self._is_first = False

    def _run_program(self, index: int, x: Array) -> None:
        for op in self.programs[index]:
            self._run_one(op, x)

    def _run_one(self, op: Operation, x: Array) -> None:
        """Unless it finds the gradient by the network's input, which nobody reads."""
        if op.c != self.plan.input_gradient or op.kind in GRADIENTS:
            self._run_operation(op, x, 0, self.gradient, self._is_first)

    def _add_loss(self, targets: list[Array], scale: float) -> None:
        for (loss, factor, at, to, ld, n), y in zip(self._ends, targets, strict=True):
            out, d = (self._rows(place, ld, n, len(y), 0) for place in (at, to))
            loss(out, y, scale * factor, d, None)

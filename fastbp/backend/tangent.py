"""The pass in dual numbers by the compiled operations of src/engine/tangent.pxi."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastbp.backend.numpy.tangent import TangentEngine
from fastbp.check.array import Array
from fastbp.plan import Plan

_LOSS = 3  # as a program of one operation


class CompiledTangentEngine(TangentEngine):
    """What has no compiled kernel is done by its base, in the same memory."""

    def __init__(self, plan: Plan, n_parameters: int, module: Any) -> None:
        super().__init__(plan, n_parameters)
        value, tangent = (
            module.Engine(
                plan, w, np.zeros(0), scratch, np.zeros(plan.n_tiles), np.ones(3), np.zeros(1)
            )
            for w, scratch in (
                (self.w.value, self.scratch.value), (self.w.tangent, self.scratch.tangent)
            )
        )  # fmt: skip
        n, ld = plan.max_rows, plan.ld_input
        self._input = self.activations.value[plan.input :][: n * ld].reshape(n, ld)
        self._compiled = module.TangentPass(value, tangent, self.gradient.tangent)

    def begin(self) -> None:
        self._is_first = True
        self._compiled.refresh()

    def add(self, x: Array, y: Any, scale: float) -> None:
        own = self._input[: len(x), : x.shape[1]]
        own[...] = x
        super().add(own, y, scale)

    def _run_program(self, index: int, x: Array) -> None:
        program = self.programs[index]
        at = self._compiled.run(index, 0, len(x), self._is_first, None, 0.0)
        while at < len(program):
            self._run_one(program[at], x)
            at = self._compiled.run(index, at + 1, len(x), self._is_first, None, 0.0)

    def _add_loss(self, targets: list[Array], scale: float) -> None:
        y = targets[0]
        if self.plan.heads or y.ndim == 1 or not self._compiled.run(
            _LOSS, 0, len(y), self._is_first, y, scale
        ):  # fmt: skip
            super()._add_loss(targets, scale)

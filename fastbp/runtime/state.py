"""A network's memory and the engines that compute on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.backend import engine_module, instruction_set, resolve_backend
from fastbp.check.array import as_real
from fastbp.check.scalar import check_n_threads
from fastbp.initializer import initial_value
from fastbp.layer import Layer
from fastbp.loss import Loss
from fastbp.optimizer import Optimizer
from fastbp.plan import Graph, ParameterLayout, Plan, compile_plan, lower
from fastbp.plan.arena import allocate
from fastbp.plan.compile import Purpose
from fastbp.plan.parameter import DenseParameters
from fastbp.plan.work import work_per_row
from fastbp.runtime.usage import Usage

Array = NDArray[Any]
_Accept = Callable[[object, int, bool], Array | None]

# Where a second thread pays (in the work of plan/work.py, of which a core does 100 in a ns).
# Starting one takes 10 to 70 us, and dealing out the two phases of a step 0.7 us. Times as fast
# with two threads, in calls of 0.3, 1 and 5 ms: 0.9, 1.4 and 1.5 at 4-32-16-1 with batch 200 (8 us
# a step), 1.1, 1.7 and 1.8 at 10-64-64-1 with batch 442 (74 us); beside a process that keeps one of
# two cores busy 1.0.
_THREAD_CALL_WORK = 1e8
_THREAD_STEP_WORK = 8e5

# A call that keeps the interpreter to itself is at most so long: about 20 us on one core.
_BRIEF_WORK = 1e6
_LIMIT_PARAMETERS = 2**60
_PREDICT_ROWS = 256
# Engines of so many batch sizes are kept while their scratch memory is small, the last in any case.
_KEPT_ENGINES = 64
_KEPT_BYTES = 2**26


class Runtime:
    """Parameters, optimizer state and step count of one network, on one backend.

    `graph` fuses the output's activation with the loss, `declared` applies it as the layers say.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        loss: Loss,
        optimizer: Optimizer,
        *,
        dtype: np.dtype[Any],
        seed: int,
        backend: str | None,
    ) -> None:
        self.loss, self.optimizer, self.dtype = loss, optimizer, dtype
        self.layout = ParameterLayout(dtype)
        self.graph: Graph = lower(layers, loss, self.layout)
        self.declared: Graph = lower(layers, Loss("mse"), ParameterLayout(dtype))
        # what every call asks for
        self.n_features, self.n_outputs = self.graph.n_features, self.graph.n_outputs
        # how the output is shown where the loss fuses its activation: by `predict`, by `net(X)`
        self.response_code = self.graph.response if self.graph.fused else "linear"
        self.declared_code = self.graph.declared if self.graph.fused else "linear"
        if self.layout.size > _LIMIT_PARAMETERS:
            from decimal import Decimal  # a float may not hold it

            raise ValueError(
                f"network needs {Decimal(self.layout.size):.2g} parameters; limit 2^60"
            )
        self.backend = resolve_backend(backend)
        self.instruction_set = str(instruction_set) if self.backend == "cython" else "numpy"
        self._module = engine_module(self.backend, dtype)
        # (array, columns, check_finite) -> the array as the kernels can read it, without a copy or
        # by a quick one, or None where `check_X` or `check_y` must look closer.
        self.accept: _Accept = self._module.accept
        self.accept_target: _Accept = _closer_look
        if loss.domain == "real":
            self.accept_target = self.accept
        elif loss.domain == "class":
            self.accept_target = self._module.class_index
        self.parameters = _zeros(self.layout.size, dtype, "parameters")
        self.state = _zeros(self.layout.size * len(optimizer.state_names), dtype, "optimizer state")
        self.power = np.ones(2)  # running powers of the optimizer's formula: beta1^t, beta2^t
        self.usage = Usage()
        self.steps = 0
        self.epochs = 0
        self._engines: dict[tuple[Purpose, int, int], tuple[Any, Plan, Array]] = {}
        self._idle: list[Any] = []
        self.work_per_row = work_per_row(self.layout)
        self.row_is_brief = self.is_brief(1)
        self.initialize(seed)

    def initialize(self, seed: int) -> None:
        """Every parameter to its initial value; each has a random stream of its own."""
        index = 0
        for own in self.layout.layers:
            layer = own.layer
            parts = [(own.kernel, layer.weights, layer.kernel_initializer)]
            if own.bias is not None:
                parts.append((own.bias, layer.bias, layer.bias_initializer))
            for tensor, given, initializer in parts:
                value = given
                if value is None:
                    assert initializer is not None  # the network has chosen one
                    value = initial_value(
                        initializer, tensor.shape, fan_in=own.n_in, fan_out=layer.units,
                        seed=seed, index=index,
                    )  # fmt: skip
                initial = as_real(value, name=f"initial {tensor.name}", dtype=self.dtype)
                tensor.view(self.parameters)[...] = initial
                index += 1

    @property
    def layers(self) -> list[DenseParameters]:
        return self.layout.layers

    def state_views(self) -> dict[str, Array]:
        """The optimizer's vectors by name, as "m/dense_1/kernel"."""
        found: dict[str, Array] = {}
        for i, name in enumerate(self.optimizer.state_names):
            flat = self.state[i * self.layout.size : (i + 1) * self.layout.size]
            found |= self.layout.views(flat, f"{name}/")
        return found

    def engine(self, purpose: Purpose, rows: int, n_threads: int = 1) -> tuple[Any, Plan, Array]:
        """(engine, plan, scratch memory) for batches of `rows` rows, kept for the next call of the
        same size.
        """
        key = (purpose, rows, n_threads)
        found = self._engines.pop(key, None)
        if found is None:
            held = sum(scratch.nbytes for _, _, scratch in self._engines.values())
            while self._engines and (len(self._engines) >= _KEPT_ENGINES or held > _KEPT_BYTES):
                held -= self._engines.pop(next(iter(self._engines)))[2].nbytes
            found = self._make(purpose, rows, n_threads)
        self._engines[key] = found
        return found

    def _plan(self, purpose: Purpose, rows: int, n_threads: int) -> Plan:
        graph = self.declared if purpose == "manual" else self.graph
        return compile_plan(
            graph, self.loss, self.optimizer, rows=rows, purpose=purpose, n_workers=n_threads
        )

    def _make(self, purpose: Purpose, rows: int, n_threads: int) -> tuple[Any, Plan, Array]:
        plan = self._plan(purpose, rows, n_threads)
        scratch = allocate(plan.arena.size, self.dtype, purpose="activations and gradients")
        tile_loss = np.empty(plan.n_tiles)
        engine = self._module.Engine(
            plan, self.parameters, self.state, scratch, tile_loss, self.power
        )
        return engine, plan, scratch

    def threads_to_predict(self, n_rows: int, n_threads: object) -> int:
        """Threads for a forward pass over `n_rows` rows."""
        return self._threads(n_threads, n_rows * self.work_per_row / 3, 1)

    def take_predictor(self, n_threads: int) -> Any:
        """An engine for forward passes over any number of rows, one call's until `give_back`."""
        try:
            engine = self._idle.pop()
        except IndexError:
            engine = None
        if engine is None or engine.plan.n_workers < n_threads:
            engine = self._make("predict", _PREDICT_ROWS, n_threads)[0]
            engine.bind(np.empty((1, self.n_outputs), self.dtype), None, self.usage.is_written)
        return engine

    def bound_predictor(self, out: Array) -> Any:
        """An engine of one caller's own, whose `respond` fills `out`; None where a call would be
        too long to keep the interpreter to itself.
        """
        rows = len(out)
        if not self.is_brief(rows):
            return None
        engine = self._make("predict", rows, 1)[0]
        if rows > engine.plan.tile_rows:
            return None
        engine.bind(out, out[0] if rows == 1 else None, self.usage.is_written)
        return engine

    def is_brief(self, n_rows: int) -> bool:
        """Whether a forward pass takes some microseconds at most."""
        return self.backend == "cython" and n_rows * self.work_per_row / 3 <= _BRIEF_WORK

    def give_back(self, engine: Any) -> None:
        """End the use of an engine from `take_predictor`."""
        self._idle.append(engine)

    def scan(self, array: Array) -> int:
        """The flat index of the first element that is nan or infinite, or -1."""
        return int(self._module.first_nonfinite(array if array.ndim == 2 else array.reshape(1, -1)))

    def take_trainer(self, rows: int, n_threads: object, n_steps: int) -> tuple[Any, Plan, int]:
        """(engine, plan, threads to use) for `n_steps` training steps over `rows` rows each."""
        workers = self._threads(n_threads, rows * self.work_per_row, n_steps)
        engine, plan, _ = self.engine("train", rows, workers)
        return engine, plan, _useful(workers, plan) if n_threads == "auto" else workers

    def training_plan(self, rows: int, n_steps: int) -> tuple[Plan, int]:
        """The plan of that engine without its memory, and the threads of "auto"."""
        workers = self._threads("auto", rows * self.work_per_row, n_steps)
        plan = self._plan("train", rows, workers)
        return plan, _useful(workers, plan)

    def _threads(self, n_threads: object, step_work: float, n_steps: int) -> int:
        """What was asked for; with "auto" more than one only where they pay."""
        if n_threads == "auto" and (
            step_work < _THREAD_STEP_WORK or step_work * n_steps < _THREAD_CALL_WORK
        ):
            return 1
        asked = check_n_threads(n_threads)
        return 1 if self.backend == "numpy" else asked


def _closer_look(y: object, n_columns: int, check_finite: bool) -> None:
    """Every target is left to `check_y`."""
    return None


def _useful(n_threads: int, plan: Plan) -> int:
    """No more threads than there are shares to deal out."""
    shares = plan.n_tiles if plan.by_parameters else -(-plan.capacity // plan.block_rows)
    return min(n_threads, shares)


def _zeros(size: int, dtype: np.dtype[Any], purpose: str) -> Array:
    array = allocate(size, dtype, purpose=purpose)[:size]
    array[:] = 0
    return array

"""The state of one network, which every verb takes: its description, its numbers, its engines."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.backend import engine_module, instruction_set, resolve_backend
from fastbp.check.array import Array, as_real
from fastbp.check.frame import check_feature_names
from fastbp.check.input import check_X
from fastbp.check.target import check_y
from fastbp.check.weight import NAN_ADVICE
from fastbp.description import Description
from fastbp.history import History
from fastbp.layer.architecture import lower
from fastbp.loss import Loss
from fastbp.plan import Graph, ParameterLayout, Plan
from fastbp.plan.arena import allocate
from fastbp.plan.graph import Purpose
from fastbp.runtime.guard import Guard

# An engine for batches of one size, its plan, and the scratch memory it works in.
Prepared = tuple[Any, Plan, Array]
_Quick = Callable[[object, int, bool], Array | None]

_LIMIT_PARAMETERS = 2**60


class State:
    """What a network is and where it stands.

    Attributes:
        description: layers, loss, optimizer, metrics, dtype and seed.
        graph: the layers lowered, the output's activation fused with the loss.
        declared: the same with every activation where the layers say.
        parameters, optimizer_state: flat vectors; `layout` knows what lies where in them.
        powers: running powers of the optimizer, beta1^t and beta2^t.
        steps, epochs: taken and trained so far; the order of rows follows from the latter.
        feature_names: of the columns of X, where the last `fit` was given a frame.
        history: of the last `fit`.
        gradient: flat, of the last `backward` or trace.
        forward_pass: of the last `forward`, with the number of its rows.
        guard: the calls under way.
        engines, idle_predictors: those made so far, for `engine_cache` alone.
        scale_was_checked: of the inputs, at the first call that trains in many steps.
    """

    # Beyond 30 attributes a class without slots reads them slower: 0.1 us a call, all in all.
    __slots__ = (
        "backend", "powers", "declared", "declared_activation", "description", "dtype", "engines",
        "epochs", "feature_names", "forward_pass", "gradient", "graph", "guard", "history",
        "idle_predictors", "instruction_set", "layers", "layout", "loss", "module", "n_features",
        "n_outputs", "optimizer", "optimizer_state", "parameters", "quick_input", "quick_target",
        "response_activation", "scale_was_checked", "seed", "steps", "work_per_row",
    )  # fmt: skip

    def __init__(self, description: Description, *, backend: str | None) -> None:
        self.description = description
        self.layers, self.seed = description.layers, description.seed
        self.loss, self.optimizer = description.loss, description.optimizer
        self.dtype = dtype = description.dtype
        self.layout = ParameterLayout(dtype)
        self.graph: Graph = lower(self.layers, self.loss, self.layout)
        self.declared: Graph = lower(self.layers, Loss("mse"), ParameterLayout(dtype))
        # what every call asks for
        self.n_features, self.n_outputs = self.graph.n_features, self.graph.n_outputs
        # how the output is shown where the loss fuses its activation: by `predict`, by `net(X)`
        self.response_activation = self.graph.response if self.graph.fused else "linear"
        self.declared_activation = self.graph.declared if self.graph.fused else "linear"
        if self.layout.size > _LIMIT_PARAMETERS:
            from decimal import Decimal  # a float may not hold it

            count = f"{Decimal(self.layout.size):.2g}"
            raise ValueError(f"network needs {count} parameters; limit 2^60")
        self.backend = resolve_backend(backend)
        self.instruction_set = str(instruction_set) if self.backend == "cython" else "numpy"
        self.module = engine_module(self.backend, dtype)
        self.work_per_row = self.layout.work_per_row
        # (array, columns, check_finite) -> the array as the kernels can read it, without a copy or
        # by a quick one, or None where `check_X` or `check_y` must look closer.
        self.quick_input: _Quick = self.module.accept
        quick = {"real": self.module.accept, "class": self.module.class_index}
        self.quick_target: _Quick = quick.get(self.loss.domain, _closer_look)
        self._take_memory()
        self._initialize()
        self.history = History()
        self.feature_names: tuple[str, ...] | None = None
        self.gradient: Array | None = None
        self.forward_pass: tuple[Prepared, int] | None = None
        self.guard = Guard()
        self.engines: dict[tuple[Purpose, int, int], Prepared] = {}
        self.idle_predictors: list[Any] = []
        self.scale_was_checked = False

    def _take_memory(self) -> None:
        """All numbers of a network that has taken no step, its parameters 0."""
        size = self.layout.size
        self.parameters = _zeros(size, self.dtype, "parameters")
        n_vectors = len(self.optimizer.state_names)
        self.optimizer_state = _zeros(size * n_vectors, self.dtype, "optimizer state")
        self.powers = np.ones(max(2, len(self.optimizer.powers)))  # files hold two
        self.steps = 0
        self.epochs = 0

    def _initialize(self) -> None:
        """Every parameter to its initial value; each has a random stream of its own."""
        for index, tensor in enumerate(self.layout.tensors):
            value = tensor.initial.value(tensor.shape, seed=self.seed, index=index)
            initial = as_real(value, name=f"initial {tensor.name}", dtype=self.dtype)
            tensor.view(self.parameters)[...] = initial

    # what the user sees

    def parameter_views(self) -> dict[str, Array]:
        """By name, as "dense_1/kernel"."""
        return self.layout.views(self.parameters)

    def gradient_views(self) -> dict[str, Array]:
        """The same of the last gradient.

        Raises RuntimeError where there is none.
        """
        if self.gradient is None:
            raise RuntimeError("gradients need a backward or trace before them")
        return self.layout.views(self.gradient)

    def optimizer_state_views(self) -> dict[str, Array]:
        """The optimizer's vectors by name, as "m/dense_1/kernel"."""
        found: dict[str, Array] = {}
        for i, name in enumerate(self.optimizer.state_names):
            flat = self.optimizer_state[i * self.layout.size : (i + 1) * self.layout.size]
            found |= self.layout.views(flat, f"{name}/")
        return found

    def __repr__(self) -> str:
        sizes = "-".join([str(self.n_features), *(layer.short_form() for layer in self.layers[1:])])
        return (
            f"<Network {sizes}, {self.loss!r}, {self.optimizer!r}, {self.dtype}, "
            f"{self.layout.n_parameters} parameters, {self.backend}>"
        )

    # checks of inputs

    def checked(
        self, X: ArrayLike, *, minimum_rows: int = 1, check_finite: bool = True,
        most_bytes: float = math.inf,
    ) -> Array:  # fmt: skip
        """X as the kernels can read it; `most_bytes` and errors as in `check_X`."""
        found = self.quick_input(X, self.n_features, check_finite)
        if found is not None:
            return found
        check_feature_names(X, self.feature_names)
        return check_X(
            X, n_features=self.n_features, dtype=self.dtype, minimum_rows=minimum_rows,
            check_finite=check_finite, isfinite=self.scan, most_bytes=most_bytes,
        )  # fmt: skip

    def checked_pair(
        self, X: ArrayLike, y: ArrayLike, *, check_finite: bool = True, nan_advice: str = NAN_ADVICE
    ) -> tuple[Array, Array]:
        """X and y as the kernels can read them; errors as in `check_X` and `check_y`."""
        rows = self.quick_input(X, self.n_features, check_finite)
        if rows is None:
            rows = self.checked(X, check_finite=check_finite)
        target = self.quick_target(y, self.n_outputs, check_finite)
        if target is not None and len(target) == len(rows):
            return rows, target
        return rows, check_y(
            y, n_rows=len(rows), n_out=self.n_outputs, domain=self.loss.domain, dtype=self.dtype,
            check_finite=check_finite, isfinite=self.scan, nan_advice=nan_advice,
        )  # fmt: skip

    def scan(self, array: Array) -> int:
        """The flat index of the first element that is nan or infinite, or -1."""
        return int(self.module.first_nonfinite(array if array.ndim == 2 else array.reshape(1, -1)))


def _closer_look(y: object, n_columns: int, check_finite: bool) -> None:
    """Every target is left to `check_y`."""
    return None


def _zeros(size: int, dtype: np.dtype[Any], purpose: str) -> Array:
    array = allocate(size, dtype, purpose=purpose)[:size]
    array[:] = 0
    return array

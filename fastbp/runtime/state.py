"""The state of one network, which every verb takes: its description, its numbers, its engines."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.backend import engine_module, instruction_set, resolve_backend
from fastbp.check.array import Array
from fastbp.check.frame import check_feature_names, column_names
from fastbp.check.input import check_X
from fastbp.check.target import check_y
from fastbp.check.weight import NAN_ADVICE
from fastbp.description import Description, Unfinished
from fastbp.history import History
from fastbp.layer.architecture import architecture
from fastbp.loss import Loss
from fastbp.plan import Graph
from fastbp.plan.arena import allocate
from fastbp.plan.graph import Purpose
from fastbp.runtime.guard import Guard
from fastbp.runtime.parts import Parts, Prepared
from fastbp.schedule import Schedule

if TYPE_CHECKING:
    from fastbp.check.category import Categories
    from fastbp.runtime.head import HeadStates

_Quick = Callable[[object, int, bool], Array | None]

_LIMIT_PARAMETERS = 2**60


class State:
    """What a network is and where it stands.

    Attributes:
        description: layers, loss, optimizer, metrics, dtype and seed.
        architecture: the layers lowered, shared with other networks of the same description.
        graph: its graph, the output's activation fused with the loss; `declared` is the same with
            every activation where the layers say.
        parameters, optimizer_state: flat vectors; `layout` knows what lies where in them.
        powers: running powers of the optimizer, beta1^t and beta2^t, and of the average of the
            parameters, ema^t.
        rate: (1,), the learning rate of a step that is taken alone, which every engine reads.
        rates_ahead: of a schedule, rates of steps to come and which step is the first of them, for
            `runtime.rate` alone; None where the learning rate is a number.
        steps, epochs: taken and trained so far; the order of rows follows from the latter, what
            layers draw from the former.
        draws: whether there are layers that draw random numbers.
        heads: the outputs of a network that ends in `Heads`, else None.
        rows_back: rows that went backward since the last step.
        feature_names: of the columns of X, where the last `fit` was given a frame; else
            `declared_names`, those that the `Input` names, or None.
        refused: pairs of a column and how many categories it has, where others are refused.
        history: of the last `fit`.
        gradient: flat, of the last `backward` or trace.
        forward_pass: what the last `forward` ran on.
        parts: what `forward`, `backward` and `step` run on, by the number of rows; that of running
            statistics by ("inference", rows).
        unfinished: the epoch that a fit left between two batches, or None.
        left_at: batches and sums of one that nobody has made an `unfinished` of yet, or None.
        standing: what else a fit left for the next one (`runtime.resume`), or None; during a fit
            a function that returns it.
        metadata: the user's.
        guard: the calls under way.
        engines, idle_predictors, idle_averages: those made so far, for `engine_cache` alone.
        idle_tangents: the same, for `inspection.hessian` alone.
        scale_was_checked: of the inputs, at the first call that trains in many steps.
    """

    # Beyond 30 attributes a class without slots reads them slower: 0.1 us a call, all in all.
    __slots__ = (
        "architecture", "backend", "declared_activation", "declared_names", "description", "draws",
        "dtype", "engines", "epochs", "feature_names", "forward_pass", "gradient", "graph", "guard",
        "heads",
        "history", "idle_averages", "idle_predictors", "idle_tangents", "instruction_set", "layers",
        "layout", "left_at", "loss", "metadata", "module", "n_features", "n_outputs", "n_targets",
        "optimizer", "optimizer_state", "parameters", "parts", "powers", "quick_input",
        "quick_target", "rate", "rates_ahead", "refused", "response_activation", "rows_back",
        "scale_was_checked", "seed", "standing", "steps", "unfinished", "work_per_row",
    )  # fmt: skip

    def __init__(
        self, description: Description, *, backend: str | None, draws: bool = True
    ) -> None:
        """At the initial values; without `draws` all parameters are 0, for others to set."""
        self.description = description
        self.layers, self.seed = description.layers, description.seed
        self.declared_names: tuple[str, ...] | None = getattr(self.layers[0], "feature_names", None)
        self.loss, self.optimizer = description.loss, description.optimizer
        self.dtype = dtype = description.dtype
        self.architecture = architecture(self.layers, self.loss.without_function, dtype)
        self.layout, self.graph = self.architecture.layout, self.architecture.graph
        self.draws = self.graph.n_random > 0
        # what every call asks for
        self.n_features, self.n_outputs = self.graph.n_features, self.graph.n_outputs
        self.n_targets = self.loss.n_targets(self.n_outputs)
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
        accept = self.module.accept
        self.refused = self.graph.refused
        self.quick_input: _Quick = accept
        if self.refused is not None:
            self.quick_input = partial(_accept_known, self.module, self.refused)
        self.quick_target = self.quick_look(self.loss.domain)
        self.heads: HeadStates | None = None
        if not isinstance(self.loss, Loss):
            from fastbp.runtime.head import HeadStates  # which few need

            self.heads = HeadStates(self.graph, self.loss, self.quick_look)
            self.response_activation = self.heads.response
            self.declared_activation = self.heads.declared
        self._take_memory()
        if draws:
            self.architecture.start.fill(self.parameters, seed=self.seed)
        self.history = History()
        self.feature_names: tuple[str, ...] | None = self.declared_names
        self.unfinished: Unfinished | None = None
        self.left_at: tuple[int, Array] | None = None
        self.standing: Any = None
        self.metadata: dict[str, Any] = {}
        self.gradient: Array | None = None
        self.forward_pass: Parts | None = None
        self.parts: dict[Hashable, Parts] = {}
        self.guard = Guard()
        self.engines: dict[tuple[Purpose, int, int], Prepared] = {}
        self.idle_predictors: list[Any] = []
        self.idle_averages: list[Any] = []
        self.idle_tangents: list[Any] = []
        self.scale_was_checked = False

    def _take_memory(self) -> None:
        """All numbers of a network that has taken no step, its parameters 0."""
        size = self.layout.size
        self.parameters = _zeros(size, self.dtype, "parameters")
        n_vectors = len(self.optimizer.vectors)
        self.optimizer_state = _zeros(size * n_vectors, self.dtype, "optimizer state")
        self.powers = np.ones(3)
        self.rate = np.zeros(1)
        self.start_rate()
        self.steps = 0
        self.epochs = 0
        self.rows_back = 0

    def start_rate(self) -> None:
        """The rate of an optimizer that is new: a number once and for all, or that of step 0."""
        scheduled = isinstance(self.optimizer.learning_rate, Schedule)
        self.rates_ahead: tuple[int, Array] | None = (0, np.zeros(0)) if scheduled else None
        self.rate[0] = self.optimizer.initial_learning_rate

    def seed_draws(self, engine: Any) -> None:
        """Before an engine trains: its layers draw for the step that comes next."""
        self.rows_back = 0
        engine.draw_from(self.seed, self.steps, 0, True)

    def quick_look(self, domain: str) -> _Quick:
        """As `quick_input`, of targets of such a domain."""
        accept = self.module.accept
        quick = {"real": accept, "direction": accept, "class": self.module.class_index}
        return quick.get(domain, _closer_look)

    @property
    def noun(self) -> str:
        """What a column of y is called."""
        return "output" if self.n_targets == self.n_outputs else "target"

    @property
    def declared(self) -> Graph:
        """See `graph`."""
        return self.architecture.of("manual")

    # what the user sees

    def parameter_views(self) -> dict[str, Array]:
        """By name, as "dense_1/kernel"."""
        return self.layout.views(self.parameters)

    def gradient_views(self) -> dict[str, Array]:
        """The same of the last gradient, which running statistics have none of.

        Raises RuntimeError where there is none.
        """
        if self.gradient is None:
            raise RuntimeError("gradients need a backward or trace before them")
        views = self.layout.views(self.gradient)
        if self.graph.n_batched:
            for tensor in self.layout.tensors:
                if tensor.is_running:
                    del views[tensor.name]
        return views

    def optimizer_state_views(self) -> dict[str, Array]:
        """The optimizer's vectors by name, as "m/dense_1/kernel"."""
        found: dict[str, Array] = {}
        for i, name in enumerate(self.optimizer.vectors):
            flat = self.optimizer_state[i * self.layout.size : (i + 1) * self.layout.size]
            found |= self.layout.views(flat, f"{name}/")
        return found

    def average(self) -> Array:
        """The flat average of the parameters.

        Raises ValueError where the optimizer keeps none, RuntimeError before the first step.
        """
        if not self.optimizer.ema:
            text = "the optimizer has no ema, as in fb.Adam(ema=0.999)"
            raise ValueError(f"no average of parameters: {text}")
        if self.powers[2] == 1:
            raise RuntimeError("no average of parameters before the first step")
        return self.optimizer_state[-self.layout.size :]

    @property
    def short_form(self) -> str:
        """The layers in a few signs, as "64-128-10"."""
        return "-".join([str(self.n_features), *(layer.short_form() for layer in self.layers[1:])])

    def __repr__(self) -> str:
        return (
            f"<Network {self.short_form}, {self.loss!r}, {self.optimizer!r}, {self.dtype}, "
            f"{self.layout.n_parameters} parameters, {self.backend}>"
        )

    # checks of inputs

    @property
    def categories(self) -> Categories | None:
        """What is to be checked of categorical columns; None for nothing."""
        graph = self.graph
        if not graph.categories:
            return None
        from fastbp.check.category import Categories  # which few need

        return Categories(graph.categories, graph.refuses_unknown)

    def names_of(self, X: object) -> tuple[str, ...] | None:
        """The names of the columns that a `fit` of X leaves; see `feature_names`."""
        return column_names(X) or self.declared_names

    def checked(
        self, X: ArrayLike, *, minimum_rows: int = 1, check_finite: bool = True, advice: str = "",
        most_bytes: float = math.inf,
    ) -> Array:  # fmt: skip
        """X as the kernels can read it; `advice`, `most_bytes` and errors as in `check_X`."""
        found = self.quick_input(X, self.n_features, check_finite)
        if found is not None:
            return found
        check_feature_names(X, self.feature_names)
        return check_X(
            X, n_features=self.n_features, dtype=self.dtype, minimum_rows=minimum_rows,
            check_finite=check_finite, isfinite=self.scan, advice=advice,
            most_bytes=most_bytes, categories=self.categories,
        )  # fmt: skip

    def checked_pair(
        self, X: ArrayLike, y: Any, *, check_finite: bool = True, nan_advice: str = NAN_ADVICE
    ) -> tuple[Array, Any]:
        """X and y as the kernels can read them; errors as in `check_X` and `check_y`."""
        rows = self.quick_input(X, self.n_features, check_finite)
        if rows is None:
            rows = self.checked(X, check_finite=check_finite)
        target = self.quick_target(y, self.n_targets, check_finite)
        if target is not None and len(target) == len(rows):
            return rows, target
        options: dict[str, Any] = {
            "n_rows": len(rows), "dtype": self.dtype, "check_finite": check_finite,
            "isfinite": self.scan,
        }  # fmt: skip
        if self.heads is not None:
            return rows, self.heads.check_targets(y, nan_advice=nan_advice, **options)
        return rows, check_y(
            y, n_out=self.n_targets, domain=self.loss.domain, nan_advice=nan_advice,
            noun=self.noun, **options,
        )  # fmt: skip

    def scan(self, array: Array) -> int:
        """The flat index of the first element that is nan or infinite, or -1."""
        return int(self.module.first_nonfinite(array if array.ndim == 2 else array.reshape(1, -1)))


def _accept_known(
    module: Any, refused: Array, X: object, n_columns: int, check_finite: bool
) -> Array | None:
    """`accept` of the module for X with categorical columns."""
    found: Array | None = module.accept(X, n_columns, check_finite)
    if found is None or module.first_unknown(found, refused) >= 0:
        return None
    return found


def _closer_look(y: object, n_columns: int, check_finite: bool) -> None:
    """Every target is left to `check_y`."""
    return None


def _zeros(size: int, dtype: np.dtype[Any], purpose: str) -> Array:
    return allocate(size, dtype, purpose=purpose, zero=True)[:size]

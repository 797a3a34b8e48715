"""What a network is: its parameters, its description, its copies and files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.backend import default as default_backend
from fastbp.check.array import shown
from fastbp.check.input import check_weights
from fastbp.history import History
from fastbp.inspection import trace as inspection
from fastbp.layer import Layer, layer_from_config
from fastbp.layer.architecture import short_form
from fastbp.loss import Loss
from fastbp.optimizer import Optimizer, optimizer_from_config
from fastbp.runtime.state import Runtime
from fastbp.runtime.usage import Usage

if TYPE_CHECKING:
    from fastbp.inspection.explanation import PlanExplanation
    from fastbp.network import Network

Array = NDArray[Any]


class Model:
    """The base of `Network`, which adds what trains and computes."""

    metrics: tuple[str, ...]
    seed: int
    history: History
    _layers: tuple[Layer, ...]
    _runtime: Runtime
    _usage: Usage
    _gradient: Array | None
    _scale_was_checked = False  # of the inputs, at the first call that trains in many steps

    # parameters

    @property
    def parameters(self) -> dict[str, Array]:
        """Writable views by name: "dense_1/kernel" (n_in, n_out), "dense_1/bias" (n_out,), ..."""
        return self._runtime.layout.views(self._runtime.parameters)

    @property
    def gradients(self) -> dict[str, Array]:
        """The same names, from the last `backward` or `trace`: the loss's gradient, without
        penalties.

        Raises RuntimeError before the first of them.
        """
        if self._gradient is None:
            raise RuntimeError("gradients need a backward or trace before them")
        return self._runtime.layout.views(self._gradient)

    @property
    def optimizer_state(self) -> dict[str, Array]:
        """Views by name: "m/dense_1/kernel", "v/dense_1/kernel", or "momentum/dense_1/kernel"."""
        return self._runtime.state_views()

    def get_weights(self) -> list[Array]:
        """Copies of all parameters, layer by layer, kernel (n_in, n_out) before bias."""
        return [view.copy() for view in self.parameters.values()]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """All parameters, in the order of `get_weights`.

        Raises ValueError for wrong shapes and NaN, nothing set.
        """
        usage, mark = self._usage, object()
        try:
            usage.begin_writing(mark)
            shapes = [(tensor.name, tensor.shape) for tensor in self._runtime.layout.tensors]
            checked = check_weights(weights, shapes=shapes, dtype=self.dtype)
            for view, value in zip(self.parameters.values(), checked, strict=True):
                view[...] = value
        finally:
            usage.writers.discard(mark)

    def copy(self) -> Self:
        """An independent network in the same state: parameters, optimizer, random streams."""
        twin = self.from_config(self.get_config(), backend=self.backend)
        usage, mark = self._usage, object()
        try:
            usage.begin_reading(mark)
            twin._restore(*self._state())
        finally:
            usage.readers.discard(mark)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """What `copy.deepcopy` and `pickle` take along: `copy` and the history.

        The default backend becomes that of the place where a pickle is read.
        """
        usage, mark = self._usage, object()
        try:
            usage.begin_reading(mark)
            parameters, state, steps = self._state()
            return {
                "config": self.get_config(),
                "backend": None if self.backend == default_backend else self.backend,
                "parameters": {name: view.copy() for name, view in parameters.items()},
                "state": {name: view.copy() for name, view in state.items()},
                "steps": steps,
                "history": deepcopy(self.history),
            }
        finally:
            usage.readers.discard(mark)

    def __setstate__(self, held: dict[str, Any]) -> None:
        twin = self.from_config(held["config"], backend=held["backend"])
        twin._restore(held["parameters"], held["state"], held["steps"])
        twin.history = held["history"]
        self.__dict__ = twin.__dict__

    def _state(self) -> tuple[dict[str, Array], dict[str, Array], int]:
        """What a checkpoint holds: parameters, optimizer state with its counters, steps."""
        runtime = self._runtime
        counters = {"power": runtime.power.copy(), "epochs": np.array([float(runtime.epochs)])}
        return self.parameters, {**self.optimizer_state, **counters}, runtime.steps

    def _restore(self, parameters: dict[str, Array], state: dict[str, Array], steps: int) -> None:
        usage, mark = self._usage, object()
        try:
            usage.begin_writing(mark)
            for views, values in ((self.parameters, parameters), (self.optimizer_state, state)):
                for name, view in views.items():
                    view[...] = values[name]
            self._runtime.power[:] = state["power"]
            self._runtime.epochs = int(state["epochs"][0])
            self._runtime.steps = steps
        finally:
            usage.writers.discard(mark)

    # description

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, the `Input` first, with the initializers that the network chose for them."""
        return self._layers

    @property
    def loss(self) -> Loss:
        """The loss."""
        return self._runtime.loss

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer."""
        return self._runtime.optimizer

    @property
    def n_features(self) -> int:
        """Columns of X."""
        return self._runtime.n_features

    @property
    def n_outputs(self) -> int:
        """Columns of the output."""
        return self._runtime.n_outputs

    @property
    def n_parameters(self) -> int:
        """Numbers in all kernels and biases."""
        return self._runtime.layout.n_parameters

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of parameters and arithmetic."""
        return self._runtime.dtype

    @property
    def backend(self) -> str:
        """What computes: "cython" or "numpy"."""
        return self._runtime.backend

    @property
    def instruction_set(self) -> str:
        """The build of the kernels in use: "v4", "v3", "v2", "portable", or "numpy"."""
        return self._runtime.instruction_set

    @property
    def steps(self) -> int:
        """Optimizer steps taken so far."""
        return self._runtime.steps

    def summary(self) -> None:
        """Print the layers with their shapes and parameter counts."""
        print(inspection.summary(self))

    def plan(self, batch_size: int, *, n_rows: int | None = None) -> PlanExplanation:
        """How training in batches of `batch_size` rows runs, and why: regime, tiles, storage,
        memory, arithmetic, and the threads of "auto" for an epoch of `n_rows` rows (one batch).

        Raises TypeError, ValueError for a batch size that `fit` would not take.

        >>> import fastbp as fb
        >>> plan = fb.Network([64, 32, 10], loss="cross_entropy", seed=0).plan(32)
        >>> plan.regime, plan.n_threads, [layer.storage for layer in plan.layers]
        ('by rows', 1, ['by rows', 'by rows'])
        """
        from fastbp.inspection.explanation import explain

        return explain(self, batch_size, n_rows)

    def __repr__(self) -> str:
        sizes = "-".join(str(width) for width in [self.n_features, *(short_form(self.layers[1:]))])
        return (
            f"<Network {sizes}, {self.loss!r}, {self.optimizer!r}, {self.dtype}, "
            f"{self.n_parameters} parameters, {self.backend}>"
        )

    def get_config(self) -> dict[str, Any]:
        """A description that JSON can hold, without the parameters."""
        return {
            "layers": [layer.to_config() for layer in self.layers],
            "loss": self.loss.to_config(),
            "optimizer": self.optimizer.to_config(),
            "metrics": list(self.metrics),
            "dtype": self.dtype.name,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], *, backend: str | None = None) -> Self:
        """A network at its initial values from what `get_config` described.

        Raises TypeError for anything but a dict, ValueError where one of its entries is missing.
        """
        if not isinstance(config, dict):
            raise TypeError(f"config must be what get_config returned, got {shown(config)}")
        for name in ("layers", "loss", "optimizer", "metrics", "dtype", "seed"):
            if name not in config:
                raise ValueError(f"config lacks {name!r}")
        values = dict(config)
        return cls(  # type: ignore[call-arg]
            [layer_from_config(layer) for layer in values["layers"]],
            loss=Loss(**values["loss"]),
            optimizer=optimizer_from_config(values["optimizer"]),
            metrics=values["metrics"],
            dtype=values["dtype"],
            seed=values["seed"],
            backend=backend or values.get("backend"),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters, optimizer state and description to one file, whole or not at all; see
        `fastbp.storage.checkpoint`.
        """
        from fastbp.storage import checkpoint

        usage, mark = self._usage, object()
        try:
            usage.begin_reading(mark)
            checkpoint.save(self, path)
        finally:
            usage.readers.discard(mark)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, backend: str | None = None) -> Network:
        """Read what `save` wrote.

        Raises ModelFormatError, OSError; nothing in the file is ever run.
        """
        from fastbp.storage import checkpoint

        return checkpoint.load(path, backend=backend)

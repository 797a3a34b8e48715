"""Where each tensor of the layers, as a kernel or a bias, lies in the flat parameter vector."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.initializer import Initializer, initial_value, uniform_limit

# rows start at multiples of it, so that a vector load never straddles a cache line
BLOCK_BYTES = 64

PAGE_BYTES = 4096

# Of a stored row of a table.  Its gradient is summed a chunk of them at a time (tiling.chunk), for
# which all rows of the batch are looked at: long rows make few chunks.
_TABLE_BYTES = 1024


def block(dtype: np.dtype[Any]) -> int:
    """Numbers in 64 bytes."""
    return BLOCK_BYTES // dtype.itemsize


def padded(n: int, dtype: np.dtype[Any]) -> int:
    """n rounded up to whole blocks."""
    size = block(dtype)
    return -(-n // size) * size


def row_length(n: int, dtype: np.dtype[Any]) -> int:
    """Numbers from one row of a matrix of n columns to the next.

    Whole blocks, and one more where rows would lie a multiple of 4096 bytes apart: a panel of
    columns would then fall into few sets of the caches. The product of (128, 1024) and
    (1024, 1024) float32 runs at 199 GFLOP/s so, and with rows of 1040 numbers at 249.
    """
    ld = padded(n, dtype)
    return ld + block(dtype) if ld * dtype.itemsize % PAGE_BYTES == 0 else ld


@dataclass(frozen=True)
class Initial:
    """How a tensor starts: given numbers, or an initializer and what its variance goes by."""

    initializer: str | Initializer | None
    given: NDArray[np.float64] | None
    fan_in: int
    fan_out: int

    @property
    def limit(self) -> float | None:
        """What uniform values lie within, 0 where all are; None for any others."""
        if self.given is not None or self.initializer is None:
            return None
        return uniform_limit(self.initializer, fan_in=self.fan_in, fan_out=self.fan_out)

    def value(self, shape: tuple[int, ...], *, seed: int, index: int) -> NDArray[np.float64]:
        """The numbers; `index` is that of the random stream."""
        if self.given is not None:
            return self.given
        assert self.initializer is not None  # the network has chosen one
        return initial_value(
            self.initializer, shape, fan_in=self.fan_in, fan_out=self.fan_out,
            seed=seed, index=index,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Tensor:
    """Numbers of a layer, as a rule trained: `rows` stored rows of `columns` numbers, `ld` apart.

    Attributes:
        name: that of the layer and its own, as "dense_1/kernel".
        shape: as the user sees it, of one or two dimensions.
        by_columns: whether the stored rows are the columns of `shape`.
        is_packed: whether its rows lie side by side, in stored rows that hold no rows of their own.
        initial: how it starts.
        l1, l2: penalties.
        decays: whether an optimizer's weight decay is meant for it; that of biases is optional.
        rate: times the learning rate; 0 where it is not trained.
        is_running: whether it is a running statistic, which follows the batches: no gradient, no
            decay, a rate of 0.

    Padding is zero and stays zero.
    """

    name: str
    shape: tuple[int, ...]
    offset: int
    rows: int
    columns: int
    ld: int
    by_columns: bool
    initial: Initial
    l1: float
    l2: float
    decays: bool
    rate: float = 1.0
    is_packed: bool = False
    is_running: bool = False

    @property
    def size(self) -> int:
        return self.rows * self.ld

    @property
    def n_parameters(self) -> int:
        """Parameters without padding."""
        return math.prod(self.shape)

    def view(self, flat: NDArray[Any]) -> NDArray[Any]:
        """This tensor's numbers in a flat vector, in the user's shape, writable where `flat` is."""
        if self.is_packed:
            return flat[self.offset : self.offset + self.n_parameters].reshape(self.shape)
        stored = flat[self.offset : self.offset + self.size].reshape(self.rows, self.ld)
        stored = stored[:, : self.columns]
        if len(self.shape) == 1:
            return stored[0]
        return stored.T if self.by_columns else stored


class ParameterLayout:
    """Places the tensors of layers in the order in which they come.

    Attributes:
        layers: the tensors of each layer that has any, by its name.
        tensors: all of them; the place of one is also that of its random stream.
        n_parameters, size: numbers so far, without padding and with it.
        n_looked_up: those of tables, of which a row of the input reads a row each.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.layers: dict[str, list[Tensor]] = {}
        self.tensors: list[Tensor] = []
        self.n_parameters = self.size = self.n_looked_up = 0
        self._count: dict[str, int] = {}

    @property
    def work_per_row(self) -> float:
        """What a step is taken to cost for each row: 6 a parameter; a forward pass a third of it.

        Only for decisions, of which some decide bits: the thresholds were measured in this unit,
        which has biases, and the first layer's like any other, and it stays as it is.
        """
        return 6.0 * (self.n_parameters - self.n_looked_up)

    @property
    def work_per_step(self) -> float:
        """Beside it, in the same unit, what the update of whole tables costs, whatever the rows."""
        return 30.0 * self.n_looked_up

    @cached_property
    def places(self) -> tuple[object, ...]:
        """What decides where the parameters lie, of a layout that is complete."""
        return tuple((tensor.shape, tensor.offset, tensor.by_columns) for tensor in self.tensors)

    @property
    def running_variances(self) -> list[Tensor]:
        """Those that have to stay >= 0."""
        return [one for one in self.tensors if one.is_running and one.name.endswith("variance")]

    def begin(self, kind: str, name: str | None = None) -> str:
        """The name of the next layer: its own, or "dense_3" for the third of kind "dense".

        Raises ValueError where another layer has it.
        """
        self._count[kind] = self._count.get(kind, 0) + 1
        name = name or f"{kind}_{self._count[kind]}"
        if name in self.layers:
            raise ValueError(f"two layers are named {name!r}")
        self.layers[name] = []
        return name

    def add(
        self,
        layer: str,
        name: str,
        shape: tuple[int, ...],
        initial: Initial,
        *,
        by_columns: bool = False,
        l1: float = 0.0,
        l2: float = 0.0,
        decays: bool = True,
        rate: float = 1.0,
        is_running: bool = False,
    ) -> Tensor:
        """Place the next tensor of a layer that has begun."""
        rows, columns = (1, *shape) if len(shape) == 1 else shape[::-1] if by_columns else shape
        ld = row_length(columns, self.dtype)
        tensor = Tensor(
            f"{layer}/{name}", shape, self.size, rows, columns, ld, by_columns, initial,
            l1, l2, decays, rate, is_running=is_running,
        )  # fmt: skip
        return self._place(layer, tensor)

    def add_table(self, layer: str, name: str, shape: tuple[int, int], initial: Initial) -> Tensor:
        """Place the next tensor of a layer that has begun, of which rows are looked up."""
        numbers = padded(math.prod(shape), self.dtype)
        ld = min(numbers, _TABLE_BYTES // self.dtype.itemsize)
        tensor = Tensor(
            f"{layer}/{name}", shape, self.size, -(-numbers // ld), ld, ld, False, initial,
            0.0, 0.0, decays=True, is_packed=True,
        )  # fmt: skip
        self.n_looked_up += tensor.n_parameters - shape[1]
        return self._place(layer, tensor)

    def _place(self, layer: str, tensor: Tensor) -> Tensor:
        self.layers[layer].append(tensor)
        self.tensors.append(tensor)
        self.n_parameters += tensor.n_parameters
        self.size += tensor.size
        return tensor

    def penalties(self, flat: NDArray[Any]) -> float:
        """l2 / 2 |w|^2 + l1 |w| of all of them in a vector laid out like the parameters."""
        total = 0.0
        for tensor in self.tensors:
            if tensor.l1 or tensor.l2:
                w = tensor.view(flat).astype(np.float64)
                total += 0.5 * tensor.l2 * float((w * w).sum()) + tensor.l1 * float(np.abs(w).sum())
        return total

    def views(self, flat: NDArray[Any], prefix: str = "") -> dict[str, NDArray[Any]]:
        """Every tensor by name in a vector laid out like the parameters."""
        return {prefix + tensor.name: tensor.view(flat) for tensor in self.tensors}

"""Where each kernel and bias lies in the flat parameter vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.layer import Dense

# rows start at multiples of it, so that a vector load never straddles a cache line
BLOCK_BYTES = 64

PAGE_BYTES = 4096

# A kernel with so few outputs is stored by columns: padding its rows to a block would multiply its
# size.
NARROW = 4


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
class Tensor:
    """A kernel (n_in, n_out) or a bias (n_out,): `rows` stored rows of `columns` numbers, `ld`
    apart.

    With `by_columns` the stored rows are the kernel's columns.  Padding is zero and stays zero.
    """

    name: str
    shape: tuple[int, ...]
    offset: int
    rows: int
    columns: int
    ld: int
    by_columns: bool
    l1: float
    l2: float

    @property
    def size(self) -> int:
        return self.rows * self.ld

    def view(self, flat: NDArray[Any]) -> NDArray[Any]:
        """This tensor's numbers in a flat vector, in the user's shape, writable where `flat` is."""
        stored = flat[self.offset : self.offset + self.size].reshape(self.rows, self.ld)
        stored = stored[:, : self.columns]
        if len(self.shape) == 1:
            return stored[0]
        return stored.T if self.by_columns else stored


@dataclass(frozen=True)
class DenseParameters:
    """The tensors of one Dense layer."""

    layer: Dense
    name: str
    n_in: int
    kernel: Tensor
    bias: Tensor | None


class ParameterLayout:
    """Places the tensors of Dense layers, in their order, kernel before bias."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.layers: list[DenseParameters] = []
        self.size = 0

    def add(self, layer: Dense, n_in: int) -> DenseParameters:
        name = layer.name or f"dense_{len(self.layers) + 1}"
        if any(other.name == name for other in self.layers):
            raise ValueError(f"two layers are named {name!r}")
        if layer.weights is not None and layer.weights.shape[0] != n_in:
            shape = layer.weights.shape
            raise ValueError(f"weights of {name} are {shape}, expected {(n_in, layer.units)}")
        kernel = self._place(f"{name}/kernel", (n_in, layer.units), layer.l1, layer.l2)
        bias = None
        if layer.use_bias:
            keep = layer.regularize_bias
            l1, l2 = (layer.l1, layer.l2) if keep else (0.0, 0.0)
            bias = self._place(f"{name}/bias", (layer.units,), l1, l2)
        parameters = DenseParameters(layer, name, n_in, kernel, bias)
        self.layers.append(parameters)
        return parameters

    def _place(self, name: str, shape: tuple[int, ...], l1: float, l2: float) -> Tensor:
        by_columns = len(shape) == 2 and shape[1] <= NARROW
        rows, columns = (1, *shape) if len(shape) == 1 else shape[::-1] if by_columns else shape
        ld = row_length(columns, self.dtype)
        tensor = Tensor(name, shape, self.size, rows, columns, ld, by_columns, l1, l2)
        self.size += tensor.size
        return tensor

    @property
    def tensors(self) -> list[Tensor]:
        found = []
        for layer in self.layers:
            found += [layer.kernel] if layer.bias is None else [layer.kernel, layer.bias]
        return found

    @property
    def n_parameters(self) -> int:
        """Parameters without padding."""
        return sum(int(np.prod(tensor.shape)) for tensor in self.tensors)

    def views(self, flat: NDArray[Any], prefix: str = "") -> dict[str, NDArray[Any]]:
        """Every tensor by name in a vector laid out like the parameters."""
        return {prefix + tensor.name: tensor.view(flat) for tensor in self.tensors}

"""Where everything of one plan lies in its block of scratch memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.plan.parameter import BLOCK_BYTES, padded


@dataclass
class Buffer:
    """One activation or gradient for every row of a tile or batch; the offset is set by
    `Builder.place`.
    """

    n: int
    ld: int
    offset: int = -1


@dataclass(frozen=True)
class Arena:
    """Offsets in numbers; `*_stride` from one worker's part to the next one's."""

    gradient: int
    transposes: int
    activations: int
    activation_stride: int
    chunk: int
    chunk_stride: int
    last_good: int
    size: int


def place(
    dtype: np.dtype[Any],
    *,
    gradient: int,
    transposes: int,
    activations: int,
    activation_parts: int,
    chunk: int,
    last_good: int,
    n_workers: int,
) -> Arena:
    """Lay the parts out one after the other, each from a block boundary."""
    activation_stride, chunk_stride = padded(activations, dtype), padded(chunk, dtype)
    sizes = [
        padded(gradient, dtype),
        padded(transposes, dtype),
        activation_stride * activation_parts,
        chunk_stride * n_workers,
        padded(last_good, dtype),
    ]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return Arena(
        gradient=starts[0],
        transposes=starts[1],
        activations=starts[2],
        activation_stride=activation_stride,
        chunk=starts[3],
        chunk_stride=chunk_stride,
        last_good=starts[4],
        size=sum(sizes),
    )


def allocate(size: int, dtype: np.dtype[Any], *, purpose: str) -> NDArray[Any]:
    """`size` numbers from a 64-byte boundary, their content undefined.

    Raises MemoryError naming the purpose.
    """
    n_bytes = max(1, size) * dtype.itemsize
    try:
        raw = np.empty(n_bytes + BLOCK_BYTES, np.uint8)
    except (MemoryError, ValueError):
        raise MemoryError(f"cannot allocate {n_bytes / 2**30:.1f} GiB for {purpose}") from None
    shift = -raw.ctypes.data % BLOCK_BYTES
    return raw[shift : shift + n_bytes].view(dtype)

"""Where everything of one plan lies in its block of scratch memory."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.plan.parameter import BLOCK_BYTES, padded

# Zeros from so many bytes on are those of pages that the system gives when they are first touched.
_LAZY_BYTES = 2**20


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
    """Offsets in numbers, in this order; `*_stride` from one worker's part to the next one's."""

    gradient: int
    transposes: int
    activations: int
    chunk: int
    packing: int
    last_good: int
    size: int
    activation_stride: int
    chunk_stride: int
    packing_stride: int


def place(
    dtype: np.dtype[Any], gradient: int, transposes: int, activations: tuple[int, int],
    chunk: tuple[int, int], packing: tuple[int, int], last_good: int,
) -> Arena:  # fmt: skip
    """Lay the parts out one after the other, each from a block boundary.

    `activations`, `chunk` and `packing` are the size of one worker's part and how many there are.
    """
    sizes = ((gradient, 1), (transposes, 1), activations, chunk, packing, (last_good, 1))
    strides = [padded(size, dtype) for size, _ in sizes]
    parts = [stride * n for stride, (_, n) in zip(strides, sizes, strict=True)]
    return Arena(*accumulate(parts, initial=0), *strides[2:5])


def allocate(size: int, dtype: np.dtype[Any], *, purpose: str, zero: bool = False) -> NDArray[Any]:
    """`size` numbers from a 64-byte boundary, their content undefined or, on request, 0.

    Raises MemoryError naming the purpose.
    """
    n_bytes = max(1, size) * dtype.itemsize
    is_large = n_bytes >= _LAZY_BYTES
    try:
        raw = (np.zeros if zero and is_large else np.empty)(n_bytes + BLOCK_BYTES, np.uint8)
    except (MemoryError, ValueError):
        raise MemoryError(f"cannot allocate {n_bytes / 2**30:.1f} GiB for {purpose}") from None
    shift = -raw.ctypes.data % BLOCK_BYTES
    if zero and not is_large:
        raw.fill(0)
    return raw[shift : shift + n_bytes].view(dtype)

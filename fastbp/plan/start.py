"""The initial values of all parameters, drawn together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp import random
from fastbp.check.array import as_real
from fastbp.plan.parameter import ParameterLayout, Tensor

# Parameters up to so many numbers are scaled together: fewer calls of NumPy, in memory of no size.
_FEW = 2**12


class Start:
    """What the tensors of one layout start at, for any seed.

    Each has a random stream of its own.  The bits are those of `Initial.value`, which takes ten
    times as long for a network of 500 parameters.
    """

    def __init__(self, layout: ParameterLayout) -> None:
        self.dtype = layout.dtype
        self._together: list[tuple[Tensor, int, int, int, float]] = []
        self._alone: list[tuple[int, Tensor]] = []
        end = 0
        for index, tensor in enumerate(layout.tensors):
            limit, n = tensor.initial.limit, tensor.n_parameters
            if limit == 0:  # memory begins so
                continue
            if limit is None or n > _FEW or limit > float(np.finfo(layout.dtype).max):
                self._alone.append((index, tensor))
                continue
            begin, end = end, end + n
            self._together.append((tensor, index, begin, end, limit))

    def fill(self, parameters: NDArray[Any], *, seed: int) -> None:
        """The initial values for a seed, into a flat vector of zeros.

        Raises ValueError for one that does not fit the dtype.
        """
        if self._together:
            words = [
                random.raw(seed, random.INITIALIZE, index, end - begin)
                for _, index, begin, end, _ in self._together
            ]
            part = 2.0 * random.unit_interval(np.concatenate(words)) - 1.0
            for tensor, _, begin, end, limit in self._together:
                value = limit * part[begin:end]
                tensor.view(parameters)[...] = value.reshape(tensor.shape)
        for index, tensor in self._alone:
            value = tensor.initial.value(tensor.shape, seed=seed, index=index)
            initial = as_real(value, name=f"initial {tensor.name}", dtype=self.dtype)
            tensor.view(parameters)[...] = initial

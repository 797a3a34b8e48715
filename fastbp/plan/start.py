"""The initial values of all parameters, drawn together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp import random
from fastbp.check.array import as_real
from fastbp.plan.parameter import ParameterLayout, Tensor

# So many numbers are drawn together, of tensors that fit in: fewer calls of NumPy.
_FEW = 2**12
_MOST_PLACES = 2**20  # beyond, there is no table of where numbers go
# 0-d arrays, which NumPy takes in half the time of Python's numbers; both products are exact
_TWO, _ONE = np.array(2.0), np.array(1.0)


class Start:
    """What the tensors of one layout start at, for any seed.

    Each has a random stream of its own.  The bits are those of `Initial.value`, which takes ten
    times as long for a network of 500 parameters.
    """

    def __init__(self, layout: ParameterLayout) -> None:
        self.dtype = layout.dtype
        self._streams: list[tuple[int, int]] = []  # number and length
        self._alone: list[tuple[int, Tensor]] = []
        limits, places, n = [], [], 0
        number = np.arange(layout.size if layout.size <= _MOST_PLACES else 0)
        for index, tensor in enumerate(layout.tensors):
            limit, own = tensor.initial.limit, tensor.n_parameters
            if limit == 0:  # memory begins so
                continue
            too_large = limit is None or limit > float(np.finfo(layout.dtype).max)
            if too_large or n + own > _FEW or not len(number):
                self._alone.append((index, tensor))
                continue
            n += own
            self._streams.append((index, own))
            limits.append(np.full(own, limit))
            places.append(tensor.view(number).ravel())
        if n:
            self._limit, self._place = np.concatenate(limits), np.concatenate(places)

    def fill(self, parameters: NDArray[Any], *, seed: int) -> None:
        """The initial values for a seed, into a flat vector of zeros.

        Raises ValueError for one that does not fit the dtype.
        """
        if self._streams:
            words = [random.raw(seed, random.INITIALIZE, *stream) for stream in self._streams]
            part = random.unit_interval(np.concatenate(words))
            part *= _TWO
            part -= _ONE
            part *= self._limit
            parameters[self._place] = part
        for index, tensor in self._alone:
            value = tensor.initial.value(tensor.shape, seed=seed, index=index)
            initial = as_real(value, name=f"initial {tensor.name}", dtype=self.dtype)
            tensor.view(parameters)[...] = initial

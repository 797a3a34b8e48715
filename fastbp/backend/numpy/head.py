"""Several outputs, each with a loss of its own: the twin of src/engine/head.pxi."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastbp.backend.numpy.kernel import find_activation, find_loss, find_metric
from fastbp.check.array import Array
from fastbp.plan import Plan


class HeadLosses:
    """The losses of the heads of a plan, and metrics of each."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.heads = plan, plan.heads
        self._losses = [find_loss(own.loss, own.n, plan.dtype) for own in plan.heads]
        self._metrics: list[tuple[int, Any]] = []  # whose each is, and how it is found

    def bind_metrics(self, names: Sequence[str]) -> list[tuple[Any, int]]:
        """The loss of a head, as "class_loss", or a metric of one, as "class_accuracy"; returns
        what the sum of each is divided by, beside None.
        """
        loss: Any = self.plan.loss
        self._metrics, divisors = [], []
        for name in names:
            measure, divisor = None, 1
            place, metric, link = loss.figure(name)
            if link is not None:
                measure, divisor = find_metric(metric, link, self.heads[place].n)
            self._metrics.append((place, measure))
            divisors.append((None, divisor))
        return divisors

    def loss(
        self, rows_of: Callable[[int, int, int], Array], y: Any, scale: float,
        weight: Any, outputs: Array, sums: Array,
    ) -> float:  # fmt: skip
        """The weighted sum over rows of the losses, their gradients in place.

        Args:
            rows_of: (offset, row length, columns) -> the rows of a buffer.
            weight: None; of rows, (n, 1); or in `parts` those of the elements of each head.
            outputs, sums: OUT the outputs side by side, and what the metrics' sums grow by.
        """
        total, parts = 0.0, getattr(weight, "parts", None)
        for i, (own, target) in enumerate(zip(self.heads, y, strict=True)):
            out, d = rows_of(own.output, own.ld, own.n), rows_of(own.gradient, own.ld, own.n)
            divisor, by_element = own.loss.divisor(own.n), weight if parts is None else parts[i]
            if weight is not None and parts is None:
                by_element = np.broadcast_to(weight[:, :1], (len(out), own.loss.n_targets(own.n)))
            loss = self._losses[i](out, target, scale * own.weight / divisor, d, by_element)
            loss /= divisor
            total += own.weight * loss
            outputs[:, own.column : own.column + own.n] = out
            for m, (head, measure) in enumerate(self._metrics):
                if head == i:
                    sums[m] += loss if measure is None else measure(out, target, by_element)
        return total

    def places(self, transforms: str) -> list[tuple[int, int, slice, Any]]:
        """Of each head offset and row length of its outputs, their columns side by side, and the
        activation by which they are shown.
        """
        shows = (find_activation(name, 0.0, self.plan.dtype)[0] for name in transforms.split())
        return [
            (own.output, own.ld, slice(own.column, own.column + own.n), show)
            for own, show in zip(self.heads, shows, strict=True)
        ]

"""Layers that act in training alone: dropout and noise."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from fastbp.check.scalar import check_real
from fastbp.layer.base import Layer, set_fields
from fastbp.layer.outline import Outline
from fastbp.plan.graph import Graph


class _Random(Layer):
    """A layer that passes its input on unless a network trains."""

    is_transparent = True

    @property
    def structure(self) -> Hashable:
        """See `Layer`."""
        return type(self), *vars(self).values()

    def summarize(self, outline: Outline, width: int) -> int:
        """See `Layer`."""
        outline.add(f"{self.kind} ({next(iter(vars(self).values())):g})", width)
        return width


@dataclass(frozen=True)
class Dropout(_Random):
    """In training each element is 0 with a chance of `rate`, else x / (1 - rate).

    So its mean is x, and nothing is to be done elsewhere: `fit`, `train_on_batch`, `train_steps`
    and `forward` drop, while `predict`, `evaluate`, validation, `net(X)`, `trace` and
    `check_gradients` do not.  What is dropped follows from the network's seed and its step
    (`net.steps`), from the layer's place and the row's place in the batch; so it is the same for
    any number of threads, on both backends, and where a run goes on from a file.

    Args:
        rate: 0 <= rate < 1.

    Raises:
        TypeError, ValueError: no number, out of range; when the network is made, as its last layer.

    >>> import numpy as np, fastbp as fb
    >>> layers = [fb.Input(4), fb.Dropout(0.5), fb.Dense(4, weights=np.eye(4))]
    >>> net = fb.Network(layers, seed=0)
    >>> net.forward(np.ones((1, 4))).tolist(), net.predict(np.ones((1, 4))).tolist()
    ([[0.0, 2.0, 0.0, 0.0]], [[1.0, 1.0, 1.0, 1.0]])
    """

    kind = "dropout"

    rate: float

    def __post_init__(self) -> None:
        rate = check_real(
            self.rate, name="Dropout rate", minimum=0, maximum=1, exclude_maximum=True
        )
        set_fields(self, rate=rate)

    def lower(self, graph: Graph, value: int) -> int:
        """One node in training, else none."""
        if not graph.trains or self.rate == 0:
            return value
        from fastbp.plan.pointwise import DropoutNode  # which few need

        out = graph.value(graph.width[value])
        return graph.add(DropoutNode((value,), out, rate=self.rate, stream=graph.n_random))


@dataclass(frozen=True)
class GaussianNoise(_Random):
    """In training normal numbers are added, of mean 0 and standard deviation `stddev`.

    When, and what they follow from, is as for `Dropout`.

    Args:
        stddev: >= 0.

    Raises:
        TypeError, ValueError: no number, negative; when the network is made, as its last layer.

    >>> GaussianNoise(0.1)
    GaussianNoise(stddev=0.1)
    """

    kind = "gaussian_noise"

    stddev: float

    def __post_init__(self) -> None:
        set_fields(self, stddev=check_real(self.stddev, name="GaussianNoise stddev", minimum=0))

    def lower(self, graph: Graph, value: int) -> int:
        """One node in training, else none."""
        if not graph.trains or self.stddev == 0:
            return value
        from fastbp.plan.pointwise import NoiseNode  # which few need

        out = graph.value(graph.width[value])
        return graph.add(NoiseNode((value,), out, deviation=self.stddev, stream=graph.n_random))

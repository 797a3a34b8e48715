"""A worked example: its network at the start, its data, and every printed number beside ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..network import Network
from ..optimizer import Adam
from .definition import Definition, stated_optimizer
from .table import Row, html


@dataclass(frozen=True, eq=False)
class Example:
    """One exercise that was worked on paper, ready to be trained.

    `network` stands at the page's stated start, in float64. Each entry of `batches` holds the
    rows of one step; `hand` holds the page's printed numbers as the data file has them.

    >>> import fastbp as fb
    >>> example = fb.examples.load("linear_sigmoid")
    >>> example.X.shape, example.y.shape, example.batches
    ((1, 2), (1, 1), [[0], [0]])
    >>> example.run()[3].quantity, round(example.run()[3].fastbp, 4)
    ("y'", 0.8348)
    """

    name: str
    title: str
    teaches: str
    network: Network
    X: NDArray[np.float64]  # (n_samples, n_features)
    y: NDArray[np.float64]  # (n_samples, n_outputs)
    batches: list[list[int]]
    hand: list[dict[str, Any]]
    page: dict[str, Any] = field(repr=False)
    definition: Definition = field(repr=False)

    def _repr_html_(self) -> str:
        return html(self)

    def parameters(self) -> dict[str, float]:
        """The network's parameters as they are now, by the page's names."""
        return self.definition.named(self.network.parameters)

    def run(self) -> list[Row]:
        """Train from the stated start and set each printed number beside the engine's.

        A network of its own is trained, so that `network` stays as it is and every call returns
        the same rows, in the order of `hand`.
        """
        network = self.definition.network(self.page, backend=self.network.backend)
        whole = self._quantities(network, self.X, self.y)
        value: dict[int | str, dict[str, float]] = {0: whole}
        for step, batch in enumerate(self.batches, 1):
            X, y = self.X[batch], self.y[batch]
            value[step] = self._quantities(network, X, y)
            network.train_on_batch(X, y)
            value[step] |= self._moments(network, step)
            whole = self._quantities(network, self.X, self.y)
            value[step] |= {f"{name} after": number for name, number in whole.items()}
        value["predict"] = whole
        rows = []
        for row in self.hand:
            step, name, hand = row["step"], row["quantity"], row["printed"]
            rows.append(Row(step, name, hand, value[step][name], row["verdict"], row.get("cause")))
        return rows

    def _quantities(
        self, network: Network, X: NDArray[np.float64], y: NDArray[np.float64]
    ) -> dict[str, float]:
        """Parameters, gradients and the page's own quantities for one pass over X, y."""
        trace = network.trace(X, y)
        parameters = self.definition.named(network.parameters)
        gradients = self.definition.named(trace)
        quantities = self.definition.quantity(trace, parameters, X)
        return {
            **parameters,
            **{f"d{self.definition.symbol}/d{name}": g for name, g in gradients.items()},
            **{name: float(number) for name, number in quantities.items()},
        }

    def _moments(self, network: Network, step: int) -> dict[str, float]:
        """Adam's two moments of every parameter, as stored and bias-corrected."""
        optimizer = stated_optimizer(self.page["optimizer"])
        moments: dict[str, float] = {}
        if not isinstance(optimizer, Adam):
            return {}
        for letter, beta in (("m", optimizer.beta1), ("v", optimizer.beta2)):
            state = self.definition.named(network.optimizer_state, prefix=f"{letter}/")
            for name, number in state.items():
                moments[f"{letter} of {name}"] = number
                moments[f"{letter}_hat of {name}"] = number / (1.0 - beta**step)
        return moments

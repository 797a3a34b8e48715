"""Gradients against differences of the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from fastbp.network import Network

Array = NDArray[Any]

_DIFFERENCE = 1e-6  # of a parameter near 1: the central difference is then good to about 1e-9


def check_gradients(network: Network, X: ArrayLike, y: ArrayLike) -> float:
    """See `Network.check_gradients`."""
    from fastbp.network import Network as Twin

    twin = Twin.from_config(network.get_config() | {"dtype": "float64"}, backend=network.backend)
    twin.set_weights(network.get_weights())
    twin.trace(X, y)
    gradients = {name: gradient.copy() for name, gradient in twin.gradients.items()}
    worst = 0.0
    scale = max(float(np.abs(gradient).max()) for gradient in gradients.values()) or 1.0
    for name, view in twin.parameters.items():
        for place in np.ndindex(view.shape):
            difference = _central_difference(twin, X, y, view, place)
            error = abs(difference - gradients[name][place])
            worst = max(worst, float(error) / max(abs(difference), 1e-3 * scale))
    return worst


def _central_difference(
    network: Network, X: ArrayLike, y: ArrayLike, view: Array, place: tuple[int, ...]
) -> float:
    kept = view[place]
    step = _DIFFERENCE * max(1.0, abs(kept))
    losses = []
    for value in (kept + step, kept - step):
        view[place] = value
        losses.append(network.evaluate(X, y)["loss"])
    view[place] = kept
    return float((losses[0] - losses[1]) / (2 * step))

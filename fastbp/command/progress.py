"""Training with a line now and then."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.network import Network

LINES = 10


def train_with_progress(
    network: Network,
    X: NDArray[Any],
    y: NDArray[Any],
    *,
    epochs: int,
    batch_size: int,
    report: Callable[[], str] | None = None,
) -> float:
    """Train and print about ten lines on the way; return the seconds spent training alone.

    `report` has something to say of the network at each line.
    """
    width = len(str(epochs))
    lines = min(LINES, epochs)
    seconds = 0.0
    for line in range(lines):
        done, until = line * epochs // lines, (line + 1) * epochs // lines
        start = time.perf_counter()
        history = network.fit(X, y, epochs=until - done, batch_size=batch_size, verbose=False)
        seconds += time.perf_counter() - start
        said = "" if report is None else f"  {report()}"
        loss = history.history["loss"][-1]
        print(f"epoch {until:>{width}}/{epochs}  loss {loss:<8.4g}{said}", flush=True)
    return seconds


def accuracy(network: Network, X: NDArray[Any], y: NDArray[np.int64]) -> float:
    """The share of rows whose most probable class is the right one.

    Not one of the network's own metrics: `fit` would take those after every epoch, in the time
    that is measured.
    """
    return float((network.predict_classes(X) == y).mean())


def speed(network: Network, *, rows: int, epochs: int, seconds: float) -> str:
    """One line: how long it took and what it ran on."""
    return (
        f"{seconds:.2f} s training, {rows * epochs / max(seconds, 1e-9):,.0f} samples/s, "
        f"backend {network.backend} ({network.instruction_set}), {network.dtype}"
    )

"""Training with a line now and then."""

import time
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastbp import Network

LINES = 10


def train_with_progress(
    network: "Network",
    X: NDArray[Any],
    y: NDArray[Any],
    *,
    epochs: int,
    batch_size: int,
    test: tuple[NDArray[Any], NDArray[Any]] | None = None,
) -> float:
    """Train and print about ten lines on the way; return the seconds spent training alone."""
    width = len(str(epochs))
    seconds = 0.0
    for line in range(min(LINES, epochs)):
        done, until = (i * epochs // min(LINES, epochs) for i in (line, line + 1))
        start = time.perf_counter()
        history = network.fit(X, y, epochs=until - done, batch_size=batch_size, verbose=0)
        seconds += time.perf_counter() - start
        text = f"epoch {until:>{width}}/{epochs}  loss {history.history['loss'][-1]:.4g}"
        if test is not None and len(test[0]):
            scores = network.evaluate(*test)
            text += "".join(f"  test {name} {value:.4g}" for name, value in scores.items())
        print(text, flush=True)
    return seconds


def speed(network: "Network", *, rows: int, epochs: int, seconds: float) -> str:
    """One line: how long it took and what it ran on."""
    return (f"{seconds:.2f} s training, {rows * epochs / max(seconds, 1e-9):,.0f} samples/s, "
            f"backend {network.backend} ({network.instruction_set}), {network.dtype}")

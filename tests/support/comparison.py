"""A network held against the oracle, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from support import oracle
from support.random_network import Case
from support.tolerance import COMPLEX_STEP, assert_near, depth

Array = NDArray[Any]


def assert_gradients(
    actual: list[Array], tape: oracle.Tape, *, rows: int, dtype: Any, names: list[str] | None = None
) -> None:
    """Every parameter's gradient is the chain rule's, to the magnitude of its tensor's sums."""
    assert len(actual) == len(tape.gradients)
    for i, (got, want, size) in enumerate(
        zip(actual, tape.gradients, tape.magnitudes, strict=True)
    ):
        assert want is not None and size is not None
        assert_near(
            got,
            want,
            dtype=dtype,
            length=depth(tape.layers_in, rows),
            magnitude=float(size.max()),
            name=names[i] if names else f"gradient {i}",
        )


def assert_directions(
    actual: list[Array], dX: Array, case: Case, tape: oracle.Tape, *, seed: int
) -> None:
    """Along a random direction of each tensor, and of X, the gradient is the complex step's."""
    rng = np.random.default_rng([seed, 2])
    rows = len(case.X)
    for i, gradient in enumerate([*actual, dX]):
        direction = rng.normal(size=gradient.shape)
        weights: list[Array] = list(case.weights)
        X: Array = case.X
        if i < len(actual):
            at = tape.places[i]
            weights[at] = weights[at] + 1j * COMPLEX_STEP * direction
        else:
            X = X + 1j * COMPLEX_STEP * direction
        out, _, _ = oracle.run(case.layers, weights, X, loss=case.loss.name, by_batch=True)
        value = oracle.loss_value(case.loss, out, case.y)
        size = np.asarray(tape.magnitudes[i] if i < len(actual) else np.abs(dX))
        assert_near(
            (gradient * direction).sum(),
            np.imag(value) / COMPLEX_STEP,
            dtype=np.float64,
            length=depth(tape.layers_in, rows) + size.size,
            magnitude=float((size.max() * np.abs(direction)).sum()),
            name=f"directional derivative {i}",
        )

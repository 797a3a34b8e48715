"""What is timed: sizes, data and initial weights, the same for every implementation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
LEARNING_RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Workload:
    """One network on one data set; an epoch is `n_batches` slices of `batch_size` rows, in order.

    `steps` is how many training steps one timed call takes, `required` by how much fastbp has to
    be faster than hand-written NumPy.
    """

    name: str
    sizes: tuple[int, ...]
    activation: str
    loss: str
    batch_size: int
    n_batches: int
    steps: int
    required: float

    def data(self) -> tuple[NDArray[np.float32], NDArray[np.float32 | np.int64]]:
        """X (n, n_in) and y: noisy outputs (n, 1) of a random function, or its classes (n,)."""
        random = np.random.Generator(np.random.Philox(1))
        n, n_in, n_out = self.batch_size * self.n_batches, self.sizes[0], self.sizes[-1]
        X = random.standard_normal((n, n_in))
        score = np.sin(X @ random.standard_normal((n_in, n_out)))
        score += 0.1 * random.standard_normal(score.shape)
        y = score.astype(np.float32) if self.loss == "mse" else score.argmax(axis=1)
        return X.astype(np.float32), y

    def weights(self) -> list[NDArray[np.float32]]:
        """W1, b1, W2, ...: glorot uniform kernels (n_in, n_out), biases of zero."""
        random = np.random.Generator(np.random.Philox(2))
        found = []
        for n_in, n_out in zip(self.sizes, self.sizes[1:], strict=False):
            limit = np.sqrt(6 / (n_in + n_out))
            kernel = random.uniform(-limit, limit, (n_in, n_out))
            found += [kernel.astype(np.float32), np.zeros(n_out, np.float32)]
        return found


WORKLOADS = (
    Workload("4-32-16-1", (4, 32, 16, 1), "tanh", "mse", 200, 10, steps=500, required=5.0),
    Workload(
        "784-256-128-10", (784, 256, 128, 10), "relu", "cross_entropy", 128, 10, steps=50,
        required=1.5,
    ),
)  # fmt: skip

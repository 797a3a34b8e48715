"""What is timed: sizes, data and initial weights, the same for every contestant."""

from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.plan.node import dense_flops

Array = NDArray[Any]
LEARNING_RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
WEIGHT_DECAY = 1e-2  # of adamw, on kernels
# Parts of a network beside its dense layers; numbers are those of all contestants.
DROPOUT, LAYER_NORM, BATCH_NORM, EMBEDDING = "dropout", "layer norm", "batch norm", "embedding"
DROPOUT_RATE, NORM_EPSILON = 0.2, 1e-5
BATCH_NORM_MOMENTUM = 0.99  # what is kept of the running statistics at each step
CATEGORIES, EMBEDDED_UNITS = (1000, 50), 8
SHORT = {"cross_entropy": "ce", "binary_cross_entropy": "bce"}
# Where the derivative jumps, rounding may take another path.
KINKED = ("relu", "leaky_relu", "selu", "mae")


@dataclass(frozen=True)
class Workload:
    """One network on one data set; an epoch is `n_batches` slices of `batch_size` rows."""

    sizes: tuple[int, ...]
    activation: str
    loss: str
    batch_size: int
    n_batches: int
    optimizer: str = "adam"
    dtype: str = "float32"
    least_checked: int = 30  # steps, of those that are not large
    tolerance: float = 1.0  # what the bounds of the deviations are multiplied by
    part: str = ""  # what the layers have beside dense products, see `fastbp.benchmark.part`

    @property
    def network(self) -> str:
        """As "4-32-16-1 tanh mse" or "2-20x8-1 tanh mse sgd": adam is not named."""
        runs = [(str(size), len(list(run))) for size, run in groupby(self.sizes)]
        parts = [f"{size}x{n}" if n > 4 else "-".join([size] * n) for size, n in runs]
        words = ["-".join(parts), self.activation]
        words += [SHORT.get(self.loss, self.loss)]
        if self.optimizer != "adam":
            words.append(self.optimizer)
        return " ".join(words) + (f", {self.part}" if self.part else "")

    @property
    def name(self) -> str:
        return f"{self.network}, batch {self.batch_size}"

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """(n_in, n_out) of each layer."""
        return list(zip(self.sizes, self.sizes[1:], strict=False))

    @property
    def flop(self) -> int:
        """Of the products of a step, as `Network.plan` counts them."""
        return self.batch_size * sum(
            dense_flops(n_in, n_out, reads_input=i == 0)
            for i, (n_in, n_out) in enumerate(self.pairs)
        )

    @property
    def checked_steps(self) -> int:
        """Whole epochs after which answers are compared: 30 steps or more, fewer of large ones."""
        least = min(self.least_checked, 30 if self.flop < 5e8 else 10 if self.flop < 5e9 else 3)
        return -(-least // self.n_batches) * self.n_batches

    @property
    def is_kinked(self) -> bool:
        return self.activation in KINKED or self.loss in KINKED

    def data(self) -> tuple[Array, Array]:
        """X (n, n_in) and y: noisy outputs (n, k) of a random function, whether they are above 0,
        or the classes (n,) where they are largest.
        """
        random = np.random.Generator(np.random.Philox(1))
        n, n_in, n_out = self.batch_size * self.n_batches, self.sizes[0], self.sizes[-1]
        X = random.standard_normal((n, n_in))
        score = np.sin(X @ random.standard_normal((n_in, n_out)))
        score += 0.1 * random.standard_normal(score.shape)
        if self.part == EMBEDDING:  # the columns that the tables stand for
            numbers = X[:, : n_in - EMBEDDED_UNITS * len(CATEGORIES)]
            X = np.column_stack([numbers, *(random.integers(n, size=len(X)) for n in CATEGORIES)])
        if self.loss == "cross_entropy":
            return X.astype(self.dtype), score.argmax(axis=1)
        y = score > 0 if self.loss == "binary_cross_entropy" else score
        return X.astype(self.dtype), y.astype(self.dtype)

    def weights(self) -> list[Array]:
        """W1, b1, W2, ...: glorot uniform kernels (n_in, n_out), biases of zero."""
        random = np.random.Generator(np.random.Philox(2))
        found: list[Array] = []
        for n_in, n_out in self.pairs:
            limit = np.sqrt(6 / (n_in + n_out))
            kernel = random.uniform(-limit, limit, (n_in, n_out))
            found += [kernel.astype(self.dtype), np.zeros(n_out, self.dtype)]
        return found

    def tables(self) -> list[Array]:
        """Of each category, a row of numbers, uniform."""
        random = np.random.Generator(np.random.Philox(3))
        shapes = [(n, EMBEDDED_UNITS) for n in CATEGORIES]
        return [random.uniform(-0.05, 0.05, shape).astype(self.dtype) for shape in shapes]


MSE, CE = "mse", "cross_entropy"
USUAL = (
    Workload((2, 2, 1), "tanh", MSE, 1, 256),
    Workload((4, 32, 16, 1), "tanh", MSE, 32, 16),
    Workload((4, 32, 16, 1), "tanh", MSE, 200, 10),
    Workload((64, 32, 10), "relu", CE, 32, 56),
    Workload((10, 64, 64, 1), "tanh", MSE, 442, 1),
    Workload((23, 256, 256, 1), "relu", MSE, 256, 8),
    Workload((784, 256, 128, 10), "relu", CE, 128, 10),
    Workload((784, 512, 128, 512, 784), "relu", MSE, 256, 4),
    Workload((1024, 1024, 1024, 1024), "relu", MSE, 512, 1),
    # few steps: they learn few rows by heart, and of a loss near 0 no digits are left
    Workload((1024, 1024, 1024, 1024), "relu", MSE, 16, 4, least_checked=8),
    Workload((1024, 1024, 1024, 1024), "relu", MSE, 1, 16, least_checked=16),
)
FURTHER = (
    Workload((2, 2, 1), "tanh", MSE, 1, 256, "sgd"),
    Workload((4, 32, 16, 1), "tanh", MSE, 32, 16, "sgd"),
    Workload((4, 32, 16, 1), "tanh", MSE, 200, 10, "sgd"),
    Workload((784, 256, 128, 10), "relu", CE, 128, 10, "sgd"),
    Workload((256, 28, 10), "tanh", CE, 1, 256, "sgd"),
    Workload((2, *[20] * 8, 1), "tanh", MSE, 1000, 1),
    Workload((4, 32, 16, 4), "tanh", MSE, 10000, 1),
    Workload((10, 46, 46, 10), "relu", MSE, 128, 10),
)


def select(
    beginnings: list[str] | None, every: bool, optimizer: str | None, dtype: str
) -> list[Workload]:
    """The usual workloads, all of them, or those whose name begins with one of `beginnings`.

    `optimizer` replaces that of each.  Raises ValueError for a beginning that no name has.
    """
    known = (*USUAL, *FURTHER)
    for beginning in beginnings or ():
        if not any(one.name.startswith(beginning) for one in known):
            names = "; ".join(one.name for one in known)
            raise ValueError(f"no workload begins with {beginning!r}; there are {names}")
    chosen: tuple[Workload, ...] = known if every else USUAL
    if beginnings:
        chosen = tuple(one for one in known if one.name.startswith(tuple(beginnings)))
    changed = (replace(one, optimizer=optimizer or one.optimizer, dtype=dtype) for one in chosen)
    return list(dict.fromkeys(changed))

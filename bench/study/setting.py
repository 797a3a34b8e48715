"""What is trained: one setting is a data set, hidden layers, an activation and an optimizer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bench.study.dataset import CHOOSE, CONFIRM, Dataset, Split, split

SEEDS = range(30)
BATCH_SIZE = 32
STEPS = 800  # about so many in all, in 10 to 150 epochs
LEARNING_RATE = {"adam": 1e-3, "sgd": 0.01}
MOMENTUM = 0.9
ACTIVATIONS = (
    "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "tanh", "sigmoid"
)  # fmt: skip
HIDDEN = {"64": (64,), "64-32": (64, 32), "5 x 32": (32,) * 5}


@dataclass(frozen=True)
class Setting:
    """Everything that is the same for all contestants; each seed has rows of its own."""

    dataset: Dataset
    hidden: str
    activation: str
    optimizer: str

    @property
    def key(self) -> str:
        return "/".join((self.dataset.name, self.hidden, self.activation, self.optimizer))

    @property
    def sizes(self) -> tuple[int, ...]:
        n_features = rows(self.dataset, SEEDS[0]).X.shape[1]
        return (n_features, *HIDDEN[self.hidden], self.dataset.n_classes or 1)

    @property
    def epochs(self) -> int:
        n = len(rows(self.dataset, SEEDS[0]).X)
        return int(np.clip(round(STEPS * BATCH_SIZE / n), 10, 150))


@cache
def rows(dataset: Dataset, seed: int) -> Split:
    """The rows of one seed, kept."""
    return split(dataset, seed)


def order(setting: Setting, seed: int) -> NDArray[np.int64]:
    """The order of rows of each epoch, (epochs, n), for contestants that take one."""
    n = len(rows(setting.dataset, seed).X)
    random = np.random.default_rng([seed, 3])
    return np.array([random.permutation(n) for _ in range(setting.epochs)])


def settings() -> list[Setting]:
    """All of them, data set by data set."""
    return [
        Setting(dataset, hidden, activation, optimizer)
        for dataset in (*CHOOSE, *CONFIRM)
        for hidden in HIDDEN
        for activation in ACTIVATIONS
        for optimizer in LEARNING_RATE
    ]

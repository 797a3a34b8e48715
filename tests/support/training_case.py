"""Networks and data for tests that compare bits: both regimes of training, every kind of node."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from support.mark import slow_but
from support.network_state import digest
from support.random_network import with_categories

import fastbp as fb
from fastbp.loss import resolve_loss


@dataclass(frozen=True)
class Case:
    """`weight_parallel` and `n_blocks` are what the plan must make of the sizes."""

    layers: list[Any]
    loss: str | fb.Loss
    batch_size: int
    weight_parallel: bool
    n_blocks: int
    options: dict[str, Any]

    def network(self, dtype: str, backend: str = "cython") -> fb.Network:
        return fb.Network(
            self.layers, loss=self.loss, dtype=dtype, seed=7, backend=backend, **self.options
        )

    def data(self, n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Rows that end in a short batch and a short tile."""
        random = np.random.default_rng(seed)
        network = self.network("float64")
        X = random.standard_normal((n, network.n_features))
        X = with_categories(random, network.layers[0], X)
        domain = resolve_loss(self.loss).domain
        if domain == "class":
            return X, random.integers(0, network.n_outputs, n)
        y = random.standard_normal((n, network.n_outputs))
        return X, 1 / (1 + np.exp(-y)) if domain == "interval" else y


_GRAPH = [
    fb.Input(12),
    fb.Dense(24, "gelu", l2=0.01),
    fb.Residual([fb.Dense(16, "silu"), fb.Dense(24)], activation="softplus"),
    fb.Branch([[fb.Dense(7, "elu")], [fb.Dense(9, "leaky_relu", use_bias=False)], []]),
    fb.Residual([fb.Dense(20, "selu")], projection="auto"),
    fb.Dense(2, l1=0.001),
]

_NARROW_GRAPH = [
    fb.Input(5),
    fb.Dense(12, "gelu", l2=0.01),
    fb.Residual([fb.Dense(3, "silu"), fb.Dense(12)], activation="softplus"),
    fb.Branch([[fb.Dense(7, "elu")], [fb.Dense(9, "leaky_relu", use_bias=False)], []]),
    fb.Residual([fb.Dense(20, "selu")], projection="auto"),
    fb.Dense(2, l1=0.001),
]


def _every_layer(n: int, hidden: int) -> list[Any]:
    """What stands between and around the dense layers of `_GRAPH`."""
    norm = [fb.LayerNorm(), fb.Dense(hidden, "tanh"), fb.Dropout(0.2)]
    return [
        fb.Input(n),
        fb.Standardize(0.1, std=1.5),
        fb.Dropout(0.1),
        fb.Dense(hidden),
        fb.LayerNorm(),
        fb.PReLU(),
        fb.Activation("gelu"),
        fb.Residual(norm, activation="silu"),
        fb.Branch([[fb.Dense(5), fb.Activation("elu")], [fb.GaussianNoise(0.1)], []]),
        fb.Activation("softplus"),
        fb.Branch([[fb.Dense(9, "tanh")], [fb.Dense(9)], [fb.Dense(9)]], merge="multiply"),
        fb.Branch([[fb.Dropout(0.5)], [fb.Scale(0.5, 0.1)]], merge="average"),
        fb.Dense(3),
    ]


def _embedded(n: int, hidden: int) -> list[Any]:
    """Tables of one stored row and of several, rows of which straddle two; one with a slot."""
    return [
        fb.Input(7, categorical={6: n, 0: 4, 3: 50}, embedding_units=[6, 3, 9],
                 handle_unknown="slot"),
        fb.LayerNorm(),
        fb.Dense(hidden, "tanh"),
        fb.Dropout(0.1),
        fb.Dense(2),
    ]  # fmt: skip


def _batched(n: int, hidden: int) -> list[Any]:
    """Statistics of the batch at the input, in every kind of block, and of what is put out."""
    return [
        fb.Input(n),
        fb.BatchNorm(scale=False),
        fb.Dense(hidden),
        fb.BatchNorm(0.9),
        fb.Activation("gelu"),
        fb.Residual([fb.Dense(hidden), fb.BatchNorm(), fb.Activation("tanh"), fb.Dense(hidden)]),
        fb.Branch([[fb.Dense(5), fb.BatchNorm(center=False)], [fb.Dropout(0.1)]]),
        fb.Dense(3),
        fb.BatchNorm(0.5, center=False, scale=False),
        fb.Dense(3),
    ]


CASES = {
    "tiny": Case([3, 5, 1], "mse", 4, False, 1, {"optimizer": "sgd"}),
    "one block": Case([4, 16, 1], "huber", 100, False, 1, {"activation": "tanh"}),
    "two blocks": Case(
        [20, 64, 33, 3], "cross_entropy", 50, False, 2, {"optimizer": fb.SGD(0.05, momentum=0.9)}
    ),
    "four blocks": Case([20, 64, 33, 3], "cross_entropy", 300, False, 4, {}),
    "lanes": Case([3, 7, 20, 5], "cross_entropy", 21, False, 1, {"activation": "tanh"}),
    "lanes, blocks": Case([17, 30, 21, 6], "mae", 290, False, 4, {"optimizer": fb.AdamW(0.01)}),
    "lanes, layers": Case(_every_layer(4, 6), "mse", 150, False, 2, {}),
    "layers": Case(_every_layer(12, 20), "mse", 260, False, 4, {"optimizer": fb.SGD(0.01)}),
    # not Adam: what is left of signs that cancel out would decide how it steps
    "layers, few rows": Case(_every_layer(4, 6), "mae", 3, False, 1, {"optimizer": fb.SGD(0.01)}),
    "parameters, layers": Case(_every_layer(70, 130), "mse", 37, True, 1, {}),
    "embeddings": Case(_embedded(200, 40), "mse", 150, False, 2, {"optimizer": fb.SGD(0.05)}),
    "embeddings, few rows": Case(_embedded(5, 3), "mae", 3, False, 1, {"optimizer": fb.SGD(0.01)}),
    "parameters, embeddings": Case(_embedded(3000, 9), "huber", 70, True, 1, {}),
    "batch": Case(_batched(20, 64), "cross_entropy", 300, False, 4, {"optimizer": fb.SGD(0.01)}),
    "batch, two blocks": Case(
        _batched(7, 90), "mse", 50, False, 2, {"optimizer": fb.SGD(0.01, global_clipnorm=1.0)}
    ),
    "batch, few rows": Case(_batched(4, 6), "mae", 3, False, 1, {"optimizer": fb.SGD(0.01)}),
    "penalties in the loss": Case(
        _GRAPH,
        fb.Loss("binary_cross_entropy", sum_outputs=True, with_penalties=True),
        260,
        False,
        4,
        {"optimizer": fb.Adam(0.01, epsilon_hat=True, clipnorm=1.0)},
    ),
    "lanes, graph": Case(_NARROW_GRAPH, "binary_cross_entropy", 150, False, 2, {}),
    "graph": Case(_GRAPH, "binary_cross_entropy", 260, False, 4, {"optimizer": fb.AdamW(0.01)}),
    "parameters": Case([70, 130, 66, 10], "cross_entropy", 37, True, 1, {"activation": "sigmoid"}),
    "parameters, graph": Case(
        [
            fb.Input(70),
            fb.Dense(130, "tanh"),
            fb.Residual([fb.Dense(40), fb.Dense(130, "gelu")]),
            fb.Dense(19),
        ],
        "mse",
        37,
        True,
        1,
        {"optimizer": fb.SGD(0.05)},
    ),
    "longer rows": Case([1024, 9, 1024], "mse", 20, True, 1, {"activation": "sigmoid"}),
    "longer rows, cross-entropy": Case([3, 1023, 2048], "cross_entropy", 9, True, 1, {}),
    "parameters, one row": Case(
        [300, 40, 2], "mae", 1, True, 1, {"optimizer": fb.SGD(0.01, momentum=0.5, nesterov=True)}
    ),
}

_LARGE = "longer rows, cross-entropy"  # 40 times as many parameters as the next
each_case = pytest.mark.parametrize("name", slow_but(CASES.keys() - {_LARGE}, CASES))
# `step` divides no penalties, whatever the loss says: its gradient is the caller's
each_named_loss = pytest.mark.parametrize(
    "name",
    slow_but(CASES.keys() - {_LARGE}, [n for n, c in CASES.items() if isinstance(c.loss, str)]),
)


def train(name: str, dtype: str, *, n_threads: int = 1, backend: str = "cython") -> fb.Network:
    """A network after three epochs of a case."""
    case = CASES[name]
    X, y = case.data(5 * case.batch_size // 2 + 1)
    network = case.network(dtype, backend)
    network.fit(X, y, epochs=3, batch_size=case.batch_size, n_threads=n_threads, verbose=False)
    return network


def digests() -> dict[str, str]:
    """Of every case and dtype: training, and what predict, evaluate and trace say after it."""
    found = {}
    for name, case in CASES.items():
        for dtype in ("float32", "float64"):
            network = train(name, dtype)
            X, y = case.data(301, seed=2)
            seen = [network.predict(X), network(X), network.evaluate(X, y)["loss"]]
            seen += network.trace(X, y).values()
            seen += [network.forward(X), network.backward(np.ones((301, network.n_outputs)))]
            sha = hashlib.sha256(digest(network).encode())
            for value in seen:
                sha.update(np.ascontiguousarray(value).tobytes())
            found[f"{name}, {dtype}"] = sha.hexdigest()
    return found

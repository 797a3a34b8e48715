"""Training of random networks: every loss, activation and optimizer, with and without weights."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from support.optimizer_case import MORE_OPTIMIZERS
from support.random_network import EACH_LOSS, random_case

import fastbp as fb
from fastbp.loss import Loss

OPTIMIZERS: list[Any] = [fb.SGD(0.01), fb.SGD(0.01, momentum=0.9), fb.Adam(0.01), fb.AdamW(0.01)]
OPTIMIZERS += MORE_OPTIMIZERS


def digest(seed: int, dtype: str, n_threads: int) -> str:
    """The bits of losses and parameters after two epochs of the network of a seed."""
    case = random_case(seed)
    optimizer = OPTIMIZERS[seed // len(EACH_LOSS) % len(OPTIMIZERS)]
    rng = np.random.default_rng(seed)
    weight = rng.integers(1, 4, len(case.X)).astype(float) if rng.random() < 0.5 else None
    network = fb.Network(
        case.layers, loss=case.loss, optimizer=optimizer, dtype=dtype, seed=seed, backend="cython"
    )
    network.set_weights(case.weights)
    try:
        found: Any = network.fit(
            case.X, case.y, batch_size=int(rng.integers(1, 80)), epochs=2, sample_weight=weight,
            n_threads=n_threads, verbose=False,
        ).history["loss"]  # fmt: skip
    except fb.DivergenceError as error:
        found = str(error)
    total = hashlib.sha256(repr(found).encode())
    for values in [*network.get_weights(), *network.optimizer_state.values()]:
        total.update(np.ascontiguousarray(values).tobytes())
    return total.hexdigest()


def digests(seeds: range) -> list[str]:
    """Of both types, by one thread."""
    return [digest(seed, dtype, 1) for seed in seeds for dtype in ("float32", "float64")]


def losses_met(seeds: range) -> set[Loss]:
    """By the networks of these seeds."""
    return {EACH_LOSS[seed % len(EACH_LOSS)] for seed in seeds}

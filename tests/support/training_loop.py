"""Trainings with everything that surrounds a step, each in every regime."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

import fastbp as fb

# (widths, batch size): the latency path of few units and of more, rows in the lanes, both regimes
SIZES = {
    "few": ([3, 4, 2], 1),
    "latency": ([5, 12, 3], 6),
    "lanes": ([5, 20, 9, 3], 40),
    "data-parallel": ([6, 40, 40, 3], 120),
    "weight-parallel": ([20, 150, 150, 3], 64),
}
LOOPS: dict[str, dict[str, Any]] = {
    "schedule": {
        "optimizer": lambda: fb.Adam(
            fb.CosineDecay(0.02, 9, warmup_target=0.05, warmup_steps=3)
        )
    },
    "clip": {"optimizer": lambda: fb.AdamW(0.02, global_clipnorm=0.3)},
    "clip tensors": {
        "optimizer": lambda: fb.SGD(0.1, momentum=0.9, clipnorm=0.1, weight_decay=0.01)
    },
    "average": {"optimizer": lambda: fb.SGD(fb.ExponentialDecay(0.1, 5, 0.5), ema=0.8)},
    "weights": {"optimizer": lambda: fb.Adam(0.02), "weighted": True},
    "everything": {
        "optimizer": lambda: fb.Adam(fb.OneCycle(0.05, 40), clipvalue=0.01, ema=0.9),
        "weighted": True, "stops": True, "l1": 0.001, "learning_rate_multiplier": 0.5,
    },
}  # fmt: skip


def train(
    size: str, loop: str, dtype: str, *, calls: Sequence[int] = (4,), n_threads: int = 1,
    backend: str = "cython",
) -> str:  # fmt: skip
    """A hash of parameters, optimizer state and history after fits of so many epochs."""
    widths, batch = SIZES[size]
    own = LOOPS[loop]
    rng = np.random.default_rng(5)
    n = 3 * batch + 2
    X, y = rng.normal(size=(n, widths[0])), rng.integers(0, widths[-1], n)
    first = {name: own[name] for name in ("l1", "learning_rate_multiplier") if name in own}
    layers = [
        fb.Input(widths[0]), fb.Dense(widths[1], "tanh", **first),
        *(fb.Dense(width, "silu") for width in widths[2:-1]), fb.Dense(widths[-1]),
    ]  # fmt: skip
    network = fb.Network(
        layers, loss="cross_entropy", optimizer=own["optimizer"](), metrics=["accuracy", "mae"],
        dtype=dtype, seed=2, backend=backend,
    )  # fmt: skip
    weight = rng.integers(0, 3, n) if own.get("weighted") else None
    figures = []
    for epochs in calls:
        stop = fb.EarlyStopping(monitor="val_loss", patience=99, restore_best_weights=False)
        past = network.fit(
            X, y, epochs=epochs, batch_size=batch, sample_weight=weight, n_threads=n_threads,
            validation_data=(X[:50], y[:50]), callbacks=[stop] if own.get("stops") else [],
        )  # fmt: skip
        figures += list(zip(*past.history.values(), strict=True))
    numbers = [*network.get_weights(), *network.optimizer_state.values(), np.array(figures)]
    return hashlib.sha256(b"".join(one.tobytes() for one in numbers)).hexdigest()


def digests() -> dict[str, str]:
    """Of all of them, by name."""
    return {
        f"{size} {loop} {dtype}": train(size, loop, dtype)
        for size in SIZES for loop in LOOPS for dtype in ("float32", "float64")
    }  # fmt: skip

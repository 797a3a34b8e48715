"""fastbp at its defaults, and as it started before version 0.2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastbp as fb
from bench.study.setting import BATCH_SIZE, LEARNING_RATE, MOMENTUM, Setting, rows

GLOROT: dict[str, Any] = {"kernel_initializer": "glorot_uniform", "bias_initializer": "zeros"}


def version() -> str:
    return f"fastbp {fb.__version__}"


def losses(setting: Setting, seeds: Sequence[int], **options: Any) -> NDArray[np.float64]:
    """The test loss of each seed, NaN where training diverged; `options` go to `Network`."""
    return np.array([_loss(setting, seed, options) for seed in seeds])


def _loss(setting: Setting, seed: int, options: dict[str, Any]) -> float:
    rate = LEARNING_RATE[setting.optimizer]
    network = fb.Network(
        list(setting.sizes),
        activation=setting.activation,
        loss="cross_entropy" if setting.dataset.n_classes else "mse",
        optimizer=fb.Adam(rate) if setting.optimizer == "adam" else fb.SGD(rate, momentum=MOMENTUM),
        seed=seed,
        **options,
    )
    data = rows(setting.dataset, seed)
    try:
        network.fit(
            data.X, data.y, epochs=setting.epochs, batch_size=BATCH_SIZE, n_threads=1, verbose=False
        )
    except fb.DivergenceError:
        return np.nan
    return network.evaluate(data.X_test, data.y_test, n_threads=1)["loss"]

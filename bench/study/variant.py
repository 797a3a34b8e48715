"""`python -m bench.study.variant`: other defaults of epsilon, learning rate and batch size.

fastbp alone, at the settings of SHAPES on all sets; each variant changes one number.  The epochs
stay the same, so a smaller batch takes more steps.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastbp as fb
from bench.study.dataset import CHOOSE, CONFIRM
from bench.study.setting import BATCH_SIZE, SEEDS, Setting, rows
from bench.study.summary import HERE, comparison, rounded

SHAPES = [(hidden, activation) for hidden in ("64", "64-32") for activation in ("relu", "tanh")]
ADAM = fb.Adam()
VARIANTS: dict[str, tuple[fb.Adam, int]] = {
    **{f"epsilon {e:g}": (replace(ADAM, epsilon=e), BATCH_SIZE) for e in (1e-7, 1e-6, 1e-5, 1e-4)},
    **{f"learning rate {r:g}": (replace(ADAM, learning_rate=r), BATCH_SIZE)
       for r in (3e-4, 2e-3, 3e-3)},
    **{f"batch size {b}": (ADAM, b) for b in (16, 64, 128)},
}  # fmt: skip


def loss(setting: Setting, seed: int, optimizer: fb.Adam, batch_size: int) -> float:
    """The logarithm of the test loss."""
    data, classify = rows(setting.dataset, seed), bool(setting.dataset.n_classes)
    network = fb.Network(
        setting.sizes, activation=setting.activation, optimizer=optimizer, seed=seed,
        loss="cross_entropy" if classify else "mse",
    )  # fmt: skip
    network.fit(
        data.X, data.y, epochs=setting.epochs, batch_size=batch_size, n_threads=1, verbose=False
    )
    return float(np.log(network.evaluate(data.X_test, data.y_test, n_threads=1)["loss"]))


def losses(optimizer: fb.Adam, batch_size: int) -> dict[str, NDArray[np.float64]]:
    """By data set, (shapes, seeds)."""
    return {
        dataset.name: np.array(
            [
                [loss(Setting(dataset, *shape, "adam"), seed, optimizer, batch_size)
                 for seed in SEEDS]
                for shape in SHAPES
            ]
        )
        for dataset in (*CHOOSE, *CONFIRM)
    }  # fmt: skip


def main() -> None:
    base = losses(ADAM, BATCH_SIZE)
    found: dict[str, Any] = {}
    for name, variant in VARIANTS.items():
        own = losses(*variant)
        by_set = [comparison(own[key] - base[key]) for key in base]
        ratios = np.array([one["ratio"] for one in by_set])
        differs = np.array([one["p"] for one in by_set]) < 0.05 / len(by_set)  # Bonferroni
        found[name] = {
            "ratio": float(np.exp(np.log(ratios).mean())),
            "smallest": float(ratios.min()),
            "largest": float(ratios.max()),
            "better": int((differs & (ratios < 1)).sum()),
            "worse": int((differs & (ratios > 1)).sum()),
        }
        print(name, found[name], flush=True)
    text = json.dumps(rounded(found), indent=1)
    (HERE / "variant.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

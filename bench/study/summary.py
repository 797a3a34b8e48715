"""`python -m bench.study.summary`: what result.npz and dqn.json say, as summary.json.

A comparison is a ratio of test losses, fastbp's by the other's, seed by seed.  Ratios are averaged
as logarithms, each within a factor of ten.  p is that of a paired t test over the seeds (one number
a seed: the mean over the settings), corrected for all comparisons of its table after Holm.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ttest_1samp, wilcoxon
from statsmodels.stats.multitest import multipletests

from bench.study import result
from bench.study.dataset import CHOOSE, CONFIRM
from bench.study.setting import ACTIVATIONS, HIDDEN, LEARNING_RATE, SEEDS, rows

HERE = Path(__file__).parent
PEERS = ("torch", "keras", "sklearn")
BEFORE = "fastbp 0.1"
LIMIT = np.log(10.0)

Array = NDArray[np.float64]
Losses = dict[str, Array]  # by setting


def log_ratios(ours: Losses, theirs: Losses, keys: Iterable[str]) -> Array:
    """(settings, seeds) of the settings that both have; a loss that is no number is the worst."""
    common = [key for key in keys if key in ours and key in theirs]
    pair = [np.nan_to_num(np.array([own[key] for key in common]), nan=np.inf)
            for own in (ours, theirs)]  # fmt: skip
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.log(pair[0]) - np.log(pair[1])
    return np.clip(np.nan_to_num(ratio, nan=0.0), -LIMIT, LIMIT)


def comparison(ratios: Array) -> dict[str, float]:
    """Geometric mean over all, its p over the seeds, the number of settings."""
    by_seed = ratios.mean(axis=0)
    p = float(ttest_1samp(by_seed, 0.0).pvalue)
    return {"ratio": float(np.exp(by_seed.mean())), "p": p, "settings": len(ratios)}


def corrected(found: list[dict[str, float]]) -> None:
    """Holm's correction of all p of a table, in place."""
    for one, p in zip(
        found, multipletests([one["p"] for one in found], method="holm")[1], strict=True
    ):
        one["p"] = float(p)


def summary() -> dict[str, Any]:
    """Every figure of the report."""
    losses, versions = result.read(HERE / "result.npz")
    ours = losses["fastbp"]
    return {
        "versions": versions,
        "seeds": len(SEEDS),
        "settings": len(ours),
        "sets": sets(losses),
        "halves": {
            name: {
                other: comparison(log_ratios(ours, losses[other], keys_of(half)))["ratio"]
                for other in (*PEERS, BEFORE)
            }
            for name, half in (("choose", CHOOSE), ("confirm", CONFIRM))
        },
        "settings_of_half": by_setting(losses),
        "single": single(losses),
        "dqn": dqn(),
        "variants": json.loads((HERE / "variant.json").read_text(encoding="utf-8")),
    }


def keys_of(half: Iterable[Any], part: str = "") -> list[str]:
    return [
        f"{dataset.name}/{hidden}/{activation}/{optimizer}"
        for dataset in half
        for hidden in HIDDEN
        for activation in ACTIVATIONS
        for optimizer in LEARNING_RATE
        if part in ("", f"{hidden}/{activation}/{optimizer}")
    ]


def sets(losses: dict[str, Losses]) -> list[dict[str, Any]]:
    """Each data set against each peer, p corrected within a half."""
    found = []
    for half, datasets in (("choose", CHOOSE), ("confirm", CONFIRM)):
        part = []
        for dataset in datasets:
            data = rows(dataset, SEEDS[0])
            others = {
                other: comparison(log_ratios(losses["fastbp"], losses[other], keys_of([dataset])))
                for other in (*PEERS, BEFORE)
            }
            part.append(
                {
                    "name": dataset.name,
                    "half": half,
                    "rows": len(data.X),
                    "features": data.X.shape[1],
                    "classes": dataset.n_classes,
                    "against": others,
                }
            )
        corrected([one["against"][peer] for one in part for peer in PEERS])
        corrected([one["against"][BEFORE] for one in part])
        found += part
    return found


def by_setting(losses: dict[str, Losses]) -> list[dict[str, Any]]:
    """Against PyTorch by activation, hidden layers and optimizer, over the confirming sets."""
    return [
        {
            "activation": activation,
            "hidden": hidden,
            "optimizer": optimizer,
            **{
                name: comparison(log_ratios(losses[own], losses["torch"], keys))["ratio"]
                for name, own in (("now", "fastbp"), ("before", BEFORE))
            },
        }
        for activation in ACTIVATIONS
        for hidden in HIDDEN
        for optimizer in LEARNING_RATE
        for keys in [keys_of(CONFIRM, f"{hidden}/{activation}/{optimizer}")]
    ]


def single(losses: dict[str, Losses]) -> dict[str, dict[str, int]]:
    """Of the single settings of the confirming half, how many differ (p < .05 after Holm)."""
    found = {}
    for own in ("fastbp", BEFORE):
        ratios = log_ratios(losses[own], losses["torch"], keys_of(CONFIRM))
        p = ttest_1samp(ratios, 0.0, axis=1).pvalue
        differs = multipletests(np.nan_to_num(p, nan=1.0), method="holm")[0]
        mean = ratios.mean(axis=1)
        found[own] = {
            "settings": len(ratios),
            "better": int((differs & (mean < 0)).sum()),
            "worse": int((differs & (mean > 0)).sum()),
        }
    return found


def dqn() -> dict[str, dict[str, float]]:
    """The mean return of the last 10 episodes, and Wilcoxon's p against PyTorch, seed by seed."""
    returns: dict[str, dict[int, float]] = {}
    for line in (HERE / "dqn.json").read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        returns.setdefault(one["contestant"], {})[one["seed"]] = one["return_last_10"]
    peer = returns["torch"]
    found = {}
    for name, own in returns.items():
        pairs = np.array([(own[seed], peer[seed]) for seed in sorted(own)])
        found[name] = {
            "seeds": len(pairs),
            "mean": float(pairs[:, 0].mean()),
            "deviation": float(pairs[:, 0].std(ddof=1)),
        }
        if own is not peer:
            found[name]["p"] = float(wilcoxon(pairs[:, 0], pairs[:, 1]).pvalue)
    return found


def main() -> None:
    text = json.dumps(rounded(summary()), indent=1)
    (HERE / "summary.json").write_text(text + "\n", encoding="utf-8")


def rounded(value: Any) -> Any:
    """Four digits are more than the data give."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()

"""`python -m bench.study CONTESTANT ...`: train its networks, keep their test losses."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # read when a library is loaded

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from bench.study import result  # noqa: E402
from bench.study.dataset import CHOOSE, CONFIRM  # noqa: E402
from bench.study.setting import SEEDS, Setting, settings  # noqa: E402

DATASETS = (*CHOOSE, *CONFIRM)
CONTESTANTS = ("fastbp", "fastbp 0.1", "torch", "keras", "sklearn")
# Keras compiles each setting and scikit-learn trains one network after the other.
SLOW = {"keras", "sklearn"}
SLOW_HIDDEN, SLOW_ACTIVATIONS = "64-32", ("relu", "tanh", "sigmoid")

Train = Callable[[Setting, Sequence[int]], NDArray[np.float64]]


def contestant(name: str) -> tuple[Train, str]:
    """Its function and its library's version."""
    module = import_module(f"bench.study.contestant.{name.split()[0]}")
    if name == "fastbp 0.1":
        return lambda setting, seeds: module.losses(
            setting, seeds, **module.GLOROT
        ), module.version()
    return module.losses, module.version()


def takes_part(name: str, setting: Setting) -> bool:
    """Whether the study has this setting for a contestant."""
    return name not in SLOW or (
        setting.hidden == SLOW_HIDDEN and setting.activation in SLOW_ACTIVATIONS
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.study", description=__doc__)
    parser.add_argument("contestant", nargs="+", choices=CONTESTANTS)
    parser.add_argument("--result", type=Path, default=Path(__file__).with_name("result.npz"))
    parser.add_argument("--set", nargs="*", choices=[one.name for one in DATASETS], default=None)
    arguments = parser.parse_args()
    chosen = [one.name for one in DATASETS] if arguments.set is None else arguments.set
    for name in arguments.contestant:
        train, version = contestant(name)
        own = {}
        for setting in settings():
            if setting.dataset.name in chosen and takes_part(name, setting):
                own[setting.key] = train(setting, SEEDS)
                print(name, setting.key, f"{own[setting.key].mean():.4g}", flush=True)
        result.update(arguments.result, name, own, version)


if __name__ == "__main__":
    main()

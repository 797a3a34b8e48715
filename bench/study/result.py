"""The losses of a run: an array (settings, seeds) for each contestant, in one compressed file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def update(path: Path, contestant: str, losses: dict[str, Array], version: str) -> None:
    """Write some of a contestant's losses beside, or in place of, those in the file.

    Four digits of each loss: less than any difference of interest.
    """
    arrays: dict[str, Array] = {}
    if path.exists():
        with np.load(path) as held:
            arrays = dict(held)
        losses = read(path)[0].get(contestant, {}) | losses
    arrays[f"{contestant}/version"] = np.array(version)
    arrays[f"{contestant}/settings"] = np.array(list(losses))
    arrays[f"{contestant}/losses"] = np.array(
        [[float(f"{loss:.4g}") for loss in row] for row in losses.values()], np.float32
    )
    with open(path, "wb") as stream:
        np.savez_compressed(stream, **arrays)


def read(path: Path) -> tuple[dict[str, dict[str, Array]], dict[str, str]]:
    """By contestant: the losses by setting and seed, and the library's version."""
    with np.load(path) as arrays:
        names = [name.removesuffix("/version") for name in arrays if name.endswith("/version")]
        losses = {
            name: dict(
                zip(
                    arrays[f"{name}/settings"].tolist(),
                    arrays[f"{name}/losses"].astype(np.float64),
                    strict=True,
                )
            )
            for name in names
        }
        return losses, {name: str(arrays[f"{name}/version"]) for name in names}

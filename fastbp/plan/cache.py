"""The caches of this machine, read once: by them a plan chooses what changes no bit."""

from __future__ import annotations

from dataclasses import astuple, dataclass

_FOLDER = "/sys/devices/system/cpu/cpu0/cache"
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


@dataclass  # not frozen: tests make them small and large
class Caches:
    """Bytes of the first level for data, the second and the third; by default as they often are."""

    level_1: int = 32 * 2**10
    level_2: int = 2**20
    level_3: int = 32 * 2**20


def read_caches(folder: str = _FOLDER) -> Caches:
    """What Linux says of one processor; the defaults where it says nothing."""
    found = list(astuple(Caches()))
    for index in range(8):
        try:
            kind, level, size = (
                _text(f"{folder}/index{index}/{name}") for name in ("type", "level", "size")
            )
            n_bytes = int(size[:-1]) * _UNITS[size[-1]]
            if kind != "Instruction" and n_bytes > 0:
                found[int(level) - 1] = n_bytes
        except (OSError, ValueError, LookupError):
            continue
    return Caches(*found)


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read().strip()


machine = read_caches()

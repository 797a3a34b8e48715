"""What this installation is and what runs: read from the modules in use, not from how they were
meant to be built.
"""

from __future__ import annotations

import platform
from dataclasses import astuple
from typing import Any

import numpy as np

from fastbp import backend
from fastbp.check import threads
from fastbp.plan import cache
from fastbp.version import __version__


def config() -> dict[str, Any]:
    """The facts that `show_config` prints, by name."""
    name = backend.instruction_set if backend.default == "cython" else None
    builds = {isa for isa, _ in backend.compiled_modules()}
    found: dict[str, Any] = {
        "fastbp": __version__,
        "backend": backend.default,
        "instruction set": name or "none (NumPy)",
        "instruction sets built": [isa for isa in backend.INSTRUCTION_SETS if isa in builds],
        "instruction sets of this CPU": list(backend.supported()),
        "caches (bytes)": list(astuple(cache.machine)),
        "threads": threads.get_num_threads(),
        "threads set by": threads.source(),
    }
    if name is not None:
        info = backend.compiled_modules()[name, "float32"].build_info()
        found |= {
            "vector bytes": info["vector_bytes"],
            "fused multiply-add": info["fma"],
            "compiler": info["compiler"],
            "build flags": info["flags"],
        }
    if errors := backend.build_errors():
        told = [f"{' '.join(names)}: {said}" for said, names in errors.items()]
        found["builds that failed"] = told
    return found | {
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def show_config(mode: str = "print") -> dict[str, Any] | None:
    """Print version, backend, instruction set, threads, compiler, flags and NumPy version;
    mode="dict" returns them.

    Raises ValueError for another mode.

    >>> sorted(show_config("dict"))[:2]
    ['backend', 'build flags']
    """
    if mode not in ("print", "dict"):
        raise ValueError(f"mode must be 'print' or 'dict', got {mode!r}")
    found = config()
    if mode == "dict":
        return found
    width = max(map(len, found))
    for name, value in found.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        print(f"{name:{width}}  {text}")
    return None

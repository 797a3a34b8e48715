"""Which build of the kernels runs: chosen once, at import, and never silently the NumPy one.

FASTBP_BACKEND   "cython" or "numpy" instead of the best there is
FASTBP_ISA       "v4", "v3", "v2", "neon" or "portable" instead of the best of the processor
"""

from __future__ import annotations

import os
import sys
import warnings
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

INSTRUCTION_SETS = ("v4", "v3", "v2", "neon", "portable")
_ALIASES = {"avx512": "v4", "avx2": "v3", "sse4": "v2", "sse4.2": "v2"}
BACKENDS = ("cython", "numpy")
_NAMES = {np.dtype(name): name for name in ("float32", "float64")}  # dtype.name takes 1 us


@cache
def supported() -> tuple[str, ...]:
    """Instruction sets this processor supports, best first; empty where nothing was compiled."""
    module = _extension("_cpu")
    return () if module is None else module.instruction_sets()


def _extension(name: str) -> ModuleType | None:
    """A compiled module, or None where it was not built; an error inside it goes through."""
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name == f"{__name__}.{name}":
            return None
        raise


@cache
def compiled_modules() -> dict[tuple[str, str], ModuleType]:
    """Every build that can run here: (instruction set, dtype name) -> module, best instruction set
    first.
    """
    found = {}
    for name in supported():
        for dtype in ("float32", "float64"):
            module = _extension(f"_{dtype}_{name}")
            if module is not None:
                found[name, dtype] = module
    return found


def _chosen_instruction_set() -> str | None:
    """The instruction set to use, or None without compiled modules.

    Raises ValueError for an unknown FASTBP_ISA, RuntimeError for one that this processor or build
    does not have.
    """
    built = [name for name in INSTRUCTION_SETS if (name, "float32") in compiled_modules()]
    wanted = os.environ.get("FASTBP_ISA", "").strip().lower()
    if not wanted:
        return built[0] if built else None
    name = _ALIASES.get(wanted, wanted)
    if name not in INSTRUCTION_SETS:
        raise ValueError(f"FASTBP_ISA={wanted!r} is unknown; known: {', '.join(INSTRUCTION_SETS)}")
    if not built:
        raise RuntimeError(f"FASTBP_ISA={wanted} but nothing was compiled here; {_remedy()}")
    if name not in supported():
        raise RuntimeError(f"FASTBP_ISA={wanted} but this CPU has {', '.join(supported())}")
    if name not in built:
        raise RuntimeError(f"FASTBP_ISA={wanted} but this build has {', '.join(built) or 'none'}")
    return name


def _chosen_backend() -> str:
    wanted = os.environ.get("FASTBP_BACKEND", "").strip().lower()
    if wanted not in ("", *BACKENDS):
        raise ValueError(f"FASTBP_BACKEND={wanted!r} is unknown; known: {', '.join(BACKENDS)}")
    if wanted == "numpy":
        return "numpy"
    if instruction_set is not None:
        return "cython"
    if wanted == "cython":
        raise ImportError(
            f"FASTBP_BACKEND=cython but the compiled kernels are missing; {_remedy()}"
        )
    text = f"{_remedy()}; fastbp has no compiled kernels here and uses NumPy, many times slower"
    warnings.warn(text, RuntimeWarning, stacklevel=4)
    return "numpy"


def _remedy() -> str:
    errors = build_errors()
    if errors:
        return (
            f"its compiler said: {next(iter(errors))}; put that right and reinstall, with "
            "FASTBP_REQUIRE_BUILD=1 to see all it says"
        )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if os.path.exists(os.path.join(root, "setup.py")) and os.path.isdir(os.path.join(root, "src")):
        places = [place for place in sys.path if os.path.abspath(place) != root]
        specs = (finder.find_spec("fastbp", places) for finder in sys.meta_path)
        origins = (spec.origin or "" for spec in specs if spec is not None)
        other = next((one for one in origins if one and not one.startswith(root + os.sep)), None)
        if other is not None:
            return (
                f"start Python outside of the source folder {root}, or as `python -P`, to import "
                f"the fastbp that is installed in {os.path.dirname(other)}"
            )
        return f"run `pip install -e .` in {root}: fastbp was imported from this source folder"
    return "reinstall with a C compiler and the Python headers (Debian: gcc python3-dev)"


def build_errors() -> dict[str, list[str]]:
    """What the compiler said, in one line, when the package was installed, and the builds that
    failed with it, such as "float32_v4".
    """
    path = os.path.join(os.path.dirname(__file__), "build_error.txt")
    found: dict[str, list[str]] = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as stream:
            for line in stream:
                name, _, said = line.rstrip("\n").partition(": ")
                found.setdefault(said, []).append(name)
    return found


def resolve_backend(name: str | None) -> str:
    """The backend of a network: None is the one chosen at import.

    Raises ValueError for an unknown name, ImportError for "cython" without compiled kernels.
    """
    if name is None:
        return default
    if name not in BACKENDS:
        raise ValueError(f"unknown backend {name!r}; known: {', '.join(BACKENDS)}")
    if name == "cython" and instruction_set is None:
        raise ImportError(
            f"backend 'cython' is not there: the compiled kernels are missing; {_remedy()}"
        )
    return name


def engine_module(backend: str, dtype: np.dtype[Any]) -> Any:
    """The module with `Engine` and `first_nonfinite` for a resolved backend."""
    if backend == "numpy":
        return import_module(f"{__name__}.numpy.engine")
    return compiled_modules()[str(instruction_set), _NAMES[dtype]]


instruction_set = _chosen_instruction_set()
default = _chosen_backend()

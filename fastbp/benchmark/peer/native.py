"""Peers in C and C++: a source in the repository's bench/native, compiled where it is run.

Each has the four functions of `bench/native/task.h`.  The sources are looked for in the current
folder and beside the package; where they, a compiler or a library are missing, the row says which.
"""

import ctypes
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fastbp.benchmark.peer import Missing, Refused, Run
from fastbp.benchmark.workload import BETA1, BETA2, EPSILON, LEARNING_RATE, Array, Workload

FOLDER = Path("bench", "native")
FLAGS = ("-O3", "-march=native", "-mprefer-vector-width=512", "-fno-math-errno", "-shared", "-fPIC")
COMPILER = {".c": "gcc", ".cpp": "g++"}
ACTIVATIONS, LOSSES = ("relu", "tanh"), ("mse", "cross_entropy")
OPTIMIZERS = ("sgd", "adam")  # each in the order of task.h


class Task(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int) for name in (
            "n_layers", "batch", "n_batches", "activation", "loss", "optimizer", "threads"
        )),
        *((name, ctypes.c_void_p) for name in ("sizes", "X", "y", "weights")),
        *((name, ctypes.c_double) for name in ("learning_rate", "beta1", "beta2", "epsilon")),
    ]  # fmt: skip


@functools.cache
def library(source: str, real: str, *options: str) -> ctypes.CDLL:
    """bench/native/`source`, compiled with `options` beside the usual ones.

    Raises Missing where a source, a compiler or what it includes is not there.
    """
    places = [Path.cwd() / FOLDER, Path(__file__).parents[3] / FOLDER]
    path = next((place / source for place in places if (place / source).exists()), None)
    if path is None:
        raise Missing(f"{FOLDER / source} is in the repository: run it there")
    compiler = shutil.which(COMPILER[path.suffix])
    if compiler is None:
        raise Missing(f"there is no {COMPILER[path.suffix]}")
    with tempfile.TemporaryDirectory() as folder:
        built = str(Path(folder, "peer.so"))
        command = [compiler, *FLAGS, f"-DREAL={real}", str(path), "-o", built, *options, "-lm"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            first = next((line for line in done.stderr.splitlines() if "error" in line), "")
            raise Missing(f"{path.name} does not compile: {first}")
        found = ctypes.CDLL(built)
    found.version.restype, found.start.restype = ctypes.c_char_p, ctypes.c_void_p
    found.train.restype, found.train.argtypes = ctypes.c_double, [ctypes.c_void_p, ctypes.c_long]
    found.parameters.argtypes = [ctypes.c_void_p] * 2
    return found


def trainer(loaded: ctypes.CDLL, workload: Workload, threads: int) -> Run:
    """A Run of a library that `library` has loaded; Refused where it is not written for that."""
    asked = (workload.activation, workload.loss, workload.optimizer)
    for value, known in zip(asked, (ACTIVATIONS, LOSSES, OPTIMIZERS), strict=True):
        if value not in known:
            raise Refused(f"it is not written for {value}")
    X, y = workload.data()
    y = y.astype(np.int32) if y.dtype.kind == "i" else y
    flat = np.concatenate([part.ravel() for part in workload.weights()])
    sizes = np.array(workload.sizes, np.int32)
    task = Task(
        len(sizes) - 1, workload.batch_size, workload.n_batches,
        ACTIVATIONS.index(workload.activation), LOSSES.index(workload.loss),
        OPTIMIZERS.index(workload.optimizer), threads,
        *(array.ctypes.data for array in (sizes, X, y, flat)),
        LEARNING_RATE, BETA1, BETA2, EPSILON,
    )  # fmt: skip
    state = loaded.start(ctypes.byref(task))
    if not state:
        raise Refused("it is not written for this workload")
    kept: Any = (sizes, X, y, flat)  # the library reads them

    def run(steps: int) -> tuple[float, list[Array]]:
        loss = loaded.train(state, steps // workload.n_batches)
        out = np.empty_like(kept[-1])
        loaded.parameters(state, out.ctypes.data)
        return loss, [out]

    return run

"""Who takes part, and the process of its own that each of them runs in."""

import json
import os
import selectors
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from fastbp.backend import supported

PATIENCE = 300  # seconds for an answer
# Of the adapters that are not named as the module of their library.
MODULES = {"sklearn": "sklearn.neural_network", "litert": "ai_edge_litert.interpreter"}
MODULES |= dict.fromkeys(("eigen", "fann", "handwritten"), "ctypes")
# Pins itself before anything is loaded, and times the import, of which NumPy is no part.
START = """
import importlib, os, sys, time
cores, module = {cores}, {module!r}
if cores:
    os.sched_setaffinity(0, cores)
if module != "numpy":
    import numpy
start = time.perf_counter()
try:
    importlib.import_module(module)
    first = {{"import_s": time.perf_counter() - start}}
except Exception as reason:
    first = {{"status": "missing", "note": f"{{reason}}"}}
from fastbp.benchmark.worker import main
main(first)
"""


@dataclass(frozen=True)
class Contestant:
    """`adapter` in fastbp/benchmark/peer, named as its library, and a variant of it.

    `build` is the one of fastbp's that it has to run.
    """

    name: str
    adapter: str
    variant: str
    build: str = ""

    @property
    def module(self) -> str:
        """What its process imports before anything else."""
        return MODULES.get(self.adapter, self.adapter)

    @property
    def is_peer(self) -> bool:
        """A library that trains any network: neither fastbp nor what is written for one network."""
        return self.adapter not in ("fastbp", "handwritten")


BUILDS = tuple(
    Contestant(f"fastbp {build}", "fastbp", "cython", build)
    for build in (supported() if "neon" in supported() else ("v4", "v3", "v2", "portable"))
)
CONTESTANTS = (
    *BUILDS,
    Contestant("fastbp numpy", "fastbp", "numpy"),
    Contestant("NumPy", "numpy", "usual"),
    Contestant("NumPy tuned", "numpy", "tuned"),
    Contestant("PyTorch", "torch", "eager"),
    Contestant("PyTorch compiled", "torch", "compiled"),
    Contestant("JAX", "jax", "scan"),
    Contestant("scikit-learn", "sklearn", "partial_fit"),
    Contestant("tinygrad", "tinygrad", "TinyJit"),
    Contestant("Eigen", "eigen", "dense"),
    Contestant("FANN", "fann", "incremental or batch"),
    Contestant("C by hand", "handwritten", "literal sizes"),
)
SLOW_TO_START = ("PyTorch compiled",)  # 15 s a workload: takes part where it is asked for


def select(names: list[str] | None) -> list[Contestant]:
    """The contestants of these names ("all": every one), or those that start in little time.

    Raises ValueError for an unknown name.
    """
    known = {one.name: one for one in CONTESTANTS}
    if not names:
        return [one for one in CONTESTANTS if one.name not in SLOW_TO_START]
    for name in names:
        if name not in known and name != "all":
            raise ValueError(f"no contestant {name!r}; there are {', '.join(known)}, all")
    return [one for one in CONTESTANTS if one.name in names or "all" in names]


class Process:
    """A worker on the last `threads` of the processors that this process may use.

    Whatever goes wrong there is an answer, of status "missing" or "failed".
    """

    def __init__(self, contestant: Contestant, *, threads: int) -> None:
        self.contestant, self.threads, self.is_alive = contestant, threads, True
        code = START.format(cores=processors()[-threads:], module=contestant.module)
        build = {"FASTBP_ISA": contestant.build} if contestant.build else {}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-c", code],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=environment(threads) | build,
        )  # fmt: skip
        self.first = self._answer()  # one import at a time

    def prepare(self, **request: Any) -> dict[str, Any]:
        if "status" in self.first:
            return dict(self.first)
        about = {"adapter": self.contestant.adapter, "variant": self.contestant.variant}
        return self.first | self.ask({"do": "prepare", "threads": self.threads} | about | request)

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            return self._failed("the process ended")
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(PATIENCE):
                return self._failed(f"no answer within {PATIENCE} s")
        line = self.process.stdout.readline()
        if not line:
            return self._failed(f"the process ended with status {self.process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def _failed(self, note: str) -> dict[str, Any]:
        self.is_alive = False
        return {"status": "failed", "note": note}


def processors() -> list[int]:
    """The processors this process may use; empty where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def environment(threads: int) -> dict[str, str]:
    """This process's, with `threads` threads for whatever library a contestant brings."""
    found = {name: text for name, text in os.environ.items() if not name.startswith("FASTBP_")}
    for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR"):
        found[f"{library}_NUM_THREADS"] = str(threads)
    found |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    found |= {"DEV": "CPU", "NUM_CPU_THREADS": str(threads)}  # tinygrad's
    # OpenBLAS lets idle threads spin for 2^26 ticks and more, into the turn of the next contestant:
    # 2^20 are 0.4 ms, and its own times are the same
    found["OPENBLAS_THREAD_TIMEOUT"] = "20"
    if threads == 1:
        found["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    return found

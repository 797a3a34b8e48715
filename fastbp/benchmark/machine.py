"""What this machine is and what one core of it can do, measured by `src/probe/machine.pxi`."""

import os
import platform
import re
import time
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from fastbp.backend import compiled_modules
from fastbp.benchmark.roofline import Constants
from fastbp.plan import cache
from fastbp.plan.arena import allocate

REPEATS = 5
LARGEST = 2**28  # bytes of an array, at most
WORK = {
    "integer_chain": 300_000, "fma": 60_000, "mixed": 60_000, "divide": 1000, "quotient": 500,
    "fma_chain": 200_000, "divide_chain": 60_000, "sqrt_chain": 60_000,
}  # fmt: skip


class Probe:
    """The best of all probes so far; `run` adds to them, at the beginning and the end of a run."""

    def __init__(self) -> None:
        self.caches = astuple(cache.machine)
        self.footprints = footprints(self.caches)
        self.modules: dict[str, Any] = {}
        for (_, dtype), module in compiled_modules().items():  # the best comes first
            self.modules.setdefault(dtype, module)
        self.best: dict[tuple[Any, ...], float] = {}

    def run(self) -> None:
        for dtype, module in self.modules.items():
            for _ in range(REPEATS):
                for kind, n in WORK.items():
                    self._time((dtype, kind), n, module.probe_arithmetic, kind, n, 1.25, 0.5)
            for level, n_bytes in enumerate(self.footprints):
                real = np.dtype(dtype)
                n = n_bytes // real.itemsize // 1024 * 1024
                array = allocate(n, real, purpose="a probe")[:n]
                array[:] = 1
                passes = max(1, 2**25 // n_bytes)
                moved, work = passes * array.nbytes, module.probe_stream
                for _ in range(REPEATS):
                    self._time((dtype, "read", level), moved, work, array, passes, 1.0, False)
                    self._time((dtype, "rewrite", level), 2 * moved, work, array, passes, 1.0, True)

    def constants(self) -> dict[str, Constants]:
        """For each dtype; empty without compiled modules."""
        return {dtype: self._constants(dtype) for dtype in self.modules}

    def clock(self) -> float:
        """Cycles per second; 0 without compiled modules."""
        return max((4 / self.best[dtype, "integer_chain"] for dtype in self.modules), default=0.0)

    def _constants(self, dtype: str) -> Constants:
        sizes, best = self.modules[dtype].sizes(), self.best
        lanes, levels = sizes["lanes"], range(len(self.footprints))
        chains, probed = sizes["probe_chains"], sizes["probed"] / lanes
        rewrite = [1 / best[dtype, "rewrite", level] for level in levels]
        # what can be read while as much is written can be read alone
        read = [max(1 / best[dtype, "read", i], rewrite[i] / 2) for i in levels]
        return Constants(
            lanes=lanes,
            itemsize=np.dtype(dtype).itemsize,
            fma_per_s=chains / best[dtype, "fma"],
            vector_per_s=max(2 * chains / best[dtype, "mixed"], chains / best[dtype, "fma"]),
            divide_s=best[dtype, "divide"] / probed,
            quotient_s=best[dtype, "quotient"] / probed,
            fma_latency_s=best[dtype, "fma_chain"],
            divide_latency_s=best[dtype, "divide_chain"],
            sqrt_latency_s=best[dtype, "sqrt_chain"],
            caches=self.caches,
            footprints=self.footprints,
            read=tuple(read),
            rewrite=tuple(rewrite),
        )

    def _time(self, key: tuple[Any, ...], amount: int, work: Any, *arguments: Any) -> None:
        start = time.perf_counter()
        work(*arguments)
        seconds = (time.perf_counter() - start) / amount
        self.best[key] = min(self.best.get(key, seconds), seconds)


def footprints(caches: tuple[int, ...]) -> tuple[int, ...]:
    """Half of L1 and of L2, then from twice L2 on four times as much each, to four times L3."""
    found = [caches[0] // 2, caches[1] // 2, 2 * caches[1]]
    while 4 * found[-1] <= min(LARGEST, 4 * caches[2]):
        found.append(4 * found[-1])
    return tuple(found)


def describe() -> dict[str, Any]:
    """What the figures depend on, as far as the system says it."""
    model = platform.processor()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        facts = dict(re.findall(r"^(.+?)\s*: (.*)$", text, re.MULTILINE))
        model = f"{facts['model name']} (family {facts['cpu family']}, model {facts['model']})"
    except (OSError, KeyError):
        pass
    return {
        "processor": model,
        "processors": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }

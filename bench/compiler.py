"""The kernels of two compilers: times of the workloads of `fastbp bench` on one thread, and ratios.

    python bench/compiler.py GCC_PYTHON CLANG_PYTHON [BUILD ...]

Each argument is a Python that has fastbp, built by one of them.  Both run in turns, in short
rounds; what counts is the least processor time of a step, which other processes disturb little.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

BUILDS = ("v4", "v3", "v2", "portable")
DTYPES = ("float32", "float64")
ROUNDS, SECONDS, ENOUGH = 60, 0.002, 1.0  # of a round, and of all rounds of a workload


def work() -> None:
    """Answer each line of the standard input, the index of a workload and its dtype or a "go"."""
    from fastbp.benchmark import workload
    from fastbp.benchmark.peer.fastbp import trainer

    for line in sys.stdin:
        words = line.split()
        if words[0] != "go":
            one = workload.select(None, False, None, words[1])[int(words[0])]
            run, steps = trainer(one, "in order", 1), one.n_batches
            run(steps)
            taken = time.thread_time()
            run(steps)
            taken = time.thread_time() - taken
            steps *= max(1, round(SECONDS / taken))
            print(json.dumps(one.name), flush=True)
        else:
            start = time.thread_time()
            run(steps)
            print((time.thread_time() - start) / steps, flush=True)


class Worker:
    """A process of one compiler's builds."""

    def __init__(self, python: str, build: str) -> None:
        environment = os.environ | {"FASTBP_ISA": build, "FASTBP_BACKEND": "cython"}
        self.process = subprocess.Popen(
            [python, "-P", __file__, "--work"], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def ask(self, line: str) -> Any:
        assert self.process.stdin and self.process.stdout
        print(line, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def end(self) -> None:
        self.process.communicate()


def times(pair: list[Worker]) -> tuple[float, float]:
    """The least seconds of a step, of each."""
    taken: list[list[float]] = [[], []]
    for turn in range(ROUNDS):
        for found, worker in zip(taken, pair, strict=True):
            found.append(worker.ask("go"))
        if turn >= 7 and turn * min(taken[0]) > ENOUGH:
            break
    return min(taken[0]), min(taken[1])


def main(pythons: list[str], builds: list[str]) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    from fastbp.benchmark.workload import USUAL

    for build in builds or BUILDS:
        pair = [Worker(python, build) for python in pythons]
        for dtype in DTYPES:
            for index in range(len(USUAL)):
                name = [worker.ask(f"{index} {dtype}") for worker in pair][0]
                first, second = times(pair)
                print(
                    f"| {build} | {dtype} | {name} | {1e6 * first:.4g} | {1e6 * second:.4g} "
                    f"| {second / first:.2f} |",
                    flush=True,
                )
        for worker in pair:
            worker.end()


if __name__ == "__main__":
    if sys.argv[1:] == ["--work"]:
        work()
    else:
        main(sys.argv[1:3], sys.argv[3:])

"""Hand-written NumPy: the usual loop, and the tuned one with flat vectors."""

import numpy as np

from fastbp.benchmark.hand_written import HandWritten
from fastbp.benchmark.peer import Run
from fastbp.benchmark.workload import Array, Workload


def version() -> str:
    return f"NumPy {np.__version__}"


def trainer(workload: Workload, variant: str, threads: int) -> Run:
    loop, last = HandWritten(workload, tuned=variant == "tuned"), workload.n_batches

    def run(steps: int) -> tuple[float, list[Array]]:
        if steps > last:
            loop.train_steps(steps - last)
        loss = loop.train_steps(last)
        pairs = zip(loop.kernels, loop.biases, strict=True)
        return loss, [part for pair in pairs for part in pair]

    return run

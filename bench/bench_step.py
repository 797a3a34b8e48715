"""Whole training steps: the compiled backend beside the NumPy one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastbp.backend import compiled_modules
from fastbp.benchmark import oracle
from fastbp.benchmark.peer.fastbp import trainer
from fastbp.benchmark.workload import FURTHER, USUAL, Workload

STEPS = {"cython": 2e9, "numpy": 1e8}  # floating-point operations of one round, about


@pytest.mark.parametrize("backend", ["cython", "numpy"])
@pytest.mark.parametrize("workload", [*USUAL, *FURTHER], ids=lambda workload: workload.name)
def test_step(benchmark: Any, workload: Workload, backend: str) -> None:
    """One round is `steps` steps; extra_info has them, and GFLOP/s of the fastest."""
    if backend == "cython" and not compiled_modules():
        pytest.skip("no compiled kernels here")
    run = trainer(workload, backend, threads=1)
    loss, _ = run(workload.checked_steps)  # answers first
    losses, _ = oracle.train(workload, workload.checked_steps)
    assert loss == pytest.approx(np.mean(losses[-workload.n_batches :]), rel=1e-4)
    epochs = max(1, min(200, round(STEPS[backend] / workload.flop / workload.n_batches)))
    steps = epochs * workload.n_batches
    benchmark.group = f"{workload.name}, {steps} steps"
    benchmark.pedantic(run, args=(steps,), rounds=5, warmup_rounds=1)
    seconds = benchmark.stats.stats.min / steps
    benchmark.extra_info |= {"steps": steps, "us_per_step": 1e6 * seconds}
    benchmark.extra_info["gflop_per_s"] = 1e-9 * workload.flop / seconds

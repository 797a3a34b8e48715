"""Whole training steps with pytest-benchmark: `python -P -m pytest bench --benchmark-enable`."""

from __future__ import annotations

from typing import Any

import pytest
from measure import IMPLEMENTATIONS, check_answers, refuse_fallback, step_times
from workload import WORKLOADS, Workload

workloads = pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    refuse_fallback()


@pytest.fixture(scope="module")
def checked() -> set[str]:
    """Workloads whose answers were found right: nothing is timed before."""
    return set()


@workloads
@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_step(benchmark: Any, checked: set[str], workload: Workload, name: str) -> None:
    """One round is `workload.steps` steps; divide by them for the time of one."""
    if workload.name not in checked:
        check_answers(workload)
        checked.add(workload.name)
    benchmark.group = f"{workload.name}, batch {workload.batch_size}, {workload.steps} steps"
    implementation = IMPLEMENTATIONS[name](workload)
    benchmark.pedantic(
        implementation.train_steps, args=(workload.steps,), rounds=10, warmup_rounds=1
    )


@workloads
def test_ratio(workload: Workload) -> None:
    """The claim: so many times as fast as hand-written NumPy, taken in turns in one run."""
    check_answers(workload)
    times = step_times(workload, repeats=10)
    assert times["NumPy"] / times["fastbp"] >= workload.required

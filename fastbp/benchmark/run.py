"""A run: the contestants' answers compared with the oracle, rounds in turn, and what follows.

`schema.json` describes the result.
"""

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from fastbp.benchmark import oracle, roofline
from fastbp.benchmark.contestant import BUILDS, Contestant, Process
from fastbp.benchmark.workload import Workload

PAUSE = 0.02  # seconds between contestants of several threads, for those of the one before to sleep
PATIENCE = 3  # a slow contestant is timed no longer than so many times `rounds` calls of `seconds`
Row = dict[str, Any]
# Who has a column of its own in the table of ratios.
BESIDE = {
    "pytorch": "PyTorch", "eigen": "Eigen", "by_hand": "C by hand", "numpy": "fastbp numpy"
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Settings:
    """`seconds` is about what one timed call takes; `rounds` such calls are made."""

    rounds: int = 7
    seconds: float = 0.1
    dtype: str = "float32"


class Team:
    """One process a contestant, for all workloads of a run; one of them works at a time."""

    def __init__(self, contestants: Sequence[Contestant], *, threads: int) -> None:
        self.threads = threads
        self.processes = [Process(one, threads=threads) for one in contestants]

    def close(self) -> None:
        for process in self.processes:
            process.end()

    def time(
        self,
        kind: str,
        workload: Workload,
        truth: Path | None,
        settings: Settings,
        names: Sequence[str] | None = None,
    ) -> list[Row]:
        """Each contestant's answer, with the least and the median "us" of its rounds, in turns.

        Args:
            kind: "steps" or "call".
            truth: a file of what the answers are compared with.
            names: of those who take part, where not all do.
        """
        for i, process in enumerate(self.processes):
            if not process.is_alive:
                process.end()
                self.processes[i] = Process(process.contestant, threads=self.threads)
        request: Row = {"kind": kind, "workload": dataclasses.asdict(workload)}
        request |= {"truth": truth and str(truth), "seconds": settings.seconds}
        processes = [one for one in self.processes if names is None or one.contestant.name in names]
        answers = [process.prepare(**request) for process in processes]
        taken: list[list[float]] = [[] for _ in answers]
        enough = PATIENCE * settings.rounds * settings.seconds
        for _ in range(settings.rounds):
            for process, answer, seconds in zip(processes, answers, taken, strict=True):
                if answer["status"] == "ok" and sum(seconds) < enough:
                    time.sleep(PAUSE if self.threads > 1 else 0)
                    found = process.ask({"do": "round"})
                    if "status" in found:
                        answer |= found
                    else:
                        seconds.append(found["seconds"])
        for answer, seconds in zip(answers, taken, strict=True):
            if answer["status"] == "ok":
                per = 1e6 / (answer["steps"] if kind == "steps" else answer["calls"])
                answer["us_min"] = per * min(seconds)
                answer["us_median"] = per * statistics.median(seconds)
        return answers


def step_rows(
    workloads: Sequence[Workload],
    contestants: Sequence[Contestant],
    threads: Sequence[int],
    settings: Settings,
) -> Iterator[Row]:
    """A row for each number of threads, workload and contestant."""
    with tempfile.TemporaryDirectory() as folder:
        truths = [step_truth(one, Path(folder) / f"{i}.npz") for i, one in enumerate(workloads)]
        for count in threads:
            with closing(Team(contestants, threads=count)) as team:
                for workload, truth in zip(workloads, truths, strict=True):
                    answers = team.time("steps", workload, truth, settings)
                    for contestant, answer in zip(contestants, answers, strict=True):
                        yield _step_row(workload, contestant, count, answer)


def step_truth(workload: Workload, path: Path) -> Path:
    """A file of what the oracle finds: the loss of the last checked epoch, the parameters."""
    losses, weights = oracle.train(workload, workload.checked_steps)
    flat = np.concatenate([part.ravel() for part in weights])
    np.savez(path, loss=losses[-workload.n_batches :].mean(), parameters=flat)
    return path


def _step_row(workload: Workload, contestant: Contestant, threads: int, answer: Row) -> Row:
    row = {
        "workload": workload.network,
        "batch_size": workload.batch_size,
        "threads": threads,
        "contestant": contestant.name,
        "is_peer": contestant.is_peer,
        **answer,
    }
    if row["status"] == "ok":
        seconds = 1e-6 * row["us_min"]
        row["samples_per_s"] = workload.batch_size / seconds
        row["gflop_per_s"] = 1e-9 * workload.flop / seconds
    return row


def add_limits(
    rows: Sequence[Row], workloads: Sequence[Workload], constants: roofline.Constants | None
) -> None:
    """ "limit_us", "bound" and "fraction" into each row that has a time."""
    found = {(one.network, one.batch_size): one for one in workloads}
    for row in rows:
        if row["status"] == "ok" and constants is not None:
            workload = found[row["workload"], row["batch_size"]]
            seconds, row["bound"] = roofline.limit(workload, constants, row["threads"])
            row["limit_us"] = 1e6 * seconds
            row["fraction"] = row["limit_us"] / row["us_min"]


def ratios(rows: Sequence[Row]) -> list[Row]:
    """For each workload and number of threads: peers' times by fastbp's, of the minima.

    fastbp is the build it chooses by itself, the first of v4, v3, v2, neon and portable that ran.
    """
    columns = "workload", "batch_size", "threads"
    groups: dict[Any, dict[str, Row]] = {}
    for row in rows:
        if row["status"] == "ok":
            groups.setdefault(itemgetter(*columns)(row), {})[row["contestant"]] = row
    found = []
    for timed in groups.values():
        own = next((timed[one.name] for one in BUILDS if one.name in timed), None)
        peers = [row for row in timed.values() if row["is_peer"]]
        if own is None or not peers:
            continue
        best = min(peers, key=itemgetter("us_min"))
        ratio = {name: own[name] for name in columns}
        ratio |= {"fastbp": own["contestant"], "fastbp_us": own["us_min"]}
        ratio |= {"best_peer": best["contestant"], "best_peer_us": best["us_min"]}
        ratio["ratio"] = best["us_min"] / own["us_min"]
        for name, other in BESIDE.items():
            if other in timed:
                ratio[f"{name}_us"] = timed[other]["us_min"]
                ratio[f"{name}_ratio"] = timed[other]["us_min"] / own["us_min"]
        if "fraction" in own:
            ratio["fraction"] = own["fraction"]
        found.append(ratio)
    return found

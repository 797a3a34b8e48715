"""A run: the contestants' answers compared with the oracle, rounds in turn, and what follows.

`schema.json` describes the result.
"""

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fastbp.benchmark import oracle, roofline
from fastbp.benchmark.contestant import BUILDS, Contestant, Process
from fastbp.benchmark.workload import Workload

PAUSE = 0.02  # seconds between contestants of several threads, for those of the one before to sleep
PATIENCE = 3  # a slow contestant is timed no longer than so many times `rounds` calls of `seconds`
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Settings:
    """`seconds` is about what one timed call takes; `rounds` such calls are made."""

    rounds: int = 7
    seconds: float = 0.1
    dtype: str = "float32"


class Team:
    """One process a contestant, for all workloads of a run; one of them works at a time."""

    def __init__(self, contestants: Sequence[Contestant], *, threads: int) -> None:
        self.contestants, self.threads = contestants, threads
        self.processes = [Process(one, threads=threads) for one in contestants]

    def end(self) -> None:
        for process in self.processes:
            process.end()

    def time(self, requests: Sequence[Row], settings: Settings) -> list[Row]:
        """Each contestant's answer to its request, with the "seconds" of its rounds, in turns."""
        for i, process in enumerate(self.processes):
            if not process.is_alive:
                process.end()
                self.processes[i] = Process(self.contestants[i], threads=self.threads)
        answers = [
            process.prepare(**request, seconds=settings.seconds)
            for process, request in zip(self.processes, requests, strict=True)
        ]
        for answer in answers:
            answer["seconds"] = []
        enough = PATIENCE * settings.rounds * settings.seconds
        for _ in range(settings.rounds):
            for process, answer in zip(self.processes, answers, strict=True):
                if answer["status"] == "ok" and sum(answer["seconds"]) < enough:
                    time.sleep(PAUSE if self.threads > 1 else 0)
                    found = process.round()
                    if "status" in found:
                        answer |= found
                    else:
                        answer["seconds"].append(found["seconds"])
        return answers


@contextmanager
def team(contestants: Sequence[Contestant], *, threads: int) -> Iterator[Team]:
    found = Team(contestants, threads=threads)
    try:
        yield found
    finally:
        found.end()


def microseconds(answer: Row, count: str) -> Row:
    """ "us_min" and "us_median" of one of `count`, instead of "seconds"; none where it failed."""
    taken = answer.pop("seconds")
    if answer["status"] != "ok":
        return answer
    least, middle = min(taken), statistics.median(taken)
    per = 1e6 / answer[count]
    return answer | {"us_min": per * least, "us_median": per * middle}


def step_rows(
    workloads: Sequence[Workload],
    contestants: Sequence[Contestant],
    *,
    threads: Sequence[int],
    settings: Settings,
    limits: roofline.Constants | None,
    show: Callable[[Row], None],
) -> list[Row]:
    """A row for each number of threads, workload and contestant."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        requests = [
            {
                "kind": "steps",
                "workload": dataclasses.asdict(workload),
                "truth": str(step_truth(workload, Path(folder) / f"{i}.npz")),
            }
            for i, workload in enumerate(workloads)
        ]
        for count in threads:
            with team(contestants, threads=count) as members:
                for workload, request in zip(workloads, requests, strict=True):
                    answers = members.time([request] * len(contestants), settings)
                    for contestant, answer in zip(contestants, answers, strict=True):
                        rows.append(_step_row(workload, contestant, count, answer))
                        add_limits(rows[-1:], [workload], limits)
                        show(rows[-1])
    return rows


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
        **microseconds(answer, "steps"),
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

    fastbp is the build it chooses by itself, the first of v4, v3, v2 and portable that ran.
    """
    found = []
    for key in dict.fromkeys((row["workload"], row["batch_size"], row["threads"]) for row in rows):
        timed = {
            row["contestant"]: row
            for row in rows
            if (row["workload"], row["batch_size"], row["threads"]) == key and row["status"] == "ok"
        }
        own = next((timed[one.name] for one in BUILDS if one.name in timed), None)
        peers = [row for row in timed.values() if row["is_peer"]]
        if own is None or not peers:
            continue
        best = min(peers, key=lambda row: row["us_min"])
        ratio = {
            "workload": key[0],
            "batch_size": key[1],
            "threads": key[2],
            "fastbp": own["contestant"],
            "fastbp_us": own["us_min"],
            "best_peer": best["contestant"],
            "best_peer_us": best["us_min"],
            "ratio": best["us_min"] / own["us_min"],
        }
        for name, row in (("pytorch", timed.get("PyTorch")), ("numpy", timed.get("fastbp numpy"))):
            if row is not None:
                ratio[f"{name}_us"] = row["us_min"]
                ratio[f"{name}_ratio"] = row["us_min"] / own["us_min"]
        if "fraction" in own:
            ratio["fraction"] = own["fraction"]
        found.append(ratio)
    return found

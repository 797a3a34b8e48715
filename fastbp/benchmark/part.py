"""What else a network is made of, and other optimizers: fastbp beside PyTorch and JAX.

A workload's `part` is what each of its hidden layers has: dropout behind the activation, or a
normalization before it; or what its input has, an embedding of two columns.  JAX has its optimizers
from optax.
"""

from collections.abc import Iterator
from contextlib import closing

from fastbp.benchmark.contestant import Contestant
from fastbp.benchmark.run import Row, Settings, Team
from fastbp.benchmark.workload import (
    BATCH_NORM,
    CE,
    DROPOUT,
    EMBEDDING,
    LAYER_NORM,
    MSE,
    Workload,
)

CONTESTANTS = (
    Contestant("fastbp", "fastbp", "cython"),
    Contestant("PyTorch", "torch", "eager"),
    Contestant("JAX", "optax", "scan"),
)
OPTIMIZERS = (
    "sgd", "adam", "amsgrad", "adamw", "rmsprop", "adagrad", "adadelta", "adamax", "nadam", "radam",
    "lion",
)  # fmt: skip
SMALL, LARGE = (20, 64, 64, 3), (784, 256, 128, 10)
WORKLOADS = (
    *(
        Workload(sizes, "relu", CE, batch, 8, part=part)
        for sizes, batch in ((SMALL, 32), (SMALL, 256), (LARGE, 128))
        for part in (DROPOUT, LAYER_NORM, BATCH_NORM)
    ),
    *(Workload((24, 64, 64, 1), "relu", MSE, batch, 8, part=EMBEDDING) for batch in (32, 256)),
    *(
        Workload(sizes, "relu", CE, batch, 8, optimizer)
        for sizes, batch in ((SMALL, 32), (LARGE, 128))
        for optimizer in OPTIMIZERS
    ),
)
# How far the mean losses of the last checked epoch may be from fastbp's, relative.  Masks are of
# each library's own numbers; the libraries put epsilon, and corrections of bias, in other places.
BOUND = {DROPOUT: 0.1, "nadam": 0.05, "radam": 0.05, "": 0.01}


def part_rows(settings: Settings) -> Iterator[Row]:
    """A row for each of `WORKLOADS`, on one thread: every contestant's microseconds of a step."""
    with closing(Team(CONTESTANTS, threads=1)) as team:
        for workload in WORKLOADS:
            answers = team.time("steps", workload, None, settings)
            named = {one.name: answer for one, answer in zip(CONTESTANTS, answers, strict=True)}
            yield _row(workload, named)


def _row(workload: Workload, answers: dict[str, Row]) -> Row:
    bound = BOUND.get(workload.part) or BOUND.get(workload.optimizer) or BOUND[""]
    truth = answers[CONTESTANTS[0].name].get("loss")
    row: Row = {"workload": workload.network, "batch_size": workload.batch_size}
    notes = []
    for name, answer in answers.items():
        if answer["status"] != "ok":
            notes.append(f"{name} {answer['status']}: {answer['note']}")
        elif truth is None or not abs(answer["loss"] - truth) <= bound * abs(truth):
            notes.append(f"{name} wrong: loss {answer['loss']:.6g}, fastbp {truth}")
        else:
            row[f"{name.lower()}_us"] = answer["us_min"]
    for name in ("pytorch", "jax"):
        if "fastbp_us" in row and f"{name}_us" in row:
            row[f"{name}_ratio"] = row[f"{name}_us"] / row["fastbp_us"]
    return row | ({"note": "; ".join(notes)} if notes else {})

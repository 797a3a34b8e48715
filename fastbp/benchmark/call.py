"""What a single call costs, and what shuffling adds: rows beside those of whole training runs."""

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from fastbp.benchmark import oracle
from fastbp.benchmark.contestant import Contestant
from fastbp.benchmark.run import Row, Settings, Team
from fastbp.benchmark.workload import Workload

SMALL = Workload((64, 100, 10), "relu", "cross_entropy", 1, 1)
LARGE = Workload((784, 256, 128, 10), "relu", "cross_entropy", 1, 1)
NET_X, PREDICT, PREDICTOR, TRAIN_ON_BATCH = (
    Contestant(f"fastbp {variant}", "fastbp", variant)
    for variant in ("net(x)", "predict", "predictor", "train_on_batch")
)
OUTPUTS = (
    NET_X,
    PREDICT,
    PREDICTOR,
    Contestant("PyTorch net(x)", "torch", "net(x)"),
    Contestant("ONNX Runtime run", "onnxruntime", "run"),
    Contestant("OpenVINO infer", "openvino", "infer"),
    Contestant("LiteRT invoke", "litert", "invoke"),
    Contestant("scikit-learn predict_proba", "sklearn", "predict_proba"),
)
STEPS = (
    TRAIN_ON_BATCH,
    Contestant("PyTorch eager step", "torch", "step"),
    Contestant("scikit-learn partial_fit", "sklearn", "step"),
)
ROWS = 1, 32, 450, 10_000
CALLS = (
    (OUTPUTS, tuple(
        dataclasses.replace(network, batch_size=rows) for network in (SMALL, LARGE) for rows in ROWS
    )),
    (STEPS, (Workload((2, 2, 1), "tanh", "mse", 1, 1),)),
)  # fmt: skip
MANY_ROWS = 450


def call_rows(settings: Settings, threads: Sequence[int] = (1,)) -> Iterator[Row]:
    """A row for each number of threads, kind of call and who makes it.

    On more than one thread only what has many rows.
    """
    for count in threads:
        for contestants, workloads in CALLS:
            chosen = [one for one in workloads if count == 1 or one.batch_size >= MANY_ROWS]
            if chosen:
                with closing(Team(contestants, threads=count)) as team:
                    for workload in chosen:
                        yield from _call_rows(team, workload, settings)


def _call_rows(team: Team, workload: Workload, settings: Settings) -> Iterator[Row]:
    workload = dataclasses.replace(workload, dtype=settings.dtype)
    with tempfile.TemporaryDirectory() as folder:
        truth = call_truth(workload, Path(folder) / "truth.npz")
        answers = team.time("call", workload, truth, settings)
    for process, answer in zip(team.processes, answers, strict=True):
        row: Row = {"what": what(workload), "threads": team.threads}
        yield row | {"contestant": process.contestant.name} | answer


def what(workload: Workload) -> str:
    """As "outputs of 450 rows, 64-100-10"."""
    kind = "step on" if workload.loss == "mse" else "outputs of"
    rows = "one row" if workload.batch_size == 1 else f"{workload.batch_size} rows"
    return f"{kind} {rows}, {'-'.join(map(str, workload.sizes))}"


def call_truth(workload: Workload, path: Path) -> Path:
    """A file of outputs and probabilities; of the loss where a step is the call."""
    X, y = (part[: workload.batch_size] for part in workload.data())
    weights = [part.astype(np.float64) for part in workload.weights()]
    if workload.loss == "mse":
        np.savez(path, loss=oracle.gradient(workload, weights, X.astype(np.float64), y)[0])
    else:
        z = oracle.forward(workload, weights, X.astype(np.float64))[0][-1]
        np.savez(path, outputs=z, probabilities=oracle.softmax(z))
    return path


def shuffle_rows(workloads: Sequence[Workload], settings: Settings) -> Iterator[Row]:
    """fastbp's `fit` shuffled and not, in turns, on one thread."""
    contestants = [Contestant(name, "fastbp", name) for name in ("in order", "shuffled")]
    with closing(Team(contestants, threads=1)) as team:
        for workload in workloads:
            answers = team.time("steps", workload, None, settings)
            plain, shuffled = (answer["us_min"] for answer in answers)
            row: Row = {"workload": workload.network, "batch_size": workload.batch_size}
            yield row | {"us": plain, "shuffled_us": shuffled, "ratio": shuffled / plain}

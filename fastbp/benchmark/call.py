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
NET_X, PREDICT, PREDICTOR, TRAIN_ON_BATCH = (
    Contestant(f"fastbp {variant}", "fastbp", variant)
    for variant in ("net(x)", "predict", "predictor", "train_on_batch")
)
OTHERS = (
    Contestant("PyTorch net(x)", "torch", "net(x)"),
    Contestant("ONNX Runtime run", "onnxruntime", "run"),
    Contestant("scikit-learn predict_proba", "sklearn", "predict_proba"),
)
STEPS = (
    Contestant("PyTorch eager step", "torch", "step"),
    Contestant("scikit-learn partial_fit", "sklearn", "step"),
)
CALLS = (
    ("outputs of one row, 64-100-10", SMALL, (NET_X, PREDICT, PREDICTOR, *OTHERS)),
    ("outputs of 450 rows, 64-100-10", dataclasses.replace(SMALL, batch_size=450),
     (PREDICT, *OTHERS)),
    ("step on one row, 2-2-1", Workload((2, 2, 1), "tanh", "mse", 1, 1), (TRAIN_ON_BATCH, *STEPS)),
)  # fmt: skip


def call_rows(settings: Settings) -> Iterator[Row]:
    """A row for each kind of call and who makes it, on one thread."""
    for what, workload, contestants in CALLS:
        workload = dataclasses.replace(workload, dtype=settings.dtype)
        with tempfile.TemporaryDirectory() as folder, closing(Team(contestants, threads=1)) as team:
            truth = call_truth(workload, Path(folder) / "truth.npz")
            answers = team.time("call", workload, truth, settings)
        for contestant, answer in zip(contestants, answers, strict=True):
            yield {"what": what, "contestant": contestant.name, **answer}


def call_truth(workload: Workload, path: Path) -> Path:
    """A file of outputs and probabilities; of the loss where a step is the call."""
    X, y = (part[: workload.batch_size] for part in workload.data())
    weights = [part.astype(np.float64) for part in workload.weights()]
    if workload.loss == "mse":
        np.savez(path, loss=oracle.gradient(workload, weights, X.astype(np.float64), y)[0])
    else:
        z = oracle.forward(workload, weights, X.astype(np.float64))[-1]
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

"""What a single call costs, and what shuffling adds: rows beside those of whole training runs."""

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from fastbp.benchmark import oracle
from fastbp.benchmark.contestant import Contestant
from fastbp.benchmark.run import Row, Settings, microseconds, team
from fastbp.benchmark.workload import Workload

SMALL = Workload((64, 100, 10), "relu", "cross_entropy", 1, 1)
CALLS = (
    ("outputs of one row, 64-100-10", SMALL, (
        ("fastbp net(x)", "fastbp", "net(x)"),
        ("fastbp predict", "fastbp", "predict"),
        ("fastbp predictor", "fastbp", "predictor"),
        ("PyTorch net(x)", "torch", "net(x)"),
        ("ONNX Runtime run", "onnxruntime", "run"),
        ("scikit-learn predict_proba", "sklearn", "predict_proba"),
    )),
    ("outputs of 450 rows, 64-100-10", dataclasses.replace(SMALL, batch_size=450), (
        ("fastbp predict", "fastbp", "predict"),
        ("PyTorch net(x)", "torch", "net(x)"),
        ("ONNX Runtime run", "onnxruntime", "run"),
        ("scikit-learn predict_proba", "sklearn", "predict_proba"),
    )),
    ("step on one row, 2-2-1", Workload((2, 2, 1), "tanh", "mse", 1, 1), (
        ("fastbp train_on_batch", "fastbp", "train_on_batch"),
        ("PyTorch eager step", "torch", "step"),
        ("scikit-learn partial_fit", "sklearn", "step"),
    )),
)  # fmt: skip


def call_rows(settings: Settings, show: Callable[[Row], None]) -> list[Row]:
    """A row for each kind of call and who makes it, on one thread."""
    rows: list[Row] = []
    for what, workload, entries in CALLS:
        workload = dataclasses.replace(workload, dtype=settings.dtype)
        contestants = [
            Contestant(name, adapter, variant, adapter != "fastbp", DEEPER.get(adapter, ""))
            for name, adapter, variant in entries
        ]
        with tempfile.TemporaryDirectory() as folder, team(contestants, threads=1) as members:
            request = {
                "kind": "call",
                "workload": dataclasses.asdict(workload),
                "truth": str(call_truth(workload, Path(folder) / "truth.npz")),
            }
            answers = members.time([request] * len(contestants), settings)
        for contestant, answer in zip(contestants, answers, strict=True):
            rows.append({"what": what, "contestant": contestant.name})
            rows[-1] |= microseconds(answer, "calls")
            show(rows[-1])
    return rows


DEEPER = {"sklearn": "sklearn.neural_network"}


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


def shuffle_rows(
    workloads: Sequence[Workload], settings: Settings, show: Callable[[Row], None]
) -> list[Row]:
    """fastbp's `fit` shuffled and not, in turns, on one thread."""
    contestants = [Contestant(name, "fastbp", name, False) for name in ("in order", "shuffled")]
    rows: list[Row] = []
    with team(contestants, threads=1) as members:
        for workload in workloads:
            request = {"kind": "steps", "workload": dataclasses.asdict(workload), "truth": None}
            plain, shuffled = (
                microseconds(answer, "steps") for answer in members.time([request] * 2, settings)
            )
            row: Row = {"workload": workload.network, "batch_size": workload.batch_size}
            row |= {"us": plain["us_min"], "shuffled_us": shuffled["us_min"]}
            rows.append(row | {"ratio": row["shuffled_us"] / row["us"]})
            show(rows[-1])
    return rows

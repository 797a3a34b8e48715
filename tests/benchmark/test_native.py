"""Peers in C and C++: compiled here, and held to the oracle."""

import dataclasses
import importlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from fastbp.benchmark import run, worker
from fastbp.benchmark.peer import Missing, Refused, native
from fastbp.benchmark.workload import FURTHER, USUAL, Workload

pytestmark = [
    pytest.mark.skipif(
        not (Path(__file__).parents[2] / native.FOLDER).exists(), reason="no repository around"
    ),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc"),
]
KNOWN = {one.name: one for one in (*USUAL, *FURTHER)}
CASES = (
    ("handwritten", KNOWN["2-2-1 tanh mse, batch 1"]),
    ("handwritten", KNOWN["4-32-16-1 tanh mse, batch 32"]),
    ("handwritten", KNOWN["64-32-10 relu ce, batch 32"]),
    ("fann", KNOWN["2-2-1 tanh mse sgd, batch 1"]),
    ("fann", KNOWN["4-32-16-1 tanh mse sgd, batch 32"]),
)
EIGEN = [
    Workload(sizes, activation, loss, 8, 3, optimizer, dtype)
    for sizes, activation, loss in (
        ((3, 6, 5, 2), "tanh", "mse"),
        ((4, 5), "relu", "cross_entropy"),
    )
    for optimizer in ("adam", "sgd")
    for dtype in ("float32", "float64")
]


def answer(name, workload, folder):
    adapter = importlib.import_module(f"fastbp.benchmark.peer.{name}")
    asked = {"variant": "", "threads": 1, "seconds": 0.001}
    with np.load(run.step_truth(workload, folder / "truth.npz")) as truth:
        try:
            found, timed = worker.prepare_steps(adapter, workload, asked, truth)
        except Missing as reason:
            pytest.skip(str(reason))
    assert found["status"] == "ok", found
    assert timed() > 0
    return adapter


@pytest.mark.slow
@pytest.mark.parametrize(("name", "workload"), CASES, ids=lambda one: getattr(one, "name", one))
def test_answers_are_right(name, workload, tmp_path):
    assert answer(name, workload, tmp_path).version()


@pytest.mark.slow
@pytest.mark.parametrize("workload", EIGEN, ids=lambda one: f"{one.network} {one.dtype}")
def test_eigen_trains_any_chain(workload, tmp_path):
    assert answer("eigen", workload, tmp_path).version()


def test_what_is_not_written_is_refused():
    handwritten = importlib.import_module("fastbp.benchmark.peer.handwritten")
    workload = KNOWN["2-2-1 tanh mse, batch 1"]
    for name, value in (("batch_size", 2), ("dtype", "float64"), ("sizes", (2, 3, 1))):
        with pytest.raises(Refused, match="written for 2-2-1 batch 1"):
            handwritten.trainer(dataclasses.replace(workload, **{name: value}), "", 1)


@pytest.mark.slow
def test_what_c_is_not_written_for_is_refused():
    handwritten = importlib.import_module("fastbp.benchmark.peer.handwritten")
    workload = KNOWN["2-2-1 tanh mse, batch 1"]
    for name, value in (("optimizer", "sgd"), ("activation", "relu"), ("activation", "gelu")):
        with pytest.raises(Refused, match="not written for"):
            handwritten.trainer(dataclasses.replace(workload, **{name: value}), "", 1)


def test_what_is_missing_is_named(monkeypatch):
    with pytest.raises(Missing, match="nobody.c is in the repository"):
        native.library("nobody.c", "float")
    monkeypatch.setattr(native.shutil, "which", lambda name: None)
    with pytest.raises(Missing, match="there is no g"):
        native.library("eigen.cpp", "other")


@pytest.mark.slow
def test_what_does_not_compile_is_named():
    with pytest.raises(Missing, match="fann.c does not compile: .*error"):
        native.library("fann.c", "float", "-include", "no/such/header.h")

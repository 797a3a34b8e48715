"""The examples in docstrings run."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "name",
    [
        "activation",
        "callback.base",
        "callback.checkpoint",
        "callback.early_stopping",
        "callback.learning_rate",
        "callback.monitor",
        "callback.simple",
        "check.message",
        "check.scalar",
        "derivative",
        "history",
        "initializer",
        "layer.base",
        "layer.block",
        "layer.dense",
        "loss",
        "metric",
        "metric.table",
        "optimizer",
        "optimizer.adam",
        "optimizer.sgd",
        "random",
        "schedule",
        "schedule.base",
        "schedule.cosine",
        "schedule.decay",
        "schedule.function",
        "schedule.piecewise",
    ],
)
def test_examples_in_docstrings(name):
    result = doctest.testmod(importlib.import_module(f"fastbp.{name}"))
    assert result.failed == 0 and (result.attempted > 0 or name == "check.scalar")

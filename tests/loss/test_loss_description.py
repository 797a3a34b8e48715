"""Losses as they are described: aliases, delta, and what is refused."""

from __future__ import annotations

import pytest
from support.refusal import refuses

from fastbp.loss import Loss, resolve_loss


@pytest.mark.parametrize(
    ("given", "expected"),
    [("squared_error", "mse"), ("mean_squared_error", "mse"), ("MSELoss", "mse"),
     ("L1Loss", "mae"), ("HuberLoss", "huber"), ("log_loss", "cross_entropy"),
     ("bce", "binary_cross_entropy"), ("binary_crossentropy", "binary_cross_entropy"),
     ("BCEWithLogitsLoss", "binary_cross_entropy"), ("CrossEntropyLoss", "cross_entropy"),
     ("sparse_categorical_crossentropy", "cross_entropy"),
     ("categorical_crossentropy", "cross_entropy")],
)  # fmt: skip
def test_loss_aliases(given, expected):
    assert resolve_loss(given) == Loss(expected)


def test_delta():
    assert Loss("huber").delta == 1.0 and repr(Loss("huber", delta=2)) == "Loss('huber', delta=2.0)"
    with refuses(ValueError, "delta must be finite and > 0, got 0"):
        Loss("huber", delta=0)
    with refuses(ValueError, "loss 'mse' takes no delta, got 2"):
        Loss("mse", delta=2)


def test_unknown_loss():
    known = "mse, half_sse, mae, huber, binary_cross_entropy, cross_entropy"
    with refuses(ValueError, f"unknown loss 'hinge'; known: {known}"):
        resolve_loss("hinge")

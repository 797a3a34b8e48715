"""Losses as they are described: aliases, delta, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.refusal import bad_input, refuses

import fastbp as fb
from fastbp.loss import LOSSES, Loss, resolve_loss


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
    known = ", ".join(LOSSES)
    with refuses(ValueError, f"unknown loss 'triplet'; known: {known}"):
        resolve_loss("triplet")


@pytest.mark.parametrize(
    ("given", "expected"),
    [("pinball", "quantile"), ("mean_pinball_loss", "quantile"),
     ("GaussianNLLLoss", "gaussian_nll"), ("PoissonNLLLoss", "poisson"), ("LogCosh", "log_cosh"),
     ("KLDivergence", "kl_divergence"),
     ("KLDivLoss", "kl_divergence"), ("CosineSimilarity", "cosine"), ("Hinge", "hinge"),
     ("SquaredHinge", "squared_hinge"), ("sigmoid_focal_loss", "binary_focal_cross_entropy"),
     ("BinaryFocalCrossentropy", "binary_focal_cross_entropy"),
     ("CategoricalFocalCrossentropy", "focal_cross_entropy"), ("focal", "focal_cross_entropy")],
)  # fmt: skip
def test_aliases_of_more_losses(given, expected):
    assert resolve_loss(given) == Loss(expected)


@pytest.mark.parametrize(
    ("loss", "text"),
    [(Loss("quantile", q=np.array([0.1, 0.9])), "Loss('quantile', q=[0.1, 0.9])"),
     (Loss("quantile", q=0.9), "Loss('quantile', q=0.9)"),
     (Loss("tweedie", power=1.9), "Loss('tweedie', power=1.9)"),
     (Loss("binary_cross_entropy", label_smoothing=0.1, pos_weight=(1, 2)),
      "Loss('binary_cross_entropy', label_smoothing=0.1, pos_weight=[1.0, 2.0])"),
     (Loss("binary_focal_cross_entropy", gamma=1, alpha=0.25),
      "Loss('binary_focal_cross_entropy', gamma=1.0, alpha=0.25)"),
     (Loss("cross_entropy", label_smoothing=0.1), "Loss('cross_entropy', label_smoothing=0.1)")],
)  # fmt: skip
def test_arguments_are_kept(loss, text):
    assert repr(loss) == text
    again = Loss(**json.loads(json.dumps(loss.to_config())))
    assert again == loss and hash(again) == hash(loss) and again != Loss(loss.name)
    assert Loss("binary_cross_entropy").to_config() == {"name": "binary_cross_entropy"}


@bad_input("outputs for a loss", "hyperparameter")
@pytest.mark.parametrize(
    ("make", "text"),
    [(lambda: Loss("quantile", q=1), "q must be in (0, 1), got 1"),
     (lambda: Loss("quantile", q=[0.5, 0.1]), "q must ascend, got [0.5, 0.1]"),
     (lambda: Loss("quantile", q=[0.5, 1.5]), "q[1] must be in (0, 1), got 1.5"),
     (lambda: Loss("quantile", q=[]), "q must be a number or several, got none"),
     (lambda: Loss("mse", q=0.9), "loss 'mse' takes no q, got 0.9"),
     (lambda: Loss("tweedie", power=2), "power must be in (1, 2), got 2"),
     (lambda: Loss("focal", gamma=0), "gamma must be finite and > 0, got 0"),
     (lambda: Loss("focal", alpha=0.5), "loss 'focal_cross_entropy' takes no alpha, got 0.5"),
     (lambda: Loss("bce", pos_weight=0), "pos_weight must be finite and > 0, got 0"),
     (lambda: Loss("bce", label_smoothing=1), "label_smoothing must be in [0, 1), got 1"),
     (lambda: fb.Network([2, 2], loss=Loss("bce", pos_weight=[1, 2, 3])),
      "pos_weight has 3 numbers, network has 2 outputs"),
     (lambda: fb.Network([2, 3], loss="gaussian_nll"),
      "loss 'gaussian_nll' needs 2 outputs for each target, a mean and a log variance, got 3"),
     (lambda: fb.Network([2, 4], loss=Loss("quantile", q=[0.1, 0.5, 0.9])),
      "loss 'quantile' needs 3 outputs for each target, one for each level, got 4"),
     (lambda: fb.Network([2, 1], loss="kl_divergence"),
      "loss 'kl_divergence' needs at least 2 outputs, got 1")],
)  # fmt: skip
def test_bad_argument_of_a_loss(make, text):
    with refuses(ValueError, text):
        make()

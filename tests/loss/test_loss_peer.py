"""Losses beside PyTorch's, Keras's and scikit-learn's own, where these are installed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from loss.test_more_losses import data, identity
from numpy.typing import NDArray
from support.keras_peer import keras_result, needs_keras
from support.tolerance import KERAS_LOSS, assert_near

import fastbp as fb

Array = NDArray[Any]
N, K = 7, 4
LOSS = fb.Loss

# loss, and PyTorch's value of the functional module, log-softmax, outputs and targets
TORCH: list[tuple[fb.Loss, Callable[..., Any]]] = [
    (LOSS("GaussianNLLLoss"),
     lambda f, z, y: f.gaussian_nll_loss(z[:, :2], y, z[:, 2:].exp(), eps=1e-12)),
    (LOSS("PoissonNLLLoss"), lambda f, z, y: f.poisson_nll_loss(z, y)),
    (LOSS("BCEWithLogitsLoss", pos_weight=[1, 2, 3, 4]),
     lambda f, z, y: f.binary_cross_entropy_with_logits(z, y, pos_weight=y.new([1, 2, 3, 4]))),
    (LOSS("CrossEntropyLoss", label_smoothing=0.1),
     lambda f, z, y: f.cross_entropy(z, y, label_smoothing=0.1)),
    (LOSS("KLDivLoss"), lambda f, z, y: f.kl_div(f.log_softmax(z, 1), y, reduction="batchmean")),
    (LOSS("CosineEmbeddingLoss"), lambda f, z, y: (1 - f.cosine_similarity(z, y)).mean()),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "function"), TORCH, ids=[repr(loss) for loss, _ in TORCH])
def test_value_and_gradient_of_torch(loss: fb.Loss, function: Any, backend: str) -> None:
    torch = pytest.importorskip("torch")
    out, y = data(loss, N, K)
    z = torch.from_numpy(out.copy()).requires_grad_()
    value = function(torch.nn.functional, z, torch.from_numpy(y))
    value.backward()
    traced = identity(loss, K, "float64", backend).trace(out, y)
    assert_near(traced["loss"], float(value.detach()), dtype="float64", length=60, magnitude=2)
    assert_near(traced["dense_1/dz"], z.grad.numpy(), dtype="float64", length=60, magnitude=1)


# loss, and Keras's value of the outputs z and targets y
KERAS: list[tuple[fb.Loss, str]] = [
    (LOSS("LogCosh"), "keras.losses.LogCosh()(y, z)"),
    (LOSS("Hinge"), "keras.losses.Hinge()(y, z)"),
    (LOSS("SquaredHinge"), "keras.losses.SquaredHinge()(y, z)"),
    (LOSS("CosineSimilarity"), "1 + keras.losses.CosineSimilarity()(y, z)"),
    (LOSS("BinaryCrossentropy", label_smoothing=0.2),
     "keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2)(y, z)"),
    (LOSS("CategoricalCrossentropy", label_smoothing=0.2),
     "keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)(y, z)"),
    (LOSS("BinaryFocalCrossentropy"),
     "keras.losses.BinaryFocalCrossentropy(from_logits=True)(y, z)"),
    (LOSS("BinaryFocalCrossentropy", gamma=3, alpha=0.25),
     "keras.losses.BinaryFocalCrossentropy(True, 0.25, 3, from_logits=True)(y, z)"),
    (LOSS("CategoricalFocalCrossentropy", label_smoothing=0.1),
     "keras.losses.CategoricalFocalCrossentropy(1.0, from_logits=True, label_smoothing=0.1)(y, z)"),
    (LOSS("KLDivergence"), "keras.losses.KLDivergence()(y, np.exp(z) / "
     "np.exp(z).sum(axis=1, keepdims=True))"),
]  # fmt: skip


@needs_keras
@pytest.mark.slow
def test_values_of_keras() -> None:
    code = "keras.backend.set_floatx('float64')\nfound = []\n"
    for loss, text in KERAS:
        out, y = data(loss, N, K)
        code += f"z, y = np.array({out.tolist()}), np.array({y.tolist()})\n"
        code += f"found.append(float({text}))\n"
    theirs = keras_result(code + "print(json.dumps(found))")
    for (loss, _), value in zip(KERAS, theirs, strict=True):
        out, y = data(loss, N, K)
        own = identity(loss, K, "float64", "numpy").evaluate(out, y)["loss"]
        assert abs(own - value) < KERAS_LOSS, (loss, own, value)
    assert json.loads(json.dumps(theirs)) == theirs


def test_values_of_scikit_learn(backend: str) -> None:
    """Half a deviance is the loss but for what the targets alone say."""
    metrics = pytest.importorskip("sklearn.metrics")
    found: dict[str, tuple[float, float]] = {}
    for loss in (LOSS("quantile", q=0.9), LOSS("poisson"), LOSS("gamma"), LOSS("tweedie"),
                 LOSS("hinge")):  # fmt: skip
        z, y = data(loss, N, 1)
        own = identity(loss, 1, "float64", backend).evaluate(z, y)["loss"]
        mean, t = np.exp(z[:, 0]), y[:, 0]
        if loss.name == "quantile":
            found[loss.name] = own, metrics.mean_pinball_loss(y, z, alpha=0.9)
        elif loss.name == "poisson":
            rest = np.where(t > 0, t * np.log(np.where(t > 0, t, 1)) - t, 0).mean()
            found[loss.name] = own, metrics.mean_poisson_deviance(t, mean) / 2 - rest
        elif loss.name == "gamma":
            rest = (np.log(t) + 1).mean()
            found[loss.name] = own, metrics.mean_gamma_deviance(t, mean) / 2 + rest
        elif loss.name == "tweedie":
            half = metrics.mean_tweedie_deviance(t, mean, power=1.5) / 2
            found[loss.name] = own, half + 4 * np.sqrt(t).mean()
        else:
            found[loss.name] = own, metrics.hinge_loss(t, z[:, 0])
    for name, (own, theirs) in found.items():
        assert_near(own, theirs, dtype="float64", length=60, magnitude=4, name=name)

"""scikit-learn: `MLPClassifier` and `MLPRegressor`, for the activations that they have.

Its squared loss is half of the mean squared error; SGD gets twice the rate for it, so that steps
are the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier, MLPRegressor

from bench.study.setting import BATCH_SIZE, HIDDEN, LEARNING_RATE, MOMENTUM, Setting, rows

_ACTIVATION = {"relu": "relu", "tanh": "tanh", "sigmoid": "logistic"}


def version() -> str:
    return f"scikit-learn {sklearn.__version__}"


def losses(setting: Setting, seeds: Sequence[int]) -> NDArray[np.float64]:
    """The test loss of each seed."""
    return np.array([_loss(setting, seed) for seed in seeds])


def _loss(setting: Setting, seed: int) -> float:
    classify = bool(setting.dataset.n_classes)
    rate = LEARNING_RATE[setting.optimizer]
    options: dict[str, Any] = dict(
        hidden_layer_sizes=HIDDEN[setting.hidden], activation=_ACTIVATION[setting.activation],
        solver=setting.optimizer, alpha=0.0, batch_size=BATCH_SIZE, max_iter=setting.epochs,
        learning_rate_init=rate if classify or setting.optimizer == "adam" else 2 * rate,
        momentum=MOMENTUM, nesterovs_momentum=False, tol=0.0, n_iter_no_change=10**9,
        random_state=seed,
    )  # fmt: skip
    data = rows(setting.dataset, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = (MLPClassifier if classify else MLPRegressor)(**options).fit(data.X, data.y)
    if classify:
        response = model.predict_proba(data.X_test).astype(np.float64)
        response /= response.sum(axis=1, keepdims=True)  # it is rounded to float32
        return float(log_loss(data.y_test, response, labels=model.classes_))
    return float(np.mean((model.predict(data.X_test) - data.y_test) ** 2))

"""scikit-learn: MLPRegressor or MLPClassifier, a partial_fit for every epoch.

Its gradient of the squared loss is that of half a sum over outputs where mse is a mean.  With Adam
the same steps follow from an epsilon that much larger, with SGD from a rate that much smaller.
It adds epsilon to the root before the bias correction, so its epsilon is set anew for each epoch,
to that of the middle of its steps; the difference within an epoch is left.
"""

from typing import Any

import numpy as np

from fastbp.benchmark.peer import Call, Run
from fastbp.benchmark.workload import BETA1, BETA2, EPSILON, LEARNING_RATE, Array, Workload

NAME = "scikit-learn"
DIFFERENCE = "; its Adam adds epsilon to the root before the bias correction"


def factor_of(workload: Workload) -> float:
    """mse's gradient by that of its squared loss."""
    return 2 / workload.sizes[-1] if workload.loss == "mse" else 1.0


def model_of(workload: Workload) -> tuple[Any, Array, Array]:
    """The model with the weights that everybody has, X and y."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    mse, n_out = workload.loss == "mse", workload.sizes[-1]
    factor = factor_of(workload)
    options: dict[str, Any] = dict(
        hidden_layer_sizes=workload.sizes[1:-1], activation=workload.activation, alpha=0.0,
        solver=workload.optimizer, batch_size=workload.batch_size, shuffle=False, tol=0.0,
        n_iter_no_change=10**9, momentum=0.0, nesterovs_momentum=False, beta_1=BETA1, beta_2=BETA2,
        epsilon=EPSILON / factor, random_state=0,
        learning_rate_init=LEARNING_RATE * (factor if workload.optimizer == "sgd" else 1.0),
    )  # fmt: skip
    X, y = workload.data()
    y = y.ravel() if mse and n_out == 1 else y
    classes: dict[str, Any] = {} if mse else {"classes": np.arange(n_out)}
    model = (MLPRegressor if mse else MLPClassifier)(**options)
    model.partial_fit(X[: workload.batch_size], y[: workload.batch_size], **classes)
    # that call made the arrays; an optimizer of no steps is made by the next
    del model._optimizer
    model.loss_curve_.clear()
    weights = workload.weights()
    for array, value in zip(model.coefs_, weights[::2], strict=True):
        array[...] = value
    for array, value in zip(model.intercepts_, weights[1::2], strict=True):
        array[...] = value
    return model, X, y


def trainer(workload: Workload, variant: str, threads: int) -> Run:
    model, X, y = model_of(workload)
    factor, done = 2 if workload.loss == "mse" else 1, 0

    def run(steps: int) -> tuple[float, list[Array]]:
        nonlocal done
        for _ in range(steps // workload.n_batches):
            middle = done + (1 + workload.n_batches) / 2
            epsilon = EPSILON / factor_of(workload) * np.sqrt(1 - BETA2**middle)
            getattr(model, "_optimizer", model).epsilon = epsilon
            model.partial_fit(X, y)
            done += workload.n_batches
        pairs = zip(model.coefs_, model.intercepts_, strict=True)
        return float(model.loss_) * factor, [part for pair in pairs for part in pair]

    return run


def call(workload: Workload, variant: str, threads: int) -> Call:
    model, X, y = model_of(workload)
    X, y = X[: workload.batch_size], y[: workload.batch_size]
    if variant == "predict_proba":
        return lambda: model.predict_proba(X)

    def step() -> float:
        model.partial_fit(X, y)
        return float(model.loss_) * 2

    return step

"""MLPRegressor."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import sklearn.neural_network
from scipy.special import xlogy
from sklearn.utils._param_validation import StrOptions

from fastbp.check.array import Array
from fastbp.loss import Loss
from fastbp.sklearn.estimator import Estimator
from fastbp.sklearn.parameter import CONSTRAINTS

# By scikit-learn's names.  Each is what the gradient is taken of.
_LOSSES = {
    "squared_error": "half_sse",
    "absolute_error": "mae",
    "huber": "huber",
    "poisson": "poisson",
}


class MLPRegressor(Estimator, sklearn.neural_network.MLPRegressor):
    """scikit-learn's MLPRegressor, trained by fastbp; all but `loss` as for `MLPClassifier`.

    Args:
        loss: "squared_error", half the squared error; "absolute_error", or "huber", which turns
            straight at an error of 1; "poisson", half the Poisson deviance, for y >= 0, of which
            the prediction is exp of an output.
        monitor: "score" is R^2.

    Attributes:
        loss_curve_: as for `MLPClassifier`.  Of several outputs the squared error is their sum for
            the gradient and their mean here, as in scikit-learn; the penalty beside it is then that
            of a straight way from the beginning of the epoch to its end.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = MLPRegressor(hidden_layer_sizes=8, solver="lbfgs", alpha=1000, tol=1.0,
    ...                      random_state=0, scale=True).fit(X[:350], y[:350])
    >>> model.score(X[350:], y[350:]) > 0.4
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **sklearn.neural_network.MLPRegressor._parameter_constraints,
        **CONSTRAINTS,
        "loss": [StrOptions(set(_LOSSES))],
    }
    _stratifies = False

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: Any = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: Any = 0.001,
        power_t: Any = 0.5,
        max_iter: Any = 200,
        shuffle: Any = True,
        random_state: Any = None,
        tol: Any = 1e-4,
        verbose: Any = False,
        warm_start: Any = False,
        momentum: Any = 0.9,
        nesterovs_momentum: Any = True,
        early_stopping: Any = False,
        validation_fraction: Any = 0.1,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: Any = 15000,
        monitor: Any = "score",
        callbacks: Any = None,
        n_threads: Any = "auto",
        dtype: Any = "auto",
        ema: Any = None,
        scale: Any = False,
        network: Any = None,
        dropout: Any = 0.0,
    ) -> None:
        super().__init__(
            loss=loss, hidden_layer_sizes=hidden_layer_sizes, activation=activation, solver=solver,
            alpha=alpha, batch_size=batch_size, learning_rate=learning_rate,
            learning_rate_init=learning_rate_init, power_t=power_t, max_iter=max_iter,
            shuffle=shuffle, random_state=random_state, tol=tol, verbose=verbose,
            warm_start=warm_start, momentum=momentum, nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping, validation_fraction=validation_fraction, beta_1=beta_1,
            beta_2=beta_2, epsilon=epsilon, n_iter_no_change=n_iter_no_change, max_fun=max_fun,
            monitor=monitor, callbacks=callbacks, n_threads=n_threads, dtype=dtype, ema=ema,
            scale=scale, network=network, dropout=dropout,
        )  # fmt: skip

    def _network_loss(self) -> Loss:
        is_sum = self.loss == "poisson"
        return Loss(_LOSSES[self.loss], sum_outputs=is_sum, with_penalties=True)

    def _check_target(self, y: Array) -> None:
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(f"loss='poisson' takes y >= 0, got {y.min():g}")

    def _least_loss(self, target: Array, sample_weight: Array | None) -> float:
        """Of "poisson" y log y - y, with which a perfect prediction has a loss of 0."""
        if self.loss != "poisson" or (sample_weight is not None and not sample_weight.any()):
            return 0.0
        y = target.astype(np.float64)
        return float(np.average(xlogy(y, y) - y, weights=sample_weight, axis=0).sum())

    def _held_out_score(self, target: Array, response: Array, weight: Array | None) -> float:
        return r2(target, response, weight)

    def _target(self, y: Array) -> Array:
        return y.astype(self.network_.dtype)


def r2(y: Array, response: Array, weight: Array | None) -> float:
    """The mean over the outputs of R^2; NaN where a response is not finite.  An output that does
    not vary counts as 1 where it is met, else as 0.
    """
    if not np.isfinite(response).all():
        return float("nan")
    y = y.astype(np.float64)
    own = np.ones((len(y), 1)) if weight is None else weight[:, np.newaxis]
    rest = (own * (y - response) ** 2).sum(axis=0)
    whole = (own * (y - np.average(y, axis=0, weights=weight)) ** 2).sum(axis=0)
    found = np.where(rest == 0, 1.0, 0.0)
    varies = (whole != 0) & (rest != 0)
    found[varies] = 1 - rest[varies] / whole[varies]
    return float(found.mean())

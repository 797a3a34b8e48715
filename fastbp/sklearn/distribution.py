"""MLPDistributionRegressor."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastbp.check.array import Array
from fastbp.loss import Loss
from fastbp.sklearn.regressor import MLPRegressor, r2
from fastbp.sklearn.target import StandardisedTarget


class MLPDistributionRegressor(StandardisedTarget, MLPRegressor):
    """Predicts a normal distribution of y for each row: a mean, and a standard deviation that
    differs between rows.

    It minimises the negative log likelihood (s + e^2 exp(-s)) / 2, e = mean - y, s the logarithm of
    the variance, its mean over the outputs.  y is standardised inside; `loss_curve_` and `alpha`
    are on that scale.  `score` is R^2 of the mean.

    The parameters, attributes and methods are those of `MLPRegressor` without `loss`.

    Attributes:
        target_scaler_: what standardises y; of `partial_fit` that of the first rows.

    Raises:
        ValueError: as `MLPRegressor`.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = MLPDistributionRegressor(random_state=0, scale=True, max_iter=30, tol=0.01)
    >>> mean, std = model.fit(X, y).predict(X, return_std=True)
    >>> bool(0.6 < (np.abs(y - mean) < std).mean() < 0.75)
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        k: v for k, v in MLPRegressor._parameter_constraints.items() if k != "loss"
    }
    _outputs_per_target = 2

    def __init__(
        self,
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
            loss="gaussian_nll", hidden_layer_sizes=hidden_layer_sizes, activation=activation,
            solver=solver, alpha=alpha, batch_size=batch_size, learning_rate=learning_rate,
            learning_rate_init=learning_rate_init, power_t=power_t, max_iter=max_iter,
            shuffle=shuffle, random_state=random_state, tol=tol, verbose=verbose,
            warm_start=warm_start, momentum=momentum, nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping, validation_fraction=validation_fraction, beta_1=beta_1,
            beta_2=beta_2, epsilon=epsilon, n_iter_no_change=n_iter_no_change, max_fun=max_fun,
            monitor=monitor, callbacks=callbacks, n_threads=n_threads, dtype=dtype, ema=ema,
            scale=scale, network=network, dropout=dropout,
        )  # fmt: skip

    def _network_loss(self) -> Loss:
        return Loss("gaussian_nll", with_penalties=True)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """The means, float64, of shape (n_rows,) or (n_rows, n_outputs).

        Args:
            X: rows, as for `fit`.
            return_std: also the standard deviations of y about them, of the same shape: the
                noise that the network sees in the data, not its own doubt about the mean.
        """
        check_is_fitted(self)
        mean, log_variance = np.split(self._forward_pass_fast(X), 2, axis=1)
        mean = self._restored(mean)
        is_one = mean.shape[1] == 1
        if not return_std:
            return mean.ravel() if is_one else mean
        std = np.exp(log_variance / 2) * np.float64(self.target_scaler_.scale_)
        return (mean.ravel(), std.ravel()) if is_one else (mean, std)

    def _held_out_score(self, target: Array, response: Array, weight: Array | None) -> float:
        return r2(target, response[:, : target.shape[1]], weight)

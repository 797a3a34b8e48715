"""MLPQuantileRegressor."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.metrics import d2_pinball_score
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from fastbp.check.array import Array
from fastbp.check.message import shown
from fastbp.loss import Loss
from fastbp.sklearn.regressor import MLPRegressor
from fastbp.sklearn.target import StandardisedTarget


class MLPQuantileRegressor(StandardisedTarget, MLPRegressor):
    """Predicts quantiles of y: the share of rows below a prediction is to be its level.

    It minimises the pinball loss, of e = prediction - y: (1 - q) e if e > 0 else -q e, its mean
    over levels and outputs.  y is standardised inside; `loss_curve_` and `alpha` are on that scale.

    Args:
        quantile: a level in (0, 1), or a list of ascending levels, for one target: one network
            predicts them all.

    The other parameters, attributes and methods are those of `MLPRegressor` without `loss`;
    `monitor`: "score" is that of `score`.

    Attributes:
        target_scaler_: what standardises y; of `partial_fit` that of the first rows.

    Raises:
        ValueError: as `MLPRegressor`; levels that do not ascend in (0, 1); several levels for a y
            of several columns.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = MLPQuantileRegressor([0.1, 0.5, 0.9], random_state=0, scale=True, max_iter=50,
    ...                              tol=0.01).fit(X, y)
    >>> low, median, high = model.predict(X).T
    >>> bool((low <= high).all()), bool(0.7 < ((low < y) & (y < high)).mean() < 0.9)
    (True, True)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **{k: v for k, v in MLPRegressor._parameter_constraints.items() if k != "loss"},
        "quantile": [Interval(Real, 0, 1, closed="neither"), "array-like"],
    }

    def __init__(
        self,
        quantile: Any = 0.5,
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
            loss="quantile", hidden_layer_sizes=hidden_layer_sizes, activation=activation,
            solver=solver, alpha=alpha, batch_size=batch_size, learning_rate=learning_rate,
            learning_rate_init=learning_rate_init, power_t=power_t, max_iter=max_iter,
            shuffle=shuffle, random_state=random_state, tol=tol, verbose=verbose,
            warm_start=warm_start, momentum=momentum, nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping, validation_fraction=validation_fraction, beta_1=beta_1,
            beta_2=beta_2, epsilon=epsilon, n_iter_no_change=n_iter_no_change, max_fun=max_fun,
            monitor=monitor, callbacks=callbacks, n_threads=n_threads, dtype=dtype, ema=ema,
            scale=scale, network=network, dropout=dropout,
        )  # fmt: skip
        self.quantile = quantile

    @property
    def _outputs_per_target(self) -> int:  # type: ignore[override]
        return self._network_loss().outputs_per_target

    def _network_loss(self) -> Loss:
        return Loss("quantile", q=_levels(self.quantile), with_penalties=True)

    def _check_target(self, y: Array) -> None:
        n_levels, n_columns = self._outputs_per_target, y.shape[1]
        if n_levels > 1 and n_columns > 1:
            raise ValueError(
                f"quantile has {n_levels} levels, y has {n_columns} columns: several levels are "
                "for one target"
            )

    def predict(self, X: Any) -> Array:
        """The quantiles, float64, of shape (n_rows,), of several targets (n_rows, n_outputs), of a
        list of levels (n_rows, n_levels).  Those that cross in a row are put in ascending order,
        which never makes the loss larger.
        """
        check_is_fitted(self)
        found = self._restored(self._forward_pass_fast(X))
        if isinstance(self.network_.loss.q, tuple):
            return np.sort(found, axis=1)
        return found.ravel() if found.shape[1] == 1 else found

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """scikit-learn's `d2_pinball_score`, 1 minus the loss as a share of that of the best
        constant; of several levels the mean of theirs.
        """
        return _d2(y, self.predict(X), sample_weight, self.network_.loss.q)

    def _held_out_score(self, target: Array, response: Array, weight: Array | None) -> float:
        if not np.isfinite(response).all():
            return float("nan")
        q = self.network_.loss.q
        return _d2(
            target, np.sort(response, axis=1) if isinstance(q, tuple) else response, weight, q
        )


def _d2(y: Any, predicted: Array, weight: Any, q: float | tuple[float, ...]) -> float:
    if not isinstance(q, tuple):
        return float(d2_pinball_score(y, predicted, sample_weight=weight, alpha=q))
    found = [
        d2_pinball_score(y, predicted[:, i], sample_weight=weight, alpha=level)
        for i, level in enumerate(q)
    ]
    return float(np.mean(found))


def _levels(quantile: Any) -> float | tuple[float, ...]:
    if isinstance(quantile, Real):
        return float(quantile)
    levels = np.asarray(quantile)
    is_row = levels.ndim == 1 and levels.size > 0 and levels.dtype.kind in "fiu"
    if not is_row or not (levels[0] > 0 and levels[-1] < 1 and (levels[1:] > levels[:-1]).all()):
        raise ValueError(
            "quantile must be a level in (0, 1) or a list of such levels that ascend, got "
            f"{shown(quantile)}"
        )
    return tuple(levels.tolist())

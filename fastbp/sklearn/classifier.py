"""MLPClassifier."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import sklearn.neural_network
from sklearn.utils import compute_class_weight
from sklearn.utils._param_validation import StrOptions

from fastbp.check.array import Array
from fastbp.loss import Loss
from fastbp.sklearn.estimator import Estimator
from fastbp.sklearn.parameter import CONSTRAINTS


class MLPClassifier(Estimator, sklearn.neural_network.MLPClassifier):
    """scikit-learn's MLPClassifier, trained by fastbp.

    Parameters, attributes and methods are those of scikit-learn's class, which is its base, with
    the same defaults and meaning; behind them come those below.  From the same `random_state` it
    starts at the same initial values and visits the rows in the same order: with
    ``dtype="float64"`` it comes to the same parameters, to rounding.

    Args:
        activation: also every activation of fastbp: "gelu", `fastbp.Activation("elu", 0.5)`.
        momentum: in [0, 1); scikit-learn takes 1 too.
        class_weight: "balanced", or a dict of weights by class, 1 for those it lacks: weighs rows
            by their class, times `sample_weight`.  "balanced" is not for `partial_fit`, neither is
            for several labels a row.
        monitor: what early stopping watches on the held-out rows: "score", the accuracy, or "loss".
        callbacks: `fastbp.Callback`s, called as by `Network.fit`.
        n_threads: at most so many; "auto" as many as pay.  The result is the same to the bit.
        dtype: of parameters and arithmetic: "float32", "float64", or "auto": float64 for "lbfgs",
            whose line search needs its digits, and for fewer than 100 rows, of which it costs
            next to nothing; else float32.
        ema: decay in (0, 1) of the moving average of the parameters, which then predicts; not for
            "lbfgs".  `coefs_` stay the parameters themselves.
        scale: standardise the features inside (of sparse X without the mean), `scaler_`.
        network: layers in the place of `hidden_layer_sizes`: a list, or a function of (n_features,
            n_outputs) that returns one.  Without an `Input` at its head, `Input` and the last
            `Dense` are added.  `alpha` is added to the l2 of every kernel; initial values are then
            fastbp's.
        dropout: in [0, 1): a `fastbp.Dropout` of this rate behind every hidden layer; not for
            "lbfgs", nor beside `network`, whose layers can hold it.  `loss_curve_` is then that of
            the thinned network.

    Attributes:
        network_: the trained `fastbp.Network`.
        coefs_, intercepts_: views of its parameters; what is written there counts.
        loss_curve_: after each epoch the mean over its batches, weighted by their rows (by the sum
            of their weights), of the loss of each batch before its step, which is
            (sum over the rows + alpha / 2 |W|^2) / rows.  No probability is clipped in it.
        validation_loss_curve_: with ``monitor="loss"``; `validation_scores_` has its negatives.
        scaler_: with ``scale=True``.

    Raises:
        ValueError: what scikit-learn refuses; training that diverges, with epoch and batch.

    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MLPClassifier(random_state=0, scale=True).fit(X[:1500], y[:1500])
    >>> model.score(X[1500:], y[1500:]) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **sklearn.neural_network.MLPClassifier._parameter_constraints,
        **CONSTRAINTS,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }
    _stratifies = True

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
        class_weight: Any = None,
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
            hidden_layer_sizes=hidden_layer_sizes, activation=activation, solver=solver,
            alpha=alpha, batch_size=batch_size, learning_rate=learning_rate,
            learning_rate_init=learning_rate_init, power_t=power_t, max_iter=max_iter,
            shuffle=shuffle, random_state=random_state, tol=tol, verbose=verbose,
            warm_start=warm_start, momentum=momentum, nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping, validation_fraction=validation_fraction, beta_1=beta_1,
            beta_2=beta_2, epsilon=epsilon, n_iter_no_change=n_iter_no_change, max_fun=max_fun,
            monitor=monitor, callbacks=callbacks, n_threads=n_threads, dtype=dtype, ema=ema,
            scale=scale, network=network, dropout=dropout,
        )  # fmt: skip
        self.class_weight = class_weight

    def _network_loss(self) -> Loss:
        if self.out_activation_ == "softmax":
            return Loss("cross_entropy", with_penalties=True)
        return Loss("binary_cross_entropy", sum_outputs=True, with_penalties=True)

    def _target(self, y: Array) -> Array:
        """Class indices, or 0 and 1 for each output, from scikit-learn's indicators."""
        if self.out_activation_ == "softmax":
            return y.argmax(axis=1).astype(np.int32)
        return y.astype(self.network_.dtype)

    def _held_out_score(self, target: Array, response: Array, weight: Array | None) -> float:
        """Accuracy, that of whole rows with several labels."""
        if target.ndim == 1:
            right = response.argmax(axis=1) == target
        else:
            right = ((response > 0.5) == (target > 0.5)).all(axis=1)
        return float(np.average(right, weights=weight))

    def _weighted(self, y: Array, sample_weight: Array | None, incremental: bool) -> Array | None:
        if self.class_weight is None:
            return sample_weight
        if self._label_binarizer.y_type_.startswith("multilabel"):
            raise ValueError("class_weight is not for several labels a row: pass sample_weight")
        if incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight 'balanced' needs all labels at once: for partial_fit pass a dict"
            )
        index = y.argmax(axis=1) if y.shape[1] > 1 else y[:, 0].astype(int)
        weights = compute_class_weight(
            self.class_weight, classes=self.classes_, y=self.classes_[index]
        )
        return weights[index] if sample_weight is None else weights[index] * sample_weight

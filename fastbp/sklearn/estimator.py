"""What the estimators share: from checked rows to a trained network, and to its responses.

All derive from scikit-learn's own classes.  What those check, encode and name stays theirs;
initial values, the order of the rows and the held-out rows are drawn by their code and its random
stream.  What trains and predicts is here: `_fit` and `_forward_pass_fast`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, validate_data

from fastbp.check.array import Array
from fastbp.error import DivergenceError
from fastbp.loss import Loss
from fastbp.network import Network
from fastbp.sklearn.architecture import go_on, network_of
from fastbp.sklearn.lbfgs import minimize
from fastbp.sklearn.rows import readable, respond
from fastbp.sklearn.training import train

_NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)


class Estimator:
    """The part of an estimator that is fastbp's, in front of scikit-learn's class."""

    network_: Network
    _outputs_per_target = 1

    def __init__(
        self, *, monitor: Any, callbacks: Any, n_threads: Any, dtype: Any, ema: Any, scale: Any,
        network: Any, dropout: Any, **theirs: Any,
    ) -> None:  # fmt: skip
        """Our parameters, kept as they are; `theirs` are scikit-learn's."""
        super().__init__(**theirs)
        self.monitor = monitor
        self.callbacks = callbacks
        self.n_threads = n_threads
        self.dtype = dtype
        self.ema = ema
        self.scale = scale
        self.network = network
        self.dropout = dropout

    def _fit(
        self: Any, X: Any, y: Any, sample_weight: Any = None, incremental: bool = False
    ) -> Any:
        before = vars(self).copy()
        try:
            X, y, sample_weight = self._begin(X, y, sample_weight, incremental)
        except BaseException:  # the estimator predicts as before
            vars(self).clear()
            vars(self).update(before)
            raise
        try:
            target = self._target(y)
            X = readable(X, self.network_.dtype)
            if self.solver == "lbfgs":
                minimize(self, X, target, sample_weight)
            else:
                train(self, X, y, target, sample_weight, incremental=incremental)
        except DivergenceError as error:
            raise ValueError(f"{_NOT_FINITE} {error}") from error
        return self

    def _begin(
        self: Any, X: Any, y: Any, sample_weight: Any, incremental: bool
    ) -> tuple[Any, Array, Array | None]:
        """The rows checked, y as scikit-learn encodes it, and the network to train with them."""
        sizes = _sizes(self.hidden_layer_sizes)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        if self.dropout and self.solver == "lbfgs":
            raise ValueError("dropout is not for solver='lbfgs': take 'adam' or 'sgd'")
        if self.dropout and self.network is not None:
            raise ValueError(
                "dropout is not for network=, which says all its layers: put fb.Dropout among them"
            )
        first = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        X, y = self._validate_input(X, y, incremental, reset=first)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
        y = y.reshape(len(y), -1)
        self._check_target(y)
        sample_weight = self._weighted(y, sample_weight, incremental)
        self._random_state = check_random_state(self.random_state)
        X = self._scaled_to_fit(X, sample_weight, first)
        self._scale_target_to_fit(y, sample_weight, first)
        sizes = [X.shape[1], *sizes, y.shape[1] * self._outputs_per_target]
        self._prepare(y, sizes, X.dtype, first, incremental)
        return X, y, sample_weight

    def _prepare(
        self: Any, y: Array, sizes: Sequence[int], dtype: Any, first: bool, incremental: bool
    ) -> None:
        """The network at its initial values, or with the parameters of the fit before."""
        self.n_outputs_ = y.shape[1]
        if first:
            self._initialize(y, sizes, dtype)
            del self._best_coefs, self._best_intercepts
        before = getattr(self, "network_", None) if incremental and not first else None
        made_for = self.solver, self.alpha, self.dropout, self._network_loss()
        if before is not None and self._made_for == made_for:
            self._take_coefs(before)
            return
        if before is not None and self._made_for[0] != self.solver:
            before = None
        dtype = None if before is None else before.dtype
        network = network_of(self, sizes, n_rows=len(y), dtype=dtype)
        if first and self.network is not None:
            self.n_layers_ = len(network.layers)
            self.coefs_, self.intercepts_ = _views(network)
        self._take_coefs(network)
        if before is not None:
            go_on(network, before)
        self.network_, self._made_for = network, made_for
        watched = getattr(self, "best_loss_", 0.0) is None
        if self.solver != "lbfgs" and not (
            hasattr(self, "loss_curve_") and watched == bool(self.early_stopping)
        ):  # the fit before had another solver, or another rule
            vars(self).update(
                loss_curve_=[], best_loss_=None if self.early_stopping else np.inf,
                validation_scores_=[], best_validation_score_=-np.inf, _no_improvement_count=0,
            )  # fmt: skip
        by_loss = self.early_stopping and self.monitor == "loss"
        if by_loss and (first or not hasattr(self, "validation_loss_curve_")):
            self.validation_loss_curve_: list[float] = []

    def _take_coefs(self: Any, network: Network) -> None:
        """Bring what stands in `coefs_` and `intercepts_`, which users may set, into the network;
        afterwards they are views of its parameters.

        Raises ValueError where shapes differ, nothing changed.
        """
        names = "coefs_", "intercepts_"
        pairs = [(getattr(self, n), v) for n, v in zip(names, _views(network), strict=True)]
        for name, (given, views) in zip(names, pairs, strict=True):
            shapes = [np.shape(one) for one in given], [view.shape for view in views]
            if shapes[0] != shapes[1]:
                raise ValueError(f"{name} have shapes {shapes[0]}, the network takes {shapes[1]}")
        for given, views in pairs:
            for i, view in enumerate(views):
                if not np.may_share_memory(given[i], view):
                    view[...] = given[i]
                    given[i] = view

    def _scaled_to_fit(self: Any, X: Any, sample_weight: Array | None, first: bool) -> Any:
        if not self.scale:
            return X
        if first or not hasattr(self, "scaler_"):
            sparse = not isinstance(X, np.ndarray)
            self.scaler_ = StandardScaler(with_mean=not sparse).fit(X, sample_weight=sample_weight)
        return self.scaler_.transform(X)

    def _weighted(
        self: Any, y: Array, sample_weight: Array | None, incremental: bool
    ) -> Array | None:
        """The weights of the rows, those of their classes among them."""
        return sample_weight

    def _network_loss(self) -> Loss:
        """The mean over the rows of what the gradient is taken of."""
        raise NotImplementedError

    def _check_target(self, y: Array) -> None:
        """Raises ValueError for targets that the loss does not take."""

    def _scale_target_to_fit(self, y: Array, sample_weight: Array | None, first: bool) -> None:
        """Learn what standardises the targets, where that is to be done."""

    def _least_loss(self, target: Array, sample_weight: Array | None) -> float:
        """What the reported loss has beside the engine's, which follows from the targets alone."""
        return 0.0

    def _forward_pass_fast(self: Any, X: Any, check_input: bool = True) -> Array:
        if check_input:
            X = validate_data(
                self, X, accept_sparse=["csr", "csc"], dtype=(np.float64, np.float32), reset=False
            )
        if self.scale:
            X = self.scaler_.transform(X)
        self._take_coefs(self.network_)
        averages = bool(self.ema) and self.solver != "lbfgs"
        return respond(self.network_, X, n_threads=self.n_threads, ema=averages)

    def __setstate__(self: Any, held: dict[str, Any]) -> None:
        super().__setstate__(held)  # type: ignore[misc]
        if "network_" in held:
            self._take_coefs(self.network_)  # views again


def _sizes(hidden_layer_sizes: Any) -> list[int]:
    """The sizes as a list.

    Raises ValueError for one that is not positive.
    """
    several = hasattr(hidden_layer_sizes, "__iter__")
    sizes = list(hidden_layer_sizes) if several else [hidden_layer_sizes]
    if np.any(np.array(sizes) <= 0):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [int(size) for size in sizes]


def _views(network: Network) -> tuple[list[Array], list[Array]]:
    """Kernels and biases."""
    views = list(network.parameters.values())
    return [one for one in views if one.ndim == 2], [one for one in views if one.ndim == 1]

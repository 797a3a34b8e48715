"""The network of an estimator: its layers, its loss, its optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastbp.check.message import shown
from fastbp.layer import Dense, Dropout, Input, Layer
from fastbp.layer.base import with_fields
from fastbp.network import Network
from fastbp.optimizer import SGD, Adam, Optimizer
from fastbp.runtime.rate import assign
from fastbp.sklearn.parameter import activation_of

_FEW_ROWS = 100  # of which a step is short beside what is around it


def network_of(own: Any, sizes: Sequence[int], *, n_rows: int, dtype: Any = None) -> Network:
    """The network that an estimator describes, for layers of these sizes, of its type or `dtype`.

    Raises TypeError, ValueError for a `network` that does not fit.
    """
    layers = _layers(own, sizes)
    seed = 0  # initial values are given, and nothing else is drawn
    if own.network is not None or own.dropout:
        seed = int(own._random_state.randint(2**31 - 1))
    network = Network(
        layers,
        loss=own._network_loss(),
        optimizer=_optimizer(own),
        dtype=dtype or _dtype(own, n_rows),
        seed=seed,
    )
    if network.n_outputs != sizes[-1]:
        raise ValueError(
            f"network has {network.n_outputs} outputs, this y takes {sizes[-1]}: end with "
            "Dense(n_outputs), or leave Input and the last layer out"
        )
    return network


def _dtype(own: Any, n_rows: int) -> str:
    """The real type: L-BFGS needs the digits of float64, and few rows have them for nothing."""
    if own.dtype != "auto":
        return str(own.dtype)
    return "float64" if own.solver == "lbfgs" or n_rows < _FEW_ROWS else "float32"


def go_on(network: Network, before: Network) -> None:
    """Give `network` the optimizer's state of another of the same shapes, its counters and rate."""
    state, old = network._state, before._state
    state.optimizer_state[:], state.powers[:] = old.optimizer_state, old.powers
    state.steps, state.epochs = old.steps, old.epochs
    assign(state, float(old.rate[0]))


def _layers(own: Any, sizes: Sequence[int]) -> list[Layer]:
    n_features, n_outputs = sizes[0], sizes[-1]
    if own.network is None:
        hidden: list[Layer] = []
        for n in sizes[1:-1]:
            hidden.append(Dense(n, activation_of(own.activation), l2=own.alpha))
            if own.dropout:
                hidden.append(Dropout(float(own.dropout)))
        return [Input(n_features), *hidden, Dense(n_outputs, l2=own.alpha)]
    is_function = callable(own.network) and not isinstance(own.network, Network)
    given = own.network(n_features, n_outputs) if is_function else own.network
    if not isinstance(given, list | tuple):
        raise TypeError(f"network must give a list of layers, got {shown(given)}")
    layers = [_penalised(layer, float(own.alpha)) for layer in given]
    if layers and isinstance(layers[0], Input):
        if layers[0].units != n_features:
            raise ValueError(f"network begins with {layers[0]!r}, X has {n_features} features")
        return layers
    return [Input(n_features), *layers, Dense(n_outputs, l2=own.alpha)]


def _penalised(layer: Any, alpha: float) -> Any:
    """The layer with `alpha` more of l2 on every kernel."""
    if isinstance(layer, Dense):
        return with_fields(layer, l2=layer.l2 + alpha)
    if hasattr(layer, "layers"):
        return with_fields(layer, layers=tuple(_penalised(one, alpha) for one in layer.layers))
    if hasattr(layer, "branches"):
        inner = [tuple(_penalised(one, alpha) for one in part) for part in layer.branches]
        return with_fields(layer, branches=tuple(inner))
    return layer


def _optimizer(own: Any) -> Optimizer:
    rate = float(own.learning_rate_init)
    if own.solver == "adam":
        return Adam(
            rate, beta1=own.beta_1, beta2=own.beta_2, epsilon=own.epsilon, epsilon_hat=True,
            ema=own.ema,
        )  # fmt: skip
    if own.solver == "lbfgs":
        return SGD(rate)
    return SGD(
        rate, momentum=own.momentum, nesterov=own.nesterovs_momentum and own.momentum > 0,
        scaled_momentum=True, ema=own.ema,
    )  # fmt: skip

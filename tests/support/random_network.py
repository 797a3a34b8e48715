"""Random networks with data: every layer, activation, loss, widths around registers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from support import oracle

from fastbp import (
    Activation,
    BatchNorm,
    Branch,
    Dense,
    Dropout,
    GaussianNoise,
    Input,
    LayerNorm,
    Loss,
    NonCrossing,
    PReLU,
    Residual,
    Scale,
    Standardize,
)
from fastbp.activation import ACTIVATIONS
from fastbp.layer import with_fields
from fastbp.loss import LOSSES

Array = NDArray[Any]

WIDTHS = (1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 48, 49)
_NARROW = 10  # so many of them are below 32: most networks stay small
KINKS = {  # where slopes jump
    **dict.fromkeys(("relu", "leaky_relu", "elu", "selu"), (0,)),
    **dict.fromkeys(("hard_sigmoid", "hard_swish"), (-3, 3)),
    "hard_tanh": (-1, 1),
}
CALM = 4.0  # what exponentials are given
MARGIN = 1e-5  # a pre-activation or residual this near to a kink belongs to either side by rounding


# every loss, and those whose arguments make another one of it
EACH_LOSS = [Loss(name) for name in LOSSES if name != "huber"]
EACH_LOSS += [
    Loss("huber", delta=0.7), Loss("quantile", q=[0.1, 0.5, 0.8]), Loss("tweedie", power=1.2),
    Loss("binary_cross_entropy", label_smoothing=0.2, pos_weight=3.0),
    Loss("binary_focal_cross_entropy", gamma=1.5, alpha=0.25),
    Loss("cross_entropy", label_smoothing=0.1),
    Loss("focal_cross_entropy", gamma=0.7, label_smoothing=0.1),
]  # fmt: skip


_APART = 1000 * len(EACH_LOSS) * len(ACTIVATIONS)


@dataclass(frozen=True)
class Case:
    """Layers, loss, parameters in the order of `set_weights`, data that stay clear of kinks."""

    layers: list[Any]
    loss: Loss
    weights: list[Array]
    X: Array
    y: Array

    def __repr__(self) -> str:
        return f"{self.layers}, {self.loss}, {len(self.X)} rows"


def random_case(seed: int) -> Case:
    """The case of a seed; consecutive seeds meet every activation and loss.

    Some layers act in training alone; `without_randomness` leaves them out.
    """
    rng = np.random.default_rng([seed, 1])
    loss = EACH_LOSS[seed % len(EACH_LOSS)]
    layers = _layers(rng, loss, list(ACTIVATIONS)[seed % len(ACTIVATIONS)], seed)
    rows = int(rng.integers(1, 71))
    for attempt in range(50):
        weights = [0.93**attempt * w for w in _weights(rng, layers)]
        X = 0.93**attempt * rng.normal(size=(rows, layers[0].units))
        X = with_categories(np.random.default_rng([seed, 5]), layers[0], X)
        passes = []
        for by_batch in (True, False):
            with np.errstate(over="ignore", invalid="ignore"):
                out, _, tape = oracle.run(layers, weights, X, loss=loss.name, by_batch=by_batch)
            passes.append((tape, loss, out))
        y = _target(rng, loss, passes[0][2])
        if all(_is_calm(*own) and _is_clear(*own, y) for own in passes):
            return Case(layers, loss, weights, X, y)
    # as products of many factors, all near a kink: another case of this loss and activation
    return random_case(seed + _APART)


def with_categories(rng: np.random.Generator, layer: Any, X: Array) -> Array:
    """X with categories in the columns that an `Input` says have some, unknown ones as well where
    they have a row of their own.
    """
    X = X.copy()
    for column, n in getattr(layer, "categorical", ()):
        X[:, column] = rng.integers(0, n, len(X))
        if layer.handle_unknown == "slot":
            odd = rng.random(len(X)) < 0.2
            X[odd, column] = rng.choice([-1.0, n, 0.5, np.nan, np.inf], odd.sum())
    return X


def without_randomness(case: Case) -> Case:
    """The same case, but for layers that draw random numbers."""
    return replace(case, layers=_calm(case.layers))


def _calm(layers: Any) -> list[Any]:
    found: list[Any] = []
    for layer in layers:
        if isinstance(layer, Residual):
            layer = with_fields(layer, layers=tuple(_calm(layer.layers)))
        elif isinstance(layer, Branch):
            layer = with_fields(layer, branches=tuple(tuple(_calm(p)) for p in layer.branches))
        if not isinstance(layer, Dropout | GaussianNoise):
            found.append(layer)
    return found


def _activation(rng: np.random.Generator) -> Activation:
    name = str(rng.choice(list(ACTIVATIONS)))
    if name in ("leaky_relu", "elu") and rng.random() < 0.5:
        return Activation(name, alpha=float(rng.uniform(0.05, 1.5)))
    return Activation(name)


def _width(rng: np.random.Generator) -> int:
    return int(rng.choice(WIDTHS[: _NARROW if rng.random() < 0.6 else None]))


def _dense(rng: np.random.Generator, units: int) -> Dense:
    return Dense(units, _activation(rng), use_bias=bool(rng.random() < 0.75))


def _block(rng: np.random.Generator, width: int, depth: int) -> tuple[Any, int]:
    """A layer that takes `width` columns, and what it gives; nested while `depth` > 0."""
    kind = rng.choice(["dense", "residual", "branch"], p=[0.4, 0.3, 0.3]) if depth else "dense"
    if kind == "dense":
        units = _width(rng)
        return _dense(rng, units), units
    if kind == "residual":
        body, out = _sequence(rng, width, int(rng.integers(1, 3)), depth - 1)
        activation = _activation(rng) if rng.random() < 0.5 else None
        if rng.random() < 0.5:
            return Residual([*body, _dense(rng, width)], activation=activation), width
        return Residual(body, projection="auto", activation=activation), out
    parts: list[tuple[list[Any], int]] = [
        _sequence(rng, width, int(rng.integers(0, 3)), depth - 1)
        for _ in range(int(rng.integers(1, 4)))
    ]
    if rng.random() < 0.4 or len(parts) == 1:
        return Branch([part for part, _ in parts], merge="concat"), sum(n for _, n in parts)
    units = width if any(not part for part, _ in parts) else _width(rng)
    ends = [part and [*part, _dense(rng, units)] for part, _ in parts]
    return Branch(ends, merge=str(rng.choice(["add", "multiply", "average"]))), units


def _pointwise(rng: np.random.Generator, width: int) -> Any:
    """A layer that keeps the width, and about the size of what passes."""
    kind = rng.choice(["activation", "scale", "standardize", "norm", "random", "prelu", "batch"])
    if kind == "prelu":
        return PReLU()
    if kind == "batch":
        center, scale = (bool(rng.random() < 0.75) for _ in range(2))
        momentum, epsilon = float(rng.uniform(0, 0.99)), float(rng.uniform(0.1, 1))
        return BatchNorm(momentum, epsilon=epsilon, center=center, scale=scale)
    if kind == "norm" and width > 1:
        return LayerNorm(float(rng.uniform(0.1, 1)))
    if kind == "random":
        return Dropout(0.3) if rng.random() < 0.5 else GaussianNoise(0.1)
    if kind == "activation":
        return _activation(rng)
    if kind == "scale":
        return Scale(rng.uniform(0.5, 2, size=width), float(rng.normal()))
    return Standardize(rng.normal(size=width), std=float(rng.uniform(0.5, 2)))


def _sequence(rng: np.random.Generator, width: int, n: int, depth: int) -> tuple[list[Any], int]:
    found = []
    for _ in range(n):
        layer, out = _block(rng, width, depth)
        if rng.random() < 0.15:
            found.append(_pointwise(rng, width))
        found.append(layer)
        if rng.random() < 0.25:
            found.append(_pointwise(rng, out))
        width = out
    return found, width


def _input(seed: int, columns: int) -> Input:
    """Every third has embeddings, of some columns or all."""
    rng = np.random.default_rng([seed, 4])
    if seed % 3:
        return Input(columns)
    own = rng.permutation(columns)[: int(rng.integers(1, 4))].tolist()
    units = [int(n) for n in rng.choice([1, 2, 3, 5, 8, 17], len(own))]
    return Input(
        columns, categorical={i: int(n) for i, n in zip(own, rng.choice([1, 2, 7, 40], len(own)),
                                                         strict=True)},
        embedding_units=units, handle_unknown="slot" if rng.random() < 0.3 else "error",
    )  # fmt: skip


def _layers(rng: np.random.Generator, loss: Loss, activation: str, seed: int) -> list[Any]:
    """A few blocks, one layer with the given activation, and an output that goes with the loss."""
    first = _input(seed, _width(rng))
    blocks, width = _sequence(rng, first.width, int(rng.integers(0, 3)), 2)
    blocks.append(Dense(_width(rng), activation))
    fused = oracle.FUSED.get(loss.name)
    fewest = 2 if fused == "softmax" or loss.name == "cosine" else 1
    units = max(_width(rng), fewest) * loss.outputs_per_target
    allowed = ["linear", fused] if fused else list(ACTIVATIONS)
    last = str(rng.choice(allowed))
    way = rng.random()
    if loss.name == "quantile" and loss.outputs_per_target > 1 and way < 0.5:
        levels = loss.outputs_per_target
        return [first, *blocks, NonCrossing(levels, units // levels)]
    if way < 0.7:
        end: Any = Dense(units, last)
    elif way < 0.8:
        end = Residual([Dense(units, "tanh"), Dense(units)], projection="auto", activation=last)
    elif way < 0.9:
        end = Branch([[Dense(units)], [Dense(3, "tanh"), Dense(units)]], merge="add")
    else:
        rest = -(blocks[-1].units + 2) % loss.outputs_per_target
        end = Branch([[Dense(units + rest)], [], [Dense(2, "tanh")]])
    return [first, *blocks, end]


class _Positive(tuple[int, ...]):
    """The shape of numbers > 0."""


def _weights(rng: np.random.Generator, layers: list[Any]) -> list[Array]:
    """Kernels that keep the scale of what passes, biases that move it from zero."""
    shapes = _shapes(layers[1:], layers[0].width)[0]
    more = layers[0].handle_unknown == "slot"
    pairs = zip(layers[0].categorical, layers[0].embedding_units, strict=True)
    tables = [rng.normal(size=(n + more, units)) for (_, n), units in pairs]
    found = [
        rng.normal(size=shape) / np.sqrt(shape[0] if len(shape) == 2 else 2.0) for shape in shapes
    ]
    return tables + [
        np.abs(own) + 0.5 if isinstance(shape, _Positive) else own
        for own, shape in zip(found, shapes, strict=True)
    ]


def _shapes(layers: Any, width: int) -> tuple[list[tuple[int, ...]], int]:
    found: list[tuple[int, ...]] = []
    for layer in layers:
        if isinstance(layer, Dense):
            found += [(width, layer.units), (layer.units,)][: 2 if layer.use_bias else 1]
            width = layer.units
        elif isinstance(layer, Residual):
            inner, out = _shapes(layer.layers, width)
            found += inner + ([(width, out)] if out != width else [])
            width = out
        elif isinstance(layer, LayerNorm):
            found += [(width,), (width,)]
        elif isinstance(layer, PReLU):
            found.append((width,))
        elif isinstance(layer, NonCrossing):
            found += layer.n_levels * [(width, layer.n_targets), (layer.n_targets,)]
            width = layer.n_levels * layer.n_targets
        elif isinstance(layer, BatchNorm):
            found += [(width,)] * (layer.center + layer.scale + 1) + [_Positive((width,))]
        elif isinstance(layer, Branch):
            ends = [_shapes(part, width) for part in layer.branches]
            found += [shape for inner, _ in ends for shape in inner]
            width = sum(out for _, out in ends) if layer.merge == "concat" else ends[0][1]
    return found, width


def _target(rng: np.random.Generator, loss: Loss, out: Array) -> Array:
    n, k = out.shape
    if loss.domain == "class":
        return rng.integers(k, size=n) if rng.random() < 0.5 else rng.dirichlet(np.ones(k), size=n)
    if loss.domain == "interval":
        hard = rng.random() < 0.5
        return rng.integers(2, size=(n, k)).astype(float) if hard else rng.random((n, k))
    if loss.domain == "sign":
        return rng.choice([-1.0, 1.0], (n, k))
    if loss.domain == "count":
        return rng.poisson(2.0, (n, k)).astype(float)
    if loss.domain == "positive":
        return rng.gamma(2.0, size=(n, k))
    n_targets = loss.n_targets(k)
    return out[:, :n_targets] + rng.normal(size=(n, n_targets)) * 1.2


def _is_calm(tape: oracle.Tape, loss: Loss, out: Array) -> bool:
    """Whether no exponential magnifies the rounding of what it is given."""
    powers = [np.abs(z).max() for name, z in tape.preactivations if name == "exponential"]
    if loss.link == "log" or loss.name == "gaussian_nll":
        powers.append(np.abs(out).max())
    return all(power < CALM for power in powers)


def _is_clear(tape: oracle.Tape, loss: Loss, out: Array, y: Array) -> bool:
    """Whether no number is within MARGIN of a kink; an exact zero has a defined side."""
    near = [np.abs(z[z != 0] - at) for name, z in tape.preactivations for at in KINKS.get(name, ())]
    if loss.name in ("mae", "quantile", "huber"):
        e = np.abs(out - np.tile(y, out.shape[1] // y.shape[1]))
        near.append(np.abs(e - loss.delta).ravel() if loss.name == "huber" else e.ravel())
    if loss.name == "hinge":
        rest = 1 - y * out  # 0 of a softmax of one unit
        near.append(np.abs(rest[rest != 0]))
    return all((part > MARGIN).all() for part in near)

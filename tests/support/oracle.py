"""What a network computes, written once more: float64 NumPy, one formula a line, nothing of fastbp.

A network is read from its frozen layer descriptions.  `run` gives the output and a function that
applies the chain rule; the same `run` on complex numbers gives derivatives by a complex step,
f(x + ih).imag / h, which no formula of the chain rule enters.  Both must agree, and the library
with them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pull = Callable[[Array], Array]

SELU_SCALE, SELU_ALPHA = 1.0507009873554804934, 1.6732632423543772848
FUSED = {
    "cross_entropy": "softmax",
    "focal_cross_entropy": "softmax",
    "kl_divergence": "softmax",
    "binary_cross_entropy": "sigmoid",
    "binary_focal_cross_entropy": "sigmoid",
    "poisson": "exponential",
    "gamma": "exponential",
    "tweedie": "exponential",
}


# ---- activations --------------------------------------------------------------------------------


def _each(function: Callable[[float], float], x: Array) -> Array:
    return np.array([function(v) for v in x.ravel().tolist()]).reshape(x.shape)


def normal_cdf(z: Array) -> Array:
    """Phi(z) = erfc(-z / sqrt 2) / 2; of a complex step x + ih, Phi(x) + ih phi(x)."""
    value = _each(lambda v: math.erfc(-v / math.sqrt(2)) / 2, np.real(z))
    return value + 1j * z.imag * normal_pdf(z.real) if np.iscomplexobj(z) else value


def normal_pdf(z: Array) -> Array:
    return np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def sigmoid(z: Array) -> Array:
    positive = np.real(z) >= 0
    e = np.exp(np.where(positive, -z, z))
    return np.where(positive, 1, e) / (1 + e)


def softplus(z: Array) -> Array:
    positive = np.real(z) > 0
    return np.where(positive, z, 0) + np.log1p(np.exp(np.where(positive, -z, z)))


def softmax(z: Array) -> Array:
    e = np.exp(z - np.real(z).max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _below(z: Array) -> Array:
    """exp(z) - 1 for z < 0, without the overflow of the other side."""
    return np.expm1(np.where(np.real(z) > 0, 0, z))


def activate(activation: Any, z: Array) -> Array:
    """f(z) for a description with `name` and `alpha`; real or complex."""
    name, positive = activation.name, np.real(z) > 0
    if name == "linear":
        return z
    if name == "relu":
        return np.where(positive, z, 0)
    if name == "leaky_relu":
        return np.where(positive, z, activation.alpha * z)
    if name == "elu":
        return np.where(positive, z, activation.alpha * _below(z))
    if name == "selu":
        return SELU_SCALE * np.where(positive, z, SELU_ALPHA * _below(z))
    if name == "gelu":
        return z * normal_cdf(z)
    if name == "gelu_tanh":
        return z * sigmoid(2 * math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))
    if name == "silu":
        return z * sigmoid(z)
    if name == "mish":
        return z * np.tanh(softplus(z))
    if name in ("hard_sigmoid", "hard_swish"):
        six = np.where(np.real(z) < -3, 0, np.where(np.real(z) > 3, 6, z + 3))
        return six / 6 if name == "hard_sigmoid" else z * six / 6
    if name == "hard_tanh":
        return np.where(np.real(z) < -1, -1, np.where(np.real(z) > 1, 1, z))
    if name == "softsign":
        return z / (1 + np.where(positive, z, -z))
    if name == "softplus":
        return softplus(z)
    if name == "exponential":
        return np.exp(z)
    if name == "tanh":
        return np.tanh(z)
    if name == "sigmoid":
        return sigmoid(z)
    if name == "log_softmax":
        return log_softmax(z)
    assert name == "softmax", name
    return softmax(z)


def slope(activation: Any, z: Array) -> Array:
    """f'(z) of every activation but those of rows; that of relu at 0 is 0.  Real or complex."""
    name, positive = activation.name, np.real(z) > 0
    if name == "linear":
        return np.ones_like(z)
    if name == "relu":
        return np.where(positive, 1.0, 0.0)
    if name == "leaky_relu":
        return np.where(positive, 1.0, activation.alpha)
    if name == "elu":
        return np.where(positive, 1.0, activation.alpha * np.exp(np.minimum(z, 0)))
    if name == "selu":
        return SELU_SCALE * np.where(positive, 1.0, SELU_ALPHA * np.exp(np.minimum(z, 0)))
    if name == "gelu":
        return normal_cdf(z) + z * normal_pdf(z)
    if name == "gelu_tanh":
        u = 2 * math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)
        steep = 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * z**2)
        return sigmoid(u) + z * sigmoid(u) * sigmoid(-u) * steep
    if name == "mish":
        return np.tanh(softplus(z)) + z * sigmoid(z) / np.cosh(np.minimum(softplus(z), 300)) ** 2
    if name == "hard_sigmoid":
        return np.where(np.abs(z) < 3, 1 / 6, 0.0)
    if name == "hard_swish":
        return np.where(z < -3, 0.0, np.where(z > 3, 1.0, z / 3 + 0.5))
    if name == "hard_tanh":
        return np.where(np.abs(z) < 1, 1.0, 0.0)
    if name == "softsign":
        return 1 / (1 + np.where(positive, z, -z)) ** 2
    if name == "silu":
        return sigmoid(z) + z * sigmoid(z) * sigmoid(-z)
    if name == "softplus":
        return sigmoid(z)
    if name == "exponential":
        return np.exp(z)
    if name == "tanh":
        return 1 / np.cosh(np.clip(z, -300, 300)) ** 2
    assert name == "sigmoid", name
    return sigmoid(z) * sigmoid(-z)


def pull_activation(activation: Any, z: Array, d: Array) -> Array:
    """dL/dz from d = dL/df(z)."""
    if activation.name not in ("softmax", "log_softmax"):
        return d * slope(activation, z)
    a = softmax(z)
    if activation.name == "log_softmax":
        return d - a * d.sum(axis=1, keepdims=True)
    return a * (d - (d * a).sum(axis=1, keepdims=True))


# ---- networks -----------------------------------------------------------------------------------


@dataclass
class Tape:
    """What a pass leaves: gradients in the order of the parameters, what they summed, fan-ins.

    `places` are those of the trained parameters among all; `moving` is where each running statistic
    stands, how much of it stays, and what it follows.
    """

    parameters: Iterator[Array]
    by_batch: bool = False
    gradients: list[Array | None] = field(default_factory=list)
    magnitudes: list[Array | None] = field(default_factory=list)
    preactivations: list[tuple[str, Array]] = field(default_factory=list)
    layers_in: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    moving: list[tuple[int, float, Array]] = field(default_factory=list)
    _n: int = 0

    def take(self) -> tuple[int, Array]:
        self.gradients.append(None)
        self.magnitudes.append(None)
        self.places.append(self._n)
        self._n += 1
        return len(self.gradients) - 1, next(self.parameters)

    def take_running(self, momentum: float, followed: Array) -> Array:
        self.moving.append((self._n, momentum, followed))
        self._n += 1
        return next(self.parameters)

    def put(self, place: int, gradient: Array, magnitude: Array) -> None:
        self.gradients[place], self.magnitudes[place] = gradient, magnitude


def run(
    layers: Any, parameters: list[Array], X: Array, *, loss: str | None = None,
    by_batch: bool = False,
) -> tuple[Array, Pull, Tape]:  # fmt: skip
    """Output, chain rule and tape of `layers` (the `Input` first).

    With the name of a `loss` that is taken from logits, the output is the logits.  `by_batch` is
    how a network trains: by the statistics of these rows, not by running ones.
    """
    tape = Tape(iter(parameters), by_batch)
    skipped = FUSED.get(loss) if loss else None
    x, back = _embedded(layers[0], tape, X)
    out, pull = _chain(layers[1:], tape, x, skipped)
    assert next(tape.parameters, None) is None, "parameters are left"
    return out, lambda d: back(pull(d)), tape


def _embedded(layer: Any, tape: Tape, X: Array) -> tuple[Array, Pull]:
    """What an `Input` gives: the numeric columns, then a row of a table for each other one."""
    own = [column for column, _ in layer.categorical]
    numeric = [column for column in range(X.shape[1]) if column not in own]
    parts, rows = [X[:, numeric]], []
    for column, n in layer.categorical:
        place, table = tape.take()
        known = [x in range(n) for x in np.real(X[:, column])]
        named = [int(x) if is_in else n for x, is_in in zip(X[:, column].real, known, strict=True)]
        rows.append((place, table, named))
        parts.append(table[named])
    widths = [part.shape[1] for part in parts]

    def back(d: Array) -> Array:
        first, *rest = np.split(d, np.cumsum(widths)[:-1], axis=1)
        for (place, table, named), dz in zip(rows, rest, strict=True):
            which = np.arange(len(table))[:, None] == np.array(named)
            tape.put(place, which @ dz, which @ np.abs(dz))
        dX = np.zeros(X.shape, first.dtype)
        dX[:, numeric] = first
        return dX

    return np.concatenate(parts, axis=1), back


def _chain(layers: Any, tape: Tape, x: Array, skipped: str | None) -> tuple[Array, Pull]:
    pulls = []
    for i, layer in enumerate(layers):
        x, pull = _layer(layer, tape, x, skipped if i == len(layers) - 1 else None)
        pulls.append(pull)

    def back(d: Array) -> Array:
        for pull in reversed(pulls):
            d = pull(d)
        return d

    return x, back


def _layer(layer: Any, tape: Tape, x: Array, skipped: str | None) -> tuple[Array, Pull]:
    kind = type(layer).__name__
    if kind == "Dense":
        return _dense(layer, tape, x, skipped)
    if kind == "Residual":
        return _residual(layer, tape, x, skipped)
    if kind == "Branch":
        return _branch(layer, tape, x, skipped)
    if kind in ("Activation", "ActivationLayer"):
        return _activated(getattr(layer, "activation", layer), tape, x, skipped)
    if kind == "LayerNorm":
        return _layer_norm(layer, tape, x)
    if kind == "PReLU":
        return _prelu(tape, x)
    if kind == "NonCrossing":
        return _non_crossing(layer, tape, x)
    if kind == "BatchNorm":
        return _batch_norm(layer, tape, x)
    if kind in ("Dropout", "GaussianNoise"):  # outside of training
        return x, lambda d: d
    if kind == "Scale":
        factor = np.asarray(layer.scale)
        return x * factor + np.asarray(layer.offset), lambda d: d * factor
    assert kind == "Standardize", kind
    std = np.asarray(layer.std)
    return (x - np.asarray(layer.mean)) / std, lambda d: d / std


def _prelu(tape: Tape, x: Array) -> tuple[Array, Pull]:
    place, alpha = tape.take()
    tape.preactivations.append(("relu", x))

    def back(d: Array) -> Array:
        terms = d * np.where(np.real(x) > 0, 0, x)
        tape.put(place, terms.sum(axis=0), np.abs(terms).sum(axis=0))
        return d * np.where(np.real(x) > 0, 1, alpha)

    return np.where(np.real(x) > 0, x, alpha * x), back


def _non_crossing(layer: Any, tape: Tape, x: Array) -> tuple[Array, Pull]:
    ends = [_affine(tape, x, use_bias=True) for _ in range(layer.n_levels)]
    steps = np.stack([z if i == 0 else softplus(z) for i, (z, _) in enumerate(ends)])

    def back(d: Array) -> Array:
        parts = np.stack(np.split(d, layer.n_levels, axis=1))
        total = 0 * x
        for i, (z, pull) in enumerate(ends):
            own = parts[i:].sum(axis=0)  # a step is in all levels from its own on
            total = total + pull(own if i == 0 else own * sigmoid(z))
        return total

    return np.concatenate(list(np.cumsum(steps, axis=0)), axis=1), back


def _activated(activation: Any, tape: Tape, z: Array, skipped: str | None) -> tuple[Array, Pull]:
    tape.preactivations.append((activation.name, z))
    if activation.name == skipped:
        return z, lambda d: d
    return activate(activation, z), lambda d: pull_activation(activation, z, d)


def _affine(tape: Tape, x: Array, *, use_bias: bool) -> tuple[Array, Pull]:
    place, W = tape.take()
    z = x @ W
    tape.layers_in.append(len(W))
    if use_bias:
        bias_place, b = tape.take()
        z = z + b

    def back(dz: Array) -> Array:
        tape.put(place, x.T @ dz, np.abs(x).T @ np.abs(dz))
        if use_bias:
            tape.put(bias_place, dz.sum(axis=0), np.abs(dz).sum(axis=0))
        return dz @ W.T

    return z, back


def _dense(layer: Any, tape: Tape, x: Array, skipped: str | None) -> tuple[Array, Pull]:
    z, back = _affine(tape, x, use_bias=layer.use_bias)
    assert z.shape[1] == layer.units
    a, pull = _activated(layer.activation, tape, z, skipped)
    return a, lambda d: back(pull(d))


def _layer_norm(layer: Any, tape: Tape, x: Array) -> tuple[Array, Pull]:
    (gamma_place, gamma), (beta_place, beta) = tape.take(), tape.take()
    part = x - x.mean(axis=1, keepdims=True)
    deviation = np.sqrt((part * part).mean(axis=1, keepdims=True) + layer.epsilon)
    normal = part / deviation
    tape.layers_in.append(x.shape[1])

    def back(d: Array) -> Array:
        tape.put(gamma_place, (d * normal).sum(axis=0), np.abs(d * normal).sum(axis=0))
        tape.put(beta_place, d.sum(axis=0), np.abs(d).sum(axis=0))
        d = d * gamma
        along = (d * normal).mean(axis=1, keepdims=True)
        return (d - d.mean(axis=1, keepdims=True) - normal * along) / deviation

    return normal * gamma + beta, back


def _batch_norm(layer: Any, tape: Tape, x: Array) -> tuple[Array, Pull]:
    gamma_place, gamma = tape.take() if layer.scale else (-1, np.ones(1))
    beta_place, beta = tape.take() if layer.center else (-1, np.zeros(1))
    mean = x.mean(axis=0)
    variance = ((x - mean) ** 2).mean(axis=0)
    moving = [tape.take_running(layer.momentum, own) for own in (mean, variance)]
    if not tape.by_batch:
        mean, variance = moving
    deviation = np.sqrt(variance + layer.epsilon)
    normal = (x - mean) / deviation
    tape.layers_in.append(len(x))

    def back(d: Array) -> Array:
        if layer.scale:
            tape.put(gamma_place, (d * normal).sum(axis=0), np.abs(d * normal).sum(axis=0))
        if layer.center:
            tape.put(beta_place, d.sum(axis=0), np.abs(d).sum(axis=0))
        d = d * gamma
        if not tape.by_batch:
            return d / deviation
        return (d - d.mean(axis=0) - normal * (d * normal).mean(axis=0)) / deviation

    return normal * gamma + beta, back


def _residual(layer: Any, tape: Tape, x: Array, skipped: str | None) -> tuple[Array, Pull]:
    body, body_back = _chain(layer.layers, tape, x, None)
    around, around_back = x, None
    if body.shape[1] != x.shape[1]:
        assert layer.projection == "auto"
        around, around_back = _affine(tape, x, use_bias=False)
    a, pull = _activated(layer.activation, tape, body + around, skipped)

    def back(d: Array) -> Array:
        d = pull(d)
        return body_back(d) + (d if around_back is None else around_back(d))

    return a, back


def _branch(layer: Any, tape: Tape, x: Array, skipped: str | None) -> tuple[Array, Pull]:
    single = len(layer.branches) == 1
    ends = [_chain(part, tape, x, skipped if single else None) for part in layer.branches]
    outs = [out for out, _ in ends]
    if layer.merge in ("add", "average"):
        part = 1 / len(outs) if layer.merge == "average" else 1.0
        merged = sum(outs[1:], outs[0]) * part
        return merged, lambda d: sum((back(d * part) for _, back in ends), np.zeros_like(x))
    if layer.merge == "multiply":

        def others(i: int) -> Array:
            return np.prod([out for k, out in enumerate(outs) if k != i], axis=0)

        return np.prod(outs, axis=0), lambda d: sum(
            (back(d * others(i)) for i, (_, back) in enumerate(ends)), np.zeros_like(x)
        )
    edges = np.cumsum([out.shape[1] for out in outs])[:-1]

    def split(d: Array) -> Array:
        parts = np.split(d, edges, axis=1)
        return sum((back(p) for (_, back), p in zip(ends, parts, strict=True)), np.zeros_like(x))

    return np.concatenate(outs, axis=1), split


# ---- losses -------------------------------------------------------------------------------------


def loss_value(loss: Any, out: Array, y: Array) -> Any:
    """The mean loss; `out` is what the loss works from, as the logits.  Real or complex."""
    n, k = out.shape
    if loss.name in ("cross_entropy", "focal_cross_entropy", "kl_divergence"):
        p, log_p = _smooth(loss, _rows(y, k), k), log_softmax(out)
        terms = -p * log_p
        if loss.name == "focal_cross_entropy":
            terms = terms * (1 - np.exp(log_p)) ** loss.gamma
        if loss.name == "kl_divergence":
            terms = terms + p * np.log(np.where(p > 0, p, 1))
        return terms.sum() / n
    if loss.name == "cosine":
        size = np.sqrt((out * out).sum(axis=1)) * np.sqrt((y * y).sum(axis=1))
        return (1 - (out * y).sum(axis=1) / size).sum() / n
    if loss.name == "gaussian_nll":
        mean, s = out[:, : k // 2], out[:, k // 2 :]
        return ((s + (mean - y) ** 2 * np.exp(-s)) / 2).sum() / (n * k // 2)
    terms = element_values(loss, out, np.tile(y, k // y.shape[1]))
    return terms.sum() / (n if loss.name == "half_sse" else n * k)


def element_values(loss: Any, out: Array, y: Array) -> Array:
    """The loss of each element, from targets as wide as the outputs."""
    e = out - y
    size = np.where(np.real(e) > 0, e, -e)
    if loss.name == "mse":
        return e * e
    if loss.name == "half_sse":
        return e * e / 2
    if loss.name == "mae":
        return size
    if loss.name == "huber":
        straight = loss.delta * (size - loss.delta / 2)
        return np.where(np.real(size) <= loss.delta, e * e / 2, straight)
    if loss.name == "log_cosh":
        return size + np.log1p(np.exp(-2 * size)) - math.log(2)
    if loss.name == "quantile":
        return np.where(np.real(e) > 0, 1 - levels(loss, out), -levels(loss, out)) * e
    if loss.name == "poisson":
        return np.exp(out) - y * out
    if loss.name == "gamma":
        return out + y * np.exp(-out)
    if loss.name == "tweedie":
        p = loss.power
        return np.exp((2 - p) * out) / (2 - p) - y * np.exp((1 - p) * out) / (1 - p)
    if loss.name in ("hinge", "squared_hinge"):
        short = 1 - np.where(y > 0, 1, -1) * out
        short = np.where(np.real(short) > 0, short, 0)
        return short if loss.name == "hinge" else short * short
    if loss.name == "binary_cross_entropy":
        smooth = y + loss.label_smoothing * (0.5 - y)
        return pos_weight(loss) * smooth * softplus(-out) + (1 - smooth) * softplus(out)
    assert loss.name == "binary_focal_cross_entropy", loss.name
    a = loss.alpha
    side = 1 if a is None else y * a + (1 - y) * (1 - a)
    rest = y * sigmoid(-out) + (1 - y) * sigmoid(out)
    return side * rest**loss.gamma * (y * softplus(-out) + (1 - y) * softplus(out))


def loss_slope(loss: Any, out: Array, y: Array) -> Array:
    """dL/dout; by what the loss works from, as the logits."""
    n, k = out.shape
    if loss.name in ("cross_entropy", "focal_cross_entropy", "kl_divergence"):
        t, p = _smooth(loss, _rows(y, k), k), softmax(out)
        if loss.name != "focal_cross_entropy":
            return (p * t.sum(axis=1, keepdims=True) - t) / n
        g = loss.gamma
        by_p = t * (g * (1 - p) ** (g - 1) * log_softmax(out) - (1 - p) ** g / p)
        return p * (by_p - (by_p * p).sum(axis=1, keepdims=True)) / n
    if loss.name == "cosine":
        a, b = (v / np.sqrt((v * v).sum(axis=1, keepdims=True)) for v in (out, y))
        size = np.sqrt((out * out).sum(axis=1, keepdims=True))
        return ((a * b).sum(axis=1, keepdims=True) * a - b) / size / n
    if loss.name == "gaussian_nll":
        e, precision = out[:, : k // 2] - y, np.exp(-out[:, k // 2 :])
        return np.hstack([e * precision, (1 - e**2 * precision) / 2]) / (n * k // 2)
    slope = element_slopes(loss, out, np.tile(y, k // y.shape[1]))
    return slope / (n if loss.name == "half_sse" else n * k)


def element_slopes(loss: Any, out: Array, y: Array) -> Array:
    """The derivative of each element's loss."""
    e = out - y
    if loss.name == "mse":
        return 2 * e
    if loss.name == "half_sse":
        return e
    if loss.name == "mae":
        return np.sign(np.real(e))
    if loss.name == "huber":
        return np.where(np.abs(e) <= loss.delta, e, loss.delta * np.sign(np.real(e)))
    if loss.name == "log_cosh":
        return np.tanh(e)
    if loss.name == "quantile":
        return (e > 0) - levels(loss, out) * (e != 0)
    if loss.name == "poisson":
        return np.exp(out) - y
    if loss.name == "gamma":
        return 1 - y * np.exp(-out)
    if loss.name == "tweedie":
        return np.exp((2 - loss.power) * out) - y * np.exp((1 - loss.power) * out)
    sign = np.where(y > 0, 1, -1)
    if loss.name == "hinge":
        return np.where(sign * out < 1, -sign, 0)
    if loss.name == "squared_hinge":
        return np.where(sign * out < 1, -2 * sign * (1 - sign * out), 0)
    p = sigmoid(out)
    if loss.name == "binary_cross_entropy":
        smooth = y + loss.label_smoothing * (0.5 - y)
        return (1 - smooth) * p - pos_weight(loss) * smooth * sigmoid(-out)
    assert loss.name == "binary_focal_cross_entropy", loss.name
    a, g = loss.alpha, loss.gamma
    side = 1 if a is None else y * a + (1 - y) * (1 - a)
    rest = y * sigmoid(-out) + (1 - y) * p
    entropy = y * softplus(-out) + (1 - y) * softplus(out)
    return side * (
        rest**g * (p - y) + g * rest ** (g - 1) * (1 - 2 * y) * p * sigmoid(-out) * entropy
    )


def levels(loss: Any, out: Array) -> Array:
    """The level of each output: those of the first level for all targets, and so on."""
    return np.repeat(np.atleast_1d(loss.q), out.shape[1] // np.size(loss.q))


def pos_weight(loss: Any) -> Array:
    return np.asarray(1.0 if loss.pos_weight is None else loss.pos_weight)


def log_softmax(z: Array) -> Array:
    shift = np.real(z).max(axis=1, keepdims=True)
    return z - shift - np.log(np.exp(z - shift).sum(axis=1, keepdims=True))


def _smooth(loss: Any, p: Array, k: int) -> Array:
    return p + loss.label_smoothing * (1 / k - p)


def _rows(y: Array, k: int) -> Array:
    return np.eye(k)[y] if y.ndim == 1 else y


def gradient(
    layers: Any, loss: Any, parameters: list[Array], X: Array, y: Array, *, by_batch: bool = True
) -> tuple[float, Array, Tape]:
    """Mean loss, dL/dX, and the tape with the gradients of the parameters; as for a step."""
    out, pull, tape = run(layers, parameters, X, loss=loss.name, by_batch=by_batch)
    dX = pull(loss_slope(loss, out, y))
    return float(loss_value(loss, out, y)), dX, tape


def hessian_product(
    layers: Any, loss: Any, parameters: list[Array], X: Array, y: Array, direction: list[Array]
) -> list[Array]:
    """H v of the mean loss, v of what is trained: a complex step of the chain rule's gradient."""
    moved = list(parameters)
    for place, v in zip(run(layers, moved, X, loss=loss.name)[2].places, direction, strict=True):
        moved[place] = moved[place] + 1j * 1e-100 * v
    out, pull, tape = run(layers, moved, X, loss=loss.name)
    pull(loss_slope(loss, out, y))
    return [np.imag(g) / 1e-100 for g in tape.gradients]


# ---- optimizers ---------------------------------------------------------------------------------


def penalised(g: Array, w: Array, l1: float, l2: float) -> Array:
    return g + l2 * w + l1 * np.sign(w)


def step(
    optimizer: Any, w: Array, g: Array, state: list[Array], t: int, *, decays: bool = True
) -> tuple[Array, list[Array]]:
    """(w, state) after step t = 1, 2, ...; g with penalties, state [], [momentum] or [m, v]."""
    rate, kind = optimizer.learning_rate, type(optimizer).__name__
    if kind == "SGD":
        if optimizer.decoupled_weight_decay and decays:
            w = w - rate * optimizer.weight_decay * w
        if not optimizer.momentum:
            return w - rate * g, state
        if optimizer.scaled_momentum:
            b = optimizer.momentum * state[0] + rate * g
            return w - (rate * g + optimizer.momentum * b if optimizer.nesterov else b), [b]
        b = optimizer.momentum * state[0] + g
        return w - rate * (g + optimizer.momentum * b if optimizer.nesterov else b), [b]
    if kind in MORE_STEPS:
        if decays:
            w = w - rate * optimizer.weight_decay * w
        return MORE_STEPS[kind](optimizer, w, g, state, t)
    m = optimizer.beta1 * state[0] + (1 - optimizer.beta1) * g
    v = optimizer.beta2 * state[1] + (1 - optimizer.beta2) * g**2
    seen, new = v, [m, v]
    if optimizer.amsgrad:
        seen = np.maximum(state[2], v)
        new = [m, v, seen]
    if kind == "AdamW" and decays:
        w = w - rate * optimizer.weight_decay * w
    if optimizer.epsilon_hat:
        rate *= np.sqrt(1 - optimizer.beta2**t) / (1 - optimizer.beta1**t)
        return w - rate * m / (np.sqrt(seen) + optimizer.epsilon), new
    m_hat, root = m / (1 - optimizer.beta1**t), np.sqrt(seen / (1 - optimizer.beta2**t))
    return w - rate * m_hat / (root + optimizer.epsilon), new


def _rmsprop(o: Any, w: Array, g: Array, state: list[Array], t: int) -> tuple[Array, list[Array]]:
    v, *rest = state
    v = o.rho * v + (1 - o.rho) * g**2
    new, variance = [v], v
    if o.centered:
        mean = o.rho * rest.pop(0) + (1 - o.rho) * g
        new, variance = [v, mean], np.maximum(v - mean**2, 0)
    change = g / (np.sqrt(variance) + o.epsilon)
    if o.momentum:
        change = o.momentum * rest.pop(0) + change
        new.append(change)
    return w - o.learning_rate * change, new


def _adagrad(o: Any, w: Array, g: Array, state: list[Array], t: int) -> tuple[Array, list[Array]]:
    total = state[0] + g**2
    root = np.sqrt(o.initial_accumulator_value + total) + o.epsilon
    return w - o.learning_rate * g / root, [total]


def _adadelta(o: Any, w: Array, g: Array, state: list[Array], t: int) -> tuple[Array, list[Array]]:
    v = o.rho * state[0] + (1 - o.rho) * g**2
    change = np.sqrt((state[1] + o.epsilon) / (v + o.epsilon)) * g
    return w - o.learning_rate * change, [v, o.rho * state[1] + (1 - o.rho) * change**2]


def _adamax(o: Any, w: Array, g: Array, state: list[Array], t: int) -> tuple[Array, list[Array]]:
    m = o.beta1 * state[0] + (1 - o.beta1) * g
    u = np.maximum(o.beta2 * state[1], np.abs(g) + o.epsilon)
    return w - o.learning_rate / (1 - o.beta1**t) * m / u, [m, u]


def _nadam(o: Any, w: Array, g: Array, state: list[Array], t: int) -> tuple[Array, list[Array]]:
    m = o.beta1 * state[0] + (1 - o.beta1) * g
    v = o.beta2 * state[1] + (1 - o.beta2) * g**2
    mu = [o.beta1 * (1 - 0.5 * 0.96 ** (o.momentum_decay * i)) for i in range(1, t + 2)]
    now, then = math.prod(mu[:-1]), math.prod(mu)
    step = (1 - mu[-2]) / (1 - now) * g + mu[-1] / (1 - then) * m
    root = np.sqrt(v / (1 - o.beta2**t)) + o.epsilon
    return w - o.learning_rate * step / root, [m, v, np.full_like(w, 1 - now)]


def _radam(o: Any, w: Array, g: Array, state: list[Array], t: int) -> tuple[Array, list[Array]]:
    m = o.beta1 * state[0] + (1 - o.beta1) * g
    v = o.beta2 * state[1] + (1 - o.beta2) * g**2
    step = o.learning_rate * m / (1 - o.beta1**t)
    r = 2 / (1 - o.beta2) - 1
    s = r - 2 * t * o.beta2**t / (1 - o.beta2**t)
    if s > 5:
        part = ((s - 4) * (s - 2) * r) / ((r - 4) * (r - 2) * s)
        step = step * math.sqrt(part) * math.sqrt(1 - o.beta2**t) / (np.sqrt(v) + o.epsilon)
    return w - step, [m, v]


def _lion(o: Any, w: Array, g: Array, state: list[Array], t: int) -> tuple[Array, list[Array]]:
    sign = np.sign(o.beta1 * state[0] + (1 - o.beta1) * g)
    return w - o.learning_rate * sign, [o.beta2 * state[0] + (1 - o.beta2) * g]


def _rprop(o: Any, w: Array, g: Array, state: list[Array], t: int) -> tuple[Array, list[Array]]:
    turn = np.sign(g) * np.sign(state[0])
    size = state[1] if t > 1 else np.full_like(w, o.learning_rate)
    size = size * np.choose(1 + turn.astype(int), [o.eta_minus, 1, o.eta_plus])
    size, g = np.clip(size, o.step_min, o.step_max), np.where(turn < 0, 0, g)
    return w - np.sign(g) * size, [g, size]


MORE_STEPS: dict[str, Callable[..., tuple[Array, list[Array]]]] = {
    "RMSprop": _rmsprop, "Adagrad": _adagrad, "Adadelta": _adadelta, "Adamax": _adamax,
    "NAdam": _nadam, "RAdam": _radam, "Lion": _lion, "Rprop": _rprop,
}  # fmt: skip


def penalties(layers: Any) -> list[tuple[float, float, bool]]:
    """(l1, l2, is a bias) of every parameter, in their order, projections included."""
    found = [(0.0, 0.0, False) for _ in layers[0].categorical]
    _penalties(layers[1:], layers[0].width, found)
    return found


def _penalties(layers: Any, width: int, found: list[tuple[float, float, bool]]) -> int:
    """The width after `layers`."""
    for layer in layers:
        kind = type(layer).__name__
        if kind == "Dense":
            found.append((layer.l1, layer.l2, False))
            if layer.use_bias:
                keep = float(layer.regularize_bias)
                found.append((layer.l1 * keep, layer.l2 * keep, True))
            width = layer.units
        elif kind == "Residual":
            after = _penalties(layer.layers, width, found)
            if after != width:
                found.append((0.0, 0.0, False))
            width = after
        elif kind == "LayerNorm":
            found += 2 * [(0.0, 0.0, True)]
        elif kind == "PReLU":
            found.append((0.0, 0.0, True))
        elif kind == "NonCrossing":
            found += layer.n_levels * [(0.0, 0.0, False), (0.0, 0.0, True)]
            width = layer.n_levels * layer.n_targets
        elif kind == "BatchNorm":
            found += (2 + layer.scale + layer.center) * [(0.0, 0.0, True)]
        elif kind == "Branch":
            widths = [_penalties(part, width, found) for part in layer.branches]
            width = sum(widths) if layer.merge == "concat" else widths[0]
    return width


def train(
    layers: Any,
    loss: Any,
    optimizer: Any,
    parameters: list[Array],
    X: Array,
    y: Array,
    batches: Any,
) -> tuple[list[Array], list[float]]:
    """Parameters after a step for each batch of row numbers, and the loss before each step."""
    w = [np.array(p, np.float64) for p in parameters]
    n_states = len(optimizer.state_names)
    states: list[list[Array]] = [[np.zeros_like(p) for _ in range(n_states)] for p in w]
    terms, losses = penalties(layers), []
    for t, rows in enumerate(batches, 1):
        value, _, tape = gradient(layers, loss, w, X[rows], y[rows])
        losses.append(value)
        gradients = [
            penalised(np.asarray(g), w[i], *terms[i][:2])
            for i, g in zip(tape.places, tape.gradients, strict=True)
        ]
        for i, g in zip(tape.places, clipped(optimizer, gradients), strict=True):
            decays = not terms[i][2] or getattr(optimizer, "decay_bias", False)
            w[i], states[i] = step(optimizer, w[i], g, states[i], t, decays=decays)
        for i, momentum, followed in tape.moving:
            w[i] = momentum * w[i] + (1 - momentum) * followed
    return w, losses


def clipped(optimizer: Any, gradients: list[Array]) -> list[Array]:
    """The gradients of all parameters within the optimizer's bounds."""
    if optimizer.clipvalue is not None:
        return [np.clip(g, -optimizer.clipvalue, optimizer.clipvalue) for g in gradients]
    norms = [float(np.sqrt(np.sum(g**2))) for g in gradients]
    if optimizer.clipnorm is not None:
        c = optimizer.clipnorm
        return [
            g if norm <= c else g * (c / norm) for g, norm in zip(gradients, norms, strict=True)
        ]
    if optimizer.global_clipnorm is not None:
        c, norm = optimizer.global_clipnorm, float(np.linalg.norm(norms))
        return [g * min(1.0, c / (norm + 1e-6)) for g in gradients]
    return gradients

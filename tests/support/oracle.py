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
FUSED = {"cross_entropy": "softmax", "binary_cross_entropy": "sigmoid"}


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
    if name == "silu":
        return z * sigmoid(z)
    if name == "softplus":
        return softplus(z)
    if name == "tanh":
        return np.tanh(z)
    if name == "sigmoid":
        return sigmoid(z)
    assert name == "softmax", name
    return softmax(z)


def slope(activation: Any, z: Array) -> Array:
    """f'(z) of every activation but softmax; that of relu at 0 is 0."""
    name, positive = activation.name, z > 0
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
    if name == "silu":
        return sigmoid(z) + z * sigmoid(z) * sigmoid(-z)
    if name == "softplus":
        return sigmoid(z)
    if name == "tanh":
        return 1 / np.cosh(np.clip(z, -300, 300)) ** 2
    assert name == "sigmoid", name
    return sigmoid(z) * sigmoid(-z)


def pull_activation(activation: Any, z: Array, d: Array) -> Array:
    """dL/dz from d = dL/df(z)."""
    if activation.name != "softmax":
        return d * slope(activation, z)
    a = softmax(z)
    return a * (d - (d * a).sum(axis=1, keepdims=True))


# ---- networks -----------------------------------------------------------------------------------


@dataclass
class Tape:
    """What a pass leaves: gradients in the order of the parameters, what they summed, fan-ins."""

    parameters: Iterator[Array]
    gradients: list[Array | None] = field(default_factory=list)
    magnitudes: list[Array | None] = field(default_factory=list)
    preactivations: list[tuple[str, Array]] = field(default_factory=list)
    layers_in: list[int] = field(default_factory=list)

    def take(self) -> tuple[int, Array]:
        self.gradients.append(None)
        self.magnitudes.append(None)
        return len(self.gradients) - 1, next(self.parameters)

    def put(self, place: int, gradient: Array, magnitude: Array) -> None:
        self.gradients[place], self.magnitudes[place] = gradient, magnitude


def run(
    layers: Any, parameters: list[Array], X: Array, *, loss: str | None = None
) -> tuple[Array, Pull, Tape]:
    """Output, chain rule and tape of `layers` (the `Input` first).

    With the name of a `loss` that is taken from logits, the output is the logits.
    """
    tape = Tape(iter(parameters))
    skipped = FUSED.get(loss) if loss else None
    out, pull = _chain(layers[1:], tape, X, skipped)
    assert next(tape.parameters, None) is None, "parameters are left"
    return out, pull, tape


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
    if kind in ("Dropout", "GaussianNoise"):  # outside of training
        return x, lambda d: d
    if kind == "Scale":
        factor = np.asarray(layer.scale)
        return x * factor + np.asarray(layer.offset), lambda d: d * factor
    assert kind == "Standardize", kind
    std = np.asarray(layer.std)
    return (x - np.asarray(layer.mean)) / std, lambda d: d / std


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
    """The mean loss; `out` is the logits for the cross-entropies.  Real or complex."""
    n, k = out.shape
    if loss.name == "cross_entropy":
        shift = np.real(out).max(axis=1, keepdims=True)
        total = np.log(np.exp(out - shift).sum(axis=1, keepdims=True)) + shift
        return (_rows(y, k) * (total - out)).sum() / n
    if loss.name == "binary_cross_entropy":
        positive = np.real(out) > 0
        small = np.log1p(np.exp(np.where(positive, -out, out)))
        return (small + np.where(positive, (1 - y) * out, -y * out)).sum() / (n * k)
    e = out - y
    size = np.where(np.real(e) > 0, e, -e)
    if loss.name == "mse":
        return (e * e).sum() / (n * k)
    if loss.name == "half_sse":
        return (e * e).sum() / (2 * n)
    if loss.name == "mae":
        return size.sum() / (n * k)
    assert loss.name == "huber", loss.name
    straight = loss.delta * (size - loss.delta / 2)
    return np.where(np.real(size) <= loss.delta, e * e / 2, straight).sum() / (n * k)


def loss_slope(loss: Any, out: Array, y: Array) -> Array:
    """dL/dout; by the logits for the cross-entropies."""
    n, k = out.shape
    if loss.name == "cross_entropy":
        p = _rows(y, k)
        return (softmax(out) * p.sum(axis=1, keepdims=True) - p) / n
    if loss.name == "binary_cross_entropy":
        return (sigmoid(out) - y) / (n * k)
    e = out - y
    if loss.name == "mse":
        return 2 * e / (n * k)
    if loss.name == "half_sse":
        return e / n
    if loss.name == "mae":
        return np.sign(e) / (n * k)
    assert loss.name == "huber", loss.name
    return np.where(np.abs(e) <= loss.delta, e, loss.delta * np.sign(e)) / (n * k)


def _rows(y: Array, k: int) -> Array:
    return np.eye(k)[y] if y.ndim == 1 else y


def gradient(
    layers: Any, loss: Any, parameters: list[Array], X: Array, y: Array
) -> tuple[float, Array, Tape]:
    """Mean loss, dL/dX, and the tape with the gradients of the parameters."""
    out, pull, tape = run(layers, parameters, X, loss=loss.name)
    dX = pull(loss_slope(loss, out, y))
    return float(loss_value(loss, out, y)), dX, tape


# ---- optimizers ---------------------------------------------------------------------------------


def penalised(g: Array, w: Array, l1: float, l2: float) -> Array:
    return g + l2 * w + l1 * np.sign(w)


def step(
    optimizer: Any, w: Array, g: Array, state: list[Array], t: int, *, decays: bool = True
) -> tuple[Array, list[Array]]:
    """(w, state) after step t = 1, 2, ...; g with penalties, state [], [momentum] or [m, v]."""
    rate, kind = optimizer.learning_rate, type(optimizer).__name__
    if kind == "SGD":
        if not optimizer.momentum:
            return w - rate * g, state
        if optimizer.scaled_momentum:
            b = optimizer.momentum * state[0] + rate * g
            return w - (rate * g + optimizer.momentum * b if optimizer.nesterov else b), [b]
        b = optimizer.momentum * state[0] + g
        return w - rate * (g + optimizer.momentum * b if optimizer.nesterov else b), [b]
    m = optimizer.beta1 * state[0] + (1 - optimizer.beta1) * g
    v = optimizer.beta2 * state[1] + (1 - optimizer.beta2) * g**2
    m_hat, v_hat = m / (1 - optimizer.beta1**t), v / (1 - optimizer.beta2**t)
    if kind == "AdamW" and decays:
        w = w - rate * optimizer.weight_decay * w
    if optimizer.epsilon_hat:
        rate *= np.sqrt(1 - optimizer.beta2**t) / (1 - optimizer.beta1**t)
        return w - rate * m / (np.sqrt(v) + optimizer.epsilon), [m, v]
    return w - rate * m_hat / (np.sqrt(v_hat) + optimizer.epsilon), [m, v]


def penalties(layers: Any) -> list[tuple[float, float, bool]]:
    """(l1, l2, is a bias) of every parameter, in their order, projections included."""
    found: list[tuple[float, float, bool]] = []
    _penalties(layers[1:], layers[0].units, found)
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
            penalised(np.asarray(tape.gradients[i]), w[i], l1, l2)
            for i, (l1, l2, _) in enumerate(terms)
        ]
        for i, g in enumerate(clipped(optimizer, gradients)):
            decays = not terms[i][2] or getattr(optimizer, "decay_bias", False)
            w[i], states[i] = step(optimizer, w[i], g, states[i], t, decays=decays)
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

"""The kernels of the NumPy backend, found by name as those of src/kernel are.

The formulas are those of the compiled kernels (fastbp/formula), called with arrays; what needs
whole rows is written here once more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from fastbp.check.array import Array
from fastbp.formula import activation, loss, optimizer

Forward = Callable[[Array], Array]
Backward = Callable[[Array, Array, Array], Array]  # of d, kept slope, a
LossRows = Callable[[Array, Array, float, Array, Array | None], float]
Scalars = Callable[..., Sequence[float]]
Step = Callable[..., None]
# The sum over rows and outputs of a metric of (outputs, targets, weights), and what it is divided
# by beside the rows.
MetricSum = tuple[Callable[[Array, Array, Array | None], float], int]

METRICS = ("accuracy", "mae", "mse")


def find_activation(name: str, alpha: float, dtype: Any) -> tuple[Forward, Forward, Backward]:
    """f, its slope from z where a step keeps that, and d times its slope from d, what is kept and
    the output.

    Raises ValueError for an unknown name.
    """
    if name == "softmax":
        return softmax, softmax, softmax_backward
    formula = _formula(activation, name)
    slope: Any = getattr(activation, f"{name}_slope", None)
    back: Any = getattr(activation, f"{name}_backward", None)
    takes_a = back is not None and "a" in _arguments(back)
    own = (np.dtype(dtype).type(alpha),) if "alpha" in _arguments(formula) else ()

    def forward(z: Array) -> Array:
        return formula(z, *own)

    def kept(z: Array) -> Array:
        return slope(z, *own)

    def backward(d: Array, kept: Array, a: Array) -> Array:
        if back is None:
            return d * kept
        return back(d, a, *own) if takes_a else back(d, *own)

    return forward, kept, backward


def find_loss(name: str, parameters: Sequence[float], dtype: Any) -> LossRows:
    """The sum of the loss over rows and outputs; d (OUT) = scale * its derivative by `out` (by the
    logits for cross-entropies). A weight (rows, outputs) multiplies both; 0 leaves an element out
    whatever its loss is.

    Raises ValueError for an unknown name.
    """
    if name == "cross_entropy":
        return cross_entropy
    formula = _formula(loss, name)
    real = np.dtype(dtype).type
    own = [real(value) for value in parameters]

    def loss_rows(
        out: Array, y: Array, scale: float, d: Array, weight: Array | None = None
    ) -> float:
        value, slope = formula(out, y, *own)
        if weight is not None:
            value, slope = _weighted(value, weight), _weighted(slope, weight)
        d[...] = real(scale) * slope
        return float(value.sum())

    return loss_rows


def find_step(name: str) -> tuple[Scalars, Step]:
    """The scalars of a step, from the numbers of an optimizer and its running powers, and the step
    of some parameters, in place.

    Raises ValueError for an unknown name.
    """
    formula = _formula(optimizer, name)
    scalars = getattr(optimizer, f"{name}_scalars", lambda *numbers: numbers)
    names = _arguments(formula)
    decay = names.index("decay") - len(names) if "decay" in names else None

    def step(
        own: list[Any], w: Array, g: Array, state: Array, l1: float, l2: float, decays: bool
    ) -> None:
        real = w.dtype.type
        if l1 or l2:
            g = g + real(l2) * w + real(l1) * np.sign(w)
        if decay is not None and not decays:
            own = [*own]
            own[decay] = real(0)
        found = formula(w, g, *state, *own)
        w[:], *slots = found if isinstance(found, tuple) else (found,)
        for slot, value in zip(state, slots, strict=True):
            slot[:] = value

    return scalars, step


def find_metric(name: str, link: str, n_outputs: int) -> MetricSum:
    """The metric of what a loss with such a link is given.

    Raises ValueError for an unknown name.
    """
    if name not in METRICS or (name == "accuracy" and link == "identity"):
        raise ValueError(f"unknown metric {name!r}; known: {', '.join(METRICS)}")
    by_class = name == "accuracy" and link == "softmax"

    def sum_of(out: Array, y: Array, weight: Array | None) -> float:
        response = response_of(link)(out)
        if by_class:
            expected = y if y.ndim == 1 else y.argmax(axis=1)
            value = (response.argmax(axis=1) == expected).astype(float)
            weight = None if weight is None else weight[:, 0]
        elif name == "accuracy":
            value = ((response >= 0.5) == (y >= 0.5)).astype(float)
        else:
            target = y if y.ndim == 2 else np.arange(n_outputs) == y[:, np.newaxis]
            error = response.astype(float) - target
            value = np.abs(error) if name == "mae" else np.square(error)
        return float((value if weight is None else _weighted(value, weight)).sum())

    return sum_of, 1 if by_class else n_outputs


def formula_names() -> dict[str, tuple[str, ...]]:
    """The names that kernels are found by."""
    return {
        "activation": (*_names(activation, ("_backward", "_slope")), "softmax"),
        "loss": (*_names(loss), "cross_entropy"),
        "optimizer": _names(optimizer, ("_scalars",)),
    }


def _names(module: ModuleType, helpers: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The formulas of a module, without those whose name ends with one of `helpers`."""
    own = [name for name, value in vars(module).items() if _is_formula(module, value)]
    return tuple(name for name in own if not name.endswith(helpers))


def _is_formula(module: ModuleType, value: object) -> bool:
    return callable(value) and getattr(value, "__module__", None) == module.__name__


def _formula(module: ModuleType, name: str) -> Callable[..., Any]:
    found = getattr(module, name, None)
    if not _is_formula(module, found):
        kind = module.__name__.rpartition(".")[2]
        raise ValueError(f"unknown {kind} {name!r}; known: {', '.join(formula_names()[kind])}")
    assert callable(found)
    return found


def _arguments(function: Callable[..., Any]) -> tuple[str, ...]:
    code = function.__code__
    return code.co_varnames[: code.co_argcount]


# ---- whole rows ---------------------------------------------------------------------------------


def softmax(z: Array) -> Array:
    """exp(z) / sum exp(z) along the rows"""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_backward(d: Array, kept: Array, a: Array) -> Array:
    return a * (d - (d * a).sum(axis=1, keepdims=True))


def cross_entropy(z: Array, y: Array, scale: float, d: Array, weight: Array | None = None) -> float:
    """For class indices (n,) or rows of probabilities (n, k); a weight is that of a row."""
    s = z.dtype.type(scale)
    shift = z.max(axis=1, keepdims=True)
    e = np.exp(z - shift)
    total = e.sum(axis=1, keepdims=True)
    if y.ndim == 1:
        rows = np.arange(len(y))
        d[...] = e * (s / total)
        d[rows, y] -= s
        terms = (shift[:, 0] - z[rows, y]).astype(float) + np.log(total[:, 0])
    else:
        d[...] = s * (e / total * y.sum(axis=1, keepdims=True) - y)
        terms = np.where(y != 0, y * ((shift - z) + np.log(total)), 0)
    if weight is not None:
        d[...] = _weighted(d, weight)
        terms = _weighted(terms, weight[:, 0] if y.ndim == 1 else weight)
    return float(terms.sum())


def _weighted(values: Array, weight: Array) -> Array:
    """The product, 0 where the weight is 0."""
    return np.where(weight != 0, values * weight, values.dtype.type(0))


def response_of(link: str) -> Callable[[Array], Array]:
    """What turns outputs into the response that a loss with such a link is about."""
    known: dict[str, Callable[[Array], Array]] = {
        "identity": lambda out: out, "logit": activation.sigmoid, "softmax": softmax,
    }  # fmt: skip
    return known[link]

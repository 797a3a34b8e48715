"""The kernels of the NumPy backend, found by name as those of src/kernel are.

The formulas are those of the compiled kernels (fastbp/formula), called with arrays; what needs
whole rows is written here once more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from fastbp.activation import OF_ROWS
from fastbp.backend.numpy.row_loss import class_loss, cosine, cross_entropy, softmax, weighted
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
ROW_LOSSES: dict[str, Callable[..., float]] = {
    "cross_entropy": cross_entropy, "class_loss": class_loss, "cosine": cosine,
}  # fmt: skip


def find_activation(name: str, alpha: float, dtype: Any) -> tuple[Forward, Forward, Backward]:
    """f, its slope from z where a step keeps that, and d times its slope from d, what is kept and
    the output.

    Raises ValueError for an unknown name.
    """
    if name == "softmax":
        return softmax, softmax, softmax_backward
    if name == "log_softmax":
        return log_softmax, log_softmax, log_softmax_backward
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


def find_loss(own: Any, n_outputs: int, dtype: Any) -> LossRows:
    """The sum of the loss `own` over rows and outputs; d (OUT) = scale * its derivative by `out`
    (by the logits for cross-entropies). A weight (rows, targets) multiplies both; 0 leaves an
    element out whatever its loss is.

    Raises ValueError for an unknown name.
    """
    if own.formula in ROW_LOSSES:
        return partial(ROW_LOSSES[own.formula], *own.parameters)
    formula = _formula(loss, own.formula)
    real = np.dtype(dtype).type
    numbers = [real(value) for value in own.parameters]
    columns = np.array(own.columns(n_outputs), dtype)
    numbers += [columns] if len(columns) else []
    n_targets = own.n_targets(n_outputs)

    def loss_rows(
        out: Array, y: Array, scale: float, d: Array, weight: Array | None = None
    ) -> float:
        times = n_outputs // n_targets
        by_output = weight if weight is None or times == 1 else np.tile(weight, times)
        if own.name == "gaussian_nll":
            value, *slopes = formula(out[:, :n_targets], y, out[:, n_targets:])
            slope, by_value = np.concatenate(slopes, axis=1), weight
        else:
            value, slope = formula(out, y if times == 1 else np.tile(y, times), *numbers)
            by_value = by_output
        if by_value is not None and by_output is not None:
            value, slope = weighted(value, by_value), weighted(slope, by_output)
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
        return float((value if weight is None else weighted(value, weight)).sum())

    return sum_of, 1 if by_class else n_outputs


def formula_names() -> dict[str, tuple[str, ...]]:
    """The names that kernels are found by."""
    return {
        "activation": (*_names(activation, ("_backward", "_slope")), *OF_ROWS),
        "loss": (*_names(loss), *ROW_LOSSES),
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


def softmax_backward(d: Array, kept: Array, a: Array) -> Array:
    return a * (d - (d * a).sum(axis=1, keepdims=True))


def log_softmax(z: Array) -> Array:
    """z - log(sum exp(z)) along the rows"""
    shifted = z - z.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def log_softmax_backward(d: Array, kept: Array, a: Array) -> Array:
    return d - np.exp(a) * d.sum(axis=1, keepdims=True)


def response_of(link: str) -> Callable[[Array], Array]:
    """What turns outputs into the response that a loss with such a link is about."""
    known: dict[str, Callable[[Array], Array]] = {
        "identity": lambda out: out, "log": np.exp, "logit": activation.sigmoid, "softmax": softmax,
    }  # fmt: skip
    return known[link]

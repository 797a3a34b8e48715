"""Dual numbers: arrays that carry their derivative along one direction.

a + b e with e^2 = 0: f(a + b e) = f(a) + f'(a) b e, exact to rounding.  What is written for arrays,
as the formulas and the operations of a plan, computes derivatives when it is given these; what has
no rule here raises TypeError.  Conditions look at the value: at a kink the derivative is that of
the side which the condition takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastbp.check.array import Array
from fastbp.formula.number import real_erfc


class Dual(np.lib.mixins.NDArrayOperatorsMixin):
    """An array and its tangent, of one shape; what is taken from it by `[]`, `T` and `reshape`
    shares their memory where NumPy's would.
    """

    __slots__ = ("tangent", "value")

    def __init__(self, value: Any, tangent: Any) -> None:
        self.value, self.tangent = value, tangent

    @classmethod
    def zeros(cls, size: int) -> Dual:
        """In float64."""
        return cls(np.zeros(size), np.zeros(size))

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, out: tuple[Dual] | None = None, **options: Any
    ) -> Any:
        if ufunc is np.add and method == "at":
            to, place, terms = inputs
            np.add.at(to.value, place, _value(terms))
            return np.add.at(to.tangent, place, _tangent(terms))
        values = [_value(x) for x in inputs]
        if method != "__call__" or options or (ufunc not in _RULES and ufunc not in _CONDITIONS):
            return NotImplemented
        if ufunc in _CONDITIONS:
            return ufunc(*values)
        value = ufunc(*values)
        found = Dual(value, _RULES[ufunc](value, *inputs))
        if out is None:
            return found
        out[0][...] = found
        return out[0]

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function is np.where and len(args) == 3:
            condition, x, y = args
            value = np.where(condition, _value(x), _value(y))
            return Dual(value, np.where(condition, _tangent(x), _tangent(y)))
        if function is np.concatenate:
            value = np.concatenate([_value(x) for x in args[0]], **options)
            return Dual(value, np.concatenate([_tangent(x) for x in args[0]], **options))
        return NotImplemented

    # as of an array

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    @property
    def ndim(self) -> int:
        return int(self.value.ndim)

    @property
    def dtype(self) -> Any:
        return self.value.dtype

    @property
    def T(self) -> Dual:
        return Dual(self.value.T, self.tangent.T)

    def __len__(self) -> int:
        return len(self.value)

    def __float__(self) -> float:
        return float(self.value)

    def __getitem__(self, place: Any) -> Dual:
        return Dual(self.value[place], self.tangent[place])

    def __setitem__(self, place: Any, x: Any) -> None:
        self.value[place], self.tangent[place] = _value(x), _tangent(x)

    def reshape(self, *shape: int) -> Dual:
        return Dual(self.value.reshape(*shape), self.tangent.reshape(*shape))

    def copy(self) -> Dual:
        return Dual(self.value.copy(), self.tangent.copy())

    def astype(self, dtype: Any) -> Dual:
        return Dual(self.value.astype(dtype), self.tangent.astype(dtype))

    def sum(self, **options: Any) -> Dual:
        return Dual(self.value.sum(**options), self.tangent.sum(**options))

    def mean(self, **options: Any) -> Dual:
        return Dual(self.value.mean(**options), self.tangent.mean(**options))

    def argmax(self, **options: Any) -> Array:
        return np.asarray(self.value.argmax(**options))

    def max(self, *, axis: int, keepdims: bool) -> Dual:
        place = self.value.argmax(axis=axis, keepdims=True)
        parts = (np.take_along_axis(x, place, axis) for x in (self.value, self.tangent))
        found = Dual(*parts)
        return found if keepdims else found[(slice(None),) * (axis % self.ndim) + (0,)]


def _value(x: Any) -> Any:
    return x.value if isinstance(x, Dual) else x


def _tangent(x: Any) -> Any:
    """Of a plain array zeros."""
    return x.tangent if isinstance(x, Dual) else np.zeros(np.shape(x))


def _slope(of: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """The rule of f(x), from f'(x) as a function of x and f(x)."""
    return lambda found, x: of(x.value, found) * x.tangent


def _product(multiply: Any) -> Callable[..., Any]:
    def rule(found: Any, x: Any, y: Any) -> Any:
        if not isinstance(x, Dual):
            return multiply(x, y.tangent)
        if not isinstance(y, Dual):
            return multiply(x.tangent, y)
        return multiply(x.tangent, y.value) + multiply(x.value, y.tangent)

    return rule


def _quotient(found: Any, x: Any, y: Any) -> Any:
    if not isinstance(y, Dual):
        return x.tangent / y
    return (_tangent(x) - found * y.tangent) / y.value


def _choice(takes_first: Any) -> Callable[..., Any]:
    return lambda found, x, y: np.where(takes_first(_value(x), _value(y)), _tangent(x), _tangent(y))


_CONDITIONS = {
    np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal,
}  # fmt: skip
# From what a function gives and what it was given, Dual or not, to the tangent of the former.
_RULES: dict[Any, Callable[..., Any]] = {
    np.add: lambda found, x, y: _tangent(x) + _tangent(y),
    np.subtract: lambda found, x, y: _tangent(x) - _tangent(y),
    np.multiply: _product(np.multiply),
    np.matmul: _product(np.matmul),
    np.divide: _quotient,
    np.maximum: _choice(np.greater),
    np.minimum: _choice(np.less),
    np.negative: lambda found, x: -x.tangent,
    np.absolute: _slope(lambda x, found: np.sign(x)),
    np.sign: _slope(lambda x, found: np.zeros_like(x)),
    np.sqrt: _slope(lambda x, found: 0.5 / found),
    np.exp: _slope(lambda x, found: found),
    np.expm1: _slope(lambda x, found: found + 1),
    np.log: _slope(lambda x, found: 1 / x),
    np.log1p: _slope(lambda x, found: 1 / (1 + x)),
    np.tanh: _slope(lambda x, found: 1 - found * found),
    real_erfc: _slope(lambda x, found: -2 / math.sqrt(math.pi) * np.exp(-x * x)),
}

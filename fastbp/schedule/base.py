"""What every schedule is: a learning rate for each optimizer step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.check.message import shown
from fastbp.check.scalar import as_index, check_bool, check_real

_BLOCK = 4096  # steps at a time, which stay in a cache


class Schedule:
    """A learning rate for each optimizer step, counted from 0 over all calls that train.

    One of your own needs `values` alone.  It travels with `copy` and `pickle`; a file keeps its
    name, and a network that is loaded from there asks for another before it trains.

    >>> import numpy as np, fastbp as fb
    >>> class Triangle(fb.Schedule):
    ...     def values(self, steps):
    ...         return 1e-3 * np.abs(np.asarray(steps) % 200 - 100) / 100
    >>> fb.Adam(Triangle()).learning_rate(50)
    0.0005
    """

    per: str = "step"  # or "epoch": values of the first step of an epoch hold throughout

    def values(self, steps: ArrayLike) -> NDArray[np.float64]:
        """The learning rates of steps >= 0, as many as there are steps, float64."""
        raise NotImplementedError(f"{type(self).__name__} has no values")

    def __call__(self, step: int) -> float:
        """The learning rate of one step >= 0."""
        return float(np.asarray(self.values(np.array([step], np.int64)))[0])

    @property
    def initial(self) -> float:
        """The learning rate of step 0, or NaN where code of a user's would have to be asked."""
        return float("nan")

    @property
    def length(self) -> float | None:
        """After how many steps it has come to its end; None where it has none."""
        return None

    def stretched(self, total_steps: float) -> Schedule:
        """The same course over `total_steps` steps, counted from step 0, a warm-up in proportion;
        itself where it has no `length`.

        For a training of a length that nobody knows when it begins, as one of so many seconds:
        stretch the schedule to the steps that will have been taken by then, those of earlier calls
        among them, and do it again as the estimate gets better.  Where it stands follows from
        steps / total_steps alone, so that a small correction is a small change of the rate, and
        stretching twice is stretching to the second length.

        Raises TypeError, ValueError where `total_steps` is no finite number > 0.
        """
        total_steps = check_real(total_steps, name="total_steps", minimum=0, exclude_minimum=True)
        return self if self.length is None else self._scaled(total_steps / self.length)

    def _scaled(self, factor: float) -> Schedule:
        raise NotImplementedError(f"{type(self).__name__} has a length and no _scaled")

    def to_config(self) -> dict[str, Any]:
        """Name and numbers as JSON can hold them; of a schedule of a user's own the name alone."""
        return {
            "name": "callable",
            "function": type(self).__name__,
            "per": "epoch" if self.per == "epoch" else "step",
        }


class Formula(Schedule):
    """A frozen dataclass of numbers; a new one is listed in `SCHEDULES`."""

    name: ClassVar[str]
    steps: ClassVar[Sequence[str]] = ()  # fields in steps, which stretch with the length

    def values(self, steps: ArrayLike) -> NDArray[np.float64]:
        """The learning rates of steps >= 0, as many as there are steps, float64.

        A step has the same bits alone and among any others.
        """
        given = np.asarray(steps, np.float64)
        flat, found = given.ravel(), np.empty(given.size)
        with np.errstate(all="ignore"):  # whoever trains by them looks whether they are finite
            for i in range(0, len(flat), _BLOCK):
                found[i : i + _BLOCK] = self._values(flat[i : i + _BLOCK])
        return found.reshape(given.shape)

    def _values(self, step: NDArray[np.float64]) -> NDArray[np.float64]:
        raise NotImplementedError

    @property
    def initial(self) -> float:
        """The learning rate of step 0."""
        return self(0)

    def _scaled(self, factor: float) -> Self:
        held = {name: getattr(self, name) * factor for name in self.steps}
        return replace(self, **held)  # type: ignore[type-var]

    def arguments(self) -> dict[str, Any]:
        """What the class is called with for another of the same."""
        return {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]

    def to_config(self) -> dict[str, Any]:
        """Name and numbers as JSON can hold them."""
        return {"name": self.name} | {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self.arguments().items()
        }

    def __repr__(self) -> str:
        """What differs from the defaults."""
        known = {one.name: one.default for one in fields(self)}  # type: ignore[arg-type]
        said = [
            f"{name}={list(value) if isinstance(value, tuple) else value!r}"
            for name, value in self.arguments().items()
            if known.get(name, MISSING) is MISSING or value != known[name]
        ]
        return f"{type(self).__name__}({', '.join(said)})"

    def _set_real(self, name: str, **limits: Any) -> None:
        object.__setattr__(self, name, check_real(getattr(self, name), name=name, **limits))

    def _set_rate(self, *names: str) -> None:
        for name in names:
            self._set_real(name, minimum=0)

    def _set_steps(self, name: str, **limits: Any) -> None:
        object.__setattr__(self, name, step_count(getattr(self, name), name=name, **limits))

    def _set_bool(self, name: str) -> None:
        object.__setattr__(self, name, check_bool(getattr(self, name), name=name))


# ---- checks -------------------------------------------------------------------------------------


def step_count(value: object, *, name: str, may_be_zero: bool = False) -> float:
    """A number of steps: an integer stays one, a part of a step is a number too."""
    number = check_real(value, name=name, minimum=0, exclude_minimum=not may_be_zero)
    whole = as_index(value)
    return number if whole is None else whole


def increasing_steps(values: object, *, name: str) -> tuple[float, ...]:
    """Numbers of steps, each larger than the one before.

    Raises TypeError, ValueError with the first that is not.
    """
    found: list[float] = []
    for i, value in enumerate(as_list(values, name=name)):
        found.append(step_count(value, name=f"{name}[{i}]", may_be_zero=True))
        if i and found[i] <= found[i - 1]:
            raise ValueError(
                f"{name} must increase, got {name}[{i}] = {shown(found[i])} "
                f"after {shown(found[i - 1])}"
            )
    return tuple(found)


def as_list(values: object, *, name: str) -> list[Any]:
    """Of a list, a tuple or an array of one dimension.

    Raises TypeError for anything else.
    """
    if isinstance(values, np.ndarray) and values.ndim == 1:
        values = values.tolist()
    if not isinstance(values, list | tuple):
        raise TypeError(f"{name} must be a list of numbers, got {shown(values)}")
    return list(values)

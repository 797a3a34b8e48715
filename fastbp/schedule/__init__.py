"""Learning rates that change from step to step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from fastbp.check.message import shown
from fastbp.check.scalar import check_real
from fastbp.error import ModelFormatError
from fastbp.schedule.base import Formula, Schedule
from fastbp.schedule.cosine import CosineDecay, CosineDecayRestarts, OneCycle
from fastbp.schedule.decay import (
    ExponentialDecay,
    InverseSquareRoot,
    InverseTimeDecay,
    PolynomialDecay,
)
from fastbp.schedule.function import CallableSchedule, LostFunction
from fastbp.schedule.piecewise import (
    ConstantSchedule,
    MultiStepDecay,
    PiecewiseConstantDecay,
    StepDecay,
)

__all__ = [
    "SCHEDULES", "CallableSchedule", "ConstantSchedule", "CosineDecay", "CosineDecayRestarts",
    "ExponentialDecay", "InverseSquareRoot", "InverseTimeDecay", "LearningRate", "MultiStepDecay",
    "OneCycle", "PiecewiseConstantDecay", "PolynomialDecay", "Schedule", "StepDecay",
    "resolve_learning_rate", "schedule_from_config",
]  # fmt: skip

# What is given; an optimizer keeps a number or a schedule.
LearningRate = float | Schedule | Callable[[int], float]

SCHEDULES: dict[str, type[Formula]] = {
    kind.name: kind
    for kind in (
        ConstantSchedule, PiecewiseConstantDecay, StepDecay, MultiStepDecay, ExponentialDecay,
        InverseTimeDecay, PolynomialDecay, InverseSquareRoot, CosineDecay, CosineDecayRestarts,
        OneCycle,
    )
}  # fmt: skip


def resolve_learning_rate(value: Any) -> float | Schedule:
    """A number, a schedule, or the schedule that a function of the step stands for.

    Raises:
        TypeError: none of them.
        ValueError: a number that is not finite or < 0.

    >>> resolve_learning_rate(CosineDecay(0.1, 100))
    CosineDecay(initial_learning_rate=0.1, decay_steps=100)
    """
    if isinstance(value, Schedule):
        return value
    if isinstance(value, type):
        call = f": write fb.{value.__name__}(...)" if issubclass(value, Schedule) else ""
        raise TypeError(f"{_EXPECTED}, got the class {value.__name__}{call}")
    if callable(value):
        return CallableSchedule(value)
    try:
        return check_real(value, name="learning_rate", minimum=0)
    except TypeError:
        raise TypeError(f"{_EXPECTED}, got {shown(value)}") from None


_EXPECTED = "learning_rate must be a number, finite and >= 0, a Schedule or a function of the step"


def schedule_from_config(config: object) -> Schedule:
    """What `to_config` described; a function is lost, and says so when it is asked.

    Raises:
        ModelFormatError: not such a description.

    >>> schedule_from_config(StepDecay(0.1, 100).to_config())
    StepDecay(initial_learning_rate=0.1, step_size=100)
    """
    if not isinstance(config, Mapping):
        raise ModelFormatError(f"a schedule must be an object, got {shown(config)}")
    values = dict(config)
    name = values.pop("name", None)
    kind: Any = CallableSchedule if name == "callable" else None
    if isinstance(name, str) and name in SCHEDULES:
        kind = SCHEDULES[name]
    if kind is None:
        known = ", ".join([*SCHEDULES, "callable"])
        raise ModelFormatError(f"unknown schedule {shown(name)}; known: {known}")
    expected = list(signature(kind).parameters)
    if values.keys() != set(expected):
        got = ", ".join(map(str, values)) or "nothing"
        raise ModelFormatError(f"schedule '{name}' must have {', '.join(expected)}, got {got}")
    if kind is CallableSchedule:
        if not isinstance(values["function"], str):
            got = shown(values["function"])
            raise ModelFormatError(f"schedule 'callable': function must be a name, got {got}")
        values["function"] = LostFunction(values["function"])
    try:
        schedule: Schedule = kind(**values)
        return schedule
    except (TypeError, ValueError) as error:
        raise ModelFormatError(f"schedule '{name}': {error}") from None

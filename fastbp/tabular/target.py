"""The column to predict: classes, or standardised numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastbp.check.message import shown
from fastbp.tabular import frame
from fastbp.tabular.column import check_moments, moments
from fastbp.tabular.frame import Cells
from fastbp.tabular.recognition import check_numbers, sorted_names

Task = Literal["classification", "regression"]
TASKS = ("auto", "classification", "regression")

# Up to this many different whole numbers are taken for the numbers of classes.
MAX_INTEGER_CLASSES = 20
MAX_CLASSES = 1000


@dataclass(frozen=True)
class ClassTarget:
    """A column of classes; the network gives one probability for each.  Classes are text, or ints
    or bools where the column is of these.
    """

    name: str
    classes: tuple[str | int | bool, ...]
    task: ClassVar[Task] = "classification"

    @property
    def n_outputs(self) -> int:
        return len(self.classes)

    def encode(self, cells: Cells) -> NDArray[np.int64]:
        """Class numbers, (n,).  Raises ValueError of a cell that is missing or no class."""
        codes, distinct = frame.factorize(cells)
        place = {str(name): i for i, name in enumerate(self.classes)}
        places = np.array([place.get(frame.text_of(cell), -1) for cell in distinct], np.int64)
        found = np.append(places, -1)[codes]
        if (found < 0).any():
            raise ValueError(
                f"target {self.name!r}: {frame.first_cell(found < 0, cells)}, which "
                f"training did not see; known: {frame.listed(self.classes)}"
            )
        return found

    def decode(self, probabilities: NDArray[Any]) -> NDArray[Any]:
        """The most probable class of each row."""
        return self.labels[probabilities.argmax(axis=1)]

    @property
    def labels(self) -> NDArray[Any]:
        """The classes as an array: of ints, bools or objects."""
        kinds = {type(name) for name in self.classes}
        return np.array(self.classes, dtype=object if str in kinds else None)


@dataclass(frozen=True)
class NumberTarget:
    """A column of numbers; the network learns (y - mean) / scale."""

    name: str
    mean: float
    scale: float
    decimal: str = "."
    task: ClassVar[Task] = "regression"
    n_outputs: ClassVar[int] = 1

    def numbers(self, cells: Cells) -> NDArray[np.float64]:
        """The values in the column's own unit, (n,).  Raises ValueError of what is none."""
        values, unfit = frame.to_numbers(cells, self.decimal)
        unfit |= np.isnan(values)
        if unfit.any():
            raise ValueError(
                f"target {self.name!r}: {frame.first_cell(unfit, cells)}, expected a finite number"
            )
        return values

    def encode(self, cells: Cells) -> NDArray[np.float64]:
        """Standardised values, (n,)."""
        return (self.numbers(cells) - self.mean) / self.scale

    def decode(self, output: NDArray[Any]) -> NDArray[np.float64]:
        """Outputs of the network, (n, 1), in the column's own unit, (n,)."""
        return output[:, 0].astype(np.float64) * self.scale + self.mean


Target: TypeAlias = ClassTarget | NumberTarget


def fit_target(
    cells: Cells,
    *,
    task: str = "auto",
    rows: NDArray[np.int64] | None = None,
    decimal: str = ".",
) -> Target:
    """Describe the column to predict, which has no missing cells.

    With task "auto", names and up to 20 different whole numbers make a classification, provided
    that each occurs twice on average; other numbers make a regression.  Mean and scale come from
    `rows` (all where None).

    Raises:
        ValueError: the column is constant, has too many classes, or is not numeric in a regression.
    """
    name = str(cells.name)
    if task not in TASKS:
        raise ValueError(f"unknown task {shown(task)}; known: {', '.join(TASKS)}")
    if not len(cells):
        raise ValueError(f"target {name!r} has no value in any row")
    values, unfit = frame.to_numbers(cells, decimal)
    if task == "auto":
        task = _guess_task(cells, values, bool(unfit.any()), decimal)
    if task == "classification":
        classes = _classes(cells)
        if len(classes) < 2:
            raise ValueError(f"target {name!r} is constant: every row has {classes[0]!r}")
        if len(classes) > MAX_CLASSES or len(classes) > max(10, len(cells) / 2):
            raise ValueError(
                f"target {name!r} has {len(classes)} different values in {len(cells)} rows, "
                f"as {classes[0]!r}: too many for classes"
            )
        return ClassTarget(name, classes)
    if unfit.any():
        raise ValueError(
            f"target {name!r}: {frame.first_cell(unfit, cells)}, expected a finite number"
        )
    found = moments(values if rows is None else values[rows])
    if found is None:
        raise ValueError(f"target {name!r} is constant")
    return NumberTarget(name, *found, decimal)


def _classes(cells: Cells) -> tuple[str | int | bool, ...]:
    """In order of value where all are numbers, else alphabetically."""
    names = sorted_names(list({frame.text_of(cell) for cell in frame.factorize(cells)[1]}))
    if frame.is_boolean_type(cells):
        return tuple(name == "True" for name in names)
    if all(name.lstrip("-").isdecimal() and str(int(name)) == name for name in names):
        return tuple(map(int, names))
    return names


def target_to_config(target: Target) -> dict[str, Any]:
    """A dict for JSON, from which `target_from_config` makes an equal object."""
    return {"task": target.task, **asdict(target)}


def target_from_config(config: Mapping[str, Any]) -> Target:
    """Inverse of `target_to_config`.  Raises ValueError where the dict is not one of its."""
    try:
        name = config["name"]
        if not isinstance(name, str):
            raise TypeError("name")
        if config["task"] != "classification":
            mean, scale = config["mean"], config["scale"]
            check_moments(name, mean, scale)
            decimal = config.get("decimal", ".")
            if decimal not in (".", ","):
                raise ValueError("decimal")
            return NumberTarget(name, mean, scale, decimal)
        classes = tuple(config["classes"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"not a description of a target: {error!r}") from error
    kinds = {type(one) for one in classes}
    if kinds not in ({str}, {int}, {bool}) or len(set(classes)) != len(classes) or len(classes) < 2:
        raise ValueError("not a description of a target: classes")
    return ClassTarget(name, classes)


def _guess_task(cells: Cells, values: NDArray[np.float64], is_other: bool, decimal: str) -> Task:
    if (is_other and not frame.is_number_type(cells)) or cells.dtype.name == "category":
        if frame.is_text(cells):
            check_numbers(cells, decimal)
        return "classification"
    distinct = np.unique(values)
    whole = np.isfinite(distinct).all() and (distinct == np.round(distinct)).all()
    few = len(distinct) <= min(MAX_INTEGER_CLASSES, len(values) / 2)
    return "classification" if whole and few else "regression"

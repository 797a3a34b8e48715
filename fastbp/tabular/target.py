"""The column to predict: numbers of classes, or standardised values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.tabular import table

Task = Literal["classification", "regression"]

# Up to this many different whole numbers are taken for the numbers of classes.
MAX_INTEGER_CLASSES = 20


@dataclass(frozen=True)
class ClassTarget:
    """A column of class names; the network gives one probability for each."""

    name: str
    classes: tuple[str, ...]
    task: ClassVar[Task] = "classification"

    @property
    def n_outputs(self) -> int:
        return len(self.classes)

    def encode(self, cells: ArrayLike) -> NDArray[np.int64]:
        """Class numbers, shape (n,)."""
        return table.encode_categories(self.name, cells, self.classes)

    def decode(self, probabilities: NDArray[Any]) -> list[str]:
        """The most probable class of each row."""
        return [self.classes[code] for code in probabilities.argmax(axis=1)]


@dataclass(frozen=True)
class NumberTarget(table.NumericColumn):
    """A column of numbers; the network learns (y - mean) / scale."""

    task: ClassVar[Task] = "regression"
    n_outputs: ClassVar[int] = 1

    def decode(self, output: NDArray[Any]) -> NDArray[np.float64]:
        """Outputs of the network, shape (n, 1), in the column's own unit, shape (n,)."""
        return output[:, 0].astype(np.float64) * self.scale + self.mean


Target: TypeAlias = ClassTarget | NumberTarget


def fit_target(
    name: str, cells: ArrayLike, *, task: str = "auto", rows: ArrayLike | None = None
) -> Target:
    """Describe the column to predict.

    With task "auto", names and up to 20 different whole numbers make a classification, provided
    that each occurs twice on average; other numbers make a regression. Mean and scale come from
    `rows` (all where None).

    Raises:
        ValueError: a cell is missing, the column is constant, has too many classes, or is not
            numeric in a regression.

    >>> fit_target("species", ["owl", "bat", "owl"]).classes
    ('bat', 'owl')
    >>> fit_target("price", ["1.5", "2.5"])
    NumberTarget(name='price', mean=2.0, scale=0.5)
    """
    column = table.as_cells(name, cells)
    if task == "auto":
        task = _guess_task(column)
    if task == "classification":
        classes = table.sorted_names(column)
        if len(classes) < 2:
            raise ValueError(f"target {name!r} is constant: every row has {classes[0]!r}")
        if len(classes) > table.MAX_CATEGORIES:
            too_many = f"{len(classes)} classes, expected at most {table.MAX_CATEGORIES}"
            raise ValueError(f"target {name!r} has {too_many}")
        return ClassTarget(name, classes)
    moments = table.standardisation(name, column, rows)
    if moments is None:
        raise ValueError(f"target {name!r} is constant")
    return NumberTarget(name, *moments)


def target_to_config(target: Target) -> dict[str, Any]:
    """A dict for JSON, from which `target_from_config` makes an equal object."""
    return {"task": target.task, **asdict(target)}


def target_from_config(config: Mapping[str, Any]) -> Target:
    """Inverse of `target_to_config`. Raises ValueError where the dict is not one of its."""
    try:
        if config["task"] != "classification":
            return NumberTarget.from_config(config)
        name, classes = config["name"], tuple(config["classes"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a description of a target: {error}") from error
    if not all(isinstance(text, str) for text in (name, *classes)) or len(classes) < 2:
        raise ValueError("not a description of a target: classes")
    return ClassTarget(name, classes)


def _guess_task(column: NDArray[np.object_]) -> Task:
    if not table.is_numeric(column):
        return "classification"
    distinct = np.unique(column.astype(np.float64))
    whole = np.isfinite(distinct).all() and (distinct == np.round(distinct)).all()
    few = len(distinct) <= min(MAX_INTEGER_CLASSES, len(column) / 2)
    return "classification" if whole and few else "regression"

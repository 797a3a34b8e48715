"""Rows that a model does not see: a share of them, or each in its turn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp import random
from fastbp.runtime.held_out import split_rows
from fastbp.tabular import frame
from fastbp.tabular.evaluation import Evaluation
from fastbp.tabular.frame import Frame
from fastbp.tabular.model import TableModel
from fastbp.tabular.target import ClassTarget, fit_target


def test_rows(
    model: TableModel, table: Frame, target: str, share: float
) -> tuple[Frame, Frame | None]:
    """The rows to train on, and a share of them, of each class alike, for the test; None of 0."""
    if not share:
        return table, None
    labels = _labels(model, table, target)
    train, test = split_rows(len(table), share=share, seed=model.seed + 1, labels=labels)
    return table.iloc[train], table.iloc[test]


def cross_validate(
    model: TableModel, table: Any, *, target: str, folds: int = 5, drop: tuple[str, ...] = ()
) -> list[Evaluation]:
    """An `Evaluation` of each of so many parts of the rows, by a model of the others.

    The parts have the same share of each class; `model` says how they are trained, and is not
    changed.

    Raises:
        ValueError: fewer rows than folds; as `TableModel.fit`.
    """
    data = frame.as_frame(table)
    frame.check_columns([target], list(map(str, data.columns)), where="the table")
    data = data[~frame.missing_cells(model.reading.cleaned(data)[target])]
    if len(data) < folds:
        raise ValueError(f"{folds} folds need as many rows, the table has {len(data)}")
    place = fold_of(len(data), folds=folds, seed=model.seed, labels=_labels(model, data, target))
    found = []
    for fold in range(folds):
        held = place == fold
        trained = model.copy().fit(data[~held], target=target, drop=drop)
        with warnings.catch_warnings():  # of what a part of the rows does not show
            warnings.simplefilter("ignore", UserWarning)
            found.append(trained.evaluate(data[held]))
    return found


def fold_of(
    n_rows: int, *, folds: int, seed: int, labels: NDArray[Any] | None = None
) -> NDArray[np.int64]:
    """The number of the part of each row, of each label alike.

    >>> fold_of(6, folds=2, seed=0, labels=np.array([0, 0, 0, 0, 1, 1]))[4:].sum()
    np.int64(1)
    """
    order = np.argsort(random.raw(seed, random.FOLD, 0, n_rows), kind="stable")
    if labels is not None:
        order = order[np.argsort(np.asarray(labels)[order], kind="stable")]
    found = np.empty(n_rows, np.int64)
    found[order] = np.arange(n_rows) % folds
    return found


def _labels(model: TableModel, table: Frame, target: str) -> NDArray[Any] | None:
    """The class of each row, -1 of one without, or None for a number."""
    cells = model.reading.cleaned(table)[target]
    missing = frame.missing_cells(cells)
    found = fit_target(cells[~missing], task=model.task, decimal=model.reading.decimal)
    if not isinstance(found, ClassTarget):
        return None
    labels = np.full(len(cells), -1)
    labels[~missing] = found.encode(cells[~missing])
    return labels

"""Predictions for tables in files, part by part: of any length, in the memory of one part."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.tabular import frame
from fastbp.tabular.column import NumberColumn
from fastbp.tabular.evaluation import Evaluation
from fastbp.tabular.file import TableFile
from fastbp.tabular.frame import Frame
from fastbp.tabular.model import TableModel
from fastbp.tabular.preprocessing import Oddities
from fastbp.tabular.target import ClassTarget, Target


@dataclass
class Predicted:
    """How many rows were read and predicted, and what was odd in them."""

    rows: int = 0
    oddities: Oddities = field(default_factory=Oddities)

    def to_json(self) -> dict[str, Any]:
        odd = self.oddities
        return {
            "rows": self.rows,
            "predicted": self.rows - odd.n_unfit,
            "not_predicted": {str(row + 1): why for row, why in odd.unfit.items()},
            "unknown_categories": odd.unknown,
            "imputed": odd.missing,
        }


def predict_file(
    model: TableModel,
    file: TableFile,
    stream: Any,
    *,
    ids: Sequence[str] = (),
    probabilities: bool = False,
    strict: bool = False,
) -> Predicted:
    """Write a prediction for each row to `stream` as CSV, nothing for a row that has a cell of
    another kind than its column.

    Args:
        ids: columns to repeat before the prediction, as they are.
        probabilities: adds that of each class.
        strict: such a row is an error.

    Raises:
        ValueError: a column is missing; `probabilities` of a number; `strict`.
    """
    target = model.target
    if probabilities and not isinstance(target, ClassTarget):
        raise ValueError(f"probabilities need classes; the model predicts the number {target.name}")
    frame.check_columns([*model.columns, *ids], file.columns, where=file.name)
    name = target.name if target.name not in ids else f"predicted_{target.name}"
    header = [*ids, name]
    if probabilities and isinstance(target, ClassTarget):
        header += [f"probability_{label}" for label in target.classes]
    writer = csv.writer(stream, lineterminator="\n")
    done = Predicted()
    for part, broken in file.parts(text=[*_text_columns(model), *ids]):
        response, odd = _response(model, part, broken)
        if odd.unfit and strict:
            row, why = next(iter(odd.unfit.items()))
            raise ValueError(f"{file.name}: data row {row + 1} cannot be predicted: {why}")
        if not done.rows:
            writer.writerow(header)
        columns = [part[one].astype(object).where(part[one].notna(), "").tolist() for one in ids]
        columns += _answers(target, response, probabilities)
        if odd.unfit:
            for place in np.flatnonzero(part.index.isin(list(odd.unfit))):
                for column in columns[len(ids) :]:
                    column[place] = ""
        writer.writerows(zip(*columns, strict=True))
        done.rows += len(part)
        done.oddities.add(odd)
    return done


def evaluate_file(model: TableModel, file: TableFile) -> tuple[Evaluation, Predicted]:
    """Metrics of the predictions for all rows that have a target and can be predicted.

    Raises:
        ValueError: a column is missing, there is no such row, a class is unknown.
    """
    target = model.target
    frame.check_columns([*model.columns, target.name], file.columns, where=file.name)
    text = _text_columns(model)
    if isinstance(target, ClassTarget):
        text.append(target.name)
    done = Predicted()
    truths: list[NDArray[Any]] = []
    responses: list[NDArray[Any]] = []
    for part, broken in file.parts(text=text):
        part = model.preprocessing.reading.cleaned(part)
        response, odd = _response(model, part, broken)
        usable = ~frame.missing_cells(part[target.name])
        usable &= ~part.index.isin(list(odd.unfit))
        if usable.any():
            cells = part[target.name][usable]
            if isinstance(target, ClassTarget):
                truths.append(target.encode(cells))
                responses.append(response[usable])
            else:
                truths.append(target.numbers(cells))
                responses.append(target.decode(response[usable]))
        done.rows += len(part)
        done.oddities.add(odd)
    if not truths:
        raise ValueError(f"{file.name}: no row has a value of {target.name!r} and can be predicted")
    truth, response = np.concatenate(truths), np.concatenate(responses)
    return Evaluation(target, truth, response, model.prior), done


@contextmanager
def written(path: str | None) -> Iterator[Any]:
    """A text stream to standard output, or to a file that has its name when it is complete.

    Raises OSError: it cannot be written; an older file is as it was.
    """
    if path is None:
        if sys.stdout is None:
            raise OSError("standard output is closed")
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="strict")  # no other name than that of the class
        yield sys.stdout
        return
    if os.path.exists(path) and not os.path.isfile(path):  # a device, a pipe, a folder
        with open(path, "w", encoding="utf-8", newline="") as stream:
            yield stream
        return
    temporary = f"{os.path.realpath(path)}.{os.getpid()}.tmp"
    try:
        with open(temporary, "w", encoding="utf-8", newline="") as stream:
            yield stream
        os.replace(temporary, os.path.realpath(path))
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename == temporary:
            error.filename = path
        raise


def _text_columns(model: TableModel) -> list[str]:
    """Columns to be read as text: what their cells look like in one part does not matter."""
    columns = model.preprocessing.columns
    return [column.name for column in columns if not isinstance(column, NumberColumn)]


def _response(model: TableModel, part: Frame, broken: frame.Mask) -> tuple[NDArray[Any], Oddities]:
    inputs, odd = model.preprocessing.transform(part, dtype=model.network.dtype)
    for place in np.flatnonzero(broken):
        odd.refuse(int(part.index[place]), "more cells than columns")
    return model.network.predict(inputs), odd


def _answers(target: Target, response: NDArray[Any], probabilities: bool) -> list[list[str]]:
    """The columns of predictions as text; nine digits tell any two float32 apart."""
    if not isinstance(target, ClassTarget):
        return [[f"{value:.9g}" for value in target.decode(response).tolist()]]
    labels = [str(label) for label in target.classes]
    found = [[labels[place] for place in response.argmax(axis=1).tolist()]]
    if probabilities:
        found += [[f"{value:.9g}" for value in column] for column in response.T.tolist()]
    return found

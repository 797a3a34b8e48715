"""How well predictions meet the truth: figures, a confusion matrix or a summary of residuals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.metric import metric
from fastbp.tabular.target import ClassTarget, Target

CLASS_METRICS = ("accuracy", "balanced_accuracy", "f1_macro", "log_loss")
NUMBER_METRICS = ("r2", "rmse", "mae", "median_absolute_error")
_QUANTILES = {"min": 0.0, "5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95,
              "max": 1.0}  # fmt: skip
_MOST_CLASSES = 12  # in a printed matrix
_WIDEST = 12  # characters of a class in its heading


class Evaluation(dict[str, float]):
    """Metrics by name: accuracy, balanced_accuracy, f1_macro, log_loss and, of two classes, roc_auc
    (of the second); or r2, rmse, mae and median_absolute_error, in the unit of the target.

    Attributes:
        baseline: the same of what predicts the most frequent class, or the mean, of training.
        n_rows: rows that were predicted.
        classes, confusion: the classes, and how many rows of each (first axis) were predicted as
            each; empty for a regression.
        residuals: name -> quantile of prediction - truth; empty for a classification.
        truth, prediction: class numbers and probabilities (n, n_classes), or numbers, (n,).

    `print` shows all of it.
    """

    def __init__(
        self, target: Target, truth: NDArray[Any], response: NDArray[Any], prior: NDArray[Any]
    ) -> None:
        """Of class numbers and probabilities, or of numbers and numbers in the target's unit;
        `prior` is the frequency of each class in training, or the mean.
        """
        self.target, self.truth, self.prediction = target, truth, response
        self.n_rows = len(truth)
        self.classes: tuple[Any, ...] = ()
        self.confusion = np.zeros((0, 0), np.int64)
        self.residuals: dict[str, float] = {}
        constant = np.broadcast_to(prior, (len(truth), *prior.shape))
        if isinstance(target, ClassTarget):
            names = CLASS_METRICS + (("roc_auc",) if len(target.classes) == 2 else ())
            super().__init__(_measured(names, truth, response))
            self.baseline = _measured(names, truth, constant)
            self.classes = target.classes
            n = len(self.classes)
            pairs = truth * n + response.argmax(axis=1)
            self.confusion = np.bincount(pairs, minlength=n * n).reshape(n, n)
        else:
            column = truth[:, None]
            super().__init__(_measured(NUMBER_METRICS, column, response[:, None]))
            self.baseline = _measured(NUMBER_METRICS, column, constant[:, None])
            quantiles = np.quantile(response - truth, list(_QUANTILES.values()))
            self.residuals = dict(zip(_QUANTILES, map(float, quantiles), strict=True))

    @property
    def recall(self) -> NDArray[np.float64]:
        """Of each class the share of its rows that were predicted so; NaN where it has none."""
        with np.errstate(invalid="ignore"):
            return self.confusion.diagonal() / self.confusion.sum(axis=1)

    def __str__(self) -> str:
        return "\n".join([*aligned(self.metric_rows()), "", *self.detail()])

    def metric_rows(self) -> list[list[str]]:
        """The metrics beside those of the baseline."""
        constant = "most frequent class" if self.classes else "mean of training"
        return figure_rows({"model": dict(self), constant: self.baseline})

    def detail(self) -> list[str]:
        """Lines of the confusion matrix with the recall of each class, or of the residuals."""
        if not self.classes:
            cells = [[name, _figure(value)] for name, value in self.residuals.items()]
            heading = f"prediction - {self.target.name}"
            return [heading, *aligned([list(column) for column in zip(*cells, strict=True)])]
        if len(self.classes) <= _MOST_CLASSES:
            return self._matrix()
        order = np.argsort(np.nan_to_num(self.recall, nan=2.0), kind="stable")[:_MOST_CLASSES]
        rows = [["class", "rows", "recall", "most often taken for"]]
        for i in order:
            others = self.confusion[i].copy()
            others[i] = 0
            wrong = str(self.classes[others.argmax()]) if others.any() else ""
            rows.append([str(self.classes[i]), str(self.confusion[i].sum()),
                         _figure(self.recall[i]), wrong])  # fmt: skip
        return [f"the {len(order)} of {len(self.classes)} classes with the lowest recall",
                *aligned(rows)]  # fmt: skip

    def _matrix(self) -> list[str]:
        names = [_short(name) for name in self.classes]
        rows = [["true \\ predicted", *names, "recall"]]
        for name, counts, recall in zip(names, self.confusion, self.recall, strict=True):
            rows.append([name, *map(str, counts), _figure(recall)])
        return aligned(rows)

    def to_json(self) -> dict[str, Any]:
        """A dict for JSON; None where a figure is not defined."""
        found: dict[str, Any] = {"rows": self.n_rows, "metrics": plain(self)}
        found["baseline"] = plain(self.baseline)
        if self.classes:
            found |= {"classes": list(self.classes), "confusion": self.confusion.tolist()}
            found["recall"] = [None if np.isnan(one) else float(one) for one in self.recall]
        else:
            found["residuals"] = self.residuals
        return found


def figure_rows(columns: dict[str, dict[str, float]]) -> list[list[str]]:
    """Figures by name, a column for each dict, under a heading."""
    names = list(next(iter(columns.values())))
    rows = [["", *columns]]
    rows += [[name, *(_figure(one[name]) for one in columns.values())] for name in names]
    return rows


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of columns of equal width, the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join(["", first.ljust(widths[0]), *cells]).rstrip())
    return lines


def plain(figures: dict[str, float]) -> dict[str, float | None]:
    """NaN as None, which JSON can hold."""
    return {name: None if np.isnan(value) else float(value) for name, value in figures.items()}


def _measured(
    names: Sequence[str], truth: NDArray[Any], response: NDArray[Any]
) -> dict[str, float]:
    return {name: metric(name)(response, truth) for name in names}


def _figure(value: float) -> str:
    if np.isnan(value):
        return "-"
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e8 else f"{value:.4g}"


def _short(name: object) -> str:
    text = str(name)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"

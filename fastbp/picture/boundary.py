"""What a model of two features answers over the plane, and the data on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.check.message import shown
from fastbp.check.scalar import check_integer

Numbers = NDArray[Any]

_EDGE = 0.08  # of the range of the data, around them
_SIZE = (5.2, 4.2)  # inches
_MOST_CLASSES = 10  # so many colours matplotlib's cycle has
_MOST_LEGEND = 6


@dataclass(frozen=True)
class _Answer:
    """What the model says of the points: a score for each class, (n, n_classes), or a number."""

    classes: Numbers | None
    value: Numbers


def plot_decision_boundary(
    model: Any,
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    ax: Any = None,
    n_points: int = 200,
    feature_names: Sequence[str] | None = None,
) -> Any:
    """Draw what a model of two features answers over the plane, with matplotlib.

    Of a classifier the areas of the classes, paler where it is less sure, and the line between
    them; of a regression the predicted number.  Rows of `X` with targets are dots.

    Args:
        model: a trained `Network`, or anything with `predict` and, for classes, `predict_proba`:
            estimators and pipelines of scikit-learn, ...
        X: (n, 2), or a frame of two columns, which the model then gets too.
        y: (n,), labels or numbers; None draws the areas alone.
        ax: matplotlib's Axes to draw on; None for a new figure.
        n_points: of the grid, along each side.
        feature_names: of the two axes; of a frame its columns.

    Returns:
        The Axes drawn on; `ax.figure.savefig("boundary.png")` writes it.

    Raises:
        ImportError: without matplotlib: `pip install 'fastbp[plot]'`.
        ValueError: X has not two columns, y another number of rows, numbers that are not finite,
            more than ten classes.
        TypeError: the model has no `predict`.
    """
    points, names = _points(X, feature_names)
    labels = None if y is None else _targets(y, len(points))
    n = check_integer(n_points, name="n_points", minimum=2)
    if not callable(getattr(model, "predict", None)):
        raise TypeError(f"model must have predict, got {shown(model)}")
    if isinstance(getattr(model, "loss", None), dict):
        raise TypeError("the model has several heads: pass one whose predict gives an array")
    if ax is None:
        ax = _new_axes()
    first, second = (_side(points[:, i], n) for i in (0, 1))
    grid = np.stack([side.ravel() for side in np.meshgrid(first, second)], axis=1)
    answer = _ask(model, _like(X, grid), labels)
    if answer.classes is None:
        _draw_numbers(ax, first, second, answer.value, labels, points)
    else:
        _draw_classes(ax, first, second, answer, labels, points)
    ax.set_xlim(first[0], first[-1])
    ax.set_ylim(second[0], second[-1])
    ax.set_xlabel(names[0])
    ax.set_ylabel(names[1])
    return ax


def _points(X: Any, names: Sequence[str] | None) -> tuple[Numbers, Sequence[str]]:
    points = np.asarray(X, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(
            f"X must have two columns, shape (n, 2), got shape {points.shape}; "
            "train a model on two features, or on two components of them"
        )
    if not len(points) or not np.isfinite(points).all():
        raise ValueError("X must have rows, and hold finite numbers only")
    if names is None:
        names = [str(name) for name in getattr(X, "columns", ("feature 0", "feature 1"))]
    if len(names) != 2:
        raise ValueError(f"feature_names must be two, got {shown(names)}")
    return points, names


def _targets(y: ArrayLike, n: int) -> Numbers:
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (n,):
        raise ValueError(f"y must have shape ({n},), as X has rows, got {labels.shape}")
    return labels


def _like(X: Any, grid: Numbers) -> Any:
    """The grid as what X is: a frame where that is one."""
    if hasattr(X, "columns") and hasattr(X, "iloc"):
        return type(X)(grid, columns=X.columns)
    return grid


def _side(values: Numbers, n: int) -> Numbers:
    low, high = float(values.min()), float(values.max())
    edge = _EDGE * (high - low) or 0.5
    return np.linspace(low - edge, high + edge, n)


def _ask(model: Any, grid: Any, y: Numbers | None) -> _Answer:
    """A network answers by `predict`; others by `predict_proba` where they have it."""
    loss = getattr(getattr(model, "loss", None), "name", None)
    if hasattr(model, "predict_classes"):
        found = np.asarray(model.predict(grid), dtype=np.float64)
        if loss in ("cross_entropy", "binary_cross_entropy") or found.shape[1] > 1:
            return _of_probabilities(found, None)
        return _Answer(None, found[:, 0])
    classes = getattr(model, "classes_", None)
    is_regression = classes is None and hasattr(model, "classes_")
    if callable(getattr(model, "predict_proba", None)) and not is_regression:
        found = np.asarray(model.predict_proba(grid), dtype=np.float64)
        return _of_probabilities(found, classes)
    found = np.asarray(model.predict(grid))
    found = found[:, 0] if found.ndim == 2 else found
    if classes is not None or found.dtype.kind not in "fc":
        known = [found] if y is None else [found, y]
        classes = np.unique(np.concatenate(known))
        return _Answer(classes, (found[:, None] == classes).astype(np.float64))
    return _Answer(None, found.astype(np.float64))


def _of_probabilities(found: Numbers, classes: Any) -> _Answer:
    if found.shape[1] == 1:
        found = np.column_stack([1 - found, found])
    known = np.arange(found.shape[1]) if classes is None else np.asarray(classes)
    return _Answer(known, found)


def _draw_classes(
    ax: Any, first: Numbers, second: Numbers, answer: _Answer, y: Numbers | None, points: Numbers
) -> None:
    from matplotlib.colors import to_rgb

    classes, score = answer.classes, answer.value
    assert classes is not None
    if len(classes) > _MOST_CLASSES:
        raise ValueError(f"{len(classes)} classes cannot be told apart by colour; ten can")
    colours = np.array([to_rgb(f"C{i}") for i in range(len(classes))])
    shade = (0.15 + 0.4 * _surety(score))[:, None]
    image = (1 - shade) + shade * colours[score.argmax(axis=1)]  # on white
    shape = (len(second), len(first))
    extent = (first[0], first[-1], second[0], second[-1])
    ax.imshow(image.reshape(*shape, 3), extent=extent, origin="lower", aspect="auto",
              interpolation="bilinear")  # fmt: skip
    for i in range(len(classes) if len(classes) > 2 else len(classes) - 1):
        ahead = (score[:, i] - np.delete(score, i, axis=1).max(axis=1)).reshape(shape)
        if ahead.min() < 0 < ahead.max():
            ax.contour(first, second, ahead, levels=[0], colors="0.25", linewidths=1)
    if y is None:
        return
    for i, name in enumerate(classes):
        own = points[y == name]
        ax.scatter(own[:, 0], own[:, 1], s=18, color=f"C{i}", edgecolor="white", linewidth=0.6,
                   label=str(name))  # fmt: skip
    if len(classes) <= _MOST_LEGEND:
        ax.legend(loc="best", framealpha=0.85)


def _surety(score: Numbers) -> Numbers:
    """From 0, where all classes are equally probable, to 1."""
    n = score.shape[1]
    return np.clip((score.max(axis=1) - 1 / n) / (1 - 1 / n), 0, 1) if n > 1 else score[:, 0]


def _draw_numbers(
    ax: Any, first: Numbers, second: Numbers, value: Numbers, y: Numbers | None, points: Numbers
) -> None:
    field = value.reshape(len(second), len(first))
    area = ax.contourf(first, second, field, levels=20, cmap="viridis")
    if y is not None:
        own = y.astype(np.float64)
        ax.scatter(points[:, 0], points[:, 1], s=20, c=own, cmap=area.cmap, norm=area.norm,
                   edgecolor="white", linewidth=0.6)  # fmt: skip
        middle = (own.min() + own.max()) / 2
        if len(np.unique(own)) == 2 and field.min() < middle < field.max():
            # of two targets the line between them
            ax.contour(first, second, field, levels=[middle], colors="white", linewidths=1.5)
    ax.figure.colorbar(area, ax=ax, label="prediction")


def _new_axes() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("a plot needs matplotlib: pip install 'fastbp[plot]'") from error
    _, ax = plt.subplots(figsize=_SIZE, layout="constrained")
    return ax

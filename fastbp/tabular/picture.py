"""A trained model in pictures: its losses, and its predictions beside the truth."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from fastbp.check.extra import missing_extra
from fastbp.history import History
from fastbp.tabular.evaluation import Evaluation

_SIZE = (4.8, 4.0)  # inches of a panel
_BINS = 10
_FEW = 5  # rows of a probability
_MOST_POINTS = 5000
_MOST_CLASSES = 20
_MOST_NAMED = 12


def draw(history: History | None, evaluation: Evaluation | None, *, title: str = "") -> Any:
    """A matplotlib Figure, empty without a history: the loss of each epoch; of classes how often
    predictions of a probability are right, and the confusion matrix; of numbers predictions against
    the truth, and what they are off.

    Raises ImportError without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("a plot", "matplotlib", "plot") from error
    if history is None:
        return Figure()
    n = 1 if evaluation is None else 3
    figure = Figure(figsize=(_SIZE[0] * n, _SIZE[1]), layout="constrained")
    axes = list(np.ravel(figure.subplots(1, n)))
    history.plot(axes[0])
    axes[0].set_title("loss")
    if evaluation is not None and evaluation.classes:
        _draw_calibration(axes[1], evaluation)
        _draw_confusion(axes[2], evaluation)
    elif evaluation is not None:
        _draw_predictions(axes[1], evaluation)
        _draw_residuals(axes[2], evaluation)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    if title:
        figure.suptitle(title, fontsize="medium")
    return figure


def svg(figure: Any) -> str:
    """The figure as an <svg> element."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _draw_calibration(ax: Any, evaluation: Evaluation) -> None:
    """The share of right predictions by the probability that they were given."""
    labels = list(evaluation.classes)
    if len(labels) == 2:
        probability = evaluation.prediction[:, 1]
        right = evaluation.truth == 1
        about = f"predicted probability of {str(labels[1])!r}"
        share = f"share of rows that are {str(labels[1])!r}"
    else:
        probability = evaluation.prediction.max(axis=1)
        right = evaluation.prediction.argmax(axis=1) == evaluation.truth
        about, share = "probability of the predicted class", "share of rows predicted rightly"
    places = np.minimum((probability * _BINS).astype(int), _BINS - 1)
    count = np.bincount(places, minlength=_BINS)
    has = count >= min(_FEW, count.max())  # fewer tell nothing
    mean = np.bincount(places, probability, _BINS)[has] / count[has]
    hits = np.bincount(places, right, _BINS)[has] / count[has]
    below = ax.twinx()
    below.bar((np.arange(_BINS) + 0.5) / _BINS, count, 0.9 / _BINS, color="C0", alpha=0.15)
    below.set_ylim(0, 3 * count.max())
    below.set_yticks([])
    below.spines[:].set_visible(False)
    ax.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--", label="perfect")
    ax.plot(mean, hits, color="C0", marker="o", markersize=4, label="model (bars: rows)")
    ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=about, ylabel=share, title="calibration")
    ax.set_zorder(below.get_zorder() + 1)
    ax.patch.set_visible(False)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False, loc="upper left")


def _draw_confusion(ax: Any, evaluation: Evaluation) -> None:
    """Rows of each class by what they were predicted as, shaded by their share of the class."""
    matrix, names = evaluation.confusion, [str(name) for name in evaluation.classes]
    if len(names) > _MOST_CLASSES:
        order = np.sort(np.argsort(-matrix.sum(axis=1), kind="stable")[:_MOST_CLASSES])
        matrix, names = matrix[np.ix_(order, order)], [names[i] for i in order]
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1.15)
    longest = 14 if len(names) <= _MOST_NAMED else 18
    names = [name if len(name) <= longest else name[: longest - 1] + "…" for name in names]
    size = "medium" if len(names) <= _MOST_NAMED else "xx-small"
    is_turned = max(map(len, names)) > 5 and len(names) > 2
    ax.set_xticks(range(len(names)), names, fontsize=size, rotation=90 if is_turned else 0)
    ax.set_yticks(range(len(names)), names, fontsize=size)
    if len(names) <= _MOST_NAMED:
        for (row, column), count in np.ndenumerate(matrix):
            color = "white" if share[row, column] > 0.6 else "black"
            if count or len(names) <= 3:
                ax.text(column, row, str(count), ha="center", va="center", color=color)
    cut = f", the {len(names)} most frequent" if len(names) < len(evaluation.classes) else ""
    ax.set(xlabel="predicted", ylabel="true", title=f"confusion, in rows{cut}")
    ax.tick_params(length=0)


def _draw_predictions(ax: Any, evaluation: Evaluation) -> None:
    truth, prediction = evaluation.truth, evaluation.prediction
    step = -(-len(truth) // _MOST_POINTS)
    ends = [min(truth.min(), prediction.min()), max(truth.max(), prediction.max())]
    size = 12 if len(truth) < 500 else 5
    ax.plot(ends, ends, color="0.6", linewidth=1, linestyle="--")
    ax.scatter(truth[::step], prediction[::step], s=size, color="C0", alpha=0.5, linewidths=0,
               rasterized=True)  # fmt: skip
    name = evaluation.target.name
    ax.set(xlabel=f"true {name}", ylabel=f"predicted {name}", title="predicted against true")
    ax.locator_params(nbins=5)
    ax.grid(alpha=0.3)


def _draw_residuals(ax: Any, evaluation: Evaluation) -> None:
    residual = evaluation.prediction - evaluation.truth
    low, high = np.quantile(residual, [0.005, 0.995])
    bins = np.linspace(low, high, 31) if low < high else 1
    ax.hist(np.clip(residual, low, high), bins=bins, color="C0", alpha=0.7)
    ax.axvline(0, color="0.6", linewidth=1, linestyle="--")
    name = evaluation.target.name
    ax.set(xlabel=f"predicted - true {name}", ylabel="rows", title="residuals")
    ax.locator_params(axis="x", nbins=5)
    ax.grid(alpha=0.3, axis="y")

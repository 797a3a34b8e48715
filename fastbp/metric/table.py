"""Every metric: its formula, what it is for, its parameters and names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from fastbp.check.message import shown
from fastbp.check.scalar import check_integer, check_name, check_real
from fastbp.metric import classes, probability, ranking, regression

CLASSES, ONE_CLASS, NUMBERS = "classes", "one class", "numbers"
AVERAGES = ("binary", "macro", "micro", "weighted")
STRATEGIES = ("ovr", "ovo")


@dataclass(frozen=True)
class _Kind:
    """What a metric is: its formula, whether more is better, its parameter, the targets it needs.

    CLASSES are those of both cross-entropies, ONE_CLASS of a row those of "cross_entropy", NUMBERS
    those of the other losses; None takes any.
    """

    formula: Callable[..., float]
    is_larger_better: bool
    needs: str | None
    parameter: str | None = None


METRICS = {
    "accuracy": _Kind(classes.accuracy, True, CLASSES),
    "balanced_accuracy": _Kind(classes.balanced_accuracy, True, CLASSES),
    "top_k_accuracy": _Kind(classes.top_k_accuracy, True, ONE_CLASS, "k"),
    "precision": _Kind(classes.precision, True, CLASSES, "average"),
    "recall": _Kind(classes.recall, True, CLASSES, "average"),
    "f1": _Kind(classes.f1, True, CLASSES, "average"),
    "roc_auc": _Kind(ranking.roc_auc, True, CLASSES, "multi_class"),
    "average_precision": _Kind(ranking.average_precision, True, CLASSES),
    "log_loss": _Kind(probability.log_loss, False, CLASSES),
    "brier": _Kind(probability.brier, False, CLASSES),
    "mse": _Kind(regression.mse, False, None),
    "rmse": _Kind(regression.rmse, False, None),
    "mae": _Kind(regression.mae, False, None),
    "median_absolute_error": _Kind(regression.median_absolute_error, False, NUMBERS),
    "r2": _Kind(regression.r2, True, NUMBERS),
    "pinball": _Kind(regression.pinball, False, NUMBERS, "alpha"),
}
ALIASES = {
    "acc": "accuracy",
    "accuracyscore": "accuracy",
    "binaryaccuracy": "accuracy",
    "categoricalaccuracy": "accuracy",
    "sparsecategoricalaccuracy": "accuracy",
    "balancedaccuracyscore": "balanced_accuracy",
    "topkaccuracyscore": "top_k_accuracy",
    "topkcategoricalaccuracy": "top_k_accuracy",
    "sparsetopkcategoricalaccuracy": "top_k_accuracy",
    "precisionscore": "precision",
    "recallscore": "recall",
    "f1score": "f1",
    "auc": "roc_auc",
    "auroc": "roc_auc",
    "rocaucscore": "roc_auc",
    "averageprecisionscore": "average_precision",
    "auprc": "average_precision",
    "prauc": "average_precision",
    "crossentropy": "log_loss",
    "binarycrossentropy": "log_loss",
    "categoricalcrossentropy": "log_loss",
    "sparsecategoricalcrossentropy": "log_loss",
    "brierscore": "brier",
    "brierscoreloss": "brier",
    "meansquarederror": "mse",
    "rootmeansquarederror": "rmse",
    "meanabsoluteerror": "mae",
    "r2score": "r2",
    "pinballloss": "pinball",
    "meanpinballloss": "pinball",
    "quantileloss": "pinball",
}
# Names with a parameter in them: "top_3_accuracy", "f1_macro", "roc_auc_ovo", "pinball_0.9".
_TOP = re.compile(r"top_?(\d+)_?(?:categorical_?)?accuracy(?:_score)?")
_PINBALL = re.compile(r"pinball_(\d+(?:\.\d*)?(?:e-?\d+)?)")


@dataclass(frozen=True, init=False, repr=False)
class Metric:
    """A metric by name, with the parameter that it takes.

    p is a probability that `predict` returns, e a prediction minus its target, w the weight of a
    row.  TP, FP and FN are the sums of the weights of the rows that a label is predicted for
    rightly, wrongly, or not although it is right.

    accuracy               sum w [class predicted] / sum w; of several outputs also over these
    balanced_accuracy      mean over the classes in y of TP / (TP + FN)
    top_k_accuracy         the share of rows whose class is among the `k` most probable ones
    precision              TP / (TP + FP), by `average`; 0 where 0 is divided by 0
    recall                 TP / (TP + FN), likewise
    f1                     2 TP / (2 TP + FP + FN), likewise
    roc_auc                the probability that a positive row is above a negative one, ties half
    average_precision      sum over thresholds of (R_i - R_(i-1)) P_i
    log_loss               -sum w log p of the right class / sum w
    brier                  sum w (p - y)^2 / sum w, summed over three classes or more
    mse, rmse, mae         sum w e^2 / sum w, its square root, sum w |e| / sum w
    median_absolute_error  the weighted median of |e|
    r2                     1 - sum w e^2 / sum w (y - mean y)^2
    pinball                mean of max(-alpha e, (1 - alpha) e)

    accuracy is in [0, 1], as are all of the first eight; r2 at most 1; the others 0 or more.  What
    is undefined is NaN: roc_auc where positive or negative rows are missing, average_precision
    without positive ones, r2 of one row, anything where no row has weight.  docs/metric.md has the
    cases of several outputs.

    Args:
        name: one of `METRICS`, what Keras or scikit-learn call it, or a name with the parameter in
            it: "top_3_accuracy", "f1_macro", "roc_auc_ovo", "pinball_0.9".
        k: of top_k_accuracy, >= 1; 5 by default.
        average: of precision, recall, f1: "binary", of the second of two classes or of one output,
            and the default there; "macro", the mean over labels, the default elsewhere; "micro", of
            the sums over labels; "weighted", the mean by the labels' weights in y.
        multi_class: of roc_auc with three classes or more, the mean over classes against the rest
            ("ovr", the default) or over pairs of classes ("ovo").
        alpha: of pinball, the quantile, in [0, 1]; 0.5 by default.

    Raises:
        TypeError: a parameter of another type.
        ValueError: unknown name or value; a parameter that the metric does not take.

    Source: scikit-learn's functions of these names, to 1e-12.

    >>> Metric("top_k_accuracy", k=3)
    Metric('top_k_accuracy', k=3)
    >>> Metric("f1_macro").average, Metric("f1_score", average="macro").key
    ('macro', 'f1_macro')
    """

    name: str
    k: int | None
    average: str | None
    multi_class: str | None
    alpha: float | None

    def __init__(
        self,
        name: str,
        *,
        k: int | None = None,
        average: str | None = None,
        multi_class: str | None = None,
        alpha: float | None = None,
    ) -> None:
        arguments = {"k": k, "average": average, "multi_class": multi_class, "alpha": alpha}
        given = {parameter: value for parameter, value in arguments.items() if value is not None}
        name, within = _parsed(name)
        for parameter, value in given.items():
            if parameter != METRICS[name].parameter:
                raise ValueError(f"metric '{name}' takes no {parameter}, got {shown(value)}")
            if parameter in within:
                raise ValueError(f"{parameter} is in the metric's name already, got {shown(value)}")
        object.__setattr__(self, "name", name)
        for parameter in arguments:
            held = (within | given).get(parameter)
            object.__setattr__(self, parameter, None if held is None else _check(parameter, held))

    @property
    def key(self) -> str:
        """What it is called in a history or by `evaluate`; `Metric(key)` is the same metric.

        >>> Metric("top_k_accuracy").key, Metric("top_k_accuracy", k=3).key
        ('top_k_accuracy', 'top_3_accuracy')
        """
        value = self._value()
        if value is None:
            return self.name
        return f"top_{value}_accuracy" if self.name == "top_k_accuracy" else f"{self.name}_{value}"

    @property
    def is_larger_better(self) -> bool:
        """Whether a larger value is a better one."""
        return METRICS[self.name].is_larger_better

    @property
    def parameters(self) -> dict[str, object]:
        """What the formula takes by name; None for its default."""
        parameter = METRICS[self.name].parameter
        return {} if parameter is None else {parameter: self._value()}

    def _value(self) -> object:
        parameter = METRICS[self.name].parameter
        return None if parameter is None else getattr(self, parameter)

    def __repr__(self) -> str:
        value = self._value()
        own = "" if value is None else f", {METRICS[self.name].parameter}={value!r}"
        return f"Metric({self.name!r}{own})"


def _check(parameter: str, value: object) -> object:
    """The value of a parameter."""
    if parameter == "k":
        return check_integer(value, name="k", minimum=1)
    if parameter == "alpha":
        return check_real(value, name="alpha", minimum=0, maximum=1)
    known = AVERAGES if parameter == "average" else STRATEGIES
    return check_name(value, kind=parameter, known=known, aliases={})


def _parsed(name: object) -> tuple[str, dict[str, object]]:
    """The canonical name, and the parameter that a longer one holds."""
    if isinstance(name, str):
        lower = name.lower()
        if (match := _TOP.fullmatch(lower)) is not None:
            return "top_k_accuracy", {"k": int(match[1])}
        if (match := _PINBALL.fullmatch(lower)) is not None:
            return "pinball", {"alpha": float(match[1])}
        base, _, word = lower.rpartition("_")
        for parameter, words in (("average", AVERAGES), ("multi_class", STRATEGIES)):
            if word in words and METRICS[_known(base)].parameter == parameter:
                return _known(base), {parameter: word}
    return _known(name), {}


def _known(name: object) -> str:
    return check_name(name, kind="metric", known=METRICS, aliases=ALIASES)

"""The weights of rows and of single targets, of which the mean of a loss is made.

`weight` (rows, outputs) multiplies the loss of each element and its slope; `row_weight` (rows,) is
what a row adds to the divisor of its batch.  A target that is left out has the weight 0.  Where
several heads have targets that are missing, `weight` has an array of each in `parts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.check.array import Array, as_numeric, as_real, first_where
from fastbp.check.message import counted, shown
from fastbp.check.scalar import as_index, check_real

NAN_ADVICE = "; pass ignore_nan=True to leave them out"


class Weights(NamedTuple):
    """What an engine takes; None for rows that all count alike."""

    weight: Any = None
    row_weight: NDArray[np.float64] | None = None

    def options(self) -> dict[str, Array]:
        """The arguments of an engine's methods."""
        if self.weight is None:
            return {}
        if self.row_weight is None:
            return {"weight": self.weight}
        return {"weight": self.weight, "row_weight": self.row_weight}

    def of_elements(self) -> Any:
        """(n,) where all elements of a row have one weight, else (n, n_outputs): for metrics.  A
        list of these where heads have weights of their own.
        """
        parts = getattr(self.weight, "parts", None)
        if parts is not None:
            return [Weights(part).of_elements() for part in parts]
        if self.weight is None or self.by_element:
            return self.weight
        return self.weight[:, 0]

    @property
    def by_element(self) -> bool:
        """Whether the elements of a row have weights of their own."""
        weight = self.weight
        return weight is not None and weight.shape[1] > 1 and weight.strides[1] != 0

    def take(self, rows: slice | Array) -> Weights:
        """Those of some rows."""
        if self.weight is None:
            return self
        return Weights(*(None if held is None else held[rows] for held in self))


UNWEIGHTED = Weights()


def check_sample_weight(
    sample_weight: object,
    *,
    n_rows: int,
    dtype: np.dtype[Any],
    signed: bool = False,
    all_zero: bool = False,
) -> Array:
    """The weights of the rows, (n_rows,), private, of the network's dtype.

    Args:
        signed: negative weights are allowed.
        all_zero: so are weights of which all are 0.

    Raises:
        ValueError: `X has 6 rows, sample_weight has 5`; another shape; NaN, infinite, negative, or
            0 in every row; too large or too small for `dtype`.
    """
    name = "sample_weight"
    array = as_numeric(sample_weight, name=name, dtype=dtype)
    if array.ndim != 1:
        got = f"shape {array.shape}" if array.ndim else shown(sample_weight)
        raise ValueError(f"sample_weight must be 1-D, a weight for each row, got {got}")
    if len(array) != n_rows:
        raise ValueError(f"X has {counted(n_rows, 'row')}, sample_weight has {len(array)}")
    own = np.array(array)  # first the copy, then the check
    result = as_real(own, name=name, dtype=dtype)
    row = -1 if signed else first_where(lambda part: part < 0, own)
    if row >= 0:
        raise ValueError(
            f"sample_weight[{row}] = {shown(own[row])} is negative; of signed weights "
            "train_on_batch(..., normalize=False) takes the sum over the rows"
        )
    least = np.finfo(dtype).tiny
    row = first_where(lambda a, b: (a != 0) & (np.abs(b) < least), own, result)
    if row >= 0:
        raise ValueError(f"sample_weight[{row}] = {shown(own[row])} is too small for {dtype}")
    if not all_zero and not result.any():
        raise ValueError("sample_weight is 0 in every row: nothing is left")
    return result


def class_weights(
    class_weight: object, y: Array, *, n_out: int, domain: str, present: Array | None = None
) -> NDArray[np.float64]:
    """The weight of each row, (n,), by the class of its target.

    Args:
        class_weight: {class: weight}, 1 for a class that is missing, or "balanced":
            n / (number of classes in y * rows of the class).
        y: checked: class indices, rows of probabilities (their largest counts), or (n, 1) of 0 and
            1 for a single output.
        present: which rows have a target.

    Raises:
        TypeError: neither a dict nor "balanced".
        ValueError: a regression, several outputs of "binary_cross_entropy", targets between 0 and
            1, an unknown class, a weight that is negative or not finite.
    """
    if domain not in ("class", "interval"):
        raise ValueError(
            "class_weight needs a loss of classes, cross_entropy or binary_cross_entropy; "
            "for a regression pass sample_weight"
        )
    n_classes = 2 if domain == "interval" else n_out
    weights = None if _is_balanced(class_weight) else _by_class(class_weight, n_classes)
    label = _label(y, n_out, domain)
    counting = label if present is None else label[present]
    if weights is None:
        count = np.bincount(counting, minlength=n_classes)
        found = max(1, np.count_nonzero(count))
        weights = len(counting) / (found * np.maximum(count, 1))
    return weights[label]


def fitting(weight: Array, dtype: np.dtype[Any]) -> Array:
    """Weights by class, times those of the rows, in the network's dtype.

    Raises ValueError where they overflow it, or become 0.
    """
    with np.errstate(over="ignore", under="ignore"):
        found = weight.astype(dtype)
    bad = ~np.isfinite(found) | ((found == 0) & (weight != 0))
    if bad.any():
        value = weight[np.argmax(bad)]
        raise ValueError(f"class_weight: a row's weight of {value:.6g} does not fit {dtype}")
    return found


def _is_balanced(class_weight: object) -> bool:
    if isinstance(class_weight, str) and class_weight == "balanced":
        return True
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            f"class_weight must be a dict {{class: weight}} or 'balanced', got "
            f"{shown(class_weight)}"
        )
    return False


def _by_class(class_weight: Any, n_classes: int) -> NDArray[np.float64]:
    weights = np.ones(n_classes)
    for name, value in class_weight.items():
        # labels of floats or bools have such keys
        is_whole = isinstance(name, float | np.floating | bool | np.bool_) and name == name // 1
        index = int(name) if is_whole else as_index(name)
        if index is None or not 0 <= index < n_classes:
            raise ValueError(
                f"class_weight has a class {shown(name)}, classes are 0..{n_classes - 1}"
            )
        weights[index] = check_real(value, name=f"class_weight[{index}]", minimum=0)
    return weights


def _label(y: Array, n_out: int, domain: str) -> NDArray[np.int64]:
    """The class of each row."""
    if domain == "class":
        return (y if y.ndim == 1 else y.argmax(axis=1)).astype(np.int64)
    if n_out != 1:
        raise ValueError(
            f"class_weight needs one class a row, network has {n_out} outputs of "
            "binary_cross_entropy; pass sample_weight"
        )
    flat = y.reshape(-1)
    row = first_where(lambda part: (part != 0) & (part != 1), flat)
    if row >= 0:
        raise ValueError(f"class_weight needs targets 0 and 1, y[{row}] = {shown(flat[row])}")
    return flat.astype(np.int64)


def combined(
    row: Array | None,
    present: Array | None,
    *,
    n_rows: int,
    n_out: int,
    divisor: int,
    dtype: np.dtype[Any],
    normalize: bool = True,
) -> Weights:
    """What the engine takes for weights of rows and for targets of which some are missing.

    Args:
        row: (n,) of `dtype`, or None: 1 each.
        present: (n,) of whole rows or (n, n_out) of elements, booleans; or None: all.
        divisor: of the loss (`Loss.divisor`): a mean over the outputs counts the elements that are
            there, a mean over the rows those where any is.
        normalize: divide by the sum of the weights; else by the rows that are there.
    """
    if row is None and present is None:
        return UNWEIGHTED
    if row is None:
        row = np.ones(n_rows, dtype)
    counted_as: Array | None
    counted_as = row.astype(np.float64) if normalize else np.ones(n_rows)
    if present is not None and present.ndim == 2:
        share = present.mean(axis=1) if divisor > 1 else present.any(axis=1)
        weight = np.where(present, row[:, np.newaxis], dtype.type(0))
        return Weights(weight, counted_as * share)
    if present is not None:
        row, counted_as = np.where(present, row, dtype.type(0)), counted_as * present
    elif not normalize:
        counted_as = None
    # one weight for all columns of a row: read again and again, not stored again and again
    return Weights(np.broadcast_to(row[:, np.newaxis], (n_rows, n_out)), counted_as)

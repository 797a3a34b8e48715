"""y: what is accepted, and type and message of each refusal."""

from __future__ import annotations

import numpy as np
import pytest
from support.array import DTYPES, FLOAT32, Sparse, numbers
from support.refusal import refuses

from fastbp.check import target
from fastbp.loss import Loss


def check_y(y, n_rows, n_out, loss="mse", dtype=FLOAT32, **options):
    domain = Loss(loss).domain
    return target.check_y(y, n_rows=n_rows, n_out=n_out, domain=domain, dtype=dtype, **options)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("y", [np.arange(3.0), [0, 1, 2], np.arange(3.0)[:, None]], ids=str)
def test_one_output_takes_a_vector(y, dtype):
    result = check_y(y, 3, 1, dtype=dtype)
    assert result.shape == (3, 1) and result.dtype is dtype
    assert result.ravel().tolist() == [0, 1, 2]


def test_sparse():
    with refuses(TypeError, "sparse y is not supported; use y.toarray()"):
        check_y(Sparse(), 1, 1)


def test_right_targets_are_not_copied():
    y = numbers((5, 3)).astype(np.float32)
    assert np.shares_memory(check_y(y, 5, 3), y)


LABELS = [
    [2, 0, 1], (2, 0, 1), np.array([[2], [0], [1]]), np.array([2.0, 0, 1]),
    np.array([2, 0, 1], np.uint8), np.array([2, 0, 1], ">i8"), np.array([2, 0, 1], object),
    np.array([2, 0, 1], np.int32), np.array([1, 0, 0, 0, 2, 0])[::-2][:3] * 1 + [2, 0, 0],
]  # fmt: skip


@pytest.mark.parametrize("y", LABELS, ids=lambda y: f"{type(y).__name__} {np.asarray(y).dtype.str}")
def test_labels_become_a_private_int32_copy(y):
    result = check_y(y, 3, 3, "cross_entropy")
    assert result.dtype == np.int32 and result.shape == (3,) and result.flags.c_contiguous
    assert result.tolist() == np.asarray(y).ravel().tolist()
    assert not (isinstance(y, np.ndarray) and np.shares_memory(result, y))


def test_bool_labels():
    assert check_y([True, False], 2, 2, "cross_entropy").tolist() == [1, 0]


NUMBERED = (
    "classes, y = np.unique(y, return_inverse=True), then np.searchsorted(classes, y) for other y"
)
CLASSES = f"; class labels as numbers: {NUMBERED}"
OTHER_LOSS = '; for class labels use loss="cross_entropy"'
BIG = np.zeros(20, np.int64)
BIG[17] = 10
TARGETS = {
    "rows": (np.zeros(99), 100, 1, "mse", "X has 100 rows, y has 99"),
    "one row": (np.zeros(99), 1, 1, "mse", "X has 1 row, y has 99"),
    "columns": (np.zeros((3, 3)), 3, 2, "mse", "y has 3 columns, network has 2 outputs"),
    "one column": (np.full(3, 0.5), 3, 2, "mse", "y has 1 column, network has 2 outputs"),
    "column beyond": (np.full(3, 3.0), 3, 2, "mse", "y has 1 column, network has 2 outputs"),
    "column of nan": ([0, 1, np.nan], 3, 2, "mse", "y has 1 column, network has 2 outputs"),
    "column of labels": ([0, 1, 7], 3, 2, "half_sse",
                         "y has 1 column, network has 2 outputs" + OTHER_LOSS),
    "column of float labels": ([[0.0], [1], [2]], 3, 3, "mae",
                               "y has 1 column, network has 3 outputs" + OTHER_LOSS),
    "column of labels from 1": ([1.0, 2, 3], 3, 3, "huber",
                                "y has 1 column, network has 3 outputs" + OTHER_LOSS),
    "bce column of labels": ([0, 1, 2], 3, 3, "binary_cross_entropy",
                             "y has 1 column, network has 3 outputs" + OTHER_LOSS),
    "one output": (np.zeros((3, 2)), 3, 1, "mae", "y has 2 columns, network has 1 output"),
    "scalar": (3, 3, 1, "mse", "y must be 1-D (rows) or 2-D (rows, outputs), got 3"),
    "cube": (np.zeros((2, 1, 1)), 2, 1, "mse",
             "y must be 1-D (rows) or 2-D (rows, outputs), got shape (2, 1, 1)"),
    "nan": ([0, 1, np.nan], 3, 1, "mse", "Input y contains NaN (first at [2])"),
    "inf": ([[0, 1], [np.inf, 2]], 2, 2, "mse", "Input y contains infinity (first at [1, 0])"),
    "nan label": ([0, 1, np.nan], 3, 3, "cross_entropy", "Input y contains NaN (first at [2])"),
    "overflow": ([0, 1e300], 2, 1, "mse", "y[1] = 1e+300 does not fit float32"),
    "complex": ([1j], 1, 1, "mse", "Complex data not supported: y is complex128"),
    "text label": (["0", "cat"], 2, 2, "cross_entropy",
                   "could not convert y to float32: 'cat' at [1]" + CLASSES),
    "bytes label": (np.array([b"cat", b"dog"]), 2, 1, "binary_cross_entropy",
                    "could not convert y to float32: b'cat' at [0]" + CLASSES),
    "text of mse": (np.array(["cat", "dog"], object), 2, 1, "mse",
                    "could not convert y to float32: 'cat' at [0]" + OTHER_LOSS
                    + " and numbers: " + NUMBERED),
    "dict label": ([{}, {}], 2, 2, "cross_entropy", "could not convert y to float32: {} at [0]"),
    "label high": (BIG, 20, 10, "cross_entropy", "y[17] = 10 is outside 0..9"),
    "float label high": (BIG.astype(float), 20, 10, "cross_entropy", "y[17] = 10 is outside 0..9"),
    "label low": ([0, 1, -2], 3, 2, "cross_entropy", "y[2] = -2 is outside 0..1"),
    "labels from 1": ([1, 2, 3, 1], 4, 3, "cross_entropy",
                      "y[2] = 3 is outside 0..2; labels start at 0: pass y - 1"),
    "float labels from 1": ([2.0, 1], 2, 2, "cross_entropy",
                            "y[0] = 2 is outside 0..1; labels start at 0: pass y - 1"),
    "labels from 0 and beyond": ([0, 1, 2, 3], 4, 3, "cross_entropy", "y[3] = 3 is outside 0..2"),
    "labels -1 and 1": ([1, -1, 1], 3, 2, "cross_entropy",
                        "y[1] = -1 is outside 0..1; labels -1 and 1: pass (y + 1) // 2"),
    "labels -1, 0, 1": ([1, -1, 0], 3, 3, "cross_entropy", "y[1] = -1 is outside 0..2" + CLASSES),
    "labels with gaps": ([0, 5, 9, 5], 4, 3, "cross_entropy",
                         "y[1] = 5 is outside 0..2" + CLASSES),
    "gaps beyond the outputs": ([0, 5, 9, 7], 4, 3, "cross_entropy", "y[1] = 5 is outside 0..2"),
    "label column": ([[0], [5]], 2, 3, "cross_entropy", "y[1, 0] = 5 is outside 0..2"),
    "beyond int32": ([0, 2**32], 2, 2, "cross_entropy",
                     "y[1] = 4294967296 is outside 0..1" + CLASSES),
    "uint64": (np.array([0, 2**64 - 1], np.uint64), 2, 2, "cross_entropy",
               "y[1] = 18446744073709551615 is outside 0..1" + CLASSES),
    "int8": (np.array([0, -128], np.int8), 2, 1000, "cross_entropy",
             "y[1] = -128 is outside 0..999"),
    "huge float label": ([0, 1e20], 2, 2, "cross_entropy",
                         "y[1] = 1e+20 is outside 0..1" + CLASSES),
    "half label": ([0, 1, 0, 1.5], 4, 2, "cross_entropy", "y[3] = 1.5 is not a class index"),
    "sum": ([[1, 0], [0.5, 0.5], [1, 1]], 3, 2, "cross_entropy",
            "y[2] is not a distribution (sum 2)"),
    "negative": ([[1, 0], [1.5, -0.5]], 2, 2, "cross_entropy",
                 "y[1] is not a distribution (y[1, 1] = -0.5 < 0)"),
    "sum before negative": ([[1, 1], [1.5, -0.5]], 2, 2, "cross_entropy",
                            "y[0] is not a distribution (sum 2)"),
    "bce high": ([[0, 1], [1, 0], [3, 0]], 3, 2, "binary_cross_entropy",
                 "y[2, 0] = 3 is outside [0, 1]"),
    "bce low": ([0, -0.5], 2, 1, "binary_cross_entropy", "y[1] = -0.5 is outside [0, 1]"),
    "bce -1 and 1": ([[1, -1], [1, 1]], 2, 2, "binary_cross_entropy",
                     "y[0, 1] = -1 is outside [0, 1]; labels -1 and 1: pass (y + 1) / 2"),
    "bce 1 and 2": ([1, 2, 1], 3, 1, "binary_cross_entropy",
                    "y[1] = 2 is outside [0, 1]; labels start at 0: pass y - 1"),
    "bce two labels": ([0, 9, 9], 3, 1, "binary_cross_entropy",
                       "y[1] = 9 is outside [0, 1]" + CLASSES),
    "bce three labels": ([0, 1, 2], 3, 1, "binary_cross_entropy",
                         "y[2] = 2 is outside [0, 1]" + OTHER_LOSS),
    "masked": (np.ma.array([1.0, 2], mask=[0, 1]), 2, 1, "mse",
               "y has 1 masked value (first at [1])"),
}  # fmt: skip


@pytest.mark.parametrize("case", TARGETS)
def test_targets(case):
    y, n_rows, n_out, loss, text = TARGETS[case]
    with refuses(ValueError, text):
        check_y(y, n_rows, n_out, loss)


def test_distribution_within_a_thousandth():
    y = np.array([[0.2, 0.8005], [1, 0]])
    assert check_y(y, 2, 2, "cross_entropy").tolist() == y.astype(np.float32).tolist()


def test_check_finite_off_never_lets_a_wrong_class_through():
    for bad, shown in ((np.nan, "nan"), (np.inf, "inf")):
        with refuses(ValueError, f"y[1] = {shown} is not a class index"):
            check_y([0, bad], 2, 2, "cross_entropy", check_finite=False)
    for loss in ("mse", "binary_cross_entropy", "cross_entropy"):
        assert np.isnan(check_y([[0, np.nan]], 1, 2, loss, check_finite=False)[0, 1])

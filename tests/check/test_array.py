"""X: what is accepted, with which bits, and type and message of each refusal."""

from __future__ import annotations

import re
import tracemalloc
import warnings

import numpy as np
import pytest
from support.array import DTYPES, FLOAT32, FLOAT64, Sparse, frozen, numbers
from support.refusal import bad_input, refuses

from fastbp.check import input
from fastbp.check.array import blocks, first_nonfinite


def check_X(X, n_features=4, dtype=FLOAT32, **options):
    return input.check_X(X, n_features=n_features, dtype=dtype, **options)


class Frame:
    """What a data frame is to a reader: something with __array__."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype)


def unaligned(X):
    memory = np.zeros(X.nbytes + 1, dtype=np.uint8)
    view = memory[1:].view(X.dtype).reshape(X.shape)
    view[...] = X
    assert not view.flags.aligned
    return view


def record_field(X):
    """Stride of 5 elements less 3 bytes: aligned at best by luck, never in whole elements."""
    table = np.zeros(X.shape, dtype=[("a", X.dtype), ("b", "u1")])
    table["a"] = X
    return table["a"]


FORMS = {
    "list": lambda X: X.tolist(),
    "tuple": lambda X: tuple(map(tuple, X.tolist())),
    "list of arrays": lambda X: list(X),
    "frame": Frame,
    "frame of objects": lambda X: Frame(X.astype(object)),
    "bool": lambda X: X > 0,
    "int8": lambda X: X.astype(np.int8),
    "int64": lambda X: X.astype(np.int64),
    "uint64": lambda X: np.abs(X).astype(np.uint64),
    "float16": lambda X: X.astype(np.float16),
    "longdouble": lambda X: X.astype(np.longdouble),
    "object": lambda X: X.astype(object),
    "text": lambda X: X.astype(str),
    "bytes": lambda X: X.astype("S8"),
    "masked array": lambda X: X.astype(np.float32).view(np.ma.MaskedArray),
}
LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "reversed": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "every second": lambda X: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
    "zero stride": lambda X: np.broadcast_to(X[:1], X.shape),
    "unaligned": unaligned,
    "record": record_field,
    "big-endian": lambda X: X.astype(X.dtype.newbyteorder(">")),
    "read-only": frozen,
}


@bad_input("accepted kinds")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_forms_give_the_bits_of_a_contiguous_array(form, dtype):
    X = FORMS[form](numbers())
    expected = np.array(np.asarray(X).tolist()).astype(dtype)
    result = check_X(X, dtype=dtype)
    assert result.dtype is dtype and type(result) is np.ndarray
    assert np.array_equal(result, expected) and np.unique(result).size > 1


@bad_input("layout")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("source", DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout, source, dtype):
    X = LAYOUTS[layout](numbers().astype(source))
    before, flags = X.tobytes(), str(X.flags)
    result = check_X(X, dtype=dtype, isfinite=lambda array: -1)
    assert np.array_equal(result, X) and np.array_equal(result, check_X(X, dtype=dtype))
    assert result.dtype is dtype and result.dtype.isnative and result.flags.aligned
    assert all(stride % result.itemsize == 0 for stride in result.strides)
    must_copy = source != dtype or layout in ("unaligned", "record", "big-endian")
    assert np.shares_memory(result, X) is not must_copy
    assert X.tobytes() == before and str(X.flags) == flags


def test_right_array_is_not_wrapped():
    X = numbers().astype(np.float32)
    assert check_X(X, isfinite=lambda array: -1) is X
    assert check_X(X, check_finite=False) is X


def test_dtype_may_be_a_name():
    assert check_X(numbers(), dtype="float32").dtype == np.float32


def test_zero_rows():
    with refuses(
        ValueError,
        "Found array with 0 sample(s) (shape=(0, 4)) while a minimum of 1 is required.",
    ):
        check_X(np.zeros((0, 4), np.float32))

    def scan(array):
        raise AssertionError("scan of an empty array")

    for dtype in (np.float32, np.float64, object, np.int64):
        X = np.zeros((0, 4), dtype)
        assert check_X(X, minimum_rows=0, isfinite=scan).shape == (0, 4)


RESHAPE = (
    ". Reshape your data either using array.reshape(-1, 1) if your data has a single feature or "
    "array.reshape(1, -1) if it contains a single sample."
)
ODD_SHAPES = {
    "row": (np.zeros(4), "Expected 2D array, got 1D array instead: X has shape (4,)" + RESHAPE),
    "empty list": ([], "Expected 2D array, got 1D array instead: X has shape (0,)" + RESHAPE),
    "number": (3.0, "Expected 2D array, got scalar array instead: X is 3" + RESHAPE),
    "none": (None, "Expected 2D array, got scalar array instead: X is None" + RESHAPE),
    "dict": ({"a": 1}, "Expected 2D array, got scalar array instead: X is {'a': 1}" + RESHAPE),
    "cube": (np.zeros((2, 3, 4)), "X must be 2-D (rows, features), got shape (2, 3, 4)"),
    "no feature": (
        np.zeros((5, 0)),
        "Found array with 0 feature(s) (shape=(5, 0)) while a minimum of 1 is required.",
    ),
    "wide": (np.zeros((2, 5)), "X has 5 features, but Network is expecting 4 features as input."),
    "thin": (np.zeros((2, 1)), "X has 1 feature, but Network is expecting 4 features as input."),
}


@pytest.mark.parametrize("case", ODD_SHAPES)
def test_shapes(case):
    X, text = ODD_SHAPES[case]
    with refuses(ValueError, text):
        check_X(X)


def with_cell(value, dtype=object):
    X = numbers().astype(dtype)
    X[2, 1] = value
    return X


GAP = (
    "Input X contains NaN (first at [2, 1]); values are missing in 1 of 6 rows (column 1: 1): "
    "impute or drop them, e.g. sklearn.impute.SimpleImputer or df.dropna()"
)
CELLS = {
    "text": (with_cell("abc"), "could not convert X to float32: 'abc' at [2, 1]"),
    "str array": (with_cell("abc", "U8"), "could not convert X to float32: 'abc' at [2, 1]"),
    "mixed list": ([[1, 2, 3, 4], [1, 2, 3, "x"]], "could not convert X to float32: 'x' at [1, 3]"),
    "dict": (with_cell({"a": 1}), "could not convert X to float32: {'a': 1} at [2, 1]"),
    "none": (with_cell(None), GAP),
    "long text": (with_cell("a" * 99),
                  "could not convert X to float32: '" + "a" * 56 + "... at [2, 1]"),
    "complex cell": (with_cell(1j), "Complex data not supported: X[2, 1] = 1j"),
    "numpy complex cell": (with_cell(np.complex64(2)),
                           "Complex data not supported: X[2, 1] = (2+0j)"),
    "complex": (numbers().astype(complex), "Complex data not supported: X is complex128"),
    "huge int": (with_cell(10**400),
                 "X[2, 1] = 1" + "0" * 56 + "... does not fit float32"),
    "unprintable int": (with_cell(10**5000), "X[2, 1] = <int> does not fit float32"),
    "date": (np.full((2, 4), "2020-01-01", "M8[D]"),
             "could not convert X to float32: datetime.date(2020, 1, 1) at [0, 0]"),
    "duration": (np.full((2, 4), 3, "m8[s]"),
                 "could not convert X to float32: datetime.timedelta(seconds=3) at [0, 0]"),
    "ragged": ([[1, 2], [3, 4], [5]],
               "could not convert X to float32: row 2 has length 1, row 0 has 2"),
    "mixed depth": ([[1, 2], 3], "could not convert X to float32: it mixes numbers and rows "
                    "(first at [1])"),
    "masked": (np.ma.array(numbers(), mask=numbers() > 11), "X has 5 masked values "
               "(first at [4, 3])"),
    "masked row": ([np.ma.array([1.0, 2, 3, 4], mask=[0, 1, 0, 0])], "X has 1 masked value"),
    "too big": (with_cell(1e300, float), "X[2, 1] = 1e+300 does not fit float32"),
    "too big for rounding": (with_cell(-3.5e38, float), "X[2, 1] = -3.5e+38 does not fit float32"),
    "too big text": (with_cell("1e300"), "X[2, 1] = 1e+300 does not fit float32"),
    "nan": (with_cell(np.nan, float), GAP),
    "inf": (with_cell(np.inf, np.float32), "Input X contains infinity (first at [2, 1])"),
    "-inf": (with_cell(-np.inf, np.float16), "Input X contains infinity (first at [2, 1])"),
    "text nan": (with_cell("nan", "U8"), GAP),
}  # fmt: skip


@pytest.mark.parametrize("case", CELLS)
def test_cells(case):
    X, text = CELLS[case]
    with refuses(ValueError, text):
        check_X(X)


def test_overflow_is_refused_without_the_scan_and_before_nan():
    X = with_cell(1e300, float)
    X[0, 0] = np.nan
    for check_finite in (True, False):
        with refuses(ValueError, "X[2, 1] = 1e+300 does not fit float32"):
            check_X(X, check_finite=check_finite)
    assert check_X(with_cell(1e300, float), dtype=FLOAT64)[2, 1] == 1e300


def test_longdouble_overflow():
    if np.finfo(np.longdouble).max == np.finfo(np.float64).max:
        pytest.skip("long double is double here")
    X = with_cell(np.longdouble("1e4000"), np.longdouble)
    with refuses(ValueError, "X[2, 1] = 1e+4000 does not fit float64"):
        check_X(X, dtype=FLOAT64)


def test_subnormals_pass_and_tiny_values_become_zero():
    assert check_X(with_cell(1e-310, float), dtype=FLOAT64)[2, 1] == 1e-310
    assert check_X(with_cell(1e-310, float))[2, 1] == 0


def test_check_finite_off():
    for dtype in (np.float32, np.float64, object):
        result = check_X(with_cell(np.nan, dtype), check_finite=False)
        assert np.isnan(result[2, 1])


def test_name_is_in_the_message():
    with refuses(ValueError, "Input validation X contains NaN (first at [2, 1])"):
        check_X(with_cell(np.nan, float), name="validation X")


def test_sparse():
    with refuses(TypeError, "sparse X is not supported; use X.toarray()"):
        check_X(Sparse())


def test_unmasked_masked_array_passes():
    assert type(check_X(np.ma.array(numbers(), mask=False))) is np.ndarray


@pytest.mark.parametrize("layout", LAYOUTS)
def test_hook_gets_a_readable_array_and_its_index_is_reported(layout):
    if layout == "zero stride":
        pytest.skip("one row is every row")
    X = LAYOUTS[layout](with_cell(np.inf, np.float64))
    seen = []

    def scan(array):
        seen.append(array)
        return first_nonfinite(array)

    with refuses(ValueError, "Input X contains infinity (first at [2, 1])"):
        check_X(X, dtype=FLOAT64, isfinite=scan)
    assert all(array.dtype is FLOAT64 and array.flags.aligned for array in seen) and seen


@pytest.mark.parametrize("shape", [(1, 3), (3000, 300), (2, 600_000), (700_001,), (1_000_000, 1)])
def test_blocks_cover_every_value_once_in_order(shape):
    flat = np.arange(np.prod(shape)).reshape(shape)
    parts = [(start, flat[piece]) for start, piece in blocks(shape)]
    assert all(part.flat[0] == start for start, part in parts)
    assert np.array_equal(np.concatenate([part.ravel() for _, part in parts]), flat.ravel())


@pytest.mark.parametrize("shape", [(4000, 800), (2, 1_500_000), (3_000_000, 1)])
def test_scan_allocates_at_most_a_megabyte(shape):
    X = np.ones(shape, np.float32)
    last = tuple(n - 1 for n in shape)
    tracemalloc.start()
    try:
        check_X(X, n_features=shape[1])
        X[last] = np.nan
        where = re.escape(f"(first at [{last[0]}, {last[1]}])")
        with pytest.raises(ValueError, match=rf"^Input X contains NaN {where}"):
            check_X(X, n_features=shape[1])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_100_000


def test_no_warning_leaks_from_a_conversion():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="does not fit"):
            check_X(with_cell(1e300, float))
        check_X(with_cell(1e-300, float))

"""Data frames by what they have in common: names of columns, gaps, rows by number."""

import copy
import pickle

import numpy as np
import pytest
from support.network_state import digest
from support.refusal import bad_input

import fastbp as fb
from fastbp.check.frame import check_feature_names, column_names

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3))
Y = RNG.integers(0, 2, 40)
NAMES = ("age", "height", "weight")


def frame(library: str, data: np.ndarray = X, names=NAMES):
    module = pytest.importorskip(library)
    columns = dict(zip(names, data.T, strict=True))
    if library == "pyarrow":
        return module.table(columns)
    return module.DataFrame(columns)


def network(**options) -> fb.Network:
    return fb.Network([3, 4, 2], loss="cross_entropy", seed=0, **options)


each_library = pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])


@each_library
def test_a_frame_is_its_array(library, backend):
    net, expected = network(backend=backend), network(backend=backend)
    table = frame(library)
    net.fit(table, Y, epochs=2, validation_data=(table, Y))
    expected.fit(X, Y, epochs=2)
    assert digest(net) == digest(expected)
    assert np.array_equal(net.predict(table), expected.predict(X))
    assert net.evaluate(table, Y) == expected.evaluate(X, Y)
    assert net.feature_names == NAMES
    assert net(X[:1]).shape == (1, 2)  # arrays pass


@each_library
def test_split_of_a_frame(library):
    net, expected = network(), network()
    past = net.fit(frame(library), Y, validation_split=0.2).history
    assert past == expected.fit(X, Y, validation_split=0.2).history
    assert net.feature_names == NAMES and expected.feature_names is None


@each_library
def test_chunks_that_are_frames(library):
    net, expected = network(), network()
    net.fit([(frame(library, X[:9]), Y[:9]), (frame(library, X[9:]), Y[9:])], shuffle=False)
    expected.fit(X, Y, shuffle=False)
    assert digest(net) == digest(expected) and net.feature_names == NAMES
    with pytest.raises(ValueError, match="^chunk 1: The feature names should match"):
        net.fit([(frame(library), Y), (frame(library, X, NAMES[::-1]), Y)])


MATCH = "The feature names should match those that were passed during fit.\n"
OTHERS = {
    "order": (("height", "age", "weight"),
              MATCH + "Feature names must be in the same order as they were in fit.\n"),
    "another": (("age", "height", "size"),
                MATCH + "Feature names unseen at fit time:\n- size\n"
                "Feature names seen at fit time, yet now missing:\n- weight\n"),
}  # fmt: skip


@bad_input("feature names")
@each_library
@pytest.mark.parametrize("case", OTHERS)
def test_other_columns_are_refused(case, library, backend):
    names, text = OTHERS[case]
    net = network(backend=backend)
    net.fit(frame(library), Y)
    before, other = digest(net), frame(library, X, names)
    calls = [
        lambda: net.predict(other), lambda: net(other), lambda: net.predict_classes(other),
        lambda: net.evaluate(other, Y), lambda: net.train_on_batch(other, Y),
        lambda: net.train_steps(other, Y, steps=1), lambda: net.forward(other),
        lambda: net.predictor(batch_size=40)(other),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ValueError) as caught:
            call()
        assert str(caught.value) == text
    with pytest.raises(ValueError) as caught:
        net.fit(frame(library), Y, validation_data=(other, Y))
    assert str(caught.value) == f"validation_data: {text}"
    assert digest(net) == before
    net.fit(other, Y)  # another fit, other names; as in scikit-learn
    assert net.feature_names == names
    net.fit(X, Y)
    assert net.feature_names is None
    net.predict(frame(library))


def test_messages_are_those_of_scikit_learn():
    base = pytest.importorskip("sklearn.linear_model")
    pytest.importorskip("pandas")
    model = base.LinearRegression().fit(frame("pandas"), Y)
    for names, text in [*OTHERS.values(), (tuple("abc"), None)]:
        with pytest.raises(ValueError) as expected:
            model.predict(frame("pandas", X, names))
        with pytest.raises(ValueError) as caught:
            check_feature_names(frame("pandas", X, names), NAMES)
        assert str(caught.value) == str(expected.value)
        assert text is None or str(caught.value) == text


def test_names_stay_with_copies():
    pytest.importorskip("pandas")
    net = network()
    net.fit(frame("pandas"), Y)
    for twin in (net.copy(), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin.feature_names == NAMES


def test_names_that_are_none():
    pandas = pytest.importorskip("pandas")
    assert column_names(pandas.DataFrame(X)) is None
    assert column_names(X) is None and column_names([[1, 2]]) is None
    assert column_names(pandas.DataFrame(X, columns=["a", "b", 3])) is None
    assert column_names(pandas.DataFrame(X, columns=list("abc"))) == ("a", "b", "c")


GAPS = (
    "Input X contains NaN (first at [2, 1]); values are missing in 3 of 40 rows (column 1 "
    "('height'): 2, column 2 ('weight'): 1): impute or drop them, e.g. "
    "sklearn.impute.SimpleImputer or df.dropna()"
)


@bad_input("X not finite")
@each_library
def test_missing_values_are_counted_by_name(library, backend):
    holed = X.copy()
    holed[[2, 5], 1] = np.nan
    holed[7, 2] = np.nan
    net = network(backend=backend)
    for call in (lambda x: net.fit(x, Y), net.predict, lambda x: net.train_on_batch(x, Y)):
        with pytest.raises(ValueError) as caught:
            call(frame(library, holed))
        assert str(caught.value) == GAPS


@bad_input("X not finite")
@each_library
def test_nulls_are_missing_values(library):
    module = pytest.importorskip(library)
    column = [1, None, 3, 4]
    if library == "pandas":
        table = module.DataFrame({"a": module.array(column, "Int64"), "b": [1, 2, 3, 4]})
    elif library == "polars":
        table = module.DataFrame({"a": column, "b": [1, 2, 3, 4]})
    else:
        table = module.table({"a": column, "b": [1, 2, 3, 4]})
    net = fb.Network([2, 1], seed=0)
    text = r"^Input X contains NaN \(first at \[1, 0\]\); values are missing in 1 of 4 rows "
    with pytest.raises(ValueError, match=text + r"\(column 0 \('a'\): 1\)"):
        net.predict(table)


@each_library
def test_series_as_targets(library):
    table = frame(library)
    column = table["age"]
    net, expected = (fb.Network([3, 1], seed=0) for _ in range(2))
    net.fit(table, column)
    expected.fit(X, X[:, 0])
    assert digest(net) == digest(expected)
    net.train_on_batch(table, column, ignore_nan=False)


def test_wide_gaps_are_not_counted():
    wide = np.full((2, 5000), np.nan)
    net = fb.Network([5000, 1], seed=0)
    with pytest.raises(ValueError, match=r"\(first at \[0, 0\]\): impute or drop them, e.g. skle"):
        net.predict(wide)


def test_a_row_of_a_frame_has_names_too(backend):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=NAMES)
    net = fb.Network([3, 1], loss="binary_cross_entropy", seed=0, backend=backend)
    net.fit(table, Y)
    assert np.array_equal(net(table.iloc[0]), net(X[0])) and net.predict(X[0]).shape == (1,)
    with pytest.raises(ValueError, match="must be in the same order"):
        net(table.iloc[0][["weight", "height", "age"]])

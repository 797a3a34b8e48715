"""The estimators among scikit-learn's other parts, with labels and matrices of every kind."""

from __future__ import annotations

import copy
import io
import pickle
import tracemalloc
from typing import Any

import joblib
import numpy as np
import pytest
import scipy.sparse
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from support.tolerance import ESTIMATOR_LBFGS, ESTIMATOR_SINGLE, assert_agrees

import fastbp as fb
from fastbp.sklearn import (
    MLPClassifier,
    MLPDistributionRegressor,
    MLPQuantileRegressor,
    MLPRegressor,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning"),
]


@pytest.fixture(scope="module")
def iris() -> tuple[Any, Any]:
    return load_iris(return_X_y=True)


@pytest.mark.parametrize(
    "estimator",
    [MLPClassifier(), MLPRegressor(), MLPQuantileRegressor(), MLPDistributionRegressor()],
    ids=str,
)
def test_check_estimator(estimator: Any) -> None:
    found = check_estimator(estimator, on_skip=None)
    assert len(found) > 50 and {one["status"] for one in found} <= {"passed", "skipped"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "estimator",
    [MLPClassifier(scale=True, max_iter=20), MLPRegressor(scale=True, ema=0.9),
     MLPRegressor(solver="sgd", momentum=0.5, learning_rate="adaptive"),
     MLPClassifier(dtype="float64", monitor="loss"),
     MLPQuantileRegressor(0.4, scale=True),
     # on 15 rows the variance collapses, and later the last digit of X grows to the sixth
     MLPDistributionRegressor(scale=True, ema=0.9, max_iter=100)],
    ids=str,
)  # fmt: skip
def test_check_estimator_with_options(estimator: Any) -> None:
    test_check_estimator(estimator)


# labels


@pytest.mark.parametrize(
    "names",
    [["setosa", "versicolor", "virginica"], [1, 2, 3], [-1.0, 0.0, 1.0], [5, 50, 500]],
    ids=str,
)
def test_labels_come_back_as_they_were(names: list[Any], iris: Any) -> None:
    X, y = iris[0], np.array(names)[iris[1]]
    model = MLPClassifier(random_state=0, scale=True).fit(X, y)
    assert model.classes_.tolist() == names and model.out_activation_ == "softmax"
    assert model.predict(X).dtype == y.dtype and model.score(X, y) > 0.9
    assert model.predict_proba(X).shape == (150, 3)
    assert_agrees(model.predict_proba(X).sum(axis=1), np.ones(150), within=ESTIMATOR_SINGLE)


@pytest.mark.parametrize("names", [["no", "yes"], [False, True], [-1, 1], [2, 4]], ids=str)
def test_two_classes(names: list[Any], iris: Any) -> None:
    X, y = iris[0][:100], np.array(names)[iris[1][:100]]
    model = MLPClassifier(random_state=0, scale=True).fit(X, y)
    assert model.n_outputs_ == 1 and model.score(X, y) == 1
    np.testing.assert_array_equal(model.classes_, names)
    assert model.predict_proba(X)[y == names[1], 1].min() > 0.5


def test_one_class_several_labels_several_outputs(iris: Any) -> None:
    X, y = iris
    alone = MLPClassifier(max_iter=5).fit(X[:10], ["only"] * 10)
    assert set(alone.predict(X)) == {"only"}
    labels = np.stack([y == 0, y == 2], axis=1).astype(int)
    several = MLPClassifier(random_state=0, scale=True).fit(X, labels)
    assert several.score(X, labels) > 0.9 and several.predict(X).shape == (150, 2)
    assert several.predict_proba(X).shape == (150, 2)
    sparse = several.fit(X, scipy.sparse.csr_matrix(labels)).predict(X)
    assert sparse.shape == (150, 2)
    outputs = MLPRegressor(solver="lbfgs", random_state=0, scale=True, max_iter=300).fit(
        X, X[:, :2]
    )
    assert outputs.predict(X).shape == (150, 2) and outputs.score(X, X[:, :2]) > 0.9


# sparse matrices


@pytest.mark.parametrize(
    ("solver", "kind"),
    [("adam", "csr_matrix"), ("adam", "csc_matrix"), ("adam", "coo_matrix"), ("adam", "csr_array"),
     ("lbfgs", "csr_matrix")],
)  # fmt: skip
@pytest.mark.parametrize("large", [False, True], ids=["dense copy", "by rows"])
def test_sparse_is_dense(
    kind: str, large: bool, solver: str, iris: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = np.where(iris[0] < 2, 0, iris[0]), iris[1]
    options = {"random_state": 0, "max_iter": 20, "batch_size": 40, "solver": solver}
    weight = np.arange(150) % 3 + 1.0
    dense = MLPClassifier(**options).fit(X, y, sample_weight=weight)
    if large:
        monkeypatch.setattr("fastbp.sklearn.rows.MOST_BYTES", 0)
        monkeypatch.setattr("fastbp.sklearn.rows.PART_BYTES", 2000)
        monkeypatch.setattr("fastbp.sklearn.lbfgs._ROWS_AT_ONCE", 64)
    given = getattr(scipy.sparse, kind)(X)
    sparse = MLPClassifier(**options).fit(given, y, sample_weight=weight)
    if solver == "adam":
        np.testing.assert_array_equal(sparse.coefs_[0], dense.coefs_[0])
        np.testing.assert_array_equal(sparse.predict_proba(given), dense.predict_proba(X))
        assert_agrees(sparse.loss_curve_, dense.loss_curve_)
    else:
        assert_agrees(sparse.coefs_[0], dense.coefs_[0], within=ESTIMATOR_LBFGS)


def test_sparse_with_early_stopping_and_scaling(iris: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastbp.sklearn.rows.MOST_BYTES", 0)
    monkeypatch.setattr("fastbp.sklearn.rows.PART_BYTES", 2000)
    X = scipy.sparse.csr_matrix(np.where(iris[0] < 2, 0, iris[0]))
    for monitor in ("score", "loss"):
        model = MLPClassifier(
            random_state=0, early_stopping=True, scale=True, monitor=monitor, max_iter=80
        ).fit(X, iris[1])
        assert model.score(X, iris[1]) > 0.8 and len(model.validation_scores_) == model.n_iter_


@pytest.mark.slow
def test_a_large_sparse_matrix_is_never_dense() -> None:
    """2 GB if it were."""
    rng = np.random.default_rng(0)
    X = scipy.sparse.random_array((5000, 100_000), density=1e-4, format="csr", rng=rng)
    y = rng.normal(size=5000)
    model = MLPRegressor(hidden_layer_sizes=(4,), max_iter=1, random_state=0)
    tracemalloc.start()
    try:
        model.fit(X, y).predict(X[:500])
        assert tracemalloc.get_traced_memory()[1] < 500e6
    finally:
        tracemalloc.stop()


# in scikit-learn's company


def test_copies_answer_alike_and_train_on_alike(iris: Any) -> None:
    X, y = iris
    model = MLPClassifier(random_state=0, scale=True, max_iter=5).fit(X, y)
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), joblib.load(file)):
        np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
        before = twin.coefs_[0].copy()
        twin.coefs_[0][...] = 0
        assert (twin.network_.get_weights()[0] == 0).all()
        twin.coefs_[0] = before
        np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
        twin.partial_fit(X, y)
    model.partial_fit(X, y)
    np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
    fresh = clone(model)
    assert fresh.get_params() == model.get_params() and not hasattr(fresh, "network_")


@pytest.mark.slow
def test_searches_and_scores(iris: Any) -> None:
    X, y = iris
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(random_state=0, max_iter=60))
    assert cross_val_score(pipeline, X, y, n_jobs=2).mean() > 0.85
    grid = {"mlpclassifier__alpha": [1e-4, 1.0], "mlpclassifier__activation": ["tanh", "gelu"]}
    assert GridSearchCV(pipeline, grid, cv=3, n_jobs=2).fit(X, y).best_score_ > 0.85
    halving = HalvingGridSearchCV(MLPClassifier(random_state=0), {"alpha": [0.1, 1.0]}, cv=2)
    assert halving.fit(X, y).best_params_
    calibrated = CalibratedClassifierCV(MLPClassifier(random_state=0, scale=True), cv=3)
    assert calibrated.fit(X, y).score(X, y) > 0.85


def test_frames(iris: Any) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(iris[0], columns=["a", "b", "c", "d"])
    frame["kind"] = np.array(["x", "y"])[np.arange(150) % 2]
    columns = ColumnTransformer(
        [("number", StandardScaler(), ["a", "b", "c", "d"]),
         ("kind", OneHotEncoder(sparse_output=False), ["kind"])]
    ).set_output(transform="pandas")  # fmt: skip
    model = make_pipeline(columns, MLPClassifier(random_state=0)).fit(frame, iris[1])
    assert model.score(frame, iris[1]) > 0.9
    names = model[-1].feature_names_in_.tolist()
    assert names == [f"number__{c}" for c in "abcd"] + ["kind__kind_x", "kind__kind_y"]
    assert "MLPClassifier" in model._repr_html_()
    with pytest.raises(ValueError, match="feature names should match"):
        model[-1].predict(pandas.DataFrame(np.zeros((2, 6)), columns=list("abcdef")))


def test_metadata_routing(iris: Any) -> None:
    X, y = iris
    weight = np.where(y == 2, 0.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        model = MLPClassifier(random_state=0, scale=True).set_fit_request(sample_weight=True)
        found = cross_validate(
            model.set_score_request(sample_weight=True), X, y, params={"sample_weight": weight},
            return_estimator=True,
        )  # fmt: skip
    assert found["test_score"].min() == 1
    assert (found["estimator"][0].predict(X) == 2).mean() < 0.1


def test_a_run_without_an_end_is_told(iris: Any) -> None:
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\) reached"):
        MLPClassifier(max_iter=2).fit(*iris)
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge"):
        MLPClassifier(solver="lbfgs", max_iter=2).fit(*iris)


def test_the_network_is_a_network(iris: Any) -> None:
    X, y = iris
    model = MLPClassifier((8, 5), random_state=0, scale=False).fit(X, y)
    assert isinstance(model.network_, fb.Network)
    np.testing.assert_array_equal(model.network_.predict(X), model.predict_proba(X))
    assert [c.shape for c in model.coefs_] == [(4, 8), (8, 5), (5, 3)]
    assert model.network_.history["loss"] == model.loss_curve_

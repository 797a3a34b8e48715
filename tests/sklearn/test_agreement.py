"""The same numbers as scikit-learn's own estimators: parameters, losses, epochs, scores."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import sklearn.neural_network
from support.mark import slow_but
from support.tolerance import (
    ESTIMATOR,
    ESTIMATOR_LBFGS,
    ESTIMATOR_PENALTY,
    ESTIMATOR_SINGLE,
    assert_agrees,
)

import fastbp.sklearn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

KINDS = ["classes", "binary", "labels", "regression", "outputs", "counts"]
ROWS, BATCH = 23, 5  # five steps an epoch, the last on three rows
SOLVERS: dict[str, dict[str, Any]] = {
    "adam": {},
    "adam, other numbers": {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 0.01},
    "sgd": {"solver": "sgd", "momentum": 0.0, "nesterovs_momentum": False},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False},
    "nesterov": {"solver": "sgd"},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3},
    "adaptive": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "tol": 10.0,
        "n_iter_no_change": 2,
        "learning_rate_init": 0.1,
    },
}


def table(kind: str, n: int = ROWS) -> tuple[str, Any, Any]:
    """The class of the estimator, X and y."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(n, 6))
    if kind == "regression":
        return "MLPRegressor", X, X[:, 0] + rng.normal(size=n)
    if kind == "outputs":
        return "MLPRegressor", X, np.stack([X[:, 0], X[:, 1] ** 2, rng.normal(size=n)], axis=1)
    if kind == "counts":
        return "MLPRegressor", X, rng.poisson(np.exp(X[:, :2])).astype(float)
    if kind == "labels":
        return "MLPClassifier", X, (X[:, :3] + rng.normal(size=(n, 3)) > 0).astype(int)
    n_classes = 2 if kind == "binary" else 3
    return "MLPClassifier", X, np.array([3, 5, 7])[np.arange(n) % n_classes]


def pair(kind: str, **options: Any) -> list[Any]:
    """scikit-learn's estimator and ours."""
    name = table(kind)[0]
    given = {"hidden_layer_sizes": (7, 4), "random_state": 3, **options}
    if kind == "counts":
        given["loss"] = "poisson"
    theirs = getattr(sklearn.neural_network, name)(**given)
    return [theirs, getattr(fastbp.sklearn, name)(dtype="float64", **given)]


def assert_alike(theirs: Any, ours: Any) -> None:
    for name in ("coefs_", "intercepts_"):
        for want, got in zip(getattr(theirs, name), getattr(ours, name), strict=True):
            assert_agrees(got, want)
    names = ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_")
    assert [getattr(ours, name) for name in names] == [getattr(theirs, name) for name in names]


@pytest.mark.parametrize("weighted", [False, True], ids=["rows", "weights"])
@pytest.mark.parametrize("kind", slow_but(["classes", "regression"], KINDS))
@pytest.mark.parametrize("solver", SOLVERS)
def test_parameters_after_1_10_and_100_steps(solver: str, kind: str, weighted: bool) -> None:
    _, X, y = table(kind)
    weight = np.random.default_rng(1).uniform(0.5, 2, ROWS) if weighted else None
    options = {"n_iter_no_change": 1000, "tol": 0.0, "alpha": 0.7, **SOLVERS[solver]}
    if kind == "outputs":  # of which the penalty in the reported loss is only near
        options["alpha"] = 1e-3
    for steps, batch_size, epochs in [(1, ROWS, 1), (10, BATCH, 2), (100, BATCH, 20)]:
        both = pair(kind, batch_size=batch_size, max_iter=epochs, **options)
        for model in both:
            model.fit(X, y, sample_weight=weight)
        assert both[1].network_.steps == steps
        assert_alike(*both)
        if not weighted:
            within = ESTIMATOR_PENALTY if kind == "outputs" and steps > 1 else ESTIMATOR
            assert_agrees(both[1].loss_curve_, both[0].loss_curve_, within=within)
    start = pair(kind, max_iter=1, learning_rate_init=1e-12)[1].fit(X, y)
    assert np.abs(both[1].coefs_[0] - start.coefs_[0]).max() > 0.001  # 100 steps went somewhere


@pytest.mark.parametrize("kind", ["classes", "binary", "labels", "regression", "counts"])
@pytest.mark.parametrize(
    "options",
    [
        {"tol": 0.02, "n_iter_no_change": 3},
        {"tol": 0.02, "n_iter_no_change": 3, "shuffle": False},
        {"early_stopping": True, "validation_fraction": 0.3, "n_iter_no_change": 4},
        {"early_stopping": True, "validation_fraction": 0.3, "tol": 0.1, "alpha": 3.0},
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 1},
    ],
    ids=str,
)
def test_training_ends_after_the_same_epoch(kind: str, options: dict[str, Any]) -> None:
    _, X, y = table(kind, 60)
    both = pair(kind, batch_size=16, learning_rate_init=0.02, max_iter=150, **options)
    for model in both:
        model.fit(X, y)
    assert_alike(*both)
    theirs, ours = both
    assert_agrees(ours.loss_curve_, theirs.loss_curve_)
    if options.get("early_stopping"):
        assert_agrees(ours.validation_scores_, theirs.validation_scores_)
        assert ours.best_validation_score_ == max(ours.validation_scores_)
        assert ours.best_loss_ is None
    else:
        assert ours.best_loss_ == min(ours.loss_curve_) and ours.validation_scores_ is None


def test_early_stopping_with_weights_and_one_output() -> None:
    _, X, y = table("regression", 60)
    weight = np.random.default_rng(2).uniform(0, 2, 60)
    both = pair("regression", early_stopping=True, validation_fraction=0.3, max_iter=40)
    for model in both:
        model.fit(X, y, sample_weight=weight)
    assert_alike(*both)
    expected = both[0].validation_scores_
    assert_agrees(both[1].validation_scores_, expected)


@pytest.mark.parametrize("kind", ["classes", "labels", "regression"])
@pytest.mark.parametrize("solver", ["adam", "adaptive", "invscaling"])
def test_partial_fit_and_warm_start(kind: str, solver: str) -> None:
    _, X, y = table(kind)
    first: dict[str, Any] = {}
    if kind == "classes":
        first["classes"] = [3, 5, 7]
    elif kind == "labels":
        first["classes"] = [0, 1, 2]
    both = pair(kind, batch_size=BATCH, **SOLVERS[solver])
    for model in both:
        model.partial_fit(X, y, **first)
        for _ in range(4):
            model.partial_fit(X[:10], y[:10])
    assert_alike(*both)
    assert len(both[1].loss_curve_) == 5
    with_alpha = [copy.deepcopy(both[0]), pickle.loads(pickle.dumps(both[1]))]
    for model in with_alpha:
        model.set_params(alpha=2.0).partial_fit(X, y).partial_fit(X, y)
    assert_alike(*with_alpha)
    both = pair(kind, batch_size=BATCH, max_iter=3, warm_start=True, **SOLVERS[solver])
    for model in both:
        model.fit(X, y).fit(X, y)
    assert_alike(*both)
    assert_agrees(both[1].loss_curve_, both[0].loss_curve_)


def test_another_solver_or_rule_after_a_fit() -> None:
    _, X, y = table("classes", 60)
    ours = pair("classes", solver="lbfgs", max_iter=5)[1].fit(X, y)
    ours.set_params(solver="adam").partial_fit(X, y)
    assert type(ours.network_.optimizer).__name__ == "Adam" and len(ours.loss_curve_) == 1
    ours.set_params(warm_start=True, early_stopping=True, validation_fraction=0.3).fit(X, y)
    assert ours.best_loss_ is None and len(ours.validation_scores_) == ours.n_iter_
    ours.set_params(early_stopping=False).fit(X, y)
    assert ours.best_loss_ == min(ours.loss_curve_)
    ours.set_params(hidden_layer_sizes=(3,))
    with pytest.raises(ValueError, match="coefs_ have shapes"):
        ours.fit(X, y)


@pytest.mark.parametrize("kind", ["classes", "binary", "labels", "regression", "counts"])
@pytest.mark.parametrize("weighted", [False, True], ids=["rows", "weights"])
def test_lbfgs(kind: str, weighted: bool) -> None:
    _, X, y = table(kind, 60)
    weight = np.random.default_rng(2).uniform(0.5, 2, 60) if weighted else None
    both = pair(kind, solver="lbfgs", max_iter=7, activation="tanh", alpha=0.5)
    for model in both:
        model.fit(X, y, sample_weight=weight)
    theirs, ours = both
    assert ours.n_iter_ == theirs.n_iter_
    assert_agrees(ours.loss_, theirs.loss_, within=ESTIMATOR_LBFGS)
    for want, got in zip(theirs.coefs_, ours.coefs_, strict=True):
        assert_agrees(got, want, within=ESTIMATOR_LBFGS)
    assert hasattr(ours, "partial_fit") == hasattr(theirs, "partial_fit")
    assert not hasattr(ours, "loss_curve_")


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_model_says(kind: str) -> None:
    _, X, y = table(kind, 60)
    theirs, ours = (model.fit(X, y) for model in pair(kind, max_iter=30))
    if kind in ("regression", "outputs", "counts"):
        assert_agrees(ours.predict(X), theirs.predict(X))
    else:
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert_agrees(ours.score(X, y), theirs.score(X, y))
    if hasattr(theirs, "predict_proba"):
        assert ours.predict(X).dtype == theirs.predict(X).dtype
        assert_agrees(ours.predict_proba(X), theirs.predict_proba(X))
        assert_agrees(ours.predict_log_proba(X), theirs.predict_log_proba(X))
        np.testing.assert_array_equal(ours.classes_, theirs.classes_)


def test_single_precision_scores_as_well() -> None:
    _, X, y = table("classes", 300)
    for model in pair("classes", max_iter=50):
        model.fit(X, y)
        ours = fastbp.sklearn.MLPClassifier((7, 4), random_state=3, max_iter=50).fit(X, y)
        assert ours.network_.dtype == np.float32
        assert_agrees(ours.predict_proba(X), model.predict_proba(X), within=ESTIMATOR_SINGLE)


def test_verbose_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    _, X, y = table("classes", 60)
    said = []
    options = {"tol": 0.5, "n_iter_no_change": 2, "verbose": True, "max_iter": 60}
    for more in ({}, {"early_stopping": True}, {"solver": "sgd", "learning_rate": "adaptive"}):
        for model in pair("classes", **options, **more):
            model.fit(X, y)
            said.append(capsys.readouterr().out)
    assert said[0] == said[1] and said[2] == said[3] and said[4] == said[5]
    assert "Stopping." in said[0] and "Validation score" in said[2]
    assert "Setting learning rate to" in said[4]

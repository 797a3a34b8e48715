"""Quantiles and normal distributions: beside `Network`, scikit-learn's scores and known ones."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.metrics import d2_pinball_score, mean_pinball_loss, r2_score
from sklearn.model_selection import GridSearchCV
from support.mark import slow_but
from support.tolerance import (
    CALIBRATED_DEVIATION,
    CALIBRATED_SHARE,
    ESTIMATOR,
    ESTIMATOR_SINGLE,
    assert_agrees,
)

import fastbp as fb
from fastbp.sklearn import MLPDistributionRegressor, MLPQuantileRegressor, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LEVELS = [0.1, 0.5, 0.9]
MODELS = {
    "level": MLPQuantileRegressor(0.8, random_state=0),
    "levels": MLPQuantileRegressor(LEVELS, random_state=0),
    "distribution": MLPDistributionRegressor(random_state=0),
}


def table(seed: int, n: int = 4000) -> tuple[Any, Any, Any]:
    """Rows, targets, and the deviation of each target."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, size=(n, 1))
    deviation = 50 * (0.3 + 0.2 * np.abs(X[:, 0]))
    return X, 1000 + 50 * np.sin(X[:, 0]) + deviation * rng.normal(size=n), deviation


@pytest.mark.parametrize("solver", slow_but(["adam"], ["adam", "lbfgs"]))
def test_calibration(solver: str) -> None:
    X, y, _ = table(0)
    new, known, deviation = table(1)
    model = MLPQuantileRegressor(LEVELS, solver=solver, random_state=0).fit(X, y)
    below = (known[:, np.newaxis] < model.predict(new)).mean(axis=0)
    assert np.abs(below - LEVELS).max() < CALIBRATED_SHARE
    for level in LEVELS:
        alone = MLPQuantileRegressor(level, solver=solver, random_state=0).fit(X, y)
        assert abs((known < alone.predict(new)).mean() - level) < CALIBRATED_SHARE
    mean, std = (
        MLPDistributionRegressor(solver=solver, random_state=0)
        .fit(X, y)
        .predict(new, return_std=True)
    )
    assert np.abs(std / deviation - 1).mean() < CALIBRATED_DEVIATION
    assert abs(((known - mean) / std).std() - 1) < CALIBRATED_DEVIATION


@pytest.mark.parametrize(
    ("name", "loss"),
    [("level", fb.Loss("quantile", q=0.8, with_penalties=True)),
     ("levels", fb.Loss("quantile", q=LEVELS, with_penalties=True)),
     ("distribution", fb.Loss("gaussian_nll", with_penalties=True))],
)  # fmt: skip
def test_a_network_comes_to_the_same_bits(name: str, loss: fb.Loss) -> None:
    X, y, _ = table(0, 200)
    model = clone(MODELS[name]).set_params(shuffle=False, batch_size=50, max_iter=5)
    still = clone(model).set_params(learning_rate_init=1e-30, max_iter=1).fit(X, y)
    target = (y - y.mean()) / y.std()
    layers = [
        fb.Input(1),
        fb.Dense(100, "relu", l2=1e-4),
        fb.Dense(still.network_.n_outputs, l2=1e-4),
    ]
    network = fb.Network(layers, loss=loss, optimizer=fb.Adam(epsilon_hat=True))
    network.set_weights(still.network_.get_weights())
    for column in (target, model.fit(X, y).target_scaler_.transform(y[:, np.newaxis])):
        assert_agrees(column.ravel(), target)
    history = network.fit(X, column, epochs=5, batch_size=50, shuffle=False)
    response = network.predict(X)
    np.testing.assert_array_equal(model.network_.predict(X), response)
    assert_agrees(model.loss_curve_, history["loss"], within=ESTIMATOR_SINGLE)
    if name == "distribution":
        mean, std = model.predict(X, return_std=True)
        assert_agrees(
            std, np.exp(np.float64(response[:, 1]) / 2) * y.std(), within=ESTIMATOR_SINGLE
        )
        assert_agrees(mean, response[:, 0] * y.std() + y.mean())
        np.testing.assert_array_equal(model.predict(X), mean)
    else:
        found = np.sort(response, axis=1) * y.std() + y.mean()
        assert_agrees(model.predict(X), found[:, 0] if name == "level" else found)


def test_crossing_levels_are_sorted() -> None:
    X, y, _ = table(0, 60)
    model = MLPQuantileRegressor(LEVELS, max_iter=1, random_state=0).fit(X, y)
    raw = model._restored(model.network_.predict(X))
    assert (np.diff(raw, axis=1) < 0).any()  # after one step they do
    found = model.predict(X)
    assert (np.diff(found, axis=1) >= 0).all() and found.shape == (60, 3)
    losses = [
        sum(mean_pinball_loss(y, some[:, i], alpha=q) for i, q in enumerate(LEVELS))
        for some in (found, raw)
    ]
    assert losses[0] <= losses[1]


@pytest.mark.parametrize("weighted", [False, True], ids=["rows", "weights"])
def test_scores(weighted: bool) -> None:
    X, y, _ = table(0, 200)
    weight = np.random.default_rng(3).uniform(0.5, 2, 200) if weighted else None
    for name, given in MODELS.items():
        model = clone(given).set_params(
            early_stopping=True, validation_fraction=0.4, max_iter=20, shuffle=False
        )
        score = model.fit(X, y, sample_weight=weight).score(X, y, sample_weight=weight)
        found = model.predict(X)
        if name == "distribution":
            want = r2_score(y, found, sample_weight=weight)
        else:
            pairs = [(0.8, found)] if name == "level" else zip(LEVELS, found.T, strict=True)
            want = np.mean(
                [d2_pinball_score(y, one, alpha=q, sample_weight=weight) for q, one in pairs]
            )
        assert_agrees(score, want)
        assert model.best_validation_score_ == max(model.validation_scores_)
        assert len(model.validation_scores_) == model.n_iter_


@pytest.mark.parametrize("name", MODELS)
def test_held_out_rows_are_scored_as_others(name: str) -> None:
    X, y, _ = table(0, 200)
    model = (
        clone(MODELS[name]).set_params(early_stopping=True, max_iter=5, dtype="float64").fit(X, y)
    )
    target = model.target_scaler_.transform(y[:, np.newaxis])
    response = model.network_.predict(X)
    assert_agrees(model._held_out_score(target, response, None), model.score(X, y))
    broken = np.full_like(response, np.nan)
    assert np.isnan(model._held_out_score(target, broken, None))
    model.set_params(monitor="loss").fit(X, y)
    assert len(model.validation_loss_curve_) == model.n_iter_


@pytest.mark.parametrize("name", MODELS)
def test_scale_of_the_target_does_not_matter(name: str) -> None:
    X, y, _ = table(0, 90)
    model = clone(MODELS[name]).set_params(max_iter=10, dtype="float64")
    found = model.fit(X, y).predict(X)
    assert_agrees(model.fit(X, y * 1e6 + 1e9).predict(X), found * 1e6 + 1e9)
    constant = model.fit(X, np.full(90, 7.0)).predict(X)
    assert np.abs(constant - 7).max() < 1


@pytest.mark.parametrize("name", MODELS)
def test_weights_are_rows(name: str) -> None:
    X, y, _ = table(0, 60)
    weight = np.arange(60) % 3
    model = clone(MODELS[name]).set_params(
        shuffle=False, batch_size=60, max_iter=10, dtype="float64"
    )
    weighted = model.fit(X, y, sample_weight=weight).predict(X)
    rows = np.repeat(np.arange(60), weight)
    assert_agrees(model.set_params(batch_size=len(rows)).fit(X[rows], y[rows]).predict(X), weighted)


@pytest.mark.parametrize("name", MODELS)
def test_copies_and_parts(name: str) -> None:
    X, y, _ = table(0, 200)
    model = clone(MODELS[name]).partial_fit(X, y)
    mean = model.target_scaler_.mean_.copy()
    twins = [pickle.loads(pickle.dumps(model)), copy.deepcopy(model)]
    for one in (model, *twins):
        one.partial_fit(X[:50], 3 * y[:50])
        np.testing.assert_array_equal(one.target_scaler_.mean_, mean)  # of the first rows
        np.testing.assert_array_equal(one.predict(X), model.predict(X))
    assert model.network_.steps == 2
    fresh = clone(model)
    assert fresh.get_params() == model.get_params() and "loss" not in fresh.get_params()
    sparse = clone(model).set_params(max_iter=3).fit(scipy.sparse.csr_matrix(X), y)
    np.testing.assert_array_equal(
        sparse.predict(X), clone(model).set_params(max_iter=3).fit(X, y).predict(X)
    )
    network = [fb.Dense(8, "tanh"), fb.LayerNorm()]
    own = clone(model).set_params(network=network, max_iter=3).fit(X, y)
    assert own.network_.n_outputs == model.network_.n_outputs
    dropped = clone(model).set_params(dropout=0.2, max_iter=3).fit(X, y)
    assert (dropped.predict(X) != clone(model).set_params(max_iter=3).fit(X, y).predict(X)).any()


def test_other_levels_need_another_fit() -> None:
    X, y, _ = table(0, 60)
    model = MLPQuantileRegressor(LEVELS, max_iter=2).fit(X, y)
    before = model.predict(X)
    with pytest.raises(ValueError, match="coefs_ have shapes"):
        model.set_params(quantile=0.5).partial_fit(X, y)
    np.testing.assert_array_equal(model.predict(X), before)
    assert model.fit(X, y).predict(X).shape == (60,)
    assert model.set_params(quantile=[0.5]).fit(X, y).predict(X).shape == (60, 1)


def test_several_targets() -> None:
    X, y, _ = table(0, 60)
    both = np.stack([y, -y], axis=1)
    model = MLPDistributionRegressor(random_state=0).fit(X, both)
    mean, std = model.predict(X, return_std=True)
    assert mean.shape == std.shape == (60, 2) and (std > 0).all()
    assert mean[:, 0].min() > 0 > mean[:, 1].max() and model.n_outputs_ == 2
    quantile = MLPQuantileRegressor(random_state=0).fit(X, both)
    assert quantile.predict(X).shape == (60, 2)
    assert_agrees(quantile.score(X, both), d2_pinball_score(both, quantile.predict(X)))


def test_the_median_is_that_of_absolute_errors() -> None:
    """Half its loss, which Adam does not see but by its epsilon."""
    X, y, _ = table(0, 90)
    options: dict[str, Any] = {"random_state": 0, "epsilon": 1e-30, "alpha": 0.0, "max_iter": 5}
    model = MLPQuantileRegressor(**options).fit(X, y)
    target = model.target_scaler_.transform(y[:, np.newaxis]).ravel()
    other = MLPRegressor("absolute_error", **options).fit(X, target)
    assert_agrees(2 * np.array(model.loss_curve_), other.loss_curve_, within=ESTIMATOR)
    assert_agrees(model.predict(X), other.predict(X) * y.std() + y.mean())


def test_searches() -> None:
    X, y, _ = table(0, 200)
    levels = GridSearchCV(MLPQuantileRegressor(max_iter=20), {"quantile": [0.1, 0.5, LEVELS]}, cv=2)
    assert levels.fit(X, y).best_score_ > 0
    grid = GridSearchCV(MLPDistributionRegressor(max_iter=20), {"alpha": [0.0, 1.0]}, cv=2)
    assert grid.fit(X, y).best_score_ > 0

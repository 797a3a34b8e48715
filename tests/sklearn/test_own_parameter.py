"""What the estimators take beside scikit-learn's parameters, and what they refuse."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import load_breast_cancer
from support import child
from support.refusal import bad_input
from support.tolerance import ESTIMATOR_SINGLE, assert_agrees

import fastbp as fb
from fastbp.sklearn import MLPClassifier, MLPQuantileRegressor, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def table() -> tuple[Any, Any]:
    """A fifth of the rows are of class "b"."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 5))
    return X, np.where(X[:, 0] + rng.normal(size=200) > 1.2, "b", "a")


def recall(model: Any, X: Any, y: Any) -> float:
    return float((model.predict(X)[y == "b"] == "b").mean())


def test_class_weight(table: Any) -> None:
    X, y = table
    plain = MLPClassifier(random_state=0, max_iter=50).fit(X, y)
    balanced = MLPClassifier(random_state=0, max_iter=50, class_weight="balanced").fit(X, y)
    assert recall(balanced, X, y) > recall(plain, X, y) + 0.1
    weight = np.where(y == "b", 3.0, 1.0)
    by_rows = MLPClassifier(random_state=0, max_iter=5).fit(X, y, sample_weight=weight)
    by_class = MLPClassifier(random_state=0, max_iter=5, class_weight={"b": 3.0}).fit(X, y)
    np.testing.assert_array_equal(by_rows.coefs_[0], by_class.coefs_[0])
    both = by_class.fit(X, y, sample_weight=weight).coefs_[0].copy()
    by_rows.fit(X, y, sample_weight=weight**2)
    np.testing.assert_array_equal(by_rows.coefs_[0], both)
    codes = (y == "b") + (X[:, 1] > 0) * 1
    several = MLPClassifier(random_state=0, max_iter=5, class_weight="balanced").fit(X, codes)
    assert several.out_activation_ == "softmax"


def test_dtype_and_threads(table: Any) -> None:
    X, y = table
    kinds = {dtype: MLPClassifier(dtype=dtype, max_iter=2).fit(X, y).network_.dtype
             for dtype in ("auto", "float32", "float64")}  # fmt: skip
    assert kinds == {"auto": np.float32, "float32": np.float32, "float64": np.float64}
    assert MLPClassifier(max_iter=2).fit(X[:60], y[:60]).network_.dtype == np.float64
    assert MLPClassifier(solver="lbfgs").fit(X, y).network_.dtype == np.float64
    found = [
        MLPClassifier(n_threads=n, max_iter=3, random_state=0).fit(X, y).coefs_[0] for n in (1, 2)
    ]
    np.testing.assert_array_equal(*found)


def test_early_stopping_by_the_loss(table: Any) -> None:
    X, y = table
    model = MLPClassifier(
        early_stopping=True, monitor="loss", random_state=0, validation_fraction=0.3,
        learning_rate_init=0.03, max_iter=200,
    ).fit(X, y)  # fmt: skip
    losses = model.validation_loss_curve_
    assert len(losses) == model.n_iter_ < 200
    assert model.best_validation_score_ == -min(losses)
    assert model.validation_scores_ == [-loss for loss in losses]
    assert losses[-1] > min(losses)  # those of the best epoch are kept
    assert model.network_.history["val_loss"] == losses
    weight = np.ones(200)
    weighted = MLPClassifier(**model.get_params()).fit(X, y, sample_weight=weight)
    assert_agrees(weighted.validation_loss_curve_, losses, within=ESTIMATOR_SINGLE)


def test_average_of_the_parameters(table: Any) -> None:
    X, y = table
    model = MLPClassifier(ema=0.99, random_state=0, max_iter=20).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X)[:, :1],
                                  1 - model.network_.predict(X, ema=True))  # fmt: skip
    assert (model.network_.predict(X) != model.network_.predict(X, ema=True)).any()
    stopped = MLPClassifier(
        ema=0.9, early_stopping=True, monitor="loss", learning_rate_init=0.05, random_state=0,
        max_iter=150,
    ).fit(X, y)  # fmt: skip
    assert stopped.n_iter_ < 150 and stopped.score(X, y) > 0.7


def test_scale() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    model = MLPClassifier(random_state=0, scale=True, max_iter=60).fit(X, y)
    assert model.score(X, y) > 0.97
    assert_agrees(model.scaler_.mean_, X.mean(axis=0))
    sparse = MLPClassifier(random_state=0, scale=True, max_iter=3).fit(scipy.sparse.csr_array(X), y)
    assert sparse.scaler_.mean_ is None or not sparse.scaler_.with_mean
    first = MLPClassifier(random_state=0, scale=True)
    first.partial_fit(X, y, classes=[0, 1]).partial_fit(X[:50] * 3, y[:50])
    assert_agrees(first.scaler_.mean_, X.mean(axis=0))  # of the first rows


def test_dropout(table: Any) -> None:
    X, y = table
    options: dict[str, Any] = {"random_state": 0, "max_iter": 3, "hidden_layer_sizes": (8, 6)}
    model = MLPClassifier(dropout=0.3, **options).fit(X, y)
    plain = MLPClassifier(**options).fit(X, y)
    kinds = [layer.kind for layer in model.network_.layers]
    assert kinds == ["input", "dense", "dropout", "dense", "dropout", "dense"]
    assert model.n_layers_ == plain.n_layers_ == 4 and plain.network_.seed == 0
    assert (model.coefs_[0] != plain.coefs_[0]).any()
    probability = model.predict_proba(X)
    np.testing.assert_array_equal(model.predict_proba(X), probability)  # nothing is dropped
    again = MLPClassifier(dropout=0.3, n_threads=2, **options).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), probability)
    other = MLPClassifier(dropout=0.3, **{**options, "random_state": 1}).fit(X, y)
    assert other.network_.seed != model.network_.seed  # which says what is dropped
    model.partial_fit(X, y)
    steps = model.network_.steps
    model.set_params(dropout=0.0).partial_fit(X, y)  # the next rows are trained without
    assert len(model.network_.layers) == 4 and model.network_.steps == steps + 1


def test_dropout_is_that_of_a_network(table: Any) -> None:
    X, target = table[0].astype(np.float32), table[0][:, :1].astype(np.float32)
    options: dict[str, Any] = {"random_state": 0, "shuffle": False, "dropout": 0.3}
    still = MLPRegressor(max_iter=1, learning_rate_init=1e-30, **options).fit(X, target[:, 0])
    start = still.network_
    network = fb.Network(
        start.layers, loss=start.loss, seed=start.seed, optimizer=fb.Adam(epsilon_hat=True)
    )
    network.set_weights(start.get_weights())
    network.fit(X, target, epochs=4, batch_size=200, shuffle=False)
    model = MLPRegressor(max_iter=4, **options).fit(X, target[:, 0])
    np.testing.assert_array_equal(model.network_.predict(X), network.predict(X))


def test_another_loss_for_the_next_rows(table: Any) -> None:
    X = table[0]
    model = MLPRegressor(random_state=0).partial_fit(X, X[:, 0])
    model.set_params(loss="huber").partial_fit(X, X[:, 0])
    assert model.network_.loss.name == "huber" and model.network_.steps == 2


HIDDEN: list[Any] = [fb.Residual([fb.Dense(8, "gelu"), fb.Dense(5)]), fb.Dense(6, "relu", l2=0.5)]


@pytest.mark.parametrize(
    "network",
    [
        HIDDEN,
        lambda n_features, n_outputs: HIDDEN,
        lambda n_features, n_outputs: [fb.Input(n_features), *HIDDEN, fb.Dense(n_outputs)],
    ],
    ids=["layers", "function", "whole"],
)
def test_network_in_place_of_sizes(network: Any, table: Any) -> None:
    X, y = table
    model = MLPClassifier(network=network, alpha=0.25, random_state=0, max_iter=30).fit(X, y)
    assert [layer.kind for layer in model.network_.layers] == [
        "input", "residual", "dense", "dense"]  # fmt: skip
    inner, last = model.network_.layers[1], model.network_.layers[2]
    assert inner.layers[0].l2 == 0.25 and last.l2 == 0.75
    assert [c.shape for c in model.coefs_] == [(5, 8), (8, 5), (5, 6), (6, 1)]
    again = MLPClassifier(network=network, alpha=0.25, random_state=0, max_iter=30).fit(X, y)
    np.testing.assert_array_equal(again.coefs_[0], model.coefs_[0])
    assert MLPRegressor(network=network, solver="lbfgs", max_iter=5).fit(X, X[:, 0]).n_iter_ == 5


def test_activations_and_losses_of_fastbp(table: Any) -> None:
    X, y = table
    for activation in ("gelu", "elu", fb.Activation("leaky_relu", alpha=0.2)):
        model = MLPClassifier(activation=activation, random_state=0, max_iter=40).fit(X, y)
        assert model.score(X, y) > 0.75
    target = np.where(np.arange(200) < 20, 500.0, X[:, 0] * 2)
    options: dict[str, Any] = {
        "activation": "identity",
        "hidden_layer_sizes": (2,),
        "max_iter": 500,
    }
    for loss, error in (("squared_error", 500), ("absolute_error", 1), ("huber", 1)):
        model = MLPRegressor(loss, solver="lbfgs", random_state=0, **options).fit(X, target)
        off = np.median(np.abs(model.predict(X) - target))
        assert (off > 10) == (error > 10) and off < error


def test_callbacks(table: Any) -> None:
    X, y = table
    seen: list[Any] = []
    callback = fb.LambdaCallback(
        on_train_begin=lambda logs: seen.append("begin"),
        on_epoch_end=lambda epoch, logs: seen.append((epoch, sorted(logs))),
        on_train_batch_end=lambda batch, logs: seen.append(batch),
        on_train_end=lambda logs: seen.append("end"),
    )
    model = MLPClassifier(callbacks=[callback], batch_size=100, max_iter=2, random_state=0)
    plain = MLPClassifier(batch_size=100, max_iter=2, random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.fit(X, y).coefs_[0], plain.coefs_[0])
    assert seen == ["begin", 0, 1, (0, ["loss"]), 0, 1, (1, ["loss"]), "end"]

    class Stop(fb.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            self.model.stop_training = epoch == 3

    stopped = MLPClassifier(callbacks=[Stop()], max_iter=50).fit(X, y)
    assert stopped.n_iter_ == 4 and stopped.network_.history.epoch == [0, 1, 2, 3]
    kept = fb.EarlyStopping(monitor="val_score", patience=2, mode="max")
    watched = MLPClassifier(callbacks=[kept], early_stopping=True, max_iter=50, random_state=0)
    assert watched.fit(X, y).n_iter_ < 50


def test_interrupted(table: Any) -> None:
    def interrupt(epoch: int, logs: Any) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    callback = fb.LambdaCallback(on_epoch_end=interrupt)
    model = MLPClassifier(callbacks=[callback], random_state=0)
    with pytest.warns(UserWarning, match=r"Training interrupted by user\."):
        model.fit(*table)
    assert model.n_iter_ == 3 and model.score(*table) > 0.5


def test_interrupted_within_an_epoch(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next call begins a new one, whose loss is its own."""
    model = MLPClassifier(batch_size=20, random_state=0)

    def interrupt(epochs: Any, *_: Any, **__: Any) -> None:
        epochs.state.left_at = 2, np.array([1e9, 40.0])  # as the engine does
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.warns(UserWarning, match="interrupted by user"):
        patch.setattr("fastbp.runtime.train.Epochs.run", interrupt)
        model.fit(*table)
    watched = fb.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    model.set_params(callbacks=[watched]).partial_fit(*table)
    assert model.loss_ < 2


def test_stopped_within_an_epoch(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No further fit goes on there, for the orders of the rows are not the network's: a file holds
    nothing of it.
    """

    class Stop(fb.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = batch == 2

    X, y = table
    monkeypatch.setattr("fastbp.sklearn.rows.MOST_BYTES", 0)
    for given in (X, scipy.sparse.csr_matrix(X)):
        model = MLPClassifier(callbacks=[Stop()], batch_size=20, random_state=0).fit(given, y)
        file = io.BytesIO()
        model.network_.save(file)
        file.seek(0)
        network = fb.Network.load(file)
        assert (network.epochs, network.steps) == (1, 3)
        np.testing.assert_array_equal(network.predict(X), model.network_.predict(X))


# what is refused

X6, Y6 = np.arange(18.0).reshape(6, 3), [0, 1, 2, 0, 1, 2]


@bad_input("estimator")
@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: MLPClassifier(hidden_layer_sizes=(3, 0)).fit(X6, Y6),
         "hidden_layer_sizes must be > 0, got [3, 0]."),
        (lambda: MLPClassifier(network=[fb.Input(4), fb.Dense(3)]).fit(X6, Y6),
         "network begins with Input(units=4), X has 3 features"),
        (lambda: MLPClassifier(network=[fb.Input(3), fb.Dense(2)]).fit(X6, Y6),
         "network has 2 outputs, this y takes 3: end with Dense(n_outputs), or leave Input and the "
         "last layer out"),
        (lambda: MLPClassifier(class_weight="balanced").partial_fit(X6, Y6, classes=[0, 1, 2]),
         "class_weight 'balanced' needs all labels at once: for partial_fit pass a dict"),
        (lambda: MLPClassifier(class_weight="balanced").fit(X6, np.eye(2, dtype=int)[[0, 1] * 3]
                                                            | [[1, 0]] * 6),
         "class_weight is not for several labels a row: pass sample_weight"),
        (lambda: MLPClassifier(early_stopping=True).partial_fit(X6, Y6, classes=[0, 1, 2]),
         "partial_fit does not support early_stopping=True"),
        (lambda: MLPClassifier(dropout=0.1, solver="lbfgs").fit(X6, Y6),
         "dropout is not for solver='lbfgs': take 'adam' or 'sgd'"),
        (lambda: MLPRegressor(dropout=0.1, network=[fb.Dense(3)]).fit(X6, Y6),
         "dropout is not for network=, which says all its layers: put fb.Dropout among them"),
        (lambda: MLPRegressor("poisson").fit(X6, [0, 1, 2, 0, -1.5, 2]),
         "loss='poisson' takes y >= 0, got -1.5"),
        (lambda: MLPQuantileRegressor([0.5, 0.1]).fit(X6, Y6),
         "quantile must be a level in (0, 1) or a list of such levels that ascend, got [0.5, 0.1]"),
        (lambda: MLPQuantileRegressor([0.5, float("nan")]).fit(X6, Y6),
         "quantile must be a level in (0, 1) or a list of such levels that ascend, got [0.5, nan]"),
        (lambda: MLPQuantileRegressor([]).fit(X6, Y6),
         "quantile must be a level in (0, 1) or a list of such levels that ascend, got []"),
        (lambda: MLPQuantileRegressor([0.1, 0.9]).fit(X6, X6[:, :2]),
         "quantile has 2 levels, y has 2 columns: several levels are for one target"),
        (lambda: MLPRegressor(early_stopping=True).fit(X6, Y6),
         "The validation set is too small. Increase 'validation_fraction' or the size of your "
         "dataset."),
    ],
)  # fmt: skip
def test_bad_parameter(call: Callable[[], Any], text: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == text


@bad_input("estimator")
def test_a_network_is_no_list_of_layers() -> None:
    with pytest.raises(TypeError, match=r"network must give a list of layers, got .*3-5-3"):
        MLPClassifier(network=fb.Network([3, 5, 3])).fit(X6, Y6)


@bad_input("estimator")
@pytest.mark.parametrize(
    "options",
    [{"dtype": "float16"}, {"monitor": "accuracy"}, {"n_threads": 0}, {"ema": 1.0},
     {"class_weight": "even"}, {"scale": 2}, {"momentum": 1.0}, {"activation": "rleu"},
     {"network": 3}, {"dropout": 1.0}, {"dropout": -0.1}],
    ids=str,
)  # fmt: skip
def test_a_value_that_no_parameter_has(options: dict[str, Any]) -> None:
    name = next(iter(options))
    with pytest.raises(ValueError, match=f"The '{name}' parameter of MLPClassifier must be"):
        MLPClassifier(**options).fit(X6, Y6)
    if name == "scale":
        with pytest.raises(ValueError, match="The 'loss' parameter of MLPRegressor must be"):
            MLPRegressor("gamma").fit(X6, Y6)


@bad_input("estimator")
def test_divergence_says_where() -> None:
    model = MLPRegressor(solver="sgd", learning_rate_init=1e20, random_state=0)
    with pytest.raises(ValueError, match=r"non-finite parameter weights.* at epoch \d+, batch"):
        model.fit(X6, Y6)


def test_coefs_that_do_not_fit(table: Any) -> None:
    model = MLPClassifier((4,), max_iter=2).fit(*table)
    model.coefs_ = [np.zeros((5, 3)), model.coefs_[1]]
    with pytest.raises(ValueError, match=r"coefs_ have shapes .* the network takes"):
        model.predict(table[0])
    model = MLPClassifier((4,), max_iter=2, warm_start=True).fit(*table)
    before = model.predict_proba(table[0])
    with pytest.raises(ValueError, match=r"coefs_ have shapes .* the network takes"):
        model.set_params(hidden_layer_sizes=(3,)).fit(*table)
    np.testing.assert_array_equal(model.predict_proba(table[0]), before)


def test_a_network_that_does_not_fit(table: Any) -> None:
    """A model that was fitted predicts as before; one that was not can still be."""
    X, y = table
    bad, good = [fb.Input(5), fb.Dense(4)], [fb.Dense(6, "relu"), fb.LayerNorm()]
    fitted = MLPClassifier((4,), max_iter=2, random_state=0).fit(X, y)
    before = fitted.predict_proba(X)
    with pytest.raises(ValueError, match="network has 4 outputs, this y takes 1"):
        fitted.set_params(network=bad).fit(X, y)
    np.testing.assert_array_equal(fitted.set_params(network=None).predict_proba(X), before)
    model = MLPClassifier(network=bad, random_state=0)
    with pytest.raises(ValueError, match="network has 4 outputs"):
        model.partial_fit(X, y, classes=["a", "b"])
    model.set_params(network=good).partial_fit(X, y)
    assert model.n_layers_ == 4 and model.coefs_[0].shape == (5, 6)


def test_partial_fit_keeps_the_type_of_its_first_rows(table: Any) -> None:
    X, y = table
    model = MLPClassifier(random_state=0).partial_fit(X, y, classes=["a", "b"])
    model.set_params(alpha=1.0).partial_fit(X[:20], y[:20])
    assert model.network_.dtype == np.float32 and model.network_.steps == 2
    model.set_params(scale=True).partial_fit(X, y)
    assert model.score(X, y) > 0.3


def test_batch_larger_than_the_table() -> None:
    with pytest.warns(UserWarning, match="larger than sample size. It is going to be clipped"):
        MLPClassifier(batch_size=50, max_iter=1).fit(X6, Y6)


def test_without_scikit_learn_the_extra_is_named() -> None:
    code = """
import json, sys
sys.modules["sklearn"] = None
try:
    import fastbp.sklearn
except ImportError as error:
    print(json.dumps(str(error)))
"""
    assert child.result(code) == "fastbp.sklearn needs scikit-learn: pip install 'fastbp[sklearn]'"


def test_a_fit_without_a_word(table: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MLPClassifier(random_state=0, max_iter=1000).fit(table[0] * [1, 1, 1, 1, 1e6], table[1])

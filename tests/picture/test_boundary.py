"""Decision boundaries: of networks and of anything that predicts."""

import sys

import numpy as np
import pytest
from support.refusal import bad_input, refuses

import fastbp as fb

X = np.random.default_rng(3).standard_normal((80, 2))
INSIDE = (X[:, 0] + 0.5 * X[:, 1] > 0.2).astype(int)


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


class Model:
    """Two classes: on which side of x0 + x1 / 2 = 0.2 a point lies."""

    def __init__(self, classes, *, with_probability=False):
        self.classes_ = np.array(classes)
        if with_probability:
            self.predict_proba = self._probability

    def _side(self, points):
        assert points.ndim == 2 and points.shape[1] == 2
        return points[:, 0] + 0.5 * points[:, 1] - 0.2

    def predict(self, points):
        return self.classes_[(self._side(points) > 0).astype(int)]

    def _probability(self, points):
        second = 1 / (1 + np.exp(-self._side(points)))
        return np.column_stack([1 - second, second])


def _line(ax) -> np.ndarray:
    """The points of the one contour that was drawn."""
    (contour,) = [one for one in ax.collections if hasattr(one, "levels")]
    return np.concatenate([path.vertices for path in contour.get_paths()])


@pytest.mark.parametrize("with_probability", [False, True])
@pytest.mark.parametrize("classes", [[0, 1], ["no", "yes"], [False, True]])
def test_line_of_a_classifier(plt, classes, with_probability):
    model = Model(classes, with_probability=with_probability)
    ax = fb.plot_decision_boundary(model, X, np.array(classes)[INSIDE], n_points=60)
    line = _line(ax)
    step = np.diff(ax.get_xlim())[0] / 59  # of labels alone it lies between two points of the grid
    assert np.abs(line[:, 0] + 0.5 * line[:, 1] - 0.2).max() < (1e-2 if with_probability else step)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == [str(name) for name in classes]
    assert len(ax.images) == 1 and ax.get_xlabel() == "feature 0"
    left, right = ax.get_xlim()
    assert left < X[:, 0].min() and right > X[:, 0].max()


def test_network_of_one_output(plt):
    """Zero on the line by its weights: p = 0.5 where x0 = x1."""
    layers = [fb.Input(2), fb.Dense(1, "sigmoid", weights=[[3.0], [-3.0]])]
    net = fb.Network(layers, loss="binary_cross_entropy")
    line = _line(fb.plot_decision_boundary(net, X, INSIDE))
    assert np.abs(line[:, 0] - line[:, 1]).max() < 1e-2


def test_network_of_classes(plt, tmp_path):
    net = fb.Network([2, 8, 4], loss="cross_entropy", seed=0)
    ax = fb.plot_decision_boundary(net, X, np.arange(80) % 4, feature_names=["a", "b"])
    assert len(ax.get_legend().get_texts()) == 4
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "b")
    ax.figure.savefig(tmp_path / "boundary.png")


@pytest.mark.parametrize("y", [None, X[:, 0], INSIDE])
def test_network_that_predicts_a_number(plt, y):
    net = fb.Network([2, 8, 1], activation="tanh", seed=0)
    _, own = plt.subplots()
    ax = fb.plot_decision_boundary(net, X, y, ax=own, n_points=20)
    assert ax is own and ax.figure.axes[-1].get_ylabel() == "prediction" and not ax.images


def test_regression_that_could_give_probabilities(plt):
    """A model of either kind, which says by its classes that it has none."""

    class Either:
        classes_ = None

        def predict(self, points):
            return points[:, 0]

        def predict_proba(self, points):
            raise AssertionError

    assert not fb.plot_decision_boundary(Either(), X, X[:, 0]).images


def test_frame(plt):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["length", "width"])
    net = fb.Network([2, 8, 2], loss="cross_entropy", seed=0)
    net.fit(frame, INSIDE, epochs=1)  # and from now on it refuses frames with other columns
    ax = fb.plot_decision_boundary(net, frame, INSIDE, n_points=20)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("length", "width")


@pytest.mark.slow  # to import
def test_estimator_of_scikit_learn(plt):
    linear_model = pytest.importorskip("sklearn.linear_model")
    model = linear_model.LogisticRegression().fit(X, INSIDE)
    line = _line(fb.plot_decision_boundary(model, X, INSIDE))
    assert np.abs(model.decision_function(line)).max() < 1e-2
    regression = linear_model.LinearRegression().fit(X, X[:, 0])
    assert not fb.plot_decision_boundary(regression, X, X[:, 0]).images


@bad_input("decision boundary")
def test_what_cannot_be_drawn(plt):
    net = fb.Network([2, 2], loss="cross_entropy", seed=0)
    text = "X must have two columns, shape (n, 2), got shape (80, 1); train a model on two "
    with refuses(ValueError, text + "features, or on two components of them"):
        fb.plot_decision_boundary(net, X[:, :1], INSIDE)
    with refuses(ValueError, "y must have shape (80,), as X has rows, got (79,)"):
        fb.plot_decision_boundary(net, X, INSIDE[1:])
    with refuses(ValueError, "X must have rows, and hold finite numbers only"):
        fb.plot_decision_boundary(net, X * np.nan, INSIDE)
    with refuses(TypeError, "model must have predict, got 3"):
        fb.plot_decision_boundary(3, X, INSIDE)
    with refuses(ValueError, "n_points must be an integer >= 2, got 1"):
        fb.plot_decision_boundary(net, X, INSIDE, n_points=1)
    with refuses(ValueError, "11 classes cannot be told apart by colour; ten can"):
        fb.plot_decision_boundary(fb.Network([2, 11], loss="cross_entropy"), X)
    assert not plt.get_fignums() or not plt.gcf().axes[0].images


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    net = fb.Network([2, 2], loss="cross_entropy", seed=0)
    with pytest.raises(ImportError, match=r"pip install 'fastbp\[plot\]'"):
        fb.plot_decision_boundary(net, X, INSIDE)

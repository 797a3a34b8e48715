"""Arrays that are refused: which exception, what it says, and that nothing has changed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.refusal import INF, NAN, P, Y, classifier, data, refused, with_value

import fastbp as fb


@pytest.fixture
def network(dtype, backend) -> fb.Network:
    return classifier(dtype, backend)


def _masked(X: np.ndarray) -> np.ma.MaskedArray:
    mask = np.zeros(X.shape, bool)
    mask.flat[:5] = True
    return np.ma.MaskedArray(X, mask)


def _objects(X: np.ndarray) -> np.ndarray:
    cells = X.astype(object)
    cells[0, 2] = "abc"
    return cells


class Sparse:
    """What a sparse array looks like from outside."""

    def toarray(self) -> np.ndarray:
        return np.zeros((6, 4))


# What is wrong with X whoever gets it; {dtype} is the network's.
BAD_X: list[tuple[int, Callable[[np.ndarray], Any], type[BaseException], str]] = [
    (
        2,
        lambda X: with_value(X, (3, 2), 1e300),
        ValueError,
        r"^X\[3, 2\] = 1e\+300 does not fit float32$",
    ),
    (4, lambda X: X * 1j, ValueError, "^Complex data not supported"),
    (5, _objects, ValueError, r"^could not convert X to {dtype}: 'abc' at \[0, 2\]$"),
    (6, lambda X: Sparse(), TypeError, r"^sparse X is not supported; use X\.toarray\(\)$"),
    (7, _masked, ValueError, r"^X has 5 masked values \(first at \[0, 0\]\)$"),
    (
        8,
        lambda X: X[0],
        ValueError,
        r"Expected 2D array, got 1D array.*reshape\(-1, 1\).*reshape\(1, -1\)",
    ),
    (8, lambda X: 3.0, ValueError, "Expected 2D array, got scalar array"),
    (
        9,
        lambda X: X[None],
        ValueError,
        r"^X must be 2-D \(rows, features\), got shape \(1, 6, 4\)$",
    ),
    (12, lambda X: X[:, :0], ValueError, r"^Found array with 0 feature\(s\)"),
    (
        13,
        lambda X: X[:, :3],
        ValueError,
        "^X has 3 features, but Network is expecting 4 features as input.$",
    ),
    (
        13,
        lambda X: np.hstack([X, X]),
        ValueError,
        "^X has 8 features, but Network is expecting 4 features",
    ),
    (
        14,
        lambda X: with_value(X, (2, 1), NAN),
        ValueError,
        r"^Input X contains NaN \(first at \[2, 1\]\)$",
    ),
    (
        14,
        lambda X: with_value(X, (5, 3), -INF),
        ValueError,
        r"^Input X contains infinity \(first at \[5, 3\]\)$",
    ),
]


USES = {
    "fit": lambda net, X, y: net.fit(X, y),
    "train_on_batch": lambda net, X, y: net.train_on_batch(X, y),
    "train_steps": lambda net, X, y: net.train_steps(X, y, steps=2),
    "predict": lambda net, X, y: net.predict(X),
    "call": lambda net, X, y: net(X),
    "evaluate": lambda net, X, y: net.evaluate(X, y),
    "forward": lambda net, X, y: net.forward(X),
    "trace": lambda net, X, y: net.trace(X, y),
}
NEEDS_ROWS = [name for name in USES if name not in ("predict", "call")]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("case", BAD_X, ids=lambda case: f"row {case[0]}")
def test_X(use, case, network):
    row, spoil, error, text = case
    if row == 2 and network.dtype == np.float64:
        pytest.skip("it fits")
    X, y = data()
    bad = spoil(X)
    kept = np.array(bad).tobytes() if isinstance(bad, np.ndarray) and bad.dtype != object else b""
    refused(
        network,
        lambda: USES[use](network, bad, y),
        error,
        text.replace("{dtype}", network.dtype.name),
    )
    assert not kept or np.array(bad).tobytes() == kept


@pytest.mark.parametrize("use", NEEDS_ROWS)
def test_no_rows(use, network):
    text = r"^Found array with 0 sample\(s\) \(shape=\(0, 4\)\) while a minimum of 1 is required\.$"
    X, y = data()
    refused(network, lambda: USES[use](network, X[:0], y[:0]), ValueError, text)


def test_no_rows_to_predict(network):
    X, _ = data()
    assert network.predict(X[:0]).shape == network(X[:0]).shape == (0, 3)
    assert network.predict_classes(X[:0]).shape == (0,)


BAD_Y = [
    (16, Y[:5], r"^X has 6 rows, y has 5$"),
    (16, [], r"^X has 6 rows, y has 0$"),
    (17, with_value(P, (4, 1), NAN), r"^Input y contains NaN \(first at \[4, 1\]\)$"),
    (17, with_value(Y, 5, INF), r"^Input y contains infinity \(first at \[5\]\)$"),
    (18, [0, 1, 2, 0, 3, 9], r"^y\[4\] = 3 is outside 0\.\.2$"),
    (18, [0, -1, 2, 0, 1, 9], r"^y\[1\] = -1 is outside 0\.\.2$"),
    (18, Y + 1, r"^y\[2\] = 3 is outside 0\.\.2; labels start at 0: pass y - 1$"),
    (18, Y * 4.0, r"^y\[1\] = 4 is outside 0\.\.2; class labels as numbers: classes, y = np\."),
    (5, np.array(list("abcabc")), r"'a' at \[0\]; class labels as numbers: classes, y = np\."),
    (19, [0, 1, 2, 1.5, 0, 0], r"^y\[3\] = 1\.5 is not a class index$"),
    (20, np.array([0, 1, 2, 2**32, 0, 0]), r"^y\[3\] = 4294967296 is outside 0\.\.2$"),
    (
        20,
        np.array([0, 1, 2, 2**63, 0, 0], np.uint64),
        r"^y\[3\] = 9223372036854775808 is outside 0\.\.2$",
    ),
    (21, with_value(P, (4, 0), 1.0), r"^y\[4\] is not a distribution \(sum 2\)$"),
    (21, with_value(with_value(P, (2, 0), -1.0), (2, 1), 1.0), r"^y\[2\] is not a distribution"),
    (23, P[:, :2], r"^y has 2 columns, network has 3 outputs$"),
    (4, Y * 1j, "^Complex data not supported"),
    (9, P[None], r"^y must be 1-D"),
]


@pytest.mark.parametrize("use", ["fit", "train_on_batch", "train_steps", "evaluate", "trace"])
@pytest.mark.parametrize("case", BAD_Y, ids=lambda case: f"row {case[0]}")
def test_y(use, case, network):
    _, y, text = case
    refused(network, lambda: USES[use](network, data()[0], y), ValueError, text)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_targets_of_other_losses(dtype, backend):
    X, _ = data()
    net = fb.Network([4, 2], loss="binary_cross_entropy", dtype=dtype, seed=0, backend=backend)
    bad = np.zeros((6, 2))
    bad[2, 0] = 3
    refused(net, lambda: net.fit(X, bad), ValueError, r"^y\[2, 0\] = 3 is outside \[0, 1\]$")
    refused(
        net, lambda: net.fit(X, bad[:, 0]), ValueError, "^y has 1 column, network has 2 outputs$"
    )
    net = fb.Network([4, 3], dtype=dtype, seed=0, backend=backend)
    refused(
        net, lambda: net.fit(X, P[:, :2]), ValueError, "^y has 2 columns, network has 3 outputs$"
    )
    refused(
        net,
        lambda: net.train_on_batch(X, Y),
        ValueError,
        '^y has 1 column, network has 3 outputs; for class labels use loss="cross_entropy"$',
    )
    refused(
        net,
        lambda: net.fit(X, ["a", "b", "c"] * 2),
        ValueError,
        r"'a' at \[0\]; for class labels use loss=\"cross_entropy\" and numbers: classes, y = np\.",
    )
    refused(
        net,
        lambda: net.fit(X, with_value(P, (3, 1), NAN)),
        ValueError,
        r"^Input y contains NaN \(first at \[3, 1\]\)$",
    )

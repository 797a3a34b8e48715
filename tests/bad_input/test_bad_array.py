"""Arrays that are refused: which exception, what it says, and that nothing has changed."""

import numpy as np
import pytest
from support.array import Sparse
from support.refusal import INF, NAN, Bad, P, Y, bad_input, data, refused, with_value

import fastbp as fb


def _masked(X: np.ndarray) -> np.ma.MaskedArray:
    mask = np.zeros(X.shape, bool)
    mask.flat[:5] = True
    return np.ma.MaskedArray(X, mask)


def _objects(X: np.ndarray) -> np.ndarray:
    cells = X.astype(object)
    cells[0, 2] = "abc"
    return cells


# What is wrong with X whoever gets it; {dtype} is the network's.
BAD_X = [
    Bad(
        "too large for the dtype",
        lambda X: with_value(X, (3, 2), 1e300),
        ValueError,
        r"^X\[3, 2\] = 1e\+300 does not fit float32$",
    ),
    Bad("complex", lambda X: X * 1j, ValueError, "^Complex data not supported"),
    Bad("text", _objects, ValueError, r"^could not convert X to {dtype}: 'abc' at \[0, 2\]$"),
    Bad(
        "sparse", lambda X: Sparse(), TypeError, r"^sparse X is not supported; use X\.toarray\(\)$"
    ),
    Bad("masked", _masked, ValueError, r"^X has 5 masked values \(first at \[0, 0\]\)$"),
    Bad(
        "X not 2-D",
        lambda X: X[:, 0],
        ValueError,
        r"Expected 2D array, got 1D array.*reshape\(-1, 1\).*reshape\(1, -1\)",
    ),
    Bad("X not 2-D", lambda X: 3.0, ValueError, "Expected 2D array, got scalar array"),
    Bad(
        "too many dimensions",
        lambda X: X[None],
        ValueError,
        r"^X must be 2-D \(rows, features\), got shape \(1, 6, 4\)$",
    ),
    Bad("no features", lambda X: X[:, :0], ValueError, r"^Found array with 0 feature\(s\)"),
    Bad(
        "width of X",
        lambda X: X[:, :3],
        ValueError,
        "^X has 3 features, but Network is expecting 4 features as input.$",
    ),
    Bad(
        "width of X",
        lambda X: np.hstack([X, X]),
        ValueError,
        "^X has 8 features, but Network is expecting 4 features",
    ),
    Bad(
        "X not finite",
        lambda X: with_value(X, (2, 1), NAN),
        ValueError,
        r"^Input X contains NaN \(first at \[2, 1\]\); values are missing in 1 of 6 rows "
        r"\(column 1: 1\): impute or drop them, e\.g\. sklearn\.impute\.SimpleImputer",
    ),
    Bad(
        "X not finite",
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
    "jacobian": lambda net, X, y: net.jacobian(X),
    "input_gradient": lambda net, X, y: net.input_gradient(X, y),
    "per_example_gradients": lambda net, X, y: net.per_example_gradients(X, y),
    "hessian_vector_product":
        lambda net, X, y: net.hessian_vector_product(X, y, net.get_weights()),
}  # fmt: skip
NEEDS_ROWS = [name for name in USES if name not in ("predict", "call", "jacobian")]
NEEDS_TARGETS = [name for name in USES if name not in ("predict", "call", "forward", "jacobian")]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("case", BAD_X, ids=lambda case: case.row)
def test_X(use, case, network):
    row, spoil, error, text = case
    if row == "too large for the dtype" and network.dtype == np.float64:
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


@bad_input("no rows")
@pytest.mark.parametrize("use", NEEDS_ROWS)
def test_no_rows(use, network):
    text = r"^Found array with 0 sample\(s\) \(shape=\(0, 4\)\) while a minimum of 1 is required\.$"
    X, y = data()
    refused(network, lambda: USES[use](network, X[:0], y[:0]), ValueError, text)


@bad_input("no rows to predict")
def test_no_rows_to_predict(network):
    X, _ = data()
    assert network.predict(X[:0]).shape == network(X[:0]).shape == (0, 3)
    assert network.predict_classes(X[:0]).shape == (0,)


BAD_Y = [
    Bad("rows of y", Y[:5], ValueError, r"^X has 6 rows, y has 5$"),
    Bad("rows of y", [], ValueError, r"^X has 6 rows, y has 0$"),
    Bad(
        "y not finite",
        with_value(P, (4, 1), NAN),
        ValueError,
        r"^Input y contains NaN \(first at \[4, 1\]\)(; pass ignore_nan=True to leave them out)?$",
    ),
    Bad(
        "y not finite",
        with_value(Y, 5, INF),
        ValueError,
        r"^Input y contains infinity \(first at \[5\]\)$",
    ),
    Bad("class outside", [0, 1, 2, 0, 3, 9], ValueError, r"^y\[4\] = 3 is outside 0\.\.2$"),
    Bad("class outside", [0, -1, 2, 0, 1, 9], ValueError, r"^y\[1\] = -1 is outside 0\.\.2$"),
    Bad(
        "class outside",
        Y + 1,
        ValueError,
        r"^y\[2\] = 3 is outside 0\.\.2; labels start at 0: pass y - 1$",
    ),
    Bad(
        "class outside",
        Y * 4.0,
        ValueError,
        r"^y\[1\] = 4 is outside 0\.\.2; class labels as numbers: classes, y = np\.",
    ),
    Bad(
        "text",
        np.array(list("abcabc")),
        ValueError,
        r"'a' at \[0\]; class labels as numbers: classes, y = np\.",
    ),
    Bad(
        "class not whole", [0, 1, 2, 1.5, 0, 0], ValueError, r"^y\[3\] = 1\.5 is not a class index$"
    ),
    Bad(
        "class beyond int32",
        np.array([0, 1, 2, 2**32, 0, 0]),
        ValueError,
        r"^y\[3\] = 4294967296 is outside 0\.\.2$",
    ),
    Bad(
        "class beyond int32",
        np.array([0, 1, 2, 2**63, 0, 0], np.uint64),
        ValueError,
        r"^y\[3\] = 9223372036854775808 is outside 0\.\.2$",
    ),
    Bad(
        "not a distribution",
        with_value(P, (4, 0), 1.0),
        ValueError,
        r"^y\[4\] is not a distribution \(sum 2\)$",
    ),
    Bad(
        "not a distribution",
        with_value(with_value(P, (2, 0), -1.0), (2, 1), 1.0),
        ValueError,
        r"^y\[2\] is not a distribution",
    ),
    Bad("columns of y", P[:, :2], ValueError, r"^y has 2 columns, network has 3 outputs$"),
    Bad("complex", Y * 1j, ValueError, "^Complex data not supported"),
    Bad("too many dimensions", P[None], ValueError, r"^y must be 1-D"),
]


@pytest.mark.parametrize("use", NEEDS_TARGETS)
@pytest.mark.parametrize("case", BAD_Y, ids=lambda case: case.row)
def test_y(use, case, network):
    _, y, error, text = case
    refused(network, lambda: USES[use](network, data()[0], y), error, text)


@bad_input("outside [0, 1]", "columns of y", "text", "y not finite")
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
        r"^Input y contains NaN \(first at \[3, 1\]\); pass ignore_nan=True to leave them out$",
    )

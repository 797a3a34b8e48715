"""The warning of columns of very different size: what it says, when, where, and what it costs."""

import tracemalloc

import numpy as np
import pytest
from support.network_state import digest
from support.refusal import bad_input

import fastbp as fb
from fastbp.check.scale import unevenness
from fastbp.command import main
from fastbp.dataset import load_digits

ADVICE = (
    "standardise, X = (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-9), and use the same "
    "mean and std to predict"
)


class Frame:
    """What a data frame is to a reader."""

    def __init__(self, values, columns):
        self.values, self.columns = values, columns

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype)


def columns(*sizes: float, n: int = 60) -> np.ndarray:
    """Columns of these sizes, by their signs alone."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (n, len(sizes)))
    return signs * sizes


def network(backend: str | None = None, n_features: int = 3, dtype: str = "float32") -> fb.Network:
    return fb.Network([n_features, 2, 1], seed=0, backend=backend, dtype=dtype)


USES = {
    "fit": lambda net, X, y: net.fit(X, y),
    "train_steps": lambda net, X, y: net.train_steps(X, y, steps=2),
}
UNEVEN = columns(2, 500, 1)
Y = np.zeros(60)


# ---- when and where -----------------------------------------------------------------------------


@bad_input("uneven columns")
@pytest.mark.parametrize("use", USES)
def test_once_and_where_the_user_calls(use, backend):
    net = network(backend)
    net.train_on_batch(UNEVEN, Y)
    with pytest.warns(UserWarning) as caught:
        USES[use](net, UNEVEN, Y)
    assert [str(one.message) for one in caught] == [
        f"column 1 of X is 500 times as large as column 2: {ADVICE}"
    ]
    assert caught[0].filename == __file__
    for again in USES.values():
        again(net, UNEVEN, Y)


def test_as_an_error_it_leaves_everything_as_it_was(backend):
    net = network(backend)
    before, history = digest(net), net.history
    for use in USES.values():
        with pytest.raises(UserWarning, match="^column 1 of X is 500 times"):
            use(net, UNEVEN, Y)
        assert digest(net) == before and net.history is history
    net.predict(UNEVEN)  # not left busy


def test_other_calls_are_silent(backend):
    net = network(backend)
    net.train_on_batch(UNEVEN, Y)
    net.forward(UNEVEN)
    net.evaluate(UNEVEN, Y)
    net.predict(UNEVEN)


def test_names_of_columns():
    with pytest.warns(UserWarning, match=r"^column 1 \('mass'\) of X is 500 .* column 2 \('x'\):"):
        network().fit(Frame(UNEVEN, ["a", "mass", "x"]), Y)
    pandas = pytest.importorskip("pandas")
    with pytest.warns(UserWarning, match=r"^column 1 \('mass'\) of X is 500 .* column 2 \('x'\):"):
        network().fit(pandas.DataFrame(UNEVEN, columns=["a", "mass", "x"]), Y)
    with pytest.warns(UserWarning, match=r"^column 1 of X is 500 times as large as column 2:"):
        network().fit(pandas.DataFrame(UNEVEN), Y)


@pytest.mark.parametrize(
    "names", [None, 3, ["a"], lambda: ["a", "b", "c"]], ids=["none", "number", "short", "function"]
)
def test_odd_names_are_no_names(names):
    assert unevenness(UNEVEN, Frame(UNEVEN, names)).startswith("column 1 of X is")


# ---- what is uneven -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "said"),
    [
        (columns(1, 100), ""),
        (columns(1, 101), "column 1 of X is 100 times as large as column 0"),
        (columns(1, 104.9), "column 1 of X is 100 times as large as column 0"),
        (columns(4123, 3, 1), "column 0 of X is 4100 times as large as column 2"),
        (columns(1, 1e12), "column 1 of X is 1e+12 times as large as column 0"),
        (columns(1e9), ""),
        (columns(0, 1e9, 0), ""),
        (columns(0, 1e9, 1e6), "column 1 of X is 1000 times as large as column 2"),
        (columns(1, 2.5e9, n=1), ""),  # constant
        (
            np.column_stack([np.ones(60), columns(1e3, 1, n=60)]),
            "column 1 of X is 1000 times as large as column 2",
        ),
        (np.column_stack([np.full(60, 1e6), columns(1, 2, n=60)]), ""),
        (columns(1e-300, 1e300), "column 1 of X is inf times as large as column 0"),
        (columns(1e200, 1e250), ""),
    ],
    ids=repr,
)
def test_ratio(X, said):
    found = unevenness(X, X)
    assert found == (f"{said}: {ADVICE}" if said else "")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_not_finite(value, dtype):
    X = UNEVEN.astype(dtype)
    X[3, 1] = value
    assert unevenness(X, X) == ""
    with pytest.raises(fb.DivergenceError):
        network(dtype=dtype).fit(X, Y, check_finite=False)


def test_float32_does_not_overflow():
    X = columns(1, 1e38).astype(np.float32)
    assert unevenness(X, X).startswith("column 1 of X is 1e+38 times as large as column 0:")


def test_rare_entries(rng):
    """Dummies, and pixels that are hardly ever lit, as faintly as it may be."""
    X = rng.normal(size=(5000, 40))
    X[:, :20] = rng.random((5000, 20)) < 0.003
    assert unevenness(X, X) == ""
    X[:, 20:] *= 200
    X[:, :20] = 0
    X[2500, :20] = 1
    assert unevenness(X, X) == ""
    X[::5, 3] = 1
    assert "times as large as column 3:" in unevenness(X, X)


def test_own_data_is_even(capsys):
    X, _ = load_digits()
    assert unevenness(X, X) == unevenness(X * 16, X) == ""
    assert main(["demo", "--epochs", "1"]) == 0
    for name in fb.examples.names():
        example = fb.examples.load(name)
        example.network.fit(example.X, example.y)


def test_train_standardises(capsys, tmp_path, rng):
    """Even where nearly all cells of a column are alike and one lies far away."""
    pytest.importorskip("pandas")
    cells = rng.normal(size=(20_001, 3))
    cells[1, 1] = 1e9
    path = tmp_path / "tail.csv"
    np.savetxt(path, cells, fmt="%.4g", delimiter=",", header="a,b,y", comments="")
    options = ["--epochs", "1", "--layers", "2", "--no-save"]
    assert main(["train", str(path), "--target", "y", *options]) == 0


# ---- what it costs ------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1_000_000, 2), (20_000, 100), (40, 50_000)])
def test_memory(shape, dtype, order):
    X = np.ones(shape, dtype, order=order)
    unevenness(X, X)
    tracemalloc.start()
    try:
        assert unevenness(X, X) == ""
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200_000 + 40 * shape[1]


def test_rows_are_looked_at_from_end_to_end():
    X = np.ones((100_000, 2))
    X[::2] = -1
    X[90_000:, 1] = 1e4
    assert "column 1 of X is 3200 times" in unevenness(X, X)


def test_all_rows_confirm_what_some_suggest(rng):
    """A rare dummy, standardised: the rows that are looked at first may miss its large entries."""
    for _ in range(20):
        X = np.column_stack([rng.normal(size=100_000), rng.random(100_000) < 5e-5])
        X = (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-9)
        assert unevenness(X, X) == ""


def test_no_warning_of_numpy():
    with np.errstate(all="raise"):
        for X in (columns(1e-300, 1e300), columns(0, 0), columns(np.nan, 1), columns(np.inf, 1)):
            unevenness(X, X)

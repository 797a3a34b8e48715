"""A history as text, in a notebook, as a frame and as a picture."""

import copy
import csv
import math
import pickle
import sys

import numpy as np
import pytest
from support.page import parsed

from fastbp.history import History


def _past(n: int = 4, *, every: int = 2) -> History:
    past = History()
    for epoch in range(n):
        figures = {"loss": 1 / (1 + epoch), "accuracy": 0.5}
        if (epoch + 1) % every == 0:
            figures |= {"val_loss": 2.0, "val_accuracy": 0.25}
        past.append(epoch, figures)
    return past


def test_table():
    past = _past()
    past.stopped, past.reason = "interrupted", "KeyboardInterrupt after epoch 4 of 9"
    assert str(past).splitlines() == [
        "epoch      loss  accuracy  val_loss  val_accuracy",
        "    0         1       0.5",
        "    1       0.5       0.5         2          0.25",
        "    2  0.333333       0.5",
        "    3      0.25       0.5         2          0.25",
        "stopped: KeyboardInterrupt after epoch 4 of 9",
    ]
    assert repr(past).endswith("val_accuracy=0.25, stopped='interrupted')")
    assert str(History()) == "epoch"


def test_a_long_table_is_cut():
    lines = str(_past(1000)).splitlines()
    assert len(lines) == 22 and set(lines[11].split()) == {"..."}
    assert [int(line.split()[0]) for line in lines[1:11]] == [*range(10)]
    assert [int(line.split()[0]) for line in lines[12:]] == [*range(990, 1000)]


def test_in_a_notebook():
    past = _past(2)
    past.stopped = past.reason = "a < b"
    page = parsed(past._repr_html_())
    assert page.words[:2] == ["History", "2 epochs, stopped: a < b"]
    assert page.cells[:2] == [
        ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"],
        ["0", "1", "0.5", "", ""],
    ]
    assert page.count("svg") == 1 and {"training", "validation", "loss"} <= set(page.words)
    assert parsed(History()._repr_html_()).words == ["History", "0 epochs"]


@pytest.mark.parametrize("values", [[math.nan] * 3, [1.0, math.inf, 0.5], [0.0, 1.0], [2.0]])
def test_odd_numbers_can_be_drawn(values):
    past = History()
    for epoch, value in enumerate(values):
        past.append(epoch, {"loss": value})
    drawn = past._repr_html_()
    assert parsed(drawn).count("svg") == 1 and "nan" not in drawn.split("<details")[0]


def test_logarithmic_axis_where_a_loss_falls_far():
    past = History()
    past.extend(0, {"loss": np.geomspace(10, 1e-3, 2000), "accuracy": np.linspace(0, 1, 2000)})
    page = parsed(past._repr_html_())
    assert {"0.01", "0.1", "1", "10"} <= set(page.words)
    assert len(past._repr_html_()) < 30_000


def test_csv_comes_back_to_the_bit(tmp_path):
    past = _past(4)
    past.set_column('a, "b"', [1 / 3, 1e-300, 5e300, 0.1])
    past.to_csv(tmp_path / "history.csv")
    with open(tmp_path / "history.csv", newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert head == ["epoch", *past.history] and [int(row[0]) for row in rows] == past.epoch
    for place, name in enumerate(past.history, 1):
        found = [float(row[place]) if row[place] else None for row in rows]
        assert found == past.rows(name)
    with pytest.raises(OSError):
        past.to_csv(tmp_path / "missing" / "history.csv")


def test_by_name():
    past = _past()
    assert past["accuracy"] == [0.5] * 4 and "val_loss" in past and "mae" not in past
    with pytest.raises(KeyError):
        past["mae"]
    with pytest.raises(TypeError):
        iter(past)


@pytest.mark.parametrize("places", [[0], [3], [0, 3], [1, 2], [0, 1], [0, 1, 2, 3], [2]])
def test_numbers_that_only_some_epochs_have(places):
    past = History()
    for epoch in range(4):
        past.append(epoch, {"loss": 1.0} | ({"x": float(epoch)} if epoch in places else {}))
    past.extend(4, {"loss": [2.0, 3.0]})
    past.append(6, {"loss": 4.0, "x": 6.0})
    expected = [float(i) if i in [*places, 6] else None for i in range(7)]
    assert past.rows("x") == expected
    assert past["loss"] == [1, 1, 1, 1, 2, 3, 4] and past.epoch == [*range(7)]
    for twin in (copy.deepcopy(past), pickle.loads(pickle.dumps(past))):
        assert twin.rows("x") == expected and str(twin) == str(past)


def test_several_columns_at_once():
    past = History()
    past.append(0, {"loss": 1.0})
    past.extend(1, {"loss": [0.5, 0.25], "learning_rate": [1.0, 2.0]})
    assert past.rows("learning_rate") == [None, 1.0, 2.0]
    past.set_column("learning_rate", [3, 3, 3])
    past.append(3, {"loss": 0.1, "learning_rate": 4.0, "text": "none", "array": np.ones(3)})
    assert past.rows("learning_rate") == [3.0, 3.0, 3.0, 4.0] and "text" not in past


def test_frame():
    pytest.importorskip("pandas")
    frame = _past().to_frame()
    assert list(frame.columns) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert frame.index.name == "epoch" and list(frame.index) == [0, 1, 2, 3]
    assert frame["val_loss"].tolist()[1] == 2.0 and math.isnan(frame["val_loss"].tolist()[0])
    assert frame.to_numpy().dtype == np.float64
    assert len(History().to_frame()) == 0


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def test_plot(plt, tmp_path):
    past = _past(100)
    past.set_column("learning_rate", np.geomspace(1, 1e-4, 100))
    axes = past.plot()
    assert [ax.get_title() for ax in axes] == ["loss", "accuracy", "learning rate"]
    assert [ax.get_yscale() for ax in axes] == ["log", "linear", "log"]
    labels = [text.get_text() for text in axes[0].get_legend().get_texts()]
    assert labels == ["training", "validation"]
    training, validation = axes[0].lines
    assert training.get_ydata().tolist() == past["loss"]
    assert validation.get_xdata().tolist() == [*range(1, 100, 2)]
    axes[0].figure.savefig(tmp_path / "history.png")


def test_plot_on_given_axes(plt):
    figure, ax = plt.subplots()
    assert _past().plot(ax) == [ax] and ax.get_title() == "loss" and len(ax.lines) == 2
    _, axes = plt.subplots(2, 2)
    assert len(_past().plot(axes)) == 2
    assert len(History().plot()) == 1


@pytest.mark.parametrize(
    ("module", "method", "extra"),
    [("pandas", "to_frame", "csv"), ("matplotlib.pyplot", "plot", "plot")],
)
def test_what_is_missing_is_named(module, method, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"pip install 'fastbp\[{extra}\]'"):
        getattr(_past(), method)()

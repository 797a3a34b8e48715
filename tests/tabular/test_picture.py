"""What the pictures of a trained model show."""

import numpy as np
import pytest

pytest.importorskip("pandas")
pytest.importorskip("matplotlib")

from fastbp.history import History  # noqa: E402
from fastbp.tabular.evaluation import Evaluation  # noqa: E402
from fastbp.tabular.picture import draw, svg  # noqa: E402
from fastbp.tabular.target import ClassTarget, NumberTarget  # noqa: E402


@pytest.fixture
def history():
    found = History()
    found.extend(0, {"loss": [0.9, 0.5], "val_loss": [0.8, 0.6]})
    return found


@pytest.mark.slow
def test_calibration_by_hand(history):
    """Of ten rows with a probability of 0.25 two are of the second class, of ten with 0.75 nine."""
    p = np.repeat([0.25, 0.75], 10)
    truth = np.array([1] * 2 + [0] * 8 + [1] * 9 + [0])
    target = ClassTarget("y", ("no", "yes"))
    evaluation = Evaluation(target, truth, np.column_stack([1 - p, p]), np.array([0.5, 0.5]))
    loss, calibration, confusion, bars = draw(history, evaluation).axes
    perfect, line = calibration.lines
    assert line.get_xydata().tolist() == [[0.25, 0.2], [0.75, 0.9]]
    assert [bar.get_height() for bar in bars.patches] == [0, 0, 10, 0, 0, 0, 0, 10, 0, 0]
    assert [text.get_text() for text in confusion.texts] == ["8", "1", "2", "9"]
    assert [line.get_ydata().tolist() for line in loss.lines] == [[0.9, 0.5], [0.8, 0.6]]


@pytest.mark.slow
def test_many_classes(history):
    names = tuple(f"a class with a name of some length, {i}" for i in range(30))
    truth = np.arange(300) % 30
    evaluation = Evaluation(ClassTarget("y", names), truth, np.eye(30)[truth], np.full(30, 1 / 30))
    axes = draw(history, evaluation).axes
    labels = [text.get_text() for text in axes[2].get_yticklabels()]
    assert len(labels) == 20 and max(map(len, labels)) <= 18 and not axes[2].texts


@pytest.mark.slow
def test_numbers(history):
    truth = np.arange(10.0)
    evaluation = Evaluation(NumberTarget("y", 0.0, 1.0), truth, truth + 1, np.array(4.5))
    figure = draw(history, evaluation, title="a title")
    points = figure.axes[1].collections[0].get_offsets()
    assert np.asarray(points).tolist() == [[i, i + 1] for i in range(10)]
    assert svg(figure).startswith("<svg") and "href" not in svg(figure).split("<defs>")[0]
    assert len(draw(history, None).axes) == 1

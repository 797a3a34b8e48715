"""The notebook of the tutorial runs from top to bottom, and shows what it promises."""

import re
from pathlib import Path

import pytest
from support.page import parsed

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook" / "tutorial.ipynb"


@pytest.fixture(scope="module")
def nbformat():
    return pytest.importorskip("nbformat", reason="nbformat is not installed")


def test_is_stored_without_outputs(nbformat):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) > 8
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


@pytest.mark.slow
def test_runs(nbformat, tmp_path):
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = {"metadata": {"path": str(tmp_path)}}  # where the model is saved
    nbclient.NotebookClient(notebook, timeout=120, resources=place).execute()
    assert (tmp_path / "digits.npz").exists()
    shown = {
        cell.source.rsplit("\n", 1)[-1]: {
            kind: data
            for output in cell.outputs
            for kind, data in output.get("data", {"text": output.get("text")}).items()
        }
        for cell in notebook.cells
        if cell.cell_type == "code"
    }
    for line, word in [("net", "9,610"), ("history", "EarlyStopping"), ("net.plan(32)", "regime")]:
        assert word in " ".join(parsed(shown[line]["text/html"]).words)
    assert "<svg" in shown["history"]["text/html"] and "<svg" in shown["net.plot()"]["text/html"]
    boundary = shown["ax = fb.plot_decision_boundary(spirals, points, side)"]
    assert len(boundary["image/png"]) > 10_000
    accuracy = re.search(
        r"'accuracy': ([\d.]+)", shown["net.evaluate(X_test, y_test)"]["text/plain"]
    )
    assert accuracy is not None and float(accuracy[1]) > 0.9

"""The pictures of the pages are those that docs/draw.py makes."""

import importlib.util
from pathlib import Path

import pytest
from support.page import parsed

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """The script, which writes into another folder."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    spec = importlib.util.spec_from_file_location("draw", DOCS / "draw.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    return module


def test_pictures_are_up_to_date(draw, tmp_path):
    draw.digits()
    draw.blocks()
    for name in ("network.svg", "block.svg"):
        drawn = (tmp_path / name).read_text(encoding="utf-8")
        assert drawn == (DOCS / "picture" / name).read_text(encoding="utf-8"), "python docs/draw.py"
    curves = parsed((tmp_path / "history.svg").read_text(encoding="utf-8"))  # to rounding the same
    committed = parsed((DOCS / "picture" / "history.svg").read_text(encoding="utf-8"))
    assert {"loss", "accuracy", "training", "validation"} <= set(curves.words) & set(
        committed.words
    )


@pytest.mark.slow
def test_decision_boundary_is_drawn(draw, tmp_path):
    draw.boundary()
    assert (tmp_path / "boundary.svg").stat().st_size > 10_000


def test_every_picture_of_a_page_is_there():
    pages = [DOCS.parent / "README.md", *DOCS.rglob("*.md")]
    shown = set()
    for page in pages:
        for part in page.read_text(encoding="utf-8").split("](")[1:]:
            path = part.split(")")[0]
            if path.endswith((".svg", ".png")):
                assert (page.parent / path).exists(), (page.name, path)
                shown.add((page.parent / path).name)
    assert shown == {path.name for path in (DOCS / "picture").iterdir()}

"""docs/layer.md: its examples run, and every layer has its row."""

import doctest
import re
from pathlib import Path

from fastbp.layer.base import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "layer.md"


def test_examples():
    found = doctest.testfile(str(PAGE), module_relative=False)
    assert found.attempted > 10 and not found.failed


def test_every_layer_has_its_row():
    rows = re.findall(r"^\| `(\w+)\(", PAGE.read_text(encoding="utf-8"), flags=re.M)
    kinds = {kind for kind in KINDS.values() if kind.__module__.startswith("fastbp")}
    assert set(rows) == {getattr(kind, "stands_for", kind).__name__ for kind in kinds} - {"Input"}

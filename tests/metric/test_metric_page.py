"""docs/metric.md says what the table of metrics says."""

import re
from pathlib import Path

import pytest

import fastbp as fb
from fastbp.metric import METRICS, is_larger_better, resolve_metric

PAGE = Path(__file__).parents[2] / "docs" / "metric.md"
NEEDS = {None: "any", "classes": "classes", "one class": "one class a row", "numbers": "numbers"}


@pytest.fixture(scope="module")
def rows():
    lines = re.findall(r"^\| (.+) \|$", PAGE.read_text(encoding="utf-8"), flags=re.M)
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines]
    return {name: rest for name, *rest in cells if name != "name"}


def test_every_metric_has_its_row(rows):
    assert list(rows) == list(METRICS)
    for name, (_, aliases, needs, better) in rows.items():
        assert NEEDS[METRICS[name].needs] == needs
        assert is_larger_better(name) is (better == "larger")
        for alias in filter(None, aliases.replace(" ...", "").split(", ")):
            assert fb.Metric(alias.strip(",")).name == name


def test_every_example_in_it_is_a_metric(rows):
    text = PAGE.read_text(encoding="utf-8")
    for name in re.findall(r"\b(?:top_\d_accuracy|f1_[a-z]+|roc_auc_[a-z]+|pinball_0\.\d)", text):
        assert resolve_metric(name) == (name if name not in ("f1_score", "roc_auc_score") else
                                        name.removesuffix("_score"))  # fmt: skip

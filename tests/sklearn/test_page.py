"""docs/from_scikit_learn.md: its examples run, and it names every parameter of our own."""

from __future__ import annotations

import doctest
import inspect
import warnings
from pathlib import Path

import sklearn.neural_network

from fastbp.sklearn import MLPClassifier

PAGE = Path(__file__).parents[2] / "docs" / "from_scikit_learn.md"


def test_examples() -> None:
    text = PAGE.read_text(encoding="utf-8").replace("```", "")
    examples = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    assert len(examples.examples) > 20
    with warnings.catch_warnings():
        assert doctest.DocTestRunner().run(examples).failed == 0


def test_parameters() -> None:
    ours = inspect.signature(MLPClassifier).parameters
    theirs = inspect.signature(sklearn.neural_network.MLPClassifier).parameters
    assert list(ours)[: len(theirs)] == list(theirs)
    assert [one.default for one in ours.values()][: len(theirs)] == [
        one.default for one in theirs.values()
    ]
    text = PAGE.read_text(encoding="utf-8")
    rows = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert set(list(ours)[len(theirs) :]) <= set(rows)

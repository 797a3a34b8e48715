"""What a target is taken for, its numbers, and back."""

import json

import numpy as np
import pytest

pd = pytest.importorskip("pandas")

from fastbp.tabular.target import (  # noqa: E402
    ClassTarget,
    NumberTarget,
    fit_target,
    target_from_config,
    target_to_config,
)


def column(cells):
    return pd.Series(cells, name="y")


@pytest.mark.parametrize(
    ("cells", "task"),
    [
        (["a", "b"], "classification"),
        (["0", "1", "0", "1"], "classification"),
        ([True, False], "classification"),
        (["0", "1", "2"], "regression"),  # each number once
        (["0.5", "1.5", "0.5", "1.5"], "regression"),
        ([str(i % 30) for i in range(300)], "regression"),
        (pd.Categorical([1.5, 2.5]), "classification"),
    ],
)
def test_auto(cells, task):
    assert fit_target(column(cells)).task == task


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["10", "9", "10"], (9, 10)),
        ([10.0, 9.0, 10.0], (9, 10)),
        (["01", "1", "01"], ("01", "1")),
        (["b", "a"], ("a", "b")),
        ([True, False], (False, True)),
        (["-1", "1", "1"], (-1, 1)),
    ],
)
def test_classes_are_of_the_kind_of_the_column(cells, classes):
    target = fit_target(column(cells), task="classification")
    assert target.classes == classes and list(map(type, target.classes)) == list(map(type, classes))
    codes = target.encode(column(cells))
    assert [str(target.labels[code]) for code in codes] == (
        [str(int(cell)) if type(cell) is float else str(cell) for cell in cells]
    )
    assert target.decode(np.array([[0.9, 0.1], [0.2, 0.8]])).tolist() == list(classes)


def test_numbers_are_standardised_and_come_back():
    target = fit_target(column(["10", "20", "99"]), task="regression", rows=np.array([0, 1]))
    assert target == NumberTarget("y", 15.0, 5.0)
    assert target.encode(column(["10", "20"])).tolist() == [-1.0, 1.0]
    assert target.decode(np.array([[-1.0], [3.0]])).tolist() == [10.0, 30.0]


@pytest.mark.parametrize("cells", [["a", "b"], ["1.5", "2.5"], ["1", "2", "1", "2"], [True, False]])
def test_config_round_trip_through_json(cells):
    target = fit_target(column(cells))
    assert target_from_config(json.loads(json.dumps(target_to_config(target)))) == target


@pytest.mark.parametrize(
    ("cells", "task", "message"),
    [
        (["a", "a"], "auto", "target 'y' is constant: every row has 'a'"),
        (["1.5", "1.5"], "regression", "target 'y' is constant"),
        (["1", "x"], "regression", "target 'y': data row 2 has 'x', expected a finite number"),
        ([1.5, np.inf], "auto", "target 'y': data row 2 has 'inf', expected a finite number"),
        ([], "auto", "target 'y' has no value in any row"),
        (["1,5", "2,5"], "auto", "decimal comma"),
        (["1.5", "2.5", "?"], "auto", "'y' holds mostly numbers, but data row 3 has '?'"),
        ([f"name {i}" for i in range(30)], "auto", "too many for classes"),
        (["a", "b"], "ranking", "unknown task 'ranking'"),
    ],
)
def test_bad_target(cells, task, message):
    with pytest.raises(ValueError, match=message):
        fit_target(column(cells), task=task)


def test_a_class_that_training_did_not_see():
    with pytest.raises(ValueError, match="target 'y': data row 2 has 'c'"):
        ClassTarget("y", ("a", "b")).encode(column(["a", "c"]))
    with pytest.raises(ValueError, match="target 'y': data row 1 has 'x'"):
        NumberTarget("y", 0.0, 1.0).numbers(column(["x", "1"]))


@pytest.mark.parametrize(
    "config",
    [
        {}, 3,
        {"task": "classification", "name": "y", "classes": ["a"]},
        {"task": "classification", "name": "y", "classes": ["a", 1]},
        {"task": "classification", "name": "y", "classes": ["a", "a"]},
        {"task": "classification", "name": "y", "classes": [[1], [2]]},
        {"task": "classification", "name": 1, "classes": ["a", "b"]},
        {"task": "regression", "name": "y", "mean": 0.0, "scale": -1.0},
        {"task": "regression", "name": None, "mean": 0.0, "scale": 1.0},
        {"task": "regression", "name": "y", "mean": 0.0, "scale": 1.0, "decimal": "x"},
    ],
)  # fmt: skip
def test_bad_config(config):
    with pytest.raises(ValueError, match="not a description of a target"):
        target_from_config(config)

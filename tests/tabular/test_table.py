"""From cells to inputs and targets: values by hand, and every bad table by its message."""

import json

import numpy as np
import pytest
from support.tolerance import assert_rounded

from fastbp.tabular.split import split_rows
from fastbp.tabular.table import CategoryColumn, NumericColumn, Preprocessing, read_csv
from fastbp.tabular.target import (
    ClassTarget,
    NumberTarget,
    fit_target,
    target_from_config,
    target_to_config,
)

TABLE = {"age": ["20", "40", "30"], "town": ["Rome", "Oslo", "Rome"]}


class TestPreprocessing:
    def test_values_by_hand(self):
        fitted = Preprocessing.fit(TABLE)
        assert fitted.feature_names == ("age", "town=Oslo", "town=Rome")
        scale = np.sqrt(200.0 / 3.0)
        expected = [[-10 / scale, 0, 1], [10 / scale, 1, 0], [0, 0, 1]]
        result = fitted.transform(TABLE, dtype=np.float64)
        size = np.ones((3, 3))
        assert_rounded(result, expected, dtype="float64", roundings=4, magnitude=size)
        assert fitted.transform(TABLE).dtype == np.float32

    def test_scale_comes_from_the_given_rows_and_categories_from_all(self):
        fitted = Preprocessing.fit(TABLE, rows=[0, 2])
        assert fitted.columns == (
            NumericColumn("age", 25.0, 5.0),
            CategoryColumn("town", ("Oslo", "Rome")),
        )

    def test_order_and_surplus_of_columns_do_not_matter(self):
        fitted = Preprocessing.fit(TABLE)
        shuffled = {"extra": ["x"] * 3, "town": TABLE["town"], "age": TABLE["age"]}
        assert (fitted.transform(shuffled) == fitted.transform(TABLE)).all()

    def test_arrays_of_numbers_are_columns_too(self):
        fitted = Preprocessing.fit({"a": np.array([1, 3]), "b": np.array([0.5, 1.5])})
        assert fitted.transform({"a": [1, 3], "b": [0.5, 1.5]}).tolist() == [[-1, -1], [1, 1]]

    def test_leading_zeros_stay_where_a_column_is_of_names(self):
        fitted = Preprocessing.fit({"code": ["007", "A7", "B7", "7"]})
        assert fitted.columns == (CategoryColumn("code", ("007", "7", "A7", "B7")),)

    def test_booleans_are_names(self):
        assert Preprocessing.fit({"flag": [True, False]}).feature_names == (
            "flag=False",
            "flag=True",
        )

    def test_huge_values_do_not_overflow(self):
        fitted = Preprocessing.fit({"a": ["-1e300", "1e300"]})
        assert fitted.transform({"a": ["-1e300", "1e300"]}).tolist() == [[-1.0], [1.0]]

    def test_constant_columns_are_dropped_and_listed(self):
        fitted = Preprocessing.fit({"a": ["1", "2"], "b": ["3", "3.0"], "c": ["x", "x"]})
        assert [column.name for column in fitted.columns] == ["a"]
        assert fitted.dropped == ("b", "c")

    def test_config_round_trip_through_json(self):
        fitted = Preprocessing.fit({**TABLE, "c": ["x"] * 3}, rows=[0, 1])
        copy = Preprocessing.from_config(json.loads(json.dumps(fitted.to_config())))
        assert copy == fitted and hash(copy) == hash(fitted)

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            ({"a": ["1", None]}, "column 'a': data row 2 has no value"),
            ({"a": ["1", " "]}, "column 'a': data row 2 has no value"),
            ({"a": [1.0, np.nan]}, "column 'a': data row 2 has no value"),
            ({"a": ["1", "inf"]}, "column 'a': data row 2 has 'inf', expected a finite number"),
            ({"a": ["1", "2", "?"]}, "'a' holds mostly numbers, but data row 3 has '?'"),
            ({"a": ["x", "x"], "b": ["1", "1"]}, "every column is constant: 'a', 'b'"),
            ({}, "no column to learn from"),
            ({"a": [[1, 2]]}, r"column 'a' has shape \(1, 2\), expected one dimension"),
            ({"a": [f"n{i}" for i in range(1001)]}, "'a' has 1001 different values, at most 1000"),
        ],
    )
    def test_bad_table_at_fit(self, table, message):
        with pytest.raises(ValueError, match=message):
            Preprocessing.fit(table)

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            ({"age": ["1"]}, "the table has no column 'town'; it has 'age'"),
            (
                {"age": ["1"], "town": ["Bonn"]},
                "column 'town': data row 1 has 'Bonn', which training did not see; "
                "known: 'Oslo', 'Rome'",
            ),
            ({"age": ["young"], "town": ["Oslo"]}, "'age' is numeric, but data row 1 has 'young'"),
            ({"age": [""], "town": ["Oslo"]}, "column 'age': data row 1 has no value"),
            (
                {"age": ["1e300"], "town": ["Oslo"]},
                "column 'age', data row 1: the value does not fit float32",
            ),
        ],
    )
    def test_bad_table_at_transform(self, table, message):
        with pytest.raises(ValueError, match=message):
            Preprocessing.fit(TABLE).transform(table)

    @pytest.mark.parametrize(
        "config",
        [
            {},
            {"columns": [], "dropped": []},
            {"columns": 3, "dropped": []},
            {"columns": [{"name": "a"}], "dropped": []},
            {"columns": [{"name": 1, "mean": 0.0, "scale": 1.0}], "dropped": []},
            {"columns": [{"name": "a", "mean": 0.0, "scale": 0.0}], "dropped": []},
            {"columns": [{"name": "a", "mean": "x", "scale": 1.0}], "dropped": []},
            {"columns": [{"name": "a", "categories": ["x", "x"]}], "dropped": []},
            {"columns": [{"name": "a", "categories": [1]}], "dropped": []},
        ],
    )
    def test_bad_config(self, config):
        with pytest.raises(ValueError):
            Preprocessing.from_config(config)


class TestTarget:
    @pytest.mark.parametrize(
        ("cells", "task"),
        [
            (["a", "b"], "classification"),
            (["0", "1", "0", "1"], "classification"),
            (["0", "1", "2"], "regression"),  # each number once
            (["0.5", "1.5", "0.5", "1.5"], "regression"),
            ([str(i % 30) for i in range(300)], "regression"),
        ],
    )
    def test_auto(self, cells, task):
        assert fit_target("y", cells).task == task

    def test_classes_are_in_order_of_value(self):
        target = fit_target("y", ["10", "9", "10"], task="classification")
        assert target == ClassTarget("y", ("9", "10"))
        assert target.encode(["9", "10"]).tolist() == [0, 1]
        assert target.decode(np.array([[0.9, 0.1], [0.2, 0.8]])) == ["9", "10"]

    def test_numbers_are_standardised_and_come_back(self):
        target = fit_target("y", ["10", "20", "99"], task="regression", rows=[0, 1])
        assert target == NumberTarget("y", 15.0, 5.0)
        assert target.encode(["10", "20"]).tolist() == [-1.0, 1.0]
        assert target.decode(np.array([[-1.0], [3.0]])).tolist() == [10.0, 30.0]

    @pytest.mark.parametrize("cells", [["a", "b"], ["1.5", "2.5"]])
    def test_config_round_trip_through_json(self, cells):
        target = fit_target("y", cells)
        assert target_from_config(json.loads(json.dumps(target_to_config(target)))) == target

    @pytest.mark.parametrize(
        ("cells", "task", "message"),
        [
            (["a", "a"], "auto", "target 'y' is constant: every row has 'a'"),
            (["1.5", "1.5"], "regression", "target 'y' is constant"),
            (["1", "x"], "regression", "column 'y' is numeric, but data row 2 has 'x'"),
            (["1", None], "auto", "column 'y': data row 2 has no value"),
        ],
    )
    def test_bad_target(self, cells, task, message):
        with pytest.raises(ValueError, match=message):
            fit_target("y", cells, task=task)

    @pytest.mark.parametrize(
        "config",
        [
            {},
            {"task": "classification", "name": "y", "classes": ["a"]},
            {"task": "classification", "name": 1, "classes": ["a", "b"]},
            {"task": "regression", "name": "y", "mean": 0.0, "scale": -1.0},
            {"task": "regression", "name": None, "mean": 0.0, "scale": 1.0},
        ],
    )
    def test_bad_config(self, config):
        with pytest.raises(ValueError):
            target_from_config(config)


class TestSplit:
    def test_every_row_once_and_repeatable(self):
        train, test = split_rows(101, test_size=0.25, seed=3)
        assert sorted([*train, *test]) == list(range(101)) and len(test) == 25
        again = split_rows(101, test_size=0.25, seed=3)
        assert (again[0] == train).all() and (again[1] == test).all()
        assert (split_rows(101, test_size=0.25, seed=4)[1] != test).any()

    def test_share_of_each_class(self):
        labels = np.repeat([0, 1, 2], [40, 20, 1])
        train, test = split_rows(61, test_size=0.25, seed=0, labels=labels)
        assert np.bincount(labels[test], minlength=3).tolist() == [10, 5, 0]
        assert np.bincount(labels[train]).tolist() == [30, 15, 1]

    def test_no_test_rows(self):
        train, test = split_rows(5, test_size=0.0, seed=0)
        assert train.tolist() == [0, 1, 2, 3, 4] and test.tolist() == []

    @pytest.mark.parametrize("test_size", [-0.1, 1.0, float("nan")])
    def test_share_out_of_range(self, test_size):
        with pytest.raises(ValueError, match="expected 0 <= test_size < 1"):
            split_rows(5, test_size=test_size, seed=0)


class TestReadCsv:
    @pytest.fixture(autouse=True)
    def _needs_pandas(self):
        pytest.importorskip("pandas")

    def read(self, tmp_path, content, **options):
        path = tmp_path / "data.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_csv(path, **options)

    def test_cells_are_text_and_gaps_none(self, tmp_path):
        table = self.read(tmp_path, 'a, b\n007,"x, y"\n1.50,\n')
        assert {name: list(cells) for name, cells in table.items()} == {
            "a": ["007", "1.50"],
            "b": ["x, y", None],
        }

    def test_byte_order_mark_and_separator(self, tmp_path):
        table = self.read(tmp_path, "\ufeffa;b\r\n1;ü\r\n", separator=";")
        assert list(table) == ["a", "b"] and table["b"][0] == "ü"

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "is empty"),
            ("a,b\n", "has a header and no rows"),
            ("a,a\n1,2\n", "two columns are called 'a'"),
            ("a,,c\n1,2,3\n", "column 2 has no name"),
            ("a,b\n1,2,3\n", "Expected 2 fields in line 2, saw 3"),
            (b"a,b\n1,\xff\n", "is not UTF-8 text"),
        ],
    )
    def test_bad_file(self, tmp_path, content, message):
        with pytest.raises(ValueError, match=message):
            self.read(tmp_path, content)

    def test_short_line_is_a_missing_value(self, tmp_path):
        with pytest.raises(ValueError, match="column 'b': data row 2 has no value"):
            Preprocessing.fit(self.read(tmp_path, "a,b\n1,2\n3\n"))

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            read_csv(tmp_path / "none.csv")

    def test_an_address_is_a_file_name(self):
        with pytest.raises(FileNotFoundError):
            read_csv("http://localhost:9/data.csv")


def test_without_pandas_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ImportError, match=r'pip install "fastbp\[csv\]"'):
        read_csv(tmp_path / "data.csv")

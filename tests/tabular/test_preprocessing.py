"""From cells to inputs: values by hand, what each column is taken for, and bad columns."""

import json

import numpy as np
import pytest
from support.refusal import bad_input
from support.tolerance import assert_rounded

pd = pytest.importorskip("pandas")

from fastbp.tabular.column import (  # noqa: E402
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    NumberColumn,
    moments,
)
from fastbp.tabular.frame import as_frame  # noqa: E402
from fastbp.tabular.preprocessing import Oddities, Preprocessing  # noqa: E402
from fastbp.tabular.recognition import Reading  # noqa: E402

TABLE = {"age": ["20", "40", "30"], "town": ["Rome", "Oslo", "Rome"]}


def fit(table, *, rows=None, **reading):
    rows = None if rows is None else np.array(rows)
    return Preprocessing.fit(as_frame(table), rows=rows, reading=Reading(**reading))


def encode(fitted, table, **options):
    return fitted.transform(as_frame(table), **options)[0]


class TestValues:
    def test_by_hand(self):
        fitted = fit(TABLE)
        assert fitted.feature_names == ("age", "town=Oslo", "town=Rome")
        scale = np.sqrt(200.0 / 3.0)
        expected = [[-10 / scale, 0, 1], [10 / scale, 1, 0], [0, 0, 1]]
        result = encode(fitted, TABLE, dtype=np.float64)
        assert_rounded(result, expected, dtype="float64", roundings=4, magnitude=np.ones((3, 3)))
        assert encode(fitted, TABLE).dtype == np.float32

    def test_scale_comes_from_the_given_rows_and_categories_from_all(self):
        assert fit(TABLE, rows=[0, 2]).columns == (
            NumberColumn(name="age", mean=25.0, scale=5.0),
            CategoryColumn(name="town", categories=("Oslo", "Rome")),
        )

    def test_gaps_become_the_middle_and_are_marked(self):
        table = {"a": [1, None, 3], "b": ["x", "y", ""], "c": ["yes", "no", None]}
        fitted = fit(table)
        assert fitted.feature_names == (
            "a", "a is missing", "b=x", "b=y", "b is missing", "c", "c is missing",
        )  # fmt: skip
        assert encode(fitted, table).tolist() == [
            [-1, 0, 1, 0, 0, 1, 0], [0, 1, 0, 1, 0, -1, 0], [1, 0, 0, 0, 1, 0, 1],
        ]  # fmt: skip
        plain = fit(table, missing="impute")
        assert encode(plain, table).tolist() == [[-1, 1, 0, 1], [0, 0, 1, -1], [1, 0, 0, 0]]
        assert any("'a' 1 of 3 (data row 2)" in note for note in fitted.notes)

    def test_gaps_that_come_later_are_imputed_and_counted(self):
        fitted = fit(TABLE)
        inputs, odd = fitted.transform(as_frame({"age": [None], "town": [None]}))
        assert inputs.tolist() == [[0, 0, 0]]
        assert odd.missing == {"age": 1, "town": 1} and not odd.unfit

    def test_dates_by_hand(self):
        """Monday 6 January and Wednesday 6 January a year later, 12 and 18 o'clock."""
        days = ["2020-01-06 12:00", "2021-01-06 18:00"]
        fitted = fit({"t": days})
        assert fitted.feature_names == (
            "t days", "t sin year", "t cos year", "t sin week", "t cos week", "t sin day",
            "t cos day",
        )  # fmt: skip
        first, second = encode(fitted, {"t": days}, dtype=np.float64)
        since = np.array([18267.5, 18633.75])  # days after 1970-01-01
        year = 2 * np.pi * since / 365.25
        week = 2 * np.pi * np.array([0.5, 2.75]) / 7
        expected = np.column_stack([
            [-1, 1], np.sin(year), np.cos(year), np.sin(week), np.cos(week), [0, -1], [-1, 0],
        ])  # fmt: skip
        # the angle of a day is thousands of turns: its last digits are lost
        turns = np.full((2, 7), 2 * np.pi * since.max())
        assert_rounded([first, second], expected, dtype="float64", roundings=4, magnitude=turns)
        assert encode(fitted, {"t": pd.to_datetime(days)}).tolist() == (
            encode(fitted, {"t": days}).tolist()
        )

    def test_huge_values_do_not_overflow(self):
        assert encode(fit({"a": ["-1e300", "1e300"]}), {"a": [-1e300, 1e300]}).tolist() == (
            [[-1.0], [1.0]]
        )
        assert moments(np.array([np.nan])) is None


class TestRecognition:
    @pytest.mark.parametrize(
        ("cells", "kind"),
        [
            (["1", "2.5"], NumberColumn),
            ([1, 2], NumberColumn),
            (["007", "A7", "B7", "7"], CategoryColumn),
            ([True, False], BooleanColumn),
            (["yes", "No", "yes"], BooleanColumn),
            (["t", "f"], BooleanColumn),
            (["left", "right"], CategoryColumn),
            (pd.Categorical([1, 2, 1]), CategoryColumn),
            (["2020-01-05", "2020-02-07"], DateColumn),
            (["24.12.2020", "1.1.2021"], DateColumn),
            (["12/24/2020 08:30", "1/1/2021 9:00"], DateColumn),
            (["3 Jan 2020", "4 Feb 2021"], DateColumn),
            (pd.to_datetime(["2020-01-05", "2020-02-07"]).tz_localize("Europe/Rome"), DateColumn),
        ],
    )
    def test_kind(self, cells, kind):
        (column,) = fit({"a": cells}).columns
        assert type(column) is kind

    def test_leading_zeros_stay_where_a_column_is_of_names(self):
        (column,) = fit({"code": ["007", "A7", "B7", "7"]}).columns
        assert column.categories == ("007", "7", "A7", "B7")

    def test_whole_numbers_with_gaps_keep_their_names(self):
        (column,) = fit({"code": [7.0, None, 9.0]}, categorical=["code"]).columns
        assert column.categories == ("7", "9")

    def test_day_and_month_that_could_be_exchanged_are_said(self):
        fitted = fit({"t": ["01/02/2020", "03/04/2021"]})
        assert fitted.columns[0].format == "%m/%d/%Y"
        assert any("could be %d/%m/%Y: say which by --date-format" in n for n in fitted.notes)
        fitted = fit({"t": ["01/02/2020", "03/04/2021"]}, date_format="%d/%m/%Y")
        assert fitted.columns[0].format == "%d/%m/%Y" and not fitted.notes
        assert not fit({"t": ["01/13/2020", "03/04/2021"]}).notes

    def test_what_is_left_out(self):
        table = {
            "a": [*map(str, range(30, 0, -1))], "h": [*range(1, 60, 2)],
            "b": ["3", "3.0"] * 15, "c": ["x"] * 30, "d": [None] * 30,
            "e": [f"name {i}" for i in range(30)], "f": ["yes"] * 30, "g": ["2020-01-01"] * 30,
        }  # fmt: skip
        fitted = fit(table)
        assert fitted.names == ("a",)
        text = "text: 30 different values in 30 rows, as 'name 0'"
        constant = dict.fromkeys("bcfg", "constant")
        counter = "it numbers the rows; --keep 'h' uses it nevertheless"
        assert fitted.ignored == constant | {"d": "no value in any row", "e": text, "h": counter}
        assert fit(table, keep=["h"]).names == ("a", "h")
        assert fit({"h": table["h"]}).names == ("h",)
        years = {"h": range(1990, 2020), "a": table["a"]}
        assert fit(years).names == ("h", "a")

    def test_of_many_categories_the_most_frequent_have_inputs(self):
        cells = [f"town {i}" for i in range(120) for _ in range(2 + (i < 50))]
        fitted = fit({"a": cells})
        assert len(fitted.feature_names) == 100 and fitted.feature_names[0] == "a=town 0"
        assert "'a' has 120 categories" in fitted.notes[0]
        odd = fitted.transform(as_frame({"a": ["town 119", "town 0"]}))[1]
        assert odd.unknown == {"a": {"town 119": 1}}

    def test_scales_far_apart_are_said(self):
        notes = fit({"a": [1, 2, 3], "b": [1e6, 2e6, 0]}).notes
        assert len(notes) == 1 and notes[0].startswith("scales differ: 'b' varies by 8.16e+05")

    @bad_input("decimal comma", "stray cell", "number with a unit", "infinity in a table")
    @pytest.mark.parametrize(
        ("cells", "message"),
        [
            (["1,5", "2,5"], r"numbers with a decimal comma, such as '1,5': pass --decimal ,"),
            (["1", "2", "?"], "'a' holds mostly numbers, but data row 3 has '?'.*--na-value '?'"),
            ([1.0, 2.0, np.inf], "column 'a': data row 3 has 'inf', expected a finite number"),
            (["1", "inf"], "column 'a': data row 2 has 'inf', expected a finite number"),
            (["1", "2", "x"], "--categorical 'a' if the cells are names, or --drop"),
            ([f"{i} kg" for i in range(60)], "60 different values that look like numbers"),
            ([f"${i},000" for i in range(60)], "60 different values that look like numbers"),
        ],
    )  # fmt: skip
    def test_refused(self, cells, message):
        with pytest.raises(ValueError, match=message):
            fit({"a": cells, "b": [1, 2] * (len(cells) // 2) + [1] * (len(cells) % 2)})

    @bad_input("separator of thousands")
    @pytest.mark.parametrize(
        ("cells", "decimal", "message"),
        [
            (["1.234,50", "999,00"], ",", r"of thousands, such as '1.234,50': write .* pass --cat"),
            (["1.234.567", "2"], ",", "separators of thousands, such as '1.234.567'"),
            (["1,234.5", "2.5"], ".", "separators of thousands, such as '1,234.5'"),
            (["1,234", "999"], ".", "'1,234': .* pass --decimal , if the comma is the decimal"),
            (["1,234", "12,5"], ".", "numbers with a decimal comma"),
            (["1.234,50", "99,00"], ".", "numbers with a decimal comma"),
        ],
    )
    def test_groups_of_digits(self, cells, decimal, message):
        with pytest.raises(ValueError, match=message):
            fit({"a": cells, "b": [1, 2]}, decimal=decimal)

    def test_the_remedies_work(self):
        assert encode(fit({"a": ["1,5", "2,5"]}, decimal=","), {"a": ["2,0"]}).tolist() == [[0]]
        fitted = fit({"a": ["1", "?", "3"]}, na_values=["?"])
        assert encode(fitted, {"a": ["2", "?"]}).tolist() == [[0, 0], [0, 1]]
        (column,) = fit({"a": ["1", "2", "?"]}, categorical=["a"]).columns
        assert set(column.categories) == {"1", "2", "?"}

    @pytest.mark.parametrize(
        ("table", "options", "message"),
        [
            ({"a": [1, None]}, {"missing": "error"}, "column 'a': data row 2 has no value"),
            ({"a": ["x", " "], "b": [1, 2]}, {"missing": "error"}, "'a': data row 2 has no"),
            ({"a": ["x", "x"]}, {}, r"no column to learn from \('a': constant\)"),
            ({}, {}, "no column to learn from"),
            ({"a": [[1, 2]]}, {}, r"column 'a' has shape \(1, 2\), expected \(n,\)"),
            ({"a": [1], "b": [1, 2]}, {}, "columns of different lengths"),
            ({"t": ["1.1.2020", "x"]}, {"date_format": "%d.%m.%Y"}, "'t': data row 2 has 'x'"),
            ({"a": [1, 2]}, {"missing": "drop"}, "unknown missing 'drop'; known: indicator"),
            ({"a": [1, 2]}, {"decimal": ";"}, "decimal must be '.' or ','"),
        ],
    )
    def test_bad_table(self, table, options, message):
        with pytest.raises(ValueError, match=message):
            fit(table, **options)


class TestTransform:
    def test_order_and_surplus_of_columns_do_not_matter(self):
        fitted = fit(TABLE)
        shuffled = {"extra": ["x"] * 3, "town": TABLE["town"], "age": TABLE["age"]}
        assert (encode(fitted, shuffled) == encode(fitted, TABLE)).all()

    @bad_input("columns that do not fit")
    def test_missing_columns_are_named_with_those_alike(self):
        with pytest.raises(ValueError, match=r"no column 'town' \(did you mean 'Town'\?\); it has"):
            encode(fit(TABLE), {"age": [1], "Town": ["Rome"]})
        with pytest.raises(ValueError, match="no cell is one: data row 1 has 'young'"):
            encode(fit(TABLE), {"age": ["young", "old"], "town": ["Oslo", "Oslo"]})
        with pytest.raises(ValueError, match="--decimal ,"):
            encode(fit(TABLE), {"age": ["1,5", "2,5"], "town": ["Oslo", "Oslo"]})

    @bad_input("row that does not fit", "unknown category")
    def test_odd_rows_and_categories(self):
        fitted = fit(TABLE)
        table = {"age": ["1", "young", "1e300"], "town": ["Bonn", "Oslo", "Oslo"]}
        inputs, odd = fitted.transform(as_frame(table))
        assert odd.unfit == {1: "'age' 'young' is no number", 2: "'age' '1e300' is no number"}
        assert odd.unknown == {"town": {"Bonn": 1}}
        assert inputs[0, 1:].tolist() == [0, 0] and not inputs[1:].any()
        notes = odd.notes()
        assert notes[0].startswith("no prediction for 2 rows: data row 2 ('age' 'young' is no")
        assert "1 cell with categories that training did not see, encoded as none" in notes[1]

    def test_gaps_where_training_refused_them(self):
        fitted = fit(TABLE, missing="error")
        odd = fitted.transform(as_frame({"age": ["1", ""], "town": ["Oslo", "Oslo"]}))[1]
        assert odd.unfit == {1: "no 'age'"}

    def test_oddities_add_up(self):
        total, part = Oddities(), Oddities({}, {"a": 2}, {"b": {"c": 1}})
        part.refuse(4, "x")
        part.refuse(4, "z")
        total.add(part)
        total.add(Oddities({9: "y"}, {"a": 1}, {"b": {"c": 2, "d": 1}}, 1))
        assert total == Oddities({4: "x", 9: "y"}, {"a": 3}, {"b": {"c": 3, "d": 1}}, 2)
        assert part.unknown == {"b": {"c": 1}}

    def test_oddities_of_a_long_table_take_no_more_memory(self):
        total = Oddities()
        for first in range(0, 3000, 500):
            rows = {first + i: "x" for i in range(500)}
            total.add(Oddities(rows, {}, {"b": {f"c{i}": 1 for i in rows}}, 500))
        assert len(total.unfit) == 1000 and total.n_unfit == 3000
        assert len(total.unknown["b"]) == 101 and sum(total.unknown["b"].values()) == 3000
        assert total.notes()[0].startswith("no prediction for 3000 rows: data row 1 (x), ")


class TestConfig:
    def test_round_trip_through_json(self):
        table = {
            "a": [1, None, 3, 4], "b": ["x", "y", "x", "y"], "c": [True, False, True, True],
            "d": ["2020-01-01", "2020-05-01", "2021-01-01", "2022-01-01"], "e": ["z"] * 4,
        }  # fmt: skip
        fitted = fit(table, na_values=["?"])
        assert [type(column).__name__[:4] for column in fitted.columns] == (
            ["Numb", "Cate", "Bool", "Date"]
        )
        copy = Preprocessing.from_config(json.loads(json.dumps(fitted.to_config())))
        assert copy == fitted
        assert (encode(copy, table) == encode(fitted, table)).all()

    @pytest.mark.parametrize(
        "columns",
        [
            [], 3, [{"kind": "number", "name": "a"}], [{"kind": "other", "name": "a"}],
            [{"name": 1, "mean": 0.0, "scale": 1.0}], [{"name": "a", "mean": 0.0, "scale": 0.0}],
            [{"name": "a", "mean": "x", "scale": 1.0}], [{"name": "a", "categories": ["x", "x"]}],
            [{"name": "a", "categories": [1]}], [{"name": "a", "categories": "xy"}],
            [{"kind": "date", "name": "a", "format": 1, "mean": 0.0, "scale": 1.0, "cycles": []}],
            [{"kind": "boolean", "name": "a", "indicator": 1}],
            [{"kind": "boolean", "name": "a"}] * 2, [3],
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("rest", [
        {"dropped": []},
        {"ignored": {}, "missing": "impute", "decimal": ".", "na_values": []},
    ])  # fmt: skip
    def test_bad_config(self, columns, rest):
        with pytest.raises(ValueError, match="not a description of a preprocessing"):
            Preprocessing.from_config({"columns": columns, **rest})

    @pytest.mark.parametrize("changed", [{"missing": "x"}, {"decimal": 3}, {"na_values": 3},
                                         {"ignored": 3}])  # fmt: skip
    def test_bad_reading(self, changed):
        config = fit(TABLE).to_config()
        with pytest.raises(ValueError, match="not a description of a preprocessing"):
            Preprocessing.from_config(config | changed)


class TestFrames:
    def test_one_row_and_other_names(self):
        assert as_frame({"a": 1, "b": "x"}).shape == (1, 2)
        assert list(as_frame(pd.DataFrame({0: [1], 1: [2]})).columns) == ["0", "1"]

    def test_the_index_of_the_caller_is_of_no_importance(self):
        table = pd.DataFrame({"a": [1, 2, 3]}, index=[5, 5, 5])
        assert list(as_frame(table).index) == [0, 1, 2] and list(table.index) == [5, 5, 5]

    def test_arrow(self):
        arrow = pytest.importorskip("pyarrow")
        assert as_frame(arrow.table({"a": [1, 2]}))["a"].tolist() == [1, 2]

    def test_polars(self):
        polars = pytest.importorskip("polars")
        pytest.importorskip("pyarrow")
        table = polars.DataFrame({"a": [1, None], "b": ["x", "y"]})
        assert fit({"a": [1.0, None], "b": ["x", "y"]}) == (
            Preprocessing.fit(as_frame(table), reading=Reading())
        )

    def test_no_table(self):
        with pytest.raises(TypeError, match="a table must be a frame or a dict of columns, got 3"):
            as_frame(3)
        with pytest.raises(ValueError, match="two columns are called 'a'"):
            as_frame(pd.DataFrame([[1, 2]], columns=["a", "a"]))

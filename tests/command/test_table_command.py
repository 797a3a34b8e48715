"""`fastbp train`, `predict`, `evaluate` and `plot-history`."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from support.refusal import bad_input
from support.table_file import write_csv
from support.tolerance import printed_bound

import fastbp as fb
from fastbp.command import main
from fastbp.runtime.snapshot import snapshot
from fastbp.storage.checkpoint import write

pd = pytest.importorskip("pandas")


def run(capsys, *argv):
    """What a command prints that succeeds."""
    assert main([str(word) for word in argv]) == 0
    return capsys.readouterr()


def figures(out, name):
    """Numbers of the line that begins with this word."""
    line = next(line for line in out.splitlines() if line.strip().startswith(name + " "))
    return [float(word) for word in line.split()[1:]]


class TestTrain:
    def test_classification(self, capsys, tmp_path, flowers):
        model = tmp_path / "m.npz"
        out = run(capsys, "train", flowers, "--target", "species", "--save", model).out
        assert "classification of 'species', 3 classes, from 3 columns" in out
        assert "rows held out, which decided when to stop (24 rows)" in out
        accuracy, constant = figures(out, "accuracy")
        assert accuracy >= 0.9 and constant < 0.4
        assert [line.split()[0] for line in out.splitlines()[-7:-3]] == (
            ["true", "aster", "birch", "cedar"]
        )
        assert f"wrote {model}\nnext: fastbp predict {model} {flowers}\n" in out
        assert main(out.split("next: fastbp ")[1].split()) == 0

    def test_regression(self, capsys, tmp_path, prices):
        model = tmp_path / "m.npz"
        out = run(capsys, "train", prices, "--target", "price", "--save", model, "--hidden", "16",
                  "--activation", "tanh", "--learning-rate", "0.01").out  # fmt: skip
        assert "regression of 'price'" in out and "ignored, see below: unit" in out
        assert "\nignored 'unit': constant\nwrote " in out
        assert figures(out, "r2")[0] > 0.9
        # In the unit of the target, whose standard deviation is over a hundred.
        assert 0.1 < figures(out, "mae")[0] < 50 < figures(out, "mae")[1]
        assert "prediction - price" in out

    def test_default_name_overwrites_nothing(self, capsys, tmp_path, monkeypatch, flowers):
        monkeypatch.chdir(tmp_path)
        train = ["train", "flowers.csv", "--target", "species", "--epochs", "1"]
        assert "wrote model.npz\n" in run(capsys, *train).out
        first = Path("model.npz").read_bytes()
        assert "wrote model-2.npz\n" in run(capsys, *train).out
        assert Path("model.npz").read_bytes() == first
        out = run(capsys, *train, "--no-save").out
        assert "wrote" not in out and "next" not in out and not Path("model-3.npz").exists()

    @pytest.mark.parametrize("option", ["--save", "--plot", "--report"])
    @bad_input("output over the table")
    def test_the_table_is_not_overwritten(self, option, flowers, fails):
        before = Path(flowers).read_bytes()
        command = ["train", flowers, "--target", "species", "--epochs", "1", option, flowers]
        fails(command, f"{option} {flowers} is the file to read")
        assert Path(flowers).read_bytes() == before

    def test_cross_validation_and_test_rows(self, capsys, flowers):
        out = run(capsys, "train", flowers, "--target", "species", "--no-save", "--cv", "3",
                  "--test-size", "0.25", "--epochs", "40").out  # fmt: skip
        assert "cross-validation, 3 folds" in out and "test rows (30 rows)" in out
        mean, std, low, high = figures(out, "accuracy")
        assert 0.8 < low <= mean <= high <= 1 and 0 <= std < 0.2

    def test_json_is_all_there_is(self, capsys, tmp_path, flowers):
        out = run(capsys, "train", flowers, "--target", "species", "--save", tmp_path / "m.npz",
                  "--epochs", "3", "--cv", "2", "--json").out  # fmt: skip
        found = json.loads(out)
        assert found["rows"] == 120 and found["target"]["classes"] == ["aster", "birch", "cedar"]
        assert np.array(found["evaluation"]["confusion"]).sum() == 24
        assert len(found["history"]["val_loss"]) == found["training"]["epochs"] == 3
        assert len(found["cross_validation"]) == 2 and found["model"] == str(tmp_path / "m.npz")

    def test_options_reach_the_network(self, capsys, flowers):
        out = run(capsys, "train", flowers, "--target", "size", "--loss", "huber", "--optimizer",
                  "sgd", "--hidden", "", "--epochs", "2", "--no-save", "--drop", "species",
                  "--validate", "0", "--batch-size", "8", "--max-seconds", "60",
                  "--json").out  # fmt: skip
        found = json.loads(out)
        assert found["network"]["loss"] == "huber" and found["network"]["optimizer"] == "sgd"
        assert found["network"]["hidden"] == [] and found["evaluation"] is None
        assert [column["name"] for column in found["columns"]] == ["weight", "side"]

    def test_seed_repeats_the_run(self, capsys, prices):
        texts = []
        for seed in ("1", "1", "2"):
            out = run(capsys, "train", prices, "--target", "price", "--seed", seed, "--epochs",
                      "2", "--no-save").out  # fmt: skip
            texts.append([line for line in out.splitlines() if not re.search(r" in .* s", line)])
        assert texts[0] == texts[1] != texts[2]

    def test_progress_where_nobody_looks(self, capsys, flowers):
        printed = run(capsys, "train", flowers, "--target", "species", "--epochs", "2", "--no-save")
        assert "epoch 1/2" not in printed.out and printed.err == ""
        lines = run(capsys, "train", flowers, "--target", "species", "--epochs", "2", "--no-save",
                    "--verbose", "2").out  # fmt: skip
        assert "epoch 1/2  loss" in lines and "epoch 2/2  loss" in lines

    def test_standard_input(self, capsys, tmp_path, monkeypatch, flowers):
        content = Path(flowers).read_bytes()
        stdin = type("Stdin", (), {"buffer": io.BytesIO(content)})
        monkeypatch.setattr("sys.stdin", stdin)
        out = run(capsys, "train", "-", "--target", "species", "--no-save", "--epochs", "1").out
        assert "of standard input" in out


class TestPicture:
    @pytest.fixture(autouse=True)
    def _needs_matplotlib(self):
        pytest.importorskip("matplotlib")

    @pytest.mark.slow
    @pytest.mark.parametrize("target", ["species", "size"])
    def test_plot_and_report(self, capsys, tmp_path, flowers, target):
        plot, report = tmp_path / "p.png", tmp_path / "r.html"
        run(capsys, "train", flowers, "--target", target, "--no-save", "--epochs", "5",
            "--plot", plot, "--report", report)  # fmt: skip
        assert plot.read_bytes().startswith(b"\x89PNG")
        text = report.read_text(encoding="utf-8")
        assert text.count("<svg") == 1 and "</html>" in text
        # all of it is in the page: what is referred to begins with # or is the name of a standard
        links = set(re.findall(r'(?:href|src)="([^"]*)"|url\(([^)]*)\)', text))
        assert all((a or b).startswith(("#", "data:")) for a, b in links)
        assert "<script" not in text

    def test_what_cannot_be_drawn_is_said_before_the_training(self, fails, tmp_path, flowers):
        train = ["train", flowers, "--target", "species", "--no-save"]
        assert fails([*train, "--plot", tmp_path / "p.txt"], "a file of the kind .png") == ""
        assert fails([*train, "--plot", tmp_path / "none" / "p.png"], "No such file") == ""

    @pytest.mark.slow
    def test_plot_history(self, capsys, tmp_path, model, fails):
        net = fb.Network([1, 1], seed=0)
        log = tmp_path / "log.csv"
        net.fit([[0.0], [1.0]], [0, 1], epochs=3, callbacks=[fb.CSVLogger(str(log))], verbose=0)
        text = tmp_path / "h.json"
        text.write_text(json.dumps(net.history.history), encoding="utf-8")
        for source, epochs in ((model, 1), (log, 3), (text, 3)):
            output = tmp_path / "h.png"
            out = run(capsys, "plot-history", source, "--output", output, "--json").out
            assert json.loads(out)["epochs"] == epochs
            assert output.read_bytes().startswith(b"\x89PNG")
        assert f"wrote {tmp_path / 'log.png'}, 3 epochs" in run(capsys, "plot-history", log).out
        (tmp_path / "bad.csv").write_text("epoch,loss\n0,x\n", encoding="utf-8")
        fails(["plot-history", tmp_path / "bad.csv"], "line 2 is not figures of an epoch")
        (tmp_path / "bad.json").write_text("{", encoding="utf-8")
        fails(["plot-history", tmp_path / "bad.json"], "Expecting")
        (tmp_path / "b.csv").write_bytes(b"\xff\xfe\xfd")
        fails(["plot-history", tmp_path / "b.csv"], "no model, CSV or JSON")


class TestPredict:
    def test_probabilities_and_ids(self, capsys, tmp_path, flowers):
        model = tmp_path / "m.npz"
        run(capsys, "train", flowers, "--target", "species", "--save", model)
        out = run(capsys, "predict", model, flowers, "--probabilities", "--id", "size").out
        rows = list(csv.DictReader(io.StringIO(out)))
        with open(flowers, newline="", encoding="utf-8") as stream:
            given = list(csv.DictReader(stream))
        assert [row["size"] for row in rows] == [row["size"] for row in given]
        assert np.mean([a["species"] == b["species"] for a, b in zip(rows, given, strict=True)]) > (
            0.9
        )
        names = ["probability_aster", "probability_birch", "probability_cedar"]
        assert list(rows[0]) == ["size", "species", *names]
        for row in rows:
            values = [float(row[name]) for name in names]
            assert abs(sum(values) - 1.0) <= printed_bound(n=3, decimals=6)
            assert "probability_" + row["species"] == names[int(np.argmax(values))]

    def test_names_of_digits_keep_their_zeros(self, capsys, tmp_path):
        rows = [[code, "yes" if code == "01067" else "no"] for code in ["01067", "1067", "2"] * 10]
        table = write_csv(tmp_path / "codes.csv", ["code", "y"], rows)
        model = tmp_path / "m.npz"
        run(capsys, "train", table, "--target", "y", "--categorical", "code", "--save", model,
            "--learning-rate", "0.1")  # fmt: skip
        (column,) = fb.TableModel.load(model).preprocessing.columns
        assert column.categories == ("2", "01067", "1067")
        printed = run(capsys, "predict", model, table)
        assert printed.err == "" and printed.out.split()[1:] == ["yes", "no", "no"] * 10

    def test_numbers_to_a_file(self, capsys, tmp_path, prices, fails):
        model, output = tmp_path / "m.npz", tmp_path / "out.csv"
        run(capsys, "train", prices, "--target", "price", "--save", model)
        printed = run(capsys, "predict", model, prices, "--output", output, "--id", "price")
        assert printed.out == printed.err == ""
        found = pd.read_csv(output)
        assert list(found.columns) == ["price", "predicted_price"]
        assert np.corrcoef(found.T)[0, 1] > 0.95
        assert [path.name for path in tmp_path.iterdir() if "tmp" in path.name] == []
        fails(["predict", model, prices, "--probabilities"], "needs a classification")
        fails(["predict", model, prices, "--output", prices], "is the file to read")

    def test_needs_no_target_and_any_order(self, capsys, tmp_path, model):
        new = write_csv(tmp_path / "new.csv", ["side", "weight", "size"], [["north", -2, 2]])
        header, line = run(capsys, "predict", model, new).out.split()
        assert header == "species" and line in {"aster", "birch", "cedar"}

    @pytest.mark.skipif(fb.backend() != "cython", reason="NumPy sums a row by the others")
    def test_in_parts_as_at_once(self, capsys, monkeypatch, model, flowers):
        from fastbp.tabular import file

        whole = run(capsys, "predict", model, flowers, "--probabilities", "--id", "side").out
        monkeypatch.setattr(file, "_CELLS", 1)
        with open(flowers, encoding="utf-8") as stream:
            header, *lines = stream.read().splitlines()
        Path(flowers).write_text("\n".join([header, *lines * 20]) + "\n", encoding="utf-8")
        parts = run(capsys, "predict", model, flowers, "--probabilities", "--id", "side").out
        first, *rest = whole.splitlines()
        assert parts.splitlines() == [first, *rest * 20]

    def test_a_bad_row_does_not_refuse_the_file(self, capsys, tmp_path, model, fails):
        rows = [[1, 2, "north"], ["x", 2, "north"], [1, "", "north"], [1, 2, "east"]]
        rows += [[1, 2, "south", 7]]
        new = write_csv(tmp_path / "new.csv", ["size", "weight", "side"], rows)
        printed = run(capsys, "predict", model, new, "--id", "side")
        lines = printed.out.splitlines()
        assert lines[2] == "north," and lines[5] == "south,"
        assert all(line.split(",")[1] for i, line in enumerate(lines)
                                            if i not in (2, 5))  # fmt: skip
        assert printed.err == (
            "fastbp: note: no prediction for 2 rows: data row 2 ('size' 'x' is no number), "
            "data row 5 (more cells than columns)\n"
            "fastbp: note: column 'side': 1 cell with categories that training did not see, "
            "encoded as none: 'east'\n"
            "fastbp: note: missing cells imputed: 'weight' 1\n"
        )
        output = tmp_path / "out.csv"
        found = json.loads(run(capsys, "predict", model, new, "--output", output, "--json").out)
        assert found["rows"] == 5 and found["predicted"] == 3
        reasons = {"2": "'size' 'x' is no number", "5": "more cells than columns"}
        assert found["not_predicted"] == reasons
        before = output.read_bytes()
        fails(["predict", model, new, "--strict", "--output", output], "data row 2 cannot be pred")
        assert output.read_bytes() == before

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("size,weight\n1,2\n", "new.csv has no column 'side'"),
            ("size,weight,Side\n1,2,x\n", "no column 'side' (did you mean 'Side'?)"),
            ("size;weight;side\n1,5;2,5;north\n2,5;2,5;north\n", "pass --decimal ,"),
            ("size,weight,side\n", "has a header and no rows"),
            ("", "is empty"),
        ],
    )
    def test_bad_table(self, tmp_path, model, fails, content, message):
        data = tmp_path / "new.csv"
        data.write_text(content, encoding="utf-8")
        assert fails(["predict", model, data], message) == ""

    def test_options(self, model, flowers, fails):
        fails(["predict", model, flowers, "--id", "number"], "has no column 'number'")
        fails(["predict", model, flowers, "--json"], "pass --output")

    def test_reading_is_as_in_training(self, capsys, tmp_path):
        rows = "".join(f"{i % 7},{i % 5};{'?' if i % 9 == 0 else i};{i % 2}\n" for i in range(60))
        data, model = tmp_path / "d.csv", tmp_path / "m.npz"
        data.write_text("a;b;y\n" + rows, encoding="utf-8")
        run(capsys, "train", data, "--target", "y", "--decimal", ",", "--na-value", "?",
            "--epochs", "1", "--save", model)  # fmt: skip
        printed = run(capsys, "predict", model, data)
        assert "imputed: 'b' 7" in printed.err and len(printed.out.splitlines()) == 61


class TestEvaluate:
    def test_as_in_python(self, capsys, model, flowers):
        out = run(capsys, "evaluate", model, flowers).out
        assert "classification of 'species': 120 rows" in out and "true \\ predicted" in out
        found = json.loads(run(capsys, "evaluate", model, flowers, "--json").out)
        expected = fb.TableModel.load(model).evaluate(pd.read_csv(flowers))
        assert found["metrics"] == dict(expected)
        assert found["confusion"] == expected.confusion.tolist() and found["rows"] == 120

    def test_of_a_number_with_odd_rows(self, capsys, tmp_path, prices):
        model = tmp_path / "m.npz"
        run(capsys, "train", prices, "--target", "price", "--save", model)
        with open(prices, "a", encoding="utf-8") as stream:
            stream.write("x,1,m,5\n1,1,m,\n")
        printed = run(capsys, "evaluate", model, prices)
        assert "regression of 'price': 200 rows" in printed.out
        assert "no prediction for 1 row: data row 201" in printed.err

    def test_without_the_target(self, tmp_path, model, fails):
        new = write_csv(tmp_path / "new.csv", ["size", "weight", "side"], [[1, 2, "north"]])
        fails(["evaluate", model, new], "has no column 'species'")


class TestBadTable:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "is empty"),
            ("x,y\n", "has a header and no rows"),
            ("x,z\n1,2\n2,3\n", "has no column 'y'; it has 'x', 'z'"),
            ("x,y\n1,a\n1,b\n", "no column to learn from ('x': constant)"),
            ("x,y\n1,a\n2,a\n", "target 'y' is constant"),
            ("y\na\nb\n", "no column to learn from"),
            ("x,y\n1,2,3\n", "more cells than the 2 columns in data row 1"),
            ("x,y\ninf,a\n2,b\n", "column 'x': data row 1 has 'inf'"),
            ("5.1,3.5,setosa\n4,3,virginica\n", "mostly numbers (5.1, 3.5, setosa): if it is data"),
            ("x;y\n1,5;a\n2,5;b\n", "decimal comma, such as '1,5': pass --decimal ,"),
            ("x,y\n1,a\n2,b\n?,a\n", "pass --na-value '?'"),
        ],
    )
    def test_train(self, tmp_path, fails, content, message):
        path = tmp_path / "bad.csv"
        path.write_text(content, encoding="utf-8")
        fails(["train", path, "--target", "y", "--no-save"], message)

    def test_gaps_that_are_refused(self, tmp_path, fails):
        path = tmp_path / "bad.csv"
        path.write_text("x,y\n1,a\n,b\n", encoding="utf-8")
        fails(["train", path, "--target", "y", "--no-save", "--missing", "error"],
              "column 'x': data row 2 has no value")  # fmt: skip

    def test_files(self, tmp_path, flowers, fails):
        none = tmp_path / "none.csv"
        fails(["train", none, "--target", "y"], "none.csv: No such file or directory")
        fails(["train", tmp_path, "--target", "y"], "Is a directory")
        # Found before the training, not after it.
        save = tmp_path / "none" / "m.npz"
        train = ["train", flowers, "--target", "species", "--save", save]
        assert fails(train, "No such file or directory") == ""

    def test_the_target_is_not_named(self, flowers, fails):
        fails(["train", flowers], "--target COLUMN, one of 'size', 'weight', 'side', 'species'")

    def test_options(self, flowers, fails):
        train = ["train", flowers, "--target", "species", "--no-save"]
        fails([*train, "--drop", "nonsense"], "has no column 'nonsense'")
        fails([*train, "--drop", "species"], "both the target and dropped")
        fails([*train, "--task", "regression"], "target 'species': data row 1 has 'aster'")
        fails([*train, "--activation", "nonsense"], "nonsense")
        fails([*train, "--loss", "mse"], "does not go with a classification")
        fails([*train, "--optimizer", "nonsense"], "unknown optimizer 'nonsense'; known: sgd, ada")


class TestBadModel:
    def test_files(self, tmp_path, fails):
        fails(["predict", tmp_path / "none.npz", "x.csv"], "none.npz: No such file")
        (tmp_path / "bad.npz").write_bytes(b"\x80\x04N.")
        fails(["predict", tmp_path / "bad.npz", "x.csv"], "bad.npz", "not a fastbp model")

    def test_a_network_alone(self, tmp_path, fails):
        network = fb.Network([2, 1], loss="mse", optimizer="sgd", seed=0)
        write(tmp_path / "m.npz", snapshot(network._state))
        fails(["predict", tmp_path / "m.npz", "x.csv"], "m.npz': no description of a table")

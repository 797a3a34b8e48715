"""The command line as a user meets it: what it prints, and how it ends."""

import csv
import io
import subprocess
import sys

import numpy as np
import pytest
from support.tolerance import printed_bound

import fastbp.command
from fastbp.command import main
from fastbp.runtime.snapshot import snapshot
from fastbp.storage.checkpoint import write


def write_csv(path, header, rows):
    with open(path, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return str(path)


@pytest.fixture
def flowers(tmp_path, rng):
    """Two numbers and a name tell three species apart."""
    pytest.importorskip("pandas")
    rows = []
    for i in range(120):
        kind = i % 3
        size, weight = rng.normal(kind, 0.1), rng.normal(-kind, 0.1)
        rows.append(
            [
                f"{size:.4f}",
                f"{weight:.4f}",
                "north" if i % 2 else "south",
                ["aster", "birch", "cedar"][kind],
            ]
        )
    return write_csv(tmp_path / "flowers.csv", ["size", "weight", "side", "species"], rows)


@pytest.fixture
def prices(tmp_path, rng):
    """A price in the hundreds, linear in two numbers."""
    pytest.importorskip("pandas")
    values = rng.normal(size=(200, 2))
    rows = [[f"{a:.5f}", f"{b:.5f}", "m", f"{500 + 100 * a - 50 * b:.5f}"] for a, b in values]
    return write_csv(tmp_path / "prices.csv", ["a", "b", "unit", "price"], rows)


def fails(capsys, argv, *messages, code=2):
    assert main([str(word) for word in argv]) == code
    out, err = capsys.readouterr()
    assert "Traceback" not in err and len(err.strip().splitlines()) == 1
    for message in messages:
        assert message in err
    return out


def scores(out, name):
    """The numbers of the line that begins with `name`."""
    words = next(line for line in out.splitlines() if line.startswith(name + " ")).split()[1:]
    return dict(zip(words[::2], map(float, words[1::2]), strict=True))


class TestGeneral:
    @pytest.mark.parametrize(
        "argv",
        [
            [],
            ["nonsense"],
            ["train", "x.csv"],
            ["demo", "--epochs", "0"],
            ["demo", "--seed", "-1"],
            ["demo", "--backend", "gpu"],
            ["train", "x", "--target", "y", "--layers", "4,x"],
            ["train", "x", "--target", "y", "--test-size", "1"],
            ["train", "x", "--target", "y", "--learning-rate", "nan"],
            ["train", "x", "--target", "y", "--separator", "ab"],
        ],
    )
    def test_usage(self, capsys, argv):
        with pytest.raises(SystemExit) as caught:
            main(argv)
        assert caught.value.code == 2
        assert "usage: fastbp" in capsys.readouterr().err

    def test_version_and_info(self, capsys):
        with pytest.raises(SystemExit) as caught:
            main(["--version"])
        assert caught.value.code == 0
        assert capsys.readouterr().out == f"fastbp {fastbp.__version__}\n"
        assert main(["info"]) == 0
        out = capsys.readouterr().out
        assert fastbp.__version__ in out

    def test_module_is_the_command(self):
        result = subprocess.run(
            [sys.executable, "-P", "-m", "fastbp", "info"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert result.returncode == 0 and fastbp.__version__ in result.stdout

    def test_interrupt(self, capsys, monkeypatch):
        def interrupt(arguments):
            raise KeyboardInterrupt

        monkeypatch.setattr(fastbp.command.info, "run", interrupt)
        assert main(["info"]) == 130
        assert capsys.readouterr().err == "\nfastbp: interrupted\n"

    def test_divergence(self, capsys, monkeypatch):
        def diverge(arguments):
            raise fastbp.DivergenceError("loss is nan in epoch 2, batch 3")

        monkeypatch.setattr(fastbp.command.info, "run", diverge)
        fails(capsys, ["info"], "loss is nan in epoch 2, batch 3", "--learning-rate", code=1)

    def test_a_reader_that_leaves(self):
        script = "import sys, fastbp.command as c; sys.exit(c.main(['info']))"
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        process.stdout.close()
        with process.stderr:
            assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 1


@pytest.mark.slow
class TestDemo:
    def test_reaches_97_percent(self, capsys, backend_name):
        assert main(["demo", "--backend", backend_name]) == 0
        out = capsys.readouterr().out
        accuracy = float(out.split("test accuracy ")[-1].split(" %")[0])
        assert accuracy >= 97.0
        assert "1347 to train, 450 to test" in out
        assert "samples/s" in out and f"backend {backend_name}" in out

    def test_seed_decides(self, capsys):
        texts = []
        for seed in ("1", "1", "2"):
            assert main(["demo", "--epochs", "1", "--seed", seed]) == 0
            texts.append(capsys.readouterr().out.splitlines()[1:-1])
        assert texts[0] == texts[1] != texts[2]


@pytest.fixture(params=["cython", "numpy"])
def backend_name(request):
    if request.param == "cython" and fastbp.backend() != "cython":
        pytest.skip("the extension is not built")
    return request.param


class TestExamples:
    def test_list(self, capsys):
        assert main(["examples"]) == 0
        out = capsys.readouterr().out
        assert len(out.splitlines()) == 5 and "adam_l2" in out

    def test_one(self, capsys):
        assert main(["examples", "adam_l2", "--backend", "numpy"]) == 0
        assert len(capsys.readouterr().out.splitlines()) > 10

    def test_unknown(self, capsys):
        fails(capsys, ["examples", "nonsense"], "no example 'nonsense'; there are", "adam_l2")


class TestTrainAndPredict:
    def test_classification(self, capsys, tmp_path, flowers):
        model = str(tmp_path / "m.npz")
        assert main(["train", flowers, "--target", "species", "--save", model,
                     "--epochs", "60"]) == 0  # fmt: skip
        out = capsys.readouterr().out
        assert "classification of 'species' (3 classes) from 3 columns, 4 inputs" in out
        assert "90 rows to train, 30 to test" in out
        assert scores(out, "test")["accuracy"] >= 0.9 and scores(out, "train")["loss"] < 0.5

        assert main(["predict", model, flowers, "--probabilities"]) == 0
        rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        with open(flowers, newline="", encoding="utf-8") as stream:
            truth = [row["species"] for row in csv.DictReader(stream)]
        assert (
            np.mean([row["species"] == name for row, name in zip(rows, truth, strict=True)]) > 0.9
        )
        names = ["probability_aster", "probability_birch", "probability_cedar"]
        assert list(rows[0]) == ["species", *names]
        for row in rows:
            values = [float(row[name]) for name in names]
            assert abs(sum(values) - 1.0) <= printed_bound(n=3, decimals=6)
            assert "probability_" + row["species"] == names[int(np.argmax(values))]

    def test_regression(self, capsys, tmp_path, prices):
        model, output = str(tmp_path / "m.npz"), tmp_path / "out.csv"
        assert main(["train", prices, "--target", "price", "--save", model, "--layers", "16",
                     "--activation", "tanh", "--learning-rate", "0.01"]) == 0  # fmt: skip
        out = capsys.readouterr().out
        assert "regression of 'price'" in out and "dropped, constant: unit" in out
        test = scores(out, "test")
        assert test["R2"] > 0.9
        # In the unit of the target, whose standard deviation is over a hundred.
        assert 0.1 < test["MAE"] < 50 and test["MAE"] ** 2 <= test["MSE"]

        assert main(["predict", model, prices, "--output", str(output)]) == 0
        assert capsys.readouterr().out == ""
        with open(prices, newline="", encoding="utf-8") as stream:
            truth = [float(row["price"]) for row in csv.DictReader(stream)]
        header, *lines = output.read_text(encoding="utf-8").splitlines()
        assert header == "price"
        assert np.corrcoef(truth, np.array(lines, dtype=float))[0, 1] > 0.95
        fails(capsys, ["predict", model, prices, "--probabilities"], "needs a classification")

    def test_predict_needs_no_target_and_any_order(self, capsys, tmp_path, flowers):
        model = str(tmp_path / "m.npz")
        assert main(["train", flowers, "--target", "species", "--save", model, "--epochs", "5",
                     "--test-size", "0"]) == 0  # fmt: skip
        capsys.readouterr()
        new = write_csv(tmp_path / "new.csv", ["side", "weight", "size"], [["north", -2, 2]])
        assert main(["predict", model, new]) == 0
        header, line = capsys.readouterr().out.split()
        assert header == "species" and line in {"aster", "birch", "cedar"}

    def test_task_drop_and_no_hidden_layer(self, capsys, flowers):
        assert main(["train", flowers, "--target", "size", "--task", "regression", "--drop",
                     "species", "--drop", "side", "--layers", "",
                     "--epochs", "2"]) == 0  # fmt: skip
        assert "from 1 columns, 1 inputs" in capsys.readouterr().out

    def test_seed_repeats_the_run(self, capsys, prices):
        texts = []
        for seed in ("1", "1", "2"):
            assert main(["train", prices, "--target", "price", "--seed", seed,
                         "--epochs", "2"]) == 0  # fmt: skip
            texts.append(capsys.readouterr().out.splitlines()[1:-1])
        assert texts[0] == texts[1] != texts[2]


class TestBadTable:
    @pytest.fixture(autouse=True)
    def _needs_pandas(self):
        pytest.importorskip("pandas")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "is empty"),
            ("x,y\n", "has a header and no rows"),
            ("x,z\n1,2\n2,3\n", "has no column 'y'; it has 'x', 'z'"),
            ("x,y\n1,a\n,b\n", "column 'x': data row 2 has no value"),
            ("x,y\n1,a\n2,\n", "column 'y': data row 2 has no value"),
            ("x,y\n1,a\n1,b\n", "every column is constant: 'x'"),
            ("x,y\n1,a\n2,a\n", "target 'y' is constant"),
            ("y\na\nb\n", "no column to learn from"),
            ("x,y\n1,2,3\n", "Expected 2 fields in line 2, saw 3"),
            ("x,y\ninf,a\n2,b\n", "column 'x': data row 1 has 'inf'"),
        ],
    )
    def test_train(self, capsys, tmp_path, content, message):
        path = tmp_path / "bad.csv"
        path.write_text(content, encoding="utf-8")
        fails(capsys, ["train", path, "--target", "y"], message)

    def test_files(self, capsys, tmp_path, flowers):
        fails(
            capsys,
            ["train", tmp_path / "none.csv", "--target", "y"],
            "none.csv: No such file or directory",
        )
        fails(capsys, ["train", tmp_path, "--target", "y"], "Is a directory")
        # Found before the training, not after it.
        assert (
            fails(
                capsys,
                ["train", flowers, "--target", "species", "--save", tmp_path / "none" / "m.npz"],
                "No such file or directory",
            )
            == ""
        )

    def test_options(self, capsys, flowers):
        train = ["train", flowers, "--target", "species"]
        fails(capsys, [*train, "--drop", "nonsense"], "has no column 'nonsense'")
        fails(capsys, [*train, "--drop", "species"], "both the target and dropped")
        fails(capsys, [*train, "--task", "regression"], "'species' is numeric, but data row 1")
        fails(capsys, [*train, "--activation", "nonsense"], "nonsense")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("size,weight\n1,2\n", "the table has no column 'side'"),
            (
                "size,weight,side\n1,2,east\n",
                "'side': data row 1 has 'east', which training did not",
            ),
            ("size,weight,side\n1,,north\n", "column 'weight': data row 1 has no value"),
            (
                "size,weight,side\n1,big,north\n",
                "column 'weight' is numeric, but data row 1 has 'big'",
            ),
            ("size,weight,side\n", "has a header and no rows"),
            ("", "is empty"),
        ],
    )
    def test_predict(self, capsys, tmp_path, flowers, content, message):
        model, data = tmp_path / "m.npz", tmp_path / "new.csv"
        assert main(["train", flowers, "--target", "species", "--epochs", "1",
                     "--save", str(model)]) == 0  # fmt: skip
        data.write_text(content, encoding="utf-8")
        capsys.readouterr()
        assert fails(capsys, ["predict", model, data], message) == ""


class TestBadModel:
    def test_files(self, capsys, tmp_path):
        fails(capsys, ["predict", tmp_path / "none.npz", "x.csv"], "none.npz: No such file")
        (tmp_path / "bad.npz").write_bytes(b"\x80\x04N.")
        fails(
            capsys,
            ["predict", tmp_path / "bad.npz", "x.csv"],
            "bad.npz: not a fastbp model (first bytes 80 04 4e 2e)",
        )

    @pytest.mark.parametrize(
        ("extra", "message"),
        [
            (None, "the model holds no description of a table"),
            ({"preprocessing": {}, "target": {}}, "not a description of a preprocessing"),
            (
                {
                    "preprocessing": {
                        "columns": [{"name": "a", "mean": 0.0, "scale": 1.0}],
                        "dropped": [],
                    },
                    "target": {"task": "regression", "name": "y", "mean": 0.0, "scale": 1.0},
                },
                "the description of the table does not fit the network",
            ),
        ],
    )
    def test_extra(self, capsys, tmp_path, extra, message):
        network = fastbp.Network([2, 1], loss="mse", optimizer="sgd", seed=0)
        write(tmp_path / "m.npz", snapshot(network._state, extra=extra))
        fails(capsys, ["predict", tmp_path / "m.npz", "x.csv"], "m.npz: " + message)

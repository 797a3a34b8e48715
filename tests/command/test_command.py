"""The command line as a user meets it: usage, exit codes, and the commands without a table."""

import json
import os
import subprocess
import sys

import pytest

import fastbp.command
from fastbp.command import main
from fastbp.command.completion import SHELLS


class TestGeneral:
    @pytest.mark.parametrize(
        "argv",
        [
            [],
            ["nonsense"],
            ["demo", "--epochs", "0"],
            ["demo", "--seed", "-1"],
            ["demo", "--backend", "gpu"],
            ["train", "x", "--target", "y", "--hidden", "4,x"],
            ["train", "x", "--target", "y", "--validate", "1"],
            ["train", "x", "--target", "y", "--learning-rate", "nan"],
            ["train", "x", "--target", "y", "--separator", "ab"],
            ["train", "x", "--target", "y", "--cv", "1"],
            ["train", "x", "--target", "y", "--decimal", ";"],
            ["completion", "powershell"],
        ],
    )
    def test_usage(self, capsys, argv):
        with pytest.raises(SystemExit) as caught:
            main(argv)
        assert caught.value.code == 2
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and err.endswith("--help\n")

    @pytest.mark.parametrize("command", [[], ["train"], ["predict"], ["evaluate"], ["bench"],
                                         ["plot-history"], ["completion"]])  # fmt: skip
    def test_help(self, capsys, command):
        with pytest.raises(SystemExit) as caught:
            main([*command, "--help"])
        assert caught.value.code == 0 and "usage: fastbp" in capsys.readouterr().out

    def test_version_and_info(self, capsys):
        with pytest.raises(SystemExit) as caught:
            main(["--version"])
        assert caught.value.code == 0
        assert capsys.readouterr().out == f"fastbp {fastbp.__version__}\n"
        assert main(["info"]) == 0
        out = capsys.readouterr().out
        assert fastbp.__version__ in out
        assert main(["info", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["fastbp"] == fastbp.__version__

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
        assert capsys.readouterr().err == "fastbp: interrupted\n"

    def test_divergence(self, fails, monkeypatch):
        def diverge(arguments):
            raise fastbp.DivergenceError("loss is nan in epoch 2, batch 3")

        monkeypatch.setattr(fastbp.command.info, "run", diverge)
        fails(["info"], "loss is nan in epoch 2, batch 3", "--learning-rate", code=1)


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


def test_demo_as_json(capsys):
    assert main(["demo", "--epochs", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert 0.5 < found["accuracy"] < 1 and found["rows"] == 1347 and found["epochs"] == 1


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
        assert main(["examples", "--json"]) == 0
        assert set(json.loads(capsys.readouterr().out)) == set(fastbp.examples.names())

    def test_one(self, capsys):
        assert main(["examples", "adam_l2", "--backend", "numpy"]) == 0
        assert len(capsys.readouterr().out.splitlines()) > 10
        assert main(["examples", "two_outputs", "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)["rows"]
        assert rows[0]["quantity"] == "z1" and rows[0]["hand"] == 0.3825

    def test_unknown(self, fails):
        fails(["examples", "nonsense"], "no example 'nonsense'; there are", "adam_l2")


class TestCompletion:
    @pytest.mark.parametrize("shell", SHELLS)
    def test_script(self, capsys, shell):
        pytest.importorskip("argcomplete")
        assert main(["completion", shell]) == 0
        assert "fastbp" in capsys.readouterr().out

    def test_without_the_library(self, fails, monkeypatch):
        monkeypatch.setitem(sys.modules, "argcomplete", None)
        fails(["completion", "bash"], "needs argcomplete: pip install 'fastbp[completion]'")

    def test_words(self, tmp_path):
        """As a shell asks: what may follow in place of this word."""
        pytest.importorskip("argcomplete")
        line, out = "fastbp train --pat", tmp_path / "out"
        script = "import fastbp.command as c; c.main([])"
        own = os.environ | {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)),
               "_ARGCOMPLETE_STDOUT_FILENAME": str(out), "COMP_TYPE": "9"}  # fmt: skip
        subprocess.run([sys.executable, "-P", "-c", script], env=own, timeout=60, check=True)
        assert out.read_text(encoding="utf-8").strip() == "--patience"

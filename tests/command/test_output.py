"""How a command ends where its output goes nowhere: one line, and its exit code."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("pandas")

SCRIPT = "import sys, fastbp.command as c; sys.exit(c.main(sys.argv[1:]))"


def run(argv, *, shell="", **environment):
    """A command of its own process; `shell` redirects what it prints."""
    command = f'exec "$0" -P -c "$1" "${{@:2}}" {shell}'
    return subprocess.run(
        ["bash", "-c", command, sys.executable, SCRIPT, *argv],
        capture_output=True, text=True, timeout=60, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.fixture
def ends(model, flowers):
    """Of each command an example."""
    return {
        "info": ["info"],
        "json": ["info", "--json"],
        "predict": ["predict", model, flowers],
        "evaluate": ["evaluate", model, flowers],
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["info", "json", "predict", "evaluate"])
def test_closed_and_full(ends, name):
    for shell, words in ((">&-", "standard output is closed"),
                         (">/dev/full", "No space left on device")):  # fmt: skip
        done = run(ends[name], shell=shell)
        assert (done.returncode, done.stderr) == (2, f"fastbp: error: {words}\n")


@pytest.mark.slow
def test_standard_error_closed_too():
    done = run(["info"], shell=">/dev/full 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


def test_output_file_that_is_full(model, flowers, fails):
    fails(["predict", model, flowers, "--output", "/dev/full"], "No space left on device")


@pytest.mark.slow
def test_characters_that_cannot_be_encoded(tmp_path):
    rows = "".join(f"{i},{'bär' if i % 2 else 'elch'}\n" for i in range(40))
    data, model = tmp_path / "d.csv", tmp_path / "m.npz"
    data.write_text("größe,tier\n" + rows, encoding="utf-8")
    ascii = {"PYTHONIOENCODING": "ascii"}
    train = ["train", str(data), "--target", "tier", "--epochs", "1", "--save", str(model)]
    done = run(train, **ascii)
    assert done.returncode == 0 and r"gr\xf6\xdfe" in done.stdout and done.stderr == ""
    # a prediction has no other name than that of its class
    done = run(["predict", str(model), str(data)], **ascii)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert r"standard output cannot encode '\xe4' (ascii): pass --output" in done.stderr
    done = run(["predict", str(model), str(data), "--output", str(tmp_path / "o.csv")], **ascii)
    assert done.returncode == 0
    assert (tmp_path / "o.csv").read_text(encoding="utf-8").startswith("tier\n")
    done = run(["evaluate", str(model), str(tmp_path / "größe.csv")], **ascii)
    assert done.returncode == 2 and done.stderr.count("\n") == 1


def test_a_reader_that_leaves():
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", SCRIPT, "info"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 1

"""What docs/command_line.md shows is what is printed."""

import doctest
import re
import shlex
from pathlib import Path

import pytest

import fastbp as fb
from fastbp.backend import instruction_set
from fastbp.command import main

pytest.importorskip("pandas")

PAGE = Path(__file__).parents[2] / "docs" / "command_line.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)


def blocks(kind):
    return [text for name, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")) if name == kind]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the table of the page is."""
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("python")[0], "visits", "exec"), {})


def printed(command, capsys):
    """What a command of the page prints, errors after it or before it as in a terminal."""
    words = shlex.split(command)
    if words[0] == "head":
        return "".join(Path(words[3]).read_text().splitlines(keepends=True)[: int(words[2])])
    assert main(words[1:]) == 0
    output = capsys.readouterr()
    return output.err + output.out


def same_everywhere(text):
    """Without times and the names of backend and instruction set."""
    text = re.sub(r"in \d+\.\d\d s", "in 0.00 s", text)
    return re.sub(r"backend .*", "backend", text).rstrip()


@pytest.mark.skipif(
    fb.backend() != "cython" or instruction_set not in ("v3", "v4"), reason="other bits"
)
def test_transcript(folder, capsys):
    commands = re.split(r"^\$ ", "".join(blocks("console")), flags=re.M)[1:]
    assert len(commands) == 4
    for one in commands:
        command, _, expected = one.partition("\n")
        assert same_everywhere(printed(command, capsys)) == same_everywhere(expected), command


def test_python(folder):
    example = doctest.DocTestParser().get_doctest(blocks("python")[1], {}, "page", str(PAGE), 0)
    result = doctest.DocTestRunner().run(example)
    assert result.attempted >= 8 and result.failed == 0


def test_options_exist(capsys):
    """Every option that the page names is one of a command."""
    named = set(re.findall(r"`[^`]*?(--[a-z][a-z-]*)", PAGE.read_text(encoding="utf-8")))
    text = ""
    for command in ("train", "predict", "evaluate"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        text += capsys.readouterr().out
    assert len(named) > 20
    assert not {name for name in named if not re.search(rf"{name}\b", text)}

"""Every snippet of the README and of docs/ runs and prints what the page says.

A page's blocks share names and folder, from top to bottom: ```python with or without prompts, and
in ```console the lines `$ fastbp ...`, which have to succeed, or to fail where the page shows an
error.  `<!-- needs: torch -->` before a block says what has to be installed from there on; where it
is not, the rest of the page is skipped.
"""

import contextlib
import doctest
import io
import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fastbp.command import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"^(?:<!-- needs: (?P<needs>[\w, ]+) -->|```python\n(?P<python>.*?)^```$"
    r"|```console\n(?P<console>.*?)^```$)",
    flags=re.M | re.S,
)
COMMAND = re.compile(r"^\$ (?:\.venv/bin/)?fastbp (.*)\n((?:(?!\$ ).*\n)*)", flags=re.M)
HEAVY = ("torch", "keras", "sklearn")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    kind: str  # "needs", "python" or "console"
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """In the order of the page."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(text):
        kind = match.lastgroup
        assert kind is not None
        found.append(Block(kind, match[kind], text.count("\n", 0, match.start(kind))))
    return found


def with_snippets() -> list[Any]:
    """The pages that have snippets, slow where they import what is slow to import."""
    found = []
    for page in PAGES:
        found_there = blocks(page)
        if any(block.kind != "needs" for block in found_there):
            needs = " ".join(block.text for block in found_there if block.kind == "needs")
            marks = [pytest.mark.slow] if any(name in needs for name in HEAVY) else []
            found.append(pytest.param(page, id=page.stem, marks=marks))
    return found


def run_python(block: Block, page: Path, names: dict[str, Any]) -> None:
    if ">>>" not in block.text:
        exec(compile("\n" * block.line + block.text, page.name, "exec"), names)
        return
    parser, told = doctest.DocTestParser(), io.StringIO()
    test = parser.get_doctest(block.text, names, page.name, str(page), block.line)
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    runner.run(test, out=told.write, clear_globs=False)
    names.update(test.globs)
    assert not runner.failures, told.getvalue()


def run_console(block: Block) -> None:
    for words, output in COMMAND.findall(block.text):
        told = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(told):
            status = main(shlex.split(words, comments=True))
        assert status == (2 if "error: " in output else 0), (words, told.getvalue())


@pytest.mark.parametrize("page", with_snippets())
def test_snippets_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.kind == "python":
            run_python(block, page, names)
        elif block.kind == "console":
            run_console(block)
        elif missing := [name for name in re.split(r"[, ]+", block.text) if not find_spec(name)]:
            pytest.skip(f"{page.name} from line {block.line} on needs {', '.join(missing)}")


def test_there_are_snippets():
    assert len(with_snippets()) > 10 and with_snippets()[0].values == (PAGES[0],)
    text = "".join(block.text for page in PAGES for block in blocks(page))
    assert text.count(">>>") > 100 and len(COMMAND.findall(text)) >= 3


def test_indented_code_is_no_python():
    """It would not be run: what is Python stands in a block that says so."""
    code = re.compile(r"    (>>>|import |def |from \w+ import)")
    for page in PAGES:
        text = re.sub(BLOCK, "", page.read_text(encoding="utf-8"))
        assert not [line for line in text.splitlines() if code.match(line)], page.name

"""Every snippet of the README and of docs/ runs and prints what the page says.

A page's blocks share their names, from top to bottom.  `<!-- needs: torch -->` before a block says
what has to be installed from there on; where it is not, the rest of the page is skipped.
"""

import doctest
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"^(?:<!-- needs: (?P<needs>[\w, ]+) -->|```python\n(?P<source>.*?)^```$)", re.M | re.S
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(page: Path) -> list[tuple[str, str, int]]:
    """("needs", names, line) and ("source", text, line), in the order of the page."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(text):
        kind = "needs" if match["needs"] else "source"
        found.append((kind, match[kind], text.count("\n", 0, match.start(kind))))
    return found


def with_snippets() -> list[Any]:
    """The pages that have snippets; those that need others are slow to import them."""
    found = []
    for page in PAGES:
        kinds = {kind for kind, _, _ in blocks(page)}
        if "source" in kinds:
            marks = [pytest.mark.slow] if "needs" in kinds else []
            found.append(pytest.param(page, id=page.stem, marks=marks))
    return found


@pytest.mark.parametrize("page", with_snippets())
def test_snippets_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    for kind, text, line in blocks(page):
        if kind == "needs":
            missing = [name for name in re.split(r"[, ]+", text) if not find_spec(name)]
            if missing:
                pytest.skip(f"{page.name} from line {line} on needs {', '.join(missing)}")
            continue
        if ">>>" not in text:
            exec(compile("\n" * line + text, page.name, "exec"), names)
            continue
        test = doctest.DocTestParser().get_doctest(text, names, page.name, str(page), line)
        told: list[str] = []
        runner.run(test, out=told.append, clear_globs=False)
        names.update(test.globs)
        assert not runner.failures, "".join(told)


def test_there_are_snippets():
    assert len(with_snippets()) > 10 and with_snippets()[0].values == (PAGES[0],)


def test_indented_code_is_no_python():
    """It would not be run: what is Python stands in a block that says so."""
    for page in PAGES:
        if page.name != "bad_input.md":
            lines = page.read_text(encoding="utf-8").splitlines()
            wrong = [
                line for line in lines if re.match(r"    (>>>|import |def |from \w+ import)", line)
            ]
            assert not wrong, (page.name, wrong)

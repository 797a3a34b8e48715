"""The table of docs/bad_input.md and the tests that cite it, held against each other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
TABLE = TESTS.parent / "docs" / "bad_input.md"


def rows() -> list[str]:
    """The names in the table's first column."""
    names = re.findall(r"^\| (.+?) \|", TABLE.read_text(encoding="utf-8"), flags=re.M)
    return [name for name in names if name != "row"]


def citations(source: str) -> Iterator[str]:
    """The first argument of each Bad(...) and all arguments of each bad_input(...)."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            count = {"Bad": 1, "bad_input": len(node.args)}.get(node.func.id, 0)
            for argument in node.args[:count]:
                assert isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                yield argument.value


def cited() -> set[str]:
    files = sorted(TESTS.rglob("test_*.py"))
    assert len(files) > 40
    return {name for path in files for name in citations(path.read_text(encoding="utf-8"))}


def test_every_row_has_a_test() -> None:
    assert set(rows()) - cited() == set()


def test_every_citation_has_its_row() -> None:
    assert cited() - set(rows()) == set()


def test_rows_are_named_apart() -> None:
    assert len(rows()) == len(set(rows())) > 50


def test_every_row_says_something() -> None:
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    for line in lines:
        cells = line.strip("|").split("|")
        assert len(cells) == 3 and all(cell.strip() for cell in cells), line


def test_citations_are_found() -> None:
    """The two forms, and nothing that only looks like one."""
    source = '@bad_input("a", "b")\ndef test_x(): Bad("c", call, E, "d"); other("e")'
    assert set(citations(source)) == {"a", "b", "c"}

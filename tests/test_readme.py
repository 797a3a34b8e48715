"""What the README shows runs, and its two commands are what a newcomer can paste."""

import doctest
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


def test_example_runs():
    result = doctest.testfile(str(README), module_relative=False)
    assert result.attempted >= 8 and result.failed == 0


def test_two_commands_of_one_line_each():
    lines = [line.strip() for line in README.read_text(encoding="utf-8").splitlines()]
    commands = [line for line in lines if line.startswith("python3 -m venv .venv && ")]
    assert commands == [
        "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/fastbp demo",
        "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' "
        "&& .venv/bin/python -P -m pytest",
    ]


@pytest.mark.skipif(not (README.parent / "fastbp").exists(), reason="no repository around")
def test_map_names_what_exists():
    rows = README.read_text(encoding="utf-8").split("## Map of the repository")[1].splitlines()
    paths = [
        part
        for row in rows
        if row.startswith("| `")
        for part in row.split("|")[1].replace("`", "").replace(" ", "").split(",")
    ]
    assert len(paths) > 10
    for path in paths:
        root = README.parent
        if path != "...":
            assert (root / path).exists() or (root / "fastbp" / path).exists(), path

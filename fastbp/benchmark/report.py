"""The README's short table and the page of all machines, from results of `fastbp bench --json`."""

import json
from collections.abc import Sequence
from pathlib import Path

from fastbp.benchmark.table import machine_lines, markdown, markdown_random, markdown_short


def between_marks(text: str, name: str, content: str) -> str:
    """`text` with `content` between the two marks of `name`.

    Raises ValueError where the text has not each of them once.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"the text must have {begin} and {end}, each once")
    before, rest = text.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n{content}\n{end}{after}"


def generate(readme: str, result: Path) -> str:
    """The text of the README with the short table of a result between the marks of "bench"."""
    table = markdown_short(json.loads(result.read_text(encoding="utf-8")))
    return between_marks(readme, "bench", table)


def generate_page(page: str, results: Sequence[Path]) -> str:
    """The text of docs/benchmark.md with a section for each result between its marks of "bench"."""
    parts: list[str] = []
    for path in results:
        result = json.loads(path.read_text(encoding="utf-8"))
        first, *rates = machine_lines(result["machine"])
        parts += ["", f"## {first}", "", *rates, "", markdown(result)]
        if "random" in result:
            parts += ["", "### Random workloads", "", markdown_random(result["random"])]
    return between_marks(page, "bench", "\n".join([*parts, ""]))

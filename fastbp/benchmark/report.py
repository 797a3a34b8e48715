"""The README's table, generated from a result of `fastbp bench --json`."""

import json
from pathlib import Path

from fastbp.benchmark.table import markdown


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
    """The text of the README with the table of a result between the marks of "bench"."""
    return between_marks(readme, "bench", markdown(json.loads(result.read_text(encoding="utf-8"))))

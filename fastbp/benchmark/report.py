"""The README's table, generated from a result of `fastbp bench --json`."""

import json
from pathlib import Path

from fastbp.benchmark.table import markdown

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def generate(readme: str, result: Path) -> str:
    """The text of the README with the table of a result between the two marks.

    Raises ValueError where the text has not each of them once.
    """
    if readme.count(BEGIN) != 1 or readme.count(END) != 1:
        raise ValueError(f"the README must have {BEGIN} and {END}, each once")
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    table = markdown(json.loads(result.read_text(encoding="utf-8")))
    return f"{before}{BEGIN}\n{table}\n{END}{after}"

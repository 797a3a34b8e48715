"""The printed table of a worked example: step, quantity, hand, fastbp, verdict and cause."""

from __future__ import annotations

import textwrap
from collections import Counter

from .example import Example, Row

_WIDTH = 100
_HEADER = ("step", "quantity", "hand", "fastbp", "verdict")


def render(example: Example) -> str:
    """Train `example` and return its table as text of at most 100 columns.

    Numbers of fastbp have six significant digits. A cause is printed in full under the first row
    it explains and has a number there; later rows with the same cause show the number alone.

    >>> import fastbp as fb
    >>> from fastbp.examples import table
    >>> print(table.render(fb.examples.load("linear_sigmoid")).splitlines()[-4])
    56 numbers: 52 agree, 3 slips, 1 after an earlier slip
    """
    rows = example.run()
    causes = dict.fromkeys(row.cause for row in rows if row.cause is not None)
    number = {cause: i for i, cause in enumerate(causes, 1)}  # in order of first appearance
    cells = [_HEADER, *(_cells(row, number) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    head, *body = (_line(line, widths) for line in cells)
    lines = [*_wrap(f"{example.name}: {example.title}"), ""]
    lines += [*_wrap(example.page["network"]), "", head]
    for row, line in zip(rows, body, strict=True):
        lines.append(line)
        if row.cause in causes:
            del causes[row.cause]
            lines += _wrap(f"[{number[row.cause]}] {row.cause}", " " * 6, " " * 10)
    verdict = Counter(row.verdict for row in rows)
    lines += ["", f"{len(rows)} numbers: {verdict['agrees']} agree, {verdict['slip']} slips, "
              f"{verdict['after']} after an earlier slip", ""]  # fmt: skip
    return "\n".join([*lines, *_wrap(f"It teaches {example.teaches}.")])


def _cells(row: Row, number: dict[str, int]) -> tuple[str, ...]:
    mark = "" if row.cause is None else f" [{number[row.cause]}]"
    fastbp = f"{row.fastbp + 0.0:.6g}"  # + 0.0 turns -0.0 into 0
    return str(row.step), row.quantity, f"{row.hand:.12g}", fastbp, row.verdict + mark


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    aligned = (
        cell.rjust(width) if column in (2, 3) else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(aligned).rstrip()


def _wrap(text: str, first: str = "", further: str = "") -> list[str]:
    """Lines of whole words, the first and the further ones after these beginnings."""
    lines = textwrap.TextWrapper(_WIDTH, first, further)
    lines.break_long_words = lines.break_on_hyphens = False
    return lines.wrap(text)

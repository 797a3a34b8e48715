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
    number: dict[str, int] = {}  # cause -> its number, in order of first appearance
    for row in rows:
        if row.cause is not None:
            number.setdefault(row.cause, len(number) + 1)
    cells = [_HEADER, *(_cells(row, number) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADER))]
    lines = [*_wrap(f"{example.name}: {example.title}"), ""]
    lines += [*_wrap(example.page["network"]), "", _line(_HEADER, widths)]
    told: set[str] = set()
    for row, line in zip(rows, cells[1:], strict=True):
        lines.append(_line(line, widths))
        if row.cause is not None and row.cause not in told:
            told.add(row.cause)
            lines += _wrap(f"[{number[row.cause]}] {row.cause}", indent=6)
    return "\n".join([*lines, "", _count(rows), "", *_wrap(f"It teaches {example.teaches}.")])


def _cells(row: Row, number: dict[str, int]) -> tuple[str, ...]:
    mark = "" if row.cause is None else f" [{number[row.cause]}]"
    fastbp = f"{row.fastbp + 0.0:.6g}"  # + 0.0 turns -0.0 into 0
    return str(row.step), row.quantity, f"{row.hand:.12g}", fastbp, row.verdict + mark


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    step, quantity, hand, fastbp, verdict = (
        cell.rjust(width) if column in (2, 3) else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"{step}  {quantity}  {hand}  {fastbp}  {verdict}".rstrip()


def _wrap(text: str, *, indent: int = 0) -> list[str]:
    hanging = indent + 4 if indent else 0
    return textwrap.wrap(
        text,
        width=_WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _count(rows: list[Row]) -> str:
    verdict = Counter(row.verdict for row in rows)
    return (
        f"{len(rows)} numbers: {verdict['agrees']} agree, {verdict['slip']} slips, "
        f"{verdict['after']} after an earlier slip"
    )

"""The printed table of a worked example: step, quantity, hand, fastbp, verdict and cause."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import Any, NamedTuple, Protocol

from fastbp.picture import html as page

_WIDTH = 100
_HEADER = ("step", "quantity", "hand", "fastbp", "verdict")


class Row(NamedTuple):
    """One number of the page: what the hand printed and what fastbp computes."""

    step: int | str  # 1, 2, ...; 0 before training; "predict" after the last step
    quantity: str
    hand: float
    fastbp: float
    verdict: str  # "agrees", "slip" or "after" (an earlier slip carried on)
    cause: str | None


class Worked(Protocol):
    """An `Example`, as far as its table goes."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def teaches(self) -> str: ...
    @property
    def page(self) -> dict[str, Any]: ...
    def run(self) -> list[Row]: ...


def render(example: Worked) -> str:
    """Train `example` and return its table as text of at most 100 columns.

    Numbers of fastbp have six significant digits. A cause is printed in full under the first row
    it explains and has a number there; later rows with the same cause show the number alone.

    >>> import fastbp as fb
    >>> from fastbp.examples import table
    >>> print(table.render(fb.examples.load("linear_sigmoid")).splitlines()[-4])
    56 numbers: 52 agree, 3 slips, 1 after an earlier slip
    """
    rows = example.run()
    number = _numbered(rows)
    causes = dict.fromkeys(number)
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
    lines += ["", _count(rows), ""]
    return "\n".join([*lines, *_wrap(f"It teaches {example.teaches}.")])


def html(example: Worked) -> str:
    """The same for a notebook; the causes of slips are below the table, by their numbers."""
    rows = example.run()
    number = _numbered(rows)
    cells = [_HEADER, *(_cells(row, number) for row in rows)]
    causes = [(f"[{i}]", cause) for cause, i in number.items()]
    return page.box(
        page.heading(example.name, example.title), page.paragraph(example.page["network"]),
        page.folded(_count(rows), page.table(cells), is_open=True),
        page.definitions([*causes, ("teaches", example.teaches)]),
    )  # fmt: skip


def _numbered(rows: list[Row]) -> dict[str, int]:
    """The causes of slips, numbered in order of first appearance."""
    causes = dict.fromkeys(row.cause for row in rows if row.cause is not None)
    return {cause: i for i, cause in enumerate(causes, 1)}


def _count(rows: list[Row]) -> str:
    verdict = Counter(row.verdict for row in rows)
    return (
        f"{len(rows)} numbers: {verdict['agrees']} agree, {verdict['slip']} slips, "
        f"{verdict['after']} after an earlier slip"
    )


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

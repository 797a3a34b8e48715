"""Tables for a notebook; they take the colour and font of the page around them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Row = Sequence[object]

_CELL = "padding:.2em .8em;white-space:pre;text-align:"
_FAINT = "opacity:.7"


def table(rows: Sequence[Row]) -> str:
    """A table whose first row is its head; columns of numbers are right-aligned.

    >>> "a &lt; b" in table([("name", "n"), ("a < b", "1,000")])
    True
    """
    cells = [[str(cell) for cell in row] for row in rows]
    head, *body = cells
    sides = [
        "right" if all(map(_is_number, column)) and any(column) else "left"
        for column in zip(*body, strict=True)
    ] or ["left"] * len(head)
    top, inner = _row("th", head, sides), "".join(_row("td", row, sides) for row in body)
    return f'<table style="margin:.4em 0"><thead>{top}</thead><tbody>{inner}</tbody></table>'


def _is_number(cell: str) -> bool:
    """Whether a cell goes into a column of numbers: empty ones and dots, too."""
    try:
        float(cell.replace(",", ""))
    except ValueError:
        return cell in ("", "...")
    return True


def _row(tag: str, cells: Sequence[str], sides: Sequence[str]) -> str:
    parts = (
        f'<{tag} style="{_CELL}{side}">{escape(cell)}</{tag}>'
        for cell, side in zip(cells, sides, strict=True)
    )
    return f"<tr>{''.join(parts)}</tr>"


def heading(text: str, note: str = "") -> str:
    """A line above a table: a name, and what is said beside it."""
    beside = f' <span style="{_FAINT}">{escape(note)}</span>' if note else ""
    return f"<div><strong>{escape(text)}</strong>{beside}</div>"


def paragraph(text: str) -> str:
    """Words above or below a table."""
    return f'<div style="max-width:60em">{escape(text)}</div>'


def preformatted(text: str) -> str:
    """Lines as they are."""
    return f'<pre style="margin:.4em 0;background:none;color:inherit">{escape(text)}</pre>'


def definitions(pairs: Sequence[tuple[str, str]]) -> str:
    """Names, and beside each its words."""
    style = "text-align:left;vertical-align:top;padding:.1em .8em"
    lines = (
        f'<tr><td style="{style};{_FAINT}">{escape(name)}</td>'
        f'<td style="{style};max-width:46em;white-space:normal">{escape(words)}</td></tr>'
        for name, words in pairs
    )
    return f'<table style="margin:.4em 0"><tbody>{"".join(lines)}</tbody></table>'


def folded(title: str, content: str, *, is_open: bool = False) -> str:
    """What opens with a click on its title."""
    state = " open" if is_open else ""
    return (
        f'<details{state}><summary style="cursor:pointer">{escape(title)}</summary>'
        f"{content}</details>"
    )


def box(*parts: str) -> str:
    """All parts below one another, in a block of their own."""
    return f'<div style="line-height:1.4">{"".join(parts)}</div>'

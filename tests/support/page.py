"""HTML and SVG read as a browser would: balanced, without script, words apart from markup."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

_VOID = {"br", "hr", "img", "meta", "input"}
_SELF_CLOSED = {"line", "path", "circle", "rect"}


class Page(HTMLParser):
    """What `parsed` found.

    Attributes:
        words: each run of text, in order.
        cells: the rows of all tables.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.cells: list[list[str]] = []
        self._open: list[str] = []
        self._count: Counter[str] = Counter()

    def count(self, tag: str) -> int:
        return self._count[tag]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "style", "link", "iframe"), tag
        assert not any(name.startswith("on") for name, _ in attrs), attrs
        self._count[tag] += 1
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _SELF_CLOSED, tag
        self._count[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self._open or "th" in self._open:
            self.cells[-1][-1] += data
        if data.strip():
            self.words.append(data.strip())


def parsed(text: str) -> Page:
    """Asserts that every element ends, and that nothing in it runs."""
    page = Page()
    page.feed(text)
    page.close()
    assert not page._open
    return page

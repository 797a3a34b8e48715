"""An SVG picture: what a notebook shows, and a file."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path

FONT = "system-ui,sans-serif"
BLUE, ORANGE = "#3b82c4", "#d9730d"  # on white and on black alike


class Drawing:
    """A picture in SVG; a notebook shows it, `save` writes it.

    Attributes:
        width, height: in pixels.
        title: what it shows, for those who cannot see it.

    >>> Drawing([], width=200, height=100, title="nothing")
    Drawing('nothing', 200 x 100): .save("picture.svg") writes it
    """

    def __init__(self, parts: list[str], *, width: float, height: float, title: str) -> None:
        self._parts = parts
        self.width, self.height, self.title = round(width), round(height), title

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as an SVG file, dark on white.

        Raises:
            ValueError: the name does not end in .svg.
            OSError: the file cannot be written.
        """
        if Path(path).suffix.lower() != ".svg":
            raise ValueError(f"path must end in .svg, got {os.fspath(path)!r}")
        Path(path).write_text(self.svg(), encoding="utf-8")

    def svg(self) -> str:
        """What `save` writes."""
        ground = '<rect width="100%" height="100%" rx="6" fill="#fff"/>'
        return self._svg("#222", ground) + "\n"

    def __repr__(self) -> str:
        size = f"{self.width} x {self.height}"
        return f'Drawing({self.title!r}, {size}): .save("picture.svg") writes it'

    def _repr_html_(self) -> str:
        return f'<div style="overflow-x:auto">{self._svg("currentColor", "")}</div>'

    def _svg(self, colour: str, ground: str) -> str:
        size = f'width="{self.width}" height="{self.height}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} '
            f'viewBox="0 0 {self.width} {self.height}" role="img" font-family="{FONT}" '
            f'color="{colour}" fill="{colour}"><title>{escape(self.title)}</title>'
            f"{ground}{''.join(self._parts)}</svg>"
        )


def line(x1: float, y1: float, x2: float, y2: float, *, opacity: float = 1) -> str:
    """A straight line."""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="currentColor" stroke-opacity="{opacity:g}"/>'


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: float = 12,
    anchor: str = "start",
    fill: str = "currentColor",
    opacity: float = 1,
    weight: str = "normal",
) -> str:
    """Words, their base line at y."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}" fill="{fill}" '
        f'fill-opacity="{opacity:g}" font-weight="{weight}">{escape(words)}</text>'
    )


def path(data: str, *, stroke: str = "currentColor", width: float = 1, opacity: float = 1) -> str:
    """A curve that encloses nothing."""
    return (
        f'<path d="{data}" fill="none" stroke="{stroke}" stroke-width="{width:g}" '
        f'stroke-opacity="{opacity:g}" stroke-linejoin="round"/>'
    )

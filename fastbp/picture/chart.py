"""Curves over the epochs, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fastbp.picture.drawing import BLUE, ORANGE, Drawing, line, path, text
from fastbp.picture.scale import Scale

_WIDTH, _HEIGHT = 340, 230  # of a panel
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 12, 34, 34
_PANELS_A_ROW = 3
_MOST_POINTS = 400  # of a curve: more than one a pixel cannot be seen
_MARKED = 30  # curves of so few points show each

Point = tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """One pair of axes: curves by their names, points (epoch, value) with None left out."""

    title: str
    curves: dict[str, list[Point]]
    is_log: bool


def chart(panels: Sequence[Panel], *, title: str) -> Drawing:
    """The panels side by side, a row of three at most."""
    columns = min(len(panels), _PANELS_A_ROW)
    parts: list[str] = []
    for i, panel in enumerate(panels):
        x, y = i % columns * _WIDTH, i // columns * _HEIGHT
        parts += [f'<g transform="translate({x},{y})">', *_panel(panel), "</g>"]
    n_rows = math.ceil(len(panels) / columns)
    return Drawing(parts, width=columns * _WIDTH, height=n_rows * _HEIGHT, title=title)


def _panel(panel: Panel) -> list[str]:
    seen = [
        (epoch, value)
        for points in panel.curves.values()
        for epoch, value in points
        if math.isfinite(value) and (value > 0 or not panel.is_log)
    ]
    parts = [text(_LEFT, 20, panel.title, size=13, weight="600"), *_legend(panel)]
    if not seen:
        return [*parts, text(_LEFT + 10, _HEIGHT / 2, "nothing to show", opacity=0.7)]
    x = Scale.of([epoch for epoch, _ in seen], room=0.02)
    y = Scale.of([value for _, value in seen], is_log=panel.is_log)
    parts += _axes(x, y)
    for name, points in panel.curves.items():
        parts += _curve(points, x, y, _colour(name))
    return parts


def _legend(panel: Panel) -> list[str]:
    """The names of the curves, in their colours, on the right of the title."""
    parts: list[str] = []
    right = float(_WIDTH - _RIGHT)
    for name in reversed(panel.curves):
        parts.append(text(right, 20, name, anchor="end", fill=_colour(name), weight="600"))
        right -= 7.2 * len(name) + 12
    return parts if len(panel.curves) > 1 else []


def _colour(name: str) -> str:
    return ORANGE if name == "validation" else BLUE


def _axes(x: Scale, y: Scale) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = [line(_LEFT, bottom, right, bottom, opacity=0.6)]
    for value, label in y.ticks():
        place = _down(y, value)
        parts.append(line(_LEFT, place, right, place, opacity=0.15))
        parts.append(text(_LEFT - 6, place + 4, label, size=11, anchor="end", opacity=0.8))
    for value, label in x.ticks(is_whole=True):
        place = _across(x, value)
        parts.append(line(place, bottom, place, bottom + 4, opacity=0.6))
        parts.append(text(place, bottom + 16, label, size=11, anchor="middle", opacity=0.8))
    middle = (_LEFT + right) / 2
    return [*parts, text(middle, _HEIGHT - 4, "epoch", size=11, anchor="middle", opacity=0.8)]


def _across(x: Scale, value: float) -> float:
    return _LEFT + x.place(value) * (_WIDTH - _LEFT - _RIGHT)


def _down(y: Scale, value: float) -> float:
    return _HEIGHT - _BOTTOM - y.place(value) * (_HEIGHT - _TOP - _BOTTOM)


def _curve(points: Sequence[Point], x: Scale, y: Scale, colour: str) -> list[str]:
    """The line through the points; a gap where a number cannot be drawn."""
    shown = _thinned(points)
    data, places, is_down = [], [], False
    for epoch, value in shown:
        if not math.isfinite(value) or (y.is_log and value <= 0):
            is_down = False
            continue
        place = (_across(x, epoch), _down(y, value))
        data.append(f"{'L' if is_down else 'M'}{place[0]:.1f} {place[1]:.1f}")
        places.append(place)
        is_down = True
    parts = [path("".join(data), stroke=colour, width=1.8)]
    if len(shown) <= _MARKED:
        circle = '<circle cx="{:.1f}" cy="{:.1f}" r="2.2" fill="{}"/>'
        parts += [circle.format(*place, colour) for place in places]
    return parts


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    """Of many points the lowest and the highest of each group, in their order."""
    size = math.ceil(2 * len(points) / _MOST_POINTS)
    if size <= 2:
        return points
    found: list[Point] = []
    for begin in range(0, len(points), size):
        group = [p for p in points[begin : begin + size] if math.isfinite(p[1])]
        if group:
            ends = {min(group, key=lambda point: point[1]), max(group, key=lambda point: point[1])}
            found += sorted(ends)
    return found

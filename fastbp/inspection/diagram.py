"""A network drawn: a column of units for each layer, lines where numbers go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fastbp.layer import Branch, Dense, Heads, Input, Layer, Residual
from fastbp.picture.drawing import BLUE, ORANGE, Drawing, line, path, text
from fastbp.runtime.state import State

_RADIUS = 8
_STEP = 24  # between two units of a column
_SHOWN = 7  # units of a column; of more the first and the last ones
_GAP = 56  # between two layers
_LANE = 22  # between two branches
_MARGIN = 12
_LABEL = 36  # below a column: units, activation


@dataclass(frozen=True)
class Port:
    """Where lines end; `is_same` where the numbers pass on unchanged."""

    x: float
    y: float
    is_same: bool = False


@dataclass
class Glyph:
    """A part of the picture, from (0, -up) to (width, down).

    `entry` and `exit` are where the lines from the layer before and to the next one end.
    """

    width: float
    up: float
    down: float
    parts: list[str] = field(default_factory=list)
    entry: list[Port] = field(default_factory=list)
    exit: list[Port] = field(default_factory=list)

    def at(self, x: float, y: float) -> list[str]:
        return [f'<g transform="translate({x:g},{y:g})">', *self.parts, "</g>"]


def diagram(state: State) -> Drawing:
    """See `Network.plot`."""
    glyph = _chain(state.layers)
    width, height = glyph.width + 2 * _MARGIN, glyph.up + glyph.down + 2 * _MARGIN
    parts = glyph.at(_MARGIN, _MARGIN + glyph.up)
    return Drawing(parts, width=width, height=height, title=f"network {state.short_form}")


def _chain(layers: Sequence[Layer]) -> Glyph:
    """Layers one after another; none is a line."""
    if not layers:
        return _pass("")
    glyphs = [_glyph(layer) for layer in layers]
    whole = Glyph(0, max(g.up for g in glyphs), max(g.down for g in glyphs))
    ends: list[Port] = []
    for i, glyph in enumerate(glyphs):
        x = whole.width + (_GAP if i else 0)
        entry = _moved(glyph.entry, x, 0)
        whole.parts[:0] = _lines(ends, entry)  # under the units
        whole.parts += glyph.at(x, 0)
        whole.width, ends = x + glyph.width, _moved(glyph.exit, x, 0)
        whole.entry = whole.entry or entry
    whole.exit = ends
    return whole


def _glyph(layer: Layer) -> Glyph:
    if isinstance(layer, Input):
        return _column(layer.units, "input", "currentColor")
    if isinstance(layer, Dense):
        name = layer.activation.name
        return _column(layer.units, "" if name == "linear" else name, BLUE)
    if isinstance(layer, Residual):
        around = _pass("projection" if layer.projection else "")
        name = layer.activation.name
        return _added([around, _chain(layer.layers)], "" if name == "linear" else name)
    if isinstance(layer, Branch):
        lanes = [_chain(part) for part in layer.branches]
        return _lanes(lanes) if layer.merge == "concat" else _added(lanes, "")
    if isinstance(layer, Heads):
        return _lanes([_named(_chain(head.layers), head.name) for head in layer.heads])
    return _box(layer.short_form())


def _named(glyph: Glyph, name: str) -> Glyph:
    """With a name behind it."""
    glyph.parts.append(text(glyph.width + 8, 4.5, name, weight="600"))
    glyph.width += 8 + 7.5 * len(name)
    return glyph


def _column(units: int, name: str, colour: str) -> Glyph:
    """A circle a unit; of many, dots in the place of those in the middle."""
    places: list[float | None] = [*range(units)]
    if units > _SHOWN:
        places = [0, 1, 2, None, 4, 5, 6]
    middle = (len(places) - 1) / 2
    labels = [f"{units:,}", *([name] if name else [])]
    width = max(2 * _RADIUS, *(6.5 * len(label) for label in labels))
    x, reach = width / 2, middle * _STEP + _RADIUS
    glyph = Glyph(width, reach, reach + _LABEL)
    for place in places:
        if place is None:
            glyph.parts += [_circle(x, 7.0 * i, 1.6, "currentColor") for i in (-1, 0, 1)]
            continue
        y = (place - middle) * _STEP
        glyph.parts.append(_circle(x, y, _RADIUS, colour, fill=0.25))
        glyph.entry.append(Port(x - _RADIUS, y))
        glyph.exit.append(Port(x + _RADIUS, y))
    for i, label in enumerate(labels):
        weight = "normal" if i else "600"
        glyph.parts.append(text(x, reach + 17 + 14 * i, label, anchor="middle", weight=weight))
    return glyph


def _circle(x: float, y: float, radius: float, colour: str, *, fill: float = 1) -> str:
    return (
        f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{colour}" fill-opacity="{fill:g}" '
        f'stroke="{colour}"/>'
    )


def _pass(label: str) -> Glyph:
    """A way for numbers that no layer changes, or a projection alone."""
    glyph = Glyph(30.0 + 6.5 * len(label), 16, 6)
    glyph.entry = [Port(0, 0, is_same=True)]
    glyph.exit = [Port(glyph.width, 0, is_same=True)]
    if label:
        glyph.parts.append(text(glyph.width / 2, -5, label, size=11, anchor="middle"))
    return glyph


def _lanes(glyphs: Sequence[Glyph]) -> Glyph:
    """One below the other, each in the middle; a way without layers as wide as all."""
    width = max(glyph.width for glyph in glyphs)
    height = sum(g.up + g.down for g in glyphs) + _LANE * (len(glyphs) - 1)
    whole = Glyph(width, height / 2, height / 2)
    top = -height / 2
    for glyph in glyphs:
        x, y = (width - glyph.width) / 2, top + glyph.up
        whole.parts += glyph.at(x, y)
        if all(port.is_same for port in glyph.entry):
            whole.parts.append(_same(0, y, width, y))
            whole.entry.append(Port(0, y, is_same=True))
            whole.exit.append(Port(width, y, is_same=True))
        else:
            whole.entry += _moved(glyph.entry, x, y)
            whole.exit += _moved(glyph.exit, x, y)
        top += glyph.up + glyph.down + _LANE
    return whole


def _added(glyphs: Sequence[Glyph], name: str) -> Glyph:
    """Lanes whose ends are added, unit by unit."""
    lanes = _lanes(glyphs)
    x = lanes.width + _GAP / 2 + 10
    sign = [
        _circle(x, 0, 10, ORANGE, fill=0.25),
        text(x, 5.5, "+", size=17, anchor="middle", weight="600"),
        *([text(x, 27, name, anchor="middle")] if name else []),
    ]
    joints = [_same(port.x, port.y, x - 10, 0) for port in lanes.exit]
    right = x + max(10, 3.3 * len(name))
    end = [Port(x + 10, 0, is_same=True)]
    parts = [*joints, *lanes.parts, *sign]
    return Glyph(right, lanes.up, max(lanes.down, 32), parts, lanes.entry, end)


def _box(name: str) -> Glyph:
    """A layer of a kind that is not known here."""
    width = 20.0 + 7 * len(name)
    frame = f'<rect y="-15" width="{width:g}" height="30" rx="5" fill="{BLUE}" fill-opacity=".2"/>'
    parts = [frame, text(width / 2, 4, name, anchor="middle")]
    return Glyph(width, 15, 15, parts, [Port(0, 0)], [Port(width, 0)])


def _lines(ends: Sequence[Port], entry: Sequence[Port]) -> list[str]:
    """From every end to every entry."""
    few = len(ends) * len(entry) <= 16
    found = []
    for end in ends:
        for port in entry:
            if port.is_same:
                found.append(_same(end.x, end.y, port.x, port.y))
            else:
                opacity = 0.5 if few else 0.25
                found.append(line(end.x, end.y, port.x, port.y, opacity=opacity))
    return found


def _same(x1: float, y1: float, x2: float, y2: float) -> str:
    """A way that changes nothing: a curve, level at both ends."""
    middle = (x1 + x2) / 2
    data = f"M{x1:.5g} {y1:.5g}C{middle:.5g} {y1:.5g} {middle:.5g} {y2:.5g} {x2:.5g} {y2:.5g}"
    return path(data, stroke=ORANGE, width=1.2, opacity=0.75)


def _moved(ports: Sequence[Port], x: float, y: float) -> list[Port]:
    return [Port(port.x + x, port.y + y, port.is_same) for port in ports]

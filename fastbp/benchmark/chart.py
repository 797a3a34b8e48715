"""The picture of the benchmark: how many times as long others take for a training step."""

import json
import math
from pathlib import Path

from fastbp.picture.drawing import BLUE, ORANGE, Drawing, line, text
from fastbp.picture.scale import Scale

_LEFT, _WIDTH, _RIGHT = 250, 400, 90
_ROW, _BAR, _TOP = 46, 15, 58


def chart(result: Path) -> Drawing:
    """A row for each workload on one core, two bars each, on a logarithmic axis from 1."""
    ratios = json.loads(result.read_text(encoding="utf-8"))["ratios"]
    rows = [row for row in ratios if row["threads"] == 1]
    ends = [row[name] for row in rows for name in ("ratio", "pytorch_ratio") if name in row]
    scale = Scale(math.log10(min(1, *ends)), math.log10(max(1, *ends)) + 0.05, is_log=True)
    bottom = _TOP + _ROW * len(rows)
    title = "Times as long as fastbp takes for a training step, one core"
    parts = [
        text(16, 24, title, size=15, weight="600"),
        text(16, 43, "best other library", fill=ORANGE, weight="600"),
        text(168, 43, "PyTorch", fill=BLUE, weight="600"),
    ]
    for value, label in [(1.0, "fastbp"), *(tick for tick in scale.ticks() if tick[0] != 1)]:
        x = _across(scale, value)
        parts.append(line(x, _TOP, x, bottom, opacity=0.8 if value == 1 else 0.15))
        parts.append(text(x, bottom + 16, label, size=11, anchor="middle", opacity=0.8))
    for i, row in enumerate(rows):
        y = _TOP + _ROW * i + 8
        batch = f"batch {row['batch_size']}"
        parts.append(text(_LEFT - 12, y + 13, row["workload"], anchor="end"))
        parts.append(text(_LEFT - 12, y + 28, batch, size=11, anchor="end", opacity=0.7))
        best, pytorch = row["ratio"], row.get("pytorch_ratio")
        parts += _bar(scale, y, best, f"{_shown(best)} {row['best_peer']}", ORANGE)
        if pytorch is not None:
            parts += _bar(scale, y + _BAR + 1, pytorch, _shown(pytorch), BLUE)
    size = {"width": _LEFT + _WIDTH + _RIGHT, "height": bottom + 26}
    return Drawing(parts, title=title, **size)


def _bar(scale: Scale, y: float, ratio: float, label: str, colour: str) -> list[str]:
    """From 1 to the ratio, to the left where fastbp loses."""
    begin, end = sorted((_across(scale, 1), _across(scale, ratio)))
    bar = (
        f'<rect x="{begin:.1f}" y="{y:.1f}" width="{end - begin:.1f}" height="{_BAR}" '
        f'fill="{colour}" fill-opacity="0.85"/>'
    )
    return [bar, text(end + 5, y + 12, label, size=11)]


def _shown(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio < 10 else f"{ratio:,.0f}"


def _across(scale: Scale, value: float) -> float:
    return _LEFT + scale.place(value) * _WIDTH

"""A history as a table, a data frame and a picture.

Columns are name -> one value for each epoch, None where it has none; the first is "epoch".
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbp.check.extra import missing_extra
from fastbp.check.message import counted
from fastbp.picture import html as html_page
from fastbp.picture.chart import Panel, Point, chart
from fastbp.picture.drawing import Drawing

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]

Columns = dict[str, list[Any]]

_MARKED = 30  # curves of so few points show each
_WIDE = 30.0  # largest / smallest from which a loss is drawn on a logarithmic scale
_PANEL = (4.6, 3.4)  # inches
_PANELS_A_ROW = 3


def table(columns: Columns, most_rows: int, end: str) -> str:
    """Columns of equal width, the rows in the middle of a long history left out."""
    rows = _rows(columns, most_rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, *([end] if end else [])])


def html(columns: Columns, most_rows: int, end: str) -> str:
    """The curves, and the table behind a click, for a notebook."""
    n = len(columns["epoch"])
    parts = [html_page.heading("History", counted(n, "epoch") + (f", {end}" if end else ""))]
    if n:
        rows = html_page.table(_rows(columns, most_rows))
        parts += [drawing(columns)._repr_html_(), html_page.folded("table", rows)]
    return html_page.box(*parts)


def drawing(columns: Columns) -> Drawing:
    """The same as `plot` draws, without matplotlib."""
    panels = []
    for names in _panels(columns):
        title = _title(names)
        curves = {
            "validation" if name.startswith("val_") else "training": _points(columns, name)
            for name in names
        }
        is_log = _is_wide(title, [value for name in names for value in columns[name]])
        panels.append(Panel(title.replace("_", " "), curves, is_log))
    return chart(panels, title="losses, metrics and learning rate of each epoch")


def csv(columns: Columns) -> str:
    """See `History.to_csv`: numbers as Python writes them, so that they come back to the bit."""
    lines = [list(columns)]
    for row in zip(*columns.values(), strict=True):
        lines.append(["" if value is None else repr(value) for value in row])
    return "".join(f"{','.join(map(_quoted, cells))}\n" for cells in lines)


def _quoted(cell: str) -> str:
    """A cell of a CSV file: the name of a metric may hold anything."""
    if not any(mark in cell for mark in ',"\r\n'):
        return cell
    doubled = cell.replace('"', '""')
    return f'"{doubled}"'


def frame(columns: Columns) -> pandas.DataFrame:
    """See `History.to_frame`."""
    try:
        import pandas
    except ImportError as error:
        raise missing_extra("a DataFrame", "pandas", "csv") from error
    values = {name: np.array(column, np.float64) for name, column in columns.items()}
    del values["epoch"]
    return pandas.DataFrame(values, index=pandas.Index(columns["epoch"], name="epoch"))


def plot(columns: Columns, ax: Any) -> list[Any]:
    """See `History.plot`."""
    panels = _panels(columns)
    axes = _new_axes(len(panels)) if ax is None else list(np.ravel(ax))[: len(panels)]
    for panel, names in zip(axes, panels, strict=False):
        _draw(columns, panel, names)
    return axes


def _rows(columns: Columns, most: int) -> list[list[str]]:
    """The cells as text, under the names."""
    n = len(columns["epoch"])
    places = list(range(n))
    if n > most:
        places[most // 2 : n - most // 2] = []
    rows = [[_cell(column[i]) for column in columns.values()] for i in places]
    if n > most:
        rows.insert(most // 2, ["..."] * len(columns))
    return [list(columns), *rows]


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _panels(columns: Columns) -> list[list[str]]:
    """Names that are drawn together: losses, each metric, the learning rate."""
    found: dict[str, list[str]] = {"loss": []}
    for name in columns:
        found.setdefault(name.removeprefix("val_"), []).append(name)
    del found["epoch"]
    rate = found.pop("learning_rate", None)
    return [*found.values(), *([rate] if rate else [])]


def _new_axes(n: int) -> list[Any]:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise missing_extra("a plot", "matplotlib", "plot") from error
    n_columns = 2 if n == 4 else min(n, _PANELS_A_ROW)
    n_rows = math.ceil(n / n_columns)
    size = (_PANEL[0] * n_columns, _PANEL[1] * n_rows)
    _, grid = plt.subplots(n_rows, n_columns, figsize=size, squeeze=False, layout="constrained")
    axes = list(grid.ravel())
    for empty in axes[n:]:
        empty.remove()
    return axes[:n]


def _draw(columns: Columns, ax: Any, names: list[str]) -> None:
    """One panel: training and validation."""
    title = _title(names)
    for name in names:
        points = _points(columns, name)
        is_validation = name.startswith("val_")
        ax.plot(
            [epoch for epoch, _ in points], [value for _, value in points],
            color="C1" if is_validation else "C0",
            label="validation" if is_validation else "training",
            marker="o" if len(points) <= _MARKED else None, markersize=3,
        )  # fmt: skip
    ax.set_title(title.replace("_", " "))
    ax.set_xlabel("epoch")
    ax.grid(alpha=0.3)
    ax.margins(x=0.02)
    ax.xaxis.get_major_locator().set_params(integer=True)
    if _is_wide(title, [value for name in names for value in columns[name]]):
        ax.set_yscale("log")
    if title != "learning_rate" and names:
        ax.legend(frameon=False)


def _title(names: list[str]) -> str:
    return names[0].removeprefix("val_") if names else "loss"


def _points(columns: Columns, name: str) -> list[Point]:
    """Those epochs that have the number, and the number."""
    pairs = zip(columns["epoch"], columns[name], strict=True)
    return [(epoch, value) for epoch, value in pairs if value is not None]


def _is_wide(title: str, values: list[float | None]) -> bool:
    """Whether losses or learning rates reach over more than a decade."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if not finite or not (title == "learning_rate" or "loss" in title):
        return False
    return min(finite) > 0 and max(finite) / min(finite) > _WIDE

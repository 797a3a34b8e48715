"""What came of a training, as text, as a dict for JSON and as one page of HTML."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from fastbp.check.message import counted
from fastbp.tabular.evaluation import Evaluation, aligned, figure_rows, plain
from fastbp.tabular.model import TableModel
from fastbp.tabular.target import ClassTarget
from fastbp.version import __version__

_SHOWN_COLUMNS = 30
_SHOWN_IGNORED = 8
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em;
       color: #222; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; } th, td { padding: .2em .8em; border-bottom: 1px solid #ddd;
        text-align: right; } th:first-child, td:first-child { text-align: left; }
td.text, th.text { text-align: left !important; } pre { font-size: .95em; }
svg { max-width: 100%; height: auto; }
code { background: #f3f3f3; padding: .2em .4em; border-radius: 3px; } ul { padding-left: 1.2em; }
"""


@dataclass
class Summary:
    """A model that `fastbp train` has trained.

    Attributes:
        source: what it was trained on.
        n_rows, n_columns: of that.
        notes: what was odd in it.
        evaluation: of the rows held out, `held_out` says which; None where none were.
        folds: the evaluations of a cross-validation.
        seconds: of training.
        path: the model's file.
        command: what to type next.
    """

    model: TableModel
    source: str
    n_rows: int
    n_columns: int
    notes: list[str] = field(default_factory=list)
    evaluation: Evaluation | None = None
    held_out: str = ""
    folds: list[Evaluation] = field(default_factory=list)
    seconds: float = 0.0
    path: str | None = None
    command: str = ""

    def heading(self) -> str:
        """One line: what is predicted from what."""
        target = self.model.target
        what: str = target.task
        if isinstance(target, ClassTarget):
            what += f" of {target.name!r}, {len(target.classes)} classes"
        else:
            what += f" of {target.name!r}"
        return f"{what}, from {counted(len(self.model.columns), 'column')} of {self.source}"

    def columns(self) -> list[tuple[str, str]]:
        """Each column of the table, and what was made of it."""
        used = [(column.name, str(column) + (", gaps marked" if column.indicator else ""))
                for column in self.model.preprocessing.columns]  # fmt: skip
        return used + [(name, f"ignored: {why}") for name, why in self.model.ignored.items()]

    def network_line(self) -> str:
        network = self.model.network
        sizes = [self.model.network.n_features, *self.model.hidden, network.n_outputs]
        return (
            f"network {'-'.join(map(str, sizes))}, {self.model.activation}, {network.loss.name}, "
            f"{network.optimizer.name}; backend {network.backend} ({network.instruction_set})"
        )

    def training_line(self) -> str:
        history = self.model.history
        end = f"; {history.reason}" if history.reason else ""
        return f"{counted(len(history), 'epoch')} in {self.seconds:.2f} s{end}"

    def before(self) -> str:
        """What is worth reading before the training begins."""
        columns = self.columns()[: len(self.model.columns)]
        lines = [self.heading(), *aligned_left(columns[:_SHOWN_COLUMNS])]
        if len(columns) > _SHOWN_COLUMNS:
            lines.append(f"  ... and {len(columns) - _SHOWN_COLUMNS} columns more")
        if self.model.ignored:
            names = list(self.model.ignored)[:_SHOWN_COLUMNS]
            lines.append(f"  ignored, see below: {', '.join(names)}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def after(self) -> str:
        """What came of it."""
        lines = [self.network_line(), self.training_line()]
        if self.folds:
            lines += ["", f"cross-validation, {len(self.folds)} folds"]
            lines += aligned(self._fold_rows())
        if self.evaluation is not None:
            rows = counted(self.evaluation.n_rows, "row")
            lines += ["", f"{self.held_out} ({rows})", str(self.evaluation)]
        lines.append("")
        if self.model.ignored:
            lines += self._ignored()
        if self.path:
            lines.append(f"wrote {self.path}")
        if self.command:
            lines.append(f"next: {self.command}")
        return "\n".join(lines)

    def _ignored(self) -> list[str]:
        """The first columns that were, and why; of the others how many."""
        found = list(self.model.ignored.items())
        more = len(found) - _SHOWN_IGNORED
        if more > 0:
            found = found[:_SHOWN_IGNORED]
        lines = [f"ignored {name!r}: {why}" for name, why in found]
        return lines + ([f"ignored {counted(more, 'further column')}"] if more > 0 else [])

    def _fold_rows(self) -> list[list[str]]:
        names = list(self.folds[0])
        values = {name: np.array([fold[name] for fold in self.folds]) for name in names}
        return figure_rows({
            "mean": {name: float(value.mean()) for name, value in values.items()},
            "std": {name: float(value.std(ddof=1)) for name, value in values.items()},
            "min": {name: float(value.min()) for name, value in values.items()},
            "max": {name: float(value.max()) for name, value in values.items()},
        })  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """A dict for JSON."""
        model, history = self.model, self.model.history
        target: dict[str, Any] = {"name": model.target.name, "task": model.target.task}
        if isinstance(model.target, ClassTarget):
            target["classes"] = list(model.target.classes)
        network = model.network
        return {
            "data": self.source, "rows": self.n_rows, "target": target,
            "columns": [column.to_config() for column in model.preprocessing.columns],
            "ignored": model.ignored, "notes": self.notes,
            "network": {"inputs": network.n_features, "hidden": model.hidden,
                        "outputs": network.n_outputs, "parameters": network.n_parameters,
                        "loss": network.loss.name, "optimizer": network.optimizer.name,
                        "seed": network.seed},
            "training": {"epochs": len(history), "seconds": self.seconds,
                         "stopped": history.stopped, "reason": history.reason,
                         "backend": network.backend},
            "history": {"epoch": history.epoch, **history.history},
            "held_out": self.held_out or None,
            "evaluation": self.evaluation.to_json() if self.evaluation is not None else None,
            "cross_validation": [plain(fold) for fold in self.folds],
            "model": self.path, "next": self.command or None,
        }  # fmt: skip

    def to_html(self) -> str:
        """One page that needs nothing else.  Raises ImportError without matplotlib."""
        from fastbp.tabular import picture

        image = picture.svg(picture.draw(self.model.history, self.evaluation))
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td class=text>{escape(what)}</td></tr>"
            for name, what in self.columns()
        )
        parts = [
            f"<h1>{escape(self.heading())}</h1>",
            f"<p>{self.n_rows} rows, {self.n_columns} columns. {escape(self.training_line())}.</p>",
            _listed("Worth knowing", self.notes),
        ]
        if self.folds:
            parts.append(f"<h2>Cross-validation, {len(self.folds)} folds</h2>")
            parts.append(_table(self._fold_rows()))
        if self.evaluation is not None:
            detail = "\n".join(self.evaluation.detail())
            rows_held = counted(self.evaluation.n_rows, "row")
            parts += [f"<h2>{escape(self.held_out.capitalize())} ({rows_held})</h2>",
                      _table(self.evaluation.metric_rows()), f"<p>{image}</p>",
                      f"<pre>{escape(detail)}</pre>"]  # fmt: skip
        else:
            parts.append(f"<p>{image}</p>")
        parts += [
            "<h2>Columns</h2>",
            f"<table><tr><th>column</th><th class=text>used as</th></tr>{rows}</table>",
            "<h2>Model</h2>", f"<p>{escape(self.network_line())}; seed {self.model.network.seed}; "
            f"fastbp {__version__}</p>",
            f"<p>Next: <code>{escape(self.command)}</code></p>" if self.command else "",
        ]  # fmt: skip
        return (
            "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
            f"<title>{escape(self.heading())}</title><style>{_STYLE}</style></head><body>\n"
            + "\n".join(filter(None, parts))
            + "\n</body></html>\n"
        )


def aligned_left(rows: list[tuple[str, str]]) -> list[str]:
    width = max((len(name) for name, _ in rows), default=0)
    return [f"  {name:<{width}}  {what}" for name, what in rows]


def _listed(title: str, sentences: list[str]) -> str:
    items = "".join(f"<li>{escape(one)}</li>" for one in sentences)
    return f"<h2>{title}</h2><ul>{items}</ul>" if items else ""


def _table(rows: list[list[str]]) -> str:
    head, *body = [[escape(cell) for cell in row] for row in rows]
    lines = ["".join(f"<th>{cell}</th>" for cell in head)]
    lines += ["".join(f"<td>{cell}</td>" for cell in row) for row in body]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"

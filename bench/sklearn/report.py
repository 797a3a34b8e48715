"""`python -m bench.sklearn.report [--check]`: result.json into docs/from_scikit_learn.md."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from scipy.stats import ttest_rel

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "bench" / "sklearn" / "result.json"
PAGE = ROOT / "docs" / "from_scikit_learn.md"
BEGIN, END = "<!-- bench.sklearn: begin -->", "<!-- bench.sklearn: end -->"
LIBRARIES = ("scikit-learn", "fastbp")
DECIMALS = 4  # of a score: float32 rounds R^2 by some 1e-6, always to one side


def read() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8"))
    return found


def p_value(a: list[float], b: list[float]) -> float:
    """Of a paired two-sided t test; 1 where no pair differs."""
    return 1.0 if a == b else float(ttest_rel(a, b).pvalue)


def holm(p_values: list[float]) -> list[float]:
    """Corrected for their number, by Holm."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    found, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        found[i] = largest
    return found


def text(found: dict[str, Any]) -> str:
    """Both tables, with what they are of."""
    tables, grid = found["tables"], found["grid"]
    p_values = [p_value(*_scores(table)) for table in tables]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    n_seeds = len(tables[0]["score"]["fastbp"])
    lines = [
        f"{found['machine']['processor']}, one thread; {versions}; {n_seeds} seeds: mean and "
        "standard deviation of the score on a held-out quarter; p of a paired two-sided t test on "
        f"{DECIMALS} decimals, alone and by Holm; medians of the time of `fit`.",
        "",
        "| table | rows, features | score scikit-learn | score fastbp | p, Holm | "
        "fit scikit-learn | fit fastbp | times as fast |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for table, p, corrected in zip(tables, p_values, holm(p_values), strict=True):
        theirs, ours = (table["seconds"][library] for library in LIBRARIES)
        ratio = median(a / b for a, b in zip(theirs, ours, strict=True))
        cells = [
            table["name"], f"{table['rows']}, {table['features']}",
            *(f"{mean(score):.4f} ± {stdev(score):.4f}" for score in _scores(table)),
            f"{p:.2g}, {corrected:.2g}", _seconds(median(theirs)), _seconds(median(ours)),
            f"{ratio:.1f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    theirs, ours = (median(grid["seconds"][library]) for library in LIBRARIES)
    best = [f"{grid['best_score'][library]:.4f}" for library in LIBRARIES]
    lines += [
        "",
        f"`GridSearchCV(n_jobs=2)` over {grid['fits']} fits of wine (40 settings, 5 folds): "
        f"scikit-learn {theirs:.2f} s, fastbp {ours:.2f} s, {theirs / ours:.1f} times as fast; "
        f"best scores {best[0]} and {best[1]}.",
    ]
    return "\n".join(lines)


def _scores(table: dict[str, Any]) -> list[list[float]]:
    """Of both libraries, to as many digits as are told apart."""
    found = [table["score"][library] for library in LIBRARIES]
    return [[round(score, DECIMALS) for score in scores] for scores in found]


def _seconds(value: float) -> str:
    return f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.2f} s"


def with_tables(page: str, found: dict[str, Any]) -> str:
    """The page with these tables between its marks."""
    head, rest = page.split(BEGIN)
    return f"{head}{BEGIN}\n\n{text(found)}\n\n{END}{rest.split(END)[1]}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.sklearn.report", description=__doc__)
    parser.add_argument("--check", action="store_true", help="status 1 where a table is another")
    arguments = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    new = with_tables(page, read())
    if arguments.check:
        return int(new != page)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

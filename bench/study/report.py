"""`python -m bench.study.report [--check]`: summary.json into docs/defaults.md and the README."""

from __future__ import annotations

import argparse
import json
import math
import textwrap
from pathlib import Path
from typing import Any

from fastbp.benchmark.report import between_marks

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE, README = ROOT / "docs" / "defaults.md", ROOT / "README.md"
NAME = {"torch": "PyTorch", "keras": "Keras", "sklearn": "scikit-learn", "fastbp 0.1": "before"}
PEERS = ("torch", "keras", "sklearn")
SIGNIFICANT = 0.05


def generate(summary: dict[str, Any]) -> dict[Path, str]:
    """The text of each file with what `summary` says between its marks."""
    page = between_marks(PAGE.read_text(encoding="utf-8"), "study", tables(summary))
    readme = between_marks(README.read_text(encoding="utf-8"), "study", sentences(summary))
    return {PAGE: page, README: readme}


def sentences(summary: dict[str, Any]) -> str:
    """What the README says of the study."""
    confirm = [one for one in summary["sets"] if one["half"] == "confirm"]
    ratio = summary["halves"]["confirm"]
    worse = [
        f"{NAME[peer]}'s on {one['name']}"
        for peer in PEERS
        for one in confirm
        if is_worse(one["against"][peer])
    ]
    against = [f"{ratio[peer]:.2f} of {NAME[peer]}'s" for peer in PEERS]
    first = (
        f"At equal settings and each library's own initial values, fastbp's test losses on "
        f"{len(confirm)} data sets that had no part in choosing the defaults are "
        f"{', '.join(against[:-1])} and {against[-1]} (geometric means, {summary['seeds']} seeds)."
    )
    second = (
        "On none of the sets are they significantly larger than those of any of the three"
        if not worse
        else f"They are significantly larger than those of {' and '.join(worse)}"
    )
    text = f"{first} {second}: [docs/defaults.md](docs/defaults.md)."
    return textwrap.fill(text, 100, break_on_hyphens=False)


def is_worse(comparison: dict[str, float]) -> bool:
    return comparison["ratio"] > 1 and comparison["p"] < SIGNIFICANT


def tables(summary: dict[str, Any]) -> str:
    """All tables of the page."""
    parts = [
        *(set_table(summary, half) for half in ("confirm", "choose")),
        setting_table(summary),
        single_sentence(summary),
        dqn_table(summary),
        variant_table(summary),
        "Measured with " + ", ".join(summary["versions"][peer] for peer in PEERS) + ".",
    ]
    return "\n\n".join(parts)


def set_table(summary: dict[str, Any], half: str) -> str:
    title = {"confirm": "Confirming sets", "choose": "Sets the rule was chosen on"}[half]
    lines = [
        f"### {title}",
        "",
        "| set | training rows | inputs | classes | " + " | ".join(NAME.values()) + " |",
        "|---|---:|---:|---:|" + "---:|" * len(NAME),
    ]
    for one in summary["sets"]:
        if one["half"] == half:
            cells = [cell(one["against"][other]) for other in NAME]
            classes = one["classes"] or "-"
            lines.append(
                f"| {one['name']} | {one['rows']} | {one['features']} | {classes} | "
                + " | ".join(cells) + " |"
            )  # fmt: skip
    means = [f"{summary['halves'][half][other]:.3f}" for other in NAME]
    lines.append("| geometric mean |  |  |  | " + " | ".join(means) + " |")
    return "\n".join(lines)


def cell(comparison: dict[str, float]) -> str:
    """Ratio and p; what is significantly worse stands out."""
    p = comparison["p"]
    text = f"{comparison['ratio']:.3f} ({'<.0001' if p < 1e-4 else f'{p:.2g}'})"
    return f"**{text}**" if is_worse(comparison) else text


def setting_table(summary: dict[str, Any]) -> str:
    found = summary["settings_of_half"]
    columns = list(dict.fromkeys((one["hidden"], one["optimizer"]) for one in found))
    lines = [
        "### By activation, hidden layers and optimizer: against PyTorch, now (before)",
        "",
        "| activation | " + " | ".join(f"{hidden}, {own}" for hidden, own in columns) + " | all |",
        "|---|" + "---:|" * (len(columns) + 1),
    ]
    for activation in dict.fromkeys(one["activation"] for one in found):
        own = [one for one in found if one["activation"] == activation]
        cells = [f"{one['now']:.3f} ({one['before']:.3f})" for one in own]
        mean = [geometric_mean([one[name] for one in own]) for name in ("now", "before")]
        lines.append(f"| {activation} | {' | '.join(cells)} | {mean[0]:.3f} ({mean[1]:.3f}) |")
    return "\n".join(lines)


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def single_sentence(summary: dict[str, Any]) -> str:
    now, before = summary["single"]["fastbp"], summary["single"]["fastbp 0.1"]
    return (
        f"Of the {now['settings']} single settings of the confirming sets, the test loss is "
        f"significantly smaller than PyTorch's in {now['better']} and larger in {now['worse']} "
        f"(p < .05 after Holm); before, smaller in {before['better']} and larger in "
        f"{before['worse']}."
    )


def dqn_table(summary: dict[str, Any]) -> str:
    lines = [
        "### DQN on CartPole: return of the last 10 episodes of 15,000 steps",
        "",
        "| contestant | seeds | mean | standard deviation | p against PyTorch |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, one in summary["dqn"].items():
        p = f"{one['p']:.2g}" if "p" in one else "-"
        shown = {"torch": "PyTorch", "fastbp 0.1": "fastbp before"}.get(name, name)
        lines.append(
            f"| {shown} | {one['seeds']} | {one['mean']:.1f} | {one['deviation']:.1f} | {p} |"
        )
    return "\n".join(lines)


def variant_table(summary: dict[str, Any]) -> str:
    lines = [
        "### Other numbers in place of the defaults of Adam and of the batch size",
        "",
        "| in place of | test loss | smallest, largest of a set | sets better | sets worse |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, one in summary["variants"].items():
        span = f"{one['smallest']:.3f}, {one['largest']:.3f}"
        lines.append(f"| {name} | {one['ratio']:.3f} | {span} | {one['better']} | {one['worse']} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.study.report", description=__doc__)
    parser.add_argument("--check", action="store_true", help="status 1 where a file says other")
    arguments = parser.parse_args()
    wanted = generate(json.loads((HERE / "summary.json").read_text(encoding="utf-8")))
    if arguments.check:
        return int(any(path.read_text(encoding="utf-8") != text for path, text in wanted.items()))
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Rows as text for a terminal, and a result as Markdown for the README."""

from collections.abc import Callable, Sequence
from typing import Any

from fastbp.check.message import counted

Row = dict[str, Any]
STEP = "{:34} {:>3} {:17} {:>10} {:>10} {:>10} {:>8} {:>6} {:>8} {:>8} {:>8} {:>8}"
STEP_HEAD = STEP.format(
    "workload", "thr", "contestant", "us/step", "median", "samples/s", "GFLOP/s", "limit",
    "import s", "compile", "dev loss", "dev par",
)  # fmt: skip
RATIO = "{:34} {:>3} {:>10} {:>10} {:17} {:>7} {:>10} {:>7} {:>7} {:>6}"
RATIO_HEAD = RATIO.format(
    "workload", "thr", "fastbp us", "best us", "peer", "ratio", "PyTorch", "ratio", "NumPy", "limit"
)


def step_line(row: Row) -> str:
    start = [_name(row), row["threads"], row["contestant"]]
    if row["status"] != "ok":
        return f"{STEP.format(*start, *[''] * 9).rstrip()}  {row['status']}: {row['note']}"
    cells = [figure(row["us_min"]), figure(row["us_median"])]
    cells += [f"{row[name]:.3g}" for name in ("samples_per_s", "gflop_per_s")]
    cells += [_optional(row, name) for name in ("fraction", "import_s", "compile_s")]
    cells += [f"{row[name]:.0e}" for name in ("loss_deviation", "parameter_deviation")]
    return STEP.format(*start, *cells)


def ratio_line(row: Row) -> str:
    return RATIO.format(
        _name(row), row["threads"], figure(row["fastbp_us"]),
        figure(row["best_peer_us"]), row["best_peer"], _optional(row, "ratio"),
        _optional(row, "pytorch_us", figure), _optional(row, "pytorch_ratio"),
        _optional(row, "numpy_ratio"), _optional(row, "fraction"),
    )  # fmt: skip


def call_line(row: Row) -> str:
    start = f"{row['what']:34} {row['contestant']:28}"
    if row["status"] != "ok":
        return f"{start} {row['status']}: {row['note']}"
    times = f"{figure(row['us_min']):>10} us {figure(row['us_median']):>10} median"
    return f"{start}{times}  import {row['import_s']:.2f} s  dev {row['deviation']:.0e}"


def shuffle_line(row: Row) -> str:
    plain, shuffled = figure(row["us"]), figure(row["shuffled_us"])
    times = f"in order {plain:>8} us, shuffled {shuffled:>8} us a step"
    return f"{_name(row):34} {times}: {row['ratio']:.3f}"


def memory_line(row: Row) -> str:
    kind = "shuffled" if row["shuffle"] else "in order"
    return (
        f"fit of {row['rows']} x {row['columns']} float32, {kind}: "
        f"{row['peak_bytes'] / 1e6:.2f} MB beyond the arrays given"
    )


def start_line(row: Row) -> str:
    return (
        f"import fastbp {row['import_ms_min']:.1f} ms beyond NumPy (median "
        f"{row['import_ms_median']:.1f}), first fit {row['fit_ms_min']:.2f} ms (median "
        f"{row['fit_ms_median']:.2f})"
    )


def machine_lines(machine: Row) -> list[str]:
    lines = [_machine(machine)]
    for dtype, c in machine["constants"].items():
        levels = zip(("L1", "L2", "L3", "memory"), c["read"], c["rewrite"], strict=True)
        rates = [f"{name} {1e-9 * read:.0f}/{1e-9 * both:.0f}" for name, read, both in levels]
        lines.append(
            f"{dtype}: {2e-9 * c['lanes'] * c['fma_per_s']:.0f} GFLOP/s a core at "
            f"{1e-9 * machine['clock_hz']:.2f} GHz; {1e-9 / c['divide_s']:.2f} G vector quotients "
            f"a second, {1e-9 / c['quotient_s']:.2f} with square root; GB/s read/rewritten "
            + ", ".join(rates)
        )
    return lines


def markdown(result: Row) -> str:
    """A row for every workload and number of threads, the losing ones too."""
    lines = [
        "| workload | batch | threads | fastbp us | best peer | us | ratio | PyTorch us | ratio "
        "| of the limit |",
        "|---|---:|---:|---:|---|---:|---:|---:|---:|---:|",
    ]
    for row in sorted(result["ratios"], key=lambda row: row["threads"]):
        cells = [
            row["workload"], row["batch_size"], row["threads"], figure(row["fastbp_us"]),
            row["best_peer"], figure(row["best_peer_us"]), _optional(row, "ratio"),
            _optional(row, "pytorch_us", figure), _optional(row, "pytorch_ratio"),
            _optional(row, "fraction"),
        ]  # fmt: skip
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    settings, machine = result["settings"], result["machine"]
    versions = sorted({row["version"] for row in result["steps"] if "version" in row})
    lines += [
        "",
        f"Microseconds per training step, {settings['dtype']}, minimum of {settings['rounds']} "
        "rounds in turns; ratio = the peer's time / fastbp's, below 1 where fastbp loses.",
        f"{result['date']}, {_machine(machine)}, Python {machine['python']}; "
        f"{', '.join(versions)}.",
        *_markdown_calls(result.get("calls", [])),
    ]
    if result.get("shuffle"):
        worst = max(result["shuffle"], key=lambda row: row["ratio"])
        cost = f"{100 * (worst['ratio'] - 1):.0f} % of a step"
        lines += ["", f"Shuffling costs {cost} at most, at {_name(worst)}."]
    lines += [memory_line(row) + "." for row in result.get("memory", ())]
    lines += [start_line(row) + "." for row in result.get("start", ())]
    return "\n".join(lines)


def _name(row: Row) -> str:
    return f"{row['workload']}, batch {row['batch_size']}"


def _machine(machine: Row) -> str:
    processors = counted(machine["processors"], "processor")
    return f"{machine['processor']}, {processors}, {machine['system']}"


def _markdown_calls(rows: Sequence[Row]) -> list[str]:
    """Single calls, the fastest first."""
    timed = [row for row in rows if row["status"] == "ok"]
    lines = ["", "| call | of | us |", "|---|---|---:|"] if timed else []
    for what in dict.fromkeys(row["what"] for row in timed):
        alike = [row for row in timed if row["what"] == what]
        for row in sorted(alike, key=lambda row: row["us_min"]):
            lines.append(f"| {what} | {row['contestant']} | {figure(row['us_min'])} |")
    return lines


def figure(microseconds: float) -> str:
    """Three digits, more where there are more before the point."""
    return f"{microseconds:.0f}" if microseconds >= 100 else f"{microseconds:.3g}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value < 10 else figure(value)


def _optional(row: Row, name: str, form: Callable[[float], str] = _ratio) -> str:
    return form(row[name]) if name in row else ""

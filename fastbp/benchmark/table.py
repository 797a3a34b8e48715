"""Rows as text for a terminal, and a result as Markdown for the README."""

from collections.abc import Callable, Sequence
from typing import Any

from fastbp.benchmark import sweep
from fastbp.benchmark.run import BESIDE
from fastbp.check.message import counted

Row = dict[str, Any]
STEP = "{:34} {:>3} {:17} {:>10} {:>10} {:>10} {:>8} {:>6} {:>8} {:>8} {:>8} {:>8}"
STEP_HEAD = STEP.format(
    "workload", "thr", "contestant", "us/step", "median", "samples/s", "GFLOP/s", "limit",
    "import s", "compile", "dev loss", "dev par",
)  # fmt: skip
RATIO = "{:34} {:>3} {:>10} {:>10} {:17} {:>7} {:>10} {:>7} {:>7} {:>7} {:>7} {:>6}"
RATIO_HEAD = RATIO.format(
    "workload", "thr", "fastbp us", "best us", "peer", "ratio",
    "PyTorch", "ratio", "Eigen", "by hand", "NumPy", "limit",
)  # fmt: skip


RANDOM = "{:>4} {:56} {:>6} {:8} {:>10} {:>10} {:>10} {:>7} {:>6} {:11}"
RANDOM_HEAD = RANDOM.format(
    "", "workload", "batch", "type", "fastbp us", "JAX", "PyTorch", "ratio", "limit", "bound"
)
NO_TIME = "-"
PARTS_BESIDE = {"pytorch": "PyTorch", "jax": "JAX"}
QUANTILES = ("least", "10 %", "median", "90 %")


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
        *(_optional(row, f"{name}_ratio") for name in ("eigen", "by_hand", "numpy")),
        _optional(row, "fraction"),
    )  # fmt: skip


def call_line(row: Row) -> str:
    start = f"{row['what']:38} {row['threads']:3} {row['contestant']:28}"
    if row["status"] != "ok":
        return f"{start} {row['status']}: {row['note']}"
    times = f"{figure(row['us_min']):>10} us {figure(row['us_median']):>10} median"
    return f"{start}{times}  import {row['import_s']:.2f} s  dev {row['deviation']:.0e}"


def part_line(row: Row) -> str:
    cells = [_name(row), f"fastbp {_optional(row, 'fastbp_us', figure) or NO_TIME:>8} us"]
    for key, name in PARTS_BESIDE.items():
        us, ratio = _optional(row, f"{key}_us", figure), _optional(row, f"{key}_ratio")
        cells.append(f"{name} {us or NO_TIME:>8} {ratio or NO_TIME:>5}")
    start = "{:50} {}  {}  {}".format(*cells)
    return f"{start}  {row.get('note', '')}".rstrip()


def random_line(row: Row) -> str:
    times = [
        _optional(row, f"{name}_us", figure) or NO_TIME for name in ("fastbp", "jax", "pytorch")
    ]
    cells = [_optional(row, name) or NO_TIME for name in ("ratio", "fraction")]
    start = RANDOM.format(
        row["index"], row["workload"], row["batch_size"], row["dtype"], *times, *cells, row["bound"]
    )
    return f"{start} {row.get('note', '')}".rstrip()


def random_summary(rows: Sequence[Row]) -> list[str]:
    """Quantiles by class, then the ten worst."""
    form = "{:38} {:>4} {:>8} {:>7} {:>7} {:>7} {:>7} {:>12} {:>7} {:>7} {:>7}"
    lines = [form.format("", "n", "below 1", *QUANTILES, "limit least", *QUANTILES[1:])]
    for name, cells in _quantile_rows(rows):
        lines.append(form.format(name, *cells))
    worst = [random_line(row) for row in sweep.worst(rows)]
    return [*lines, "", "the worst", RANDOM_HEAD, *worst, *_untimed(rows)]


def _quantile_rows(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """Of each class that has rows: how many, how many behind the best peer, ratios, fractions."""
    found = []
    for name, alike in sweep.groups(rows):
        if alike:
            cells = [str(len(alike)), str(sum(row["ratio"] < 1 for row in alike))]
            for column in ("ratio", "fraction"):
                cells += [_ratio(value) for value in sweep.quantiles(alike, column)]
            found.append((name, cells))
    return found


def _untimed(rows: Sequence[Row]) -> list[str]:
    """Those without a ratio, and why."""
    without = [row for row in rows if "ratio" not in row]
    return [f"no ratio: {row['index']} {_name(row)}: {row.get('note', '')}" for row in without]


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
        levels = zip(c["footprints"], c["read"], c["rewrite"], strict=True)
        rates = [f"{size(n)} {1e-9 * read:.0f}/{1e-9 * both:.0f}" for n, read, both in levels]
        lines.append(
            f"{dtype}: {2e-9 * c['lanes'] * c['fma_per_s']:.0f} GFLOP/s a core at "
            f"{1e-9 * machine['clock_hz']:.2f} GHz; {1e-9 / c['divide_s']:.2f} G vector quotients "
            f"a second, {1e-9 / c['quotient_s']:.2f} with square root; GB/s read/rewritten of "
            + ", ".join(rates)
        )
    return lines


def markdown(result: Row) -> str:
    """A row for every workload and number of threads, the losing ones too."""
    settings, machine = result["settings"], result["machine"]
    versions = sorted({row["version"] for row in result["steps"] if "version" in row})
    lines = [
        *_markdown_ratios(result["ratios"]),
        "",
        f"Microseconds per training step, {settings['dtype']}, minimum of {settings['rounds']} "
        "rounds in turns; ratio = the peer's time / fastbp's, below 1 where fastbp loses.",
        f"{result['date']}, {_machine(machine)}, Python {machine['python']}; "
        f"{', '.join(versions)}.",
        *_markdown_calls(result.get("calls", [])),
        *_markdown_parts(result.get("parts", [])),
    ]
    if result.get("shuffle"):
        worst = max(result["shuffle"], key=lambda row: row["ratio"])
        cost = f"{100 * (worst['ratio'] - 1):.0f} % of a step"
        lines += ["", f"Shuffling costs {cost} at most, at {_name(worst)}."]
    lines += [memory_line(row) + "." for row in result.get("memory", ())]
    lines += [start_line(row) + "." for row in result.get("start", ())]
    return "\n".join(lines)


def markdown_short(result: Row) -> str:
    """What a newcomer reads: one core, the best peer and PyTorch."""
    rows = [row for row in result["ratios"] if row["threads"] == 1]
    head = ["workload", "batch", "fastbp us", "best peer", "us", "ratio", "PyTorch us", "ratio"]
    lines = _markdown_head(head, names=1)
    for row in rows:
        lines.append(_markdown_row([
            row["workload"], row["batch_size"], figure(row["fastbp_us"]),
            row["best_peer"], figure(row["best_peer_us"]), _optional(row, "ratio"),
            _optional(row, "pytorch_us", figure), _optional(row, "pytorch_ratio"),
        ]))  # fmt: skip
    return "\n".join([
        *lines, "",
        f"Microseconds per training step, {result['settings']['dtype']}; ratio = the peer's time / "
        "fastbp's, below 1 where fastbp loses.",
        f"{result['date']}, {_machine(result['machine'])}, Python {result['machine']['python']}.",
    ])  # fmt: skip


def markdown_random(random: Row) -> str:
    """The quantiles of random workloads by class, and the ten worst of them."""
    rows, about = random["rows"], random["settings"]
    head = ["", "n", "behind", *QUANTILES, *(f"limit, {name}" for name in QUANTILES)]
    lines = [*_markdown_head(head, names=1)]
    lines += [_markdown_row([name, *cells]) for name, cells in _quantile_rows(rows)]
    lines += [
        "",
        f"The first {len(rows)} workloads of seed {random['seed']}, one thread, minimum of "
        f"{about['rounds']} rounds: quantiles of the best peer's time / fastbp's, how many are "
        f"below 1, and of the fraction of the limit. {random['date']}; "
        f"{', '.join(random['versions'])}. The ten worst:",
        "",
        *_markdown_head(
            ["workload", "batch", "type", "fastbp us", "best peer", "us", "ratio", "of the limit",
             "bound"], names=1,
        ),
    ]  # fmt: skip
    for row in sweep.worst(rows):
        peer = f"{row['best_peer'].lower()}_us"
        cells = [row["workload"], row["batch_size"], row["dtype"], figure(row["fastbp_us"])]
        cells += [row["best_peer"], figure(row[peer]), _ratio(row["ratio"])]
        lines.append(_markdown_row([*cells, _ratio(row["fraction"]), row["bound"]]))
    untimed = _untimed(rows)
    return "\n".join([*lines, *([""] if untimed else []), *untimed])


def _markdown_ratios(rows: Sequence[Row]) -> list[str]:
    """A row of the table each; a peer has columns where it has a time in one of them."""
    beside = [
        (key, name)
        for key, name in BESIDE.items()
        if key != "numpy" and any(f"{key}_us" in row for row in rows)
    ]
    head = ["workload", "batch", "threads", "fastbp us", "best peer", "us", "ratio"]
    for _, name in beside:
        head += [f"{name} us", "ratio"]
    lines = _markdown_head([*head, "of the limit"], names=1)
    for row in sorted(rows, key=lambda row: row["threads"]):
        cells = [
            row["workload"], row["batch_size"], row["threads"], figure(row["fastbp_us"]),
            row["best_peer"], figure(row["best_peer_us"]), _optional(row, "ratio"),
        ]  # fmt: skip
        for key, _ in beside:
            cells += [_optional(row, f"{key}_us", figure), _optional(row, f"{key}_ratio")]
        lines.append(_markdown_row([*cells, _optional(row, "fraction")]))
    return lines


def _markdown_head(names_of_columns: Sequence[str], *, names: int) -> list[str]:
    """The head of a table; columns of words to the left, the others to the right."""
    words = {"best peer", "bound", "type", *names_of_columns[:names]}
    rule = ["---" if name in words else "---:" for name in names_of_columns]
    return [_markdown_row(names_of_columns), "|" + "|".join(rule) + "|"]


def _markdown_row(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _name(row: Row) -> str:
    return f"{row['workload']}, batch {row['batch_size']}"


def _machine(machine: Row) -> str:
    processors = counted(machine["processors"], "processor")
    return f"{machine['processor']}, {processors}, {machine['system']}"


def _markdown_calls(rows: Sequence[Row]) -> list[str]:
    """Microseconds of single calls: a table of outputs and one of steps, a column for each way."""
    lines: list[str] = []
    timed = [row for row in rows if row["status"] == "ok"]
    for kind in dict.fromkeys(row["what"].split()[0] for row in timed):
        alike = [row for row in timed if row["what"].startswith(kind)]
        columns = list(dict.fromkeys(row["contestant"] for row in alike))
        lines += ["", *_markdown_head(["call, us", "threads", *columns], names=1)]
        for what, threads in dict.fromkeys((row["what"], row["threads"]) for row in alike):
            times = {
                row["contestant"]: figure(row["us_min"])
                for row in alike
                if (row["what"], row["threads"]) == (what, threads)
            }
            lines.append(_markdown_row([what, threads, *(times.get(name, "") for name in columns)]))
    return lines


def _markdown_parts(rows: Sequence[Row]) -> list[str]:
    """Further layers and optimizers; of a row without a time, what the contestant said."""
    if not rows:
        return []
    head = ["further layers and optimizers, one thread", "batch", "fastbp us"]
    for name in PARTS_BESIDE.values():
        head += [f"{name} us", "ratio"]
    lines = ["", *_markdown_head(head, names=1)]
    for row in rows:
        cells = [row["workload"], row["batch_size"], _optional(row, "fastbp_us", figure)]
        for key in PARTS_BESIDE:
            cells += [_optional(row, f"{key}_us", figure), _optional(row, f"{key}_ratio")]
        lines.append(_markdown_row(cells))
    notes = dict.fromkeys(f"{_name(row)}: {row['note']}." for row in rows if "note" in row)
    return [*lines, *([""] if notes else []), *notes]


def size(n_bytes: int) -> str:
    """As "24 KB" or "16 MB"."""
    return f"{n_bytes >> 20} MB" if n_bytes >= 2**20 else f"{n_bytes >> 10} KB"


def figure(microseconds: float) -> str:
    """Three digits, more where there are more before the point."""
    return f"{microseconds:.0f}" if microseconds >= 100 else f"{microseconds:.3g}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value < 10 else figure(value)


def _optional(row: Row, name: str, form: Callable[[float], str] = _ratio) -> str:
    return form(row[name]) if name in row else ""

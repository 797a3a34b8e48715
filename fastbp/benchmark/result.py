"""All sections of a run, as one document."""

import dataclasses
import datetime
import json
from collections.abc import Callable, Sequence
from typing import Any

from fastbp.benchmark import call, fresh, part, run, sweep, table
from fastbp.benchmark.contestant import Contestant
from fastbp.benchmark.machine import Probe, describe
from fastbp.benchmark.workload import Workload

SCHEMA = 1


def measure(
    sections: Sequence[str],
    workloads: Sequence[Workload],
    contestants: Sequence[Contestant],
    threads: Sequence[int],
    settings: run.Settings,
    *,
    show: Callable[[str], None],
) -> dict[str, Any]:
    """The result, as schema.json describes it; `show` gets each line as soon as it is known.

    The roofline's constants are the best of probes before and after all the rest.
    """
    probe = Probe()
    probe.run()
    result = empty(settings)
    if "steps" in sections:
        show(table.STEP_HEAD)
        limits = probe.constants().get(settings.dtype)
        for row in run.step_rows(workloads, contestants, threads, settings):
            run.add_limits([row], workloads, limits)
            result["steps"].append(row)
            show(table.step_line(row))
    for name, rows, line in (
        ("calls", call.call_rows(settings, threads), table.call_line),
        ("parts", part.part_rows(settings), table.part_line),
        ("shuffle", call.shuffle_rows(workloads, settings), table.shuffle_line),
        ("memory", fresh.memory_rows(), table.memory_line),
        ("start", fresh.start_rows(), table.start_line),
    ):
        if name in sections:
            show("")
            for row in rows:
                result[name].append(row)
                show(line(row))
    probe.run()
    constants = probe.constants()
    result["machine"] |= {
        "clock_hz": probe.clock(),
        "constants": {dtype: dataclasses.asdict(one) for dtype, one in constants.items()},
    }
    run.add_limits(result["steps"], workloads, constants.get(settings.dtype))
    result["ratios"] = run.ratios(result["steps"])
    if any(row.get("fraction", 0.0) > 1 for row in result["steps"]):
        show("\na step took less than its limit: the roofline's model or constants are wrong")
    show("\n".join(["", *table.machine_lines(result["machine"])]))
    if result["ratios"]:
        show("\n".join(["", table.RATIO_HEAD, *map(table.ratio_line, result["ratios"])]))
    return result


def measure_random(
    previous: dict[str, Any] | None,
    count: int,
    seed: int,
    settings: run.Settings,
    *,
    minutes: float,
    show: Callable[[str], None],
    save: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """`previous` with the section "random", or a result of nothing else; see `sweep.measure`.

    Raises ValueError where `previous` is of another processor.
    """
    result = previous or empty(settings)
    here, there = describe()["processor"], result["machine"]["processor"]
    if here != there:
        raise ValueError(f"that result is of another processor: {there}")
    show(table.RANDOM_HEAD)
    found = sweep.measure(
        result.get("random", {}), count, seed, settings, minutes=minutes,
        show=lambda row: show(table.random_line(row)),
        save=lambda random: save(result | {"random": random}),
    )  # fmt: skip
    rows = found["rows"]
    missing = count - sum(row["index"] < count for row in rows)
    if missing:
        show(f"\n{missing} of {count} are left: the same command with --json goes on with them")
    show("\n".join(["", *table.random_summary(rows)]))
    return result | {"random": found}


def empty(settings: run.Settings) -> dict[str, Any]:
    """A result without a row, and without what is measured of the machine."""
    return {
        "schema": SCHEMA,
        "date": datetime.date.today().isoformat(),
        "machine": describe() | {"clock_hz": 0.0, "constants": {}},
        "settings": dataclasses.asdict(settings),
        **{
            name: [] for name in ("steps", "ratios", "calls", "parts", "shuffle", "memory", "start")
        },
    }


def to_text(result: dict[str, Any]) -> str:
    """JSON with a line for each row."""
    return _text(result) + "\n"


def _text(value: dict[str, Any]) -> str:
    entries = []
    for name, entry in value.items():
        text = _text(entry) if name == "random" else json.dumps(entry)
        if isinstance(entry, list) and entry and isinstance(entry[0], dict):
            text = "[\n" + ",\n".join(json.dumps(row) for row in entry) + "\n]"
        entries.append(f"{json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(entries) + "\n}"

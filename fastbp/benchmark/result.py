"""All sections of a run, as one document."""

import dataclasses
import datetime
import json
from collections.abc import Callable, Sequence
from typing import Any

from fastbp.benchmark import call, fresh, run, table
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
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "date": datetime.date.today().isoformat(),
        "machine": describe(),
        "settings": dataclasses.asdict(settings),
        **{name: [] for name in ("steps", "ratios", "calls", "shuffle", "memory", "start")},
    }
    if "steps" in sections:
        show(table.STEP_HEAD)
        limits = probe.constants().get(settings.dtype)
        for row in run.step_rows(workloads, contestants, threads, settings):
            run.add_limits([row], workloads, limits)
            result["steps"].append(row)
            show(table.step_line(row))
    for name, rows, line in (
        ("calls", call.call_rows(settings), table.call_line),
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


def to_text(result: dict[str, Any]) -> str:
    """JSON with a line for each row."""
    parts = []
    for name, value in result.items():
        text = json.dumps(value)
        if isinstance(value, list) and value:
            text = "[\n" + ",\n".join(json.dumps(row) for row in value) + "\n]"
        parts.append(f"{json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"

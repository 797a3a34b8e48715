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


@dataclasses.dataclass(frozen=True)
class Choice:
    """What is asked for."""

    sections: Sequence[str]
    workloads: Sequence[Workload]
    contestants: Sequence[Contestant]
    threads: Sequence[int]
    settings: run.Settings


def measure(choice: Choice, *, show: Callable[[str], None]) -> dict[str, Any]:
    """The result, as schema.json describes it; `show` gets each line as soon as it is known.

    The roofline's constants are the best of probes before and after all the rest.
    """
    probe, settings = Probe(), choice.settings
    probe.run()
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "date": datetime.date.today().isoformat(),
        "machine": describe() | _constants(probe),
        "settings": dataclasses.asdict(settings),
        **{name: [] for name in ("steps", "ratios", "calls", "shuffle", "memory", "start")},
    }
    if "steps" in choice.sections:
        show(table.STEP_HEAD)
        result["steps"] = run.step_rows(
            choice.workloads,
            choice.contestants,
            threads=choice.threads,
            settings=settings,
            limits=probe.constants().get(settings.dtype),
            show=lambda row: show(table.step_line(row)),
        )
    if "calls" in choice.sections:
        show("")
        result["calls"] = call.call_rows(settings, lambda row: show(table.call_line(row)))
    if "shuffle" in choice.sections:
        show("")
        result["shuffle"] = call.shuffle_rows(
            choice.workloads, settings, lambda row: show(table.shuffle_line(row))
        )
    if "memory" in choice.sections:
        show("")
        result["memory"] = fresh.memory_rows()
        show(table.lines(result["memory"], table.memory_line))
    if "start" in choice.sections:
        result["start"] = [fresh.start_row()]
        show(table.lines(result["start"], table.start_line))
    probe.run()
    result["machine"] |= _constants(probe)
    constants = probe.constants().get(settings.dtype)
    run.add_limits(result["steps"], choice.workloads, constants)
    result["ratios"] = run.ratios(result["steps"])
    if any(row.get("fraction", 0.0) > 1 for row in result["steps"]):
        show("\na step took less than its limit: the roofline's model or constants are wrong")
    show("\n".join(["", *table.machine_lines(result["machine"])]))
    if result["ratios"]:
        show(f"\n{table.RATIO_HEAD}\n{table.lines(result['ratios'], table.ratio_line)}")
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


def _constants(probe: Probe) -> dict[str, Any]:
    found = {name: dataclasses.asdict(one) for name, one in probe.constants().items()}
    return {"clock_hz": probe.clock(), "constants": found}

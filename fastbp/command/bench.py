"""`fastbp bench`: training steps of fastbp and of other libraries."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastbp.check.message import counted
from fastbp.command.option import add_value, integer, positive

if TYPE_CHECKING:
    from fastbp.benchmark.run import Settings

SECTIONS = ("steps", "calls", "parts", "shuffle", "memory", "start")
PROCESSORS = 2  # threads of a run where nothing else is asked for, as far as there are processors


def add_parser(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subcommands.add_parser(
        "bench",
        help="time training steps, beside every peer that is installed",
        description="Train the same networks with each build of fastbp and with each peer that is "
        "installed, compare the answers with a float64 oracle, then time them in turns, each in a "
        "process of its own. A peer that is missing or computes something else is a row without "
        "times. Where to get the peers: bench/README.md in the repository.",
    )
    some = f"only some of {', '.join(SECTIONS)}"
    parser.add_argument(
        "--section", nargs="+", choices=SECTIONS, default=SECTIONS, metavar="S", help=some
    )
    begins = "only those whose name begins so; may be repeated"
    add_value(parser, "--workload", "NAME", begins, action="append")
    parser.add_argument("--all", action="store_true", help="the further workloads too")
    only = "only these; 'all' for the slow start of PyTorch compiled too"
    add_value(parser, "--contestant", "NAME", only, action="append")
    pinned = f"pinned to so many processors (default: 1 {PROCESSORS})"
    add_value(parser, "--threads", "N", pinned, type=integer(minimum=1), nargs="+")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument(
        "--optimizer", choices=["adam", "sgd"], help="instead of that of each workload"
    )
    rounds = "timed calls of each contestant"
    add_value(parser, "--rounds", "N", rounds, type=integer(minimum=1), default=7)
    add_value(parser, "--seconds", "S", "about what one of them takes", type=positive, default=0.1)
    random = "instead: N random workloads beside JAX and PyTorch, one thread, both types; a --json "
    random += "file keeps what it has, and a further run goes on"
    add_value(parser, "--random", "N", random, type=integer(minimum=1))
    add_value(parser, "--seed", "S", "of them", type=integer(minimum=0), default=0)
    about = "begin no random workload after so many"
    add_value(parser, "--minutes", "M", about, type=positive, default=10.0)
    written = "write the result, as fastbp/benchmark/schema.json describes it"
    add_value(parser, "--json", "FILE", written, type=Path)
    printed = "run nothing: print the README's table of such a result"
    add_value(parser, "--report", "FILE", printed, type=Path)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from fastbp.benchmark import contestant, table, workload
    from fastbp.benchmark.result import measure, to_text
    from fastbp.benchmark.run import Settings

    if arguments.report:
        result = _read(arguments.report)
        try:
            print(table.markdown(result))
        except (KeyError, TypeError):
            raise _not_a_result(arguments.report) from None
        return 0
    available = len(contestant.processors()) or PROCESSORS
    threads = arguments.threads or list(range(1, min(PROCESSORS, available) + 1))
    if max(threads) > available:
        may_use = counted(available, "processor")
        raise ValueError(f"--threads {max(threads)}: this process may use {may_use}")
    if arguments.json and not arguments.json.resolve().parent.is_dir():
        raise FileNotFoundError(f"--json {arguments.json}: there is no such folder")
    if arguments.json and arguments.json.is_dir():
        raise IsADirectoryError(f"--json {arguments.json}: this is a folder")
    previous = _read(arguments.json) if arguments.json and arguments.json.exists() else None
    settings = Settings(arguments.rounds, arguments.seconds, arguments.dtype)
    if arguments.random:
        return _run_random(arguments, previous, settings)
    result = measure(
        arguments.section,
        workload.select(arguments.workload, arguments.all, arguments.optimizer, arguments.dtype),
        contestant.select(arguments.contestant),
        list(dict.fromkeys(threads)),
        settings,
        show=_show,
    )
    if previous and "random" in previous and _processor(previous) == _processor(result):
        result["random"] = previous["random"]
    if arguments.json:
        arguments.json.write_text(to_text(result), encoding="utf-8")
    return 0


def _run_random(
    arguments: argparse.Namespace, previous: dict[str, Any] | None, settings: "Settings"
) -> int:
    from fastbp.benchmark.result import measure_random, to_text

    def save(result: dict[str, Any]) -> None:
        if arguments.json:
            arguments.json.write_text(to_text(result), encoding="utf-8")

    measure_random(
        previous, arguments.random, arguments.seed, settings, minutes=arguments.minutes,
        show=_show, save=save,
    )  # fmt: skip
    return 0


def _show(line: str) -> None:
    print(line, flush=True)


def _processor(result: dict[str, Any]) -> str:
    return str(result["machine"]["processor"])


def _read(path: Path) -> dict[str, Any]:
    """What `--json` wrote there, as far as can be seen."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        _processor(found)
    except (ValueError, KeyError, TypeError):
        raise _not_a_result(path) from None
    return dict(found)


def _not_a_result(path: Path) -> ValueError:
    return ValueError(f"{path} is no result of fastbp bench --json")

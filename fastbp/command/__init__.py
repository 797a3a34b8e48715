"""The command line: `fastbp info | examples | demo | train | predict | inspect | bench`, a module
for each.

A subcommand's module has `add_parser(subcommands)` and `run(arguments) -> int`. What a user can get
wrong raises ValueError, OSError or ImportError; `main` turns these into one line on stderr and the
exit code 2 which argparse uses too. What fails without that is one line too, and the exit code 1.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from fastbp.command import bench, demo, examples, info, inspect, predict, train
from fastbp.error import DivergenceError
from fastbp.version import __version__

USAGE_ERROR = 2
FAILURE = 1
INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (None: the process's own) and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("\nfastbp: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader left (`fastbp ... | head`). Python's own flush at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except DivergenceError as error:
        print(f"fastbp: {error} (a smaller --learning-rate may help)", file=sys.stderr)
        return FAILURE
    except (ValueError, OSError, ImportError, MemoryError) as error:
        print(f"fastbp: error: {_describe(error)}", file=sys.stderr)
        return FAILURE if isinstance(error, ChildProcessError) else USAGE_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastbp", description="Dense neural networks, trained in compiled code."
    )
    parser.add_argument("--version", action="version", version=f"fastbp {__version__}")
    subcommands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (info, examples, demo, train, predict, inspect, bench):
        module.add_parser(subcommands)
    return parser


def _describe(error: BaseException) -> str:
    """The message of an error; of an OSError the file and the reason, without its number."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
        return where + error.strerror
    return str(error) or type(error).__name__

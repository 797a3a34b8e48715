"""The command line: one module for each of `fastbp`'s commands.

A command's module has `add_parser(subcommands)` and `run(arguments) -> int`.  What a user can get
wrong raises ValueError, OSError or ImportError; `main` turns these into one line on stderr and the
exit code 2 which argparse uses too.  What fails without that is one line too, and the exit code 1.
"""

import argparse
import os
from collections.abc import Sequence
from typing import NoReturn

from fastbp.command import (
    bench,
    completion,
    demo,
    evaluate,
    examples,
    info,
    inspect,
    output,
    plot_history,
    predict,
    train,
)
from fastbp.error import DivergenceError
from fastbp.version import __version__

COMMANDS = (
    train, predict, evaluate, inspect, plot_history, demo, examples, info, bench, completion,
)  # fmt: skip
USAGE_ERROR = 2
FAILURE = 1
INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (None: the process's own) and return its exit code."""
    parser = _parser()
    completion.complete(parser)
    try:
        with output.guarded():
            arguments = parser.parse_args(argv)
            code: int = arguments.run(arguments)
        return code
    except KeyboardInterrupt:
        output.note("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader left (`fastbp ... | head`)
        output.abandon_output()
        return FAILURE
    except DivergenceError as error:
        output.note(f"{error} (a smaller --learning-rate may help)")
        return FAILURE
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        output.note(f"error: {_describe(error)}")
        if isinstance(error, OSError):
            output.abandon_output()  # which may be what is full
        return FAILURE if isinstance(error, ChildProcessError) else USAGE_ERROR


class _Parser(argparse.ArgumentParser):
    """One whose errors are one line, those of its subcommands too."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_ERROR, f"{self.prog}: error: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="fastbp", description="Dense neural networks, trained in compiled code.")
    parser.add_argument("--version", action="version", version=f"fastbp {__version__}")
    subcommands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add_parser(subcommands)
    return parser


def _describe(error: BaseException) -> str:
    """The message of an error, in one line; of an OSError the file and the reason, without its
    number.
    """
    if isinstance(error, UnicodeEncodeError):
        character = error.object[error.start]
        return (
            f"standard output cannot encode {ascii(character)} ({error.encoding}): pass --output, "
            "or set PYTHONIOENCODING=utf-8"
        )
    if isinstance(error, OSError) and error.strerror:
        where = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
        return where + error.strerror
    return " ".join(str(error).split()) or type(error).__name__

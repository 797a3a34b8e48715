"""`fastbp completion`: commands and options at the press of Tab."""

import argparse
import os

from fastbp.check.extra import missing_extra

SHELLS = ("bash", "zsh", "fish")


def add_parser(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subcommands.add_parser(
        "completion",
        help="print what makes a shell complete commands and options",
        description="For bash: eval \"$(fastbp completion bash)\"; put that line in ~/.bashrc. "
        "Likewise for zsh; for fish: fastbp completion fish > "
        "~/.config/fish/completions/fastbp.fish. Needs argcomplete (extra completion).",
    )  # fmt: skip
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    try:
        import argcomplete
    except ImportError as error:
        raise missing_extra("completion", "argcomplete", "completion") from error
    print(argcomplete.shellcode(["fastbp"], shell=arguments.shell))
    return 0


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks, and end; return to a user who runs a command."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)

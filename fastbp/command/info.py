"""`fastbp info`: what runs here."""

import argparse

from fastbp.command.option import add_json
from fastbp.command.output import show_json


def add_parser(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subcommands.add_parser(
        "info", help="version, backend, instruction set, threads and build"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    import fastbp

    if arguments.json:
        show_json(fastbp.show_config("dict"))
    else:
        fastbp.show_config()
    return 0

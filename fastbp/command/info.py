"""`fastbp info`: what runs here."""

import argparse


def add_parser(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subcommands.add_parser(
        "info", help="version, backend, instruction set, threads and build"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    import fastbp

    fastbp.show_config()
    return 0

"""`fastbp examples`: solutions worked by hand, beside the numbers of the engine."""

import argparse

from fastbp.command.option import add_backend, add_json
from fastbp.command.output import show_json


def add_parser(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subcommands.add_parser(
        "examples",
        help="five networks trained by hand, checked against the engine",
        description="Without a NAME, list the examples.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="the example to train")
    add_backend(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from fastbp import examples
    from fastbp.examples import table

    if arguments.name is None and arguments.json:
        show_json({name: examples.load(name).title for name in examples.names()})
        return 0
    if arguments.name is None:
        for name in examples.names():
            print(f"{name:<24}  {examples.load(name).title}")
        return 0
    if arguments.name not in examples.names():
        raise ValueError(f"no example {arguments.name!r}; there are {', '.join(examples.names())}")
    example = examples.load(arguments.name, backend=arguments.backend)
    if arguments.json:
        rows = [row._asdict() for row in example.run()]
        show_json({"name": example.name, "title": example.title, "rows": rows})
    else:
        print(table.render(example))
    return 0

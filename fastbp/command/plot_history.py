"""`fastbp plot-history`: the losses and metrics of a training as a picture."""

import argparse
import csv
import json
import os
from typing import Any

from fastbp.check.extra import missing_extra
from fastbp.command import option
from fastbp.command.output import show_json
from fastbp.error import ModelFormatError
from fastbp.history import History
from fastbp.storage.checkpoint import check_destination


def add_parser(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subcommands.add_parser(
        "plot-history",
        help="draw the losses and metrics of each epoch",
        description="Of a model's file, of the CSV file of fb.CSVLogger, or of JSON: what "
        "`fastbp train --json` prints, or an object of lists, name by name.",
    )
    parser.add_argument("source", metavar="FILE", help="model.npz, history.csv or history.json")
    kinds = ".png, .svg or .pdf (default: the name of FILE with .png)"
    option.add_value(parser, "--output", "FILE", kinds)
    option.add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    output = arguments.output or os.path.splitext(arguments.source)[0] + ".png"
    check_destination(output)
    history = read_history(arguments.source)
    if not len(history):
        raise ValueError(f"{arguments.source} has no history of a training")
    try:
        from matplotlib import use
    except ImportError as error:
        raise missing_extra("a plot", "matplotlib", "plot") from error
    use("Agg")
    figure = history.plot()[0].figure
    figure.savefig(output, dpi=150)
    if arguments.json:
        columns = {"epoch": history.epoch, **history.history}
        show_json({"output": output, "epochs": len(history), "history": columns})
    else:
        print(f"wrote {output}, {len(history)} epochs")
    return 0


def read_history(path: str) -> History:
    """That of a file of any of the kinds.  Raises ValueError, OSError."""
    with open(path, "rb") as stream:
        head = stream.read(4096).lstrip()
    if head[:2] == b"PK":
        return _of_model(path)
    if head[:1] == b"{":
        with open(path, encoding="utf-8") as text:
            return _of_columns(_found_in(json.load(text)), path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as text:
            rows = list(csv.DictReader(text))
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no model, CSV or JSON") from None
    history = History()
    for number, row in enumerate(rows):
        figures = {name: value for name, value in row.items() if name and value}
        epoch = figures.pop("epoch", number)
        try:
            history.append(int(epoch), {name: float(value) for name, value in figures.items()})
        except (TypeError, ValueError):
            raise ValueError(f"{path}: line {number + 2} is not figures of an epoch") from None
    return history


def _of_model(path: str) -> History:
    from fastbp.network import Network
    from fastbp.storage.checkpoint import read

    try:
        held = read(path)
        if isinstance(held.extra, dict) and "history" in held.extra:
            return _of_columns(held.extra["history"], path)
        return Network._from_snapshot(held, backend=None).history
    except ModelFormatError as error:
        raise ModelFormatError(f"{path}: {error}") from None


def _found_in(value: Any) -> Any:
    return value["history"] if isinstance(value, dict) and "history" in value else value


def _of_columns(value: Any, path: str) -> History:
    if not isinstance(value, dict) or not all(isinstance(one, list) for one in value.values()):
        raise ValueError(f"{path} holds no lists of figures by name")
    history = History()
    columns = dict(value)
    length = max(map(len, columns.values()), default=0)
    epochs = columns.pop("epoch", list(range(length)))
    for i, epoch in enumerate(epochs):
        row = {name: one[i] for name, one in columns.items() if i < len(one)}
        history.append(epoch, {name: number for name, number in row.items() if number is not None})
    return history

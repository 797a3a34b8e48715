"""`fastbp predict`: what a saved model says about the rows of a CSV file."""

import argparse
import csv
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

from fastbp.command.option import add_backend, add_separator
from fastbp.error import ModelFormatError
from fastbp.network import Network
from fastbp.storage.checkpoint import read
from fastbp.tabular.table import Preprocessing, read_csv
from fastbp.tabular.target import ClassTarget, target_from_config


def add_parser(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subcommands.add_parser(
        "predict",
        help="apply a model of `fastbp train` to a CSV file",
        description="Write one prediction per row as CSV. Columns are found by name; those the "
        "model does not know, the target among them, are ignored.",
    )
    parser.add_argument("model", metavar="model.npz")
    parser.add_argument("data", metavar="data.csv")
    parser.add_argument("--output", metavar="FILE", help="where to (default: standard output)")
    parser.add_argument(
        "--probabilities", action="store_true", help="add the probability of each class"
    )
    add_backend(parser)
    add_separator(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    try:
        held = read(arguments.model)
        network, extra = Network._from_snapshot(held, backend=arguments.backend), held.extra
        if not isinstance(extra, dict) or not {"preprocessing", "target"} <= extra.keys():
            raise ModelFormatError(
                "the model holds no description of a table; "
                "`fastbp train --save` writes one that does"
            )
        preprocessing = Preprocessing.from_config(extra["preprocessing"])
        target = target_from_config(extra["target"])
        shape = len(preprocessing.feature_names), target.n_outputs
        if shape != (network.n_features, network.n_outputs):
            raise ModelFormatError("the description of the table does not fit the network")
    except ValueError as error:
        raise ModelFormatError(f"{arguments.model}: {error}") from error
    if arguments.probabilities and not isinstance(target, ClassTarget):
        raise ValueError(
            "--probabilities needs a classification; "
            f"{arguments.model} predicts the number {target.name!r}"
        )
    X = preprocessing.transform(read_csv(arguments.data, separator=arguments.separator))
    output = network.predict(X)
    header, columns = [target.name], [target.decode(output)]
    if arguments.probabilities and isinstance(target, ClassTarget):
        header += [f"probability_{name}" for name in target.classes]
        columns += list(output.T)
    _write(arguments.output, header, zip(*columns, strict=True))
    return 0


def _write(path: str | None, header: list[str], rows: Iterable[tuple[Any, ...]]) -> None:
    # Nine digits tell any two float32 apart.
    lines = ([cell if isinstance(cell, str) else f"{cell:.9g}" for cell in row] for row in rows)
    file = (
        nullcontext(sys.stdout) if path is None else open(path, "w", encoding="utf-8", newline="")
    )
    with file as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *lines])

"""`fastbp predict`: what a saved model says about the rows of a table."""

import argparse

from fastbp.command import option
from fastbp.command.output import check_output, note, show_json


def add_parser(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subcommands.add_parser(
        "predict",
        help="apply a model of `fastbp train` to a table",
        description="Write one prediction per row as CSV, part by part, so that the table may have "
        "any length. Columns are found by name; those the model does not know, the target among "
        "them, are ignored. A row with a cell of another kind than its column has no prediction; "
        "these and categories that training did not see are counted on standard error.",
    )
    parser.add_argument("model", metavar="model.npz")
    option.add_table(parser)
    option.add_value(parser, "--output", "FILE", "where to (default: standard output)")
    option.add_repeated(parser, "--id", "COLUMN", "put this column before the prediction")
    parser.add_argument(
        "--probabilities", action="store_true", help="add the probability of each class"
    )
    strict = "a row that cannot be predicted is an error"
    parser.add_argument("--strict", action="store_true", help=strict)
    option.add_backend(parser)
    counts = "print the counts as JSON; needs --output"
    parser.add_argument("--json", action="store_true", help=counts)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from fastbp.tabular.model import TableModel
    from fastbp.tabular.prediction import predict_file, written

    if arguments.json and arguments.output is None:
        raise ValueError("--json prints to standard output: pass --output for the predictions")
    check_output("--output", arguments.output, arguments.data, arguments.model)
    model = TableModel.load(arguments.model, backend=arguments.backend)
    if arguments.probabilities and model.classes_ is None:
        raise ValueError(
            f"--probabilities needs a classification; {arguments.model} predicts the number "
            f"{model.target.name!r}"
        )
    reading = model.preprocessing.reading
    with (
        option.open_table(arguments, decimal=reading.decimal, na_values=reading.na_values) as file,
        written(arguments.output) as stream,
    ):
        done = predict_file(
            model, file, stream, ids=arguments.id, probabilities=arguments.probabilities,
            strict=arguments.strict,
        )  # fmt: skip
    for text in done.oddities.notes():
        note(f"note: {text}")
    if arguments.json:
        show_json({"model": arguments.model, "data": arguments.data, "output": arguments.output,
                   **done.to_json()})  # fmt: skip
    return 0

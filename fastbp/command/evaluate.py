"""`fastbp evaluate`: how well a saved model predicts a table whose target is known."""

import argparse

from fastbp.command import option
from fastbp.command.output import note, show_json


def add_parser(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subcommands.add_parser(
        "evaluate",
        help="compare a model's predictions with the target of a table",
        description="Metrics, and a confusion matrix or a summary of residuals. Rows without a "
        "target, or that cannot be predicted, are left out and counted.",
    )
    parser.add_argument("model", metavar="model.npz")
    option.add_table(parser)
    option.add_backend(parser)
    option.add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from fastbp.tabular.model import TableModel
    from fastbp.tabular.prediction import evaluate_file

    model = TableModel.load(arguments.model, backend=arguments.backend)
    reading = model.preprocessing.reading
    with option.open_table(arguments, decimal=reading.decimal, na_values=reading.na_values) as file:
        evaluation, done = evaluate_file(model, file)
    for text in done.oddities.notes():
        note(f"note: {text}")
    if arguments.json:
        show_json({"model": arguments.model, "data": arguments.data, **done.to_json(),
                   **evaluation.to_json()})  # fmt: skip
    else:
        print(f"{model.target.task} of {model.target.name!r}: {evaluation.n_rows} rows")
        print(evaluation)
    return 0

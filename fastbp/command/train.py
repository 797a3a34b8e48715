"""`fastbp train`: a network for a table."""

import argparse
import os
import shlex
import time
from typing import TYPE_CHECKING

from fastbp.command import option
from fastbp.command.output import check_output, show_json
from fastbp.storage.checkpoint import check_destination

if TYPE_CHECKING:
    from fastbp.tabular.model import TableModel
    from fastbp.tabular.summary import Summary

MODEL = "model.npz"


def add_parser(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subcommands.add_parser(
        "train",
        help="train on a table in a file",
        description="Train on a table and write a model for `fastbp predict`. Numbers are "
        "standardised, names one-hot encoded, dates become numbers; constant columns and free text "
        "are left out; missing cells are imputed and marked. What was done is said. "
        "docs/command_line.md has a tutorial.",
    )
    option.add_table(parser, is_training=True)
    parser.add_argument("--target", metavar="COLUMN", help="the column to predict")
    _add_columns(parser.add_argument_group("columns"))
    _add_network(parser.add_argument_group("network"))
    _add_training(parser.add_argument_group("training"))
    _add_results(parser.add_argument_group("results"))
    parser.set_defaults(run=run)


def _add_columns(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--task", choices=["auto", "classification", "regression"], default="auto")
    option.add_repeated(group, "--drop", "COLUMN", "leave a column out")
    option.add_repeated(group, "--categorical", "COLUMN", "a column is names, though it has digits")
    option.add_repeated(group, "--keep", "COLUMN", "use a column that seems to number the rows")
    group.add_argument(
        "--missing", choices=["indicator", "impute", "error"], default="indicator",
        help="missing cells become the mean or no category, and are marked by an input of their "
        "own (indicator, the default), are not marked, or are an error",
    )  # fmt: skip
    option.add_value(group, "--date-format", "F", "of dates, such as %%d/%%m/%%Y")


def _add_network(group: "argparse._ArgumentGroup") -> None:
    hidden = "sizes of the hidden layers"
    option.add_value(group, ["--hidden", "--layers"], "N,N", hidden, type=option.sizes,
                     default="64,64")  # fmt: skip
    option.add_value(group, "--activation", "NAME", "of the hidden layers", default="relu")
    losses = "of a number: mse (the default), mae, huber; classes have cross_entropy"
    option.add_value(group, "--loss", "NAME", losses)
    option.add_backend(group)


def _add_training(group: "argparse._ArgumentGroup") -> None:
    held_out = "share of the rows held out, to stop in time and to measure; 0 for none"
    option.add_value(group, "--validate", "SHARE", held_out, type=option.share, default=0.2)
    patience = "epochs without improvement on the rows held out that end the training"
    option.add_value(group, "--patience", "N", patience, type=option.integer(minimum=1), default=10)
    option.add_epochs(group, default=200, about="passes over the training rows, at most")
    option.add_value(group, "--max-seconds", "S", "stop in time", type=option.positive)
    one = option.integer(minimum=1)
    size = "rows of a step (default: 32, with lbfgs all)"
    option.add_value(group, "--batch-size", "N", size, type=one)
    option.add_value(group, "--optimizer", "NAME", "adamw, sgd, lbfgs, ...", default="adam")
    rate = "of the optimizer (default: its own)"
    option.add_value(group, "--learning-rate", "X", rate, type=option.positive)
    balanced = "balanced: rare classes count as much as frequent ones"
    group.add_argument("--class-weight", choices=["balanced"], help=balanced)
    shown = "0 nothing, 1 a bar, 2 a line an epoch (default: a bar in a terminal)"
    group.add_argument("--verbose", type=int, choices=[0, 1, 2], help=shown)
    option.add_seed(group)


def _add_results(group: "argparse._ArgumentGroup") -> None:
    test = "share of the rows that only the figures at the end see"
    option.add_value(group, "--test-size", "SHARE", test, type=option.share, default=0.0)
    folds = "cross-validate: figures of N models, each tested on its own part of the rows"
    option.add_value(group, "--cv", "N", folds, type=option.integer(minimum=2))
    saved = f"the model's file (default: {MODEL}, or model-2.npz, ... where it exists)"
    option.add_value(group, "--save", "FILE", saved)
    group.add_argument("--no-save", action="store_true", help="write no model")
    option.add_value(group, "--plot", "FILE", "draw losses and predictions, .png, .svg or .pdf")
    option.add_value(group, "--report", "FILE", "the result as one page of HTML")
    option.add_json(group)


def run(arguments: argparse.Namespace) -> int:
    from fastbp.tabular import frame
    from fastbp.tabular.fold import cross_validate, test_rows

    for name in ("save", "plot", "report"):
        path = getattr(arguments, name)
        if path is not None:
            check_destination(path)
            check_output(f"--{name}", path, arguments.data)
    _check_plot(arguments)
    model = _model(arguments)
    with option.open_table(arguments) as file:
        if arguments.target is None:
            columns = frame.listed(file.columns, 30)
            raise ValueError(f"pass the column to predict: --target COLUMN, one of {columns}")
        if arguments.target not in file.columns and file.header_is_numbers():
            raise ValueError(
                f"{file.name} has no column {arguments.target!r}, and its first line is mostly "
                f"numbers ({', '.join(file.columns[:5])}): if it is data, pass --no-header"
            )
        frame.check_columns([arguments.target, *arguments.drop], file.columns, where=file.name)
        text = [arguments.target, *arguments.categorical]  # 01067 is a name, and stays one
        table, notes, source = file.read(text=text), file.notes, file.name
    folds = []
    if arguments.cv:
        folds = cross_validate(
            model, table, target=arguments.target, folds=arguments.cv, drop=tuple(arguments.drop)
        )
    train, test = test_rows(model, table, arguments.target, arguments.test_size)
    summary = _fit(model, train, source, notes, arguments)
    summary.n_rows, summary.n_columns = table.shape
    summary.folds = folds
    if test is not None:
        summary.evaluation, summary.held_out = model.evaluate(test), "test rows"
    _write(summary, arguments)
    if arguments.json:
        show_json(summary.to_json())
    else:
        print(summary.after())
    return 0


def _model(arguments: argparse.Namespace) -> "TableModel":
    from fastbp.tabular.model import TableModel

    return TableModel(
        hidden=arguments.hidden, activation=arguments.activation, loss=arguments.loss,
        optimizer=arguments.optimizer, learning_rate=arguments.learning_rate,
        epochs=arguments.epochs, batch_size=arguments.batch_size,
        validation_split=arguments.validate, patience=arguments.patience,
        max_seconds=arguments.max_seconds, class_weight=arguments.class_weight,
        task=arguments.task, missing=arguments.missing, categorical=arguments.categorical,
        decimal=arguments.decimal or ".", date_format=arguments.date_format,
        na_values=arguments.na_value, keep=arguments.keep, seed=arguments.seed,
        backend=arguments.backend,
    )  # fmt: skip


def _fit(
    model: "TableModel", table: object, source: str, notes: list[str], arguments: argparse.Namespace
) -> "Summary":
    """Train, and say before it what was found in the table."""
    from fastbp.tabular.summary import Summary

    summary, start = Summary(model, source, 0, 0), 0.0

    def announce() -> None:
        nonlocal start
        summary.notes = [*notes, *model.notes]
        if not arguments.json:
            print(summary.before(), flush=True)
        start = time.perf_counter()

    model.fit(
        table, target=arguments.target, drop=arguments.drop,
        verbose=_verbose(arguments), on_described=announce,
    )  # fmt: skip
    summary.seconds = time.perf_counter() - start
    if model.validation is not None:
        summary.evaluation, summary.held_out = (
            model.validation,
            "rows held out, which decided when to stop",
        )
    return summary


def _verbose(arguments: argparse.Namespace) -> int | str:
    if arguments.json:
        return 0
    return "auto" if arguments.verbose is None else int(arguments.verbose)


def _check_plot(arguments: argparse.Namespace) -> None:
    """What would go wrong with a plot, found before the training."""
    if arguments.plot is None and arguments.report is None:
        return
    from fastbp.tabular.picture import draw

    figure = draw(None, None)
    kind = os.path.splitext(arguments.plot or "")[1].lstrip(".").lower() or "png"
    if kind not in figure.canvas.get_supported_filetypes():
        raise ValueError(f"--plot {arguments.plot}: a file of the kind .png, .svg or .pdf, please")


def _write(summary: "Summary", arguments: argparse.Namespace) -> None:
    model = summary.model
    if not arguments.no_save:
        summary.path = arguments.save or _free_name()
        model.save(summary.path)
        words = ["fastbp", "predict", summary.path, arguments.data]
        summary.command = shlex.join(words)
    if arguments.plot is not None:
        from fastbp.tabular.picture import draw

        draw(model.history, summary.evaluation, title=summary.heading()).savefig(
            arguments.plot, dpi=150
        )
    if arguments.report is not None:
        with open(arguments.report, "w", encoding="utf-8") as stream:
            stream.write(summary.to_html())


def _free_name() -> str:
    """A name for the model that no file has."""
    number, name = 1, MODEL
    while os.path.lexists(name):
        number += 1
        name = f"model-{number}.npz"
    return name

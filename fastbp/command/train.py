"""`fastbp train`: a network for a CSV table."""

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.command import option
from fastbp.command.progress import accuracy, speed, train_with_progress
from fastbp.network import Network
from fastbp.optimizer import Adam
from fastbp.runtime.snapshot import snapshot
from fastbp.storage.checkpoint import check_destination, write
from fastbp.tabular.split import split_rows
from fastbp.tabular.table import Preprocessing, Table, read_csv
from fastbp.tabular.target import ClassTarget, Target, fit_target, target_to_config


def add_parser(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subcommands.add_parser(
        "train",
        help="train on a CSV file",
        description="Train on a CSV file with a header line. Numeric columns are standardised, "
        "the others one-hot encoded; missing values are an error.",
    )
    parser.add_argument("data", metavar="data.csv")
    parser.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    parser.add_argument("--task", choices=["auto", "classification", "regression"], default="auto")
    drop = "leave a column out (repeatable)"
    parser.add_argument("--drop", action="append", default=[], metavar="COLUMN", help=drop)
    hidden = "sizes of the hidden layers"
    option.add_value(parser, "--layers", "N,N", hidden, type=option.sizes, default="64,64")
    parser.add_argument("--activation", default="relu", help="of the hidden layers (default: relu)")
    option.add_epochs(parser, default=100)
    parser.add_argument("--batch-size", type=option.integer(minimum=1), default=32, metavar="N")
    adam = "of the optimizer, Adam"
    option.add_value(parser, "--learning-rate", "X", adam, type=option.positive, default=0.001)
    held_out = "share of the rows held out for the test"
    option.add_value(parser, "--test-size", "SHARE", held_out, type=option.share, default=0.25)
    parser.add_argument("--save", metavar="model.npz", help="write the model for `fastbp predict`")
    option.add_seed(parser)
    option.add_backend(parser)
    option.add_separator(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.save is not None:
        check_destination(arguments.save)
    table = read_csv(arguments.data, separator=arguments.separator)
    preprocessing, target, train, test = _prepare(table, arguments)
    X, y = preprocessing.transform(table), target.encode(table[target.name])
    network = Network(
        [X.shape[1], *arguments.layers, target.n_outputs],
        activation=arguments.activation,
        loss="cross_entropy" if target.task == "classification" else "mse",
        optimizer=Adam(arguments.learning_rate),
        seed=arguments.seed,
        backend=arguments.backend,
    )
    _announce(preprocessing, target, n_train=len(train), n_test=len(test))
    seconds = train_with_progress(
        network, X[train], y[train], epochs=arguments.epochs, batch_size=arguments.batch_size
    )
    for name, rows in (("train", train), ("test", test)):
        if len(rows):
            scores = _scores(network, target, X[rows], table[target.name][rows])
            print(f"{name:<5} " + "  ".join(f"{key} {value:.6g}" for key, value in scores.items()))
    print(speed(network, rows=len(train), epochs=arguments.epochs, seconds=seconds))
    if arguments.save is not None:
        extra = {"preprocessing": preprocessing.to_config(), "target": target_to_config(target)}
        write(arguments.save, snapshot(network._state, extra=extra))
        print(f"saved {arguments.save}")
    return 0


def _prepare(
    table: Table, arguments: argparse.Namespace
) -> tuple[Preprocessing, Target, NDArray[np.int64], NDArray[np.int64]]:
    """Describe inputs and target, and divide the rows."""
    for name in (arguments.target, *arguments.drop):
        if name not in table:
            raise ValueError(
                f"{arguments.data} has no column {name!r}; it has {', '.join(map(repr, table))}"
            )
    if arguments.target in arguments.drop:
        raise ValueError(f"column {arguments.target!r} is both the target and dropped")
    cells = table[arguments.target]
    target = fit_target(arguments.target, cells, task=arguments.task)
    labels = target.encode(cells) if target.task == "classification" else None
    train, test = split_rows(
        len(cells), test_size=arguments.test_size, seed=arguments.seed, labels=labels
    )
    # The scale of a regression's target is learned from the training rows, like the inputs'.
    target = fit_target(arguments.target, cells, task=target.task, rows=train)
    inputs = {
        name: table[name] for name in table if name not in (arguments.target, *arguments.drop)
    }
    return Preprocessing.fit(inputs, rows=train), target, train, test


def _announce(preprocessing: Preprocessing, target: Target, *, n_train: int, n_test: int) -> None:
    kind = f"{len(target.classes)} classes" if isinstance(target, ClassTarget) else "a number"
    print(
        f"{target.task} of {target.name!r} ({kind}) from {len(preprocessing.columns)} columns, "
        f"{len(preprocessing.feature_names)} inputs; {n_train} rows to train, {n_test} to test"
    )
    if preprocessing.dropped:
        print(f"dropped, constant: {', '.join(preprocessing.dropped)}")


def _scores(
    network: Network, target: Target, X: NDArray[Any], cells: NDArray[np.object_]
) -> dict[str, float]:
    """Accuracy and loss, or R^2 and errors in the unit of the target."""
    if isinstance(target, ClassTarget):
        labels = target.encode(cells)
        loss = network.evaluate(X, labels)["loss"]
        return {"accuracy": accuracy(network, X, labels), "loss": loss}
    truth = target.numbers(cells)
    error = target.decode(network.predict(X)) - truth
    spread = float(((truth - truth.mean()) ** 2).mean())
    mse = float((error**2).mean())
    r2 = 1.0 - mse / spread if spread > 0.0 else float("nan")
    return {"R2": r2, "MAE": float(np.abs(error).mean()), "MSE": mse}

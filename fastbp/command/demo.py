"""`fastbp demo`: learn handwritten digits, data included."""

import argparse
import time

from fastbp.command.option import add_backend, add_epochs, add_json, add_seed
from fastbp.command.output import show_json
from fastbp.command.progress import accuracy, speed, train_with_progress
from fastbp.dataset import load_digits
from fastbp.network import Network
from fastbp.optimizer import Adam
from fastbp.runtime.held_out import split_rows

BATCH_SIZE = 32
TEST_ROWS = 450
LEARNING_RATE = 2e-3


def add_parser(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subcommands.add_parser(
        "demo",
        help="learn handwritten digits and say how well and how fast",
        description="Train on three quarters of 1797 handwritten digits, test on the others.",
    )
    add_backend(parser)
    add_epochs(parser, default=60)
    add_seed(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    X, y = load_digits()
    train, test = split_rows(len(X), share=TEST_ROWS / len(X), seed=arguments.seed, labels=y)
    network = Network(
        [64, 128, 10],
        activation="relu",
        loss="cross_entropy",
        optimizer=Adam(LEARNING_RATE),
        seed=arguments.seed,
        backend=arguments.backend,
    )

    def said() -> str:
        return f"test accuracy {100.0 * accuracy(network, X[test], y[test]):.2f} %"

    if arguments.json:
        start = time.perf_counter()
        network.fit(X[train], y[train], epochs=arguments.epochs, batch_size=BATCH_SIZE, verbose=0)
        show_json({
            "rows": len(train), "test_rows": len(test), "epochs": arguments.epochs,
            "seconds": time.perf_counter() - start, "backend": network.backend,
            "accuracy": accuracy(network, X[test], y[test]),
        })  # fmt: skip
        return 0
    print(f"handwritten digits: {len(train)} to train, {len(test)} to test, 64 -> 128 -> 10")
    seconds = train_with_progress(
        network, X[train], y[train], epochs=arguments.epochs, batch_size=BATCH_SIZE, report=said
    )
    print(f"{said()} after {arguments.epochs} epochs")
    print(speed(network, rows=len(train), epochs=arguments.epochs, seconds=seconds))
    return 0

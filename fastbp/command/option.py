"""Options which several subcommands have, and the types of their values."""

import argparse
import math
from collections.abc import Callable

LARGEST = 2**31 - 1


def add_backend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend", choices=["cython", "numpy"], help="what computes (default: the best there is)"
    )


def add_epochs(parser: argparse.ArgumentParser, *, default: int) -> None:
    parser.add_argument(
        "--epochs",
        type=integer(minimum=1),
        default=default,
        metavar="N",
        help=f"passes over the training rows (default: {default})",
    )


def add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed",
        type=integer(minimum=0),
        default=0,
        metavar="N",
        help="for the split, the initial weights and the order (default: 0)",
    )


def add_separator(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--separator",
        type=character,
        default=",",
        metavar="C",
        help="between the fields of a line; 'tab' for tabs (default: ,)",
    )


def integer(*, minimum: int) -> Callable[[str], int]:
    """A type for argparse: a whole number of at least `minimum`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = minimum - 1
        if not minimum <= value <= LARGEST:
            raise argparse.ArgumentTypeError(
                f"expected a whole number from {minimum} to {LARGEST}, got {text!r}"
            )
        return value

    return parse


def sizes(text: str) -> list[int]:
    """A type for argparse: "64,32" -> [64, 32]; an empty text means no hidden layer."""
    return [integer(minimum=1)(part.strip()) for part in text.split(",")] if text.strip() else []


def positive(text: str) -> float:
    """A type for argparse: a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def share(text: str) -> float:
    """A type for argparse: a number from 0 up to, not including, 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value < 1.0:
        raise argparse.ArgumentTypeError(f"expected 0 <= share < 1, got {text!r}")
    return value


def character(text: str) -> str:
    """A type for argparse: one character, or the word "tab"."""
    value = "\t" if text == "tab" else text
    if len(value) != 1 or value in '"\r\n':
        raise argparse.ArgumentTypeError(f"expected one character, got {text!r}")
    return value

"""Options which several subcommands have, and the types of their values."""

import argparse
import math
from collections.abc import Callable
from typing import Any

LARGEST = 2**31 - 1


def add_value(
    parser: argparse.ArgumentParser, name: str, metavar: str, about: str, **more: Any
) -> None:
    """An option with a value; its help ends with the default, where there is one."""
    if "default" in more:
        about += f" (default: {more['default']})"
    parser.add_argument(name, metavar=metavar, help=about, **more)


def add_backend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend", choices=["cython", "numpy"], help="what computes (default: the best there is)"
    )


def add_epochs(parser: argparse.ArgumentParser, *, default: int) -> None:
    about = "passes over the training rows"
    add_value(parser, "--epochs", "N", about, type=integer(minimum=1), default=default)


def add_seed(parser: argparse.ArgumentParser) -> None:
    about = "for the split, the initial weights and the order"
    add_value(parser, "--seed", "N", about, type=integer(minimum=0), default=0)


def add_separator(parser: argparse.ArgumentParser) -> None:
    about = "between the fields of a line; 'tab' for tabs"
    add_value(parser, "--separator", "C", about, type=character, default=",")


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
    value = _number(text)
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def share(text: str) -> float:
    """A type for argparse: a number from 0 up to, not including, 1."""
    value = _number(text)
    if not 0.0 <= value < 1.0:
        raise argparse.ArgumentTypeError(f"expected 0 <= share < 1, got {text!r}")
    return value


def _number(text: str) -> float:
    """NaN, which is in no range, where the text is no number."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def character(text: str) -> str:
    """A type for argparse: one character, or the word "tab"."""
    value = "\t" if text == "tab" else text
    if len(value) != 1 or value in '"\r\n':
        raise argparse.ArgumentTypeError(f"expected one character, got {text!r}")
    return value

"""Options which several subcommands have, and the types of their values."""

import argparse
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastbp.tabular.file import TableFile

LARGEST = 2**31 - 1


def add_value(
    parser: Any, name: str | Sequence[str], metavar: str, about: str, **more: Any
) -> None:
    """An option with a value; its help ends with the default, where there is one."""
    if "default" in more:
        about += f" (default: {more['default']})"
    names = [name] if isinstance(name, str) else name
    parser.add_argument(*names, metavar=metavar, help=about, **more)


def add_repeated(parser: Any, name: str, metavar: str, about: str) -> None:
    """An option whose values are collected in a list."""
    text = f"{about} (may be repeated)"
    parser.add_argument(name, metavar=metavar, help=text, action="append", default=[])


def add_backend(parser: Any) -> None:
    parser.add_argument(
        "--backend", choices=["cython", "numpy"], help="what computes (default: the best there is)"
    )


def add_epochs(parser: Any, *, default: int, about: str = "passes over the training rows") -> None:
    add_value(parser, "--epochs", "N", about, type=integer(minimum=1), default=default)


def add_seed(parser: Any) -> None:
    about = "for the split, the initial weights and the order"
    add_value(parser, "--seed", "N", about, type=integer(minimum=0), default=0)


def add_json(parser: Any) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_table(parser: argparse.ArgumentParser, *, is_training: bool = False) -> None:
    """The table, and how it is to be read."""
    about = "CSV or TSV, also as .gz, .bz2, .xz, .zst; Parquet; - for standard input"
    parser.add_argument("data", metavar="data.csv", help=about)
    group = parser.add_argument_group("reading the table")
    found = "between the cells of a line, 'tab' for tabs (default: found out)"
    add_value(group, "--separator", "C", found, type=character)
    default = ". or ," + ("" if is_training else ", by default as in training")
    about = f"decimal point, {default}"
    group.add_argument("--decimal", choices=[".", ","], metavar="C", help=about)
    add_repeated(group, "--na-value", "TEXT", "cells that mean a missing value, such as ?")
    add_value(group, "--encoding", "NAME", "of the text, such as cp1252 (default: UTF-8)")
    unnamed = "the first line is data; columns are column_1, column_2, ..."
    group.add_argument("--no-header", action="store_true", help=unnamed)


def open_table(
    arguments: argparse.Namespace, *, decimal: str = ".", na_values: Sequence[str] = ()
) -> "TableFile":
    """The file of `add_table`; what the model remembers of reading holds where nothing is said."""
    from fastbp.tabular.file import TableFile

    return TableFile(
        arguments.data, separator=arguments.separator, decimal=arguments.decimal or decimal,
        na_values=arguments.na_value or na_values, encoding=arguments.encoding,
        has_header=not arguments.no_header,
    )  # fmt: skip


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
    value = "\t" if text in ("tab", "\\t") else text
    if len(value) != 1 or value in '"\r\n':
        raise argparse.ArgumentTypeError(f"expected one character, got {text!r}")
    return value

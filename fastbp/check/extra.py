"""The optional libraries: what to install where one is missing."""

from __future__ import annotations


def missing_extra(purpose: str, library: str, extra: str) -> ImportError:
    """The error to raise where `purpose` needs a library that the extra brings.

    >>> print(missing_extra("a plot", "matplotlib", "plot"))
    a plot needs matplotlib: pip install 'fastbp[plot]', in a clone of fastbp pip install '.[plot]'
    """
    return ImportError(
        f"{purpose} needs {library}: pip install 'fastbp[{extra}]', "
        f"in a clone of fastbp pip install '.[{extra}]'"
    )

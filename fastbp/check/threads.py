"""How many threads "auto" means: the processors there are, or less where somebody has said so.

FASTBP_NUM_THREADS   most threads of "auto", an integer >= 1
OMP_NUM_THREADS      the same where the first is not set; of a list as "4,2" its first number.
                     joblib sets it for its workers, so that all together have a thread a processor

Both are read at import.
"""

from __future__ import annotations

import operator
import os
import warnings
from collections.abc import Mapping

from fastbp.check.message import shown


def available_threads() -> int:
    """The processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_num_threads(n: int | None) -> None:
    """At most so many threads for every call with n_threads="auto", from now on in this process.

    None goes back to what FASTBP_NUM_THREADS or else OMP_NUM_THREADS said at import.  "auto" never
    takes more threads than there are processors; an explicit `n_threads` of a call is not limited.
    No result depends on it.

    Raises:
        TypeError: not an integer.
        ValueError: less than 1.

    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    >>> set_num_threads(None)
    """
    global _limit, _source
    if n is None:
        _limit, _source = _inherited
        return
    expected = "n of set_num_threads must be None or an integer >= 1, got "
    try:
        if isinstance(n, bool):
            raise TypeError
        number = operator.index(n)
    except TypeError:
        raise TypeError(expected + shown(n)) from None
    if number < 1:
        raise ValueError(expected + str(number))
    _limit, _source = number, f"set_num_threads({number})"


def get_num_threads() -> int:
    """The most threads that a call with n_threads="auto" takes."""
    return automatic(available_threads())


def automatic(available: int) -> int:
    """The same where so many processors are there."""
    return available if _limit is None or _limit > available else _limit


def source() -> str:
    """What decides it, for people."""
    if _limit is not None and _limit <= available_threads():
        return _source
    return "the processors this process may use"


def _from_environment(environment: Mapping[str, str]) -> tuple[int | None, str]:
    """The limit that the environment sets, and the variable and its value; None for no limit.

    Raises ValueError for a FASTBP_NUM_THREADS that is no integer >= 1; OMP_NUM_THREADS is meant for
    others too, so that one of no use is a RuntimeWarning.
    """
    own = environment.get("FASTBP_NUM_THREADS", "").strip()
    if own:
        number = _positive(own)
        if number is None:
            raise ValueError(f"FASTBP_NUM_THREADS={own!r} must be an integer >= 1")
        return number, f"FASTBP_NUM_THREADS={own}"
    shared = environment.get("OMP_NUM_THREADS", "").strip()
    number = _positive(shared.partition(",")[0].strip())
    if shared and number is None:
        text = f"OMP_NUM_THREADS={shared!r} must be an integer >= 1 or a list of them; ignored"
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    return number, f"OMP_NUM_THREADS={shared}"


def _positive(text: str) -> int | None:
    """The number in plain digits, or None."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    return number if number > 0 else None


_inherited = _from_environment(os.environ)
_limit, _source = _inherited

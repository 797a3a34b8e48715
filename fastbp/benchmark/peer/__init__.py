"""The contestants' adapters, a module each of its library's name, with one interface:

    NAME                                         of the library as the tables have it
    trainer(workload, variant, threads) -> Run   or raises Refused with the reason
    call(workload, variant, threads) -> Call     where it takes part in the costs of a call
    version() -> str                             where the library's module does not say it
    SLACK                                        where it trains a little differently: what the
                                                 bounds of the deviations are multiplied by

A Run makes so many more training steps: whole epochs, batches in order.  It returns the mean loss
over the batches of the last epoch, and W1, b1, W2, ... with kernels (n_in, n_out), not copied.
A Call is what `what` is about, once; it returns the outputs, or the loss of the step.

The peer is imported inside these functions: only the process that runs one needs it installed.
"""

from collections.abc import Callable, Sequence
from typing import Any

Run = Callable[[int], tuple[float, Sequence[Any]]]
Call = Callable[[], Any]


class Missing(Exception):
    """What the peer needs is not there; the message says what."""


class Refused(Exception):
    """The peer cannot do this workload; the message says why."""

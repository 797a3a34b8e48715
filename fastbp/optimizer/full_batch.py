"""Optimizers that look at all rows for each step, and more than once."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from fastbp.check.message import shown
from fastbp.check.scalar import check_integer
from fastbp.optimizer.base import Optimizer, refuses_unknown
from fastbp.schedule import LearningRate


class FullBatch(Optimizer):
    """An optimizer whose step needs loss and gradient of all rows: `fit` alone can take it, in
    runtime/full_batch.py.
    """

    is_full_batch = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in Optimizer.later:
            if getattr(self, name) is not None:
                raise ValueError(
                    f"{type(self).__name__} takes no {name}, got {shown(getattr(self, name))}"
                )

    @property
    def formula(self) -> str:
        """None of its own: this one keeps nothing, and no engine is asked to take it."""
        return "sgd"


@refuses_unknown
@dataclass(frozen=True, repr=False)
class LBFGS(FullBatch):
    """Quasi-Newton steps of all rows: w += t d, where d = -H g and H follows from the last
    `history_size` changes of w and of g, and t from a search along d.

    For small data and up to some 100,000 parameters, where it needs far fewer passes over the rows
    than steps by the gradient alone.  An epoch is one step, of one or two passes mostly; `fit`
    takes all rows as its batch, and ends as soon as a tolerance is met, with `history.stopped`
    "converged".  What is made smaller is the loss and the penalties l1 and l2 of the layers, of
    which l1 has no slope at 0: the search may end early there.

    The two-loop recursion (Nocedal, Updating quasi-Newton matrices with limited storage, 1980) in
    float64, with a strong Wolfe line search (Nocedal and Wright, Numerical optimization, 2006, 3.5
    and 3.6), where rounding hides a decrease by the approximate conditions (Hager and Zhang, 2005).
    The numbers are named as those of `torch.optim.LBFGS`, their defaults are SciPy's.

    Args:
        learning_rate: the first t that is tried, as for `SGD`; 1 is Newton's.
        history_size: pairs of changes that are kept, >= 1: two vectors as long as the parameters
            each, saved in files with the network.
        tolerance_grad: >= 0: converged where no component of g is larger.
        tolerance_change: >= 0: converged where a step makes the loss smaller by no more than this
            part of it, or of 1 where that is more.
        max_line_search: passes of one step at most, >= 1.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range; clipvalue, clipnorm,
            global_clipnorm and ema, which it does not take.

    >>> import numpy as np, fastbp as fb
    >>> X = np.linspace(-1, 1, 20)[:, None]
    >>> net = fb.Network([1, 1], optimizer=fb.LBFGS(), dtype="float64", seed=0)
    >>> net.fit(X, 3 * X + 2, epochs=50).stopped
    'converged'
    >>> [round(value.item(), 4) for value in net.parameters.values()]
    [3.0, 2.0]
    """

    name: ClassVar[str] = "lbfgs"
    learning_rate: LearningRate = 1.0
    _: KW_ONLY
    history_size: int = 10
    tolerance_grad: float = 1e-5
    tolerance_change: float = 1e-9
    max_line_search: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("history_size", "max_line_search"):
            number = check_integer(getattr(self, name), name=name, minimum=1)
            object.__setattr__(self, name, number)
        self._set_real("tolerance_grad", minimum=0)
        self._set_real("tolerance_change", minimum=0)

    @property
    def vectors(self) -> tuple[str, ...]:
        """The changes of the parameters, the last one first, and those of the gradient."""
        numbers = range(1, self.history_size + 1)
        return (*(f"s{i}" for i in numbers), *(f"y{i}" for i in numbers))

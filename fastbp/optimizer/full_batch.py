"""Optimizers that look at all rows for each step, and more than once."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from fastbp.check.message import shown
from fastbp.check.scalar import check_integer
from fastbp.optimizer.base import Optimizer, refuses_unknown
from fastbp.schedule import LearningRate

_MOST_EQUATIONS = 10_000  # a matrix of 800 MB


class FullBatch(Optimizer):
    """An optimizer whose step needs loss and gradient of all rows: `fit` alone can take it, in
    runtime/full_batch.py.
    """

    is_full_batch = True
    takes_statistics: ClassVar[bool] = True  # of the rows, as BatchNorm's

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in Optimizer.later:
            if getattr(self, name) is not None:
                raise ValueError(
                    f"{type(self).__name__} takes no {name}, got {shown(getattr(self, name))}"
                )

    def check_problem(self, *, loss: str, has_l1: bool, n_parameters: int) -> None:
        """Raises ValueError for a loss, a penalty or a size that it cannot take."""

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

    `BatchNorm` takes the statistics of all rows, whose activations then lie in memory at once; its
    running ones follow once a step, by those before it: with their momentum of 0.99 some hundred
    steps late, with `BatchNorm(momentum=0)` at once.  `Dropout` and `GaussianNoise` are refused.

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


@refuses_unknown
@dataclass(frozen=True, repr=False)
class LevenbergMarquardt(FullBatch):
    """Least squares: w += learning_rate d, where (J^T J + damping I) d = -J^T r, r being the
    residuals, of which the loss is half the sum of squares, and J their derivatives by w.

    For "mse" and "half_sse", small data and up to some 2,000 parameters, where it reaches losses
    that steps by the gradient do not.  An epoch is one step: J in compiled code, one backward pass
    for each output, the equations in float64 by NumPy's LAPACK.  A step that makes the loss no
    smaller is not taken; damping is multiplied by `damping_increase` until one does, and by
    `damping_decrease` after it.  Files keep the damping with the network.  Penalties l2 are
    residuals too, weights of rows multiply theirs by the square root.  `Dropout`, `GaussianNoise`
    and `BatchNorm` are refused, but for `BatchNorm(trainable=False)`.

    Levenberg, A method for the solution of certain non-linear problems in least squares, 1944;
    Marquardt, An algorithm for least-squares estimation of nonlinear parameters, 1963; for networks
    Hagan and Menhaj, Training feedforward networks with the Marquardt algorithm, 1994.  The numbers
    and their defaults are those of MATLAB's trainlm (mu, mu_inc, mu_dec, mu_max, min_grad), which
    go by the mean of the squares likewise.

    Args:
        learning_rate: in front of d; 1 is the whole step.
        damping: > 0, at the beginning; the larger, the shorter a step, and the nearer to the
            gradient's direction.
        damping_increase: > 1.
        damping_decrease: in (0, 1).
        damping_max: > 0: a fit ends where no step is found up to it, with `history.stopped`
            "damping".
        tolerance_grad: >= 0: converged where no component of the gradient is larger.
        tolerance_change: >= 0: converged where a step that was taken at once makes the loss smaller
            by no more than this part of it.

    Raises:
        TypeError, ValueError: an argument of another type or out of its range; clipvalue, clipnorm,
            global_clipnorm and ema, which it does not take.

    >>> import numpy as np, fastbp as fb
    >>> X = np.linspace(-3, 3, 50)[:, None]
    >>> net = fb.Network([1, 10, 1], activation="tanh", optimizer=fb.LevenbergMarquardt(),
    ...                  dtype="float64", seed=0)
    >>> bool(net.fit(X, np.sin(X), epochs=50)["loss"][-1] < 1e-6)
    True
    """

    name: ClassVar[str] = "levenberg_marquardt"
    takes_statistics: ClassVar[bool] = False
    learning_rate: LearningRate = 1.0
    _: KW_ONLY
    damping: float = 1e-3
    damping_increase: float = 10.0
    damping_decrease: float = 0.1
    damping_max: float = 1e10
    tolerance_grad: float = 1e-7
    tolerance_change: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_real("damping", minimum=0, exclude_minimum=True)
        self._set_real("damping_increase", minimum=1, exclude_minimum=True)
        limits = dict(exclude_minimum=True, exclude_maximum=True)
        self._set_real("damping_decrease", minimum=0, maximum=1, **limits)
        self._set_real("damping_max", minimum=0, exclude_minimum=True)
        self._set_real("tolerance_grad", minimum=0)
        self._set_real("tolerance_change", minimum=0)

    def check_problem(self, *, loss: str, has_l1: bool, n_parameters: int) -> None:
        """See `FullBatch`."""
        if loss not in ("mse", "half_sse"):
            raise ValueError(f"LevenbergMarquardt needs a loss 'mse' or 'half_sse', got '{loss}'")
        if has_l1:
            raise ValueError("LevenbergMarquardt takes no l1, which is no square")
        if n_parameters > _MOST_EQUATIONS:
            raise ValueError(
                f"LevenbergMarquardt solves as many equations as parameters, {n_parameters}, limit "
                f"{_MOST_EQUATIONS}: take LBFGS"
            )

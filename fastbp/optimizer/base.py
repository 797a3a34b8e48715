"""What every optimizer is: numbers, a formula, and vectors that it keeps between steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, Field, dataclass, fields
from functools import cache, wraps
from inspect import signature
from typing import Any, ClassVar, TypeVar

from fastbp.check.message import shown
from fastbp.check.scalar import check_bool, check_real
from fastbp.formula import optimizer as formulas
from fastbp.schedule import LearningRate, Schedule, resolve_learning_rate

_ALIASES = {  # what other libraries call an argument
    "lr": "learning_rate",
    "learning_rate_init": "learning_rate",
    "nesterov_momentum": "nesterov",
    "nesterovs_momentum": "nesterov",
    "beta_1": "beta1",
    "beta_2": "beta2",
    "eps": "epsilon",
    "alpha": "rho",
    "decoupled": "decoupled_weight_decay",
    "initial_accumulator": "initial_accumulator_value",
    "wd": "weight_decay",
    "decay": "weight_decay",
    "maxcor": "history_size",
    "gtol": "tolerance_grad",
    "ftol": "tolerance_change",
    "maxls": "max_line_search",
    "mu": "damping",
    "mu_inc": "damping_increase",
    "mu_dec": "damping_decrease",
    "mu_max": "damping_max",
    "min_grad": "tolerance_grad",
}
_Kind = TypeVar("_Kind", bound=type)


@dataclass(frozen=True, repr=False)
class Optimizer:
    """A frozen dataclass of numbers; a new one is listed in `OPTIMIZERS`.

    Every optimizer takes these, by keyword; g is the gradient of the loss and its penalties.

    Args:
        clipvalue: c > 0: each number of g is brought into [-c, c].
        clipnorm: c > 0: the gradient of each kernel and each bias is multiplied by
            c / max(c, its norm).
        global_clipnorm: c > 0: all of g is multiplied by min(1, c / (norm + 1e-6)).  At most one of
            these three, as in Keras.
        ema: decay in (0, 1) of the exponential moving average of the parameters,
            a += (1 - ema) / (1 - ema^t) (w - a) after step t = 1, 2, ...: from the first step on an
            average of what the parameters have been, as Adam's m_hat of its gradients.
    """

    name: ClassVar[str]
    # fields that a description leaves out where they have their default: files may be older
    later: ClassVar[tuple[str, ...]] = ("clipvalue", "clipnorm", "global_clipnorm", "ema")
    learning_rate: LearningRate  # once checked a number or a Schedule
    _: KW_ONLY
    clipvalue: float | None = None
    clipnorm: float | None = None
    global_clipnorm: float | None = None
    ema: float | None = None

    weight_decay = 0.0  # where a class has no such field
    coupled_decay = 0.0  # what joins the gradient for each weight, as l2 does
    decoupled_decay = 0.0  # what the formula takes off the weights beside that
    decay_bias = False  # whether for biases too
    is_full_batch = (
        False  # whether a step needs loss and gradient of all rows, and of several points
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "learning_rate", resolve_learning_rate(self.learning_rate))
        given = []
        for name in ("clipvalue", "clipnorm", "global_clipnorm"):
            if getattr(self, name) is not None:
                self._set_real(name, minimum=0, exclude_minimum=True)
                given.append(f"{name}={shown(getattr(self, name))}")
        if len(given) > 1:
            raise ValueError(
                f"at most one of clipvalue, clipnorm and global_clipnorm, got {', '.join(given)}"
            )
        if self.ema is not None:
            limits = dict(exclude_minimum=True, exclude_maximum=True)
            self._set_real("ema", minimum=0, maximum=1, **limits)

    @property
    def clips(self) -> bool:
        """Whether gradients are clipped."""
        bounds = (self.clipvalue, self.clipnorm, self.global_clipnorm)
        return any(bound is not None for bound in bounds)

    @property
    def wants_whole_gradient(self) -> bool:
        """Of all parameters before the first is updated."""
        return self.clips

    @property
    def formula(self) -> str:
        """Its step in formula/optimizer.py."""
        return self.name

    @property
    def state_names(self) -> tuple[str, ...]:
        """The vectors, as long as the parameters, that it keeps between steps: the slots of the
        formula, in its order.
        """
        return ()

    @property
    def vectors(self) -> tuple[str, ...]:
        """The same, and "ema" where parameters are averaged."""
        return (*self.state_names, "ema") if self.ema else self.state_names

    @property
    def rate_index(self) -> int:
        """Where the learning rate stands among the numbers."""
        return self.number_names.index("learning_rate")

    @property
    def numbers(self) -> tuple[float, ...]:
        """What the scalars of a step are made of, in the order of the formula; of a schedule
        `initial_learning_rate`.
        """
        own = {"learning_rate": "initial_learning_rate"}
        return tuple(float(getattr(self, own.get(name, name))) for name in self.number_names)

    @property
    def initial_learning_rate(self) -> float:
        """That of step 0, or NaN where code of a user's would have to be asked."""
        rate = self.learning_rate
        return rate.initial if isinstance(rate, Schedule) else float(rate)  # type: ignore[arg-type]

    @property
    def number_names(self) -> tuple[str, ...]:
        """The names of `numbers`."""
        return tuple(_names(self.formula)[0])

    @property
    def powers(self) -> tuple[float, ...]:
        """The numbers whose running powers the formula takes, in its order."""
        return tuple(float(getattr(self, name)) for name in _names(self.formula)[1])

    def to_config(self) -> dict[str, Any]:
        """Name and numbers as JSON can hold them."""
        held = {name: getattr(self, name) for name in self._shown()}
        if isinstance(self.learning_rate, Schedule):
            held["learning_rate"] = self.learning_rate.to_config()
        return {"name": self.name, **held}

    def _shown(self) -> list[str]:
        """The names of the fields, without the later ones that have their default."""
        return [
            field.name for field in own_first(type(self))
            if field.name not in self.later or getattr(self, field.name) != field.default
        ]  # fmt: skip

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._shown())
        return f"{type(self).__name__}({values})"

    def _set_real(self, name: str, **limits: Any) -> None:
        object.__setattr__(self, name, check_real(getattr(self, name), name=name, **limits))

    def _set_bool(self, name: str) -> None:
        object.__setattr__(self, name, check_bool(getattr(self, name), name=name))


def own_first(kind: type[Optimizer]) -> list[Field[Any]]:
    """The fields of a class, its decay and those that every optimizer takes behind its own."""

    def rank(field: Field[Any]) -> int:
        is_decay = field.name in ("weight_decay", "decoupled_weight_decay", "decay_bias")
        return 2 if field.name in Optimizer.later else int(is_decay)

    return sorted(fields(kind), key=rank)


@cache
def _names(formula: str) -> tuple[list[str], list[str]]:
    """The numbers, and those with running powers, of which the scalars of a step are made."""
    step = signature(getattr(formulas, formula))
    n_slots = str(step.return_annotation).count(",")  # the results beside w
    given = list(step.parameters)[2 + n_slots :]
    compute = getattr(formulas, f"{formula}_scalars", None)
    if compute is not None:
        given = list(signature(compute).parameters)
    powers = [name.removesuffix("_power") for name in given if name.endswith("_power")]
    return [name for name in given if not name.endswith("_power")], powers


# ---- wrong arguments ----------------------------------------------------------------------------


def refuses_unknown(kind: _Kind) -> _Kind:
    """The class with its own signature, but whose TypeError says what to write instead."""
    initialize = kind.__init__  # type: ignore[misc]
    known = {field.name for field in fields(kind)}

    @wraps(initialize)
    def __init__(self: Any, *args: Any, **given: Any) -> None:
        unknown = {name: value for name, value in given.items() if name not in known}
        if unknown:
            raise TypeError(_correction(kind, unknown))
        initialize(self, *args, **given)

    kind.__init__ = __init__  # type: ignore[misc]
    given = signature(initialize).parameters
    own = [given[name] for name in ("self", *(field.name for field in own_first(kind)))]
    __init__.__signature__ = signature(initialize).replace(parameters=own)  # type: ignore[attr-defined]
    return kind


def _correction(kind: type, unknown: Mapping[str, Any]) -> str:
    """Such as `Adam got lr; write learning_rate=0.001`."""
    decay = unknown.keys() & {"weight_decay", "wd"}
    right = _decaying(kind) if decay else kind
    known = [field.name for field in own_first(right)]
    write, lost = [], False
    for name, value in unknown.items():
        for own, number in _translated(name, value).items():
            if own in known:
                write.append(f"{own}={shown(number)}")
            elif name in decay:
                write.append(f"l2={shown(number)} in each Dense")
            else:
                lost = True
    text, said = f"{kind.__name__} got {', '.join(unknown)}", ", ".join(write)
    if said:
        text += f"; write {said if right is kind else f'fb.{right.__name__}({said})'}"
        if right is not kind:
            text += ", or l2= in each Dense for a decay that passes through m and v"
    return text + (f"; known: {', '.join(known)}" if lost else "")


def _decaying(kind: type) -> type:
    """The same optimizer with a decay, if there is one."""
    for one in (kind, *kind.__subclasses__()):
        if any(field.name == "weight_decay" for field in fields(one)):
            return one
    return kind


def _translated(name: str, value: Any) -> dict[str, Any]:
    """The argument of another library by the names of ours."""
    if name == "betas" and isinstance(value, list | tuple) and len(value) == 2:
        return {"beta1": value[0], "beta2": value[1]}
    pairs = {"etas": ("eta_minus", "eta_plus"), "step_sizes": ("step_min", "step_max")}
    if name in pairs and isinstance(value, list | tuple) and len(value) == 2:
        return dict(zip(pairs[name], value, strict=True))
    own = _ALIASES.get(name, name)
    if own == "nesterov" and not isinstance(value, bool):
        return {"momentum": value, "nesterov": True}
    return {own: value}

"""The loss of a network with several outputs: the weighted sum of those of its heads."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastbp.check.message import shown
from fastbp.loss import Loss


@dataclass(frozen=True)
class JointLoss:
    """sum_h weight_h loss_h, each loss a mean as for a network of that output alone.

    It stands where a network of one output has its `Loss`, and answers what concerns the whole.
    """

    names: tuple[str, ...]
    losses: tuple[Loss, ...]
    weights: tuple[float, ...]

    domain = link = "joint"
    with_penalties = is_measured_inside = is_own = False

    @property
    def without_function(self) -> JointLoss:
        """See `Loss`."""
        return self

    @property
    def figures(self) -> tuple[str, ...]:
        """What the losses of the heads are called in a history."""
        return tuple(f"{name}_loss" for name in self.names)

    def figure(self, name: str) -> tuple[int, str, str | None]:
        """The head of a figure that the engine sums, the metric and what that head's loss makes of
        an output, None of the loss itself.
        """
        if name in self.figures:
            return self.figures.index(name), "", None
        head, _, metric = name.rpartition("_")
        place = self.names.index(head)
        return place, metric, self.losses[place].link

    @property
    def name(self) -> str:
        """As a summary shows it."""
        parts = zip(self.names, self.weights, self.losses, strict=True)
        own = (f"{name}: {'' if w == 1 else f'{w:g} '}{loss.name}" for name, w, loss in parts)
        return f"({', '.join(own)})"

    def check_names(
        self, given: object, *, what: str, all_of_them: bool = True
    ) -> Mapping[str, Any]:
        """A dict with exactly the names of the heads, or with no others.

        Raises TypeError for anything else than a dict, ValueError for other names.
        """
        names = ", ".join(map(repr, self.names))
        if not isinstance(given, Mapping):
            raise TypeError(
                f"{what} must be a dict with an entry for each head ({names}), got {shown(given)}"
            )
        for name in given:
            if name not in self.names:
                close = difflib.get_close_matches(str(name), self.names, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"the heads are {names}"
                raise ValueError(f"{what} has an entry {shown(name)} and no such head: {hint}")
        for name in self.names if all_of_them else ():
            if name not in given:
                raise ValueError(f"{what} lacks an entry for the head {name!r}")
        return given

    def n_targets(self, n_outputs: int) -> int:
        """Columns for the weights of a row, which all heads have in common."""
        return 1

    def divisor(self, n_outputs: int) -> int:
        """Each head divides by its own."""
        return 1

    def to_config(self) -> None:
        """Nothing: the layer of the heads describes their losses."""
        return None

    def __repr__(self) -> str:
        return repr(dict(zip(self.names, self.losses, strict=True)))
